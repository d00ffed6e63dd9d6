//! QEMU's Malta board: where its devices are and how each is driven.

pub mod registers;

pub mod count;
pub mod cps;
pub mod gic;
pub mod gt64120;
pub mod i8259;
pub mod interrupts;
pub mod pci;
pub mod pit;
pub mod power;
pub mod rtc;
pub mod uart;
pub mod virtio;

/// Physical address of the flash.
pub const FLASH: u64 = 0x1e00_0000;
/// Physical address of PCI I/O port 0, once the reset code has programmed the GT64120.
pub const PCI_IO: u64 = 0x1800_0000;
/// First byte and length of PCI memory where devices get their addresses, the same on both buses. The
/// reset code programs this window.
pub const PCI_MEMORY: (u64, u64) = (0x1000_0000, 0x0800_0000);
/// Virtual address of cached xkphys: add a machine address.
pub const XKPHYS_CACHED: u64 = 0x9800_0000_0000_0000;
/// Virtual address of uncached xkphys: add a machine address.
pub const XKPHYS_UNCACHED: u64 = 0x9000_0000_0000_0000;
