//! What the host and the executor of random programs agree on.
//!
//! The host writes programs into *slots* of the machine's memory, which is a file that it shares
//! with QEMU, and reads the results there. A slot has four pages of 16 KiB: one that the program's
//! code is copied to, two of data, and a control page that the program never sees. Every number is
//! big-endian and has 8 bytes unless something else is said.
#![no_std]

/// Bytes of a page of a slot.
pub const PAGE: u64 = 16 << 10;
/// Bytes of a slot.
pub const SLOT: u64 = 4 * PAGE;
/// Slots.
pub const SLOTS: u64 = 256;
/// Physical address of the first slot.
pub const SLOTS_AT: u64 = 16 << 20;
/// Physical address of the mailbox, a page of its own.
pub const MAILBOX_AT: u64 = SLOTS_AT - PAGE;

/// Offsets of a slot's pages.
pub const CODE_PAGE: u64 = 0;
/// The first page of data.
pub const DATA_PAGE: u64 = PAGE;
/// Bytes of data: two pages.
pub const DATA: u64 = 2 * PAGE;
/// The control page.
pub const CONTROL_PAGE: u64 = 3 * PAGE;

/// The first word of a control page; the slot's number is the second.
pub const SLOT_MAGIC: u64 = 0x4449_5343_4f46_5a53;
/// The first word of the mailbox.
pub const MAILBOX_MAGIC: u64 = 0x4449_5343_4f46_5a4d;

/// The first word of the witness's own page.
pub const WITNESS_MAGIC: u64 = 0x4449_5343_4f46_5a57;
/// Rounds that the witness has made.
pub const WITNESS_ROUNDS: u64 = 0x08;
/// Words that were not as it had left them.
pub const WITNESS_WRONG: u64 = 0x10;

/// Words of a program.
pub const WORDS: usize = 512;

/// Mailbox: the number of the last batch that the host asks for.
pub const MAIL_ASKED: u64 = 0x08;
/// Mailbox: the number of the last batch that is done.
pub const MAIL_DONE: u64 = 0x10;
/// Mailbox: the slot that runs.
pub const MAIL_RUNNING: u64 = 0x18;
/// Mailbox: for even and odd batches, the first slot and how many.
pub const MAIL_BATCH: u64 = 0x20;

/// Offsets in a control page. General registers at the start; `$26` and `$27` are the executor's,
/// but for the program counter at the start, which has the place of `$26`.
pub const GPR: u64 = 0x100;
/// Floating-point registers at the start, then FCSR.
pub const FPR: u64 = 0x200;
/// CP0 registers at the start, in the order of [`START_REGISTERS`].
pub const CP0: u64 = 0x320;
/// How many TLB entries there are at the start.
pub const TLB_COUNT: u64 = 0x400;
/// TLB entries at the start: EntryHi, EntryLo0, EntryLo1, PageMask of indices 0, 1, ...
pub const TLB: u64 = 0x408;
/// Addresses where the code is seen, without the low 11 bits; the first is where a program goes on
/// that has lost its way.
pub const CODE_BASES: u64 = 0x620;
/// How many of them.
pub const CODE_BASE_COUNT: usize = 3;
/// General registers at the end; `$26` is missing.
pub const END_GPR: u64 = 0x700;
/// Floating-point registers at the end, then FCSR.
pub const END_FPR: u64 = 0x800;
/// CP0 registers at the end, in the order of [`END_REGISTERS`].
pub const END_CP0: u64 = 0x920;
/// All TLB entries at the end.
pub const END_TLB: u64 = 0xa40;
/// How many exceptions were taken.
pub const TRACE_COUNT: u64 = 0xc40;
/// The trace: [`TRACE_ENTRY`] bytes for each exception.
pub const TRACE: u64 = 0x1000;
/// Bytes of an entry: see [`TRACE_FIELDS`].
pub const TRACE_ENTRY: u64 = 96;
/// A program ends at the latest with this exception.
pub const TRACE_MAX: u64 = 64;
/// Where the code lies before it is copied to its page.
pub const CODE: u64 = 0x2800;
/// For each word of code 2 bytes that say how to go on behind an exception: see [`RESUME_END`].
pub const RESUME: u64 = 0x3000;

