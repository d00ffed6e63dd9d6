//! What a log is on the disk. All numbers are big-endian.
//!
//! ```text
//! block 0    superblock (one sector), when its generation is even
//!       1    superblock, when its generation is odd
//!       2    first half:  heads, a sector each; then blocks of data
//!       ...  second half: the same
//! ```
//! A record is a head and up to 32 blocks. Head *n* of a half is in its sector *n*; the blocks of a
//! record follow those of the record before. A sector of a disk keeps its place in its block.

use crate::checksum::CRC32;
use crate::disk::place::Place;
use crate::disk::BLOCK;
use disco_abi::SECTOR;

/// Bytes of a sector.
pub const BYTES: usize = SECTOR as usize;
/// Most blocks of a record.
pub const RECORD_BLOCKS: usize = 32;
/// Fewest blocks of data of a half: a command, four times.
const DATA_MIN: u64 = 4 * crate::disk::command::PARTS_MAX as u64;
const SUPER_MAGIC: u64 = u64::from_be_bytes(*b"DISCOLOG");
const HEAD_MAGIC: u64 = u64::from_be_bytes(*b"DISCOREC");
const VERSION: u64 = 1;
/// Where the checksum of a sector's other bytes is.
const CHECKED: usize = BYTES - 4;

/// A sector as bytes.
pub type Sector = [u8; BYTES];

/// Where the parts of a log are in its partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shape {
    /// Blocks of heads of a half.
    pub heads: u32,
    /// Blocks of data of a half; also its heads.
    pub data: u32,
}

impl Shape {
    /// Of a partition of so many blocks; none if it is too small, or too large to be counted.
    pub fn of(blocks: u64) -> Option<Self> {
        let half = blocks.min(u64::from(u32::MAX)).checked_sub(2)? / 2;
        // A block of heads for each 32 of data.
        let heads = half.div_ceil(BLOCK + 1);
        let data = half - heads;
        (data >= DATA_MIN).then_some(Self {
            heads: heads as u32,
            data: data as u32,
        })
    }

    const fn half(self, half: u32) -> u32 {
        2 + half * (self.heads + self.data)
    }

    /// The sector of head `number` of a half, in the partition.
    pub const fn head(self, half: u32, number: u32) -> u64 {
        self.half(half) as u64 * BLOCK + number as u64
    }

    /// Block `number` of a half's data, in the partition.
    pub const fn block(self, half: u32, number: u32) -> u32 {
        self.half(half) + self.heads + number
    }
}

/// What a log begins with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Superblock {
    /// Counts them: the later one is right.
    pub generation: u64,
    /// The half in use, 0 or 1.
    pub half: u32,
    /// Counted up whenever the log was recovered, and whenever a half comes into use.
    pub epoch: u64,
    /// The epoch in which the half came into use.
    pub half_epoch: u64,
    /// Blocks of the partition, and sectors of the disk.
    pub blocks: u64,
    /// See `blocks`.
    pub sectors: u64,
}

impl Superblock {
    /// The sector.
    pub fn encode(&self) -> Sector {
        sealed(&[
            SUPER_MAGIC,
            VERSION,
            self.generation,
            self.half.into(),
            self.epoch,
            self.half_epoch,
            self.blocks,
            self.sectors,
        ])
    }

    /// What a sector says, if it is a superblock.
    pub fn decode(sector: &Sector) -> Option<Self> {
        let words: [u64; 8] = opened(sector)?;
        let [SUPER_MAGIC, VERSION, generation, half @ 0..=1, epoch, half_epoch, blocks, sectors] =
            words
        else {
            return None;
        };
        Some(Self {
            generation,
            half: half as u32,
            epoch,
            half_epoch,
            blocks,
            sectors,
        })
    }
}

/// What a record says of one of its blocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Logged {
    /// Which block of the disk it is.
    pub block: u32,
    /// Which sectors are in it, a bit each: all that the virtual machine has written.
    pub mask: u32,
    /// CRC-32 of the block.
    pub checksum: u32,
}

impl Logged {
    /// The sectors of it that a virtual machine has written, in block `place` of the log.
    pub const fn at(self, place: u32) -> Place {
        Place::Log {
            block: place,
            checksum: self.checksum,
        }
    }
}

/// A record's head.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// Its number in its half.
    pub number: u32,
    /// When it was written, as the superblock counts.
    pub epoch: u64,
    /// All records before this one of the half were durable when it was written.
    pub flushed: u32,
    /// The first of its blocks in the half's data.
    pub first: u32,
    /// Checksum of the head before.
    pub before: u32,
    /// Blocks.
    pub count: u32,
    /// See `count`.
    pub blocks: [Logged; RECORD_BLOCKS],
}

/// Words before the blocks.
const HEAD_WORDS: usize = 5;

