//! The region of machine memory in which misses of each page are counted for the monitor, as
//! FLASH's node controller, MAGIC, did.
//!
//! The exact model writes it, the monitor reads it. All of it is 32-bit words, big-endian, each
//! written by one of the two only, but for a record's epoch:
//!
//! ```text
//! word   0  MAGIC             model    once, as the last of the header
//!        1  VERSION           model    once
//!        2  nodes             model    once
//!        3  bytes of a page   model    once
//!        4  first page        model    once; pages by number: machine address / bytes of a page
//!        5  pages             model    once
//!        6  ring's capacity   model    once; a power of two
//!        7  epoch             monitor  to forget all counts: another number than before
//!        8  threshold         monitor  misses of one node that make a page hot; again at 2, 4, 8 ... times as many; 0: none is
//!        9  ring's head       model    pages ever put in, modulo 2^32
//!       10  ring's tail       monitor  pages ever taken out, modulo 2^32
//!       11  lost              model    hot pages for which the ring had no room
//!  12..15   0
//!       16  records, one for each page: its epoch, then for each node read and write misses
//!           the ring: the number of a page in bits 27..0, and the node that missed on it in bits 31..28
//! ```
//! A record whose epoch is not the header's counts as zero: the model clears it at the page's next
//! miss, counts first; the monitor makes it so to have one page's counts forgotten. A single word is never seen half written; of a record being counted in, a
//! reader sees some words newer than others, which no policy minds. With the monitor and the model
//! on different CPUs of the host, orders are those of [`Ordering::Acquire`] and
//! [`Ordering::Release`] as noted.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod point;

use core::sync::atomic::{AtomicU32, Ordering};

/// Numbers N of the instruction `ori $zero, $zero, N`, which does nothing, and tells the model something.
pub mod marker {
    /// This number plus n (0 to 255): window n begins.
    pub const BEGIN: u16 = 0x100;
    /// This number plus n: window n ends.
    pub const END: u16 = 0x200;
    /// This CPU has nothing to run: what the monitor does now is none of its work.
    pub const IDLE: u16 = 0x300;
    /// It has something to run again.
    pub const BUSY: u16 = 0x301;
    /// What this CPU's monitor does now is moving pages.
    pub const MOVING: u16 = 0x303;
    /// They have moved.
    pub const MOVED: u16 = 0x304;
    /// The report is written now, and again at the machine's end.
    pub const REPORT: u16 = 0x302;
}

/// First word of the region: "MAGI".
pub const MAGIC: u32 = 0x4d41_4749;
/// Version of this layout.
pub const VERSION: u32 = 2;
/// Hot pages that the ring holds.
pub const RING: u32 = 4096;
/// Most nodes.
pub const NODES_MAX: u32 = 16;
/// Words before the records.
pub const HEADER_WORDS: usize = 16;

const NODES: usize = 2;
const PAGE_BYTES: usize = 3;
const FIRST_PAGE: usize = 4;
const PAGES: usize = 5;
const CAPACITY: usize = 6;
const EPOCH: usize = 7;
const THRESHOLD: usize = 8;
const HEAD: usize = 9;
const TAIL: usize = 10;
const LOST: usize = 11;

/// Bits of a page's number in the ring.
const PAGE_BITS: u32 = 28;

/// What a region counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Nodes, 1 to [`NODES_MAX`].
    pub nodes: u32,
    /// Bytes of a page.
    pub page_bytes: u32,
    /// Number of the first page.
    pub first_page: u32,
    /// Pages.
    pub pages: u32,
}

impl Geometry {
    /// Words of a page's record.
    const fn record_words(&self) -> usize {
        1 + 2 * self.nodes as usize
    }

    /// Words of the whole region.
    pub const fn words(&self) -> usize {
        HEADER_WORDS + self.pages as usize * self.record_words() + RING as usize
    }

    /// Bytes of the region, in whole pages.
    pub const fn bytes(&self) -> u64 {
        (self.words() as u64 * 4).next_multiple_of(self.page_bytes as u64)
    }

