//! Integer arithmetic.

use super::{Builder, Generator};
use crate::isa::{self, *};
use crate::program::Unit;

/// rd, rs, rt
const THREE: &[Op] = &[
    ADDU, SUBU, AND, OR, XOR, NOR, SLT, SLTU, DADDU, DSUBU, SELEQZ, SELNEZ, MUL, MUH, MULU, MUHU,
    DIV, MOD, DIVU, MODU, DMUL, DMUH, DMULU, DMUHU, DDIV, DMOD, DDIVU, DMODU, SLLV, SRLV, ROTRV,
    SRAV, DSLLV, DSRLV, DROTRV, DSRAV, ADD, SUB, DADD, DSUB,
];
const SHIFTS: &[Op] = &[
    SLL, SRL, SRA, DSLL, DSRL, DSRA, DSLL32, DSRL32, DSRA32, ROTR, DROTR, DROTR32,
];
const IMMEDIATES: &[Op] = &[ADDIU, DADDIU, SLTI, SLTIU, ANDI, ORI, XORI, AUI, DAUI];
const TWO: &[Op] = &[CLZ, CLO, DCLZ, DCLO];
const SWAPS: &[Op] = &[BITSWAP, WSBH, SEB, SEH, DBITSWAP, DSBH, DSHD];

impl Generator {
    /// A few instructions of arithmetic. The signed additions may overflow.
    pub(super) fn arithmetic(&mut self) -> Unit {
        let mut unit = Builder::new("arithmetic");
        for _ in 0..1 + self.random.below(4) {
            if self.random.one_in(6) {
                let (register, value) = (self.register(), self.random.value());
                unit.constant(register, value);
            } else {
                unit.word(self.arithmetic_word());
            }
        }
        unit.unit()
    }

    /// One instruction of arithmetic.
    pub(super) fn arithmetic_word(&mut self) -> u32 {
        let (d, s, t) = (self.register(), self.source(), self.source());
        let any = self.random.bits() as u32;
        match self.random.below(16) {
            0..=5 => self.random.pick(THREE).rrr(d, s, t),
            6..=7 => self.random.pick(SHIFTS).with(rd(d) | rt(t) | any & 0x7c0),
            8..=10 => self
                .random
                .pick(IMMEDIATES)
                .with(rt(d) | rs(s.max(1)) | any & 0xffff),
            11 => self.random.pick(TWO).with(rd(d) | rs(s)),
            12 => self.random.pick(SWAPS).with(rd(d) | rt(t)),
            13 => self.random.pick(&[LSA, DLSA]).rrr(d, s, t) | any & 0xc0,
            14 => self.bit_field(d, s),
            _ if any & 1 == 0 => self.random.pick(&[DAHI, DATI]).with(rs(d) | any >> 16),
            _ => self
                .random
                .pick(&[ADDIUPC, AUIPC, ALUIPC])
                .with(rs(d) | any >> 16),
        }
    }

    /// A bit field whose size and place fit each other.
    fn bit_field(&mut self, t: u8, s: u8) -> u32 {
        let place = self.random.below(32) as u8;
        let end = place + self.random.below(32 - u64::from(place)) as u8;
        match self.random.below(4) {
            0 => EXT.with(rt(t) | rs(s) | sa(place) | isa::rd(end - place)),
            1 => INS.with(rt(t) | rs(s) | sa(place) | isa::rd(end)),
            2 => DEXT.with(rt(t) | rs(s) | sa(place) | isa::rd(end - place)),
            _ => DINS.with(rt(t) | rs(s) | sa(place) | isa::rd(end)),
        }
    }
}
