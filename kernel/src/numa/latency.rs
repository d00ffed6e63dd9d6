//! Emulated latency: what a virtual CPU's misses in other nodes' memory would have cost it.
//!
//! The board's memory is equally far from every CPU. Where the description wants latencies, a virtual
//! CPU *owes* the time by which its remote misses were longer than local ones, and pays by waiting
//! before its guest goes on: never more than [`PORTION_NS`] at once.
//!
//! All refills of the TLB are counted, only some of them are sampled; so what a refill costs more is the mean
//! of the samples. A refill stands for one miss.

/// Most that is paid at once, in nanoseconds.
pub const PORTION_NS: u64 = 50_000;
/// Time that the guest goes on between two portions, in nanoseconds: it runs at a sixth of its speed at
/// least. Refills of a pointer chase take some 100 ns each, so with 600 ns more it would be a seventh.
pub const BETWEEN_NS: u64 = 10_000;
/// Time from which on it is looked again whether anything is owed, if nothing was, in nanoseconds.
pub const LOOK_NS: u64 = 1_000_000;
/// Most that may be owed, in nanoseconds: what comes on top is forgiven, so that a virtual CPU that missed
/// much is slow no longer than this after it has stopped to.
pub const OWED_MAX_NS: u64 = 100_000_000;
/// Samples over which the mean goes: from there on the older ones count half as much.
const SAMPLES: u32 = 256;

/// What one virtual CPU owes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Debt {
    on: bool,
    samples: u32,
    /// Of those samples together.
    extra_ns: u64,
    /// Refills up to when it was charged last.
    refills: u64,
    owed_ns: u64,
    /// What is left of the portion that is being paid. Part of what is owed.
    portion_ns: u64,
    paid_ns: u64,
    forgiven_ns: u64,
}

impl Debt {
    /// Nothing owed; nothing ever will be, unless latencies are `on`.
    pub const fn new(on: bool) -> Self {
        Self {
            on,
            samples: 0,
            extra_ns: 0,
            refills: 0,
            owed_ns: 0,
            portion_ns: 0,
            paid_ns: 0,
            forgiven_ns: 0,
        }
    }

    /// Whether anything can ever be owed.
    pub const fn is_on(&self) -> bool {
        self.on
    }

    /// A sampled miss took `extra_ns` longer than a local one would have.
    pub fn sample(&mut self, extra_ns: u32) {
        if self.samples >= SAMPLES {
            self.samples /= 2;
            self.extra_ns /= 2;
        }
        self.samples += 1;
        self.extra_ns += u64::from(extra_ns);
    }

    /// Charges for refills since the last time, of which there have been `refills` so far. Without a sample they
    /// cost nothing.
    pub fn charge(&mut self, refills: u64) {
        let since = refills.wrapping_sub(self.refills);
        self.refills = refills;
        if !self.on || self.samples == 0 {
            return;
        }
        let extra_ns = since.saturating_mul(self.extra_ns) / u64::from(self.samples);
        let owed = self.owed_ns.saturating_add(extra_ns);
        self.owed_ns = owed.min(OWED_MAX_NS);
        self.forgiven_ns = self.forgiven_ns.saturating_add(owed - self.owed_ns);
    }

    /// Begins a portion, unless one is being paid.
    pub fn begin_portion(&mut self) {
        if self.portion_ns == 0 {
            self.portion_ns = self.owed_ns.min(PORTION_NS);
        }
    }

    /// What is to be waited for before the guest goes on, in nanoseconds: at most [`PORTION_NS`].
    pub const fn portion_ns(&self) -> u64 {
        self.portion_ns
    }

    /// So much time was waited for, which may be more than was wanted.
    pub fn pay(&mut self, waited_ns: u64) {
        self.portion_ns = self.portion_ns.saturating_sub(waited_ns);
        self.owed_ns = self.owed_ns.saturating_sub(waited_ns);
        self.paid_ns = self.paid_ns.saturating_add(waited_ns);
    }

