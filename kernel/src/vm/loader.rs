//! Loads a guest: an ELF file, its initial ramdisk, and the boot information.
//!
//! The file is the person's who wrote the machine description; xtask has looked at it, but
//! nothing here relies on that.

use super::mapping::linear_offset;
use crate::address::GuestPhysical;
use core::fmt;
use disco_abi::{
    BootInfo, BOOT_INFO_GUEST_PHYSICAL, BOOT_MAGIC, COMMAND_LINE_MAX, CSSEG_WINDOW, NAME_MAX,
    PAGE_SIZE,
};

/// Guest-physical memory of a virtual machine that does not run yet.
pub trait GuestMemory {
    /// Bytes of it.
    fn bytes(&self) -> u64;
    /// Writes bytes; the caller stays within [`GuestMemory::bytes`].
    fn write(&mut self, address: GuestPhysical, bytes: &[u8]);
}

/// Why a guest cannot be loaded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LoadError {
    /// Not a 64-bit big-endian MIPS ELF file, or cut short.
    NotElf,
    /// A segment's address is in no linear window.
    Outside(u64),
    /// A segment or the initial ramdisk does not fit into memory of so many bytes.
    TooLarge(u64),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotElf => f.write_str("its kernel is not a 64-bit big-endian MIPS ELF file"),
            Self::Outside(address) => write!(
                f,
                "its kernel has a segment at {address:#x}, which is not in a linear window \
                 (link it at {CSSEG_WINDOW:#x} and up)"
            ),
            Self::TooLarge(memory) => {
                write!(
                    f,
                    "kernel and initial ramdisk do not fit into {} MiB",
                    memory >> 20
                )
            }
        }
    }
}

/// What to load.
#[derive(Clone, Copy, Debug)]
pub struct Image<'a> {
    /// The virtual machine's name.
    pub name: &'a str,
    /// The kernel, an ELF file.
    pub kernel: &'a [u8],
    /// The initial ramdisk.
    pub initrd: &'a [u8],
    /// The command line.
    pub command_line: &'a str,
    /// Number of virtual CPUs.
    pub vcpus: u64,
    /// Frequency of Count in Hz.
    pub count_hz: u64,
}

const ELF_HEADER: usize = 64;
const PROGRAM_HEADER: usize = 56;
const PT_LOAD: u32 = 1;

fn bytes<const N: usize>(data: &[u8], at: usize) -> Result<[u8; N], LoadError> {
    let end = at.checked_add(N).ok_or(LoadError::NotElf)?;
    data.get(at..end)
        .and_then(|slice| slice.try_into().ok())
        .ok_or(LoadError::NotElf)
}

fn half(data: &[u8], at: usize) -> Result<u16, LoadError> {
    bytes(data, at).map(u16::from_be_bytes)
}

fn word(data: &[u8], at: usize) -> Result<u32, LoadError> {
    bytes(data, at).map(u32::from_be_bytes)
}

fn double(data: &[u8], at: usize) -> Result<u64, LoadError> {
    bytes(data, at).map(u64::from_be_bytes)
}

/// Loads `image` and returns the kernel's entry point.
///
/// # Errors
/// The kernel is not one, or does not fit. Memory may have been written.
pub fn load(image: &Image, memory: &mut impl GuestMemory) -> Result<u64, LoadError> {
    const IDENTITY: [u8; 6] = *b"\x7fELF\x02\x02";
    const MIPS: u16 = 8;
    let kernel = image.kernel;
    if bytes::<6>(kernel, 0)? != IDENTITY || half(kernel, 18)? != MIPS {
        return Err(LoadError::NotElf);
    }
    let table = usize::try_from(double(kernel, 32)?).map_err(|_| LoadError::NotElf)?;
    let count = usize::from(half(kernel, 56)?);
    if usize::from(half(kernel, 54)?) != PROGRAM_HEADER || table < ELF_HEADER {
        return Err(LoadError::NotElf);
    }
    let mut end_of_kernel = BOOT_INFO_GUEST_PHYSICAL + PAGE_SIZE;
    for index in 0..count {
        let header = table
            .checked_add(index * PROGRAM_HEADER)
            .ok_or(LoadError::NotElf)?;
        if word(kernel, header)? == PT_LOAD {
            end_of_kernel = end_of_kernel.max(load_segment(kernel, header, memory)?);
        }
    }
    let initrd = place_initrd(image, end_of_kernel, memory)?;
    write_boot_info(image, initrd, memory);
    double(kernel, 24)
}

