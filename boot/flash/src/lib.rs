//! What is where in the flash image and in the payload. All numbers are big-endian.
//!
//! ```text
//! flash    0x000000  reset code, position-dependent at 0xffffffffbfc00000 (4 KiB)
//!          0x001000  FlashHeader
//!                    monitor image, machine description (where the header says)
//!          0x400000  end; what is not used is 0xff
//! payload  files (guest kernels, initial ramdisks) one after the other, each at a multiple of
//!          16 KiB; loaded into RAM at Description::payload_address
//! ```
//! The header's checksum covers every byte of the flash behind it, used or not, so that any
//! damaged byte behind the reset code is found.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod nodes;

pub use nodes::{node_memory, Numa, Thresholds};

use disco_abi::{DiskMode, COMMAND_LINE_MAX, NAME_MAX};
use zerocopy::byteorder::big_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Bytes of the flash image: 4 MiB, what QEMU's Malta board has.
pub const FLASH_SIZE: usize = 4 << 20;
/// Bytes of the reset code, which carry no checksum: QEMU itself writes into them at 0x10.
pub const RESET_SIZE: usize = 0x1000;
/// Where the checksummed part begins: the field after [`FlashHeader::crc32`].
pub const CHECKED_FROM: usize = RESET_SIZE + 16;
/// First bytes of the header.
pub const FLASH_MAGIC: [u8; 8] = *b"DISCOFLS";
/// Version of this layout.
pub const FLASH_VERSION: u32 = 5;
/// First bytes of the machine description.
pub const DESCRIPTION_MAGIC: [u8; 8] = *b"DISCODSC";
/// "None" where an index is optional.
pub const NONE: u32 = u32::MAX;
/// Most virtual machines a description holds.
pub const VMS_MAX: usize = 64;
/// Most virtual CPUs of one virtual machine, and of all together.
pub const VCPUS_PER_VM: usize = 16;
/// See [`VCPUS_PER_VM`].
pub const VCPUS_MAX: usize = 256;
/// Most virtual disks.
pub const DISKS_MAX: usize = 32;
/// Most pairs of a virtual machine and a disk it has.
pub const MOUNTS_MAX: usize = 256;
/// Most files a payload holds.
pub const FILES_MAX: usize = 64;
/// Most nodes, and most CPUs (QEMU's Malta refuses more).
pub const CPUS_MAX: usize = 16;
/// Files of the payload begin at multiples of this many bytes.
pub const PAYLOAD_ALIGN: usize = 16 << 10;
/// Machine address at which all RAM begins.
pub const RAM_BASE: u64 = 0x8000_0000;

/// At [`RESET_SIZE`] in the flash.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy, Debug)]
#[repr(C)]
pub struct FlashHeader {
    /// [`FLASH_MAGIC`].
    pub magic: [u8; 8],
    /// [`FLASH_VERSION`].
    pub version: U32,
    /// CRC-32 (ISO-HDLC, as in zip) of the flash from [`CHECKED_FROM`] to its end.
    pub crc32: U32,
    /// Length of the flash in bytes: [`FLASH_SIZE`].
    pub length: U32,
    /// Offset of the monitor's image from the flash's first byte; a multiple of 16.
    pub monitor_offset: U32,
    /// Bytes of the image to copy; a multiple of 16.
    pub monitor_len: U32,
    /// Bytes to clear behind the image; a multiple of 16.
    pub monitor_bss: U32,
    /// Where the image goes: a cached xkphys address.
    pub load_address: U64,
    /// Where to jump afterwards.
    pub entry: U64,
    /// Offset of the [`Description`] from the flash's first byte; a multiple of 16.
    pub description_offset: U32,
    /// Its bytes, with the tables behind it.
    pub description_len: U32,
}

/// The machine description as it travels in the flash. Behind it: `vm_count` times [`Vm`],
/// `file_count` times [`File`], `disk_count` times [`Disk`], `mount_count` times [`Mount`].
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy, Debug)]
#[repr(C)]
pub struct Description {
    /// [`DESCRIPTION_MAGIC`].
    pub magic: [u8; 8],
    /// CPUs of the machine, 1 to [`CPUS_MAX`].
    pub cpus: U32,
    /// Nodes: 1 to `cpus`. RAM and CPUs are divided evenly in order.
    pub nodes: U32,
    /// Bytes of RAM that the nodes share.
    pub memory: U64,
    /// 1 if virtual machines may have more memory together than the machine.
    pub overcommit: U32,
    /// The virtual machine whose console is attached at boot, or [`NONE`].
    pub console: U32,
    /// Number of [`Vm`]s behind this structure.
    pub vm_count: U32,
    /// Number of [`File`]s behind those.
    pub file_count: U32,
    /// Machine address of the payload, a multiple of 2 MiB; 0 if there is none.
    pub payload_address: U64,
    /// Its length in bytes.
    pub payload_len: U64,
    /// Number of [`Disk`]s behind the files.
    pub disk_count: U32,
    /// Number of [`Mount`]s behind the disks.
    pub mount_count: U32,
    /// Machine address of the region in which the exact model counts misses (crate `disco-magic`): directly
    /// behind the nodes' memory, so no node's; 0 if the machine is not run on that model.
    pub magic_address: U64,
    /// Its bytes, a multiple of 2 MiB; 0 without one.
    pub magic_len: U64,
    /// Latencies of the machine that is modelled.
    pub numa: Numa,
}

