//! How writes to a `cow-persistent` disk go on: into the log, and its blocks to its other half.

use super::cache::Lookup;
use super::command::{Command, PARTS_MAX};
use super::device::Transfer;
use super::log::format::{Logged, RECORD_BLOCKS};
use super::log::{checksum, head_offset, Move, Room, WINDOW};
use super::place::Place;
use super::pool::NONE;
use super::private::copy_sectors;
use super::serve::{no_page, Missing, Step};
use super::transfer::{PagePiece, Purpose};
use super::virtual_disk::Fault;
use super::{sector_bytes, BLOCK};
use crate::machine::shared::PageRef;
use crate::vm::defect::{seeded, Defect};
use disco_abi::{DiskError, PAGE_SIZE, SECTOR};

/// Records that move to the other half in one step.
const MOVED_AT_ONCE: usize = 2;

impl Step<'_, '_> {
    /// Records of the log that have ended with all before them; `u64::MAX` without a log.
    pub(super) fn records_written(&self) -> u64 {
        let log = self.mount.log.as_ref();
        log.map_or(u64::MAX, |log| log.progress().1)
    }

    /// Whether nothing can be appended for ever.
    pub(super) fn log_has_failed(&self) -> bool {
        let log = self.mount.log.as_ref();
        log.is_none_or(|log| log.has_failed())
    }

    /// Appends what the guest has written to the log, once all of it can be.
    #[inline(never)]
    pub(super) fn write_logged(&mut self, command: &mut Command) {
        if command.record != 0 {
            return;
        }
        if self.log_has_failed() {
            command.error = Some(DiskError::Device);
            return;
        }
        if !self.complete(command) || command.error.is_some() {
            return;
        }
        let blocks = command.blocks();
        let Some(log) = &mut self.mount.log else {
            return;
        };
        if log.moving().is_some() {
            return;
        }
        match log.room(blocks) {
            Room::Yes => {}
            Room::Later => return,
            Room::Full => {
                log.begin_move();
                self.log_goes_on();
                return;
            }
        }
        let tables = self.edge.tables;
        if !self.cache.reserve(tables, blocks)
            || !self
                .mount
                .private
                .reserve_blocks(self.nodes, tables, blocks)
        {
            if self.transfers.is_empty() {
                command.error = Some(DiskError::NoSpace);
            }
            return;
        }
        let memory = self.edge.memory;
        let mut number = 0;
        while number < blocks {
            let count = RECORD_BLOCKS.min(blocks - number);
            let mut entries = [const { None }; RECORD_BLOCKS];
            for (index, to) in entries.iter_mut().enumerate().take(count) {
                let part = &mut command.parts[number + index];
                part.ready = true;
                let block = (command.request.sector / BLOCK) + (number + index) as u64;
                let known = part.checksum.take();
                *to = part.base.take().map(|page| {
                    let checksum = known.unwrap_or_else(|| checksum(memory, &page));
                    let (block, mask) = (block as u32, part.mask);
                    let logged = Logged {
                        block,
                        mask,
                        checksum,
                    };
                    (logged, page)
                });
            }
            self.append(&mut entries[..count]);
            number += count;
        }
        if let Some(log) = &self.mount.log {
            command.record = log.progress().0;
        }
        self.begin_records();
    }

