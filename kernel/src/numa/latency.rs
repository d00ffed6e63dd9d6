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
/// Most that may be owed, in nanoseconds: what comes on top is forgiven, so that a virtual CPU that missed
/// much is slow no longer than this after it has stopped to.
pub const OWED_MAX_NS: u64 = 100_000_000;
/// Samples over which the mean goes: from there on the older ones count half as much.
const SAMPLES: u32 = 1024;

/// What one virtual CPU owes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Debt {
    on: bool,
    samples: u32,
    /// Of those samples together.
    extra_ns: u64,
    owed_ns: u64,
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
            owed_ns: 0,
            paid_ns: 0,
            forgiven_ns: 0,
        }
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

    /// Charges for refills since the last time. Without a sample so far they cost nothing.
    pub fn charge(&mut self, refills: u64) {
        if !self.on || self.samples == 0 {
            return;
        }
        let extra_ns = refills.saturating_mul(self.extra_ns) / u64::from(self.samples);
        let owed = self.owed_ns.saturating_add(extra_ns);
        self.owed_ns = owed.min(OWED_MAX_NS);
        self.forgiven_ns = self.forgiven_ns.saturating_add(owed - self.owed_ns);
    }

    /// Takes what is to be paid now, in nanoseconds: at most [`PORTION_NS`].
    pub fn portion(&mut self) -> u64 {
        let portion = self.owed_ns.min(PORTION_NS);
        self.owed_ns -= portion;
        self.paid_ns = self.paid_ns.saturating_add(portion);
        portion
    }

    /// What is owed, in nanoseconds.
    pub const fn owed_ns(&self) -> u64 {
        self.owed_ns
    }

    /// What was paid so far, in nanoseconds.
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
        assert_eq!(debt.owed_ns(), 300_000);
        let portions: Vec<u64> = core::iter::from_fn(|| Some(debt.portion()))
            .take_while(|&portion| portion > 0)
            .collect();
        assert_eq!(portions, [PORTION_NS; 6]);
        assert_eq!((debt.owed_ns(), debt.paid_ns()), (0, 300_000));
    }

    #[test]
    fn nothing_is_owed_without_a_sample_or_where_latencies_are_off() {
        let mut unknown = Debt::new(true);
        unknown.charge(1000);
        assert_eq!(unknown.portion(), 0);
        let mut off = Debt::new(false);
        off.sample(600);
        off.charge(u64::MAX);
        assert_eq!((off.portion(), off.forgiven_ns()), (0, 0));
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
            steps in prop::collection::vec((any::<u32>(), any::<u64>(), 0u8..8), 1..80),
        ) {
            let mut debt = Debt::new(true);
            let mut paid = 0u64;
            for (extra, refills, portions) in steps {
                debt.sample(extra);
                let before = u128::from(debt.owed_ns()) + u128::from(debt.forgiven_ns());
                debt.charge(refills);
                let mean = u128::from(debt.extra_ns) * u128::from(refills) / u128::from(debt.samples);
                let after = u128::from(debt.owed_ns()) + u128::from(debt.forgiven_ns());
                prop_assert!(after - before <= mean);
                if mean < 1 << 40 && before < 1 << 60 {
                    prop_assert_eq!(after - before, mean);
                }
                for _ in 0..portions {
                    let portion = debt.portion();
                    prop_assert!(portion <= PORTION_NS);
                    paid += portion;
                }
                prop_assert!(debt.owed_ns() <= OWED_MAX_NS);
                prop_assert_eq!(debt.paid_ns(), paid);
            }
        }
    }
}