    /// Where the record of a page begins.
    fn record(&self, page: u32) -> Option<usize> {
        let index = page.checked_sub(self.first_page)?;
        (index < self.pages).then(|| HEADER_WORDS + index as usize * self.record_words())
    }

    fn is_possible(&self) -> bool {
        (1..=NODES_MAX).contains(&self.nodes)
            && self.page_bytes.is_power_of_two()
            && (self.first_page.checked_add(self.pages)).is_some_and(|end| end <= 1 << PAGE_BITS)
    }
}

/// Misses of one node on a page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Misses {
    /// Reads and instruction fetches.
    pub reads: u32,
    /// Writes, also those that only had to become the line's owner.
    pub writes: u32,
}

/// A miss of a CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Miss {
    /// The page, by number.
    pub page: u32,
    /// The CPU's node.
    pub node: u32,
    /// Whether the page's home is another node: only such misses make a page hot.
    pub remote: bool,
    /// Whether it was a write.
    pub write: bool,
}

/// A page that became hot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hot {
    /// The page, by number.
    pub page: u32,
    /// The node whose misses did it.
    pub node: u32,
}

/// A region, in the memory of whoever looks at it.
#[derive(Clone, Copy, Debug)]
pub struct Region<'a> {
    words: &'a [AtomicU32],
    geometry: Geometry,
}

impl<'a> Region<'a> {
    /// Lays a region out in `words`, whatever they held. For the model.
    ///
    /// `None` if the geometry is impossible or the words are too few.
    pub fn create(words: &'a [AtomicU32], geometry: Geometry) -> Option<Self> {
        if !geometry.is_possible() || words.len() < geometry.words() {
            return None;
        }
        let region = Self { words, geometry };
        region.store(0, 0);
        for word in words.iter().take(geometry.words()).skip(1) {
            word.store(0, Ordering::Relaxed);
        }
        for (index, value) in [
            (1, VERSION),
            (NODES, geometry.nodes),
            (PAGE_BYTES, geometry.page_bytes),
            (FIRST_PAGE, geometry.first_page),
            (PAGES, geometry.pages),
            (CAPACITY, RING),
        ] {
            region.store(index, value);
        }
        words.first()?.store(MAGIC.to_be(), Ordering::Release);
        Some(region)
    }

    /// The region that the model has laid out in `words`; `None` if there is none, or one of
    /// another version. For the monitor.
    pub fn open(words: &'a [AtomicU32]) -> Option<Self> {
        let word = |index: usize| Some(u32::from_be(words.get(index)?.load(Ordering::Acquire)));
        if word(0)? != MAGIC || word(1)? != VERSION || word(CAPACITY)? != RING {
            return None;
        }
        let geometry = Geometry {
            nodes: word(NODES)?,
            page_bytes: word(PAGE_BYTES)?,
            first_page: word(FIRST_PAGE)?,
            pages: word(PAGES)?,
        };
        let fits = geometry.is_possible() && words.len() >= geometry.words();
        fits.then_some(Self { words, geometry })
    }

    /// What it counts.
    pub fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// The epoch that is counted now.
    pub fn epoch(&self) -> u32 {
        self.load(EPOCH, Ordering::Relaxed)
    }

    /// Begins another epoch: all counts are zero. For the monitor.
    pub fn set_epoch(&self, epoch: u32) {
        self.store(EPOCH, epoch);
    }

    /// Forgets the counts of a page: they are zero. For the monitor.
    pub fn forget(&self, page: u32) {
        if let Some(record) = self.geometry.record(page) {
            self.store(record, self.epoch().wrapping_sub(1));
        }
    }

    /// Sets how many misses of one node, none of them local, make a page hot; 0: no page is put
    /// into the ring. For the monitor.
    pub fn set_threshold(&self, misses: u32) {
        self.store(THRESHOLD, misses);
    }

