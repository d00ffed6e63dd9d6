//! Virtual disks as a guest sees them: commands, and what becomes of them.

use crate::abi::{
    Call, CallError, DiskDone, DiskInfo, DiskOperation, DiskRequest, Segment, DISK_SEGMENTS_MAX,
    LINE_DISK, PAGE_SIZE, SECTOR,
};
use crate::calls::call;
use crate::{access, cp0, FREE_MEMORY};

/// Where commands are built; what has ended is told in the second half of the page.
pub const REQUEST: u64 = FREE_MEMORY.next_multiple_of(PAGE_SIZE);
const DONE: u64 = REQUEST + PAGE_SIZE / 2;
/// Memory behind it is free.
pub const BUFFER: u64 = REQUEST + PAGE_SIZE;
const HEAD: u64 = size_of::<DiskRequest>() as u64;
const _: () = assert!(HEAD + DISK_SEGMENTS_MAX as u64 * 16 <= PAGE_SIZE / 2);

/// A disk, by its number.
#[derive(Clone, Copy)]
pub struct Disk(pub u64);

/// One segment.
pub const fn segment(address: u64, bytes: u64) -> Segment {
    Segment { address, bytes }
}

impl Disk {
    /// Its length in sectors, and its mode.
    pub fn info(self) -> Result<(u64, u64), CallError> {
        call(Call::DiskInfo, [self.0, DONE, 0, 0])?;
        let at = |offset: usize| access::physical(DONE + offset as u64);
        let sectors = at(core::mem::offset_of!(DiskInfo, sectors));
        Ok((sectors, at(core::mem::offset_of!(DiskInfo, mode))))
    }

    /// Has it from now on.
    pub fn open(self) -> Result<(), CallError> {
        call(Call::DiskOpen, [self.0, 0, 0, 0]).map(|_| ())
    }

    /// Passes a command; whether it has ended at once.
    pub fn pass(
        self,
        operation: DiskOperation,
        sector: u64,
        tag: u64,
        segments: &[Segment],
    ) -> Result<bool, CallError> {
        let words = [operation as u64, sector, tag, segments.len() as u64];
        let list = segments.iter().flat_map(|one| [one.address, one.bytes]);
        for (number, word) in words.into_iter().chain(list).enumerate() {
            access::set_physical(REQUEST + 8 * number as u64, word);
        }
        self.pass_words(4 + 2 * segments.len() as u64)
    }

    /// Passes what stands in the first `words` words at [`REQUEST`].
    pub fn pass_words(self, words: u64) -> Result<bool, CallError> {
        call(Call::DiskCommand, [self.0, REQUEST, 8 * words, 0]).map(|ended| ended != 0)
    }

    /// Executes a command alone; its status, 0 if it has ended well.
    pub fn execute(self, operation: DiskOperation, sector: u64, segments: &[Segment]) -> u64 {
        let tag = 0x7a60 + sector;
        match self.pass(operation, sector, tag, segments) {
            Ok(true) => 0,
            Ok(false) => {
                let done = next_done();
                assert_eq!(done.tag, tag, "another command has ended");
                done.status
            }
            Err(error) => panic!("{operation:?} at sector {sector}: {error:?}"),
        }
    }

    /// Reads or writes `sectors` sectors at once.
    pub fn transfer(self, operation: DiskOperation, sector: u64, sectors: u64, memory: u64) -> u64 {
        self.execute(operation, sector, &[segment(memory, sectors * SECTOR)])
    }
}

/// Commands that have ended, up to `most`.
pub fn take(most: u64) -> Result<u64, CallError> {
    call(Call::DiskTake, [DONE, most, 0, 0])
}

/// Waits, with interrupts off, until the disks' line is up.
fn wait() {
    const WAITING: u64 = 1 << (8 + LINE_DISK);
    cp0::set_status(WAITING);
    while cp0::reg::CAUSE.read() & WAITING == 0 {
        cp0::wait();
    }
}

/// The next command that ends.
pub fn next_done() -> DiskDone {
    loop {
        match take(1) {
            Ok(0) => wait(),
            Ok(_) => {
                return DiskDone {
                    tag: access::physical(DONE),
                    status: access::physical(DONE + 8),
                }
            }
            Err(error) => panic!("DiskTake: {error:?}"),
        }
    }
}

/// Fills sectors in memory: each with its number and `stamp`, again and again.
pub fn fill(memory: u64, first: u64, sectors: u64, stamp: u64) {
    for at in (0..sectors * SECTOR).step_by(8) {
        access::set_physical(memory + at, (first + at / SECTOR) << 32 | stamp);
    }
}

/// Whether sectors in memory are as [`fill`] leaves them.
pub fn is_filled(memory: u64, first: u64, sectors: u64, stamp: u64) -> bool {
    (0..sectors * SECTOR)
        .step_by(8)
        .all(|at| access::physical(memory + at) == (first + at / SECTOR) << 32 | stamp)
}

/// Whether sectors in memory are zeros.
pub fn is_zero(memory: u64, sectors: u64) -> bool {
    (0..sectors * SECTOR)
        .step_by(8)
        .all(|at| access::physical(memory + at) == 0)
}
