//! Transfers of the real disk that are under way, with the pages they need.

use super::device::{BlockDevice, DeviceFull, Piece, Transfer, PIECES_MAX};
use crate::address::{MachineAddress, MachinePage};
use crate::machine::shared::{PageRef, SharedMemory};
use disco_abi::SECTOR;

/// Most transfers under way; a device may take fewer.
pub const TRANSFERS_MAX: usize = 32;

/// What is done when a transfer has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// Fills blocks of the cache, from this one on.
    Fill(u64),
    /// Takes blocks of the cache to the disk, from this one on.
    Clean(u64),
    /// Makes durable what was written.
    Flush,
    /// The blocks of a record of the log of a mount.
    Data {
        /// Which mount.
        mount: u16,
        /// Which record.
        record: u32,
    },
    /// The head of one.
    Head {
        /// Which mount.
        mount: u16,
        /// Which record.
        record: u32,
    },
    /// A step of the move of a mount's log to its other half.
    Move(u16),
}

/// Bytes of a page.
pub struct PagePiece {
    /// Which page.
    pub page: MachinePage,
    /// A use of it that the transfer keeps. Without one the page is somebody's for ever.
    pub kept: Option<PageRef>,
    /// The first byte, and how many.
    pub offset: u64,
    /// See `offset`.
    pub bytes: u32,
}

impl PagePiece {
    /// Bytes of a page that the transfer has a use of.
    pub const fn of(page: PageRef, offset: u64, bytes: u32) -> Self {
        Self {
            page: page.page(),
            kept: Some(page),
            offset,
            bytes,
        }
    }

    /// The sector at byte `offset` of a page that is somebody's for ever.
    pub const fn of_table(page: MachinePage, offset: usize) -> Self {
        Self {
            page,
            kept: None,
            offset: offset as u64,
            bytes: SECTOR as u32,
        }
    }
}

/// A transfer and what it needs.
pub struct UnderWay {
    /// What for.
    pub purpose: Purpose,
    /// The command that waits for it, or `NONE`.
    pub command: u32,
    /// The tick at which it was seen first, or [`UNSEEN`].
    since: u64,
    pages: [Option<PageRef>; PIECES_MAX],
    count: usize,
}

/// Nobody has looked at the clock since a transfer has begun.
const UNSEEN: u64 = u64::MAX;

impl UnderWay {
    const NOTHING: Self = Self {
        purpose: Purpose::Flush,
        command: 0,
        since: UNSEEN,
        pages: [const { None }; PIECES_MAX],
        count: 0,
    };

    /// Its pages, in order.
    pub fn pages(&self) -> impl Iterator<Item = MachinePage> + '_ {
        self.pages[..self.count].iter().flatten().map(PageRef::page)
    }

    fn release(&mut self, memory: &dyn SharedMemory) {
        for page in &mut self.pages[..self.count] {
            if let Some(page) = page.take() {
                memory.release(page);
            }
        }
    }
}

/// All that are under way.
pub struct Transfers {
    table: [UnderWay; TRANSFERS_MAX],
    /// A bit for each that is.
    busy: u32,
}

impl Transfers {
    /// None.
    pub const NONE: Self = Self {
        table: [const { UnderWay::NOTHING }; TRANSFERS_MAX],
        busy: 0,
    };

    /// Whether one more can be tried.
    pub const fn has_room(&self) -> bool {
        self.busy != u32::MAX
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.busy == 0
    }

    /// Begins a transfer of `count` pieces, at most [`PIECES_MAX`], that `piece` tells.
    ///
    /// # Errors
    /// The device is full; nothing has changed.
    pub fn begin(
        &mut self,
        (device, memory): (&mut dyn BlockDevice, &dyn SharedMemory),
        (transfer, sector): (Transfer, u64),
        (purpose, command): (Purpose, u32),
        count: usize,
        mut piece: impl FnMut(usize) -> PagePiece,
    ) -> Result<(), DeviceFull> {
        let number = self.busy.trailing_ones();
        let slot = self.table.get_mut(number as usize).ok_or(DeviceFull)?;
        let mut pieces = [Piece {
            address: MachineAddress(0),
            bytes: 0,
        }; PIECES_MAX];
        slot.purpose = purpose;
        slot.command = command;
        slot.since = UNSEEN;
        slot.count = count;
        let places = pieces.iter_mut().zip(&mut slot.pages);
        for (index, (to, kept)) in places.take(count).enumerate() {
            let PagePiece {
                page,
                kept: use_kept,
                offset,
                bytes,
            } = piece(index);
            let address = MachineAddress(page.address().0 + offset);
            *to = Piece { address, bytes };
            *kept = use_kept;
        }
        let submitted = device.submit(transfer, sector, &pieces[..count], number);
        match submitted {
            Ok(()) => self.busy |= 1 << number,
            Err(DeviceFull) => slot.release(memory),
        }
        submitted
    }

    /// It is tick `now`. For how many ticks the oldest transfer has been under way at least: it counts
    /// from when this was called first during it.
    pub fn oldest(&mut self, now: u64) -> u64 {
        let busy = self.busy;
        let table = self.table.iter_mut().enumerate();
        let under_way = table.filter(|(number, _)| busy & (1 << number) != 0);
        let ages = under_way.map(|(_, transfer)| {
            transfer.since = transfer.since.min(now);
            now - transfer.since
        });
        ages.max().unwrap_or(0)
    }

    /// The transfer with this name, if it is under way.
    pub fn get(&self, number: u32) -> Option<&UnderWay> {
        let bit = 1u32.checked_shl(number)?;
        (self.busy & bit != 0).then(|| &self.table[number as usize])
    }

    /// Forgets a transfer that has ended.
    pub fn end(&mut self, number: u32, memory: &dyn SharedMemory) {
        self.table[number as usize].release(memory);
        self.busy &= !(1 << number);
    }

    /// Every page that a transfer under way needs.
    pub fn pages(&self) -> impl Iterator<Item = MachinePage> + '_ {
        let busy = move |&(number, _): &(usize, &UnderWay)| self.busy & (1 << number) != 0;
        let busy = self.table.iter().enumerate().filter(busy);
        busy.flat_map(|(_, transfer)| transfer.pages())
    }
}
