//! What a move costs.

use super::figures::Figures;
use std::fmt;

/// Bytes of a page, and of what a load or store copies.
const PAGE: u64 = 16 << 10;
const WORD: u64 = 8;
/// What a move may cost: so much of a copy, and so many instructions of a CPU that is interrupted.
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

/// What the monitor took longer with policy than without, for each page that it copied: deciding, copying, interrupting
/// others and being interrupted, and what all that drove out of the caches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// Nanoseconds.
    pub ns: u64,
    /// Nanoseconds that it may be.
    pub most_ns: u64,
}

impl Cost {
    /// Of the run `with` policy; `None` if it has moved too little to tell.
    pub fn of(with: &Figures, without: &Figures, machine: &Machine) -> Option<Self> {
        let copies = with.moves.migrations + with.moves.replications;
        let time = |row: &Figures| row.monitor.instructions_ns + row.monitor.stall_ns;
        let most_ns =
            machine.copy_ns() as f64 * COPIES + (INSTRUCTIONS * machine.instruction_ns) as f64;
        (copies >= 100).then(|| Self {
            ns: time(with).saturating_sub(time(without)) / copies,
            most_ns: most_ns as u64,
        })
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let micros = |ns: u64| ns as f64 / 1e3;
        write!(
            f,
            "a move takes the monitor {:.0} µs all told, of {:.0} µs that it may",
            micros(self.ns),
            micros(self.most_ns)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::numa::figures::{Moves, Times};

    #[test]
    fn a_move_costs_what_the_monitor_takes_longer() {
        let row = |stall_ns, migrations| Figures {
            monitor: Times {
                instructions_ns: 0,
                stall_ns,
            },
            moves: Moves {
                migrations,
                ..Moves::default()
            },
            ..Figures::default()
        };
        let machine = Machine::FLASH;
        assert_eq!(machine.copy_ns(), 128 * 1200 + 4096 * 5);
        let cost = Cost::of(&row(50_000_000, 200), &row(10_000_000, 0), &machine).unwrap();
        assert_eq!((cost.ns, cost.most_ns), (200_000, 271_120));
        assert_eq!(Cost::of(&row(50, 99), &row(10, 0), &machine), None);
    }
}
