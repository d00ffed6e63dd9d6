//! The special page: privileged registers without side effects, as memory.
//!
//! Every slot is 8 bytes, big-endian like the CPU; a 32-bit register is kept sign-extended, as
//! `mfc0` gives it. "Guest" slots may be written by the guest, and the monitor believes nothing
//! it reads there; writes to the others are ignored, and overwritten at the next trap.

/// Status (guest). IE and IM count at the next delivery (see [`SP_PENDING`]); KSU, EXL and ERL at
/// the next `eret`; CU1 at the next return from the monitor; BEV at the next exception.
pub const SP_STATUS: u64 = 0x00;
/// Cause, with the interrupts that wait now; software interrupts are raised with `mtc0`.
pub const SP_CAUSE: u64 = 0x08;
/// EPC (guest).
pub const SP_EPC: u64 = 0x10;
/// BadVAddr.
pub const SP_BADVADDR: u64 = 0x18;
/// Not 0 while the monitor holds back an interrupt that IM lets through because IE, EXL or ERL
/// did not: who sets IE with a store looks here afterwards and makes the call `Deliver`.
pub const SP_PENDING: u64 = 0x20;
/// EntryHi: VPN2 is set by exceptions; written with `mtc0`, since the ASID counts at once.
pub const SP_ENTRYHI: u64 = 0x28;
/// EntryLo0 (guest).
pub const SP_ENTRYLO0: u64 = 0x30;
/// EntryLo1 (guest).
pub const SP_ENTRYLO1: u64 = 0x38;
/// PageMask (guest).
pub const SP_PAGEMASK: u64 = 0x40;
/// Index (guest).
pub const SP_INDEX: u64 = 0x48;
/// Context (guest: PTEBase).
pub const SP_CONTEXT: u64 = 0x50;
/// XContext (guest: PTEBase).
pub const SP_XCONTEXT: u64 = 0x58;
/// ErrorEPC (guest).
pub const SP_ERROREPC: u64 = 0x60;
/// BadInstr.
pub const SP_BADINSTR: u64 = 0x68;
/// BadInstrP.
pub const SP_BADINSTRP: u64 = 0x70;
/// UserLocal: written with `mtc0`, since `rdhwr` reads the real register.
pub const SP_USERLOCAL: u64 = 0x78;
/// KScratch1 to KScratch6 (guest), selects 2 to 7: six slots.
pub const SP_KSCRATCH: u64 = 0x80;
/// Number of 8-byte slots in use.
pub const SP_SLOTS: usize = 22;

static_assertions::const_assert!(SP_KSCRATCH as usize + 6 * 8 == SP_SLOTS * 8);
