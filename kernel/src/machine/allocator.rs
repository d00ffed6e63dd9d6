//! Which pages of a node are free: a bitmap, and where to take a run from.
//!
//! Free memory is seen as a set of *blocks*: naturally aligned powers of two of free pages, each
//! as large as it can be. A run is cut from the smallest block that holds it, so small
//! allocations use up what is already broken and the 16 MiB blocks stay whole for guests, whose
//! linear windows are mapped by large TLB pages. Nothing is stored per block: the bitmap alone says it, a word (64 pages)
//! at a time. The search begins where the last one ended and stops at the first exact fit.

use super::{PageRange, RunSize, PAGES_PER_CHUNK};
use crate::address::MachinePage;

const WORD_LOG2: u32 = u64::BITS.trailing_zeros();
const WORDS_PER_CHUNK: usize = (PAGES_PER_CHUNK / u64::BITS as u64) as usize;
const CHUNK_LOG2: u32 = PAGES_PER_CHUNK.trailing_zeros();
/// Chunks of the largest node: all of the 2 GiB that the board can have, and one more because a
/// node need not begin at a multiple of 16 MiB.
const CHUNKS_MAX: usize = (2 << 30) / (PAGES_PER_CHUNK as usize * 0x4000) + 1;

/// Words of bitmap for `range`: a bit per page, in whole chunks of 1024 pages.
pub const fn bitmap_words(range: PageRange) -> usize {
    let first = range.first.0 / PAGES_PER_CHUNK;
    let end = range.end().0.div_ceil(PAGES_PER_CHUNK);
    (end - first) as usize * WORDS_PER_CHUNK
}

/// The free pages of a node. A set bit is a free page.
#[derive(Debug)]
pub(super) struct FreePages {
    /// Page of the first bit, a multiple of [`PAGES_PER_CHUNK`].
    base: u64,
    words: &'static mut [u64],
    /// Free pages of each chunk, to pass by the full ones.
    chunk_free: [u16; CHUNKS_MAX],
    free: u64,
    /// Chunk of the last allocation.
    hint: usize,
}

impl FreePages {
    /// Nothing free yet in `range`. A `words` shorter than [`bitmap_words`] leaves pages out.
    pub(super) fn new(range: PageRange, words: &'static mut [u64]) -> Self {
        words.fill(0);
        Self {
            base: range.first.0 & !(PAGES_PER_CHUNK - 1),
            words,
            chunk_free: [0; CHUNKS_MAX],
            free: 0,
            hint: 0,
        }
    }

    /// Number of free pages.
    pub(super) const fn free(&self) -> u64 {
        self.free
    }

    /// Whether `page` is free.
    pub(super) fn is_free(&self, page: MachinePage) -> bool {
        let Some(index) = page.0.checked_sub(self.base) else {
            return false;
        };
        self.words
            .get((index >> WORD_LOG2) as usize)
            .is_some_and(|word| word >> (index % 64) & 1 == 1)
    }

    fn chunks(&self) -> impl Iterator<Item = (usize, &[u64])> {
        self.words
            .chunks_exact(WORDS_PER_CHUNK)
            .enumerate()
            .take(CHUNKS_MAX)
    }

    /// The largest block, in pages; 0 if nothing is free.
    pub(super) fn largest(&self) -> u64 {
        let blocks = self.chunks().filter_map(|(_, words)| largest_block(words));
        blocks.max().map_or(0, |log2| 1 << log2)
    }

    /// Takes a run of `size` out of the smallest block that holds it.
    pub(super) fn allocate(&mut self, size: RunSize) -> Option<PageRange> {
        let (chunk, index) = self.find(size)?;
        self.hint = chunk;
        let first = self.base + chunk as u64 * PAGES_PER_CHUNK + u64::from(index);
        let range = PageRange::new(MachinePage(first), size.pages());
        self.set(range, false).then_some(range)
    }

    /// Makes pages free; `false`, and nothing changed, if one is free already or not ours.
    pub(super) fn give(&mut self, range: PageRange) -> bool {
        self.set(range, true)
    }

    /// Chunk, and page in it, for a run of `size`.
    fn find(&self, size: RunSize) -> Option<(usize, u32)> {
        let before = self.chunks().take(self.hint);
        let order = self.chunks().skip(self.hint).chain(before);
        let mut best: Option<(u32, usize, u32)> = None;
        for (chunk, words) in order {
            let found = match u64::from(*self.chunk_free.get(chunk)?) {
                free if free < size.pages() => None,
                PAGES_PER_CHUNK => Some((CHUNK_LOG2, 0)),
                _ => tightest_in_chunk(words, size.log2()),
            };
            let Some((block, index)) = found else {
                continue;
            };
            if best.is_none_or(|(smallest, ..)| block < smallest) {
                best = Some((block, chunk, index));
            }
            if block == size.log2() {
                break;
            }
        }
        best.map(|(_, chunk, index)| (chunk, index))
    }

