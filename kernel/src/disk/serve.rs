//! How a command goes on: what can be done now is done, what is missing is asked of the device.

use super::cache::{Cache, Lookup};
use super::command::{Command, Commands, Part, Phase};
use super::device::{BlockDevice, Transfer, PIECES_MAX};
use super::place::Place;
use super::pool::NONE;
use super::private::{copy_sectors, PrivateNodes};
use super::transfer::{PagePiece, Purpose, Transfers};
use super::virtual_disk::{Fault, Mount, VirtualDisk};
use super::{Disks, Edge, BLOCK};
use crate::machine::shared::PageRef;
use crate::machine::NoMemory;
use crate::vm::defect::{seeded, Defect};
use disco_abi::{DiskError, DiskMode, DiskOperation, PAGE_SIZE, SECTOR};

/// What of a block has to be waited for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Missing {
    /// A transfer that is under way.
    Wait,
    /// A block of the real disk that nobody has asked for.
    Block(u64),
}

/// The page of a block of the real disk, if it is in memory.
fn there(cache: &mut Cache, real: u64) -> Result<&PageRef, Missing> {
    match cache.look(real) {
        Lookup::Valid(page, _) => Ok(page),
        Lookup::Reading => Err(Missing::Wait),
        Lookup::Absent => Err(Missing::Block(real)),
    }
}

/// What a step needs, apart from the command it is about.
pub(super) struct Step<'a, 'e> {
    pub(super) edge: &'a mut Edge<'e>,
    pub(super) cache: &'a mut Cache,
    pub(super) transfers: &'a mut Transfers,
    pub(super) nodes: &'a mut PrivateNodes,
    pub(super) disk: &'a mut VirtualDisk,
    pub(super) mount: &'a mut Mount,
    pub(super) full: &'a mut bool,
    /// Which mount.
    pub(super) number: u16,
    /// Which command, or `NONE`.
    pub(super) index: u32,
}

impl Disks {
    /// A step for mount `number`, and the table that the command it is about, `index`, is in.
    fn step<'a, 'e>(
        &'a mut self,
        edge: &'a mut Edge<'e>,
        number: u16,
        index: u32,
    ) -> (Step<'a, 'e>, &'a mut Commands) {
        let mount = &mut self.mounts[usize::from(number)];
        let step = Step {
            edge,
            cache: &mut self.cache,
            transfers: &mut self.transfers,
            nodes: &mut self.nodes,
            disk: &mut self.disks[usize::from(mount.disk)],
            mount,
            full: &mut self.full,
            number,
            index,
        };
        (step, &mut self.commands)
    }

    /// Does what can be done for a command; whether it has ended.
    pub(super) fn attempt(&mut self, edge: &mut Edge<'_>, index: u32) -> bool {
        let number = self.commands.get(index).mount;
        let (mut step, commands) = self.step(edge, number, index);
        step.go_on(commands.get_mut(index))
    }

    /// Does what can be done for the log of mount `number`.
    pub(super) fn log_goes_on(&mut self, edge: &mut Edge<'_>, number: usize) {
        self.step(edge, number as u16, NONE).0.log_goes_on();
    }

    /// A transfer has ended: what it was for is so now, or has failed.
    pub(super) fn transfer_ended(&mut self, edge: &mut Edge<'_>, number: u32, well: bool) {
        let Some(transfer) = self.transfers.get(number) else {
            return;
        };
        if transfer.command != NONE {
            let command = self.commands.get_mut(transfer.command);
            command.transfers -= 1;
            if !well {
                command.error = Some(DiskError::Device);
            }
        }
        match transfer.purpose {
            Purpose::Fill(first) | Purpose::Clean(first) => {
                for (block, page) in (first..).zip(transfer.pages()) {
                    self.cache.transfer_ended(edge.memory, block, page, well);
                }
            }
            Purpose::Flush => {}
            Purpose::Data { mount, record } => {
                let Some(log) = &mut self.mounts[usize::from(mount)].log else {
                    return;
                };
                // Blocks of a failed record stay in memory: there is nothing else of them.
                if well {
                    let first = log.real(log.record(record).first);
                    for (block, page) in (first..).zip(transfer.pages()) {
                        self.cache.transfer_ended(edge.memory, block, page, well);
                    }
                }
                log.ended(record, well);
            }
            Purpose::Head { mount, record } => {
                if let Some(log) = &mut self.mounts[usize::from(mount)].log {
                    log.ended(record, well);
                }
            }
            Purpose::Move(mount) => {
                if let Some(log) = &mut self.mounts[usize::from(mount)].log {
                    log.move_ended(well);
                }
            }
        }
    }
}

