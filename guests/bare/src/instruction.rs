//! Instruction words, for code that a test puts together.
//!
//! Source: MIPS64 Architecture for Programmers, volume II-A, release 6.

const COP0: u32 = 0x10 << 26;
const COP1: u32 = 0x11 << 26;
const SPECIAL3: u32 = 0x1f << 26;

/// `nop`
pub const NOP: u32 = 0;
/// `syscall`
pub const SYSCALL: u32 = 0x0c;
/// `break`
pub const BREAK: u32 = 0x0d;
/// `tlbr`
pub const TLBR: u32 = 0x4200_0001;
/// `tlbwi`
pub const TLBWI: u32 = 0x4200_0002;
/// `tlbinv`
pub const TLBINV: u32 = 0x4200_0003;
/// `tlbinvf`
pub const TLBINVF: u32 = 0x4200_0004;
/// `tlbwr`
pub const TLBWR: u32 = 0x4200_0006;
/// `tlbp`
pub const TLBP: u32 = 0x4200_0008;
/// `eret`
pub const ERET: u32 = 0x4200_0018;
/// `eretnc`
pub const ERETNC: u32 = 0x4200_0058;
/// `deret`
pub const DERET: u32 = 0x4200_001f;
/// `wait`
pub const WAIT: u32 = 0x4200_0020;
/// `hypcall`
pub const HYPCALL: u32 = disco_abi::HYPCALL;

const fn field(value: u32, lowest: u32) -> u32 {
    (value & 31) << lowest
}

/// An instruction with a 16-bit constant.
pub const fn immediate(opcode: u32, rs: u32, rt: u32, constant: i32) -> u32 {
    opcode << 26 | field(rs, 21) | field(rt, 16) | constant as u16 as u32
}

/// `mfc0 rt, register, select`
pub const fn mfc0(rt: u32, register: u32, select: u32) -> u32 {
    COP0 | field(rt, 16) | field(register, 11) | select
}

/// `dmfc0 rt, register, select`
pub const fn dmfc0(rt: u32, register: u32, select: u32) -> u32 {
    mfc0(rt, register, select) | 1 << 21
}

/// `mtc0 rt, register, select`
pub const fn mtc0(rt: u32, register: u32, select: u32) -> u32 {
    mfc0(rt, register, select) | 4 << 21
}

/// `dmtc0 rt, register, select`
pub const fn dmtc0(rt: u32, register: u32, select: u32) -> u32 {
    mfc0(rt, register, select) | 5 << 21
}

/// `mfhc0 rt, register, select`
pub const fn mfhc0(rt: u32, register: u32, select: u32) -> u32 {
    mfc0(rt, register, select) | 2 << 21
}

/// `mthc0 rt, register, select`
pub const fn mthc0(rt: u32, register: u32, select: u32) -> u32 {
    mfc0(rt, register, select) | 6 << 21
}

/// `di rt`
pub const fn di(rt: u32) -> u32 {
    0x4160_6000 | field(rt, 16)
}

/// `ei rt`
pub const fn ei(rt: u32) -> u32 {
    0x4160_6020 | field(rt, 16)
}

/// `dvp rt`
pub const fn dvp(rt: u32) -> u32 {
    0x4160_0024 | field(rt, 16)
}

/// `cache operation, 0(base)`
pub const fn cache(operation: u32, base: u32) -> u32 {
    SPECIAL3 | field(base, 21) | field(operation, 16) | 0x25
}

/// `rdhwr rt, register`
pub const fn rdhwr(rt: u32, register: u32) -> u32 {
    SPECIAL3 | field(rt, 16) | field(register, 11) | 0x3b
}

/// `addiu rt, rs, constant`
pub const fn addiu(rt: u32, rs: u32, constant: i32) -> u32 {
    immediate(0x09, rs, rt, constant)
}

/// `ori rt, rs, constant`
pub const fn ori(rt: u32, rs: u32, constant: u16) -> u32 {
    immediate(0x0d, rs, rt, constant as i32)
}

/// `daddu rd, rs, rt`
pub const fn daddu(rd: u32, rs: u32, rt: u32) -> u32 {
    field(rs, 21) | field(rt, 16) | field(rd, 11) | 0x2d
}

