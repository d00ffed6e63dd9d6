//! Commands that have not been taken yet, and what they hold.

use super::pool::{Pool, Pooled, NONE};
use super::private::{mask_of, runs};
use super::request::{Cursor, Request};
use super::{sector_bytes, BLOCK};
use crate::machine::shared::{GuestPages, PageRef, SharedMemory};
use crate::machine::NoMemory;
use core::ops::Range;
use disco_abi::{DiskError, DISK_BYTES_MAX, PAGE_SIZE, SECTOR};

/// Commands to a page of the pool.
pub const COMMANDS: usize = 3;
/// Most blocks that a command touches.
pub const PARTS_MAX: usize = (DISK_BYTES_MAX / SECTOR / BLOCK) as usize + 1;

/// Memory for commands.
pub type Commands = Pool<Command, COMMANDS>;

const _: () = assert!(size_of::<Command>() * COMMANDS <= PAGE_SIZE as usize);

/// What a command holds of one block.
#[derive(Default)]
pub struct Part {
    /// Nothing is missing: of a read the pages, of a write it has been passed on.
    pub ready: bool,
    /// Sectors that `private` has, a bit each; the others are in `base`.
    pub mask: u32,
    /// The private sectors' page.
    pub private: Option<PageRef>,
    /// Of a read the block as it is for everybody; of a write what the guest writes.
    pub base: Option<PageRef>,
    /// CRC-32 of a whole block that goes into a log, once it is known.
    pub checksum: Option<u32>,
}

/// How far a command is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Whoever has passed it works out checksums.
    Checksums,
    /// Blocks are missing, or under way.
    Blocks,
    /// The device is to be told to flush.
    Flush,
    /// The device has been told.
    Flushing,
}

/// A command.
pub struct Command {
    /// The next in its list.
    link: u32,
    /// Whose it is.
    pub vm: u16,
    /// The virtual machine and disk.
    pub mount: u16,
    /// How far it is.
    pub phase: Phase,
    /// Why it has failed.
    pub error: Option<DiskError>,
    /// The virtual machine has ended: nobody takes it.
    pub orphan: bool,
    /// Transfers under way for it.
    pub transfers: u16,
    /// Behind its last record of the log; 0 for none.
    pub record: u64,
    /// What the guest asked for.
    pub request: Request,
    /// By block.
    pub parts: [Part; PARTS_MAX],
}

impl Default for Command {
    fn default() -> Self {
        Self {
            link: NONE,
            vm: 0,
            mount: 0,
            phase: Phase::Blocks,
            error: None,
            orphan: false,
            transfers: 0,
            record: 0,
            request: Request::default(),
            parts: [const {
                Part {
                    ready: false,
                    mask: 0,
                    private: None,
                    base: None,
                    checksum: None,
                }
            }; PARTS_MAX],
        }
    }
}

impl Pooled for Command {
    fn link(&mut self) -> &mut u32 {
        &mut self.link
    }
}

impl Command {
    /// Makes it a new one, all but the request.
    pub fn reset(&mut self, vm: u16, mount: u16) {
        self.link = NONE;
        self.vm = vm;
        self.mount = mount;
        self.phase = Phase::Blocks;
        self.error = None;
        self.orphan = false;
        self.transfers = 0;
        self.record = 0;
    }

    /// The block that part 0 is about.
    pub const fn first_block(&self) -> u64 {
        self.request.sector / BLOCK
    }

    /// Number of blocks.
    pub const fn blocks(&self) -> usize {
        let sectors = self.request.sector % BLOCK + self.request.sectors as u64;
        sectors.div_ceil(BLOCK) as usize
    }

    /// Which sectors of its block part `number` is about.
    pub fn range(&self, number: usize) -> Range<u64> {
        let start = self.request.sector % BLOCK;
        let end = start + u64::from(self.request.sectors);
        let block = number as u64 * BLOCK;
        start.saturating_sub(block)..(end - block).min(BLOCK)
    }

    /// The same, a bit each.
    pub fn wanted(&self, number: usize) -> u32 {
        let range = self.range(number);
        mask_of(range.start, range.end - range.start)
    }

    /// Whether every block is ready.
    pub fn is_ready(&self) -> bool {
        self.parts[..self.blocks()].iter().all(|part| part.ready)
    }

    /// Takes what a write writes out of the guest's memory: whole pages for whole blocks without a
    /// copy. Without a page for the others the command has failed.
    ///
    /// # Errors
    /// A page of the guest is missing; nothing is held.
    pub fn capture(
        &mut self,
        guest: &mut dyn GuestPages,
        memory: &dyn SharedMemory,
        mut allocate: impl FnMut() -> Result<PageRef, NoMemory>,
    ) -> Result<(), NoMemory> {
        let mut cursor = self.request.cursor();
        for number in 0..self.blocks() {
            let range = self.range(number);
            let whole = range.end - range.start == BLOCK;
            let at = if whole { cursor.next_page() } else { None };
            let lent = at.and_then(|at| guest.lend(at).ok());
            let page = match lent {
                Some(page) => page,
                None => {
                    let Ok(page) = allocate() else {
                        self.error = Some(DiskError::NoSpace);
                        return Ok(());
                    };
                    let copied = match at {
                        Some(at) => guest.read(at.address(), (&page, 0), PAGE_SIZE as usize),
                        None => copy_in(guest, &mut cursor, &page, &range),
                    };
                    if copied.is_err() {
                        memory.release(page);
                        self.release(memory);
                        return Err(NoMemory);
                    }
                    page
                }
            };
            self.parts[number].base = Some(page);
        }
        Ok(())
    }

