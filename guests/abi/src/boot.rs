//! What a guest finds in its memory and registers when it starts.

/// Longest command line, in bytes, without its closing 0.
pub const COMMAND_LINE_MAX: usize = 1023;
/// Longest name of a virtual machine, in bytes.
pub const NAME_MAX: usize = 31;
/// Guest-physical address of [`BootInfo`]; `$a0` holds its address in the csseg window.
pub const BOOT_INFO_GUEST_PHYSICAL: u64 = 0x8000;
/// First word of [`BootInfo`], also in `$a1` at entry: "DISCO" and a version.
pub const BOOT_MAGIC: u64 = 0x0044_4953_434f_0001;

/// Boot information in guest memory. The guest may overwrite it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct BootInfo {
    /// [`BOOT_MAGIC`].
    pub magic: u64,
    /// Bytes of guest-physical memory, contiguous from 0.
    pub memory: u64,
    /// Number of virtual CPUs.
    pub vcpus: u64,
    /// Frequency of Count, in Hz.
    pub count_hz: u64,
    /// Guest-physical address of the initial ramdisk; 0 if there is none.
    pub initrd: u64,
    /// Its length in bytes.
    pub initrd_len: u64,
    /// The virtual machine's name, closed with 0.
    pub name: [u8; NAME_MAX + 1],
    /// The command line, closed with 0.
    pub command_line: [u8; COMMAND_LINE_MAX + 1],
}
