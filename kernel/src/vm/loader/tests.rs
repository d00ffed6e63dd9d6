//! The loader, with files that lie in one piece and in many.

use super::{checksum, load, GuestFile, GuestMemory, Image, LoadError};
use crate::address::GuestPhysical;
use crate::checksum::CRC32;
use disco_abi::{BOOT_INFO_GUEST_PHYSICAL, CSSEG_WINDOW, PAGE_SIZE};

/// A file in pieces of so many bytes.
struct Pieces<'a>(&'a [u8], usize);

impl GuestFile for Pieces<'_> {
    fn length(&self) -> usize {
        self.0.len()
    }

    fn bytes(&self, offset: usize) -> &[u8] {
        let end = (offset - offset % self.1 + self.1).min(self.0.len());
        self.0.get(offset..end).unwrap_or(&[])
    }
}

struct Memory(Vec<u8>);

impl GuestMemory for Memory {
    fn bytes(&self) -> u64 {
        self.0.len() as u64
    }

    fn write(&mut self, address: GuestPhysical, bytes: &[u8]) {
        self.0[address.0 as usize..][..bytes.len()].copy_from_slice(bytes);
    }
}

/// An ELF file with a segment of `data` at `address`, whose entry is there, too.
fn elf(address: u64, data: &[u8]) -> Vec<u8> {
    let mut file = b"\x7fELF\x02\x02\x01".to_vec();
    file.resize(16, 0);
    file.extend(2u16.to_be_bytes());
    file.extend(8u16.to_be_bytes());
    file.extend(1u32.to_be_bytes());
    for number in [address, 64, 0] {
        file.extend(number.to_be_bytes());
    }
    file.extend(0u32.to_be_bytes());
    for half in [64u16, 56, 1, 0, 0, 0] {
        file.extend(half.to_be_bytes());
    }
    file.extend(1u32.to_be_bytes());
    file.extend(7u32.to_be_bytes());
    let length = data.len() as u64;
    for number in [120, address, address, length, length, 8] {
        file.extend(number.to_be_bytes());
    }
    file.extend(data);
    file
}

/// Loads a kernel and a ramdisk; the entry and memory.
fn loaded(kernel: &dyn GuestFile, initrd: &dyn GuestFile) -> Result<(u64, Vec<u8>), LoadError> {
    let image = Image {
        name: "a",
        kernel,
        initrd,
        command_line: "quiet",
        vcpus: 1,
        count_hz: 1,
    };
    let mut memory = Memory(vec![0; 8 * PAGE_SIZE as usize]);
    let entry = load(&image, &mut memory)?;
    Ok((entry, memory.0))
}

#[test]
fn a_file_in_pieces_is_loaded_as_one_in_memory() {
    let data: Vec<u8> = (0..1000u32).map(|number| (number % 251) as u8).collect();
    let kernel = elf(CSSEG_WINDOW + 0x1_0003, &data);
    let initrd = [7; 700];
    let whole = loaded(&&kernel[..], &&initrd[..]).unwrap();
    assert_eq!(whole.0, CSSEG_WINDOW + 0x1_0003);
    assert_eq!(whole.1[0x1_0003..][..1000], data);
    let at = whole.1.len() - PAGE_SIZE as usize;
    assert_eq!(whole.1[at..][..700], initrd);
    for size in [1, 7, 64, 100, 512] {
        let pieces = loaded(&Pieces(&kernel, size), &Pieces(&initrd, size));
        assert_eq!(pieces.unwrap(), whole);
        let sum = CRC32.checksum(&kernel);
        assert_eq!(checksum(&Pieces(&kernel, size)), sum);
    }
}

#[test]
fn a_kernel_that_is_cut_short_is_none() {
    let kernel = elf(CSSEG_WINDOW + 0x1_0000, &[1; 100]);
    for length in [0, 5, 63, 64, 119, 120, 219] {
        let cut = &kernel[..length];
        assert_eq!(loaded(&Pieces(cut, 16), &&[][..]), Err(LoadError::NotElf));
        assert_eq!(loaded(&cut, &&[][..]), Err(LoadError::NotElf));
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let beyond = elf(CSSEG_WINDOW + 8 * PAGE_SIZE - 50, &[1; 100]);
    let too_large = Err(LoadError::TooLarge(8 * PAGE_SIZE));
    assert_eq!(loaded(&&beyond[..], &&[][..]), too_large);
    let outside = elf(0x1_0000, &[1; 100]);
    assert_eq!(
        loaded(&&outside[..], &&[][..]),
        Err(LoadError::Outside(0x1_0000))
    );
    let kernel = elf(
        CSSEG_WINDOW + BOOT_INFO_GUEST_PHYSICAL + PAGE_SIZE,
        &[1; 100],
    );
    let ramdisk = vec![1; 7 * PAGE_SIZE as usize];
    assert_eq!(loaded(&&kernel[..], &&ramdisk[..]), too_large);
}
