use super::*;
use gpt::mbr::ProtectiveMBR;
use gpt::partition_types;
use gpt::GptConfig;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::io::Cursor;
use uuid::Uuid;

const SECTORS: u64 = 4096;

struct Disk {
    bytes: Vec<u8>,
    bad: Option<u64>,
}

impl Sectors for Disk {
    fn sectors(&self) -> u64 {
        self.bytes.len() as u64 / SECTOR
    }

    fn read(&mut self, sector: u64, to: &mut Sector) -> Result<(), DeviceError> {
        let start = (sector * SECTOR) as usize;
        let bytes = self.bytes.get(start..start + SECTOR as usize);
        match bytes.filter(|_| self.bad != Some(sector)) {
            Some(bytes) => to.copy_from_slice(bytes),
            None => return Err(DeviceError),
        }
        Ok(())
    }
}

fn guid(number: u8) -> Guid {
    [number + 1; 16]
}

/// A disk as xtask's crate writes it, with partitions of these first and last sectors.
fn disk(partitions: &[(u64, u64)]) -> Disk {
    let mut file = Cursor::new(vec![0; (SECTORS * SECTOR) as usize]);
    ProtectiveMBR::with_lb_size(SECTORS as u32 - 1)
        .overwrite_lba0(&mut file)
        .unwrap();
    let mut table = GptConfig::new()
        .writable(true)
        .create_from_device(&mut file, None)
        .unwrap();
    let mut entries = BTreeMap::new();
    for (number, &(first_lba, last_lba)) in partitions.iter().enumerate() {
        let entry = gpt::partition::Partition {
            part_type_guid: partition_types::LINUX_FS,
            part_guid: Uuid::from_bytes_le(guid(number as u8)),
            first_lba,
            last_lba,
            flags: 0,
            name: "name".to_owned(),
        };
        entries.insert(number as u32 + 1, entry);
    }
    table.update_partitions(entries).unwrap();
    table.write().unwrap();
    Disk {
        bytes: file.into_inner(),
        bad: None,
    }
}

fn find(disk: &mut Disk, number: u8) -> Result<Extent, PartitionError> {
    let mut room = [Entry::NONE; ENTRIES_MAX];
    let table = Table::read(disk, &mut room).map_err(PartitionError::Table)?;
    table.find(&guid(number))
}

const fn extent(first: u64, last: u64) -> Extent {
    Extent {
        first,
        sectors: last - first + 1,
    }
}

const TWO: [(u64, u64); 2] = [(64, 1023), (1024, 2047)];

/// Sector of the first table's entries, and of the second one's.
const ENTRIES: [u64; 2] = [2, SECTORS - 33];
const HEADERS: [u64; 2] = [PRIMARY, SECTORS - 1];

impl Disk {
    fn at(&mut self, sector: u64, offset: usize) -> &mut [u8] {
        &mut self.bytes[(sector * SECTOR) as usize + offset..]
    }

    /// Changes both headers, with right checksums.
    fn change_headers(&mut self, change: impl Fn(&mut [u8])) {
        for sector in HEADERS {
            let header = &mut self.at(sector, 0)[..512];
            change(header);
            header[CHECKSUM].fill(0);
            let length = u32::from_le_bytes(header[12..16].try_into().unwrap());
            let checksum = CRC32.checksum(&header[..(length as usize).min(512)]);
            header[CHECKSUM].copy_from_slice(&checksum.to_le_bytes());
        }
    }

    /// Changes both arrays of entries, with right checksums.
    fn change_entries(&mut self, change: impl Fn(&mut [u8])) {
        for sector in ENTRIES {
            let entries = &mut self.at(sector, 0)[..128 * 128];
            change(entries);
            let checksum = CRC32.checksum(entries);
            self.change_headers(|header| header[88..92].copy_from_slice(&checksum.to_le_bytes()));
        }
    }
}

#[test]
fn partitions_are_found() {
    let mut disk = disk(&TWO);
    assert_eq!(find(&mut disk, 0), Ok(extent(64, 1023)));
    assert_eq!(find(&mut disk, 1), Ok(extent(1024, 2047)));
    assert_eq!(find(&mut disk, 2), Err(PartitionError::Missing));
    // What is not a partition has this name, too.
    let mut room = [Entry::NONE; ENTRIES_MAX];
    let table = Table::read(&mut disk, &mut room).unwrap();
    assert_eq!(table.find(&NOBODY), Err(PartitionError::Missing));
    assert_eq!(table.first_table, Ok(()));
}

#[test]
fn longer_entries_and_a_longer_header_are_read() {
    let entry = disk(&TWO).at(ENTRIES[0], 128)[..128].to_vec();
    let mut disk = disk(&[]);
    disk.change_entries(|entries| {
        entries.fill(0);
        entries[512..640].copy_from_slice(&entry);
    });
    disk.change_headers(|header| {
        header[12..16].copy_from_slice(&512u32.to_le_bytes());
        header[80..84].copy_from_slice(&64u32.to_le_bytes());
        header[84..88].copy_from_slice(&256u32.to_le_bytes());
        header[400] = 7;
    });
    assert_eq!(find(&mut disk, 1), Ok(extent(1024, 2047)));
}

