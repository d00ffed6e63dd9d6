//! The payload: guest kernels and initial ramdisks, loaded into RAM beside the flash.

use anyhow::{ensure, Context, Result};
use disco_flash::{File, FILES_MAX, NONE, PAYLOAD_ALIGN};
use object::elf::FileHeader64;
use object::read::elf::{FileHeader, ProgramHeader};
use object::BigEndian;

/// Files one after the other, each at a multiple of [`PAYLOAD_ALIGN`].
#[derive(Default)]
pub struct Payload {
    /// The bytes that are loaded.
    pub bytes: Vec<u8>,
    /// The table that travels in the description.
    pub files: Vec<File>,
    keys: Vec<(String, u32)>,
}

impl Payload {
    /// Appends a file, unless one of this name is there, and returns its index. One that lies on disk number
    /// `disk` of the description, not [`NONE`], is only written down.
    pub fn add(&mut self, disk: u32, name: &str, content: &[u8]) -> Result<u32> {
        let key = (name.to_owned(), disk);
        let index = match self.keys.iter().position(|other| *other == key) {
            Some(index) => index,
            None => {
                ensure!(
                    self.files.len() < FILES_MAX,
                    "more than {FILES_MAX} different guest files"
                );
                let here = disk == NONE;
                if here {
                    self.bytes
                        .resize(self.bytes.len().next_multiple_of(PAYLOAD_ALIGN), 0);
                }
                self.keys.push(key);
                self.files.push(File {
                    name: fixed_text(name),
                    offset: if here { self.bytes.len() as u64 } else { 0 }.into(),
                    len: (content.len() as u64).into(),
                    crc32: crc32fast::hash(content).into(),
                    disk: disk.into(),
                });
                if here {
                    self.bytes.extend_from_slice(content);
                }
                self.files.len() - 1
            }
        };
        Ok(u32::try_from(index)?)
    }
}

/// `text` in a field filled with 0. What does not fit is cut off at the front, so that of a
/// path the telling end is left; one byte always stays 0.
pub fn fixed_text<const N: usize>(text: &str) -> [u8; N] {
    let bytes = text.as_bytes();
    let kept = &bytes[bytes.len().saturating_sub(N - 1)..];
    let mut field = [0; N];
    field[..kept.len()].copy_from_slice(kept);
    field
}

/// An ELF file without its section table and whatever lies behind the loaded part: symbols and
/// debug information, which the monitor has no use for.
pub fn loadable_part(elf: &[u8]) -> Result<Vec<u8>> {
    let header = FileHeader64::<BigEndian>::parse(elf).context("not a 64-bit ELF file")?;
    let endian = header.endian().context("not a big-endian ELF file")?;
    let segments = header
        .program_headers(endian, elf)
        .context("damaged program headers")?;
    let headers_end = header.e_phoff.get(endian)
        + u64::from(header.e_phnum.get(endian)) * u64::from(header.e_phentsize.get(endian));
    let end = segments
        .iter()
        .filter(|segment| segment.p_type(endian) == object::elf::PT_LOAD)
        .map(|segment| {
            segment
                .p_offset(endian)
                .saturating_add(segment.p_filesz(endian))
        })
        .fold(headers_end, u64::max);
    let end = usize::try_from(end)?;
    ensure!(
        end <= elf.len(),
        "the file is shorter than its program headers say"
    );
    let mut kept = elf[..end].to_vec();
    // e_shoff, then e_shnum and e_shstrndx.
    kept[0x28..0x30].fill(0);
    kept[0x3c..0x40].fill(0);
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::{fixed_text, loadable_part, Payload};
    use disco_flash::{NONE, PAYLOAD_ALIGN};

    #[test]
    fn the_same_file_travels_once() {
        let mut payload = Payload::default();
        assert_eq!(payload.add(NONE, "linux", &[1; 10]).unwrap(), 0);
        assert_eq!(payload.add(NONE, "initramfs", &[2; 20]).unwrap(), 1);
        assert_eq!(payload.add(NONE, "linux", &[1; 10]).unwrap(), 0);
        // On a disk it is another file, and does not travel.
        assert_eq!(payload.add(3, "linux", &[1; 10]).unwrap(), 2);
        assert_eq!(payload.add(3, "linux", &[1; 10]).unwrap(), 2);
        assert_eq!(payload.files[1].offset.get(), PAYLOAD_ALIGN as u64);
        assert_eq!(
            (payload.files[2].disk.get(), payload.files[2].len.get()),
            (3, 10)
        );
        assert_eq!(payload.bytes.len(), PAYLOAD_ALIGN + 20);
    }

    #[test]
    fn long_names_keep_their_end() {
        assert_eq!(&fixed_text::<8>("abc"), b"abc\0\0\0\0\0");
        assert_eq!(&fixed_text::<8>("/very/long.elf"), b"ong.elf\0");
    }

    #[test]
    fn what_is_no_guest_is_refused() {
        assert!(loadable_part(b"").is_err());
        assert!(loadable_part(&[0x7f; 200]).is_err());
        // A little-endian 64-bit header.
        let mut header = [0; 64];
        header[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1]);
        assert!(loadable_part(&header).is_err());
    }
}