impl Step<'_, '_> {
    fn go_on(&mut self, command: &mut Command) -> bool {
        loop {
            if command.error.is_some() && command.phase != Phase::Checksums {
                return command.transfers == 0;
            }
            let operation = command.request.operation;
            match command.phase {
                Phase::Checksums => return false,
                Phase::Blocks => {
                    match (operation, self.disk.mode) {
                        (DiskOperation::Flush, _) => {}
                        (DiskOperation::Read, _) => self.read(command),
                        (_, DiskMode::Cow) => self.write_private(command),
                        (_, DiskMode::CowPersistent) => self.write_logged(command),
                        _ => self.write_through(command),
                    }
                    if command.error.is_some() {
                        continue;
                    }
                    if !command.is_ready() || command.transfers > 0 {
                        return false;
                    }
                    if command.record > self.records_written() {
                        if !self.log_has_failed() {
                            return false;
                        }
                        command.error = Some(DiskError::Device);
                        continue;
                    }
                    let lasts = !matches!(self.disk.mode, DiskMode::Cow | DiskMode::ReadOnly);
                    let durable = matches!(
                        operation,
                        DiskOperation::Flush | DiskOperation::WriteDurable
                    );
                    if !(durable && lasts) || seeded(Defect::IgnoreFlush) {
                        return true;
                    }
                    command.phase = Phase::Flush;
                }
                Phase::Flush => {
                    if !self.start(Transfer::Flush, 0, Purpose::Flush, 0, |_| no_page()) {
                        return false;
                    }
                    command.transfers += 1;
                    command.record = self.records_written();
                    command.phase = Phase::Flushing;
                    return false;
                }
                Phase::Flushing => {
                    if command.transfers > 0 {
                        return false;
                    }
                    if let Some(log) = &mut self.mount.log {
                        log.flushed(command.record);
                    }
                    return true;
                }
            }
        }
    }

    /// Begins a transfer for the command, unless the device is full.
    pub(super) fn start(
        &mut self,
        transfer: Transfer,
        sector: u64,
        purpose: Purpose,
        count: usize,
        piece: impl FnMut(usize) -> PagePiece,
    ) -> bool {
        if *self.full {
            return false;
        }
        let device: &mut dyn BlockDevice = &mut *self.edge.device;
        let edge = (device, self.edge.memory);
        let what = (purpose, self.index);
        let begun = self
            .transfers
            .begin(edge, (transfer, sector), what, count, piece);
        *self.full = begun.is_err();
        begun.is_ok()
    }

    /// Whether sectors `wanted` of a block of the virtual disk are in memory.
    pub(super) fn is_there(&mut self, block: u64, wanted: u32) -> Result<(), Missing> {
        let (mask, place) = self.mount.private.of_block(self.nodes, block);
        if let (Some(&Place::Log { block, .. }), true, Some(log)) =
            (place, wanted & mask != 0, &self.mount.log)
        {
            there(self.cache, log.real(block))?;
        }
        if wanted & !mask != 0 {
            there(self.cache, self.disk.first + block)?;
        }
        Ok(())
    }

