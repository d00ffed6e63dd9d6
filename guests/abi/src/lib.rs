//! The interface between a guest and the monitor, declared once.
//!
//! The monitor, the Rust guests and the C header of the Linux port (generated from
//! [`C_CONSTANTS`]) all take their numbers from here. `docs/virtual-machine.md` says what
//! they mean.
#![no_std]
#![forbid(unsafe_code)]

mod boot;
mod calls;
mod disk;
mod map;
mod net;
mod special;

pub use boot::{BootInfo, BOOT_INFO_GUEST_PHYSICAL, BOOT_MAGIC, COMMAND_LINE_MAX, NAME_MAX};
pub use calls::*;
pub use disk::*;
pub use map::*;
pub use net::*;
pub use special::*;

/// Version of this interface; it changes when a guest of the version before would not run.
pub const ABI_VERSION: u64 = 1;

/// Every constant a guest in C or assembly needs, as `(name, value)`, for the generated header.
pub const C_CONSTANTS: &[(&str, u64)] = &[
    ("ABI_VERSION", ABI_VERSION),
    ("HYPCALL", HYPCALL as u64),
    ("MESSAGE_MAX", MESSAGE_MAX as u64),
    ("BOOT_MAGIC", BOOT_MAGIC),
    ("BOOT_INFO", BOOT_INFO_GUEST_PHYSICAL),
    (
        "BOOT_MEMORY",
        core::mem::offset_of!(BootInfo, memory) as u64,
    ),
    ("BOOT_VCPUS", core::mem::offset_of!(BootInfo, vcpus) as u64),
    (
        "BOOT_COUNT_HZ",
        core::mem::offset_of!(BootInfo, count_hz) as u64,
    ),
    (
        "BOOT_INITRD",
        core::mem::offset_of!(BootInfo, initrd) as u64,
    ),
    (
        "BOOT_INITRD_LEN",
        core::mem::offset_of!(BootInfo, initrd_len) as u64,
    ),
    ("BOOT_NAME", core::mem::offset_of!(BootInfo, name) as u64),
    (
        "BOOT_CMDLINE",
        core::mem::offset_of!(BootInfo, command_line) as u64,
    ),
    ("CSSEG_WINDOW", CSSEG_WINDOW),
    ("CSSEG_WINDOW_SIZE", CSSEG_WINDOW_SIZE),
    ("XSSEG_WINDOW", XSSEG_WINDOW),
    ("XSSEG_UNCACHED_WINDOW", XSSEG_UNCACHED_WINDOW),
    ("XSSEG_MAPPED", XSSEG_MAPPED),
    ("SPECIAL_PAGE", SPECIAL_PAGE),
    ("LINE_CONSOLE", LINE_CONSOLE as u64),
    ("LINE_IPI", LINE_IPI as u64),
    ("LINE_DISK", LINE_DISK as u64),
    ("LINE_NET", LINE_NET as u64),
    ("LINE_TIMER", LINE_TIMER as u64),
    ("CALL_VERSION", Call::Version as u64),
    ("CALL_CONSOLE_WRITE", Call::ConsoleWrite as u64),
    ("CALL_CONSOLE_READ", Call::ConsoleRead as u64),
    ("CALL_SHUTDOWN", Call::Shutdown as u64),
    ("CALL_SHELL_READY", Call::ShellReady as u64),
    ("CALL_WALL_CLOCK", Call::WallClock as u64),
    ("CALL_DELIVER", Call::Deliver as u64),
    ("CALL_YIELD", Call::Yield as u64),
    ("CALL_TLB_FLUSH_ALL", Call::TlbFlushAll as u64),
    ("CALL_TLB_FLUSH_PAGE", Call::TlbFlushPage as u64),
    ("CALL_TLB_INSERT", Call::TlbInsert as u64),
    ("CALL_CONTEXT", Call::Context as u64),
    ("CALL_TEST_VERDICT", Call::TestVerdict as u64),
    ("CALL_CPU_START", Call::CpuStart as u64),
    ("CALL_CPU_STOP", Call::CpuStop as u64),
    ("CALL_CPU_STATE", Call::CpuState as u64),
    ("CALL_IPI_SEND", Call::IpiSend as u64),
    ("CALL_IPI_TAKE", Call::IpiTake as u64),
    ("CALL_SHOOTDOWN", Call::Shootdown as u64),
    ("CALL_DISK_INFO", Call::DiskInfo as u64),
    ("CALL_DISK_OPEN", Call::DiskOpen as u64),
    ("CALL_DISK_COMMAND", Call::DiskCommand as u64),
    ("CALL_DISK_TAKE", Call::DiskTake as u64),
    ("CALL_NET_INFO", Call::NetInfo as u64),
    ("CALL_NET_PEER", Call::NetPeer as u64),
    ("CALL_NET_SEND", Call::NetSend as u64),
    ("CALL_NET_RECEIVE", Call::NetReceive as u64),
    ("CALL_REMAP", Call::Remap as u64),
    ("CALL_PAGE_FREE", Call::PageFree as u64),
    ("CALL_PAGE_ZERO", Call::PageZero as u64),
    ("ERROR_IN_USE", -(CallError::InUse as i64) as u64),
    ("ERROR_BUSY", -(CallError::Busy as i64) as u64),
    ("NAME_BYTES", NAME_MAX as u64 + 1),
    ("SECTOR", SECTOR),
    ("DISK_SEGMENTS_MAX", DISK_SEGMENTS_MAX as u64),
    ("DISK_BYTES_MAX", DISK_BYTES_MAX),
    ("DISK_COMMANDS_MAX", DISK_COMMANDS_MAX as u64),
    ("DISK_READ_ONLY", DiskMode::ReadOnly as u64),
    ("DISK_EXCLUSIVE", DiskMode::Exclusive as u64),
    ("DISK_READ", DiskOperation::Read as u64),
    ("DISK_WRITE", DiskOperation::Write as u64),
    ("DISK_FLUSH", DiskOperation::Flush as u64),
    ("DISK_WRITE_DURABLE", DiskOperation::WriteDurable as u64),
    ("DISK_NO_SPACE", DiskError::NoSpace as u64),
    ("NET_FRAGMENTS_MAX", NET_FRAGMENTS_MAX as u64),
    ("NET_MESSAGE_MAX", NET_MESSAGE_MAX),
    ("NET_LIST_MAX", NET_LIST_MAX),
    ("NET_SLOTS_MAX", NET_SLOTS_MAX as u64),
    ("NET_PAGES", NET_PAGES as u64),
    ("NET_MTU", NET_MTU),
    ("NET_OUTSIDE_MTU", NET_OUTSIDE_MTU),
    ("VCPUS_PER_VM", VCPUS_PER_VM as u64),
    ("SHOOTDOWN_ASID", SHOOTDOWN_ASID),
    ("SHOOTDOWN_ALL", SHOOTDOWN_ALL),
    ("SHUTDOWN_POWER_OFF", ShutdownReason::PowerOff as u64),
    ("SHUTDOWN_REBOOT", ShutdownReason::Reboot as u64),
    ("SHUTDOWN_PANIC", ShutdownReason::Panic as u64),
    ("SP_STATUS", SP_STATUS),
    ("SP_CAUSE", SP_CAUSE),
    ("SP_EPC", SP_EPC),
    ("SP_BADVADDR", SP_BADVADDR),
    ("SP_PENDING", SP_PENDING),
    ("SP_ENTRYHI", SP_ENTRYHI),
    ("SP_ENTRYLO0", SP_ENTRYLO0),
    ("SP_ENTRYLO1", SP_ENTRYLO1),
    ("SP_PAGEMASK", SP_PAGEMASK),
    ("SP_INDEX", SP_INDEX),
    ("SP_CONTEXT", SP_CONTEXT),
    ("SP_XCONTEXT", SP_XCONTEXT),
    ("SP_ERROREPC", SP_ERROREPC),
    ("SP_BADINSTR", SP_BADINSTR),
    ("SP_BADINSTRP", SP_BADINSTRP),
    ("SP_USERLOCAL", SP_USERLOCAL),
    ("SP_KSCRATCH", SP_KSCRATCH),
];
