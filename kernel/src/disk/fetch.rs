//! Guests' files, which lie at the beginning of disks that no virtual machine counts. They are read like
//! any block, by commands of the virtual machine that is to start, and stay in the cache until it does.

use super::cache::Lookup;
use super::command::List;
use super::pool::NONE;
use super::virtual_disk::MONITOR;
use super::{Disks, Edge};
use crate::address::MachinePage;
use disco_abi::{DiskError, DISK_BYTES_MAX, DISK_COMMANDS_MAX, SECTOR};

impl Disks {
    /// Begins to read the first `sectors` sectors of disk `disk` for virtual machine `vm`, which does not
    /// run. [`Disks::vm_ended`] gives up what was read.
    ///
    /// # Errors
    /// The disk has not so many, or not so much can be read.
    #[cold]
    #[inline(never)]
    pub fn fetch(
        &mut self,
        edge: &mut Edge<'_>,
        vm: usize,
        disk: usize,
        sectors: u64,
    ) -> Result<(), DiskError> {
        const MOST: u64 = DISK_BYTES_MAX / SECTOR;
        let has = |mount: &super::Mount| mount.vm == MONITOR && usize::from(mount.disk) == disk;
        let mount = self.mounts.iter().position(has);
        let disk = self.disks.get(disk).filter(|disk| !disk.fault);
        let (Some(mount), Some(_)) = (mount, disk.filter(|disk| sectors <= disk.sectors)) else {
            return Err(DiskError::OutOfRange);
        };
        for sector in (0..sectors).step_by(MOST as usize) {
            let room = self.queues[vm].count < DISK_COMMANDS_MAX;
            let reserved = room && self.commands.reserve(1, edge.tables);
            let index = self.commands.take().filter(|_| reserved);
            let index = index.ok_or(DiskError::NoSpace)?;
            let command = self.commands.get_mut(index);
            command.reset(vm as u16, mount as u16);
            command
                .request
                .read(sector, MOST.min(sectors - sector) as u32);
            self.queues[vm].count += 1;
            if self.attempt(edge, index) {
                self.end(edge, index);
            } else {
                self.waiting.push(&mut self.commands, index);
            }
        }
        Ok(())
    }

    /// How the fetches of `vm` have ended, if all have.
    pub fn fetched(&self, vm: usize) -> Option<Result<(), DiskError>> {
        let queue = self.queues.get(vm)?;
        let mut result = Ok(());
        let mut ended = 0;
        let mut index = queue.ended.first();
        while index != NONE {
            result = self.commands.get(index).error.map_or(result, Err);
            ended += 1;
            index = List::behind(&self.commands, index);
        }
        (ended == queue.count).then_some(result)
    }

    /// The page of a block of disk `disk`, if it is in memory.
    pub fn fetched_page(&mut self, disk: usize, block: u64) -> Option<MachinePage> {
        let first = self.disks.get(disk)?.first;
        match self.cache.look(first + block) {
            Lookup::Valid(page, _) => Some(page.page()),
            _ => None,
        }
    }
}
