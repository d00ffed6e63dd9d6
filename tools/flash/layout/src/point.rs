//! Points in the monitor's code that say what a CPU has come into the monitor for.
//!
//! A point is a label, not an instruction: the monitor's ELF file has its address and its number in
//! [`SECTION`], which is not loaded. Whoever watches every instruction, as the plugin behind
//! `cargo xtask bench --breakdown` does, knows by them what happens.

/// The section: for each place in the code two big-endian words of 64 bits, its address and its number.
pub const SECTION: &str = ".disco_points";
/// Bytes of a record in [`SECTION`].
pub const RECORD_BYTES: usize = 16;

/// TLB refill vector.
pub const REFILL: u64 = 0;
/// General exception vector.
pub const GENERAL: u64 = 1;
/// Interrupt vector.
pub const INTERRUPT: u64 = 2;
/// The vectors have found a pair in the second-level TLB.
pub const SECOND_LEVEL: u64 = 3;
/// They have found a large page of a linear window.
pub const LARGE_PAGE: u64 = 4;
/// They hand a system call to the guest's kernel.
pub const SYSTEM_CALL: u64 = 5;
/// They do `eret` for the guest's kernel.
pub const ERET: u64 = 6;
/// They leave the rest to Rust; the instruction stores the guest's `$v0`.
pub const SAVE: u64 = 7;
/// A refill is served by an entry of the virtual TLB.
pub const VIRTUAL_TLB: u64 = 8;
/// A translation comes from the guest's page tables.
pub const WALK: u64 = 9;
/// A page of a linear window is mapped by itself.
pub const WINDOW_PAGE: u64 = 10;
/// The guest's TLB entry did not allow the access.
pub const TLB_FAULT: u64 = 11;
/// The guest gets an exception.
pub const REFLECT: u64 = 12;
/// That is a TLB refill.
pub const REFLECT_REFILL: u64 = 13;
/// A privileged instruction.
pub const PRIVILEGED: u64 = 14;
/// A monitor call, by the number in `$v0`.
pub const CALL: u64 = 15;
/// The FPU is given to the virtual CPU.
pub const FPU: u64 = 16;
/// `rdhwr` of a register that traps.
pub const RDHWR: u64 = 17;
/// A guest page gets a machine page.
pub const POPULATE: u64 = 18;
/// A guest page is copied on write.
pub const UNSHARE: u64 = 19;
/// The guest is interrupted.
pub const DELIVER: u64 = 20;
/// The real timer.
pub const TIMER: u64 = 21;
/// Another CPU.
pub const IPI: u64 = 22;
/// A device of the board.
pub const BOARD: u64 = 23;
/// A turn of the scheduler.
pub const TURN: u64 = 24;
/// Another virtual CPU is put into the real one.
pub const LOAD: u64 = 25;
/// Nothing is to be run.
pub const IDLE: u64 = 26;
/// The serial line is served.
pub const CONSOLE: u64 = 27;
/// Real devices are served.
pub const DEVICES: u64 = 28;
/// A sibling wants translations forgotten.
pub const SHOOTDOWN: u64 = 29;
/// A miss is sampled.
pub const SAMPLE: u64 = 30;

/// Names, by number.
pub const NAMES: [&str; 31] = [
    "refill",
    "general",
    "interrupt",
    "second_level",
    "large_page",
    "system_call",
    "eret",
    "save",
    "virtual_tlb",
    "walk",
    "window_page",
    "tlb_fault",
    "reflect",
    "reflect_refill",
    "privileged",
    "call",
    "fpu",
    "rdhwr",
    "populate",
    "unshare",
    "deliver",
    "timer",
    "ipi",
    "board",
    "turn",
    "load",
    "idle",
    "console",
    "devices",
    "shootdown",
    "sample",
];