    /// Sets the bits of `range` to `free` if all of them are the opposite.
    fn set(&mut self, range: PageRange, free: bool) -> bool {
        let Some(first) = range.first.0.checked_sub(self.base) else {
            return false;
        };
        let end = first + range.count;
        let held = |words: &[u64], (word, mask): (usize, u64)| {
            words
                .get(word)
                .is_some_and(|&bits| bits & mask == if free { 0 } else { mask })
        };
        if !masks(first, end).all(|part| held(self.words, part)) {
            return false;
        }
        for (word, mask) in masks(first, end) {
            let chunk = word / WORDS_PER_CHUNK;
            let (Some(bits), Some(count)) =
                (self.words.get_mut(word), self.chunk_free.get_mut(chunk))
            else {
                return false;
            };
            *bits ^= mask;
            let pages = mask.count_ones();
            if free {
                *count += pages as u16;
                self.free += u64::from(pages);
            } else {
                *count -= pages as u16;
                self.free -= u64::from(pages);
            }
        }
        true
    }

    /// Whether the counts say what the bitmap says.
    pub(super) fn counts_agree(&self) -> bool {
        let mut total = 0;
        for (chunk, words) in self.chunks() {
            let free: u32 = words.iter().map(|word| word.count_ones()).sum();
            if self.chunk_free.get(chunk).copied().map(u32::from) != Some(free) {
                return false;
            }
            total += u64::from(free);
        }
        total == self.free
    }
}

/// The words, and the bits in them, of the pages `first..end` of a bitmap.
fn masks(first: u64, end: u64) -> impl Iterator<Item = (usize, u64)> {
    (first >> WORD_LOG2..end.div_ceil(64)).map(move |word| {
        let from = first.max(word * 64) % 64;
        let count = end.min(word * 64 + 64) - first.max(word * 64);
        (word as usize, (u64::MAX >> (64 - count)) << from)
    })
}

/// Bits at multiples of 2^i.
const ALIGNED: [u64; WORD_LOG2 as usize + 1] = [
    u64::MAX,
    0x5555_5555_5555_5555,
    0x1111_1111_1111_1111,
    0x0101_0101_0101_0101,
    0x0001_0001_0001_0001,
    0x0000_0001_0000_0001,
    0x0000_0000_0000_0001,
];

/// From the first bits of free aligned runs of 2^`log2` to those of 2^(`log2` + 1).
fn doubled(runs: u64, log2: u32) -> u64 {
    match ALIGNED.get(log2 as usize + 1) {
        Some(aligned) => runs & runs >> (1u32 << log2) & aligned,
        None => 0,
    }
}

/// Size and first bit of the smallest block of at least 2^`want` in `bits`, where blocks
/// of 2^`top` grow no more.
fn tightest(bits: u64, want: u32, top: u32) -> Option<(u32, u32)> {
    let mut runs = (0..want).fold(bits, doubled);
    for log2 in want..=top {
        let larger = if log2 < top { doubled(runs, log2) } else { 0 };
        let blocks = if log2 < top {
            runs & !(larger | larger << (1u32 << log2))
        } else {
            runs
        };
        if blocks != 0 {
            return Some((log2, blocks.trailing_zeros()));
        }
        runs = larger;
    }
    None
}

/// A bit for each word of a chunk that is wholly free.
fn free_words(words: &[u64]) -> u64 {
    (0u32..)
        .zip(words)
        .filter(|(_, &word)| word == u64::MAX)
        .fold(0, |bits, (at, _)| bits | 1 << at)
}

/// Size and first page of the smallest block of at least 2^`want` pages in a chunk.
fn tightest_in_chunk(words: &[u64], want: u32) -> Option<(u32, u32)> {
    let mut best: Option<(u32, u32)> = None;
    if want < WORD_LOG2 {
        for (at, &word) in (0u32..).zip(words) {
            if word == 0 || word == u64::MAX {
                continue;
            }
            let found = tightest(word, want, WORD_LOG2);
            if let Some((block, bit)) = found.filter(|f| best.is_none_or(|b| f.0 < b.0)) {
                best = Some((block, at * u64::BITS + bit));
            }
        }
    }
    best.or_else(|| {
        let want_words = want.saturating_sub(WORD_LOG2);
        let top = CHUNK_LOG2 - WORD_LOG2;
        let (block, word) = tightest(free_words(words), want_words, top)?;
        Some((block + WORD_LOG2, word * u64::BITS))
    })
}

/// The base-2 logarithm of a chunk's largest block.
fn largest_block(words: &[u64]) -> Option<u32> {
    let largest = |bits: u64, top: u32| {
        let mut runs = bits;
        let mut found = None;
        for log2 in 0..=top {
            if runs != 0 {
                found = Some(log2);
            }
            runs = doubled(runs, log2);
        }
        found
    };
    match largest(free_words(words), CHUNK_LOG2 - WORD_LOG2) {
        Some(log2) => Some(log2 + WORD_LOG2),
        None => words
            .iter()
            .filter_map(|&word| largest(word, WORD_LOG2))
            .max(),
    }
}

#[cfg(test)]
#[path = "allocator_tests.rs"]
mod tests;
