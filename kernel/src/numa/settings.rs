//! What the machine's description wants of memory that is not uniform.

use super::{Interval, Thresholds};
use disco_flash::{Numa, NONE};
use zerocopy::byteorder::big_endian::U32;

/// Where counts of misses come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Counters {
    /// From nowhere: a machine of one node, where nothing can move.
    Off,
    /// Some refills of each CPU.
    Sampled,
    /// The region that the exact model writes.
    Magic,
}

/// Constant after boot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Where counts come from.
    pub counters: Counters,
    /// Whether virtual CPUs wait for what their remote misses would have cost. Only with samples: the exact model's
    /// time has that already.
    pub latency: bool,
    /// Whether pages are moved for what was counted.
    pub policy: bool,
    /// When.
    pub thresholds: Thresholds,
    /// A reset interval, in ticks of Count.
    pub interval_ticks: u64,
}

impl Settings {
    /// Of a machine of `nodes` nodes, as `described`, whose Count has `hz` ticks a second.
    pub fn new(described: &Numa, nodes: usize, hz: u64) -> Self {
        let counters = match (nodes, described.magic_counters.get()) {
            (0 | 1, _) => Counters::Off,
            (_, 0) => Counters::Sampled,
            _ => Counters::Magic,
        };
        let defaults = match counters {
            Counters::Sampled => Thresholds::SAMPLED,
            Counters::Magic => Thresholds::EXACT,
            Counters::Off => Thresholds::DEFAULT,
        };
        let thresholds = thresholds(&described.thresholds, &defaults);
        let milliseconds = u64::from(thresholds.interval_ms);
        Self {
            counters,
            latency: counters == Counters::Sampled && described.latency.get() != 0,
            policy: counters != Counters::Off && described.policy.get() != 0,
            thresholds,
            interval_ticks: (hz.saturating_mul(milliseconds) / 1000).max(1),
        }
    }

    /// The interval of tick `now`.
    pub fn interval(&self, now: u64) -> Interval {
        Interval((now / self.interval_ticks.max(1)) as u16)
    }

    /// What a sample counts. A page is hot after four of one node: with fewer, a page of several nodes would often seem
    /// to be of the one that was sampled first.
    pub fn weight(&self) -> u16 {
        (self.thresholds.trigger / 4).max(1)
    }
}

/// What the description says, and `defaults` where it says nothing.
fn thresholds(described: &disco_flash::Thresholds, defaults: &Thresholds) -> Thresholds {
    let wide = |word: U32, default: u32| match word.get() {
        NONE => default,
        value => value,
    };
    let narrow = |word: U32, default: u16| {
        let value = wide(word, default.into());
        u16::try_from(value).unwrap_or(u16::MAX)
    };
    Thresholds {
        interval_ms: narrow(described.interval_ms, defaults.interval_ms),
        trigger: narrow(described.trigger, defaults.trigger),
        sharing: narrow(described.sharing, defaults.sharing),
        write: narrow(described.write, defaults.write),
        again: defaults.again,
        moves: narrow(described.moves, defaults.moves),
        forgive: narrow(described.forgive, defaults.forgive),
        burst: wide(described.burst, defaults.burst),
        rate: wide(described.rate, defaults.rate),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described() -> Numa {
        Numa {
            local_ns: 300.into(),
            remote_ns: 900.into(),
            distances: [[1; disco_flash::CPUS_MAX]; disco_flash::CPUS_MAX],
            events_ms: 0.into(),
            magic_counters: 0.into(),
            latency: 0.into(),
            policy: 1.into(),
            thresholds: disco_flash::Thresholds::NONE,
        }
    }

    #[test]
    fn a_machine_of_one_node_counts_nothing() {
        let one = Settings::new(&described(), 1, 1000);
        assert_eq!((one.counters, one.policy), (Counters::Off, false));
        let two = Settings::new(&described(), 2, 100_000_000);
        assert_eq!((two.counters, two.policy), (Counters::Sampled, true));
        assert_eq!(two.interval_ticks, 100_000_000);
        assert_eq!(two.interval(0), Interval(0));
        assert_eq!(two.interval(250_000_000), Interval(2));
        assert_eq!(two.interval(65_536 * 100_000_000), Interval(0));
        assert!(two.weight() * 4 >= two.thresholds.trigger);
        let slow = Numa {
            latency: 1.into(),
            ..described()
        };
        let latencies = [1, 2].map(|nodes| Settings::new(&slow, nodes, 1000).latency);
        assert_eq!((latencies, two.latency), ([false, true], false));
        let magic = Numa {
            magic_counters: 1.into(),
            ..slow
        };
        assert!(!Settings::new(&magic, 2, 1000).latency);
    }

    #[test]
    fn the_description_decides() {
        let mut numa = described();
        (numa.magic_counters, numa.policy) = (1.into(), 0.into());
        let settings = Settings::new(&numa, 4, 0);
        assert_eq!(
            (settings.counters, settings.policy),
            (Counters::Magic, false)
        );
        assert_eq!(settings.thresholds, Thresholds::EXACT);
        assert_eq!(settings.interval(7), Interval(7));
        numa.thresholds.trigger = 0.into();
        numa.thresholds.interval_ms = 70_000.into();
        numa.thresholds.rate = 70_000.into();
        let settings = Settings::new(&numa, 4, 1000);
        assert_eq!(settings.weight(), 1);
        assert_eq!(settings.thresholds.interval_ms, u16::MAX);
        assert_eq!(settings.thresholds.rate, 70_000);
        assert_eq!(settings.thresholds.burst, Thresholds::DEFAULT.burst);
    }
}
