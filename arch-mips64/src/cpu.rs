//! This CPU as a whole: how it is set up, where it runs, how it waits.

use crate::cp0::{self, Cause, Config5, HwrEna, PageGrain, Status};
use crate::tlb;
use core::arch::{asm, global_asm};

/// What a CPU needs to begin, read by [`enter`]'s assembly.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct CpuStart {
    /// End of its stack, a multiple of 16.
    pub stack_top: u64,
    /// Its per-CPU pointer, for KScratch1.
    pub per_cpu: u64,
    /// Address of the function to call, an `extern "C" fn(usize) -> !`, in its node's code.
    pub function: u64,
    /// That function's argument.
    pub argument: u64,
}

global_asm!(
    ".pushsection .text.disco_cpu_enter, \"ax\"",
    ".globl disco_cpu_enter",
    ".type disco_cpu_enter, @function",
    "disco_cpu_enter:",
    "    ld      $sp, {stack_top}($a0)",
    "    ld      $t0, {per_cpu}($a0)",
    "    dmtc0   $t0, $31, 2",
    "    ld      $t9, {function}($a0)",
    "    ld      $a0, {argument}($a0)",
    "    move    $fp, $zero",
    "    move    $ra, $zero",
    "    jr      $t9",
    ".size disco_cpu_enter, . - disco_cpu_enter",
    ".popsection",
    stack_top = const core::mem::offset_of!(CpuStart, stack_top),
    per_cpu = const core::mem::offset_of!(CpuStart, per_cpu),
    function = const core::mem::offset_of!(CpuStart, function),
    argument = const core::mem::offset_of!(CpuStart, argument),
);

extern "C" {
    fn disco_cpu_enter(start: *const CpuStart) -> !;
}

/// Address of the code that takes a [`CpuStart`] in `$a0` and begins there: for the mailbox.
pub fn enter_address() -> u64 {
    disco_cpu_enter as *const () as u64
}

/// Leaves the present stack for good and begins as `start` says.
///
/// # Safety
/// `start` describes a stack that nobody uses and a function that fits it.
pub unsafe fn enter(start: &CpuStart) -> ! {
    // SAFETY: passed on to the caller.
    unsafe { disco_cpu_enter(start) }
}

/// Sets this CPU up to run the monitor and guests: 64-bit addresses in every mode, `sdbbp` closed,
/// an empty TLB with `wired` entries kept from `tlbwr`, interrupts off. Exceptions will go to
/// `vectors` after [`leave_boot_vectors`]; until then the reset code reports them and ends.
///
/// # Safety
/// `vectors` is a multiple of 4 KiB in unmapped memory and holds exception vectors.
pub unsafe fn init(vectors: u64, wired: u32) {
    // SAFETY: the monitor runs in kernel mode from xkphys, so none of this changes what it sees;
    // the vectors are the caller's.
    unsafe {
        cp0::set_status(Status::KX | Status::SX | Status::UX | Status::BEV);
        cp0::set_exception_base(vectors);
        cp0::set_cause(Cause::IV);
        cp0::set_config5(cp0::config5() | Config5::SBRI);
        cp0::set_page_grain(PageGrain::RIE | PageGrain::XIE | PageGrain::ELPA | PageGrain::IEC);
        cp0::set_hwrena(HwrEna::USER_LOCAL);
        cp0::set_wired(0);
        tlb::flush_all();
        cp0::set_wired(wired);
        cp0::set_compare(cp0::count().wrapping_sub(1));
    }
}

/// From here on exceptions of this CPU go to the vectors that [`init`] was told.
///
/// # Safety
/// What the vectors use, KScratch1 above all, is set up.
pub unsafe fn leave_boot_vectors() {
    // SAFETY: the vectors are in place, says the caller.
    unsafe { cp0::set_status(cp0::status() - Status::BEV) };
}

/// Virtual address of the instruction that asks.
#[inline(always)]
pub fn program_counter() -> u64 {
    let address: u64;
    // SAFETY: adds to the program counter, nothing else.
    unsafe {
        asm!(".set push", ".set noat", "lapc {0}, .", ".set pop", out(reg) address, options(nomem, nostack, preserves_flags))
    };
    address
}

