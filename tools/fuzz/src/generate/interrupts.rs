//! Modes, levels, interrupts.

use super::{
    Builder, Generator, CAUSE_DC, CAUSE_IV, STATUS_64, STATUS_ERL, STATUS_EXL, STATUS_IE,
    STATUS_USER,
};
use crate::isa::*;
use crate::outcome::WAITING;
use crate::program::{Unit, Value, CODE_BASES};

/// Turns of a waiting loop before it gives up.
const PATIENCE: u64 = 1 << 28;
/// The same for one whose turns trap.
const PATIENCE_TRAPPING: u64 = 1 << 24;

const STATUS: (u8, u8) = (12, 0);
const CAUSE: (u8, u8) = (13, 0);
const COUNT: (u8, u8) = (9, 0);
const COMPARE: (u8, u8) = (11, 0);

impl Builder {
    fn move_to(&mut self, register: u8, (number, select): (u8, u8)) -> &mut Self {
        self.word(DMTC0.cp0(register, number, select))
    }

    fn set(&mut self, register: u8, target: (u8, u8), value: u64) -> &mut Self {
        self.constant(register, value).move_to(register, target)
    }
}

impl Generator {
    /// Status with other bits: interrupts, FPU, and bits that have rules of their own.
    pub(super) fn status_change(&mut self) -> Unit {
        let mut unit = Builder::new("Status");
        let [register, old] = self.registers();
        match self.random.below(5) {
            0 => {
                unit.word(DI.with(rt(old)));
            }
            1 => {
                unit.word(EI.with(rt(old)));
            }
            _ => {
                // KSU = 3 is reserved; SR and NMI, bits 20 and 19, are only cleared.
                let rules = self
                    .random
                    .pick(&[0, 0, 0x18, 0x18_0000, 0x0080_0000, 0x0f00_0000]);
                let value = self.status() | rules;
                unit.set(register, STATUS, value);
            }
        }
        unit.word(MFC0.cp0(old, 12, 0));
        unit.unit()
    }

    /// Software interrupts: raised, held back, let through.
    pub(super) fn interrupt(&mut self) -> Unit {
        let mut unit = Builder::new("software interrupt");
        let register = self.register();
        let lines = 0x100 + 0x100 * self.random.below(3);
        let cause = CAUSE_DC | lines | self.random.bits() & CAUSE_IV;
        match self.random.below(5) {
            0 | 1 => {
                unit.set(register, CAUSE, cause);
            }
            2 => {
                // Let through first, so that it strikes at once.
                let status = self.status() | STATUS_IE | lines;
                unit.set(register, STATUS, status)
                    .set(register, CAUSE, cause);
            }
            3 => {
                // In a delay slot.
                unit.constant(register, cause);
                unit.branch(BEQ.word, 16, 0);
                unit.move_to(register, CAUSE);
            }
            _ => {
                // `wait` with one that waits, held back by IE.
                unit.word(DI.with(rt(0)));
                let status = STATUS_64 | lines;
                unit.set(register, STATUS, status)
                    .set(register, CAUSE, cause);
                unit.word(WAIT.word);
            }
        }
        unit.word(MFC0.cp0(register, 13, 0));
        unit.unit()
    }

    /// `eret` and `eretnc` to a unit ahead, from any level.
    pub(super) fn return_from_exception(&mut self) -> Unit {
        let mut unit = Builder::new("return from exception");
        let [register, address] = self.registers();
        let ahead = self.random.below(3) as u8;
        let base = self
            .random
            .pick(&[CODE_BASES[0], CODE_BASES[0], CODE_BASES[1], CODE_BASES[2]]);
        unit.load(address, Value::Unit { base, ahead });
        let mut status = self.status();
        match self.random.below(4) {
            0 => {
                unit.word(DMTC0.cp0(address, 14, 0));
            }
            1 => {
                status |= STATUS_ERL | self.random.pick(&[0, STATUS_EXL]);
                unit.word(DMTC0.cp0(address, 30, 0));
                unit.word(DMTC0.cp0(address, 14, 0));
                unit.set(register, STATUS, status);
            }
            _ => {
                status |= STATUS_EXL;
                unit.word(DMTC0.cp0(address, 14, 0));
                unit.set(register, STATUS, status);
            }
        }
        unit.word(self.random.pick(&[ERET, ERETNC]).word);
        unit.unit()
    }

