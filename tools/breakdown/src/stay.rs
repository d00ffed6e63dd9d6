//! Stays in the monitor, added up by what they passed.

use disco_magic::point;
use std::collections::BTreeMap;

/// What tells a kind of stay from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Kind {
    /// The points that were passed, a bit each.
    pub points: u64,
    /// The instruction that trapped, where it matters; else 0.
    pub instruction: u32,
    /// The number of the monitor call, of a stay that is one; else 0.
    pub call: u64,
}

impl Kind {
    /// Of a stay that passed `points`, after `instruction` and with `value` in the guest's `$v0`.
    pub fn of(points: u64, instruction: u32, value: u64) -> Self {
        let passed = |point: u64| points & 1 << point != 0;
        // A miss is a miss, whatever instruction had it.
        let is_trap = passed(point::PRIVILEGED)
            || passed(point::REFLECT) && passed(point::GENERAL) && !passed(point::TLB_FAULT);
        Self {
            points,
            instruction: if is_trap { instruction } else { 0 },
            call: if passed(point::CALL) { value } else { 0 },
        }
    }
}

/// How many stays there were of a kind, and what they took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Sum {
    /// Stays.
    pub entries: u64,
    /// Their instructions, without those while there was nothing to run.
    pub instructions: u64,
}

/// Stays of a span of time, by kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stays(pub BTreeMap<Kind, Sum>);

impl Stays {
    /// Adds one.
    pub fn add(&mut self, kind: Kind, instructions: u64) {
        let sum = self.0.entry(kind).or_default();
        sum.entries += 1;
        sum.instructions += instructions;
    }

    /// Adds what has come to `now` since `before`.
    pub fn add_difference(&mut self, now: &Self, before: &Self) {
        for (kind, sum) in &now.0 {
            let was = before.0.get(kind).copied().unwrap_or_default();
            if sum.entries > was.entries {
                let place = self.0.entry(*kind).or_default();
                place.entries += sum.entries - was.entries;
                place.instructions += sum.instructions - was.instructions;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn bit(point: u64) -> u64 {
        1 << point
    }

    #[test]
    fn an_instruction_tells_privileged_traps_and_exceptions_apart_and_no_misses() {
        let kind = Kind::of(bit(point::GENERAL) | bit(point::PRIVILEGED), 7, 9);
        assert_eq!((kind.instruction, kind.call), (7, 0));
        let kind = Kind::of(bit(point::PRIVILEGED) | bit(point::CALL), 7, 9);
        assert_eq!((kind.instruction, kind.call), (7, 9));
        let reflected = bit(point::GENERAL) | bit(point::REFLECT);
        assert_eq!(Kind::of(reflected, 7, 9).instruction, 7);
        let miss = reflected | bit(point::TLB_FAULT);
        assert_eq!(Kind::of(miss, 7, 9).instruction, 0);
        let refill = bit(point::REFILL) | bit(point::REFLECT);
        assert_eq!(Kind::of(refill, 7, 9).instruction, 0);
    }

    #[test]
    fn a_difference_is_what_came_between() {
        let [walk, call] = [point::WALK, point::CALL].map(|point| Kind::of(bit(point), 0, 3));
        let mut now = Stays::default();
        now.add(walk, 100);
        let before = now.clone();
        now.add(walk, 50);
        now.add(call, 7);
        let mut sum = Stays::default();
        sum.add_difference(&now, &before);
        let one = |instructions| Sum {
            entries: 1,
            instructions,
        };
        assert_eq!(sum.0, [(walk, one(50)), (call, one(7))].into());
    }
}
