//! Coprocessor 0: the registers of the real CPU, their numbers and their bits.
//!
//! Numbers and bits are plain Rust and compile on the host; access exists on the board only.

use bitflags::bitflags;

bitflags! {
    /// Status (register 12, select 0).
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct Status: u32 {
        /// Interrupts enabled.
        const IE = 1 << 0;
        /// Exception level: kernel mode with interrupts off, set by every exception.
        const EXL = 1 << 1;
        /// Error level: like `EXL`, set at reset.
        const ERL = 1 << 2;
        /// Supervisor mode (the field KSU has the value 1).
        const KSU_SUPERVISOR = 1 << 3;
        /// User mode (the field KSU has the value 2).
        const KSU_USER = 1 << 4;
        /// 64-bit user addresses.
        const UX = 1 << 5;
        /// 64-bit supervisor addresses.
        const SX = 1 << 6;
        /// 64-bit kernel addresses.
        const KX = 1 << 7;
        /// 64-bit instructions in user mode, also without `UX`.
        const PX = 1 << 23;
        /// Mask of the eight interrupt lines.
        const IM = 0xff << 8;
        /// The reset was a non-maskable interrupt.
        const NMI = 1 << 19;
        /// A soft reset.
        const SR = 1 << 20;
        /// Exceptions go to the boot ROM.
        const BEV = 1 << 22;
        /// The FPU has 32 registers of 64 bits.
        const FR = 1 << 26;
        /// Coprocessor 0 usable outside kernel mode.
        const CU0 = 1 << 28;
        /// FPU usable.
        const CU1 = 1 << 29;
        /// Coprocessor 2 usable.
        const CU2 = 1 << 30;
        const _ = !0;
    }
}

bitflags! {
    /// Cause (register 13, select 0).
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct Cause: u32 {
        /// Code of the exception.
        const EXC_CODE = 0x1f << 2;
        /// Software interrupt 0.
        const IP0 = 1 << 8;
        /// Software interrupt 1.
        const IP1 = 1 << 9;
        /// Hardware interrupt 0.
        const IP2 = 1 << 10;
        /// Hardware interrupt 1.
        const IP3 = 1 << 11;
        /// Hardware interrupt 2.
        const IP4 = 1 << 12;
        /// Hardware interrupt 3.
        const IP5 = 1 << 13;
        /// Hardware interrupt 4.
        const IP6 = 1 << 14;
        /// Hardware interrupt 5: Count has reached Compare.
        const IP7 = 1 << 15;
        /// Interrupts have their own vector, 0x200.
        const IV = 1 << 23;
        /// Count stands still.
        const DC = 1 << 27;
        /// Number of the unusable coprocessor.
        const CE = 3 << 28;
        /// Count has reached Compare.
        const TI = 1 << 30;
        /// The exception struck in a delay slot; EPC is the branch.
        const BD = 1 << 31;
        const _ = !0;
    }
}

bitflags! {
    /// Config5 (register 16, select 5).
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct Config5: u32 {
        /// `sdbbp` outside kernel mode is a reserved instruction, not a way into debug mode.
        const SBRI = 1 << 6;
        const _ = !0;
    }
}

bitflags! {
    /// PageGrain (register 5, select 1).
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct PageGrain: u32 {
        /// Read and execute inhibit raise exceptions of their own (codes 19 and 20).
        const IEC = 1 << 27;
        /// Physical addresses beyond 36 bits.
        const ELPA = 1 << 29;
        /// The execute-inhibit bit of EntryLo exists.
        const XIE = 1 << 30;
        /// The read-inhibit bit of EntryLo exists.
        const RIE = 1 << 31;
        const _ = !0;
    }
}

bitflags! {
    /// HWREna (register 7, select 0): what `rdhwr` may read outside kernel mode.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct HwrEna: u32 {
        /// Number of the CPU (hardware register 0).
        const CPU_NUM = 1 << 0;
        /// Step of `synci` (hardware register 1).
        const SYNCI_STEP = 1 << 1;
        /// Count (hardware register 2).
        const COUNT = 1 << 2;
        /// CPU cycles per tick of Count (hardware register 3).
        const COUNT_RESOLUTION = 1 << 3;
        /// UserLocal (hardware register 29).
        const USER_LOCAL = 1 << 29;
        const _ = !0;
    }
}

impl Cause {
    /// Code of the exception, 0 to 31.
    pub const fn exception_code(self) -> u32 {
        (self.bits() >> 2) & 0x1f
    }

    /// Number of the coprocessor that was not usable, 0 to 3.
    pub const fn coprocessor(self) -> u32 {
        (self.bits() >> 28) & 3
    }
}

/// EBase: the write gate, without which the upper 34 bits keep their value.
pub const EBASE_WRITE_GATE: u64 = 1 << 11;
/// EBase: number of this CPU.
pub const EBASE_CPU_NUMBER: u64 = 0x3ff;

