//! The partition table of the real disk (GPT, of UEFI 2.10, chapter 5).
//!
//! It is there twice, at the disk's beginning and at its end, each with checksums. What a checksum does
//! not say is checked here: partitions lie in the part of the disk that is for them, and apart.

use super::device::DeviceError;
use crate::checksum::CRC32;
use core::fmt;
use disco_abi::SECTOR;
use disco_flash::Guid;
use zerocopy::byteorder::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

/// Most partitions that a table may have room for. (Usual are 128.)
pub const ENTRIES_MAX: usize = 512;

/// First bytes of the header.
const SIGNATURE: [u8; 8] = *b"EFI PART";
/// Major number of the header's layout.
const REVISION: u32 = 1;
/// Where the first header is; the second is in the last sector.
const PRIMARY: u64 = 1;
/// Place of the header's own checksum in it.
const CHECKSUM: core::ops::Range<usize> = 16..20;
/// Name of no partition.
const NOBODY: Guid = [0; 16];

/// A sector.
pub type Sector = [u8; SECTOR as usize];

/// A disk that is read at once, sector by sector.
pub trait Sectors {
    /// Its length.
    fn sectors(&self) -> u64;
    /// Reads a sector.
    ///
    /// # Errors
    /// The device does not.
    fn read(&mut self, sector: u64, to: &mut Sector) -> Result<(), DeviceError>;
}

#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Header {
    signature: [u8; 8],
    revision: U32,
    length: U32,
    checksum: U32,
    reserved: U32,
    this: U64,
    other: U64,
    first_usable: U64,
    last_usable: U64,
    disk: Guid,
    entries: U64,
    entry_count: U32,
    entry_length: U32,
    entries_checksum: U32,
}

/// What the table has of a partition, as far as we need it.
#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct TableEntry {
    kind: Guid,
    guid: Guid,
    first: U64,
    last: U64,
}

/// A partition, or none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    guid: Guid,
    first: u64,
    last: u64,
}

impl Entry {
    /// No partition.
    pub const NONE: Self = Self {
        guid: NOBODY,
        first: 0,
        last: 0,
    };
}

/// Sectors of the disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Extent {
    /// The first one.
    pub first: u64,
    /// How many.
    pub sectors: u64,
}

/// What is wrong with a table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TableError {
    /// The device does not read it.
    Device,
    /// There is none.
    Missing,
    /// Its header has a wrong checksum.
    Header,
    /// Its header is whole and says what cannot be.
    Layout,
    /// Its entries have a wrong checksum.
    Entries,
}

impl fmt::Display for TableError {
    #[cfg_attr(target_os = "none", link_section = ".init.text")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Device => "the disk does not read the partition table",
            Self::Missing => "the disk has no partition table (GPT)",
            Self::Header => "the header of the partition table is damaged",
            Self::Layout => "the header of the partition table makes no sense",
            Self::Entries => "the entries of the partition table are damaged",
        })
    }
}

/// Why a partition cannot be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PartitionError {
    /// The machine has no disk.
    NoDisk,
    /// The disk's table cannot be used.
    Table(TableError),
    /// The table has no such partition.
    Missing,
    /// It lies where partitions may not be.
    OutOfRange,
    /// Another one has sectors of it, or its name.
    Overlaps,
}

impl fmt::Display for PartitionError {
    #[cfg_attr(target_os = "none", link_section = ".init.text")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoDisk => "the machine has no disk",
            Self::Table(error) => return error.fmt(f),
            Self::Missing => "the partition table has no such partition",
            Self::OutOfRange => "the partition is not within the disk",
            Self::Overlaps => "the partition overlaps another one",
        })
    }
}

/// A partition table that was read.
#[derive(Clone, Copy, Debug)]
pub struct Table<'a> {
    entries: &'a [Entry],
    first_usable: u64,
    last_usable: u64,
    /// Why it is not the first one that was taken but the one at the disk's end.
    pub first_table: Result<(), TableError>,
}

impl<'a> Table<'a> {
    /// Reads the table of `disk` into `room`.
    ///
    /// # Errors
    /// Both tables are damaged; what the first one has.
    #[cfg_attr(target_os = "none", link_section = ".init.text")]
    pub fn read(
        disk: &mut dyn Sectors,
        room: &'a mut [Entry; ENTRIES_MAX],
    ) -> Result<Self, TableError> {
        let last = disk.sectors().saturating_sub(1);
        let mut first_table = Ok(());
        for place in [PRIMARY, last] {
            match read_at(disk, place, room) {
                Ok((first_usable, last_usable)) => {
                    return Ok(Self {
                        entries: room,
                        first_usable,
                        last_usable,
                        first_table,
                    })
                }
                Err(error) => first_table = first_table.and(Err(error)),
            }
        }
        Err(first_table.err().unwrap_or(TableError::Missing))
    }