    /// Hot pages that the ring had no room for, since the beginning.
    pub fn lost(&self) -> u32 {
        self.load(LOST, Ordering::Relaxed)
    }

    /// A node's misses on a page in this epoch; `None` if the region does not count this page or
    /// node.
    pub fn misses(&self, page: u32, node: u32) -> Option<Misses> {
        if node >= self.geometry.nodes {
            return None;
        }
        self.misses_of_all(page)?.get(node as usize).copied()
    }

    /// The same of all nodes; zeros of those that there are not.
    pub fn misses_of_all(&self, page: u32) -> Option<[Misses; NODES_MAX as usize]> {
        let record = self.geometry.record(page)?;
        let mut all = [Misses::default(); NODES_MAX as usize];
        if self.load(record, Ordering::Acquire) != self.epoch() {
            return Some(all);
        }
        let end = record + self.geometry.record_words();
        let (counts, _) = self.words.get(record + 1..end)?.as_chunks::<2>();
        for (misses, [reads, writes]) in all.iter_mut().zip(counts) {
            let count = |word: &AtomicU32| u32::from_be(word.load(Ordering::Relaxed));
            *misses = Misses {
                reads: count(reads),
                writes: count(writes),
            };
        }
        Some(all)
    }

    /// Takes the next hot page out of the ring. For the monitor, one CPU at a time.
    pub fn take_hot(&self) -> Option<Hot> {
        let tail = self.load(TAIL, Ordering::Relaxed);
        if self.load(HEAD, Ordering::Acquire) == tail {
            return None;
        }
        let entry = self.load(self.ring(tail), Ordering::Relaxed);
        self.store(TAIL, tail.wrapping_add(1));
        Some(Hot {
            page: entry & ((1 << PAGE_BITS) - 1),
            node: entry >> PAGE_BITS,
        })
    }

    /// Counts a miss; one outside of what is counted is none. For the model, one thread at a time.
    pub fn count(&self, miss: Miss) {
        let Some(record) = self.geometry.record(miss.page) else {
            return;
        };
        if miss.node >= self.geometry.nodes {
            return;
        }
        let epoch = self.epoch();
        if self.load(record, Ordering::Relaxed) != epoch {
            for word in self
                .words
                .iter()
                .skip(record + 1)
                .take(2 * self.geometry.nodes as usize)
            {
                word.store(0, Ordering::Relaxed);
            }
            self.store(record, epoch);
        }
        let counts = record + 1 + 2 * miss.node as usize;
        let place = counts + usize::from(miss.write);
        let other = counts + usize::from(!miss.write);
        let count = self.load(place, Ordering::Relaxed).saturating_add(1);
        self.store(place, count);
        let both = count.saturating_add(self.load(other, Ordering::Relaxed));
        let threshold = self.load(THRESHOLD, Ordering::Relaxed);
        let times = both.checked_div(threshold).unwrap_or_default();
        let is_again = times.is_power_of_two() && both.is_multiple_of(threshold);
        if miss.remote && is_again {
            self.put_hot(miss.page | miss.node << PAGE_BITS);
        }
    }

    fn put_hot(&self, entry: u32) {
        let head = self.load(HEAD, Ordering::Relaxed);
        if head.wrapping_sub(self.load(TAIL, Ordering::Acquire)) >= RING {
            self.store(LOST, self.lost().wrapping_add(1));
            return;
        }
        self.store(self.ring(head), entry);
        self.store(HEAD, head.wrapping_add(1));
    }

    /// The place of the ring's entry of this number.
    fn ring(&self, number: u32) -> usize {
        self.geometry.words() - RING as usize + (number % RING) as usize
    }

    fn load(&self, index: usize, order: Ordering) -> u32 {
        self.words
            .get(index)
            .map_or(0, |word| u32::from_be(word.load(order)))
    }

    fn store(&self, index: usize, value: u32) {
        if let Some(word) = self.words.get(index) {
            word.store(value.to_be(), Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests;
