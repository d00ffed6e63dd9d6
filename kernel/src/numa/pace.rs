//! How far apart a CPU's samples are.
//!
//! Samples are to be some number of refills apart: few where much is far away that can be moved, many where all is near or what
//! is hot stays where it is. A CPU cannot count refills without an instruction for each, so it waits for ticks, and takes
//! more or fewer of them the next time.

use super::Settings;
use crate::schedule::VcpuId;

/// Refills between two samples, as far as the limits of time let it come to so many: while much is far away that can be
/// moved, and while all is near or what is hot stays where it is.
const REFILLS_LEAST: u64 = 8;
/// See [`REFILLS_LEAST`].
const REFILLS_MOST: u64 = 4096;
/// The same without the policy, where a sample is due each millisecond at least. So many that most find the TLB emptied: a page
/// in use by all stays in the TLB and is missed on in the caches.
const REFILLS_UNUSED: u64 = 512;
/// With fewer than one in so many of that the guest uses what is in the TLB.
const FEW: u64 = 8;
/// Samples in a second: at most, and at least.
const MOST_HZ: u64 = 8000;
/// See [`MOST_HZ`]: with latency, which is charged by samples, and without.
const LEAST_HZ: [u64; 2] = [1000, 250];
/// The same for each refill that is aimed at between two, for a guest with few refills.
const LEAST_HZ_REFILLS: u64 = 256_000;

/// The pace of a CPU.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pace {
    /// Refills from one to the next that are aimed at.
    refills: u64,
    /// From one to the next, in ticks, on the average: see [`Pace::wait`].
    period: u64,
    /// Of a row of numbers that look random.
    dither: u32,
    /// Ticks in a second.
    hz: u64,
    /// See [`LEAST_HZ`].
    least_hz: u64,
    /// See [`LEAST_HZ_REFILLS`].
    least_hz_refills: u64,
    /// Whose refills were counted last, and how many it had.
    counted: Option<(VcpuId, u64)>,
}

impl Pace {
    /// Of a CPU whose clock has `hz` ticks in a second.
    pub fn new(settings: &Settings, hz: u64) -> Self {
        let (refills, least_hz_refills) = if settings.policy {
            (REFILLS_LEAST, LEAST_HZ_REFILLS)
        } else {
            (REFILLS_UNUSED, REFILLS_UNUSED * LEAST_HZ[0])
        };
        Self {
            refills,
            period: hz / MOST_HZ,
            dither: 0,
            hz,
            least_hz: LEAST_HZ[usize::from(!settings.latency)],
            least_hz_refills,
            counted: None,
        }
    }

    /// A sample is taken, when `vcpu` has had so many refills in all: ticks to the next one, and whether there were few
    /// refills since the last.
    pub fn next(&mut self, vcpu: VcpuId, refills: u64) -> (u64, bool) {
        let shortest = self.hz / MOST_HZ;
        let longest = self.hz * self.refills / self.least_hz_refills;
        let longest = longest.clamp(shortest, self.hz / self.least_hz);
        let before = self.counted.replace((vcpu, refills));
        let had = match before {
            Some((before, counted)) if before == vcpu => refills.saturating_sub(counted),
            _ => self.refills,
        };
        if had > 2 * self.refills {
            self.period = (self.period / 2).max(shortest);
        } else if had < self.refills / 2 {
            self.period *= 2;
        }
        self.period = self.period.min(longest);
        (self.wait(), had < self.refills / FEW)
    }

    /// Half a period to one and a half. A guest that does the same again and again would else be seen at the same place each
    /// time.
    fn wait(&mut self) -> u64 {
        // Knuth, The Art of Computer Programming, volume 2, 3.3.4, table 1, line 26.
        self.dither = self
            .dither
            .wrapping_mul(1_664_525)
            .wrapping_add(1_013_904_223);
        self.period / 2 + ((self.period * u64::from(self.dither >> 16)) >> 16)
    }

    /// A sample was taken, of a page that is far and may be moved (`is_useful`) or of another one: samples are taken where they
    /// are of use.
    pub fn learn(&mut self, is_useful: bool) {
        let refills = if is_useful {
            self.refills / 4 * 3
        } else {
            self.refills + (self.refills / 64).max(1)
        };
        self.refills = refills.clamp(REFILLS_LEAST, REFILLS_MOST);
    }

