//! Instruction words: the privileged ones, and where branches go.
//!
//! Source: MIPS64 Architecture for Programmers, volumes II-A and III, release 6.

/// An instruction word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Instruction(pub u32);

/// A privileged instruction, or one that a guest kernel may execute and its monitor must know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Privileged {
    /// `mfc0`, `dmfc0` and `mfhc0`: CP0 register `rd`, `sel` into general register `rt`.
    MoveFrom {
        /// General register.
        rt: u8,
        /// CP0 register and select.
        register: Cp0Register,
        /// Which part of the register.
        width: Width,
    },
    /// `mtc0`, `dmtc0` and `mthc0`.
    MoveTo {
        /// General register.
        rt: u8,
        /// CP0 register and select.
        register: Cp0Register,
        /// Which part of the register.
        width: Width,
    },
    /// `tlbr`
    TlbRead,
    /// `tlbwi`
    TlbWriteIndexed,
    /// `tlbwr`
    TlbWriteRandom,
    /// `tlbp`
    TlbProbe,
    /// `tlbinv`
    TlbInvalidate,
    /// `tlbinvf`
    TlbInvalidateFlush,
    /// `eret`
    Eret,
    /// `eretnc`: like `eret`, but an LL/SC pair goes on.
    EretKeepLink,
    /// `deret`
    Deret,
    /// `wait`
    Wait,
    /// `di rt`
    DisableInterrupts(u8),
    /// `ei rt`
    EnableInterrupts(u8),
    /// `dvp rt` and `evp rt`: stop and start the core's other virtual processors.
    OtherProcessors(u8),
    /// `cache op, offset(base)`
    Cache,
    /// `hypcall code`
    Hypcall,
}

/// A CP0 register's number and select.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cp0Register {
    /// Register number, 0 to 31.
    pub number: u8,
    /// Select, 0 to 7.
    pub select: u8,
}

/// Which part of a register an instruction moves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Width {
    /// The low 32 bits, sign-extended.
    Word,
    /// All 64 bits.
    Double,
    /// Bits that the extended-address option puts above the low 32.
    High,
}

/// `eret`
pub const ERET: u32 = 0x4200_0018;

/// Opcode SPECIAL3 with the function of `ll`, `sc`, `lld` and `scd`.
const LL: u32 = 0x1f << 26 | 0x36;
const SC: u32 = 0x1f << 26 | 0x26;
const LLD: u32 = 0x1f << 26 | 0x37;
const SCD: u32 = 0x1f << 26 | 0x27;
const REGIMM: u32 = 1;
const COP0: u32 = 0x10;
const COP1: u32 = 0x11;
const COP2: u32 = 0x12;

impl Instruction {
    const fn opcode(self) -> u32 {
        self.0 >> 26
    }
    /// Field rs, bits 25..21.
    pub const fn rs(self) -> u8 {
        (self.0 >> 21 & 31) as u8
    }
    /// Field rt, bits 20..16.
    pub const fn rt(self) -> u8 {
        (self.0 >> 16 & 31) as u8
    }
    /// Field rd, bits 15..11.
    pub const fn rd(self) -> u8 {
        (self.0 >> 11 & 31) as u8
    }
    const fn function(self) -> u32 {
        self.0 & 63
    }
    /// The sign-extended 16-bit branch offset, in bytes.
    const fn offset16(self) -> u64 {
        ((self.0 as u16 as i16 as i64) << 2) as u64
    }

