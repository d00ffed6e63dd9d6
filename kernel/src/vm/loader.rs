//! Loads a guest: an ELF file, its initial ramdisk, and the boot information.
//!
//! The file is the person's who wrote the machine description; xtask has looked at it, but
//! nothing here relies on that.

#[cfg(test)]
mod tests;

use super::mapping::linear_offset;
use crate::address::GuestPhysical;
use crate::checksum::CRC32;
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

/// A file that a guest is loaded from, whole or in pages.
pub trait GuestFile {
    /// Its length in bytes.
    fn length(&self) -> usize;
    /// The bytes from `offset` on that lie together; none behind the end.
    fn bytes(&self, offset: usize) -> &[u8];
}

impl GuestFile for &[u8] {
    fn length(&self) -> usize {
        self.len()
    }

    fn bytes(&self, offset: usize) -> &[u8] {
        self.get(offset..).unwrap_or(&[])
    }
}

/// The pieces of the next `length` bytes from `offset` on; they end where the file does.
fn pieces(file: &dyn GuestFile, offset: usize, length: usize) -> impl Iterator<Item = &[u8]> {
    let mut at = offset;
    let mut left = length;
    core::iter::from_fn(move || {
        let together = file.bytes(at);
        let piece = together.get(..left.min(together.len()))?;
        at += piece.len();
        left -= piece.len();
        (!piece.is_empty()).then_some(piece)
    })
}

/// The CRC-32 of a file.
pub fn checksum(file: &dyn GuestFile) -> u32 {
    let mut digest = CRC32.digest();
    pieces(file, 0, file.length()).for_each(|piece| digest.update(piece));
    digest.finalize()
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
pub struct Image<'a> {
    /// The virtual machine's name.
    pub name: &'a str,
    /// The kernel, an ELF file.
    pub kernel: &'a dyn GuestFile,
    /// The initial ramdisk; of no length if there is none.
    pub initrd: &'a dyn GuestFile,
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

/// The number in `bytes` bytes of a file.
fn number(file: &dyn GuestFile, at: usize, bytes: usize) -> Result<u64, LoadError> {
    at.checked_add(bytes)
        .filter(|&end| end <= file.length())
        .ok_or(LoadError::NotElf)?;
    let found = pieces(file, at, bytes).flatten();
    Ok(found.fold(0, |number, &byte| number << 8 | u64::from(byte)))
}

fn half(file: &dyn GuestFile, at: usize) -> Result<u16, LoadError> {
    number(file, at, 2).map(|half| half as u16)
}

fn word(file: &dyn GuestFile, at: usize) -> Result<u32, LoadError> {
    number(file, at, 4).map(|word| word as u32)
}

fn double(file: &dyn GuestFile, at: usize) -> Result<u64, LoadError> {
    number(file, at, 8)
}

/// Copies `length` bytes of a file, which has so many, into memory.
fn copy(
    (file, offset, length): (&dyn GuestFile, usize, usize),
    to: u64,
    memory: &mut impl GuestMemory,
) {
    let mut at = to;
    for piece in pieces(file, offset, length) {
        memory.write(GuestPhysical(at), piece);
        at += piece.len() as u64;
    }
}

/// Loads `image` and returns the kernel's entry point.
///
/// # Errors
/// The kernel is not one, or does not fit. Memory may have been written.
pub fn load(image: &Image, memory: &mut impl GuestMemory) -> Result<u64, LoadError> {
    // "\x7fELF", 64 bits, big-endian.
    const IDENTITY: u64 = 0x7f45_4c46_0202;
    const MIPS: u16 = 8;
    let kernel = image.kernel;
    if number(kernel, 0, 6)? != IDENTITY || half(kernel, 18)? != MIPS {
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
    kernel: &dyn GuestFile,
    header: usize,
    memory: &mut impl GuestMemory,
) -> Result<u64, LoadError> {
    let offset = usize::try_from(double(kernel, header + 8)?).map_err(|_| LoadError::NotElf)?;
    let address = double(kernel, header + 16)?;
    let in_file = double(kernel, header + 32)?;
    let in_memory = double(kernel, header + 40)?;
    let length = usize::try_from(in_file).map_err(|_| LoadError::NotElf)?;
    offset
        .checked_add(length)
        .filter(|&end| end <= kernel.length())
        .ok_or(LoadError::NotElf)?;
    let physical = linear_offset(address).ok_or(LoadError::Outside(address))?;
    let too_large = LoadError::TooLarge(memory.bytes());
    let end = physical
        .checked_add(in_memory.max(in_file))
        .ok_or(too_large)?;
    if end > memory.bytes() {
        return Err(too_large);
    }
    copy((kernel, offset, length), physical, memory);
    Ok(end)
}

/// Puts the initial ramdisk at the end of memory; its address, or 0 if there is none.
fn place_initrd(
    image: &Image,
    end_of_kernel: u64,
    memory: &mut impl GuestMemory,
) -> Result<u64, LoadError> {
    let length = image.initrd.length();
    if length == 0 {
        return Ok(0);
    }
    let start = memory
        .bytes()
        .checked_sub(length as u64)
        .map(|at| at & !(PAGE_SIZE - 1));
    match start {
        Some(start) if start >= end_of_kernel => {
            copy((image.initrd, 0, length), start, memory);
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
        image.initrd.length() as u64,
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
