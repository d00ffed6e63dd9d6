//! Where the partitions of the description are on the real disk. Read at boot, before guests run: the
//! only transfers that somebody waits for.

use super::device::{Devices, RealDisk};
use super::{Carver, Monitor, CONSOLE};
use crate::address::MachineAddress;
use crate::clock::count_hz;
use crate::disk::device::{BlockDevice, DeviceError, Piece, Transfer};
use crate::disk::gpt::{
    Entry, Extent, GuidText, PartitionError, Sector, Sectors, Table, TableError, ENTRIES_MAX,
};
use crate::events::Event;
use core::sync::atomic::{AtomicU64, Ordering};
use disco_arch::board::XKPHYS_CACHED;
use disco_arch::cp0;
use disco_flash::{text, DescriptionView, Guid};

/// How long a sector may take, in seconds.
const PATIENCE: u64 = 10;
/// Words of a sector.
const WORDS: usize = size_of::<Sector>() / 8;
/// "None" in a description.
const NOBODY: Guid = [0; 16];

/// Where a partition is, or why it cannot be used.
pub type Place = Result<Extent, PartitionError>;

/// The partitions of the description.
pub struct Partitions {
    /// By number of the disk.
    disks: &'static [Place],
    /// By number of the mount; one without a log has the error that it is missing.
    logs: &'static [Place],
    /// The disk has a table, and why it is the one at the end.
    table: Result<Result<(), TableError>, PartitionError>,
}

impl Partitions {
    /// Finds them, on CPU 0 while no other runs.
    #[link_section = ".init.text"]
    #[inline(never)]
    pub(super) fn find(
        description: &DescriptionView<'static>,
        devices: &Devices,
        carver: &mut Carver,
    ) -> Self {
        if description.disks.is_empty() {
            return Self {
                disks: &[],
                logs: &[],
                table: Ok(Ok(())),
            };
        }
        let table = read_table(devices, carver);
        let place = |guid: &Guid| table.as_ref().map_err(|error| *error)?.find(guid);
        let disks = description.disks.iter().map(|disk| place(&disk.partition));
        let logs = description.mounts.iter().map(|mount| place(&mount.log));
        Self {
            disks: carver.collect(disks),
            logs: carver.collect(logs),
            table: table.map(|table| table.first_table),
        }
    }

    /// Where the sectors of disk `number` are, if it can be used.
    pub fn disk(&self, number: usize) -> Option<Extent> {
        self.disks.get(number)?.ok()
    }

    /// Where the log of mount `number` is, if it has one and it can be used.
    pub fn log(&self, number: usize) -> Option<Extent> {
        self.logs.get(number)?.ok()
    }
}

#[link_section = ".init.text"]
fn read_table(devices: &Devices, carver: &mut Carver) -> Result<Table<'static>, PartitionError> {
    let disk = devices.disk.ok_or(PartitionError::NoDisk)?;
    let sector = carver.take::<[AtomicU64; WORDS]>(0, 1);
    let room = carver.take::<[Entry; ENTRIES_MAX]>(0, 1);
    // SAFETY: room for one of each, zeroed, which is valid for both; nobody else's.
    let (sector, room) = unsafe { (&*sector, &mut *room) };
    let mut disk = disk.driver.lock();
    let mut reader = Reader {
        disk: &mut disk,
        sector,
    };
    Table::read(&mut reader, room).map_err(PartitionError::Table)
}

/// Reads sectors and waits for them.
struct Reader<'a> {
    disk: &'a mut RealDisk,
    sector: &'static [AtomicU64; WORDS],
}

impl Sectors for Reader<'_> {
    fn sectors(&self) -> u64 {
        self.disk.sectors()
    }

    #[link_section = ".init.text"]
    fn read(&mut self, sector: u64, to: &mut Sector) -> Result<(), DeviceError> {
        let address = core::ptr::from_ref(self.sector) as u64 & !XKPHYS_CACHED;
        let piece = Piece {
            address: MachineAddress(address),
            bytes: to.len() as u32,
        };
        let submitted = self.disk.submit(Transfer::Read, sector, &[piece], 0);
        submitted.map_err(|_| DeviceError)?;
        let begin = cp0::count();
        let patience = (PATIENCE * count_hz()).min(u32::MAX.into()) as u32;
        let result = loop {
            if let Some((_, result)) = self.disk.completed() {
                break result;
            }
            if cp0::count().wrapping_sub(begin) > patience {
                // It may not write into the sector later.
                self.disk.give_up();
            }
        };
        for (bytes, word) in to.chunks_exact_mut(8).zip(self.sector) {
            bytes.copy_from_slice(&word.load(Ordering::Relaxed).to_ne_bytes());
        }
        result
    }
}

impl Monitor {
    /// Says which disks of the description cannot be used, at tick `now`.
    pub(super) fn report_partitions(&self, now: u64) {
        let disks = self.description.disks;
        let mounts = self.description.mounts.iter();
        let notice = |text: core::fmt::Arguments| CONSOLE.lock().notice(text);
        match self.partitions.table {
            Ok(Ok(())) => {}
            Ok(Err(error)) => notice(format_args!("{error}: its copy at the end is used")),
            Err(PartitionError::NoDisk) => notice(format_args!(
                "no disk can be used: the machine has none. `cargo xtask run` starts it with one"
            )),
            Err(error) => notice(format_args!(
                "no disk can be used: {error}. `cargo xtask run --fresh-disk` makes a new one and keeps this one"
            )),
        }
        let one_by_one = self.partitions.table.is_ok();
        for (disk, place) in disks.iter().zip(self.partitions.disks) {
            let (disk, guid, Err(error)) = (text(&disk.name), GuidText(&disk.partition), place)
            else {
                continue;
            };
            if one_by_one {
                notice(format_args!("disk {disk} cannot be used: {error} ({guid})"));
            }
            self.event(
                Event::DiskUnusable {
                    disk,
                    reason: error,
                },
                now,
                None,
            );
        }
        for (mount, place) in mounts.zip(self.partitions.logs) {
            let disk = disks.get(mount.disk.get() as usize);
            let slot = self.slots.get(mount.vm.get() as usize);
            let (Some(disk), Some(slot), Err(error), true) =
                (disk, slot, place, mount.log != NOBODY)
            else {
                continue;
            };
            let (disk, guid) = (text(&disk.name), GuidText(&mount.log));
            if one_by_one {
                notice(format_args!(
                    "{} cannot use disk {disk}, its log is missing: {error} ({guid})",
                    slot.name
                ));
            }
            self.event(
                Event::DiskUnusable {
                    disk,
                    reason: error,
                },
                now,
                Some(slot),
            );
        }
    }
}
