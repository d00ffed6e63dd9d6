//! A node: memory that some CPUs reach faster than others do.

use core::sync::atomic::{AtomicU64, Ordering};
use disco_arch::lock::Mutex;

use super::allocator::FreePages;
use super::memmap::{Entry, MemMap, Owner, WrongOwner};
use super::{Audit, DirtyPages, MachineFailure, NodeId, PageRange, RunSize, Usage, VmId};
use crate::address::MachinePage;
use crate::numa::Directory;

/// One node's memory: its part of the memmap and its free pages.
///
/// It lives, with the tables it is made of, in the node's own memory.
#[derive(Debug)]
pub struct Node {
    id: NodeId,
    memmap: MemMap,
    /// Guards the bitmap, and with it every change of a memmap entry to or from
    /// [`Owner::Free`], so that whoever holds it sees both agree. Innermost: its holder takes
    /// no other lock, and never two nodes' at once.
    free: Mutex<FreePages>,
    /// Number of free pages, for those who do not wait for the lock. Written under it.
    free_count: AtomicU64,
    /// Pages that the machine has promised to virtual machines, see `promise.rs`: one node's word
    /// counts.
    pub(super) promised: AtomicU64,
    /// Who misses on its pages; empty on a machine of one node.
    directory: Directory,
}

impl Node {
    /// The node of the pages `range`, none of them free yet: all are the monitor's until
    /// [`Node::open`] says otherwise.
    ///
    /// `entries` has an entry for each page, `bitmap` has [`super::bitmap_words`] words; both
    /// are cleared. `directory` has a record for each page, or none where there is no other node.
    pub fn new(
        id: NodeId,
        range: PageRange,
        entries: &'static mut [Entry],
        bitmap: &'static mut [u64],
        directory: Directory,
    ) -> Self {
        Self {
            id,
            directory,
            memmap: MemMap::new(range, entries),
            free: Mutex::new(FreePages::new(range, bitmap)),
            free_count: AtomicU64::new(0),
            promised: AtomicU64::new(0),
        }
    }

    /// Its number.
    pub const fn id(&self) -> NodeId {
        self.id
    }

    /// Its pages.
    pub const fn range(&self) -> PageRange {
        self.memmap.range()
    }

    /// Its part of the memmap.
    pub const fn memmap(&self) -> &MemMap {
        &self.memmap
    }

    /// Its part of the directory.
    pub const fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Hands pages of the monitor to the allocator (at boot: what nothing lies in).
    ///
    /// # Errors
    /// A page is not the monitor's; nothing has changed.
    pub fn open(&self, range: PageRange) -> Result<(), WrongOwner> {
        self.release(range, Owner::Monitor)
    }

    /// Records that the payload lies in pages that are the monitor's so far.
    ///
    /// # Errors
    /// A page is not the monitor's; nothing has changed.
    pub fn mark_payload(&self, range: PageRange) -> Result<(), WrongOwner> {
        self.memmap
            .change_run(range, Owner::Monitor, Owner::Payload)
    }

    fn release(&self, range: PageRange, from: Owner) -> Result<(), WrongOwner> {
        let mut free = self.free.lock();
        self.memmap.change_run(range, from, Owner::Free)?;
        // Fails only if a bit was set for a page that was not free: the audit shows it.
        free.give(range);
        self.free_count.store(free.free(), Ordering::SeqCst);
        Ok(())
    }

    /// Takes a run of pages out of the smallest free block that holds it.
    pub(super) fn allocate(&self, size: RunSize) -> Option<DirtyPages> {
        let mut free = self.free.lock();
        let range = free.allocate(size)?;
        self.free_count.store(free.free(), Ordering::SeqCst);
        // If bitmap and memmap disagree the run stays out of use, and the audit shows it.
        self.memmap
            .change_run(range, Owner::Free, Owner::InTransit)
            .ok()?;
        Some(DirtyPages::new(range))
    }

    pub(super) fn free(&self, pages: DirtyPages) -> Result<(), WrongOwner> {
        self.release(pages.range(), Owner::InTransit)
    }

    /// Frees every page that is used for `vm`; how many those were.
    pub(super) fn reclaim(&self, vm: VmId) -> u64 {
        let owned = |page: &MachinePage| self.owner(*page).is_some_and(|o| o.vm() == Some(vm));
        let mut freed = 0;
        for page in self.range().pages().filter(owned) {
            if let Some(owner) = self.owner(page) {
                let one = PageRange::new(page, 1);
                freed += u64::from(self.release(one, owner).is_ok());
            }
        }
        freed
    }

    /// Whose `page` is, if it is of this node.
    pub fn owner(&self, page: MachinePage) -> Option<Owner> {
        self.memmap.owner(page)
    }

    /// Number of free pages.
    pub fn free_pages(&self) -> u64 {
        self.free_count.load(Ordering::SeqCst)
    }

    /// The largest run that can be allocated, in pages; 0 if none.
    pub fn largest_free(&self) -> u64 {
        self.free.lock().largest()
    }

    /// What its pages are used for. Reads the whole memmap: for people, not for hot paths.
    #[link_section = ".text.once"]
    #[inline(never)]
    pub fn usage(&self) -> Usage {
        let mut usage = Usage::default();
        for page in self.range().pages() {
            usage.count(self.owner(page));
        }
        usage
    }

    /// Checks that bitmap, memmap and counts agree.
    pub(super) fn audit(&self, audit: &mut Audit<MachineFailure>) {
        let free = self.free.lock();
        for page in self.range().pages() {
            audit.check(self.memmap.is_sound(page), || MachineFailure::Entry(page));
            let owner = self.owner(page);
            let agree = free.is_free(page) == (owner == Some(Owner::Free));
            audit.check(agree, || MachineFailure::Bitmap(page, owner));
        }
        let counts = free.counts_agree() && free.free() == self.free_pages();
        audit.check(counts, || MachineFailure::Counts(self.id));
    }
}