    /// Gathers the pages of a read.
    fn read(&mut self, command: &mut Command) {
        let first = command.first_block();
        let mut number = 0;
        while number < command.blocks() {
            if command.parts[number].ready {
                number += 1;
                continue;
            }
            let (block, wanted) = (first + number as u64, command.wanted(number));
            match self.gather(&mut command.parts[number], block, wanted) {
                Ok(()) | Err(Missing::Wait) => {}
                Err(Missing::Block(real)) => {
                    let mut run = 1;
                    while run < PIECES_MAX && number + run < command.blocks() {
                        let next = number + run;
                        let wanted = command.wanted(next);
                        let absent = Err(Missing::Block(real + run as u64));
                        if command.parts[next].ready
                            || self.is_there(first + next as u64, wanted) != absent
                        {
                            break;
                        }
                        run += 1;
                    }
                    let started = self.fill_for(command, real, run);
                    self.disk.misses += started as u64;
                    number += run;
                    continue;
                }
            }
            number += 1;
        }
    }

    /// Holds the pages of a block if they are in memory; else what of it is not.
    fn gather(&mut self, part: &mut Part, block: u64, wanted: u32) -> Result<(), Missing> {
        let memory = self.edge.memory;
        let (mask, place) = self.mount.private.of_block(self.nodes, block);
        let mut private = None;
        if mask & wanted != 0 {
            match (place, &self.mount.log) {
                (Some(Place::Page(page)), _) => private = Some(page),
                (Some(&Place::Log { block, .. }), Some(log)) => {
                    private = Some(there(self.cache, log.real(block))?);
                }
                _ => {}
            }
        }
        let private = private.map(|page| memory.share(page));
        if wanted & !mask != 0 {
            match there(self.cache, self.disk.first + block) {
                Ok(page) => part.base = Some(memory.share(page)),
                Err(missing) => {
                    if let Some(page) = private {
                        memory.release(page);
                    }
                    return Err(missing);
                }
            }
            self.disk.reads += 1;
        }
        part.private = private;
        part.mask = mask;
        part.ready = true;
        Ok(())
    }

    /// As [`Step::fill`], for a command. Without memory it waits for others to end, and fails if there
    /// are none.
    pub(super) fn fill_for(&mut self, command: &mut Command, real: u64, count: usize) -> usize {
        match self.fill(real, count) {
            Ok(0) => 0,
            Ok(begun) => {
                command.transfers += 1;
                begun
            }
            Err(NoMemory) => {
                if self.transfers.is_empty() {
                    command.error = Some(DiskError::NoSpace);
                }
                0
            }
        }
    }

    /// Begins to read `count` blocks of the real disk from `real` on into the cache; how many it is.
    #[link_section = ".text.once"]
    #[inline(never)]
    pub(super) fn fill(&mut self, real: u64, count: usize) -> Result<usize, NoMemory> {
        let memory = self.edge.memory;
        if *self.full || !self.transfers.has_room() {
            *self.full = true;
            return Ok(0);
        }
        let mut pages = [const { None }; PIECES_MAX];
        let mut got = 0;
        if self.cache.reserve(self.edge.tables, count) {
            while let Some(place) = pages.get_mut(got).filter(|_| got < count) {
                let Ok(page) = self.cache.allocate(memory) else {
                    break;
                };
                *place = Some(page);
                got += 1;
            }
        }
        if got == 0 {
            return Err(NoMemory);
        }
        let sector = real * BLOCK;
        let end = self.edge.device.sectors();
        let begun = self.start(Transfer::Read, sector, Purpose::Fill(real), got, |index| {
            let left = end.saturating_sub(sector + index as u64 * BLOCK);
            let bytes = (left.min(BLOCK) * SECTOR) as u32;
            // All are there: they were counted.
            let page = pages[index].as_ref().map(|page| memory.share(page));
            page.map_or_else(no_page, |page| PagePiece::of(page, 0, bytes))
        });
        for (block, page) in (real..).zip(pages.into_iter().flatten()) {
            if begun {
                let tables = (memory, self.edge.tables as _);
                self.cache.put(tables, block, page, (true, false));
            } else {
                memory.release(page);
            }
        }
        Ok(if begun { got } else { 0 })
    }

