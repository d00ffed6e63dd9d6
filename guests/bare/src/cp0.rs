//! Privileged registers with `dmfc0` and `dmtc0`, and privileged instructions.

use core::arch::asm;

/// A register, by its number and select.
#[derive(Clone, Copy)]
pub struct Register<const NUMBER: u32, const SELECT: u32>;

impl<const NUMBER: u32, const SELECT: u32> Register<NUMBER, SELECT> {
    /// Reads it with `dmfc0`.
    #[inline(always)]
    pub fn read(self) -> u64 {
        let value: u64;
        // SAFETY: reading a CP0 register has no effect on memory or the compiler's registers.
        unsafe {
            asm!(
                ".set push", ".set noat", "dmfc0 {value}, ${number}, {select}", ".set pop",
                value = out(reg) value, number = const NUMBER, select = const SELECT,
                options(nostack)
            )
        };
        value
    }

    /// Writes it with `dmtc0`.
    #[inline(always)]
    pub fn write(self, value: u64) {
        // SAFETY: what the register does to this guest is what its test is about; the compiler's
        // code uses only the linear window, which no register changes.
        unsafe {
            asm!(
                ".set push", ".set noat", "dmtc0 {value}, ${number}, {select}", ".set pop",
                value = in(reg) value, number = const NUMBER, select = const SELECT,
                options(nostack)
            )
        };
    }
}

/// The registers.
pub mod reg {
    use super::Register;

    macro_rules! numbers {
        ($($(#[$doc:meta])* $name:ident = $number:literal, $select:literal;)*) => {
            $($(#[$doc])* pub const $name: Register<$number, $select> = Register;)*
        };
    }

    numbers! {
        /// Index
        INDEX = 0, 0;
        /// EntryLo0
        ENTRY_LO0 = 2, 0;
        /// EntryLo1
        ENTRY_LO1 = 3, 0;
        /// Context
        CONTEXT = 4, 0;
        /// UserLocal
        USER_LOCAL = 4, 2;
        /// PageMask
        PAGE_MASK = 5, 0;
        /// PageGrain
        PAGE_GRAIN = 5, 1;
        /// PWBase
        PW_BASE = 5, 5;
        /// PWField
        PW_FIELD = 5, 6;
        /// PWSize
        PW_SIZE = 5, 7;
        /// Wired
        WIRED = 6, 0;
        /// PWCtl
        PW_CTL = 6, 6;
        /// HWREna
        HWRENA = 7, 0;
        /// BadVAddr
        BAD_VADDR = 8, 0;
        /// BadInstr
        BAD_INSTR = 8, 1;
        /// BadInstrP
        BAD_INSTR_P = 8, 2;
        /// Count
        COUNT = 9, 0;
        /// EntryHi
        ENTRY_HI = 10, 0;
        /// Compare
        COMPARE = 11, 0;
        /// Status
        STATUS = 12, 0;
        /// Cause
        CAUSE = 13, 0;
        /// EPC
        EPC = 14, 0;
        /// PRId
        PRID = 15, 0;
        /// EBase
        EBASE = 15, 1;
        /// Config
        CONFIG = 16, 0;
        /// Config1
        CONFIG1 = 16, 1;
        /// Config3
        CONFIG3 = 16, 3;
        /// Config5
        CONFIG5 = 16, 5;
        /// LLAddr
        LLADDR = 17, 0;
        /// XContext
        XCONTEXT = 20, 0;
        /// ErrorEPC
        ERROR_EPC = 30, 0;
        /// KScratch1
        KSCRATCH1 = 31, 2;
        /// KScratch6
        KSCRATCH6 = 31, 7;
    }
}

/// Interrupts enabled.
pub const STATUS_IE: u64 = 1 << 0;
/// Exception level.
pub const STATUS_EXL: u64 = 1 << 1;
/// Error level.
pub const STATUS_ERL: u64 = 1 << 2;
/// KSU: user mode.
pub const STATUS_KSU_USER: u64 = 1 << 4;
/// Exceptions go to the boot ROM.
pub const STATUS_BEV: u64 = 1 << 22;
/// FPU usable.
pub const STATUS_CU1: u64 = 1 << 29;
/// Mask of interrupt line `line`, and its place in Cause.
pub const fn line(line: u32) -> u64 {
    1 << (8 + line)
}
/// Cause: interrupts have a vector of their own.
pub const CAUSE_IV: u64 = 1 << 23;
/// Cause: Count stands still.
pub const CAUSE_DC: u64 = 1 << 27;
/// Cause: the timer has struck.
pub const CAUSE_TI: u64 = 1 << 30;

macro_rules! instructions {
    ($($(#[$doc:meta])* $name:ident $text:literal,)*) => {
        $(
            $(#[$doc])*
            #[inline(always)]
            pub fn $name() {
                // SAFETY: concerns CP0 only, and no mapping that the compiler's code uses.
                unsafe { asm!($text, options(nostack)) }
            }
        )*
    };
}

instructions! {
    /// `tlbr`
    tlbr "tlbr",
    /// `tlbwi`
    tlbwi "tlbwi",
    /// `tlbwr`
    tlbwr "tlbwr",
    /// `tlbp`
    tlbp "tlbp",
    /// `tlbinv`
    tlbinv ".word 0x42000003",
    /// `tlbinvf`
    tlbinvf ".word 0x42000004",
    /// `wait`
    wait "wait",
    /// `ei`
    ei "ei",
    /// `di`
    di "di",
}

/// Sets bits of Status.
pub fn set_status(bits: u64) {
    reg::STATUS.write(reg::STATUS.read() | bits);
}

/// Clears bits of Status.
pub fn clear_status(bits: u64) {
    reg::STATUS.write(reg::STATUS.read() & !bits);
}
