//! What one node sees of a virtual machine's memory: replicas instead of pages that are far away.
//!
//! The pmap says what is behind a guest page; a view says where its node has a replica of that, and has
//! a linear table of its own. The pmap's word says whether any view has one, so that pages without
//! replicas, which most are, cost no look at a view.
//!
//! A page gets replicas, and loses them, under the virtual machine's backing lock. It is read-only first
//! ([`Backing::Replicated`] or [`Backing::Shared`]) and no TLB holds it writable any more; then replicas are
//! added. The other way round, they are given up, all virtual CPUs forget what they hold of the page, and only
//! then the replicas' memory is free, and the page may be written to.

use super::pmap::{contiguous, read_only, Backing, Pmap, PmapEntry, REPLICAS};
use crate::address::{GuestPage, MachinePage};
use crate::machine::NodeId;
use crate::numa::NodeSet;
use core::sync::atomic::{AtomicU32, Ordering};
use disco_arch::trap::LinearEntry;

/// One node's view.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// EntryLo of this node's replica of each guest page; 0 if it has none.
    replicas: &'a [AtomicU32],
    pub(super) linear: &'a [LinearEntry],
}

impl<'a> View<'a> {
    /// A view with a word of `replicas` for each guest page (or none: it never has any) and its linear
    /// table. Words of zeros are a view without replicas.
    pub const fn new(replicas: &'a [AtomicU32], linear: &'a [LinearEntry]) -> Self {
        Self { replicas, linear }
    }

    /// Its linear table.
    pub const fn linear(&self) -> &'a [LinearEntry] {
        self.linear
    }

    fn word(&self, guest: GuestPage) -> Option<&'a AtomicU32> {
        self.replicas.get(usize::try_from(guest.0).ok()?)
    }

    fn lo(&self, guest: GuestPage) -> u32 {
        self.word(guest)
            .map_or(0, |word| word.load(Ordering::Acquire))
    }

    fn replica(&self, guest: GuestPage) -> Option<MachinePage> {
        match self.lo(guest) {
            0 => None,
            lo => Some(MachinePage(u64::from(lo) >> 8)),
        }
    }

    /// EntryLo of the large page of the windows at `first`, if this node has replicas of all its guest
    /// pages, in a row.
    pub(super) fn large_replica(&self, first: GuestPage) -> Option<u32> {
        contiguous(first, |guest| self.replica(guest)).map(read_only)
    }
}

impl<'a> Pmap<'a> {
    pub(super) fn all_views(&self) -> &[View<'a>] {
        match self.views {
            [] => core::slice::from_ref(&self.here),
            views => views,
        }
    }

    fn view(&self, node: NodeId) -> Option<&View<'a>> {
        self.views.get(usize::from(node.0))
    }

    /// The same map, looked at from `node`: what its CPUs use. A virtual CPU that comes to another
    /// node empties its TLBs.
    #[must_use]
    pub fn seen_from(&self, node: NodeId) -> Self {
        let mut seen = *self;
        seen.here = self.view(node).copied().unwrap_or(self.here);
        seen
    }

    /// EntryLo of a page that may have replicas: this node's, else that of the page itself, `lo`.
    #[cold]
    pub(super) fn replica_lo(&self, guest: GuestPage, lo: u32) -> u32 {
        match self.here.lo(guest) {
            0 => lo,
            replica => replica,
        }
    }

    /// Nodes that have a replica of `guest`.
    pub fn replicas(&self, guest: GuestPage) -> NodeSet {
        let lo = |entry: &PmapEntry| entry.lo.load(Ordering::Acquire);
        if self.entry(guest).map_or(0, lo) & REPLICAS == 0 {
            return NodeSet::EMPTY;
        }
        let has = |node: &NodeId| self.replica(guest, *node).is_some();
        NodeSet::ALL.iter().filter(has).collect()
    }

    /// The replica of `guest` that `node` has.
    pub fn replica(&self, guest: GuestPage, node: NodeId) -> Option<MachinePage> {
        self.view(node)?.replica(guest)
    }

    /// Gives `node` a replica of `guest`, `page`, which holds the same already. Then its piece of the
    /// linear table is computed anew, and virtual CPUs of that node forget what they hold of the page, to
    /// use it.
    ///
    /// `false`, and nothing has changed, if the page can be written to, or the node has one already or
    /// has no view.
    pub fn add_replica(&self, guest: GuestPage, node: NodeId, page: MachinePage) -> bool {
        let Some((entry, view)) = self.entry(guest).zip(self.view(node)) else {
            return false;
        };
        let is_read_only = matches!(
            self.backing(guest),
            Backing::Replicated(_) | Backing::Shared(_) | Backing::Moving(_)
        );
        match view.word(guest) {
            Some(word) if is_read_only && word.load(Ordering::Relaxed) == 0 => {
                word.store(read_only(page), Ordering::Release);
            }
            _ => return false,
        }
        entry.lo.fetch_or(REPLICAS, Ordering::AcqRel);
        true
    }

    /// Takes the replica of `guest` away that `node` has. Its piece of the linear table is computed anew,
    /// then TLBs forget what they hold, and only then the replica may be given away.
    pub fn give_up_replica(&self, guest: GuestPage, node: NodeId) -> Option<MachinePage> {
        let page = self.replica(guest, node)?;
        self.view(node)?.word(guest)?.store(0, Ordering::Release);
        if self.replicas(guest).is_empty() {
            self.entry(guest)?.lo.fetch_and(!REPLICAS, Ordering::AcqRel);
        }
        Some(page)
    }

    /// Takes a replica of `guest` away, of whatever node, if it has any left: as
    /// [`Pmap::give_up_replica`].
    pub fn give_up_any_replica(&self, guest: GuestPage) -> Option<MachinePage> {
        let node = self.replicas(guest).iter().next()?;
        self.give_up_replica(guest, node)
    }

    /// No view has a replica of `guest`.
    pub(super) fn forget_replicas(&self, guest: GuestPage) {
        for word in self.views.iter().filter_map(|view| view.word(guest)) {
            word.store(0, Ordering::Release);
        }
    }
}