    /// Fills pages that the guest writes in part with what it had written before; whether nothing is
    /// missing for that. A part's mask becomes what will be private.
    fn complete(&mut self, command: &mut Command) -> bool {
        let memory = self.edge.memory;
        let mut complete = true;
        let mut new = 0;
        for number in 0..command.blocks() {
            let block = command.first_block() + number as u64;
            let wanted = command.wanted(number);
            let (mask, place) = self.mount.private.of_block(self.nodes, block);
            let place = match place {
                Some(&Place::Log { block, .. }) => Some(block),
                _ => None,
            };
            new += u64::from(mask == 0);
            command.parts[number].mask = mask | wanted;
            if wanted == u32::MAX {
                continue;
            }
            let old = mask & !wanted;
            if old != 0 {
                match self.is_there(block, old) {
                    Ok(()) => {}
                    Err(Missing::Wait) => complete = false,
                    Err(Missing::Block(real)) => {
                        self.fill_for(command, real, 1);
                        complete = false;
                    }
                }
                if !complete {
                    continue;
                }
            }
            let (Some(page), Some(log)) = (&command.parts[number].base, &self.mount.log) else {
                continue;
            };
            if let Some(place) = place.filter(|_| old != 0) {
                if let Lookup::Valid(from, _) = self.cache.look(log.real(place)) {
                    copy_sectors(memory, from, page, old);
                }
            }
            // What was in the page before is nobody's business.
            for sector in (0..BLOCK).filter(|sector| (mask | wanted) & (1 << sector) == 0) {
                memory.write(page, sector_bytes(sector), &[0; SECTOR as usize]);
            }
        }
        let most = self.mount.log.as_ref().map_or(0, |log| log.most());
        if self.mount.private.blocks() + new > most {
            self.mount.note(Fault::Quota);
            command.error = Some(DiskError::NoSpace);
        }
        complete
    }

    /// Appends a record of blocks of the disk with their pages. There is room in the log and in the
    /// tables.
    fn append(&mut self, entries: &mut [Option<(Logged, PageRef)>]) {
        let (memory, tables) = (self.edge.memory, self.edge.tables);
        let mut logged = [Logged::default(); RECORD_BLOCKS];
        for (to, (from, _)) in logged.iter_mut().zip(entries.iter().flatten()) {
            *to = *from;
        }
        let Some(log) = &mut self.mount.log else {
            return;
        };
        let first = log.append(memory, &logged[..entries.len()]);
        for (place, entry) in (first..).zip(entries) {
            let Some((logged, page)) = entry.take() else {
                continue;
            };
            let real = log.real(place);
            self.cache
                .put((memory, tables as _), real, page, (false, true));
            let nodes = (&mut *self.nodes, tables as _);
            let set = (logged.mask, logged.at(place));
            self.mount
                .private
                .set(memory, nodes, logged.block.into(), set);
        }
    }

    /// Does what can be done for the log.
    #[inline(never)]
    pub(super) fn log_goes_on(&mut self) {
        self.begin_records();
        let Some(log) = &mut self.mount.log else {
            return;
        };
        let (appended, written) = log.progress();
        if log.has_failed() || log.move_begun {
            return;
        }
        let begun = match log.moving() {
            None => return,
            Some(Move::Blocks(sector)) => return self.move_blocks(sector),
            // All records have to be there before the other half counts.
            Some(_) if written < appended => return,
            Some(Move::Flush) if seeded(Defect::IgnoreMoveFlush) => return self.move_ended(),
            Some(Move::FlushAgain) if seeded(Defect::IgnoreSuperblockFlush) => {
                return self.move_ended()
            }
            Some(Move::Flush | Move::FlushAgain) => {
                let purpose = Purpose::Move(self.number);
                self.alone(|step| step.start(Transfer::Flush, 0, purpose, 0, |_| no_page()))
            }
            Some(Move::Superblock) => {
                let (sector, offset) = log.next_superblock(self.edge.memory);
                let (sector, page) = (log.real_sector(sector), log.heads().page());
                let purpose = Purpose::Move(self.number);
                let piece = |_| PagePiece::of_table(page, offset);
                self.alone(|step| step.start(Transfer::Write, sector, purpose, 1, piece))
            }
        };
        if let Some(log) = &mut self.mount.log {
            log.move_begun = begun;
        }
    }

    /// A step of the move has ended without a transfer.
    fn move_ended(&mut self) {
        if let Some(log) = &mut self.mount.log {
            log.move_ended(true);
        }
        self.log_goes_on();
    }

    /// Does `work`; no command waits for the transfers that it begins.
    fn alone<R>(&mut self, work: impl FnOnce(&mut Self) -> R) -> R {
        let command = core::mem::replace(&mut self.index, NONE);
        let result = work(self);
        self.index = command;
        result
    }

