//! What a `cow-persistent` disk holds, read from its partition and its log without the monitor: the log as
//! `ARCHITECTURE.md` describes it ("The life of a disk read"), followed a second time.

use anyhow::{Context, Result};
use disco_abi::SECTOR;
use disco_kernel::disk::log::format::{seal_of, Head, Sector, Shape, Superblock, BYTES};
use disco_kernel::disk::BLOCK;

/// Bytes of a block.
const BLOCK_BYTES: usize = (BLOCK * SECTOR) as usize;

/// The image with what its log has of it.
pub fn contents(mut image: Vec<u8>, log: &[u8]) -> Result<Vec<u8>> {
    let shape = Shape::of((log.len() / BLOCK_BYTES) as u64).context("the log is too small")?;
    let superblocks = [0, BLOCK]
        .iter()
        .filter_map(|&place| Superblock::decode(&sector(log, place)?));
    let Some(superblock) = superblocks.max_by_key(|one| one.generation) else {
        return Ok(image);
    };
    let half = superblock.half;
    let (mut filled, mut before, mut epoch) = (0, 0, superblock.half_epoch);
    for number in 0..shape.data {
        let bytes = sector(log, shape.head(half, number)).context("a head behind the end")?;
        let Some(head) = Head::decode(&bytes) else {
            break;
        };
        let goes_on = head.number == number
            && head.first == filled
            && head.before == before
            && (epoch..=superblock.epoch).contains(&head.epoch);
        let blocks = &head.blocks[..head.count as usize];
        let places = (filled..).map(|place| shape.block(half, place) as usize * BLOCK_BYTES);
        let data: Option<Vec<&[u8]>> = places
            .take(blocks.len())
            .map(|place| log.get(place..place + BLOCK_BYTES))
            .collect();
        let data = data.filter(|data| {
            let sums = data.iter().map(|data| crc32fast::hash(data));
            goes_on && sums.eq(blocks.iter().map(|logged| logged.checksum))
        });
        let Some(data) = data else {
            break;
        };
        for (logged, data) in blocks.iter().zip(data) {
            for (number, from) in data.chunks_exact(BYTES).enumerate() {
                let to = logged.block as usize * BLOCK_BYTES + number * BYTES;
                if logged.mask & 1 << number != 0 {
                    let to = image.get_mut(to..to + BYTES);
                    to.context("a sector behind the end")?.copy_from_slice(from);
                }
            }
        }
        (filled, before, epoch) = (filled + head.count, seal_of(&bytes), head.epoch);
    }
    Ok(image)
}

fn sector(log: &[u8], number: u64) -> Option<Sector> {
    let at = usize::try_from(number).ok()? * BYTES;
    log.get(at..at + BYTES)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use disco_kernel::disk::log::format::{Logged, RECORD_BLOCKS};

    const BLOCKS: usize = 600;

    fn write(log: &mut [u8], at: usize, bytes: &[u8]) {
        log[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// A log with two records: some sectors of block 1, and then some of them again.
    fn log() -> Vec<u8> {
        let mut log = vec![0; BLOCKS * BLOCK_BYTES];
        let shape = Shape::of(BLOCKS as u64).unwrap();
        let superblock = Superblock {
            generation: 1,
            half: 0,
            epoch: 3,
            half_epoch: 2,
            blocks: BLOCKS as u64,
            sectors: 64,
        };
        write(&mut log, BLOCK_BYTES, &superblock.encode());
        let mut before = 0;
        for (number, mask) in [(0, 0b1110), (1, 0b0111)] {
            let data = [number as u8 + 1; BLOCK_BYTES];
            let mut blocks = [Logged::default(); RECORD_BLOCKS];
            blocks[0] = Logged {
                block: 1,
                mask,
                checksum: crc32fast::hash(&data),
            };
            let head = Head {
                number,
                epoch: 2 + u64::from(number),
                flushed: 0,
                first: number,
                before,
                count: 1,
                blocks,
            };
            let sector = head.encode();
            before = seal_of(&sector);
            write(&mut log, shape.head(0, number) as usize * BYTES, &sector);
            let place = shape.block(0, number) as usize * BLOCK_BYTES;
            write(&mut log, place, &data);
        }
        log
    }

    fn sectors(log: &[u8]) -> Vec<u8> {
        let image = contents(vec![0; 2 * BLOCK_BYTES], log).unwrap();
        let all = image[BLOCK_BYTES..].chunks(BYTES).take(5);
        all.map(|sector| sector[7]).collect()
    }

    #[test]
    fn later_records_count_and_damage_ends_the_log() {
        let shape = Shape::of(BLOCKS as u64).unwrap();
        let log = log();
        assert_eq!(sectors(&log), [2, 2, 2, 1, 0]);
        for (at, left) in [
            (shape.head(0, 1) as usize * BYTES + 9, [0, 1, 1, 1, 0]),
            (shape.block(0, 1) as usize * BLOCK_BYTES, [0, 1, 1, 1, 0]),
            (shape.block(0, 0) as usize * BLOCK_BYTES, [0; 5]),
        ] {
            let mut damaged = log.clone();
            damaged[at] ^= 1;
            assert_eq!(sectors(&damaged), left);
        }
        assert_eq!(sectors(&vec![0; log.len()]), [0; 5]);
    }
}
