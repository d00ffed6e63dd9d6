//! The interface between a guest and the monitor, declared once.
//!
//! The monitor, the Rust guests and the C header of the Linux port (generated from
//! [`C_CONSTANTS`]) all take their numbers from here. `docs/virtual-machine.md` says what
//! they mean.
#![no_std]
#![forbid(unsafe_code)]

mod boot;
mod calls;
mod map;
mod special;

pub use boot::{BootInfo, BOOT_INFO_GUEST_PHYSICAL, BOOT_MAGIC, COMMAND_LINE_MAX, NAME_MAX};
pub use calls::*;
pub use map::*;
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
