//! Finds out what a log holds, before its virtual machine runs.

use super::format::{seal_of, Head, Logged, Sector, Shape, Superblock, BYTES};
use super::{checksum, superblock_sector, Log, Record, WINDOW};
use crate::disk::device::{BlockDevice, Piece, Transfer};
use crate::disk::private::{Private, PrivateNodes};
use crate::disk::{Edge, BLOCK};
use crate::machine::shared::{PageRef, SharedMemory};
use crate::machine::NoMemory;
use disco_abi::PAGE_SIZE;

/// Why a log cannot be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogError {
    /// The partition has no room for a log.
    Size,
    /// Neither superblock is one.
    Superblock,
    /// It is another disk's, or its partition had another length.
    Other,
    /// A record that was durable cannot be read, by its number in its half.
    Record(u32),
    /// The device failed.
    Device,
    /// The machine has no memory for it.
    Memory,
}

impl core::fmt::Display for LogError {
    #[cfg_attr(target_os = "none", link_section = ".init.text")]
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Size => f.write_str("the log's partition is too small"),
            Self::Superblock => f.write_str("both superblocks of the log are damaged"),
            Self::Other => f.write_str("the log belongs to a disk of another size"),
            Self::Record(number) => write!(f, "record {number} of the log is damaged"),
            Self::Device => f.write_str("the real disk reports errors where the log is"),
            Self::Memory => f.write_str("there is no memory for the log's table"),
        }
    }
}

impl From<NoMemory> for LogError {
    fn from(NoMemory: NoMemory) -> Self {
        Self::Memory
    }
}

/// Reads and writes a partition, and waits for it.
struct Waiting<'a> {
    device: &'a mut dyn BlockDevice,
    memory: &'a dyn SharedMemory,
    /// Whether to wait any longer, or (`true`) from now on.
    patience: &'a mut dyn FnMut(bool) -> bool,
    /// The partition's first sector.
    first: u64,
}

impl Waiting<'_> {
    #[cfg_attr(target_os = "none", link_section = ".init.text")]
    fn transfer(
        &mut self,
        transfer: Transfer,
        sector: u64,
        pieces: &[Piece],
    ) -> Result<(), LogError> {
        let begun = self.device.submit(transfer, self.first + sector, pieces, 0);
        begun.map_err(|_| LogError::Device)?;
        let mut first = true;
        while (self.patience)(core::mem::take(&mut first)) {
            if let Some((_, result)) = self.device.completed() {
                return result.map_err(|_| LogError::Device);
            }
            core::hint::spin_loop();
        }
        // It may not write into pages that others have by then.
        self.device.give_up();
        Err(LogError::Device)
    }

    /// A block into a page.
    #[cfg_attr(target_os = "none", link_section = ".init.text")]
    fn read(&mut self, block: u64, page: &PageRef) -> Result<(), LogError> {
        let piece = Piece {
            address: page.page().address(),
            bytes: PAGE_SIZE as u32,
        };
        self.transfer(Transfer::Read, block * BLOCK, &[piece])
    }

    #[cfg_attr(target_os = "none", link_section = ".init.text")]
    fn write(&mut self, sector: u64, page: &PageRef, bytes: &Sector) -> Result<(), LogError> {
        self.memory.write(page, 0, bytes);
        let piece = Piece {
            address: page.page().address(),
            bytes: BYTES as u32,
        };
        self.transfer(Transfer::Write, sector, &[piece])
    }

    fn sector(&self, page: &PageRef, number: u64) -> Sector {
        let mut sector = [0; BYTES];
        self.memory
            .read(page, (number % BLOCK) as usize * BYTES, &mut sector);
        sector
    }

    /// The superblock that counts; of a new log one that was never written.
    #[cfg_attr(target_os = "none", link_section = ".init.text")]
    fn superblock(
        &mut self,
        page: &PageRef,
        blocks: u64,
        sectors: u64,
    ) -> Result<Superblock, LogError> {
        let mut latest: Option<Superblock> = None;
        let mut new = true;
        for generation in 0..2 {
            let place = superblock_sector(generation);
            self.read(place / BLOCK, page)?;
            let sector = self.sector(page, place);
            new &= sector == [0; BYTES];
            let found = Superblock::decode(&sector);
            if let Some(found) = found.filter(|found| found.generation % 2 == generation) {
                if latest.is_none_or(|latest| latest.generation < found.generation) {
                    latest = Some(found);
                }
            }
        }
        match latest {
            Some(found) if found.blocks != blocks || found.sectors != sectors => {
                Err(LogError::Other)
            }
            Some(found) => Ok(found),
            None if new => Ok(Superblock {
                generation: 0,
                half: 0,
                epoch: 0,
                half_epoch: 1,
                blocks,
                sectors,
            }),
            None => Err(LogError::Superblock),
        }
    }
}

/// Records of the half in use, as far as they go on from each other.
struct Chain {
    superblock: Superblock,
    shape: Shape,
    number: u32,
    epoch: u64,
    filled: u32,
    before: u32,
}

impl Chain {
    const fn new(superblock: Superblock, shape: Shape) -> Self {
        Self {
            superblock,
            shape,
            number: 0,
            epoch: superblock.half_epoch,
            filled: 0,
            before: 0,
        }
    }

    /// Whether `head` is one of this use of the half.
    fn is_current(&self, head: &Head, number: u32) -> bool {
        let epochs = self.superblock.half_epoch..=self.superblock.epoch;
        head.number == number && epochs.contains(&head.epoch)
    }

