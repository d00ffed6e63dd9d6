//! Virtual disks: one cache of the real disk's blocks for all virtual machines, and what each of them
//! has written for itself.
//!
//! Plain values: machine memory, a guest's memory and the device come in with each call ([`Edge`]).
//! A call does what can be done at once; what has to wait for the device goes on when a transfer
//! ends ([`Disks::completed`]).

pub mod cache;
pub mod checksums;
pub mod command;
pub mod device;
mod fetch;
pub mod gpt;
pub mod log;
mod log_serve;
pub mod place;
pub mod pool;
pub mod private;
pub mod request;
mod serve;
#[cfg(test)]
pub mod simulation;
#[cfg(test)]
mod tests;
pub mod transfer;
pub mod tree;
pub mod virtual_disk;

use crate::address::MachinePage;
use crate::machine::shared::{GuestPages, SharedMemory};
use crate::machine::NoMemory;
use cache::Cache;
use checksums::Checksums;
use command::{Command, Commands, List, Phase, COMMANDS};
use device::BlockDevice;
use disco_abi::{
    CallError, DiskDone, DiskError, DiskMode, DiskOperation, DISK_COMMANDS_MAX, PAGE_SIZE, SECTOR,
};
use log::recover::LogError;
use log::Log;
use place::Place;
use pool::{Supply, NONE};
use private::PrivateNodes;
use transfer::Transfers;
use tree::{Node, NODES};
use virtual_disk::{Fault, Mount, VirtualDisk};

/// Sectors of a block, which is as long as a page.
pub const BLOCK: u64 = PAGE_SIZE / SECTOR;
/// Pages of nodes for private sectors, and of commands, at most.
const PRIVATE_NODE_PAGES: usize = 256;
/// Nodes of the cache: two machines of 2 GiB full of it.
const CACHE_NODE_PAGES: usize = pool::CHUNKS_MAX;
/// See [`PRIVATE_NODE_PAGES`]: enough for some 24 virtual machines with all commands in use.
const COMMAND_PAGES: usize = 512;

const fn sectors_of(block: u64) -> core::ops::Range<u64> {
    block * BLOCK..(block + 1) * BLOCK
}

const fn sector_bytes(sectors: u64) -> usize {
    (sectors * SECTOR) as usize
}

/// Memory for the tables of the disks.
pub trait Tables: Supply<Node<Place>, NODES> + Supply<Command, COMMANDS> {}

impl<T> Tables for T where T: Supply<Node<Place>, NODES> + Supply<Command, COMMANDS> {}

/// What the disks work on.
pub struct Edge<'a> {
    /// Machine memory.
    pub memory: &'a dyn SharedMemory,
    /// Where tables grow.
    pub tables: &'a dyn Tables,
    /// The real disk.
    pub device: &'a mut dyn BlockDevice,
}

/// A call that has done nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// It returns this.
    Call(CallError),
    /// The virtual machine has no memory for it now.
    NoMemory,
}

impl From<CallError> for Refused {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

impl From<NoMemory> for Refused {
    fn from(NoMemory: NoMemory) -> Self {
        Self::NoMemory
    }
}

/// A command that was passed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Passed {
    /// It has ended well.
    Ended,
    /// It ends later.
    Later,
    /// This one does not go on before it has its checksums ([`Disks::lacks`], [`Disks::checked`]), which
    /// take too long for a lock.
    Unchecked(u32),
}

/// What a page is used for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Use {
    /// A block of the global disk cache.
    Cache,
    /// A virtual machine's private sectors.
    Private,
    /// A command or a transfer under way.
    UnderWay,
}

/// The commands of a virtual machine.
#[derive(Clone, Copy, Debug)]
pub struct Queue {
    /// Those that have ended and were not taken.
    ended: List,
    /// All that were not taken.
    count: usize,
}

impl Queue {
    /// None.
    pub const EMPTY: Self = Self {
        ended: List::EMPTY,
        count: 0,
    };
}

