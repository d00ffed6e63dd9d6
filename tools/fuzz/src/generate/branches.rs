//! Branches of every kind, forward, with something in their delay or forbidden slots.

use super::{Builder, Generator};
use crate::isa::*;
use crate::program::{Unit, Value, CODE_BASES};

/// Reserved in slots.
const RETURNS: &[u32] = &[ERET.word, ERETNC.word, WAIT.word];

impl Generator {
    /// A branch and its slot.
    pub(super) fn branch(&mut self) -> Unit {
        let ahead = self.random.below(3) as u8;
        match self.random.below(10) {
            0..=4 => self.delayed(ahead),
            5..=7 => self.compact(ahead),
            _ => self.register_jump(ahead),
        }
    }

    /// A branch with a delay slot.
    fn delayed(&mut self, ahead: u8) -> Unit {
        let mut unit = Builder::new("branch with a delay slot");
        // Never `$0`, nor one register twice in BNE: QEMU drops a branch that is never taken, and what
        // stands behind it is in no slot.
        let [s, t] = self.registers();
        let kind = self.random.below(10);
        let (word, bits) = match kind {
            0 => (BEQ.with(rs(s) | rt(t)), 16),
            1 => (BEQ.with(rs(s) | rt(s)), 16),
            2 => (BNE.with(rs(s) | rt(t)), 16),
            3 => (BLEZ.with(rs(s)), 16),
            4 => (BGTZ.with(rs(s)), 16),
            5 => (BLTZ.with(rs(s)), 16),
            6 => (BGEZ.with(rs(s)), 16),
            7 => (BAL.word, 16),
            8 => (NAL.word, 16),
            _ => {
                let op = self.random.pick(&[BC1EQZ, BC1NEZ]);
                (op.with(rt(self.random.below(32) as u8)), 16)
            }
        };
        unit.branch(word, bits, ahead);
        unit.word(match self.slot() {
            // For the same reason none behind NAL, where it would return.
            word if kind == 8 && RETURNS.contains(&word) => NOP,
            word => word,
        });
        self.behind(&mut unit);
        unit.unit()
    }

    /// A compact branch: what stands behind it is in a forbidden slot if it is not taken.
    fn compact(&mut self, ahead: u8) -> Unit {
        let mut unit = Builder::new("compact branch");
        let [low, high] = {
            let [one, other] = self.registers();
            [u8::min(one, other), u8::max(one, other)]
        };
        let both = rs(low) | rt(high);
        let same = rs(high) | rt(high);
        let (word, bits) = match self.random.below(18) {
            0 => (POP10.with(both), 16),               // beqc
            1 => (POP30.with(both), 16),               // bnec
            2 => (POP10.with(rs(high) | rt(low)), 16), // bovc
            3 => (POP30.with(rs(high) | rt(low)), 16), // bnvc
            4 => (POP10.with(rt(high)), 16),           // beqzalc
            5 => (POP30.with(rt(high)), 16),           // bnezalc
            6 => (POP06.with(rt(high)), 16),           // blezalc
            7 => (POP06.with(same), 16),               // bgezalc
            8 => (POP06.with(both), 16),               // bgeuc
            9 => (POP07.with(rt(high)), 16),           // bgtzalc
            10 => (POP07.with(same), 16),              // bltzalc
            11 => (POP07.with(both), 16),              // bltuc
            12 => (POP26.with(self.random.pick(&[rt(high), same, both])), 16),
            13 => (POP27.with(self.random.pick(&[rt(high), same, both])), 16),
            14 => (BEQZC.with(rs(high)), 21),
            15 => (BNEZC.with(rs(high)), 21),
            16 => (BC.word, 26),
            _ => (BALC.word, 26),
        };
        unit.branch(word, bits, ahead);
        unit.word(self.slot());
        self.behind(&mut unit);
        unit.unit()
    }

    /// A jump through a register, perhaps into another address space of the code.
    fn register_jump(&mut self, ahead: u8) -> Unit {
        let mut unit = Builder::new("jump through a register");
        let target = self.register();
        let base = if self.random.one_in(3) {
            self.random.pick(&CODE_BASES)
        } else {
            CODE_BASES[0]
        };
        unit.load(target, Value::Unit { base, ahead });
        match self.random.below(4) {
            0 => {
                unit.word(JIC.with(rt(target)));
            }
            1 => {
                unit.word(JIALC.with(rt(target)));
            }
            2 => {
                let link = self.other_than(target);
                unit.word(JALR.with(rs(target) | rd(link)));
                unit.word(self.slot());
            }
            _ => {
                unit.word(JR.with(rs(target)));
                unit.word(self.slot());
            }
        }
        unit.unit()
    }

    /// What is skipped or not.
    fn behind(&mut self, unit: &mut Builder) {
        for _ in 0..self.random.below(3) {
            unit.word(self.arithmetic_word());
        }
    }

    /// An instruction for a slot.
    fn slot(&mut self) -> u32 {
        match self.random.below(20) {
            0..=4 => self.arithmetic_word(),
            5..=7 => self.memory_word(),
            8..=10 => self.fault_word(),
            11..=12 => self.read_cp0_word(),
            13..=14 => self.write_cp0_word(),
            15 => self.random.pick(&[TLBP.word, TLBINV.word]),
            16 => self.float_word(),
            17 => self.hardware_register_word(),
            18 => self.random.pick(RETURNS),
            _ => self
                .random
                .pick(&[BEQ.word | 1, BC.word | 1, JR.with(rs(31)), NAL.word]),
        }
    }
}
