//! The reset code, with its numbers.

use core::arch::global_asm;
use disco_arch::board::{FLASH, PCI_IO, PCI_MEMORY};
use disco_arch::cp0::{Config5, Status};
use disco_flash::{FLASH_MAGIC, FLASH_SIZE, FLASH_VERSION, RESET_SIZE};
use disco_kernel::machine::layout::MAILBOX;

/// Uncached, unmapped window on the first 512 MiB of physical addresses (CKSEG1).
const CKSEG1: u64 = 0xffff_ffff_a000_0000;
/// Cached xkphys.
const XKPHYS: u64 = disco_arch::board::XKPHYS_CACHED;

/// Where the GT64120's registers are at reset.
const GT_RESET: u64 = 0x1400_0000;
/// PCI I/O: 2 MiB.
const IO_END: u64 = PCI_IO + (2 << 20) - 1;
/// First window of PCI memory.
const MEM0: (u64, u64) = (PCI_MEMORY.0, PCI_MEMORY.0 + PCI_MEMORY.1 - 1);
/// Second window of PCI memory.
const MEM1: (u64, u64) = (0x1820_0000, 0x1bdf_ffff);

/// A window's first address as the GT64120 wants it: in units of 2 MiB, little-endian.
const fn low(address: u64) -> u32 {
    ((address >> 21) as u32).swap_bytes()
}

/// A window's last address: the low 7 bits of its number.
const fn high(address: u64) -> u32 {
    ((address >> 21) as u32 & 0x7f).swap_bytes()
}

global_asm!(
    include_str!("reset.S"),
    STATUS = const Status::KX.bits() | Status::SX.bits() | Status::UX.bits() | Status::BEV.bits(),
    SBRI = const Config5::SBRI.bits(),
    MAILBOX = const XKPHYS + MAILBOX.0,
    CRC_TABLE = const XKPHYS + MAILBOX.0 + 0x1000,
    GT_RESET = const CKSEG1 + GT_RESET,
    GT_ISD = const low(disco_arch::board::gt64120::REGISTERS),
    GT = const CKSEG1 + disco_arch::board::gt64120::REGISTERS,
    IO_LOW = const low(PCI_IO),
    IO_HIGH = const high(IO_END),
    MEM0_LOW = const low(MEM0.0),
    MEM0_HIGH = const high(MEM0.1),
    MEM1_LOW = const low(MEM1.0),
    MEM1_HIGH = const high(MEM1.1),
    COM1 = const CKSEG1 + PCI_IO + 0x3f8,
    FLASH = const CKSEG1 + FLASH,
    FLASH_SIZE = const FLASH_SIZE,
    RESET_SIZE = const RESET_SIZE,
    MAGIC = const u64::from_be_bytes(FLASH_MAGIC),
    VERSION = const FLASH_VERSION,
    SOFT_RESET = const CKSEG1 + 0x1f00_0500,
);