/// `ld rt, offset(base)`
pub const fn ld(rt: u32, offset: i32, base: u32) -> u32 {
    immediate(0x37, base, rt, offset)
}

/// `sd rt, offset(base)`
pub const fn sd(rt: u32, offset: i32, base: u32) -> u32 {
    immediate(0x3f, base, rt, offset)
}

/// `lw rt, offset(base)`
pub const fn lw(rt: u32, offset: i32, base: u32) -> u32 {
    immediate(0x23, base, rt, offset)
}

/// `lld rt, 0(base)`
pub const fn lld(rt: u32, base: u32) -> u32 {
    SPECIAL3 | field(base, 21) | field(rt, 16) | 0x37
}

/// `scd rt, 0(base)`
pub const fn scd(rt: u32, base: u32) -> u32 {
    SPECIAL3 | field(base, 21) | field(rt, 16) | 0x27
}

/// `jr rs`
pub const fn jr(rs: u32) -> u32 {
    jalr(0, rs)
}

/// `jalr rd, rs`
pub const fn jalr(rd: u32, rs: u32) -> u32 {
    field(rs, 21) | field(rd, 11) | 0x09
}

/// `j` or `jal` within the 256 MiB around it.
pub const fn jump(opcode: u32, target: u64) -> u32 {
    opcode << 26 | (target >> 2) as u32 & 0x03ff_ffff
}

/// `beq rs, rt`, `offset` in instructions behind the next one, as for all branches here.
pub const fn beq(rs: u32, rt: u32, offset: i32) -> u32 {
    immediate(0x04, rs, rt, offset)
}

/// `bne rs, rt`
pub const fn bne(rs: u32, rt: u32, offset: i32) -> u32 {
    immediate(0x05, rs, rt, offset)
}

/// `blez rs`
pub const fn blez(rs: u32, offset: i32) -> u32 {
    immediate(0x06, rs, 0, offset)
}

/// `bgtz rs`
pub const fn bgtz(rs: u32, offset: i32) -> u32 {
    immediate(0x07, rs, 0, offset)
}

/// `bltz rs`
pub const fn bltz(rs: u32, offset: i32) -> u32 {
    immediate(0x01, rs, 0x00, offset)
}

/// `bgez rs`
pub const fn bgez(rs: u32, offset: i32) -> u32 {
    immediate(0x01, rs, 0x01, offset)
}

/// `nal`: never taken, links.
pub const fn nal(offset: i32) -> u32 {
    immediate(0x01, 0, 0x10, offset)
}

/// `bal`
pub const fn bal(offset: i32) -> u32 {
    immediate(0x01, 0, 0x11, offset)
}

/// `bc1eqz ft`
pub const fn bc1eqz(ft: u32, offset: i32) -> u32 {
    COP1 | 0x09 << 21 | field(ft, 16) | offset as u16 as u32
}

/// `bc1nez ft`
pub const fn bc1nez(ft: u32, offset: i32) -> u32 {
    COP1 | 0x0d << 21 | field(ft, 16) | offset as u16 as u32
}

/// `dmtc1 rt, fs`
pub const fn dmtc1(rt: u32, fs: u32) -> u32 {
    COP1 | 0x05 << 21 | field(rt, 16) | field(fs, 11)
}

/// `dmfc1 rt, fs`
pub const fn dmfc1(rt: u32, fs: u32) -> u32 {
    COP1 | 0x01 << 21 | field(rt, 16) | field(fs, 11)
}

/// `ctc1 rt, fs`
pub const fn ctc1(rt: u32, fs: u32) -> u32 {
    COP1 | 0x06 << 21 | field(rt, 16) | field(fs, 11)
}

/// `cfc1 rt, fs`
pub const fn cfc1(rt: u32, fs: u32) -> u32 {
    COP1 | 0x02 << 21 | field(rt, 16) | field(fs, 11)
}

/// A compact branch that compares a register with 0: `beqzc` (opcode 0x36) or `bnezc` (0x3e).
pub const fn compare_zero_compact(opcode: u32, rs: u32, offset: i32) -> u32 {
    opcode << 26 | field(rs, 21) | offset as u32 & 0x1f_ffff
}
