//! Pages that were promised: a virtual machine whose memory is not overcommitted can always have all
//! of it, also what it has freed or shares with others at present.
//!
//! The machine counts promised pages that are not backed by a page of their own. While there are
//! no more free pages than that, nobody but a virtual machine gets one. Without a lock: who wants more
//! promised adds it first, and looks then whether the free pages suffice; of two who do so at once
//! the later one sees both. Counts that are out of step for a moment are so in the direction that
//! refuses too much.

use super::{DirtyPages, Machine, NoMemory, NodeId, RunSize};
use core::sync::atomic::{AtomicU64, Ordering};

impl Machine {
    fn word(&self) -> Option<&'static AtomicU64> {
        self.nodes().next().map(|node| &node.promised)
    }

    /// Pages that are promised and not backed.
    pub fn promised(&self) -> u64 {
        self.word().map_or(0, |word| word.load(Ordering::SeqCst))
    }

    /// Free pages that are not promised.
    pub fn spare(&self) -> u64 {
        self.free_pages().saturating_sub(self.promised())
    }

    /// Promises `pages` more.
    ///
    /// # Errors
    /// So many are not free, or promised already.
    pub fn promise(&self, pages: u64) -> Result<(), NoMemory> {
        let word = self.word().ok_or(NoMemory)?;
        let promised = word.fetch_add(pages, Ordering::SeqCst) + pages;
        if self.are_free(promised) {
            return Ok(());
        }
        word.fetch_sub(pages, Ordering::SeqCst);
        Err(NoMemory)
    }

    /// Whether so many pages are free. Looks no further than it has to: nodes are far away.
    fn are_free(&self, pages: u64) -> bool {
        let mut found = 0;
        let mut nodes = self.nodes();
        nodes.any(|node| {
            found += node.free_pages();
            found >= pages
        })
    }

    /// Promises `pages` more, of which the caller will free as many.
    pub fn promise_before_free(&self, pages: u64) {
        if let Some(word) = self.word() {
            word.fetch_add(pages, Ordering::SeqCst);
        }
    }

    /// `pages` that were promised have been allocated, or are not needed any more.
    pub fn fulfil(&self, pages: u64) {
        if let Some(word) = self.word() {
            word.fetch_sub(pages, Ordering::SeqCst);
        }
    }

    /// Pages that are promised to nobody, as [`Machine::allocate`].
    ///
    /// # Errors
    /// There are none, or no block is so large.
    pub fn allocate_spare(&self, prefer: NodeId, size: RunSize) -> Result<DirtyPages, NoMemory> {
        self.promise(size.pages())?;
        let pages = self.allocate(prefer, size);
        self.fulfil(size.pages());
        pages
    }
}