/// All virtual disks.
pub struct Disks {
    cache: Cache,
    transfers: Transfers,
    nodes: PrivateNodes,
    commands: Commands,
    /// Commands that have not ended, in order.
    waiting: List,
    /// The device, or the table of transfers, is full: who comes later waits, too.
    full: bool,
    disks: &'static mut [VirtualDisk],
    mounts: &'static mut [Mount],
    queues: &'static mut [Queue],
    /// A bit for each virtual machine with a command that has ended since [`Disks::woken`].
    woken: u64,
}

impl Default for Disks {
    fn default() -> Self {
        Self::new()
    }
}

impl Disks {
    /// No disks.
    pub const fn new() -> Self {
        Self {
            cache: Cache::new(0, CACHE_NODE_PAGES),
            transfers: Transfers::NONE,
            nodes: PrivateNodes::new(PRIVATE_NODE_PAGES),
            commands: Commands::new(COMMAND_PAGES),
            waiting: List::EMPTY,
            full: false,
            disks: &mut [],
            mounts: &mut [],
            queues: &mut [],
            woken: 0,
        }
    }

    /// Takes the disks, who has which (those of a virtual machine in the order in which it counts
    /// them), a queue for each virtual machine, and the most pages of the cache.
    pub fn set_up(
        &mut self,
        disks: &'static mut [VirtualDisk],
        mounts: &'static mut [Mount],
        queues: &'static mut [Queue],
        cache_pages: usize,
    ) {
        self.disks = disks;
        self.mounts = mounts;
        self.queues = queues;
        self.cache.set_most(cache_pages);
    }

    /// The virtual disks.
    pub fn disks(&self) -> &[VirtualDisk] {
        self.disks
    }

    /// Who has which disks.
    pub fn mounts(&self) -> &[Mount] {
        self.mounts
    }

    /// The global disk cache.
    pub const fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Pages of tables: they never come back.
    pub const fn table_pages(&self) -> usize {
        self.cache.table_pages() + self.nodes.pages() + self.commands.pages()
    }

    /// Virtual machines whose commands have ended since this was called last, a bit each.
    pub fn woken(&mut self) -> u64 {
        core::mem::take(&mut self.woken)
    }

    /// Whether commands of the virtual machine wait to be taken.
    pub fn has_ended(&self, vm: usize) -> bool {
        let queue = self.queues.get(vm);
        queue.is_some_and(|queue| queue.ended.first() != NONE)
    }

    /// The disk that virtual machine `vm` counts as `number`.
    ///
    /// # Errors
    /// It has no such disk.
    pub fn mount(&self, vm: usize, number: u64) -> Result<(usize, &VirtualDisk), CallError> {
        let all = self.mounts.iter().enumerate();
        let mut own = all.filter(|(_, mount)| usize::from(mount.vm) == vm);
        let number = usize::try_from(number).map_err(|_| CallError::NoDevice)?;
        let (index, mount) = own.nth(number).ok_or(CallError::NoDevice)?;
        let disk = self.disks.get(usize::from(mount.disk));
        Ok((index, disk.ok_or(CallError::NoDevice)?))
    }

    /// `DiskOpen`.
    ///
    /// # Errors
    /// What the call returns.
    #[cold]
    #[inline(never)]
    pub fn open(&mut self, vm: usize, number: u64) -> Result<(), CallError> {
        let (index, disk) = self.mount(vm, number)?;
        if let Some(owner) = disk.owner {
            if usize::from(owner) != vm {
                return Err(CallError::InUse);
            }
        }
        let without_log = disk.mode == DiskMode::CowPersistent && self.mounts[index].log.is_none();
        if disk.fault || self.mounts[index].fault || without_log {
            return Err(CallError::NoDevice);
        }
        let mount = &mut self.mounts[index];
        mount.open = true;
        let disk = &mut self.disks[usize::from(mount.disk)];
        if disk.mode == DiskMode::Exclusive {
            disk.owner = Some(mount.vm);
        }
        Ok(())
    }