/// An instruction that does nothing, and tells the exact model of the memory system something.
#[inline(always)]
pub fn mark<const NUMBER: u16>() {
    // SAFETY: writes to the register that is always 0. It is no option `nomem`: it stays where it is.
    unsafe { asm!("ori $zero, $zero, {}", const NUMBER, options(nostack, preserves_flags)) };
}

/// Stops this CPU until an interrupt that Status does not mask is pending.
#[inline(always)]
pub fn wait() {
    // SAFETY: `wait` only passes time. It is no option `nomem`: others store meanwhile.
    unsafe { asm!("wait", options(nostack)) };
}

/// Clears `start..start + len`, 64 bytes at a time.
///
/// # Safety
/// The range is mapped memory that nobody else uses, and both numbers are multiples of 64.
pub unsafe fn zero(start: u64, len: u64) {
    // SAFETY: stores to the caller's range only; with an empty one, none.
    unsafe {
        asm!(
            ".set push",
            ".set noat",
            ".set noreorder",
            "beq {at}, {end}, 3f",
            "nop",
            "2: sd $zero, 0({at})",
            "sd $zero, 8({at})",
            "sd $zero, 16({at})",
            "sd $zero, 24({at})",
            "sd $zero, 32({at})",
            "sd $zero, 40({at})",
            "sd $zero, 48({at})",
            "daddiu {at}, {at}, 64",
            "bne {at}, {end}, 2b",
            "sd $zero, -8({at})",
            "3:",
            ".set pop",
            at = inout(reg) start => _,
            end = in(reg) start + len,
            options(nostack)
        )
    };
}

/// Copies `from..from + len` to `to`, 64 bytes at a time.
///
/// # Safety
/// Both ranges are mapped memory that nobody else writes to, they do not overlap, and all numbers are multiples of 64.
pub unsafe fn copy(from: u64, to: u64, len: u64) {
    // SAFETY: loads from and stores to the caller's ranges only; with empty ones, none.
    unsafe {
        asm!(
            ".set push",
            ".set noat",
            ".set noreorder",
            "beq {from}, {end}, 3f",
            "nop",
            "2: ld {a}, 0({from})",
            "ld {b}, 8({from})",
            "ld {c}, 16({from})",
            "ld {d}, 24({from})",
            "sd {a}, 0({to})",
            "sd {b}, 8({to})",
            "sd {c}, 16({to})",
            "sd {d}, 24({to})",
            "ld {a}, 32({from})",
            "ld {b}, 40({from})",
            "ld {c}, 48({from})",
            "ld {d}, 56({from})",
            "daddiu {from}, {from}, 64",
            "daddiu {to}, {to}, 64",
            "sd {a}, -32({to})",
            "sd {b}, -24({to})",
            "sd {c}, -16({to})",
            "bne {from}, {end}, 2b",
            "sd {d}, -8({to})",
            "3:",
            ".set pop",
            from = inout(reg) from => _,
            to = inout(reg) to => _,
            end = in(reg) from + len,
            a = out(reg) _,
            b = out(reg) _,
            c = out(reg) _,
            d = out(reg) _,
            options(nostack)
        )
    };
}

/// Makes instructions that were stored to `start..start + len` visible to instruction fetch on
/// every CPU.
///
/// # Safety
/// The range is mapped memory.
pub unsafe fn publish_code(start: u64, len: u64) {
    // The smallest step that a cache of this architecture has.
    const STEP: u64 = 32;
    /// So many in a row make one loop's turn cheap: pages are published when they move.
    const ROW: u64 = 16 * STEP;
    let mut address = start;
    while address + ROW <= start + len {
        // SAFETY: the caller's range.
        unsafe {
            asm!(
                ".set push", ".set noat",
                ".irp step, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
                "synci 32 * \\step({0})",
                ".endr",
                ".set pop", in(reg) address, options(nostack)
            )
        };
        address += ROW;
    }
    while address < start + len {
        // SAFETY: the caller's range.
        unsafe {
            asm!(".set push", ".set noat", "synci 0({0})", ".set pop", in(reg) address, options(nostack))
        };
        address += STEP;
    }
    // SAFETY: orders memory accesses.
    unsafe { asm!("sync", options(nostack)) };
}