    /// Gives the guest what a read has read, in the order of its scatter list: whole pages without a
    /// copy.
    ///
    /// # Errors
    /// A page of the guest is missing. It can be done again: pages that the guest has are skipped.
    pub fn deliver(&mut self, guest: &mut dyn GuestPages) -> Result<(), NoMemory> {
        const WHOLE: Range<u64> = 0..BLOCK;
        let mut cursor = self.request.cursor();
        for number in 0..self.blocks() {
            let range = self.range(number);
            let part = &mut self.parts[number];
            let whole = match part.mask {
                0 if range == WHOLE => Some(&mut part.base),
                u32::MAX if range == WHOLE => Some(&mut part.private),
                _ => None,
            };
            if let Some(page) = whole {
                if let Some(at) = cursor.next_page() {
                    if let Some(page) = page.take() {
                        guest.map(at, page);
                    }
                    continue;
                }
            }
            let part = &self.parts[number];
            let wanted = self.wanted(number);
            // In order of the sectors: a run of one kind, then one of the other.
            let mut rest = wanted;
            while rest != 0 {
                let private = part.mask & (rest & rest.wrapping_neg()) != 0;
                let (of, page) = if private {
                    (part.mask, &part.private)
                } else {
                    (!part.mask, &part.base)
                };
                let (Some((first, count)), Some(page)) = (runs(rest & of).next(), page) else {
                    break;
                };
                rest &= !mask_of(first, count);
                let mut at = sector_bytes(first);
                let end = at + sector_bytes(count);
                while at < end {
                    let Some((to, bytes)) = cursor.next(end - at) else {
                        break;
                    };
                    guest.write((page, at), to, bytes)?;
                    at += bytes;
                }
            }
        }
        Ok(())
    }

    /// Releases every page it holds.
    pub fn release(&mut self, memory: &dyn SharedMemory) {
        let blocks = self.blocks().min(PARTS_MAX);
        for part in &mut self.parts[..blocks] {
            for page in [part.private.take(), part.base.take()]
                .into_iter()
                .flatten()
            {
                memory.release(page);
            }
            *part = Part::default();
        }
    }

    /// Every page it holds.
    pub fn pages(&self) -> impl Iterator<Item = &PageRef> {
        self.parts
            .iter()
            .flat_map(|part| [part.private.as_ref(), part.base.as_ref()])
            .flatten()
    }
}

/// Copies sectors `range` of a block from the guest to their place in `page`.
fn copy_in(
    guest: &mut dyn GuestPages,
    cursor: &mut Cursor<'_>,
    page: &PageRef,
    range: &Range<u64>,
) -> Result<(), NoMemory> {
    let mut at = sector_bytes(range.start);
    let end = sector_bytes(range.end);
    while at < end {
        let Some((from, bytes)) = cursor.next(end - at) else {
            break;
        };
        guest.read(from, (page, at), bytes)?;
        at += bytes;
    }
    Ok(())
}

/// Commands in order, linked through themselves.
#[derive(Clone, Copy, Debug)]
pub struct List {
    first: u32,
    last: u32,
}

impl List {
    /// None.
    pub const EMPTY: Self = Self {
        first: NONE,
        last: NONE,
    };

    /// The first, or `NONE`.
    pub const fn first(&self) -> u32 {
        self.first
    }

    /// Puts a command behind the last.
    pub fn push(&mut self, commands: &mut Commands, index: u32) {
        *commands.get_mut(index).link() = NONE;
        if self.last == NONE {
            self.first = index;
        } else {
            *commands.get_mut(self.last).link() = index;
        }
        self.last = index;
    }

    /// The command behind `index`, or `NONE`.
    pub fn behind(commands: &Commands, index: u32) -> u32 {
        commands.get(index).link
    }

    /// Takes out the command behind `previous`, or the first if that is `NONE`.
    pub fn unlink(&mut self, commands: &mut Commands, previous: u32) -> u32 {
        let index = match previous {
            NONE => self.first,
            _ => Self::behind(commands, previous),
        };
        if index == NONE {
            return NONE;
        }
        let next = Self::behind(commands, index);
        match previous {
            NONE => self.first = next,
            _ => *commands.get_mut(previous).link() = next,
        }
        if self.last == index {
            self.last = previous;
        }
        index
    }
}
