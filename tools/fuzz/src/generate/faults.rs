//! Instructions that raise exceptions by themselves, and jumps to where nothing is.

use super::{Builder, Generator};
use crate::isa::*;
use crate::program::{Unit, Value};

/// Words that are reserved on this CPU: removed by release 6, COP2, SPECIAL2.
const RESERVED: &[u32] = &[
    0x4802_0000,
    0x4a00_0001,
    0x4be0_0000,
    0x7000_0021,
    0x0000_0008,
    0x0000_0010,
    0x4200_001b,
    0x7c00_0038,
];

impl Generator {
    /// An instruction that raises an exception, or a trap that may.
    pub(super) fn fault(&mut self) -> Unit {
        let mut unit = Builder::new("exception");
        if self.random.one_in(4) {
            // Which way the comparison goes is seen by the next register.
            unit.word(self.arithmetic_word());
        }
        unit.word(self.fault_word());
        unit.unit()
    }

    /// One such instruction.
    pub(super) fn fault_word(&mut self) -> u32 {
        let code = self.random.bits() as u32 & 0x03ff_ffc0;
        let (s, t) = (self.source(), self.source());
        match self.random.below(12) {
            0..=1 => SYSCALL.with(code),
            2..=4 => BREAK.with(code),
            5..=6 => {
                let op = self.random.pick(&[TGE, TGEU, TLT, TLTU, TEQ, TNE]);
                op.with(rs(s) | rt(t) | code & 0xffc0)
            }
            7 => self
                .random
                .pick(&[ADD, SUB, DADD, DSUB])
                .rrr(self.register(), s, t),
            8 => self.random.pick(RESERVED),
            9 => SIGRIE.with(code >> 8),
            10 => {
                // A link at an address that is odd.
                let op = self.random.pick(&[LL, LLD]);
                op.with(rs(0) | rt(self.register()) | imm9(self.random.below(256) as i32 | 1))
            }
            _ => self.float_word(),
        }
    }

    /// A system call, which goes on in kernel mode.
    pub(super) fn system_call(&mut self) -> Unit {
        let mut unit = Builder::new("system call");
        unit.word(SYSCALL.with(self.random.bits() as u32));
        unit.unit()
    }

    /// A jump to where no code is.
    pub(super) fn wild_jump(&mut self) -> Unit {
        let mut unit = Builder::new("wild jump");
        let target = self.register();
        unit.mark();
        let value = match self.random.below(8) {
            0 | 1 => Value::Const(self.random.pick(&[
                0x1_0000_0000_0000,
                0x4001_0000_0000_0000,
                0x2000_0000_0000_0000,
            ])),
            2 => Value::Const(self.random.bits() & 0xffff_0000_0000 | 0x3000),
            _ => self.windows.any_address(&mut self.random),
        };
        unit.load(target, value);
        match self.random.below(3) {
            0 => unit.word(JIC.with(rt(target))),
            1 => {
                let link = self.other_than(target);
                unit.word(JALR.with(rs(target) | rd(link)));
                unit.word(self.arithmetic_word())
            }
            _ => unit.word(JR.with(rs(target))).word(NOP),
        };
        unit.unit()
    }

    /// A few instructions in a window that shows the code elsewhere, up to an exception.
    pub(super) fn elsewhere(&mut self) -> Unit {
        let mut unit = Builder::new("code seen elsewhere");
        let target = self.register();
        unit.mark();
        let base = self.windows.code_elsewhere(&mut self.random);
        let item = unit.next_item() + 3;
        unit.load(
            target,
            Value::Item {
                base,
                item: item as u8,
            },
        );
        unit.word(JR.with(rs(target))).word(NOP);
        unit.word(self.arithmetic_word());
        unit.word(self.read_cp0_word());
        unit.word(BREAK.word);
        unit.unit()
    }
}