    /// Makes what the guest has written its private sectors.
    fn write_private(&mut self, command: &mut Command) {
        for number in 0..command.blocks() {
            let block = command.first_block() + number as u64;
            let wanted = command.wanted(number);
            let Some(page) = command.parts[number].base.take() else {
                continue;
            };
            let (memory, tables) = (self.edge.memory, self.edge.tables);
            let fits = self.mount.private.reserve(self.nodes, tables);
            let (mask, place) = self.mount.private.of_block(self.nodes, block);
            if !fits || (mask == 0 && self.mount.private.blocks() >= self.disk.private_max) {
                memory.release(page);
                self.mount.note(Fault::Quota);
                command.error = Some(DiskError::NoSpace);
                return;
            }
            if let (Some(Place::Page(old)), true) = (place, mask & !wanted != 0) {
                copy_sectors(memory, old, &page, mask & !wanted);
            }
            let set = (mask | wanted, Place::Page(page));
            let nodes = (&mut *self.nodes, tables as _);
            self.mount.private.set(memory, nodes, block, set);
            command.parts[number].ready = true;
        }
    }

    /// Puts what the guest has written into the cache and begins to write it to the real disk: runs
    /// of blocks that nothing else is under way for.
    #[link_section = ".text.once"]
    #[inline(never)]
    fn write_through(&mut self, command: &mut Command) {
        let mut number = 0;
        while number < command.blocks() {
            if command.parts[number].ready {
                number += 1;
                continue;
            }
            let mut run = 0;
            while run < PIECES_MAX && self.can_write(command, number + run) {
                run += 1;
            }
            if run == 0 {
                number += 1;
            } else if self.clean(command, number, run) {
                number += run;
            } else {
                return;
            }
        }
    }

    /// Whether part `number` of a write can be passed on. The rest of a block of which it writes a
    /// part is filled in, or asked for.
    fn can_write(&mut self, command: &mut Command, number: usize) -> bool {
        if number >= command.blocks() || command.parts[number].ready {
            return false;
        }
        let real = self.disk.first + command.first_block() + number as u64;
        let wanted = command.wanted(number);
        match (self.cache.look(real), &command.parts[number].base) {
            (Lookup::Valid(_, true), _) | (_, None) => false,
            (_, Some(_)) if wanted == u32::MAX => true,
            (Lookup::Valid(page, false), Some(new)) => {
                copy_sectors(self.edge.memory, page, new, !wanted);
                true
            }
            (Lookup::Reading, _) => false,
            (Lookup::Absent, _) => {
                self.fill_for(command, real, 1);
                false
            }
        }
    }

    /// Writes `count` parts from `number` on; whether it has begun.
    fn clean(&mut self, command: &mut Command, number: usize, count: usize) -> bool {
        let memory = self.edge.memory;
        if !self.cache.reserve(self.edge.tables, count) {
            if self.transfers.is_empty() {
                command.error = Some(DiskError::NoSpace);
            }
            return false;
        }
        let real = self.disk.first + command.first_block() + number as u64;
        let sector = real * BLOCK + command.range(number).start;
        let begun = self.start(
            Transfer::Write,
            sector,
            Purpose::Clean(real),
            count,
            |index| {
                let range = command.range(number + index);
                let page = command.parts[number + index].base.as_ref();
                let page = page.map(|page| memory.share(page));
                let bytes = ((range.end - range.start) * SECTOR) as u32;
                page.map_or_else(no_page, |page| {
                    PagePiece::of(page, range.start * SECTOR, bytes)
                })
            },
        );
        if !begun {
            return false;
        }
        command.transfers += 1;
        let parts = &mut command.parts[number..number + count];
        for (block, part) in (real..).zip(parts) {
            part.ready = true;
            if let Some(page) = part.base.take() {
                let tables = (memory, self.edge.tables as _);
                self.cache.put(tables, block, page, (false, true));
            }
        }
        true
    }
}

/// A piece that was counted is there.
#[cold]
pub(super) fn no_page() -> PagePiece {
    panic!("a transfer of the disks without its page")
}

const _: () = assert!(BLOCK * SECTOR == PAGE_SIZE);
