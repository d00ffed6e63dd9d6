//! A disk with a volatile write cache, as it may be at its worst: whatever was not flushed when the
//! power is cut is there, or not, or half way, sector by sector and in no order.

use disco_fuzz::random::Random;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Bytes of a sector: it is written as a whole or not at all.
pub const SECTOR: u64 = disco_abi::SECTOR;
/// Versions of sectors that the cache holds; then it writes some of them back by itself.
const VERSIONS_MAX: usize = 32 << 10;

type Sector = [u8; SECTOR as usize];

/// The disk: a file that holds what is durable, and the cache.
pub struct VolatileDisk {
    file: File,
    length: u64,
    /// Of each sector that was written, all that was written since it became durable, the newest last.
    unflushed: BTreeMap<u64, Vec<Sector>>,
    versions: usize,
    random: Random,
    /// The power is cut at a request after a write to one of some sectors: so many later, once it has
    /// been written.
    watched: Option<(Vec<u64>, u64)>,
    left: Option<u64>,
}

/// What a cut has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cut {
    /// Sectors that were not flushed.
    pub unflushed: usize,
    /// Those that have the newest content nevertheless.
    pub newest: usize,
    /// Those that have one between the durable and the newest.
    pub between: usize,
}

/// A request that no disk takes: sectors behind the end, or a part of a sector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfRange;

impl VolatileDisk {
    /// A disk with the content of `file`, which is written when something becomes durable.
    pub fn new(file: File, random: Random) -> io::Result<Self> {
        let length = file.metadata()?.len();
        Ok(Self {
            length: length - length % SECTOR,
            file,
            unflushed: BTreeMap::new(),
            versions: 0,
            random,
            watched: None,
            left: None,
        })
    }

    /// The power is to be cut `later` requests after a write to one of `sectors`.
    pub fn cut_behind(&mut self, sectors: Vec<u64>, later: u64) {
        self.watched = Some((sectors, later));
        self.left = None;
    }

    /// A request comes; `false` if the power has been cut before it, and nobody answers any more.
    pub fn has_power(&mut self) -> bool {
        match &mut self.left {
            Some(0) => return false,
            Some(left) => *left -= 1,
            None => {}
        }
        true
    }

    /// Whether the moment of the cut has come.
    pub fn is_off(&self) -> bool {
        self.left == Some(0)
    }

    /// Bytes of the disk.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Whether a request can be met.
    pub fn check(&self, offset: u64, length: u64) -> Result<(), OutOfRange> {
        let whole = offset.is_multiple_of(SECTOR) && length.is_multiple_of(SECTOR);
        let end = offset.checked_add(length).ok_or(OutOfRange)?;
        if whole && end <= self.length {
            Ok(())
        } else {
            Err(OutOfRange)
        }
    }

    /// Reads what was written last. The range was checked.
    pub fn read(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(bytes, offset)?;
        let first = offset / SECTOR;
        let count = bytes.len() as u64 / SECTOR;
        for (&sector, versions) in self.unflushed.range(first..first + count) {
            if let Some(newest) = versions.last() {
                let at = ((sector - first) * SECTOR) as usize;
                bytes[at..][..SECTOR as usize].copy_from_slice(newest);
            }
        }
        Ok(())
    }

    /// Writes; `durable` says that the power may be cut as soon as this returns. The range was checked.
    pub fn write(&mut self, offset: u64, bytes: &[u8], durable: bool) -> io::Result<()> {
        let written = offset / SECTOR..(offset + bytes.len() as u64) / SECTOR;
        if let Some((watched, later)) = &self.watched {
            if watched.iter().any(|sector| written.contains(sector)) {
                self.left = Some(*later);
                self.watched = None;
            }
        }
        let sectors = bytes.chunks_exact(SECTOR as usize);
        for (sector, content) in (offset / SECTOR..).zip(sectors) {
            if durable {
                self.forget(sector);
                self.file.write_all_at(content, sector * SECTOR)?;
                continue;
            }
            let mut kept = [0; SECTOR as usize];
            kept.copy_from_slice(content);
            self.unflushed.entry(sector).or_default().push(kept);
            self.versions += 1;
        }
        if self.versions > VERSIONS_MAX {
            self.write_back()?;
        }
        Ok(())
    }