/// Reads a 32-bit register by number and select: `read32!(12, 0)`. Evaluates to `u32`.
#[cfg(target_os = "none")]
#[macro_export]
macro_rules! read32 {
    ($register:literal, $select:literal) => {{
        let value: u64;
        // SAFETY: reading a CP0 register changes nothing; the monitor runs in kernel mode.
        unsafe {
            ::core::arch::asm!(
                ".set push",
                ".set noat",
                concat!("mfc0 {0}, $", $register, ", ", $select),
                ".set pop",
                out(reg) value,
                options(nomem, nostack, preserves_flags)
            )
        };
        value as u32
    }};
}

/// Reads a 64-bit register by number and select: `read64!(14, 0)`. Evaluates to `u64`.
#[cfg(target_os = "none")]
#[macro_export]
macro_rules! read64 {
    ($register:literal, $select:literal) => {{
        let value: u64;
        // SAFETY: reading a CP0 register changes nothing; the monitor runs in kernel mode.
        unsafe {
            ::core::arch::asm!(
                ".set push",
                ".set noat",
                concat!("dmfc0 {0}, $", $register, ", ", $select),
                ".set pop",
                out(reg) value,
                options(nomem, nostack, preserves_flags)
            )
        };
        value
    }};
}

/// Writes a 32-bit register and waits until later instructions see it: `write32!(12, 0, value)`.
/// Unsafe: the caller answers for what the register does.
#[cfg(target_os = "none")]
#[macro_export]
macro_rules! write32 {
    ($register:literal, $select:literal, $value:expr) => {
        ::core::arch::asm!(
            ".set push",
            ".set noat",
            concat!("mtc0 {0}, $", $register, ", ", $select),
            "ehb",
            ".set pop",
            in(reg) u64::from($value),
            options(nostack, preserves_flags)
        )
    };
}

/// Writes a 64-bit register and waits until later instructions see it: `write64!(14, 0, value)`.
/// Unsafe: the caller answers for what the register does.
#[cfg(target_os = "none")]
#[macro_export]
macro_rules! write64 {
    ($register:literal, $select:literal, $value:expr) => {
        ::core::arch::asm!(
            ".set push",
            ".set noat",
            concat!("dmtc0 {0}, $", $register, ", ", $select),
            "ehb",
            ".set pop",
            in(reg) $value,
            options(nostack, preserves_flags)
        )
    };
}

#[cfg(target_os = "none")]
pub use access::*;

#[cfg(target_os = "none")]
mod access {
    use super::{Cause, Config5, HwrEna, PageGrain, Status, EBASE_CPU_NUMBER, EBASE_WRITE_GATE};