/// Resume table: the word to go on with.
pub const RESUME_WORD: u16 = 0x1ff;
/// Resume table: the program ends here.
pub const RESUME_END: u16 = 0x4000;
/// Resume table: interrupts go on there, too, and not where they struck: a waiting loop.
pub const RESUME_INTERRUPT: u16 = 0x8000;

/// EntryLo0 and EntryLo1 of entry 0, the code in user space, and its PageMask: written again when
/// an instruction cannot be fetched.
pub const HOME: u64 = TLB;

/// A CP0 register: its number, its select, whether it has 64 bits, and its name.
pub type Cp0 = (u8, u8, bool, &'static str);

/// CP0 registers that a program starts with, in the order in which they are written.
pub const START_REGISTERS: [Cp0; 21] = [
    (13, 0, false, "Cause"),
    (9, 0, false, "Count"),
    (11, 0, false, "Compare"),
    (7, 0, false, "HWREna"),
    (6, 0, false, "Wired"),
    (4, 2, true, "UserLocal"),
    (30, 0, true, "ErrorEPC"),
    (31, 0, true, "DESAVE"),
    (31, 2, true, "KScratch1"),
    (31, 3, true, "KScratch2"),
    (31, 4, true, "KScratch3"),
    (31, 5, true, "KScratch4"),
    (31, 6, true, "KScratch5"),
    (31, 7, true, "KScratch6"),
    (4, 0, true, "Context"),
    (20, 0, true, "XContext"),
    (5, 0, false, "PageMask"),
    (2, 0, true, "EntryLo0"),
    (3, 0, true, "EntryLo1"),
    (0, 0, false, "Index"),
    (10, 0, true, "EntryHi"),
];
/// Status at the start, behind the [`START_REGISTERS`].
pub const START_STATUS: u64 = CP0 + 8 * START_REGISTERS.len() as u64;

/// CP0 registers that are compared at the end.
pub const END_REGISTERS: [Cp0; 32] = [
    (12, 0, false, "Status"),
    (13, 0, false, "Cause"),
    (14, 0, true, "EPC"),
    (8, 0, true, "BadVAddr"),
    (8, 1, false, "BadInstr"),
    (8, 2, false, "BadInstrP"),
    (10, 0, true, "EntryHi"),
    (2, 0, true, "EntryLo0"),
    (3, 0, true, "EntryLo1"),
    (5, 0, false, "PageMask"),
    (0, 0, false, "Index"),
    (4, 0, true, "Context"),
    (20, 0, true, "XContext"),
    (30, 0, true, "ErrorEPC"),
    (4, 2, true, "UserLocal"),
    (5, 1, false, "PageGrain"),
    (6, 0, false, "Wired"),
    (7, 0, false, "HWREna"),
    (9, 0, false, "Count"),
    (11, 0, false, "Compare"),
    (12, 1, false, "IntCtl"),
    (15, 0, false, "PRId"),
    (16, 0, false, "Config"),
    (31, 0, true, "DESAVE"),
    (31, 2, true, "KScratch1"),
    (31, 3, true, "KScratch2"),
    (31, 4, true, "KScratch3"),
    (31, 5, true, "KScratch4"),
    (31, 6, true, "KScratch5"),
    (31, 7, true, "KScratch6"),
    (2, 0, false, "EntryLo0 as mfc0 has it"),
    (3, 0, false, "EntryLo1 as mfc0 has it"),
];

/// What an entry of the trace holds.
pub const TRACE_FIELDS: [&str; 12] = [
    "vector",
    "Status",
    "Cause",
    "EPC",
    "BadVAddr",
    "BadInstr",
    "BadInstrP",
    "EntryHi",
    "Context",
    "XContext",
    "$27",
    "goes on at",
];

/// Where the executor puts EntryHi.VPN2, Context and XContext after an address error, which leaves
/// them unpredictable.
pub const AFTER_ADDRESS_ERROR: u64 = 0x1234_0000_0000;

const _: () = assert!(START_STATUS < TLB_COUNT);
const _: () = assert!(END_CP0 + 8 * END_REGISTERS.len() as u64 <= END_TLB);
const _: () = assert!(END_TLB + 16 * 32 <= TRACE_COUNT);
const _: () = assert!(TRACE + TRACE_MAX * TRACE_ENTRY <= CODE);
const _: () = assert!(CODE + 4 * WORDS as u64 <= RESUME);
const _: () = assert!(RESUME + 2 * WORDS as u64 <= PAGE);
