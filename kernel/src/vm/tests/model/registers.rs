//! Registers of coprocessor 0: page, "CP0 registers", and III, "Coprocessor 0 Registers".

use super::Model;
use std::fmt::{self, Debug, Formatter};

/// Number and select.
pub type Register = (usize, usize);

pub const INDEX: Register = (0, 0);
pub const ENTRY_LO0: Register = (2, 0);
pub const ENTRY_LO1: Register = (3, 0);
pub const CONTEXT: Register = (4, 0);
pub const USER_LOCAL: Register = (4, 2);
pub const PAGE_MASK: Register = (5, 0);
pub const PAGE_GRAIN: Register = (5, 1);
pub const PW_BASE: Register = (5, 5);
pub const PW_FIELD: Register = (5, 6);
pub const PW_SIZE: Register = (5, 7);
pub const WIRED: Register = (6, 0);
pub const PW_CTL: Register = (6, 6);
pub const HWRENA: Register = (7, 0);
pub const BAD_VADDR: Register = (8, 0);
pub const BAD_INSTR: Register = (8, 1);
pub const BAD_INSTR_P: Register = (8, 2);
pub const COUNT: Register = (9, 0);
pub const ENTRY_HI: Register = (10, 0);
pub const COMPARE: Register = (11, 0);
pub const STATUS: Register = (12, 0);
pub const INT_CTL: Register = (12, 1);
pub const CAUSE: Register = (13, 0);
pub const EPC: Register = (14, 0);
pub const PRID: Register = (15, 0);
pub const EBASE: Register = (15, 1);
pub const CONFIG5: Register = (16, 5);
pub const LLADDR: Register = (17, 0);
pub const XCONTEXT: Register = (20, 0);
pub const ERROR_EPC: Register = (30, 0);

/// Status.
pub const IE: u64 = 1 << 0;
pub const EXL: u64 = 1 << 1;
pub const ERL: u64 = 1 << 2;
pub const KSU: u64 = 3 << 3;
pub const BEV: u64 = 1 << 22;
pub const CU1: u64 = 1 << 29;
pub const UX: u64 = 1 << 5;
const SX: u64 = 1 << 6;
pub const KX: u64 = 1 << 7;
const SR_NMI: u64 = 1 << 20 | 1 << 19;
/// Bits that [`status_rules`] decides.
const STATUS_RULED: u64 = KX | SX | UX | KSU | SR_NMI;
/// Cause.
pub const IV: u64 = 1 << 23;
pub const DC: u64 = 1 << 27;
pub const IP: u64 = 0xff << 8;
pub const IP7: u64 = 1 << 15;
pub const TI: u64 = 1 << 30;
pub const BD: u64 = 1 << 31;
pub const CE: u64 = 3 << 28;
/// EntryHi.
pub const R: u64 = 3 << 62;
pub const VPN2: u64 = 0x0000_ffff_ffff_e000;
pub const EHINV: u64 = 1 << 10;
pub const ASID: u64 = 0x3ff;

const ALL: u64 = u64::MAX;