    macro_rules! accessors {
        ($(#[doc = $doc:literal] $kind:ident $read:ident $(/ $write:ident)? : $register:literal, $select:literal;)*) => {
            $(accessors!(@$kind $doc, $read, $register, $select);
              $(accessors!(@write $kind $doc, $write, $register, $select);)?)*
        };
        (@r32 $doc:literal, $name:ident, $register:literal, $select:literal) => {
            #[doc = $doc]
            #[inline(always)]
            pub fn $name() -> u32 {
                read32!($register, $select)
            }
        };
        (@r64 $doc:literal, $name:ident, $register:literal, $select:literal) => {
            #[doc = $doc]
            #[inline(always)]
            pub fn $name() -> u64 {
                read64!($register, $select)
            }
        };
        (@write r32 $doc:literal, $name:ident, $register:literal, $select:literal) => {
            #[doc = $doc]
            ///
            /// # Safety
            /// The caller answers for the effect on this CPU.
            #[inline(always)]
            pub unsafe fn $name(value: u32) {
                // SAFETY: passed on to the caller.
                unsafe { write32!($register, $select, value) }
            }
        };
        (@write r64 $doc:literal, $name:ident, $register:literal, $select:literal) => {
            #[doc = $doc]
            ///
            /// # Safety
            /// The caller answers for the effect on this CPU.
            #[inline(always)]
            pub unsafe fn $name(value: u64) {
                // SAFETY: passed on to the caller.
                unsafe { write64!($register, $select, value) }
            }
        };
    }

    accessors! {
        /// Index: the TLB entry of `tlbwi` and `tlbr`, the answer of `tlbp`.
        r32 index / set_index: 0, 0;
        /// EntryLo0: the even page of a TLB pair.
        r64 entry_lo0 / set_entry_lo0: 2, 0;
        /// EntryLo1: the odd page of a TLB pair.
        r64 entry_lo1 / set_entry_lo1: 3, 0;
        /// Context.
        r64 context / set_context: 4, 0;
        /// UserLocal, read by `rdhwr $29`.
        r64 user_local / set_user_local: 4, 2;
        /// PageMask: the page size of a TLB pair.
        r32 page_mask / set_page_mask: 5, 0;
        /// Wired: how many TLB entries `tlbwr` never replaces.
        r32 wired / set_wired: 6, 0;
        /// BadVAddr: the address of the last address exception.
        r64 bad_vaddr: 8, 0;
        /// BadInstr: the instruction that raised the exception.
        r32 bad_instr: 8, 1;
        /// BadInstrP: the branch before it, if it was in a delay slot.
        r32 bad_instr_p: 8, 2;
        /// Count.
        r32 count / set_count: 9, 0;
        /// EntryHi: virtual page and address space of a TLB pair.
        r64 entry_hi / set_entry_hi: 10, 0;
        /// Compare: the timer interrupt comes when Count reaches it; writing clears it.
        r32 compare / set_compare: 11, 0;
        /// EPC: where the exception struck.
        r64 epc / set_epc: 14, 0;
        /// PRId: kind of CPU.
        r32 prid: 15, 0;
        /// Config.
        r32 config0 / set_config0: 16, 0;
        /// Config1.
        r32 config1: 16, 1;
        /// Config2.
        r32 config2: 16, 2;
        /// Config3.
        r32 config3: 16, 3;
        /// Config4.
        r32 config4: 16, 4;
        /// XContext.
        r64 xcontext / set_xcontext: 20, 0;
        /// ErrorEPC.
        r64 error_epc / set_error_epc: 30, 0;
        /// KScratch1: the monitor's per-CPU pointer.
        r64 kscratch1 / set_kscratch1: 31, 2;
        /// KScratch2.
        r64 kscratch2 / set_kscratch2: 31, 3;
        /// KScratch3.
        r64 kscratch3 / set_kscratch3: 31, 4;
        /// KScratch4.
        r64 kscratch4 / set_kscratch4: 31, 5;
        /// KScratch5.
        r64 kscratch5 / set_kscratch5: 31, 6;
        /// KScratch6.
        r64 kscratch6 / set_kscratch6: 31, 7;
    }

    /// Status.
    #[inline(always)]
    pub fn status() -> Status {
        Status::from_bits_retain(read32!(12, 0))
    }

    /// Status.
    ///
    /// # Safety
    /// The caller answers for mode, interrupts and address spaces that follow.
    #[inline(always)]
    pub unsafe fn set_status(value: Status) {
        // SAFETY: passed on to the caller.
        unsafe { write32!(12, 0, value.bits()) }
    }

    /// Cause.
    #[inline(always)]
    pub fn cause() -> Cause {
        Cause::from_bits_retain(read32!(13, 0))
    }

    /// Cause: `IP0`, `IP1`, `IV` and `DC` can be written.
    ///
    /// # Safety
    /// The caller answers for the interrupts that follow.
    #[inline(always)]
    pub unsafe fn set_cause(value: Cause) {
        // SAFETY: passed on to the caller.
        unsafe { write32!(13, 0, value.bits()) }
    }

    /// Config5.
    #[inline(always)]
    pub fn config5() -> Config5 {
        Config5::from_bits_retain(read32!(16, 5))
    }

    /// Config5.
    ///
    /// # Safety
    /// The caller answers for the architecture features that change.
    #[inline(always)]
    pub unsafe fn set_config5(value: Config5) {
        // SAFETY: passed on to the caller.
        unsafe { write32!(16, 5, value.bits()) }
    }

    /// PageGrain.
    #[inline(always)]
    pub fn page_grain() -> PageGrain {
        PageGrain::from_bits_retain(read32!(5, 1))
    }

    /// PageGrain.
    ///
    /// # Safety
    /// No TLB entry may be in use that means something else afterwards.
    #[inline(always)]
    pub unsafe fn set_page_grain(value: PageGrain) {
        // SAFETY: passed on to the caller.
        unsafe { write32!(5, 1, value.bits()) }
    }

    /// What `rdhwr` may read outside kernel mode.
    ///
    /// # Safety
    /// The caller answers for what guests get to see.
    #[inline(always)]
    pub unsafe fn set_hwrena(value: HwrEna) {
        // SAFETY: passed on to the caller.
        unsafe { write32!(7, 0, value.bits()) }
    }

    /// Number of this CPU, from 0.
    #[inline(always)]
    pub fn cpu_number() -> usize {
        (read64!(15, 1) & EBASE_CPU_NUMBER) as usize
    }

    /// Base of this CPU's exception vectors, a virtual address.
    #[inline(always)]
    pub fn exception_base() -> u64 {
        read64!(15, 1) & !0xfff
    }

    /// Moves this CPU's exception vectors to `base`, a virtual address that needs no TLB entry.
    ///
    /// # Safety
    /// `base` is a multiple of 4 KiB and holds exception vectors. `Status.BEV` is set.
    #[inline(always)]
    pub unsafe fn set_exception_base(base: u64) {
        // SAFETY: passed on to the caller.
        unsafe { write64!(15, 1, base | EBASE_WRITE_GATE) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cause_fields() {
        let cause = Cause::from_bits_retain(0x9080_802c);
        assert_eq!(cause.exception_code(), 11);
        assert_eq!(cause.coprocessor(), 1);
        assert!(cause.contains(Cause::BD | Cause::IV | Cause::IP7));
        assert!(!cause.contains(Cause::TI));
    }
}
