//! The log of a virtual machine and a `cow-persistent` disk: what it has written, kept for ever.
//!
//! A write is appended as records; the tree of private sectors then names the block of the log in
//! which the sectors are, and the global disk cache has that block. A write has ended when its
//! records, and all before them, have reached the device, so that a flush of the device makes it
//! durable. When a half is full, what lives moves to the other one ([`Move`]); writes wait meanwhile.

pub mod format;
pub mod recover;
#[cfg(test)]
mod tests;

use super::BLOCK;
use crate::checksum::CRC32;
use crate::machine::shared::{PageRef, SharedMemory};
use disco_abi::PAGE_SIZE;
use format::{seal_of, Head, Logged, Shape, Superblock, BYTES, RECORD_BLOCKS};

/// Most records under way: a page holds their heads.
pub const WINDOW: u64 = BLOCK;

/// A record that is on its way to the disk.
#[derive(Clone, Copy, Debug, Default)]
pub struct Record {
    /// Its first block in the partition.
    pub first: u32,
    /// Its blocks.
    pub count: u32,
    /// Where its head goes: a sector of the partition.
    pub head: u64,
    /// Transfers that have not been begun: the data's, the head's.
    pub to_begin: [bool; 2],
    /// Transfers that have not ended.
    left: u8,
}

/// How far a half's living blocks have moved to the other one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Move {
    /// Blocks before this sector of the disk have.
    Blocks(u64),
    /// All have; the device is to flush.
    Flush,
    /// The superblock is to be written, which makes the other half the one in use.
    Superblock,
    /// And the device is to flush again.
    FlushAgain,
}

/// Whether a record can be appended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Room {
    /// It can.
    Yes,
    /// When others have ended.
    Later,
    /// The half is full.
    Full,
}

/// A log.
pub struct Log {
    /// The partition's first block on the real disk.
    first: u64,
    shape: Shape,
    /// The superblock on the disk.
    superblock: Superblock,
    /// Where records are appended: while blocks move, not yet the superblock's half.
    half: u32,
    epoch: u64,
    /// Records ever appended; before the half's first one; those that have ended with all before
    /// them; those that are durable.
    appended: u64,
    base: u64,
    written: u64,
    flushed: u64,
    /// Blocks of data in the half, and the checksum of its last head.
    filled: u32,
    before: u32,
    window: [Record; WINDOW as usize],
    /// The heads under way. Nobody else uses the page; transfers do not count it.
    heads: PageRef,
    moving: Option<Move>,
    /// A transfer for the move is under way.
    pub move_begun: bool,
    /// The device has failed: nothing is appended any more.
    failed: bool,
}

impl Log {
    /// The log's block `place` on the real disk.
    pub const fn real(&self, place: u32) -> u64 {
        self.first + place as u64
    }

    /// A sector of the partition on the real disk.
    pub const fn real_sector(&self, sector: u64) -> u64 {
        self.first * BLOCK + sector
    }

    /// Most blocks of the disk that may have private sectors. A quarter of a half is left to be
    /// written before blocks move again.
    pub const fn most(&self) -> u64 {
        (self.shape.data - self.shape.data / 4) as u64
    }

    /// Whether nothing can be appended for ever.
    pub const fn has_failed(&self) -> bool {
        self.failed
    }

    /// The move that is under way.
    pub const fn moving(&self) -> Option<Move> {
        self.moving
    }

    /// Records ever appended, and those that have ended.
    pub const fn progress(&self) -> (u64, u64) {
        (self.appended, self.written)
    }

    /// The page of the heads.
    pub const fn heads(&self) -> &PageRef {
        &self.heads
    }

    /// Whether so many blocks can be appended.
    pub fn room(&self, blocks: usize) -> Room {
        let records = blocks.div_ceil(RECORD_BLOCKS) as u64;
        let heads = self.appended - self.base + records;
        if self.failed || heads > u64::from(self.shape.data) {
            return Room::Full;
        }
        if self.filled as usize + blocks > self.shape.data as usize {
            return Room::Full;
        }
        if self.appended - self.written + records > WINDOW {
            return Room::Later;
        }
        Room::Yes
    }