/// Every register there is: its width in bits, what it holds at entry, and which bits are
/// written as they come. [`Model::write`] has the rules for the others.
const TABLE: &[(Register, u32, u64, u64)] = &[
    (INDEX, 32, 0, 0),
    (ENTRY_LO0, 64, 0, 0xc000_0000_3fff_ffff),
    (ENTRY_LO1, 64, 0, 0xc000_0000_3fff_ffff),
    (CONTEXT, 64, 0, !0x7f_ffff),
    (USER_LOCAL, 64, 0, ALL),
    (PAGE_MASK, 32, 0, 0),
    (PAGE_GRAIN, 32, 0xc800_0000, 0),
    (PW_BASE, 64, 0, ALL),
    (PW_FIELD, 64, 0, 0x3f_ffff_ffff),
    (PW_SIZE, 64, 0, 0x7f_ffff_ffff),
    (WIRED, 32, 0, 0),
    (PW_CTL, 32, 0, 0x9c00_003f),
    (HWRENA, 32, 0, 0x2000_002f),
    (BAD_VADDR, 64, 0, 0),
    (BAD_INSTR, 32, 0, 0),
    (BAD_INSTR_P, 32, 0, 0),
    (COUNT, 32, 0, ALL),
    (ENTRY_HI, 64, 0, VPN2 | EHINV | ASID),
    (COMPARE, 32, 0, ALL),
    (STATUS, 32, 0x0400_00e0, 0x30c0_ff07),
    (INT_CTL, 32, 0xe000_0000, 0x3e0),
    ((12, 2), 32, 0, 0xf3c0),
    ((12, 3), 32, 0, ALL),
    (CAUSE, 32, 0, IV | DC | 3 << 8),
    (EPC, 64, 0, ALL),
    (PRID, 32, 0x0001_a900, 0),
    (EBASE, 64, 0xffff_ffff_c000_0000, 0),
    ((16, 0), 32, 0x8000_4a01, 7),
    ((16, 1), 32, 0x9ea3_2301, 0),
    ((16, 2), 32, 0x8000_0000, 0),
    ((16, 3), 32, 0x8d0c_3000, 0),
    ((16, 4), 32, 0xd0fc_0000, 0),
    (CONFIG5, 32, 0x2010, 3 << 8),
    (LLADDR, 32, 1, 0),
    (XCONTEXT, 64, 0, !0x1ff_ffff_ffff),
    ((24, 0), 64, 0, ALL),
    ((25, 0), 32, 0, 0x7ff),
    ((26, 0), 32, 0, 0x3000_0000),
    ((28, 0), 32, 0, 0xffff_fcf6),
    ((28, 1), 32, 0, ALL),
    ((29, 0), 32, 0, ALL),
    ((29, 1), 32, 0, ALL),
    (ERROR_EPC, 64, 0, ALL),
    ((31, 0), 32, 0, ALL),
    ((31, 2), 64, 0, ALL),
    ((31, 3), 64, 0, ALL),
    ((31, 4), 64, 0, ALL),
    ((31, 5), 64, 0, ALL),
    ((31, 6), 64, 0, ALL),
    ((31, 7), 64, 0, ALL),
];

/// What the registers hold; 32-bit registers are sign-extended.
#[derive(Clone, PartialEq, Eq)]
pub struct Registers([[u64; 8]; 32]);

impl Debug for Registers {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        let rows = TABLE.iter().map(|row| (row.0, self.get(row.0)));
        f.debug_map()
            .entries(rows.filter(|row| row.1 != 0))
            .finish()
    }
}

impl Registers {
    pub fn at_entry() -> Self {
        let mut registers = Self([[0; 8]; 32]);
        for &(register, _, value, _) in TABLE {
            registers.set(register, value);
        }
        registers
    }

    pub fn get(&self, register: Register) -> u64 {
        let (number, select) = name(register);
        self.0[number][select]
    }

    /// Sets a register that exists, whatever of it can be written.
    pub fn set(&mut self, (number, select): Register, value: u64) {
        let (_, width, _, _) = row((number, select)).expect("a register of the table");
        self.0[number][select] = if width == 32 { sign(value) } else { value };
    }
}

/// Registers 28 and 29 have two registers each, at even and at odd selects.
fn name((number, select): Register) -> Register {
    match number {
        28 | 29 => (number, select & 1),
        _ => (number, select),
    }
}

/// All registers that there are.
pub fn existing() -> impl Iterator<Item = Register> {
    TABLE.iter().map(|row| row.0)
}

fn row(register: Register) -> Option<(Register, u32, u64, u64)> {
    TABLE.iter().copied().find(|row| row.0 == register)
}

/// sign_extend(value 31..0)
pub fn sign(value: u64) -> u64 {
    value as u32 as i32 as i64 as u64
}

/// The mask of a page size, 4 KiB times a power of 4 and at most 256 MiB, if `value` has that in the
/// field; else that of 4 KiB, as on the board.
pub fn legal_page_mask(value: u64) -> u64 {
    let field = value & 0x1fff_e000;
    let mut masks = (0..=8).map(|power| ((1 << (2 * power)) - 1) << 13);
    masks.find(|mask| field == *mask).unwrap_or(0)
}