    fn forget(&mut self, sector: u64) {
        let versions = self.unflushed.remove(&sector);
        self.versions -= versions.map_or(0, |versions| versions.len());
    }

    /// Makes everything durable.
    pub fn flush(&mut self) -> io::Result<()> {
        for (sector, versions) in std::mem::take(&mut self.unflushed) {
            if let Some(newest) = versions.last() {
                self.file.write_all_at(newest, sector * SECTOR)?;
            }
        }
        self.versions = 0;
        Ok(())
    }

    /// Makes half of the sectors durable, as a full cache does by itself.
    fn write_back(&mut self) -> io::Result<()> {
        let sectors: Vec<u64> = self.unflushed.keys().copied().collect();
        for sector in sectors {
            if self.random.one_in(2) {
                continue;
            }
            if let Some(newest) = self.unflushed[&sector].last() {
                self.file.write_all_at(newest, sector * SECTOR)?;
            }
            self.forget(sector);
        }
        Ok(())
    }

    /// Cuts the power: of each sector that was not flushed, the durable content is left, or the newest, or
    /// one between.
    pub fn cut(&mut self) -> io::Result<Cut> {
        // How much is lost differs from cut to cut, up to everything and nothing.
        let lost = self.random.pick(&[0, 10, 50, 90, 100]);
        let mut cut = Cut {
            unflushed: self.unflushed.len(),
            ..Cut::default()
        };
        for (sector, versions) in std::mem::take(&mut self.unflushed) {
            if self.random.below(100) < lost {
                continue;
            }
            let newest = versions.len() - 1;
            let chosen = match self.random.one_in(2) {
                true => newest,
                false => self.random.below(versions.len() as u64) as usize,
            };
            if chosen == newest {
                cut.newest += 1;
            } else {
                cut.between += 1;
            }
            self.file.write_all_at(&versions[chosen], sector * SECTOR)?;
        }
        self.versions = 0;
        (self.watched, self.left) = (None, None);
        Ok(cut)
    }

    /// A range of what is durable.
    pub fn durable(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(bytes, offset)
    }
}

#[cfg(test)]
mod tests {
    use super::{OutOfRange, VolatileDisk, SECTOR, VERSIONS_MAX};
    use disco_fuzz::random::Random;
    use proptest::prelude::*;
    use rustix::fs::{memfd_create, MemfdFlags};
    use std::fs::File;

    const SECTORS: u64 = 64;

    fn disk_of(sectors: u64, seed: u64) -> VolatileDisk {
        let file = File::from(memfd_create("disk", MemfdFlags::empty()).unwrap());
        file.set_len(sectors * SECTOR).unwrap();
        VolatileDisk::new(file, Random::new(seed, 0)).unwrap()
    }

    fn disk(seed: u64) -> VolatileDisk {
        disk_of(SECTORS, seed)
    }

    fn write(disk: &mut VolatileDisk, sector: u64, content: u8, durable: bool) {
        let bytes = [content; SECTOR as usize];
        disk.write(sector * SECTOR, &bytes, durable).unwrap();
    }

    fn read(disk: &VolatileDisk, sector: u64) -> u8 {
        let mut bytes = [0; SECTOR as usize];
        disk.read(sector * SECTOR, &mut bytes).unwrap();
        assert!(bytes.iter().all(|&byte| byte == bytes[0]), "a torn sector");
        bytes[0]
    }

    #[test]
    fn what_was_flushed_or_written_durably_stays() {
        for seed in 0..100 {
            let mut disk = disk(seed);
            write(&mut disk, 1, 1, false);
            write(&mut disk, 1, 2, false);
            disk.flush().unwrap();
            write(&mut disk, 2, 3, false);
            write(&mut disk, 2, 4, true);
            write(&mut disk, 3, 5, false);
            disk.cut().unwrap();
            assert_eq!((read(&disk, 1), read(&disk, 2)), (2, 4));
            assert!([0, 5].contains(&read(&disk, 3)));
        }
    }