#[test]
fn the_second_table_counts_where_the_first_is_damaged() {
    let cases: [(u64, usize, TableError); 3] = [
        (PRIMARY, 0, TableError::Missing),
        (PRIMARY, 40, TableError::Header),
        (ENTRIES[0] + 1, 5, TableError::Entries),
    ];
    for (sector, offset, error) in cases {
        let mut disk = disk(&TWO);
        disk.at(sector, offset)[0] ^= 1;
        let mut room = [Entry::NONE; ENTRIES_MAX];
        let table = Table::read(&mut disk, &mut room).unwrap();
        assert_eq!(table.first_table, Err(error));
        assert_eq!(table.find(&guid(1)), Ok(extent(1024, 2047)));
    }
    for sector in [PRIMARY, ENTRIES[0] + 2] {
        let mut disk = disk(&TWO);
        disk.bad = Some(sector);
        assert_eq!(find(&mut disk, 0), Ok(extent(64, 1023)));
    }
}

#[test]
fn without_a_whole_table_nothing_is_found() {
    let mut damaged = disk(&TWO);
    damaged.at(ENTRIES[0], 9)[0] ^= 1;
    damaged.at(HEADERS[1], 9)[0] ^= 1;
    let error = |error| Err(PartitionError::Table(error));
    assert_eq!(find(&mut damaged, 0), error(TableError::Entries));
    let mut empty = Disk {
        bytes: vec![0; 512 * 16],
        bad: None,
    };
    assert_eq!(find(&mut empty, 0), error(TableError::Missing));
    for sectors in 0..3 {
        empty.bytes = disk(&TWO).bytes[..512 * sectors].to_vec();
        assert!(find(&mut empty, 0).is_err());
    }
}

#[test]
fn a_header_that_makes_no_sense_is_refused() {
    let set = |at: usize, value: u64| {
        let mut disk = disk(&TWO);
        let length = if (16..80).contains(&at) { 8 } else { 4 };
        disk.change_headers(|header| {
            header[at..at + length].copy_from_slice(&value.to_le_bytes()[..length]);
        });
        disk.at(HEADERS[1], 0)[0] = 0;
        find(&mut disk, 0)
    };
    let refused = Err(PartitionError::Table(TableError::Layout));
    assert_eq!(set(8, 0x0002_0000), refused, "revision");
    assert_eq!(set(24, 2), refused, "another sector's");
    assert_eq!(set(40, 1), refused, "the header can be used by partitions");
    assert_eq!(set(40, 33), refused, "the entries can");
    assert_eq!(set(48, SECTORS), refused, "the disk is shorter");
    assert_eq!(set(48, u64::MAX), refused, "the disk is shorter");
    assert_eq!(set(72, SECTORS - 31), refused, "entries behind the disk");
    assert_eq!(set(72, u64::MAX), refused, "entries behind everything");
    assert_eq!(set(80, 513), refused, "too many entries");
    assert_eq!(set(80, u32::MAX.into()), refused, "too many entries");
    assert_eq!(set(84, 0), refused, "entries of nothing");
    assert_eq!(set(84, 1024), refused, "entries of two sectors");
}

#[test]
fn partitions_that_lie_wrong_are_refused() {
    let mut disk = disk(&TWO);
    let place = |disk: &mut Disk, first: u64, last: u64| {
        disk.change_entries(|entries| {
            entries[128 + 32..128 + 40].copy_from_slice(&first.to_le_bytes());
            entries[128 + 40..128 + 48].copy_from_slice(&last.to_le_bytes());
        });
    };
    for (first, last) in [
        (33, 40),
        (0, 40),
        (2048, SECTORS - 1),
        (50, 49),
        (9, u64::MAX),
    ] {
        place(&mut disk, first, last);
        assert_eq!(find(&mut disk, 1), Err(PartitionError::OutOfRange));
    }
    for (first, last) in [(64, 64), (34, 64), (1023, 2000), (34, 3000), (100, 200)] {
        place(&mut disk, first, last);
        assert_eq!(find(&mut disk, 0), Err(PartitionError::Overlaps));
        assert_eq!(find(&mut disk, 1), Err(PartitionError::Overlaps));
    }
    place(&mut disk, 1024, 2047);
    disk.change_entries(|entries| entries[128 + 16..128 + 32].fill(1));
    assert_eq!(
        find(&mut disk, 0),
        Err(PartitionError::Overlaps),
        "one name twice"
    );
}

#[test]
fn names_are_written_as_people_write_them() {
    let guid: Guid = core::array::from_fn(|number| number as u8 * 17);
    assert_eq!(
        GuidText(&guid).to_string(),
        Uuid::from_bytes_le(guid).to_string()
    );
}

proptest! {
    /// Bytes of the tables change anyhow: what is found is right, or it is an error. With checksums that
    /// fit, too, what is found is within the disk.
    #[test]
    fn damage_is_seen(
        damage in prop::collection::vec((0..3usize, 0..16_384usize, any::<u8>()), 1..8),
        with_checksums: bool,
    ) {
        let mut disk = disk(&TWO);
        for &(part, offset, byte) in &damage {
            let sector = [PRIMARY, ENTRIES[0], ENTRIES[1]][part];
            let offset = if part == 0 { offset % 512 } else { offset };
            disk.at(sector, offset)[0] = byte;
        }
        if with_checksums {
            disk.change_entries(|_| {});
            for &(_, offset, byte) in &damage {
                disk.change_headers(|header| header[offset % 92] = byte);
            }
        }
        for number in 0..3 {
            let found = find(&mut disk, number);
            if let Ok(extent) = found {
                prop_assert!(extent.sectors > 0 && extent.first + extent.sectors <= SECTORS);
                if !with_checksums {
                    let (first, last) = TWO[usize::from(number)];
                    prop_assert_eq!(extent, self::extent(first, last));
                }
            }
        }
    }
}