    /// Something of virtual machine `vm` that has failed and that people were not told since it started:
    /// the disk, why, and who has it.
    pub fn tell(&mut self, vm: usize) -> Option<(&'static str, Fault, usize)> {
        let mut own = self.mounts.iter_mut();
        let (disk, fault) = own.find_map(|mount| {
            let own = usize::from(mount.vm) == vm;
            Some((mount.disk, own.then(|| mount.tell()).flatten()?))
        })?;
        let disk = self.disks.get(usize::from(disk))?;
        Some((disk.name, fault, disk.owner.map_or(usize::MAX, usize::from)))
    }

    /// A call of `vm` for its disk `number` was refused.
    #[link_section = ".text.once"]
    #[inline(never)]
    pub fn refused(&mut self, vm: usize, number: u64, error: CallError) {
        let fault = match error {
            CallError::InUse => Fault::InUse,
            CallError::BadAddress | CallError::BadArgument => Fault::Command,
            _ => return,
        };
        if let Ok((index, _)) = self.mount(vm, number) {
            self.mounts[index].note(fault);
        }
    }

    /// `DiskCommand`, of virtual machine `vm` with `memory` bytes; `bytes` is the monitor's copy of
    /// the command.
    ///
    /// # Errors
    /// It has not begun.
    pub fn command(
        &mut self,
        edge: &mut Edge<'_>,
        (vm, memory, guest): (usize, u64, &mut dyn GuestPages),
        number: u64,
        bytes: &[u8],
    ) -> Result<Passed, Refused> {
        let (mount, disk) = self.mount(vm, number)?;
        let (sectors, mode) = (disk.sectors, disk.mode);
        if !self.mounts[mount].open {
            return Err(CallError::WrongState.into());
        }
        if self.queues[vm].count >= DISK_COMMANDS_MAX || !self.commands.reserve(1, edge.tables) {
            return Err(CallError::Busy.into());
        }
        let Some(index) = self.commands.take() else {
            return Err(CallError::Busy.into());
        };
        let command = self.commands.get_mut(index);
        command.reset(vm as u16, mount as u16);
        let mut result = command.request.parse(bytes, memory).map_err(Refused::Call);
        let request = &command.request;
        let end = request.sector.checked_add(request.sectors.into());
        let writes = matches!(
            request.operation,
            DiskOperation::Write | DiskOperation::WriteDurable
        );
        if result.is_ok() {
            if end.is_none_or(|end| end > sectors) {
                command.error = Some(DiskError::OutOfRange);
            } else if writes && mode == DiskMode::ReadOnly {
                command.error = Some(DiskError::ReadOnly);
            } else if writes {
                let cache = &mut self.cache;
                result = command
                    .capture(guest, edge.memory, || cache.allocate(edge.memory))
                    .map_err(Refused::from);
                guest.settle();
            }
        }
        if let Err(refused) = result {
            self.commands.give(index);
            return Err(refused);
        }
        self.queues[vm].count += 1;
        if writes
            && mode == DiskMode::CowPersistent
            && Checksums::are_needed(self.commands.get(index))
        {
            self.commands.get_mut(index).phase = Phase::Checksums;
            self.waiting.push(&mut self.commands, index);
            return Ok(Passed::Unchecked(index));
        }
        if !self.attempt(edge, index) {
            self.waiting.push(&mut self.commands, index);
            return Ok(Passed::Later);
        }
        let command = self.commands.get_mut(index);
        if command.error.is_some() || Self::deliver(command, guest).is_err() {
            self.end(edge, index);
            return Ok(Passed::Later);
        }
        guest.settle();
        self.forget(edge, index);
        Ok(Passed::Ended)
    }

    /// The checksums that a command lacks, which is [`Passed::Unchecked`].
    #[link_section = ".text.once"]
    #[inline(never)]
    pub fn lacks(&self, index: u32) -> Checksums {
        Checksums::of(index, self.commands.get(index))
    }

    /// A command goes on, now that its checksums are known. It is a write, and ends later.
    #[link_section = ".text.once"]
    #[inline(never)]
    pub fn checked(&mut self, edge: &mut Edge<'_>, checksums: &Checksums) {
        let command = self.commands.get_mut(checksums.command());
        checksums.tell(command);
        command.phase = Phase::Blocks;
        self.go_on(edge);
    }