    /// To user mode, by `eret` or by Status alone.
    pub(super) fn user_mode(&mut self) -> Unit {
        let mut unit = Builder::new("to user mode");
        let [register, address] = self.registers();
        let status = self.status() | STATUS_USER;
        if self.random.one_in(4) {
            unit.set(register, STATUS, status);
        } else {
            let base = CODE_BASES[0];
            unit.load(address, Value::Unit { base, ahead: 0 });
            unit.word(DMTC0.cp0(address, 14, 0));
            unit.set(register, STATUS, status | STATUS_EXL);
            unit.word(self.random.pick(&[ERET, ERETNC]).word);
        }
        unit.unit()
    }

    /// Exceptions at exception level: EPC and BD stay, refills go to the general vector. EPC is the
    /// next unit's, so that the program goes on behind that.
    pub(super) fn nested(&mut self) -> Unit {
        let mut unit = Builder::new("exception at exception level");
        let [register, address] = self.registers();
        let base = CODE_BASES[0];
        let user = self.random.pick(&[0, STATUS_USER]);
        let status = self.status() | STATUS_EXL | user;
        unit.load(address, Value::Unit { base, ahead: 0 });
        let value = self.windows.any_address(&mut self.random);
        unit.load(register, value);
        unit.word(DMTC0.cp0(address, 14, 0));
        unit.set(address, STATUS, status);
        match self.random.below(4) {
            0 => {
                unit.word(self.fault_word());
            }
            1 => {
                let op = self.random.pick(&[SD, SW]);
                unit.word(op.rri(self.source(), register, 0));
            }
            2 => {
                // In a delay slot.
                unit.branch(BEQ.word, 16, 0);
                unit.word(LD.rri(address, register, 8));
            }
            _ => {
                unit.word(LD.rri(address, register, 0));
            }
        }
        unit.word(MFC0.cp0(address, 13, 0));
        unit.unit()
    }

    /// Waits for the timer: in a loop that an interrupt ends, in one that looks at Cause, or with
    /// `wait`. Count runs only meanwhile.
    pub(super) fn timer(&mut self) -> Unit {
        let mut unit = Builder::new("timer");
        // Not nearer than what passes while the timer is set.
        let distance = 1000 + self.random.below(4000);
        let begin = self.random.bits() as u32;
        let end = begin.wrapping_add(distance as u32);
        let iv = self.random.bits() & CAUSE_IV;
        let kind = self.random.below(3);
        let enable = if kind == 0 { STATUS_IE } else { 0 };
        unit.set(8, STATUS, STATUS_64 | 0x8000 | enable);
        unit.set(8, COUNT, begin as i32 as i64 as u64);
        unit.set(8, COMPARE, end as i32 as i64 as u64);
        match kind {
            0 => {
                unit.constant(WAITING, PATIENCE).constant(8, iv);
                unit.move_to(8, CAUSE);
                let first = unit.next_item();
                unit.word(BNE.with(rs(WAITING) | imm(-1)));
                unit.word(DADDIU.rri(WAITING, WAITING, -1));
                let exit = unit.next_item();
                unit.waits(first, exit);
            }
            _ => {
                unit.constant(24, PATIENCE_TRAPPING).constant(8, iv);
                unit.move_to(8, CAUSE);
                // `wait` may end early: it stands in the same loop.
                unit.word(if kind == 1 { NOP } else { WAIT.word });
                unit.word(DADDIU.rri(24, 24, -1));
                unit.word(MFC0.cp0(25, 13, 0));
                unit.word(SLL.with(rd(25) | rt(25) | sa(1)));
                unit.word(BLTZ.with(rs(25) | imm(3)));
                unit.word(NOP);
                unit.word(BNE.with(rs(24) | imm(-7)));
                unit.word(NOP);
                unit.constant(24, 0).word(MFC0.cp0(9, 13, 0));
            }
        }
        // Count stands still again, first of all.
        unit.set(8, CAUSE, CAUSE_DC | iv);
        unit.constant(WAITING, 0).move_to(25, COUNT);
        unit.word(MFC0.cp0(10, 13, 0));
        unit.move_to(25, COMPARE);
        unit.word(MFC0.cp0(11, 13, 0));
        unit.unit()
    }
}
