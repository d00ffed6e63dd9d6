//! Instruction words of MIPS64 release 6: how they are made, and how they are read back for people.
//!
//! Source: MIPS64 Architecture for Programmers, volume II-A, release 6.

/// Where an instruction's operands are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// None.
    None,
    /// rd, rs, rt
    RdRsRt,
    /// rd, rt, rs
    RdRtRs,
    /// rd, rs
    RdRs,
    /// rd, rt
    RdRt,
    /// rs
    BranchRsOnly,
    /// 16 bits
    Immediate,
    /// rs, rt and a code
    RsRt,
    /// rd, rt, shift amount
    Shift,
    /// rd, rs, rt, 2-bit amount
    Scaled,
    /// rd, rs, rt, 3-bit amount
    Aligned,
    /// rt, rs, two 5-bit fields
    Field,
    /// rt, rs, signed 16 bits
    RtRsImmediate,
    /// rt, 16 bits
    RtImmediate,
    /// rs, 16 bits
    RsImmediate,
    /// rs, 19 bits
    RsImmediate19,
    /// rt, offset(base) with 16 bits
    Memory,
    /// A floating-point register, offset(base)
    FloatMemory,
    /// rt, offset(base) with 9 bits
    Memory9,
    /// hint, offset(base) with 9 bits
    Hint9,
    /// offset(base)
    Address,
    /// rs, rt, 16-bit branch
    BranchRsRt,
    /// rs, 16-bit branch
    BranchRs,
    /// rt, 16-bit branch
    BranchRt,
    /// ft, 16-bit branch
    BranchFt,
    /// 16-bit branch
    Branch,
    /// rs, 21-bit branch
    Branch21,
    /// 26-bit branch
    Branch26,
    /// A jump within 256 MiB.
    Jump,
    /// rt, signed 16 bits
    JumpRt,
    /// rt, CP0 register and select
    Cp0,
    /// rt
    Rt,
    /// rt, hardware register
    Hardware,
    /// rt, fs
    RtFs,
    /// fd, fs, ft
    FdFsFt,
    /// fd, fs
    FdFs,
    /// A 20-bit code
    Code,
}

/// An instruction: the bits that make it, and its operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Op {
    /// Its name.
    pub name: &'static str,
    /// Bits that are always so.
    pub word: u32,
    /// Which bits those are.
    pub mask: u32,
    /// Where its operands are.
    pub form: Form,
}

/// Fields of a word.
pub const fn rs(number: u8) -> u32 {
    (number as u32 & 31) << 21
}
/// Field rt.
pub const fn rt(number: u8) -> u32 {
    (number as u32 & 31) << 16
}
/// Field rd, and fs.
pub const fn rd(number: u8) -> u32 {
    (number as u32 & 31) << 11
}
/// Field sa, and fd.
pub const fn sa(number: u8) -> u32 {
    (number as u32 & 31) << 6
}
/// The low 16 bits.
pub const fn imm(value: i32) -> u32 {
    value as u32 & 0xffff
}
/// The 9-bit offset of LL, SC, CACHE, PREF.
pub const fn imm9(value: i32) -> u32 {
    (value as u32 & 0x1ff) << 7
}

impl Op {
    /// The word with these operand fields.
    pub const fn with(self, operands: u32) -> u32 {
        self.word | operands & !self.mask
    }
    /// rd, rs, rt
    pub const fn rrr(self, d: u8, s: u8, t: u8) -> u32 {
        self.with(rd(d) | rs(s) | rt(t))
    }
    /// rt, rs, immediate; and rt, offset(rs)
    pub const fn rri(self, t: u8, s: u8, value: i32) -> u32 {
        self.with(rt(t) | rs(s) | imm(value))
    }
    /// rt and CP0 register
    pub const fn cp0(self, t: u8, register: u8, select: u8) -> u32 {
        self.with(rt(t) | rd(register) | select as u32 & 7)
    }
}

mod table;
pub use table::*;

/// `nop`
pub const NOP: u32 = 0;

/// A word in the assembler's language; `address` is where it stands.
pub fn disassemble(word: u32, address: u64) -> String {
    if word == NOP {
        return "nop".to_owned();
    }
    if let Some(text) = compact(word, address) {
        return text;
    }
    let Some(op) = ALL.iter().find(|op| word & op.mask == op.word) else {
        return format!(".word {word:#010x}");
    };
    let operands = operands(op.form, word, address);
    format!("{:8} {operands}", op.name).trim_end().to_owned()
}