impl Head {
    /// The sector.
    pub fn encode(&self) -> Sector {
        let mut words = [0; HEAD_WORDS + RECORD_BLOCKS * 3 / 2];
        let (front, rest) = words.split_at_mut(HEAD_WORDS);
        front.copy_from_slice(&[
            HEAD_MAGIC,
            self.epoch,
            pair(self.number, self.flushed),
            pair(self.first, self.before),
            self.count.into(),
        ]);
        for (to, two) in rest.chunks_exact_mut(3).zip(self.blocks.chunks_exact(2)) {
            let [one, other] = [two[0], two[1]];
            to.copy_from_slice(&[
                pair(one.block, one.mask),
                pair(one.checksum, other.block),
                pair(other.mask, other.checksum),
            ]);
        }
        sealed(&words)
    }

    /// What a sector says, if it is a head.
    #[cfg_attr(target_os = "none", link_section = ".init.text")]
    pub fn decode(sector: &Sector) -> Option<Self> {
        let words: [u64; HEAD_WORDS + RECORD_BLOCKS * 3 / 2] = opened(sector)?;
        let (front, rest) = words.split_at(HEAD_WORDS);
        let &[HEAD_MAGIC, epoch, numbers, places, count] = front else {
            return None;
        };
        let mut blocks = [Logged::default(); RECORD_BLOCKS];
        for (to, from) in blocks.chunks_exact_mut(2).zip(rest.chunks_exact(3)) {
            let [(a, b), (c, d), (e, f)] = [halves(from[0]), halves(from[1]), halves(from[2])];
            let logged = |block, mask, checksum| Logged {
                block,
                mask,
                checksum,
            };
            to.copy_from_slice(&[logged(a, b, c), logged(d, e, f)]);
        }
        Some(Self {
            number: halves(numbers).0,
            flushed: halves(numbers).1,
            epoch,
            first: halves(places).0,
            before: halves(places).1,
            count: u32::try_from(count)
                .ok()
                .filter(|&count| (1..=RECORD_BLOCKS as u32).contains(&count))?,
            blocks,
        })
    }
}

/// The checksum of a sector that was sealed: the head after it names it.
pub fn seal_of(sector: &Sector) -> u32 {
    let mut seal = [0; 4];
    seal.copy_from_slice(&sector[CHECKED..]);
    u32::from_be_bytes(seal)
}

fn sealed(words: &[u64]) -> Sector {
    let mut sector = [0; BYTES];
    for (to, word) in sector.chunks_exact_mut(8).zip(words) {
        to.copy_from_slice(&word.to_be_bytes());
    }
    let checksum = CRC32.checksum(&sector[..CHECKED]);
    sector[CHECKED..].copy_from_slice(&checksum.to_be_bytes());
    sector
}

fn opened<const N: usize>(sector: &Sector) -> Option<[u64; N]> {
    if CRC32.checksum(&sector[..CHECKED]) != seal_of(sector) {
        return None;
    }
    let mut words = [0; N];
    for (word, from) in words.iter_mut().zip(sector.chunks_exact(8)) {
        *word = u64::from_be_bytes(from.try_into().ok()?);
    }
    Some(words)
}

const fn pair(high: u32, low: u32) -> u64 {
    (high as u64) << 32 | low as u64
}

const fn halves(word: u64) -> (u32, u32) {
    ((word >> 32) as u32, word as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn halves_do_not_overlap() {
        for blocks in [0, 1, 2, 500, 549, 600, 1000, 16384, 1 << 20, u64::MAX] {
            let Some(shape) = Shape::of(blocks) else {
                assert!(blocks < 600);
                continue;
            };
            assert!(u64::from(shape.heads) * BLOCK >= u64::from(shape.data));
            for half in 0..2 {
                let last_head = shape.head(half, shape.data - 1) / BLOCK;
                assert!(last_head < u64::from(shape.block(half, 0)));
                assert!(shape.head(half, 0) >= 2 * BLOCK);
            }
            let end = u64::from(shape.block(0, shape.data - 1)) + 1;
            assert!(end * BLOCK <= shape.head(1, 0));
            assert!(u64::from(shape.block(1, shape.data - 1)) < blocks);
        }
    }

    proptest! {
        #[test]
        fn heads_and_superblocks_come_back(
            numbers in prop::array::uniform5(any::<u32>()),
            wide in prop::array::uniform5(any::<u64>()),
            count in 1..=RECORD_BLOCKS as u32,
            blocks in prop::array::uniform32(prop::array::uniform3(any::<u32>())),
            damage in 0..BYTES,
            bit in 0..8,
        ) {
            let [number, flushed, first, before, half] = numbers;
            let [epoch, generation, half_epoch, length, sectors] = wide;
            let blocks = blocks.map(|[block, mask, checksum]| Logged { block, mask, checksum });
            let head = Head { number, epoch, flushed, first, before, count, blocks };
            let mut sector = head.encode();
            prop_assert_eq!(Head::decode(&sector), Some(head));
            prop_assert_eq!(Superblock::decode(&sector), None);
            sector[damage] ^= 1u8 << bit;
            prop_assert_eq!(Head::decode(&sector), None);
            let superblock = Superblock {
                generation, half: half % 2, epoch, half_epoch, blocks: length, sectors,
            };
            let mut sector = superblock.encode();
            prop_assert_eq!(Superblock::decode(&sector), Some(superblock));
            sector[damage] ^= 1u8 << bit;
            prop_assert_eq!(Superblock::decode(&sector), None);
        }
    }
}