    /// What is owed, in nanoseconds.
    pub const fn owed_ns(&self) -> u64 {
        self.owed_ns
    }

    /// What was waited for so far, in nanoseconds.
    pub const fn paid_ns(&self) -> u64 {
        self.paid_ns
    }

    /// What was forgiven so far, in nanoseconds.
    pub const fn forgiven_ns(&self) -> u64 {
        self.forgiven_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn half_the_refills_remote_cost_half_the_difference() {
        let mut debt = Debt::new(true);
        for _ in 0..100 {
            debt.sample(600);
            debt.sample(0);
        }
        debt.charge(1000);
        assert_eq!((debt.owed_ns(), debt.portion_ns()), (300_000, 0));
        let mut portions = Vec::new();
        loop {
            debt.begin_portion();
            if debt.portion_ns() == 0 {
                break;
            }
            portions.push(debt.portion_ns());
            // Something else comes first, and then no other portion begins.
            debt.pay(1000);
            debt.begin_portion();
            debt.pay(debt.portion_ns());
        }
        assert_eq!(portions, [PORTION_NS; 6]);
        assert_eq!((debt.owed_ns(), debt.paid_ns()), (0, 300_000));
        // Each refill is charged once.
        debt.charge(1000);
        assert_eq!(debt.owed_ns(), 0);
        debt.charge(1010);
        assert_eq!(debt.owed_ns(), 3000);
    }

    #[test]
    fn who_waits_for_too_long_owes_less() {
        let mut debt = Debt::new(true);
        debt.sample(600);
        debt.charge(1000);
        debt.begin_portion();
        debt.pay(550_000);
        assert_eq!((debt.portion_ns(), debt.owed_ns()), (0, 50_000));
    }

    #[test]
    fn nothing_is_owed_without_a_sample_or_where_latencies_are_off() {
        let mut unknown = Debt::new(true);
        unknown.charge(1000);
        unknown.sample(600);
        unknown.charge(1000);
        assert_eq!(unknown.owed_ns(), 0);
        let mut off = Debt::new(false);
        off.sample(600);
        off.charge(u64::MAX);
        off.begin_portion();
        assert_eq!((off.portion_ns(), off.forgiven_ns()), (0, 0));
    }

    #[test]
    fn what_is_local_again_soon_costs_nothing() {
        let mut debt = Debt::new(true);
        (0..5000).for_each(|_| debt.sample(600));
        (0..20 * 1024).for_each(|_| debt.sample(0));
        debt.charge(1000);
        assert_eq!(debt.owed_ns(), 0);
    }

    proptest! {
        #[test]
        fn what_was_charged_is_paid_owed_or_forgiven(
            steps in prop::collection::vec((any::<u32>(), any::<u64>(), 0u8..8, 0u64..60_000), 1..80),
        ) {
            let mut debt = Debt::new(true);
            let (mut paid, mut all) = (0u64, 0u64);
            for (extra, refills, portions, at_once) in steps {
                debt.sample(extra);
                let before = u128::from(debt.owed_ns()) + u128::from(debt.forgiven_ns());
                all = all.wrapping_add(refills);
                debt.charge(all);
                let mean = u128::from(debt.extra_ns) * u128::from(refills) / u128::from(debt.samples);
                let after = u128::from(debt.owed_ns()) + u128::from(debt.forgiven_ns());
                prop_assert!(after - before <= mean);
                if mean < 1 << 40 && before < 1 << 60 {
                    prop_assert_eq!(after - before, mean);
                }
                for _ in 0..portions {
                    debt.begin_portion();
                    prop_assert!(debt.portion_ns() <= PORTION_NS.min(debt.owed_ns()));
                    let waited = debt.portion_ns().min(at_once);
                    debt.pay(waited);
                    paid += waited;
                }
                prop_assert!(debt.owed_ns() <= OWED_MAX_NS && debt.portion_ns() <= debt.owed_ns());
                prop_assert_eq!(debt.paid_ns(), paid);
            }
        }
    }
}