/// Compact branches whose name depends on how their registers compare.
fn compact(word: u32, address: u64) -> Option<String> {
    let (s, t) = (word >> 21 & 31, word >> 16 & 31);
    let one = |names: [&'static str; 2]| {
        if s == 0 {
            Some(names[0])
        } else {
            Some(names[1]).filter(|_| s == t)
        }
    };
    let ordered = |names: [&'static str; 3]| match (s, t) {
        _ if s >= t => names[2],
        (0, _) => names[0],
        _ => names[1],
    };
    let name = match (word >> 26, t) {
        (6 | 7 | 0x16 | 0x17, 0) => return None,
        (6, _) => one(["blezalc", "bgezalc"]).unwrap_or("bgeuc"),
        (7, _) => one(["bgtzalc", "bltzalc"]).unwrap_or("bltuc"),
        (0x16, _) => one(["blezc", "bgezc"]).unwrap_or("bgec"),
        (0x17, _) => one(["bgtzc", "bltzc"]).unwrap_or("bltc"),
        (8, _) => ordered(["beqzalc", "beqc", "bovc"]),
        (0x18, _) => ordered(["bnezalc", "bnec", "bnvc"]),
        _ => return None,
    };
    let form = if name.ends_with("zc") || name.ends_with("alc") {
        Form::BranchRt
    } else {
        Form::BranchRsRt
    };
    Some(format!("{name:8} {}", operands(form, word, address)))
}

fn operands(form: Form, word: u32, address: u64) -> String {
    let field = |shift: u32| word >> shift & 31;
    let (s, t, d, a) = (field(21), field(16), field(11), field(6));
    let immediate = word as i16;
    let offset9 = ((word >> 7 & 0x1ff) << 23) as i32 >> 23;
    let branch = |bits: u32| {
        let offset = i64::from((word << (32 - bits)) as i32 >> (32 - bits)) << 2;
        format!("{:#x}", address.wrapping_add(4).wrapping_add(offset as u64))
    };
    match form {
        Form::None => String::new(),
        Form::RdRsRt => format!("${d}, ${s}, ${t}"),
        Form::RdRtRs => format!("${d}, ${t}, ${s}"),
        Form::RdRs => format!("${d}, ${s}"),
        Form::RdRt => format!("${d}, ${t}"),
        Form::BranchRsOnly => format!("${s}"),
        Form::Immediate => format!("{immediate}"),
        Form::RsRt => format!("${s}, ${t}"),
        Form::Shift => format!("${d}, ${t}, {a}"),
        Form::Scaled => format!("${d}, ${s}, ${t}, {}", (a & 3) + 1),
        Form::Aligned => format!("${d}, ${s}, ${t}, {}", a & 7),
        Form::Field => format!("${t}, ${s}, {a}, {d}"),
        Form::RtRsImmediate => format!("${t}, ${s}, {immediate}"),
        Form::RtImmediate | Form::JumpRt => format!("${t}, {immediate}"),
        Form::RsImmediate => format!("${s}, {immediate}"),
        Form::RsImmediate19 => format!("${s}, {:#x}", word & 0x7_ffff),
        Form::Memory => format!("${t}, {immediate}(${s})"),
        Form::FloatMemory => format!("$f{t}, {immediate}(${s})"),
        Form::Memory9 => format!("${t}, {offset9}(${s})"),
        Form::Hint9 => format!("{t}, {offset9}(${s})"),
        Form::Address => format!("{immediate}(${s})"),
        Form::BranchRsRt => format!("${s}, ${t}, {}", branch(16)),
        Form::BranchRs => format!("${s}, {}", branch(16)),
        Form::BranchRt => format!("${t}, {}", branch(16)),
        Form::BranchFt => format!("$f{t}, {}", branch(16)),
        Form::Branch => branch(16),
        Form::Branch21 => format!("${s}, {}", branch(21)),
        Form::Branch26 => branch(26),
        Form::Jump => {
            let region = address.wrapping_add(4) & !0x0fff_ffff;
            format!("{:#x}", region | u64::from(word & 0x03ff_ffff) << 2)
        }
        Form::Cp0 => format!("${t}, ${d}, {}", word & 7),
        Form::Rt => format!("${t}"),
        Form::Hardware => format!("${t}, ${d}"),
        Form::RtFs => format!("${t}, $f{d}"),
        Form::FdFsFt => format!("$f{a}, $f{d}, $f{t}"),
        Form::FdFs => format!("$f{a}, $f{d}"),
        Form::Code => format!("{:#x}", word >> 6 & 0xf_ffff),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_read_as_the_assembler_writes_them() {
        // Words and text as LLVM's assembler and disassembler have them.
        let cases = [
            (DADDU.rrr(2, 3, 4), "daddu    $2, $3, $4"),
            (0x6442_fff8, "daddiu   $2, $2, -8"),
            (0x4008_6000, "mfc0     $8, $12, 0"),
            (0x40a9_7000, "dmtc0    $9, $14, 0"),
            (0x4200_0002, "tlbwi"),
            (0x1080_0004, "beq      $4, $0, 0x1014"),
            (0xd880_0010, "beqzc    $4, 0x1044"),
            (0x2004_0010, "beqzalc  $4, 0x1044"),
            (0x2085_0010, "beqc     $4, $5, 0x1044"),
            (0x7c81_0037, "lld      $1, 0($4)"),
        ];
        for (word, text) in cases {
            assert_eq!(disassemble(word, 0x1000), text, "{word:#010x}");
        }
    }

    #[test]
    fn fixed_bits_lie_under_their_mask() {
        for op in ALL {
            assert_eq!(op.word & !op.mask, 0, "{}", op.name);
        }
    }
}