/// One virtual machine.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy, Debug)]
#[repr(C)]
pub struct Vm {
    /// Its name, filled with 0.
    pub name: [u8; NAME_MAX + 1],
    /// Bytes of guest-physical memory, a multiple of 2 MiB.
    pub memory: U64,
    /// Number of virtual CPUs.
    pub vcpus: U32,
    /// Index of the [`File`] that holds its kernel, an ELF file.
    pub kernel: U32,
    /// Index of its initial ramdisk, or [`NONE`].
    pub initrd: U32,
    /// 1 if it is started at boot.
    pub autostart: U32,
    /// 1 if it is on the virtual subnet.
    pub net: U32,
    /// 0.
    pub reserved: U32,
    /// Its command line, filled with 0.
    pub command_line: [u8; COMMAND_LINE_MAX + 1],
}

/// One file of a guest: in the payload, or at the beginning of a disk's partition.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy, Debug)]
#[repr(C)]
pub struct File {
    /// Its name for messages, filled with 0.
    pub name: [u8; NAME_MAX + 1],
    /// Offset from the payload's first byte, a multiple of [`PAYLOAD_ALIGN`]; 0 on a disk.
    pub offset: U64,
    /// Length in bytes.
    pub len: U64,
    /// CRC-32 of its bytes.
    pub crc32: U32,
    /// Index of the [`Disk`], a read-only one that no virtual machine counts, or [`NONE`]: it is in the
    /// payload.
    pub disk: U32,
}

/// Name of a partition on the real disk, as in its GPT: a unique partition GUID, in the byte order
/// in which a GPT holds it.
pub type Guid = [u8; 16];

/// Type of a partition that holds the sectors of a virtual disk:
/// d15c0d15-6bd2-4a0e-9c5b-3f6d5c1a7e01.
pub const PARTITION_IMAGE: Guid = [
    0x15, 0x0d, 0x5c, 0xd1, 0xd2, 0x6b, 0x0e, 0x4a, 0x9c, 0x5b, 0x3f, 0x6d, 0x5c, 0x1a, 0x7e, 0x01,
];
/// Type of a partition that holds the log of a virtual machine and a disk:
/// d15c0d15-6bd2-4a0e-9c5b-3f6d5c1a7e02.
pub const PARTITION_LOG: Guid = [
    0x15, 0x0d, 0x5c, 0xd1, 0xd2, 0x6b, 0x0e, 0x4a, 0x9c, 0x5b, 0x3f, 0x6d, 0x5c, 0x1a, 0x7e, 0x02,
];
/// Type of a partition that begins with a guest's kernel or initial ramdisk:
/// d15c0d15-6bd2-4a0e-9c5b-3f6d5c1a7e03.
pub const PARTITION_FILE: Guid = [
    0x15, 0x0d, 0x5c, 0xd1, 0xd2, 0x6b, 0x0e, 0x4a, 0x9c, 0x5b, 0x3f, 0x6d, 0x5c, 0x1a, 0x7e, 0x03,
];

/// One virtual disk.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy, Debug)]
#[repr(C)]
pub struct Disk {
    /// Its name, filled with 0.
    pub name: [u8; NAME_MAX + 1],
    /// The partition that holds its sectors.
    pub partition: Guid,
    /// A `disco_abi::DiskMode`.
    pub mode: U32,
    /// 0.
    pub reserved: U32,
    /// Most bytes of machine memory for the private sectors of one virtual machine.
    pub private: U64,
}

/// A virtual machine has a disk. A virtual machine's mounts are in the order in which it counts its
/// disks.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy, Debug)]
#[repr(C)]
pub struct Mount {
    /// Index of the [`Vm`], or [`NONE`]: the monitor has it, for guests' files.
    pub vm: U32,
    /// Index of the [`Disk`].
    pub disk: U32,
    /// For a `cow-persistent` disk the partition of the log; else 0.
    pub log: Guid,
}

static_assertions::const_assert_eq!(core::mem::size_of::<FlashHeader>(), 56);
static_assertions::const_assert_eq!(core::mem::size_of::<Description>(), 64 + 16 + 312);
static_assertions::const_assert_eq!(core::mem::size_of::<Vm>(), 1088);
static_assertions::const_assert_eq!(core::mem::size_of::<Disk>(), 64);
static_assertions::const_assert_eq!(core::mem::size_of::<Mount>(), 24);
static_assertions::const_assert_eq!(core::mem::size_of::<File>(), 56);