    /// `DiskTake`: tells `done` up to `most` commands of `vm` that have ended; how many.
    ///
    /// # Errors
    /// The virtual machine has no memory for what was read, and none was told.
    pub fn take(
        &mut self,
        edge: &mut Edge<'_>,
        (vm, guest): (usize, &mut dyn GuestPages),
        most: usize,
        mut done: impl FnMut(usize, DiskDone),
    ) -> Result<usize, NoMemory> {
        let mut count = 0;
        let mut missing = false;
        while count < most {
            let Some(queue) = self.queues.get_mut(vm) else {
                break;
            };
            let index = queue.ended.first();
            if index == NONE {
                break;
            }
            let command = self.commands.get_mut(index);
            if command.error.is_none() && Self::deliver(command, guest).is_err() {
                missing = count == 0;
                break;
            }
            let status = command.error.map_or(0, |error| error as u64);
            let tag = command.request.tag;
            queue.ended.unlink(&mut self.commands, NONE);
            self.forget(edge, index);
            done(count, DiskDone { tag, status });
            count += 1;
        }
        guest.settle();
        if missing {
            Err(NoMemory)
        } else {
            Ok(count)
        }
    }

    /// Transfers may have ended: everything that waited for them goes on.
    #[cold]
    #[inline(never)]
    pub fn completed(&mut self, edge: &mut Edge<'_>) {
        while let Some((number, result)) = edge.device.completed() {
            self.transfer_ended(edge, number, result.is_ok());
            self.full = false;
            self.go_on(edge);
            self.transfers.end(number, edge.memory);
        }
        if self.transfers.is_empty() {
            // For those that waited for memory only while there was hope.
            self.go_on(edge);
        }
    }

    /// It is tick `now`. A device that has not answered for `most` ticks is switched off: commands that
    /// wait for it fail.
    #[cold]
    #[inline(never)]
    pub fn time_passes(&mut self, edge: &mut Edge<'_>, now: u64, most: u64) {
        if self.transfers.oldest(now) > most {
            edge.device.give_up();
            self.completed(edge);
        }
    }

    /// Virtual machine `vm` has ended: its commands and its private sectors that do not last go, and
    /// what it has alone is free for others. Transfers under way keep what they need.
    #[cold]
    #[inline(never)]
    pub fn vm_ended(&mut self, edge: &mut Edge<'_>, vm: usize) {
        let Some(queue) = self.queues.get_mut(vm) else {
            return;
        };
        let mut ended = core::mem::replace(queue, Queue::EMPTY).ended;
        while ended.first() != NONE {
            let index = ended.unlink(&mut self.commands, NONE);
            self.commands.get_mut(index).release(edge.memory);
            self.commands.give(index);
        }
        let mut index = self.waiting.first();
        while index != NONE {
            let command = self.commands.get_mut(index);
            if usize::from(command.vm) == vm {
                command.orphan = true;
                command.error = Some(DiskError::Device);
            }
            index = List::behind(&self.commands, index);
        }
        self.go_on(edge);
        // What its logs have of it stays in them.
        for mount in self.mounts.iter_mut() {
            if usize::from(mount.vm) == vm {
                mount.open = false;
                mount.forget_faults();
                if self.disks[usize::from(mount.disk)].mode == DiskMode::Cow {
                    mount.private.clear(edge.memory, &mut self.nodes);
                }
            }
        }
        for disk in self.disks.iter_mut() {
            disk.owner = disk.owner.filter(|&owner| usize::from(owner) != vm);
        }
        self.woken &= !(1u64.checked_shl(vm as u32).unwrap_or(0));
    }

    /// Gives up to `count` pages of the cache back; how many.
    #[cold]
    #[inline(never)]
    pub fn shrink(&mut self, memory: &dyn SharedMemory, count: usize) -> usize {
        self.cache.shrink(memory, count)
    }