    #[test]
    fn what_was_not_flushed_is_lost_kept_half_way_and_out_of_order() {
        let mut seen = [false; 4];
        for seed in 0..1000 {
            let mut disk = disk(seed);
            write(&mut disk, 7, 1, false);
            write(&mut disk, 7, 2, false);
            write(&mut disk, 8, 3, false);
            assert_eq!(disk.cut().unwrap().unflushed, 2);
            let (first, second) = (read(&disk, 7), read(&disk, 8));
            seen[0] |= first == 0 && second == 0;
            seen[1] |= first == 2 && second == 3;
            seen[2] |= first == 1;
            // The later one alone.
            seen[3] |= first == 0 && second == 3;
        }
        assert_eq!(seen, [true; 4]);
    }

    #[test]
    fn a_full_cache_writes_back_and_loses_nothing() {
        let sectors = 2 * VERSIONS_MAX as u64;
        let mut disk = disk_of(sectors, 1);
        for sector in 0..sectors {
            write(&mut disk, sector, sector as u8, false);
        }
        assert!(disk.versions <= VERSIONS_MAX);
        assert!((0..sectors).all(|sector| read(&disk, sector) == sector as u8));
    }

    #[test]
    fn the_power_goes_behind_a_write_that_is_watched() {
        let mut disk = disk(1);
        disk.cut_behind(vec![7, 9], 2);
        let mut requests = |sector: u64| {
            let power = disk.has_power();
            write(&mut disk, sector, 1, true);
            (power, disk.is_off())
        };
        assert_eq!(requests(8), (true, false));
        assert_eq!(requests(9), (true, false));
        assert_eq!(requests(7), (true, false));
        assert_eq!(requests(1), (true, true));
        assert_eq!(requests(1), (false, true));
        disk.cut().unwrap();
        assert!(disk.has_power());
    }

    #[test]
    fn what_no_disk_has_is_refused() {
        let disk = disk(0);
        assert_eq!(disk.check(0, SECTORS * SECTOR), Ok(()));
        assert_eq!(disk.check(SECTORS * SECTOR, 0), Ok(()));
        for (offset, length) in [
            (SECTORS * SECTOR, SECTOR),
            (u64::MAX - 511, SECTOR),
            (1, SECTOR),
            (0, 100),
        ] {
            assert_eq!(disk.check(offset, length), Err(OutOfRange));
        }
    }

    proptest! {
        /// Against a model: of each sector everything that it may hold after a cut.
        #[test]
        fn a_cut_leaves_only_what_may_be_left(
            seed in any::<u64>(),
            steps in prop::collection::vec((0..8_u64, 1..=255_u8, 0..10_u32), 0..60),
        ) {
            let mut disk = disk(seed);
            let mut allowed = vec![vec![0_u8]; 8];
            for (sector, content, action) in steps {
                let possible = &mut allowed[sector as usize];
                match action {
                    0 => {
                        disk.flush().unwrap();
                        for possible in &mut allowed {
                            possible.drain(..possible.len() - 1);
                        }
                    }
                    1 => {
                        write(&mut disk, sector, content, true);
                        *possible = vec![content];
                    }
                    2 => {
                        disk.cut().unwrap();
                        for (sector, possible) in (0..).zip(&mut allowed) {
                            let left = read(&disk, sector);
                            prop_assert!(possible.contains(&left));
                            *possible = vec![left];
                        }
                    }
                    _ => {
                        write(&mut disk, sector, content, false);
                        possible.push(content);
                    }
                }
                for (sector, possible) in (0..).zip(&allowed) {
                    prop_assert_eq!(Some(&read(&disk, sector)), possible.last());
                }
            }
        }
    }
}
