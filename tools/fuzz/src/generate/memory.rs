//! Loads, stores, LL and SC.

use super::{Builder, Generator};
use crate::isa::*;
use crate::program::Unit;

const LOADS: &[Op] = &[LB, LBU, LH, LHU, LW, LWU, LD, LD, LWC1, LDC1];
const STORES: &[Op] = &[SB, SH, SW, SD, SD, SWC1, SDC1];

impl Generator {
    /// A few accesses around an address, mostly in the program's data.
    pub(super) fn memory(&mut self) -> Unit {
        let mut unit = Builder::new("memory");
        let base = self.register();
        let value = if self.random.one_in(10) {
            self.windows.any_address(&mut self.random)
        } else {
            self.windows.data_address(&mut self.random)
        };
        unit.load(base, value);
        for _ in 0..1 + self.random.below(3) {
            let word = self.access(base);
            unit.word(word);
        }
        unit.unit()
    }

    fn access(&mut self, base: u8) -> u32 {
        let offset = match self.random.below(4) {
            0 => self.random.below(128) as i32 - 64,
            _ => 8 * (self.random.below(16) as i32 - 8),
        };
        let op = if self.random.one_in(2) {
            self.random.pick(LOADS)
        } else {
            self.random.pick(STORES)
        };
        // Not into the base: what is loaded is no address that means the same in both places.
        op.rri(self.other_than(base), base, offset)
    }

    /// One access, in the code or near address 0, where nothing is.
    pub(super) fn memory_word(&mut self) -> u32 {
        let register = self.register();
        match self.random.below(4) {
            0 => LWPC.with(rs(register) | self.random.below(8) as u32),
            1 => LDPC.with(rs(register)),
            2 => self
                .random
                .pick(STORES)
                .rri(register, 0, self.random.below(0x4000) as i32),
            _ => self
                .random
                .pick(LOADS)
                .rri(register, 0, self.random.below(0x4000) as i32),
        }
    }

    /// LL, something between, SC: units of their own, so that an exception between them goes on
    /// with SC.
    pub(super) fn linked(&mut self) -> Vec<Unit> {
        let [base, value, result] = self.registers();
        let double = self.random.one_in(2);
        let (ll, sc) = if double { (LLD, SCD) } else { (LL, SC) };
        let place = self.windows.data_address(&mut self.random);
        let offset = 8 * self.random.below(8) as i32;
        let mut first = Builder::new("LL");
        first.load(base, place);
        first.word(ll.with(rs(base) | rt(value) | imm9(offset)));
        let mut units = vec![first.unit()];
        match self.random.below(10) {
            0 => {}
            1 => units.push(self.system_call()),
            2 => {
                let mut pass = Builder::new("break");
                pass.word(BREAK.word);
                units.push(pass.unit());
            }
            3 => units.push(self.read_cp0()),
            4 => units.push(self.interrupt()),
            5 => units.push(self.return_from_exception()),
            6 => units.push(self.memory()),
            7 => units.push(self.tlb()),
            8 => units.push(self.float()),
            _ => units.push(self.fault()),
        }
        let mut last = Builder::new("SC");
        last.word(DADDIU.rri(result, value, 1));
        // Another address now and then.
        let other = if self.random.one_in(8) { 8 } else { 0 };
        last.word(sc.with(rs(base) | rt(result) | imm9(offset + other)));
        units.push(last.unit());
        units
    }
}
