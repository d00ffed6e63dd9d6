//! Guests' files on the real disk: read into the disk cache when a virtual machine is to start, while
//! others run, and loaded from there by CPU 0 when all of them are there.

use super::device::want_attention;
use super::resident::StartError;
use super::slot::{VmSlot, VmState};
use super::Monitor;
use crate::address::MachineAddress;
use crate::machine::NodeId;
use crate::vm::loader::{checksum, GuestFile};
use core::slice;
use core::sync::atomic::Ordering;
use disco_abi::{DiskError, PAGE_SIZE, SECTOR};
use disco_arch::board::XKPHYS_CACHED;
use disco_flash::{text, File, NONE};

/// What is wrong with a file.
#[derive(Clone, Copy, Debug)]
pub enum FileError {
    /// Its partition is not there, or shorter than the file.
    Missing,
    /// The disk did not give it.
    Unread,
    /// It is not what the description says.
    Damaged,
}

impl FileError {
    /// For people.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Missing => "has no partition on the disk, or a shorter one",
            Self::Unread => "cannot be read from the disk",
            Self::Damaged => "is damaged on the disk",
        }
    }
}

impl Monitor {
    /// The files of a guest that lie on the real disk.
    fn stored(&self, slot: &VmSlot) -> impl Iterator<Item = &'static File> {
        let files = self.description.files;
        let both = [slot.described.kernel, slot.described.initrd];
        let there = both
            .into_iter()
            .filter_map(|number| files.get(number.get() as usize));
        there.filter(|file| file.disk.get() != NONE)
    }

    /// Begins to read what of a guest lies on the real disk, under its slot's state; whether anything does.
    ///
    /// # Errors
    /// There is no such partition, or no memory for what is to be read.
    #[cold]
    #[inline(never)]
    pub(super) fn fetch(&'static self, slot: &VmSlot) -> Result<bool, StartError> {
        let vm = slot.id.0.into();
        let mut any = false;
        for file in self.stored(slot) {
            any = true;
            let sectors = file.len.get().div_ceil(SECTOR);
            let disk = file.disk.get() as usize;
            let begun = self.with_disks(NodeId(0), |disks, edge| {
                disks.fetch(edge, vm, disk, sectors)
            });
            let error = match begun {
                Some(Ok(())) => continue,
                Some(Err(DiskError::NoSpace)) => StartError::NoMemory,
                _ => StartError::File(text(&file.name), FileError::Missing),
            };
            self.disk_vm_ended(slot);
            return Err(error);
        }
        if any {
            self.loading.fetch_or(1 << slot.id.0, Ordering::Relaxed);
            want_attention();
        }
        Ok(any)
    }

    /// Virtual machines whose guests have been read start, on CPU 0; `clock` tells ticks.
    #[cold]
    #[inline(never)]
    pub(super) fn loads_go_on(&'static self, clock: &mut dyn FnMut() -> u64) {
        let loading = self.loading.load(Ordering::Relaxed);
        for slot in self
            .slots
            .iter()
            .filter(|slot| loading & 1 << slot.id.0 != 0)
        {
            let mut state = slot.state.lock();
            let VmState::Loading { others, ending } = *state else {
                continue;
            };
            let vm = slot.id.0.into();
            let result = match (self.disks.lock().fetched(vm), &ending) {
                (None, None) => continue,
                (result, _) => result.unwrap_or(Ok(())),
            };
            self.loading.fetch_and(!(1 << slot.id.0), Ordering::Relaxed);
            let now = clock();
            let started = match (result, ending) {
                (_, Some(ending)) => {
                    self.disk_vm_ended(slot);
                    self.has_ended(slot, &mut state, &ending, now);
                    continue;
                }
                (Ok(()), _) => {
                    let mut begins = || {
                        let end = clock();
                        end + (end - now) * others
                    };
                    self.launch(slot, &mut state, now, &mut begins)
                }
                (Err(error), _) => Err(self.unread(slot, error)),
            };
            if let Err(error) = started {
                self.disk_vm_ended(slot);
                self.not_started(slot, &mut state, &error, now);
                self.notice_not_started(slot, &error);
            }
        }
    }

    /// Why a guest could not be read.
    fn unread(&self, slot: &VmSlot, error: DiskError) -> StartError {
        match (error, self.stored(slot).next()) {
            (DiskError::NoSpace, _) | (_, None) => StartError::NoMemory,
            (_, Some(file)) => StartError::File(text(&file.name), FileError::Unread),
        }
    }
}

/// A guest's file in the disk cache. What has fetched it keeps it there.
pub(super) struct Fetched {
    monitor: &'static Monitor,
    disk: usize,
    length: usize,
}

impl Fetched {
    /// The file, if it is what it should be.
    pub(super) fn of(monitor: &'static Monitor, file: &'static File) -> Result<Self, StartError> {
        let fetched = Self {
            monitor,
            disk: file.disk.get() as usize,
            length: file.len.get() as usize,
        };
        if checksum(&fetched) == file.crc32.get() {
            Ok(fetched)
        } else {
            Err(StartError::File(text(&file.name), FileError::Damaged))
        }
    }
}

impl GuestFile for Fetched {
    fn length(&self) -> usize {
        self.length
    }

    fn bytes(&self, offset: usize) -> &[u8] {
        const PAGE: usize = PAGE_SIZE as usize;
        let (block, start) = ((offset / PAGE) as u64, offset % PAGE);
        let mut disks = self.monitor.disks.lock();
        let Some(page) = disks.fetched_page(self.disk, block) else {
            return &[];
        };
        let end = self.length.saturating_sub(offset - start).min(PAGE);
        let address: MachineAddress = page.address();
        let bytes = (XKPHYS_CACHED | address.0) as *const u8;
        // SAFETY: a page of RAM that has several users, so that nobody writes to it; the commands that have
        // fetched it are among them, and are given up only when the guest is loaded.
        let bytes = unsafe { slice::from_raw_parts(bytes, PAGE) };
        bytes.get(start..end).unwrap_or(&[])
    }
}