    /// Of pages that samples made hot, some were moved or none.
    pub fn learn_of_moves(&mut self, looked: usize, moved: usize) {
        let refills = match (looked, moved) {
            (0, _) => return,
            (_, 0) => self.refills * 8,
            _ => self.refills / 2,
        };
        self.refills = refills.clamp(REFILLS_LEAST, REFILLS_MOST);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Counters, Thresholds};
    use super::*;

    const HZ: u64 = 160_000_000;
    const VCPU: VcpuId = VcpuId(3);

    fn pace(policy: bool, latency: bool) -> Pace {
        let settings = Settings {
            counters: Counters::Sampled,
            latency,
            policy,
            thresholds: Thresholds::SAMPLED,
            interval_ticks: HZ,
        };
        Pace::new(&settings, HZ)
    }

    /// The mean of many waits of a guest that has so many refills in a second, in microseconds; and whether it has few at
    /// the end.
    fn settled(pace: &mut Pace, refills_per_second: u64) -> (u64, bool) {
        let (mut now, mut begin, mut few) = (0, 0, false);
        for sample in 0..200 {
            if sample == 100 {
                begin = now;
            }
            let (wait, has_few) = pace.next(VCPU, now * refills_per_second / HZ);
            now += wait;
            few = has_few;
        }
        ((now - begin) * 1_000_000 / HZ / 100, few)
    }

    #[test]
    fn far_pages_are_sampled_closely_and_others_seldom() {
        let mut pace = pace(true, true);
        let (close, few) = settled(&mut pace, 1_000_000);
        assert!((100..150).contains(&close) && !few, "{close} us");
        for _ in 0..1000 {
            pace.learn(false);
        }
        let (seldom, few) = settled(&mut pace, 1_000_000);
        assert!((900..1100).contains(&seldom) && !few, "{seldom} us");
        for _ in 0..30 {
            pace.learn(true);
        }
        assert!(settled(&mut pace, 1_000_000).0 < 150);
    }

    #[test]
    fn without_latency_a_guest_that_is_well_placed_is_left_alone_longer() {
        let mut pace = pace(true, false);
        for _ in 0..1000 {
            pace.learn(false);
        }
        let (wait, few) = settled(&mut pace, 1000);
        assert!((3600..4400).contains(&wait) && few, "{wait} us");
    }

    #[test]
    fn a_guest_with_few_refills_is_told_and_one_with_many_is_not_sampled_more_than_8000_times_a_second(
    ) {
        let mut pace = pace(false, true);
        let (wait, few) = settled(&mut pace, 10_000);
        assert!((900..1100).contains(&wait) && few, "{wait} us");
        let (wait, few) = settled(&mut pace, 10_000_000);
        assert!((115..135).contains(&wait) && !few, "{wait} us");
    }

    #[test]
    fn waits_differ_and_another_virtual_cpu_tells_nothing() {
        let mut pace = pace(true, true);
        let waits = [0; 3].map(|_| pace.next(VCPU, 0).0);
        assert!(waits[0] != waits[1] && waits[1] != waits[2], "{waits:?}");
        let before = pace.period;
        assert!(!pace.next(VcpuId(4), 1 << 40).1);
        assert_eq!(pace.period, before);
    }

    #[test]
    fn moves_bring_samples_closer_and_pages_that_stay_drive_them_apart() {
        let mut pace = pace(true, true);
        pace.learn_of_moves(0, 0);
        assert_eq!(pace.refills, REFILLS_LEAST);
        pace.learn_of_moves(5, 0);
        assert_eq!(pace.refills, 8 * REFILLS_LEAST);
        pace.learn_of_moves(5, 1);
        assert_eq!(pace.refills, 4 * REFILLS_LEAST);
        (0..9).for_each(|_| pace.learn_of_moves(1, 0));
        assert_eq!(pace.refills, REFILLS_MOST);
        (0..20).for_each(|_| pace.learn_of_moves(1, 1));
        assert_eq!(pace.refills, REFILLS_LEAST);
    }
}