    /// The privileged instruction this word is, if it is one that exists in release 6.
    pub fn privileged(self) -> Option<Privileged> {
        if self.opcode() == 0x1f && self.function() == 0x25 {
            return Some(Privileged::Cache);
        }
        if self.opcode() != COP0 {
            return None;
        }
        if self.0 & 1 << 25 != 0 {
            return self.coprocessor_operation();
        }
        let rt = self.rt();
        let register = Cp0Register {
            number: self.rd(),
            select: (self.0 & 7) as u8,
        };
        if self.rs() == 0x0b {
            return match (self.rd(), self.0 & 0x7ff) {
                (12, 0x000) => Some(Privileged::DisableInterrupts(rt)),
                (12, 0x020) => Some(Privileged::EnableInterrupts(rt)),
                (0, 0x004) | (0, 0x024) => Some(Privileged::OtherProcessors(rt)),
                _ => None,
            };
        }
        if self.0 & 0x7f8 != 0 {
            return None;
        }
        let from = |width| {
            Some(Privileged::MoveFrom {
                rt,
                register,
                width,
            })
        };
        let to = |width| {
            Some(Privileged::MoveTo {
                rt,
                register,
                width,
            })
        };
        match self.rs() {
            0 => from(Width::Word),
            1 => from(Width::Double),
            2 => from(Width::High),
            4 => to(Width::Word),
            5 => to(Width::Double),
            6 => to(Width::High),
            _ => None,
        }
    }

    fn coprocessor_operation(self) -> Option<Privileged> {
        if self.function() == 0x20 {
            return Some(Privileged::Wait);
        }
        if self.function() == 0x28 {
            return Some(Privileged::Hypcall);
        }
        match self.0 & 0x01ff_ffff {
            0x01 => Some(Privileged::TlbRead),
            0x02 => Some(Privileged::TlbWriteIndexed),
            0x03 => Some(Privileged::TlbInvalidate),
            0x04 => Some(Privileged::TlbInvalidateFlush),
            0x06 => Some(Privileged::TlbWriteRandom),
            0x08 => Some(Privileged::TlbProbe),
            0x18 => Some(Privileged::Eret),
            0x58 => Some(Privileged::EretKeepLink),
            0x1f => Some(Privileged::Deret),
            _ => None,
        }
    }

    /// Bytes that `ll`, `lld`, `sc` or `scd` accesses.
    pub const fn linked(self) -> Option<u64> {
        match self.0 & (0x3f << 26 | 0x3f) {
            LL | SC => Some(4),
            LLD | SCD => Some(8),
            _ => None,
        }
    }

    /// `rdhwr rt, rd`: the general and the hardware register.
    pub fn rdhwr(self) -> Option<(u8, u8)> {
        (self.opcode() == 0x1f && self.function() == 0x3b && self.rs() == 0)
            .then(|| (self.rt(), self.rd()))
    }

    /// Where execution goes on after the delay slot of this branch at `pc`, and the register it
    /// links. `None` if this is not a branch with a delay slot: then the instruction behind it
    /// stands in the forbidden slot of a compact branch that was not taken, and execution goes
    /// on behind that.
    ///
    /// `gpr` are the general registers before the slot executes; `fpr_bit0` tells bit 0 of a
    /// floating-point register.
    pub fn after_delay_slot(
        self,
        pc: u64,
        gpr: &[u64; 32],
        fpr_bit0: impl Fn(u8) -> bool,
    ) -> Option<BranchOutcome> {
        let value = |register: u8| gpr[usize::from(register & 31)];
        let (rs, rt) = (value(self.rs()), value(self.rt()));
        let behind_slot = pc.wrapping_add(8);
        let relative = pc.wrapping_add(4).wrapping_add(self.offset16());
        let region = pc.wrapping_add(4) & !0x0fff_ffff | u64::from(self.0 & 0x03ff_ffff) << 2;
        let to = |target, link| Some(BranchOutcome { target, link });
        let when = |taken| to(if taken { relative } else { behind_slot }, None);
        match self.opcode() {
            0 if matches!(self.function(), 8 | 9) => to(rs, (self.rd() != 0).then(|| self.rd())),
            REGIMM => match self.rt() {
                0 => when((rs as i64) < 0),
                1 => when(rs as i64 >= 0),
                0x10 => to(behind_slot, Some(31)),
                0x11 => to(relative, Some(31)),
                _ => None,
            },
            2 => to(region, None),
            3 => to(region, Some(31)),
            4 => when(rs == rt),
            5 => when(rs != rt),
            6 if self.rt() == 0 => when(rs as i64 <= 0),
            7 if self.rt() == 0 => when(rs as i64 > 0),
            COP1 if self.rs() == 0x09 => when(!fpr_bit0(self.rt())),
            COP1 if self.rs() == 0x0d => when(fpr_bit0(self.rt())),
            COP2 => None,
            _ => None,
        }
    }
}

