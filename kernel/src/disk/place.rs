//! What the trees of the disks lead to. One type for both kinds: the code that handles trees is there
//! once.

use super::tree::Uses;
use crate::machine::shared::{PageRef, SharedMemory};

/// Where sectors are, each at its place within its block.
pub enum Place {
    /// Of private sectors: in this page.
    Page(PageRef),
    /// Of private sectors: in this block of the log's partition.
    Log {
        /// Which block.
        block: u32,
        /// CRC-32 of it.
        checksum: u32,
    },
    /// Of the real disk: in the cache.
    Cached(Cached),
}

/// A block of the real disk in memory.
pub struct Cached {
    /// Its page.
    pub page: PageRef,
    /// A transfer fills it.
    pub reading: bool,
    /// A transfer takes it to the disk, which has something older yet.
    pub writing: bool,
    /// Looked for since the clock's hand passed.
    pub used: bool,
}

/// Counts uses of pages.
pub struct Counted<'a>(pub &'a dyn SharedMemory);

impl Uses<Place> for Counted<'_> {
    fn again(&mut self, value: &Place) -> Place {
        match value {
            Place::Page(page) => Place::Page(self.0.share(page)),
            &Place::Log { block, checksum } => Place::Log { block, checksum },
            Place::Cached(cached) => Place::Cached(Cached {
                page: self.0.share(&cached.page),
                ..*cached
            }),
        }
    }

    fn release(&mut self, value: Place) {
        match value {
            Place::Page(page) | Place::Cached(Cached { page, .. }) => self.0.release(page),
            Place::Log { .. } => {}
        }
    }
}