    /// Begins transfers of records that have been appended, as long as the device takes them.
    fn begin_records(&mut self) {
        let memory = self.edge.memory;
        while let Some(log) = &self.mount.log {
            let Some((number, record)) = log.to_begin() else {
                return;
            };
            let (mount, bits) = (self.number, number as u32);
            let part = usize::from(!record.to_begin[0]);
            let begun = if part == 0 {
                let real = log.real(record.first);
                let mut pages = [const { None }; RECORD_BLOCKS];
                for (block, page) in (real..).zip(&mut pages).take(record.count as usize) {
                    if let Lookup::Valid(found, _) = self.cache.look(block) {
                        *page = Some(memory.share(found));
                    }
                }
                let purpose = Purpose::Data {
                    mount,
                    record: bits,
                };
                let (sector, count) = (real * BLOCK, record.count as usize);
                let piece = |index: usize| {
                    let page = pages[index].take();
                    page.map_or_else(no_page, |page| PagePiece::of(page, 0, PAGE_SIZE as u32))
                };
                let begun =
                    self.alone(|step| step.start(Transfer::Write, sector, purpose, count, piece));
                // Those that were not passed on.
                for page in pages.into_iter().flatten() {
                    memory.release(page);
                }
                begun
            } else {
                let (sector, page) = (log.real_sector(record.head), log.heads().page());
                let purpose = Purpose::Head {
                    mount,
                    record: bits,
                };
                let piece = |_| PagePiece::of_table(page, head_offset(number));
                self.alone(|step| step.start(Transfer::Write, sector, purpose, 1, piece))
            };
            if !begun {
                return;
            }
            if let Some(log) = &mut self.mount.log {
                log.begun(number, part);
            }
        }
    }

    /// Appends the next living blocks, from a sector of the disk on, to the other half: a few records,
    /// and more when a transfer has ended. Their checksums go with them: what the device has damaged
    /// meanwhile stays known as that.
    fn move_blocks(&mut self, from: u64) {
        let mut sector = from;
        for _ in 0..MOVED_AT_ONCE {
            let Some(log) = &self.mount.log else {
                return;
            };
            let (appended, written) = log.progress();
            if appended - written >= WINDOW {
                return;
            }
            let mut batch = [const { None }; RECORD_BLOCKS];
            let mut count = 0;
            let mut missing = false;
            let mut next = sector;
            while let Some(to) = batch.get_mut(count) {
                let found = self.mount.private.next(self.nodes, next);
                let Some(block) = found.map(|(range, _)| range.start / BLOCK) else {
                    break;
                };
                next = (block + 1) * BLOCK;
                let (mask, place) = self.mount.private.of_block(self.nodes, block);
                let (
                    Some(&Place::Log {
                        block: place,
                        checksum,
                    }),
                    Some(log),
                ) = (place, &self.mount.log)
                else {
                    continue;
                };
                let real = log.real(place);
                match self.cache.look(real) {
                    Lookup::Valid(page, _) => {
                        let block = block as u32;
                        let logged = Logged {
                            block,
                            mask,
                            checksum,
                        };
                        *to = Some((logged, self.edge.memory.share(page), real));
                    }
                    Lookup::Reading => missing = true,
                    Lookup::Absent => {
                        missing = true;
                        let _ = self.alone(|step| step.fill(real, 1));
                    }
                }
                count += 1;
            }
            let tables = self.edge.tables;
            let ready = !missing
                && self.cache.reserve(tables, count)
                && self.mount.private.reserve_blocks(self.nodes, tables, count);
            if !ready {
                for (_, page, _) in batch.into_iter().flatten() {
                    self.edge.memory.release(page);
                }
                return;
            }
            if count == 0 {
                if let Some(log) = &mut self.mount.log {
                    log.moved_all();
                }
                return self.log_goes_on();
            }
            let mut moved = [const { None }; RECORD_BLOCKS];
            for (to, from) in moved.iter_mut().zip(batch.into_iter().flatten()) {
                let (logged, page, old) = from;
                self.cache.take(self.edge.memory, old);
                *to = Some((logged, page));
            }
            self.append(&mut moved[..count]);
            sector = next;
            if let Some(log) = &mut self.mount.log {
                log.moved_to(sector);
            }
            self.begin_records();
        }
    }
}

const _: () = assert!(PARTS_MAX.div_ceil(RECORD_BLOCKS) <= WINDOW as usize);