/// What a branch with a delay slot does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BranchOutcome {
    /// Where execution goes on behind the slot.
    pub target: u64,
    /// The register that gets the address behind the slot, before the slot executes.
    pub link: Option<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(word: u32, gpr: &[u64; 32]) -> Option<BranchOutcome> {
        Instruction(word).after_delay_slot(0xffff_ffff_c010_0000, gpr, |_| false)
    }

    #[test]
    fn decodes_moves_of_cp0_registers() {
        // mfc0 $8, $12, 0 and dmtc0 $9, $14, 0
        let status = Cp0Register {
            number: 12,
            select: 0,
        };
        let epc = Cp0Register {
            number: 14,
            select: 0,
        };
        assert_eq!(
            Instruction(0x4008_6000).privileged(),
            Some(Privileged::MoveFrom {
                rt: 8,
                register: status,
                width: Width::Word
            })
        );
        assert_eq!(
            Instruction(0x40a9_7000).privileged(),
            Some(Privileged::MoveTo {
                rt: 9,
                register: epc,
                width: Width::Double
            })
        );
    }

    #[test]
    fn decodes_operations_of_coprocessor_0() {
        let cases = [
            (0x4200_0002, Privileged::TlbWriteIndexed),
            (0x4200_0006, Privileged::TlbWriteRandom),
            (0x4200_0008, Privileged::TlbProbe),
            (ERET, Privileged::Eret),
            (0x4200_0058, Privileged::EretKeepLink),
            (0x4200_0020, Privileged::Wait),
            (0x4200_0028, Privileged::Hypcall),
            (0x4165_6000, Privileged::DisableInterrupts(5)),
            (0x4165_6020, Privileged::EnableInterrupts(5)),
            (0x7c81_0025, Privileged::Cache),
        ];
        for (word, expected) in cases {
            assert_eq!(Instruction(word).privileged(), Some(expected), "{word:#x}");
        }
        assert_eq!(Instruction(0x4200_0011).privileged(), None, "reserved");
        assert_eq!(
            Instruction(0x4008_6010).privileged(),
            None,
            "bits that must be 0"
        );
        assert_eq!(Instruction(0x0000_000c).privileged(), None, "syscall");
    }

    #[test]
    fn branches_follow_their_condition() {
        let mut gpr = [0; 32];
        gpr[4] = 1;
        // beq $4, $0, +4 instructions; bne $4, $0, +4
        assert_eq!(
            after(0x1080_0004, &gpr).unwrap().target,
            0xffff_ffff_c010_0008
        );
        assert_eq!(
            after(0x1480_0004, &gpr).unwrap().target,
            0xffff_ffff_c010_0014
        );
        // bltz $4, -1 instruction
        gpr[4] = u64::MAX;
        assert_eq!(
            after(0x0480_ffff, &gpr).unwrap().target,
            0xffff_ffff_c010_0000
        );
    }

    #[test]
    fn jumps_link_and_stay_in_their_region() {
        let mut gpr = [0; 32];
        gpr[25] = 0x1234;
        let jal = after(0x0c04_0000, &gpr).unwrap();
        assert_eq!((jal.target, jal.link), (0xffff_ffff_c010_0000, Some(31)));
        let jalr = after(0x0320_f809, &gpr).unwrap();
        assert_eq!((jalr.target, jalr.link), (0x1234, Some(31)));
        let jr = after(0x0320_0009, &gpr).unwrap();
        assert_eq!((jr.target, jr.link), (0x1234, None));
    }

    #[test]
    fn compact_branches_have_no_delay_slot() {
        // beqzc $4 (POP66), bc, beqzalc (POP10)
        for word in [0xd880_0010, 0xc800_0010, 0x2004_0010] {
            assert_eq!(after(word, &[0; 32]), None, "{word:#x}");
        }
    }
}