    /// Private sectors of a mount.
    pub fn private_sectors(&self, mount: &Mount) -> u64 {
        mount.private.sectors(&self.nodes)
    }

    /// Tells `each` every use of a page that the disks have counted.
    #[cold]
    #[inline(never)]
    pub fn uses(&self, each: &mut dyn FnMut(Use, MachinePage)) {
        self.cache
            .iter()
            .for_each(|(_, page)| each(Use::Cache, page));
        self.transfers
            .pages()
            .for_each(|page| each(Use::UnderWay, page));
        for mount in self.mounts.iter() {
            if let Some(log) = &mount.log {
                each(Use::UnderWay, log.heads().page());
            }
            for place in mount.private.places(&self.nodes) {
                if let Place::Page(page) = place {
                    each(Use::Private, page.page());
                }
            }
        }
        let ended = self.queues.iter().map(|queue| queue.ended);
        for list in ended.chain([self.waiting]) {
            let mut index = list.first();
            while index != NONE {
                let pages = self.commands.get(index).pages();
                pages.for_each(|page| each(Use::UnderWay, page.page()));
                index = List::behind(&self.commands, index);
            }
        }
    }

    fn deliver(command: &mut Command, guest: &mut dyn GuestPages) -> Result<(), NoMemory> {
        match command.request.operation {
            DiskOperation::Read => command.deliver(guest),
            _ => Ok(()),
        }
    }

    /// A command, in no list, has ended and waits to be taken.
    fn end(&mut self, edge: &Edge<'_>, index: u32) {
        let command = self.commands.get_mut(index);
        if command.orphan {
            command.release(edge.memory);
            self.commands.give(index);
            return;
        }
        if command.error.is_some() || command.request.operation != DiskOperation::Read {
            command.release(edge.memory);
        }
        if let Some(error) = command.error {
            self.mounts[usize::from(command.mount)].failed(error);
        }
        let vm = command.vm;
        self.queues[usize::from(vm)]
            .ended
            .push(&mut self.commands, index);
        self.woken |= 1u64.checked_shl(vm.into()).unwrap_or(0);
    }

    /// A command, in no list, was taken.
    fn forget(&mut self, edge: &Edge<'_>, index: u32) {
        let command = self.commands.get_mut(index);
        command.release(edge.memory);
        let vm = usize::from(command.vm);
        self.commands.give(index);
        self.queues[vm].count = self.queues[vm].count.saturating_sub(1);
    }

    /// Recovers the log of mount `number`, in `blocks` blocks of the real disk from `first` on, before
    /// anything else is done. See [`Log::recover`].
    ///
    /// # Errors
    /// It cannot be used; the mount is at fault.
    #[cfg_attr(target_os = "none", link_section = ".init.text")]
    #[inline(never)]
    pub fn recover(
        &mut self,
        edge: &mut Edge<'_>,
        number: usize,
        place: (u64, u64),
        patience: &mut dyn FnMut(bool) -> bool,
    ) -> Result<(), LogError> {
        let Some(mount) = self.mounts.get_mut(number) else {
            return Ok(());
        };
        let sectors = self.disks[usize::from(mount.disk)].sectors;
        let private = (&mut self.nodes, &mut mount.private);
        match Log::recover(edge, place, sectors, private, patience) {
            Ok(log) => mount.log = Some(log),
            Err(error) => {
                mount.fault = true;
                mount.private.clear(edge.memory, &mut self.nodes);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Every command that waits tries again, in order.
    fn go_on(&mut self, edge: &mut Edge<'_>) {
        for mount in 0..self.mounts.len() {
            if self.mounts[mount].log.is_some() {
                self.log_goes_on(edge, mount);
            }
        }
        let mut previous = NONE;
        let mut index = self.waiting.first();
        while index != NONE {
            let next = List::behind(&self.commands, index);
            if self.attempt(edge, index) {
                self.waiting.unlink(&mut self.commands, previous);
                self.end(edge, index);
            } else {
                previous = index;
            }
            index = next;
        }
    }
}
