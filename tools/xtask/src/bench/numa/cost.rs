//! What a move costs.

use super::figures::{Figures, Times};
use serde::Serialize;
use std::fmt;

/// Bytes of a page, and of what a load or store copies.
const PAGE: u64 = 16 << 10;
const WORD: u64 = 8;
/// What a move may cost: so much of a copy, and so many instructions for each CPU that is interrupted.
const COPIES: f64 = 1.5;
const INSTRUCTIONS: u64 = 2000;

/// The machine, as the exact model has it.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    /// Nanoseconds of an instruction.
    pub instruction_ns: u64,
    /// Bytes of a line.
    pub line_bytes: u64,
    /// Nanoseconds of a miss on the own node's memory, and on another's.
    pub miss_ns: [u64; 2],
}

impl Machine {
    /// The paper's.
    pub const FLASH: Self = Self {
        instruction_ns: 5,
        line_bytes: 128,
        miss_ns: [300, 900],
    };

    /// Copying a page from another node: its lines are missed there and here, and each word is loaded and stored.
    const fn copy_ns(&self) -> u64 {
        let [local, remote] = self.miss_ns;
        PAGE / self.line_bytes * (local + remote) + 2 * PAGE / WORD * self.instruction_ns
    }
}

/// What a page's copy costs, of those that the policy has made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Cost {
    /// Nanoseconds that CPUs spend on it, with allocation, pmap, shootdown, copy, and interrupted CPUs that forget where
    /// the page was.
    pub ns: u64,
    /// Nanoseconds that it may be, with the CPUs that were interrupted.
    pub most_ns: u64,
    /// What the monitor took longer than without policy: also misses counted and pages looked at, whether they were moved then or not,
    /// and what all that drove out of the caches.
    pub with_policy_ns: u64,
}

impl Cost {
    /// Of the run `with` policy; `None` if it has moved too little to tell.
    pub fn of(with: &Figures, without: &Figures, machine: &Machine) -> Option<Self> {
        let copies = with.moves.migrations + with.moves.replications;
        let time = |times: &Times| times.instructions_ns + times.stall_ns;
        let interrupts = with.moves.shootdowns * INSTRUCTIONS * machine.instruction_ns;
        let most_ns = machine.copy_ns() as f64 * COPIES + interrupts as f64 / copies as f64;
        let longer = time(&with.monitor).saturating_sub(time(&without.monitor));
        (copies >= 100).then(|| Self {
            ns: time(&with.moving) / copies,
            most_ns: most_ns as u64,
            with_policy_ns: longer / copies,
        })
    }

    /// Whether it is no more than it may be.
    pub const fn is_met(&self) -> bool {
        self.ns <= self.most_ns
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let micros = |ns: u64| ns as f64 / 1e3;
        write!(
            f,
            "a move takes {:.0} µs, goal {:.0} µs: {}; the policy, all told, {:.0} µs for each",
            micros(self.ns),
            micros(self.most_ns),
            if self.is_met() { "met" } else { "missed" },
            micros(self.with_policy_ns)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::numa::figures::Moves;

    #[test]
    fn a_move_costs_what_the_monitor_marks_and_the_policy_what_it_takes_longer() {
        let row = |stall_ns, moving_ns, migrations| Figures {
            monitor: Times {
                instructions_ns: 0,
                stall_ns,
            },
            moving: Times {
                instructions_ns: 1000,
                stall_ns: moving_ns,
            },
            moves: Moves {
                migrations,
                shootdowns: 3 * migrations,
                ..Moves::default()
            },
            ..Figures::default()
        };
        let machine = Machine::FLASH;
        assert_eq!(machine.copy_ns(), 128 * 1200 + 4096 * 5);
        let without = row(10_000_000, 0, 0);
        let cost = Cost::of(&row(50_000_000, 29_999_000, 200), &without, &machine).unwrap();
        assert_eq!((cost.ns, cost.most_ns), (150_000, 291_120));
        assert_eq!(cost.with_policy_ns, 200_000);
        assert!(cost.is_met());
        assert_eq!(Cost::of(&row(50, 0, 99), &without, &machine), None);
    }
}
