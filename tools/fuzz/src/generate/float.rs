//! The floating-point unit.

use super::{Builder, Generator};
use crate::isa::*;
use crate::program::Unit;

const THREE: &[Op] = &[
    ADD_S, SUB_S, MUL_S, DIV_S, ADD_D, SUB_D, MUL_D, DIV_D, MADDF_D, MSUBF_S, MIN_D, MAX_S, SEL_D,
    SELEQZ_D, SELNEZ_S, CMP_EQ_D, CMP_LT_S, CMP_UN_D, CMP_LE_S, CMP_SLT_D, CMP_NE_S,
];
const TWO: &[Op] = &[
    SQRT_S, SQRT_D, ABS_D, NEG_S, MOV_D, ROUND_L_D, TRUNC_W_S, CEIL_L_S, FLOOR_W_D, RINT_D,
    CLASS_S, CVT_W_D, CVT_L_S, CVT_D_S, CVT_S_D, CVT_S_W, CVT_D_L,
];

impl Generator {
    /// A few instructions of the FPU.
    pub(super) fn float(&mut self) -> Unit {
        let mut unit = Builder::new("floating point");
        if self.random.one_in(5) {
            // FCSR with enables and causes of its own: the exception may come at once.
            let register = self.register();
            let value = self.random.bits() & 0x0103_ffff;
            unit.constant(register, value);
            unit.word(CTC1.with(rt(register) | rd(31)));
        }
        for _ in 0..1 + self.random.below(4) {
            unit.word(self.float_word());
        }
        unit.unit()
    }

    /// One of them.
    pub(super) fn float_word(&mut self) -> u32 {
        let mut float = || self.random.below(32) as u8;
        let (d, s, t) = (float(), float(), float());
        match self.random.below(10) {
            0..=3 => self.random.pick(THREE).with(sa(d) | rd(s) | rt(t)),
            4..=6 => self.random.pick(TWO).with(sa(d) | rd(s)),
            7 => self
                .random
                .pick(&[MFC1, DMFC1, MFHC1])
                .with(rt(self.source()) | rd(s)),
            8 => self
                .random
                .pick(&[MTC1, DMTC1, MTHC1])
                .with(rt(self.source()) | rd(d)),
            _ => CFC1.with(rt(self.register()) | rd(self.random.pick(&[31, 25, 26, 28]))),
        }
    }
}