/// What is wrong with a description.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DescriptionError {
    /// It is shorter than its own tables.
    Short,
    /// It does not begin with [`DESCRIPTION_MAGIC`].
    Magic,
    /// A count or an index is out of range.
    Range,
}

/// A description split into its parts.
#[derive(Clone, Copy, Debug)]
pub struct DescriptionView<'a> {
    /// The hardware and the payload.
    pub machine: &'a Description,
    /// The virtual machines.
    pub vms: &'a [Vm],
    /// The payload's files.
    pub files: &'a [File],
    /// The virtual disks.
    pub disks: &'a [Disk],
    /// Which virtual machine has which disks.
    pub mounts: &'a [Mount],
}

impl<'a> DescriptionView<'a> {
    /// Splits and checks `bytes`.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, DescriptionError> {
        let (machine, rest) =
            Description::ref_from_prefix(bytes).map_err(|_| DescriptionError::Short)?;
        if machine.magic != DESCRIPTION_MAGIC {
            return Err(DescriptionError::Magic);
        }
        let vm_count = machine.vm_count.get() as usize;
        let file_count = machine.file_count.get() as usize;
        let disk_count = machine.disk_count.get() as usize;
        let mount_count = machine.mount_count.get() as usize;
        let cpus = machine.cpus.get() as usize;
        let nodes = machine.nodes.get() as usize;
        let console = machine.console.get();
        if vm_count > VMS_MAX
            || file_count > FILES_MAX
            || disk_count > DISKS_MAX
            || mount_count > MOUNTS_MAX
            || !(1..=CPUS_MAX).contains(&cpus)
            || !(1..=cpus).contains(&nodes)
            || !has_magic_behind(machine)
            || (console != NONE && console as usize >= vm_count)
        {
            return Err(DescriptionError::Range);
        }
        let (vms, rest) = <[Vm]>::ref_from_prefix_with_elems(rest, vm_count)
            .map_err(|_| DescriptionError::Short)?;
        let (files, rest) = <[File]>::ref_from_prefix_with_elems(rest, file_count)
            .map_err(|_| DescriptionError::Short)?;
        let (disks, rest) = <[Disk]>::ref_from_prefix_with_elems(rest, disk_count)
            .map_err(|_| DescriptionError::Short)?;
        let (mounts, _) = <[Mount]>::ref_from_prefix_with_elems(rest, mount_count)
            .map_err(|_| DescriptionError::Short)?;
        let names = |mount: &Mount| {
            let vm = mount.vm.get();
            (vm == NONE || (vm as usize) < vm_count) && (mount.disk.get() as usize) < disk_count
        };
        let has_mode = |disk: &Disk| DiskMode::from_number(disk.mode.get().into()).is_some();
        if !mounts.iter().all(names) || !disks.iter().all(has_mode) {
            return Err(DescriptionError::Range);
        }
        let vcpus = |vm: &Vm| vm.vcpus.get() as usize;
        if !vms.iter().all(|vm| (1..=VCPUS_PER_VM).contains(&vcpus(vm)))
            || vms.iter().map(vcpus).sum::<usize>() > VCPUS_MAX
        {
            return Err(DescriptionError::Range);
        }
        let file_exists = |index: u32| (index as usize) < file_count;
        if !vms.iter().all(|vm| {
            file_exists(vm.kernel.get())
                && (vm.initrd.get() == NONE || file_exists(vm.initrd.get()))
        }) {
            return Err(DescriptionError::Range);
        }
        let end = machine.payload_len.get();
        if !files.iter().all(|file| match file.disk.get() {
            NONE => {
                let last = file.offset.get().checked_add(file.len.get());
                last.is_some_and(|last| last <= end)
            }
            disk => (disk as usize) < disk_count,
        }) {
            return Err(DescriptionError::Range);
        }
        Ok(Self {
            machine,
            vms,
            files,
            disks,
            mounts,
        })
    }
}

/// Whether the region of the exact model, if there is one, lies where nothing else can be.
fn has_magic_behind(machine: &Description) -> bool {
    let (address, len) = (machine.magic_address.get(), machine.magic_len.get());
    len == 0 && address == 0
        || len > 0 && Some(address) == RAM_BASE.checked_add(machine.memory.get())
}

/// The text of a field filled with 0; what is not UTF-8 reads as empty.
pub fn text(field: &[u8]) -> &str {
    let end = field
        .iter()
        .position(|&byte| byte == 0)
        .unwrap_or(field.len());
    core::str::from_utf8(&field[..end]).unwrap_or("")
}
