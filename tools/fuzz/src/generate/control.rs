//! CP0 registers, hardware registers, caches.

use super::{Builder, Generator, CAUSE_DC, CAUSE_IV};
use crate::isa::*;
use crate::program::Unit;

/// What is read: register, select.
const READABLE: &[(u8, u8)] = &[
    (0, 0),
    (2, 0),
    (3, 0),
    (4, 0),
    (4, 2),
    (5, 0),
    (5, 1),
    (6, 0),
    (7, 0),
    (8, 0),
    (8, 1),
    (8, 2),
    (9, 0),
    (10, 0),
    (11, 0),
    (12, 0),
    (12, 1),
    (13, 0),
    (14, 0),
    (15, 0),
    (16, 0),
    (20, 0),
    (30, 0),
    (31, 0),
    (31, 2),
    (31, 3),
    (31, 4),
    (31, 5),
    (31, 6),
    (31, 7),
];

/// What is written with any value, at any place. Status and Cause have units of their own, PageMask
/// has values of its own.
const WRITABLE: &[(u8, u8)] = &[
    (0, 0),
    (2, 0),
    (3, 0),
    (4, 0),
    (4, 2),
    (6, 0),
    (7, 0),
    (8, 0),
    (8, 1),
    (8, 2),
    (9, 0),
    (11, 0),
    (14, 0),
    (15, 0),
    (16, 0),
    (20, 0),
    (30, 0),
    (31, 0),
    (31, 2),
    (31, 3),
    (31, 4),
    (31, 5),
    (31, 6),
    (31, 7),
];

impl Generator {
    /// Reads registers.
    pub(super) fn read_cp0(&mut self) -> Unit {
        let mut unit = Builder::new("read CP0");
        for _ in 0..1 + self.random.below(3) {
            unit.word(self.read_cp0_word());
        }
        unit.unit()
    }

    /// `mfc0` or `dmfc0`.
    pub(super) fn read_cp0_word(&mut self) -> u32 {
        let (number, select) = self.random.pick(READABLE);
        let op = self.random.pick(&[MFC0, DMFC0]);
        op.cp0(self.source(), number, select)
    }

    /// Writes a register and reads it back.
    pub(super) fn write_cp0(&mut self) -> Unit {
        let mut unit = Builder::new("write CP0");
        let [from, to] = self.registers();
        let (number, select, value) = match self.random.below(8) {
            0 => (5, 0, self.windows.page_mask(&mut self.random)),
            1 | 2 => (10, 0, self.entry_hi()),
            3 => (
                13,
                0,
                CAUSE_DC | self.random.bits() & (CAUSE_IV | 0x40_0300),
            ),
            _ => {
                let (number, select) = self.random.pick(WRITABLE);
                (number, select, self.random.value())
            }
        };
        // QEMU compares all 64 bits with the number of entries.
        let value = match number {
            6 => value as i32 as i64 as u64,
            _ => value,
        };
        unit.constant(from, value);
        let move_to = self.random.pick(&[MTC0, DMTC0]);
        unit.word(move_to.cp0(from, number, select));
        let move_from = self.random.pick(&[MFC0, DMFC0]);
        unit.word(move_from.cp0(to, number, select));
        unit.unit()
    }

    /// `mtc0` or `dmtc0` of whatever a register holds.
    pub(super) fn write_cp0_word(&mut self) -> u32 {
        let (number, select) = match self.random.pick(WRITABLE) {
            (6, 0) => (4, 2),
            register => register,
        };
        let op = self.random.pick(&[MTC0, DMTC0]);
        op.cp0(self.source(), number, select)
    }

    /// EntryHi: any page, one of the ASIDs that are in use, sometimes a reserved region or EHINV.
    fn entry_hi(&mut self) -> u64 {
        let page = self.random.bits() & !0x1fff;
        let invalid = if self.random.one_in(8) { 1 << 10 } else { 0 };
        page | invalid | self.windows.any_asid(&mut self.random)
    }

    /// Reads a hardware register, perhaps after HWREna has changed.
    pub(super) fn hardware_register(&mut self) -> Unit {
        let mut unit = Builder::new("hardware register");
        if self.random.one_in(2) {
            let register = self.register();
            let value = self.random.bits() & 0x2000_003f;
            unit.constant(register, value);
            unit.word(MTC0.cp0(register, 7, 0));
        }
        unit.word(self.hardware_register_word());
        unit.unit()
    }

    /// `rdhwr`: registers that there are, and one that there is not.
    pub(super) fn hardware_register_word(&mut self) -> u32 {
        let number = self.random.pick(&[0, 1, 2, 2, 3, 5, 29, 29, 30]);
        RDHWR.with(rt(self.register()) | rd(number))
    }

    /// Cache operations, which change nothing that a program sees.
    pub(super) fn cache(&mut self) -> Unit {
        let mut unit = Builder::new("cache");
        let base = self.register();
        let value = self.windows.data_address(&mut self.random);
        unit.load(base, value);
        // Index invalidate, hit invalidate, hit write back.
        let operation = self.random.pick(&[0_u8, 4, 6]) << 2 | self.random.below(4) as u8;
        match self.random.below(4) {
            0 => unit.word(SYNCI.with(rs(base))),
            1 => unit.word(SYNC.word),
            2 => unit.word(PREF.with(rs(base) | rt(operation))),
            _ => unit.word(CACHE.with(rs(base) | rt(operation))),
        };
        unit.unit()
    }
}
