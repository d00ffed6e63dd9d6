//! Where things are in a guest's address spaces.

/// Linear window on guest-physical memory from 0, in place of kseg0 (supervisor segment csseg).
pub const CSSEG_WINDOW: u64 = 0xffff_ffff_c000_0000;
/// Bytes of guest-physical memory that the csseg window reaches.
pub const CSSEG_WINDOW_SIZE: u64 = 256 << 20;
/// Linear window on all of guest-physical memory, in place of cached xkphys (xsseg).
pub const XSSEG_WINDOW: u64 = 0x4000_0000_0000_0000;
/// The same memory again, in place of uncached xkphys.
pub const XSSEG_UNCACHED_WINDOW: u64 = 0x4000_4000_0000_0000;
/// xsseg from here on, and csseg from the end of its window to the special page, is mapped by
/// the guest's own TLB entries.
pub const XSSEG_MAPPED: u64 = 0x4000_8000_0000_0000;
/// The special page of the virtual CPU that looks: 16 KiB. The 16 KiB below it are reserved.
pub const SPECIAL_PAGE: u64 = 0xffff_ffff_dfff_c000;
/// The page size of the monitor (pmap, memmap): 16 KiB.
pub const PAGE_SIZE: u64 = 16 << 10;

/// Interrupt line (Cause.IP bit) of the console: raised while there is input to read.
pub const LINE_CONSOLE: u32 = 2;
/// Interrupt line of other virtual CPUs: raised while there are messages to take.
pub const LINE_IPI: u32 = 3;
/// Interrupt line of Count/Compare.
pub const LINE_TIMER: u32 = 7;