    /// Whether `head` is the next one.
    fn is_next(&self, head: &Head) -> bool {
        let fits = head.epoch >= self.epoch
            && head.first == self.filled
            && head.before == self.before
            && head.count <= self.shape.data - self.filled
            && head.blocks[..head.count as usize]
                .iter()
                .all(|logged| u64::from(logged.block) < self.superblock.sectors.div_ceil(BLOCK));
        fits && self.is_current(head, self.number)
    }

    fn push(&mut self, head: &Head, sector: &Sector) {
        self.number += 1;
        self.epoch = head.epoch;
        self.filled += head.count;
        self.before = seal_of(sector);
    }
}

impl Log {
    /// Recovers the log in `blocks` blocks of the real disk from `first` on, for a disk of `sectors`
    /// sectors, and puts what it holds into `private`. `patience` says whether to wait any longer for a
    /// transfer, the first time with `true`. Whatever is recovered is durable, and what was not will
    /// not come back.
    ///
    /// # Errors
    /// It cannot be used; `private` may hold a part.
    pub fn recover(
        edge: &mut Edge<'_>,
        (first, blocks): (u64, u64),
        sectors: u64,
        (nodes, private): (&mut PrivateNodes, &mut Private),
        patience: &mut dyn FnMut(bool) -> bool,
    ) -> Result<Self, LogError> {
        let shape = Shape::of(blocks).ok_or(LogError::Size)?;
        let heads = edge.memory.allocate()?;
        let data = match edge.memory.allocate() {
            Ok(data) => data,
            Err(error) => {
                edge.memory.release(heads);
                return Err(error.into());
            }
        };
        let mut disk = Waiting {
            device: &mut *edge.device,
            memory: edge.memory,
            patience,
            first: first * BLOCK,
        };
        let tables = edge.tables;
        let mut set = |logged: Logged, place: u32| {
            let (memory, tables) = (edge.memory, tables as _);
            if !private.reserve(nodes, tables) {
                return Err(LogError::Memory);
            }
            let place = (logged.mask, logged.at(place));
            private.set(memory, (nodes, tables), logged.block.into(), place);
            Ok(())
        };
        let found = disk
            .superblock(&heads, blocks, sectors)
            .and_then(|superblock| {
                let chain = Chain::new(superblock, shape);
                read_records(&mut disk, (&heads, &data), chain, &mut set)
            })
            .and_then(|chain| begin_epoch(&mut disk, &heads, &chain).map(|next| (chain, next)));
        edge.memory.release(data);
        let (chain, superblock) = match found {
            Ok(found) => found,
            Err(error) => {
                edge.memory.release(heads);
                return Err(error);
            }
        };
        let records = u64::from(chain.number);
        Ok(Self {
            first,
            shape,
            superblock,
            half: superblock.half,
            epoch: superblock.epoch,
            appended: records,
            base: 0,
            written: records,
            flushed: records,
            filled: chain.filled,
            before: chain.before,
            window: [Record::default(); WINDOW as usize],
            heads,
            moving: None,
            move_begun: false,
            failed: false,
        })
    }
}

/// Reads the records of the half in use and tells `set` what is in them.
fn read_records(
    disk: &mut Waiting<'_>,
    (heads, data): (&PageRef, &PageRef),
    mut chain: Chain,
    set: &mut dyn FnMut(Logged, u32) -> Result<(), LogError>,
) -> Result<Chain, LogError> {
    let (shape, half) = (chain.shape, chain.superblock.half);
    // What any head says was durable, whether it goes on from the others or not.
    let mut durable = 0;
    let mut goes_on = true;
    for number in 0..shape.data {
        let place = shape.head(half, number);
        if place % BLOCK == 0 {
            disk.read(place / BLOCK, heads)?;
        }
        let sector = disk.sector(heads, place);
        let head = Head::decode(&sector);
        if let Some(head) = head.filter(|head| chain.is_current(head, number)) {
            durable = durable.max(head.flushed);
        }
        goes_on &= head.is_some_and(|head| chain.is_next(&head));
        let Some(head) = head.filter(|_| goes_on) else {
            continue;
        };
        let blocks = &head.blocks[..head.count as usize];
        let places = || (head.first..).map(|number| shape.block(half, number));
        let mut whole = true;
        for (logged, place) in blocks.iter().zip(places()) {
            disk.read(place.into(), data)?;
            whole &= checksum(disk.memory, data) == logged.checksum;
        }
        if !whole {
            goes_on = false;
            continue;
        }
        for (logged, place) in blocks.iter().zip(places()) {
            set(*logged, place)?;
        }
        chain.push(&head, &sector);
    }
    if chain.number < durable {
        return Err(LogError::Record(chain.number));
    }
    Ok(chain)
}

/// Takes away what is behind the chain, makes everything durable and begins a new epoch, whose records
/// those before cannot be taken for.
fn begin_epoch(
    disk: &mut Waiting<'_>,
    page: &PageRef,
    chain: &Chain,
) -> Result<Superblock, LogError> {
    if chain.number < chain.shape.data {
        let next = chain.shape.head(chain.superblock.half, chain.number);
        disk.write(next, page, &[0; BYTES])?;
    }
    // What was recovered may be in the device's volatile cache; the superblock counts on it.
    disk.transfer(Transfer::Flush, 0, &[])?;
    let next = Superblock {
        generation: chain.superblock.generation + 1,
        epoch: chain.superblock.epoch + 1,
        ..chain.superblock
    };
    disk.write(superblock_sector(next.generation), page, &next.encode())?;
    disk.transfer(Transfer::Flush, 0, &[])?;
    Ok(next)
}