    /// Where partition `guid` is.
    ///
    /// # Errors
    /// There is none, or it is not a range of sectors of its own.
    #[cfg_attr(target_os = "none", link_section = ".init.text")]
    pub fn find(&self, guid: &Guid) -> Result<Extent, PartitionError> {
        let is_it = |entry: &&Entry| entry.guid == *guid && *guid != NOBODY;
        let place = self.entries.iter().position(|entry| is_it(&entry));
        let place = place.ok_or(PartitionError::Missing)?;
        let Entry { first, last, .. } = self.entries[place];
        if first > last || first < self.first_usable || last > self.last_usable {
            return Err(PartitionError::OutOfRange);
        }
        let mut others = self.entries.iter().enumerate();
        let overlaps = others.any(|(other, entry)| {
            other != place
                && entry.guid != NOBODY
                && (entry.guid == *guid || entry.first <= last && first <= entry.last)
        });
        if overlaps {
            return Err(PartitionError::Overlaps);
        }
        Ok(Extent {
            first,
            sectors: last - first + 1,
        })
    }
}

/// Reads the table with the header in sector `place`; between which sectors partitions may be.
fn read_at(
    disk: &mut dyn Sectors,
    place: u64,
    room: &mut [Entry; ENTRIES_MAX],
) -> Result<(u64, u64), TableError> {
    let mut sector = [0; SECTOR as usize];
    read_sector(disk, place, &mut sector)?;
    let header = check_header(&sector, place, disk.sectors())?;
    let mut bytes = header.entry_count.get() as usize * header.entry_length.get() as usize;
    let (first_usable, last_usable) = (header.first_usable.get(), header.last_usable.get());
    let entry_length = header.entry_length.get() as usize;
    let first = header.entries.get();
    let checksum = header.entries_checksum.get();
    let mut digest = CRC32.digest();
    room.fill(Entry::NONE);
    let mut entries = room.iter_mut();
    for number in first.. {
        if bytes == 0 {
            break;
        }
        read_sector(disk, number, &mut sector)?;
        let part = &sector[..bytes.min(sector.len())];
        bytes -= part.len();
        digest.update(part);
        for (bytes, entry) in part.chunks(entry_length).zip(&mut entries) {
            *entry = read_entry(bytes);
        }
    }
    if digest.finalize() != checksum {
        return Err(TableError::Entries);
    }
    Ok((first_usable, last_usable))
}

fn read_sector(disk: &mut dyn Sectors, number: u64, to: &mut Sector) -> Result<(), TableError> {
    disk.read(number, to)
        .map_err(|DeviceError| TableError::Device)
}

/// The header in `sector`, which is sector `place` of `sectors`.
fn check_header(sector: &Sector, place: u64, sectors: u64) -> Result<&Header, TableError> {
    let Ok((header, _)) = Header::ref_from_prefix(sector) else {
        return Err(TableError::Missing);
    };
    if header.signature != SIGNATURE {
        return Err(TableError::Missing);
    }
    let length = header.length.get() as usize;
    if !(size_of::<Header>()..=sector.len()).contains(&length) {
        return Err(TableError::Header);
    }
    let mut digest = CRC32.digest();
    digest.update(&sector[..CHECKSUM.start]);
    digest.update(&[0; 4]);
    digest.update(&sector[CHECKSUM.end..length]);
    if digest.finalize() != header.checksum.get() {
        return Err(TableError::Header);
    }
    let entry_length = header.entry_length.get();
    let count = header.entry_count.get();
    let fits = matches!(entry_length, 128 | 256 | 512) && count as usize <= ENTRIES_MAX;
    let length = u64::from(count).saturating_mul(entry_length.into());
    let entries = header.entries.get();
    let end = entries.saturating_add(length.div_ceil(SECTOR));
    let (first, last) = (header.first_usable.get(), header.last_usable.get());
    let apart = end <= first || entries > last;
    let right = header.revision.get() >> 16 == REVISION && header.this.get() == place;
    if right && fits && apart && first > PRIMARY && last < sectors && end <= sectors {
        Ok(header)
    } else {
        Err(TableError::Layout)
    }
}

fn read_entry(bytes: &[u8]) -> Entry {
    match TableEntry::ref_from_prefix(bytes) {
        Ok((entry, _)) if entry.kind != NOBODY => Entry {
            guid: entry.guid,
            first: entry.first.get(),
            last: entry.last.get(),
        },
        _ => Entry::NONE,
    }
}

/// A partition's name as people write it.
pub struct GuidText<'a>(pub &'a Guid);

impl fmt::Display for GuidText<'_> {
    #[cfg_attr(target_os = "none", link_section = ".init.text")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The first three groups are numbers, little-endian.
        const ORDER: [usize; 16] = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
        for (number, &place) in ORDER.iter().enumerate() {
            if matches!(number, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{:02x}", self.0[place])?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