/// The registers of the special page, by their offset: page, "Special page".
const SLOTS: &[(u64, Register)] = &[
    (disco_abi::SP_STATUS, STATUS),
    (disco_abi::SP_CAUSE, CAUSE),
    (disco_abi::SP_EPC, EPC),
    (disco_abi::SP_BADVADDR, BAD_VADDR),
    (disco_abi::SP_ENTRYHI, ENTRY_HI),
    (disco_abi::SP_ENTRYLO0, ENTRY_LO0),
    (disco_abi::SP_ENTRYLO1, ENTRY_LO1),
    (disco_abi::SP_PAGEMASK, PAGE_MASK),
    (disco_abi::SP_INDEX, INDEX),
    (disco_abi::SP_CONTEXT, CONTEXT),
    (disco_abi::SP_XCONTEXT, XCONTEXT),
    (disco_abi::SP_ERROREPC, ERROR_EPC),
    (disco_abi::SP_BADINSTR, BAD_INSTR),
    (disco_abi::SP_BADINSTRP, BAD_INSTR_P),
    (disco_abi::SP_USERLOCAL, USER_LOCAL),
    (disco_abi::SP_KSCRATCH, (31, 2)),
    (disco_abi::SP_KSCRATCH + 8, (31, 3)),
    (disco_abi::SP_KSCRATCH + 16, (31, 4)),
    (disco_abi::SP_KSCRATCH + 24, (31, 5)),
    (disco_abi::SP_KSCRATCH + 32, (31, 6)),
    (disco_abi::SP_KSCRATCH + 40, (31, 7)),
];

/// The register in the slot at `offset`.
pub fn in_slot(offset: u64) -> Option<Register> {
    let row = SLOTS.iter().find(|&&(place, _)| place == offset);
    row.map(|&(_, register)| register)
}

impl Model {
    /// II, DMFC0. Registers that do not exist read 0.
    pub fn read(&self, register: Register) -> u64 {
        self.registers.get(register)
    }

    /// II, MFC0: of EntryLo, RI and XI are in bits 31 and 30.
    pub fn read_word(&self, register: Register) -> u64 {
        let value = self.read(register);
        match register {
            ENTRY_LO0 | ENTRY_LO1 => sign(value & 0x3fff_ffff | value >> 62 << 30),
            _ => sign(value),
        }
    }

    /// II, MTC0.
    pub fn write_word(&mut self, register: Register, value: u64) {
        match register {
            ENTRY_LO0 | ENTRY_LO1 => {
                let inhibit = value >> 30 & 3;
                self.write(register, value & 0x3fff_ffff | inhibit << 62);
            }
            // All of a 64-bit register, as QEMU's I6400 has it.
            _ => self.write(register, value),
        }
    }

    /// II, DMTC0. Registers that do not exist ignore it.
    pub fn write(&mut self, register: Register, value: u64) {
        let register = name(register);
        let Some((_, _, _, plain)) = row(register) else {
            return;
        };
        let old = self.read(register);
        let mut new = old & !plain | value & plain;
        match register {
            // P is set, and never cleared.
            INDEX if value & 0x7fff_ffff < 16 => new = (old | value) & 1 << 31 | value & 15,
            WIRED if value & 0xffff_ffff < 16 => new = value & 15,
            // Its slot may hold what the register does not.
            ENTRY_LO0 | ENTRY_LO1 => new = value & plain,
            PAGE_MASK => new = legal_page_mask(value),
            // R = 2 is reserved and leaves R.
            ENTRY_HI if value >> 62 != 2 => new = new & !R | value & R,
            STATUS => new = new & !STATUS_RULED | status_rules(old, value),
            EBASE => {
                const GATE: u64 = 1 << 11;
                new = if value & GATE != 0 {
                    value & !0xfff | GATE | old & 0x3ff
                } else {
                    old & !0x3fff_f000 & !GATE | value & 0x3fff_f000
                };
            }
            COMPARE => {
                let cause = self.read(CAUSE);
                self.registers.set(CAUSE, cause & !(TI | IP7));
            }
            // LLB reads 1, and writing 0 breaks the pair.
            _ => {}
        }
        self.registers.set(register, new);
    }
}

/// [`STATUS_RULED`]: no SX without KX, no UX without SX; KSU 3 leaves KSU; SR and NMI are only
/// cleared.
fn status_rules(old: u64, value: u64) -> u64 {
    let mut bits = value & KX;
    if bits & KX != 0 {
        bits |= value & SX;
    }
    if bits & SX != 0 {
        bits |= value & UX;
    }
    bits |= if value & KSU == KSU { old } else { value } & KSU;
    bits | old & value & SR_NMI
}