/// Loads one segment and returns the guest-physical address behind it.
fn load_segment(
    kernel: &[u8],
    header: usize,
    memory: &mut impl GuestMemory,
) -> Result<u64, LoadError> {
    let offset = usize::try_from(double(kernel, header + 8)?).map_err(|_| LoadError::NotElf)?;
    let address = double(kernel, header + 16)?;
    let in_file = double(kernel, header + 32)?;
    let in_memory = double(kernel, header + 40)?;
    let length = usize::try_from(in_file).map_err(|_| LoadError::NotElf)?;
    let data = offset
        .checked_add(length)
        .and_then(|end| kernel.get(offset..end))
        .ok_or(LoadError::NotElf)?;
    let physical = linear_offset(address).ok_or(LoadError::Outside(address))?;
    let too_large = LoadError::TooLarge(memory.bytes());
    let end = physical
        .checked_add(in_memory.max(in_file))
        .ok_or(too_large)?;
    if end > memory.bytes() {
        return Err(too_large);
    }
    memory.write(GuestPhysical(physical), data);
    Ok(end)
}

/// Puts the initial ramdisk at the end of memory; its address, or 0 if there is none.
fn place_initrd(
    image: &Image,
    end_of_kernel: u64,
    memory: &mut impl GuestMemory,
) -> Result<u64, LoadError> {
    if image.initrd.is_empty() {
        return Ok(0);
    }
    let start = memory
        .bytes()
        .checked_sub(image.initrd.len() as u64)
        .map(|at| at & !(PAGE_SIZE - 1));
    match start {
        Some(start) if start >= end_of_kernel => {
            memory.write(GuestPhysical(start), image.initrd);
            Ok(start)
        }
        _ => Err(LoadError::TooLarge(memory.bytes())),
    }
}

fn write_boot_info(image: &Image, initrd: u64, memory: &mut impl GuestMemory) {
    let length = memory.bytes();
    let mut at = BOOT_INFO_GUEST_PHYSICAL;
    let mut put = |bytes: &[u8]| {
        memory.write(GuestPhysical(at), bytes);
        at += bytes.len() as u64;
    };
    let numbers = [
        BOOT_MAGIC,
        length,
        image.vcpus,
        image.count_hz,
        initrd,
        image.initrd.len() as u64,
    ];
    for number in numbers {
        put(&number.to_be_bytes());
    }
    put(&closed_text::<{ NAME_MAX + 1 }>(image.name));
    put(&closed_text::<{ COMMAND_LINE_MAX + 1 }>(image.command_line));
}

/// `text` closed with 0, cut if it is too long.
fn closed_text<const N: usize>(text: &str) -> [u8; N] {
    let mut field = [0; N];
    for (to, from) in field[..N - 1].iter_mut().zip(text.bytes()) {
        *to = from;
    }
    field
}

const _: () = {
    // The order in which `write_boot_info` writes.
    use core::mem::offset_of;
    assert!(offset_of!(BootInfo, memory) == 8 && offset_of!(BootInfo, vcpus) == 16);
    assert!(offset_of!(BootInfo, count_hz) == 24 && offset_of!(BootInfo, initrd) == 32);
    assert!(offset_of!(BootInfo, initrd_len) == 40 && offset_of!(BootInfo, name) == 48);
    assert!(offset_of!(BootInfo, command_line) == 48 + NAME_MAX + 1);
};