    /// Appends a record of `blocks`, for which there is room; its first block in the partition.
    pub fn append(&mut self, memory: &dyn SharedMemory, blocks: &[Logged]) -> u32 {
        let number = (self.appended - self.base) as u32;
        let mut head = Head {
            number,
            epoch: self.epoch,
            flushed: self.flushed.saturating_sub(self.base) as u32,
            first: self.filled,
            before: self.before,
            count: blocks.len() as u32,
            blocks: [Logged::default(); RECORD_BLOCKS],
        };
        for (to, from) in head.blocks.iter_mut().zip(blocks) {
            *to = *from;
        }
        let sector = head.encode();
        memory.write(&self.heads, head_offset(self.appended), &sector);
        let first = self.shape.block(self.half, self.filled);
        self.window[(self.appended % WINDOW) as usize] = Record {
            first,
            count: head.count,
            head: self.shape.head(self.half, number),
            to_begin: [true; 2],
            left: 2,
        };
        self.before = seal_of(&sector);
        self.filled += head.count;
        self.appended += 1;
        first
    }

    /// The first record with a transfer that has not been begun.
    pub fn to_begin(&self) -> Option<(u64, Record)> {
        if self.failed {
            return None;
        }
        let all = self.written..self.appended;
        let mut records = all.map(|number| (number, self.window[(number % WINDOW) as usize]));
        records.find(|(_, record)| record.to_begin != [false; 2])
    }

    /// The record's data's, or its head's, transfer has been begun.
    pub fn begun(&mut self, number: u64, part: usize) {
        self.window[(number % WINDOW) as usize].to_begin[part] = false;
    }

    /// A record under way, by the last bits of its number.
    pub fn record(&self, number: u32) -> Record {
        self.window[(u64::from(number) % WINDOW) as usize]
    }

    /// One of a record's transfers has ended.
    pub fn ended(&mut self, number: u32, well: bool) {
        self.failed |= !well;
        let record = &mut self.window[(u64::from(number) % WINDOW) as usize];
        record.left = record.left.saturating_sub(1);
        while self.written < self.appended
            && self.window[(self.written % WINDOW) as usize].left == 0
            && !self.failed
        {
            self.written += 1;
        }
    }

    /// The device has flushed all of the first `records`.
    pub fn flushed(&mut self, records: u64) {
        self.flushed = self.flushed.max(records);
    }

    /// Begins to move what lives to the other half, once all records have ended.
    pub fn begin_move(&mut self) {
        if self.failed || self.moving.is_some() || self.written != self.appended {
            return;
        }
        self.moving = Some(Move::Blocks(0));
        self.half = 1 - self.half;
        self.epoch += 1;
        self.base = self.appended;
        self.filled = 0;
        self.before = 0;
    }

    /// Blocks before `sector` of the disk have been appended to the other half.
    pub fn moved_to(&mut self, sector: u64) {
        self.moving = Some(Move::Blocks(sector));
    }

    /// All blocks have.
    pub fn moved_all(&mut self) {
        self.moving = Some(Move::Flush);
    }

    /// The superblock as it is to be, as a sector of the page of the heads; where it goes.
    pub fn next_superblock(&mut self, memory: &dyn SharedMemory) -> (u64, usize) {
        let next = self.switched();
        let offset = head_offset(self.appended);
        memory.write(&self.heads, offset, &next.encode());
        (superblock_sector(next.generation), offset)
    }

    /// A transfer for the move has ended.
    pub fn move_ended(&mut self, well: bool) {
        self.move_begun = false;
        self.failed |= !well;
        if self.failed {
            return;
        }
        self.moving = match self.moving {
            Some(Move::Flush) => {
                self.flushed(self.written);
                Some(Move::Superblock)
            }
            Some(Move::Superblock) => Some(Move::FlushAgain),
            Some(Move::FlushAgain) => {
                self.superblock = self.switched();
                None
            }
            other => other,
        };
    }

    fn switched(&self) -> Superblock {
        Superblock {
            generation: self.superblock.generation + 1,
            half: self.half,
            epoch: self.epoch,
            half_epoch: self.epoch,
            ..self.superblock
        }
    }
}

/// Where the head of record `number` is in the page of the heads.
pub const fn head_offset(number: u64) -> usize {
    (number % WINDOW) as usize * BYTES
}

/// Where in the partition the superblock of a generation is.
const fn superblock_sector(generation: u64) -> u64 {
    generation % 2 * BLOCK
}

/// The checksum of a block.
pub fn checksum(memory: &dyn SharedMemory, page: &PageRef) -> u32 {
    let mut digest = CRC32.digest();
    let mut sector = [0; BYTES];
    for offset in (0..PAGE_SIZE as usize).step_by(BYTES) {
        memory.read(page, offset, &mut sector);
        digest.update(&sector);
    }
    digest.finalize()
}
