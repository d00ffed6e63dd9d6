//! Machine memory: nodes, the memmap, and the allocator of pages.
//!
//! A [`Machine`] names the [`Node`]s; each node has its part of the memmap (who owns each page)
//! and a bitmap of its free pages, in its own memory. Nothing here touches the contents of a
//! page: that is what [`MachineMemory`] is for.

mod allocator;
mod audit;
pub mod layout;
mod memmap;
mod node;
mod pages;
mod promise;
mod replica;
pub mod shared;
mod sharing;
#[cfg(test)]
pub mod simulation;

pub use allocator::bitmap_words;
pub use audit::{Audit, FAILURES_KEPT};
pub use memmap::{Entry, MemMap, Owner, WrongOwner};
pub use node::Node;
pub use pages::{DirtyPages, PageRange, RunSize, ZeroedPages};

use crate::address::{GuestPage, MachinePage};
use crate::numa::{Distances, PageRecord};

/// Most nodes of a machine.
pub const NODES_MAX: usize = disco_flash::CPUS_MAX;
/// Pages of the largest run, and of a chunk of the bitmap: 16 MiB.
pub const PAGES_PER_CHUNK: u64 = 1024;

/// The number of a node, from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct NodeId(pub u8);

/// The number of a virtual machine, from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct VmId(pub u16);

/// The contents of machine memory: real memory on the board, bytes in tests.
pub trait MachineMemory {
    /// Clears pages, so that any CPU that is told of them afterwards sees zeros.
    fn zero(&self, pages: PageRange);
    /// Copies `from` to as many pages from `to`; the two do not overlap.
    fn copy(&self, from: PageRange, to: MachinePage);
}

/// No node has so many free pages together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoMemory;

/// What the audit found wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MachineFailure {
    /// The memmap's entry of the page is damaged.
    Entry(MachinePage),
    /// The bitmap calls the page free and the memmap does not, or the other way round.
    Bitmap(MachinePage, Option<Owner>),
    /// The node's counts of free pages are not what its bitmap says.
    Counts(NodeId),
    /// A shared page counts so many users, and so many were found.
    Users(MachinePage, u32, u32),
}

impl core::fmt::Display for MachineFailure {
    #[cold]
    #[inline(never)]
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Entry(page) => {
                write!(f, "memmap entry of machine page {:#x} is damaged", page.0)
            }
            Self::Bitmap(page, owner) => write!(
                f,
                "bitmap and memmap disagree about machine page {:#x}: in the memmap it is {}",
                page.0,
                owner.map_or("damaged", Owner::word)
            ),
            Self::Counts(node) => {
                write!(
                    f,
                    "counts of free pages of node {} disagree with its bitmap",
                    node.0
                )
            }
            Self::Users(page, users, found) => write!(
                f,
                "machine page {:#x} has {users} users in the memmap, and {found} were found",
                page.0
            ),
        }
    }
}

/// Numbers of pages by what they are used for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Usage {
    /// Nobody's.
    pub free: u64,
    /// Allocated and not yet given to an owner, or the other way round.
    pub in_transit: u64,
    /// The monitor's own.
    pub monitor: u64,
    /// The payload's.
    pub payload: u64,
    /// The monitor's for virtual machines.
    pub service: u64,
    /// Guest-physical memory that is one virtual machine's alone.
    pub guest: u64,
    /// Copies of guest pages for other nodes.
    pub replica: u64,
    /// Pages with several users, or for such.
    pub shared: u64,
    /// Entries that cannot be read: 0 unless the monitor has a fault.
    pub damaged: u64,
}

impl Usage {
    fn count(&mut self, owner: Option<Owner>) {
        *match owner {
            Some(Owner::Free) => &mut self.free,
            Some(Owner::InTransit) => &mut self.in_transit,
            Some(Owner::Monitor) => &mut self.monitor,
            Some(Owner::Payload) => &mut self.payload,
            Some(Owner::Service { .. }) => &mut self.service,
            Some(Owner::Guest { .. }) => &mut self.guest,
            Some(Owner::Replica { .. }) => &mut self.replica,
            Some(Owner::Shared) => &mut self.shared,
            None => &mut self.damaged,
        } += 1;
    }

    /// All pages.
    pub const fn total(&self) -> u64 {
        self.free
            + self.in_transit
            + self.monitor
            + self.payload
            + self.service
            + self.guest
            + self.replica
            + self.shared
            + self.damaged
    }
}

/// The nodes of the machine. Small and constant after boot: every node may keep a copy.
#[derive(Clone, Copy, Debug, Default)]
pub struct Machine {
    nodes: [Option<&'static Node>; NODES_MAX],
    distances: Distances,
}

impl Machine {
    /// A machine of these nodes, so far apart; one whose number is [`NODES_MAX`] or more is left out.
    pub fn new(nodes: impl IntoIterator<Item = &'static Node>, distances: Distances) -> Self {
        let mut machine = Self {
            nodes: [None; NODES_MAX],
            distances,
        };
        for node in nodes {
            if let Some(place) = machine.nodes.get_mut(usize::from(node.id().0)) {
                *place = Some(node);
            }
        }
        machine
    }

    /// The nodes, by number.
    pub fn nodes(&self) -> impl Iterator<Item = &'static Node> + '_ {
        self.nodes.iter().flatten().copied()
    }

    /// The node of that number.
    pub fn node(&self, id: NodeId) -> Option<&'static Node> {
        self.nodes.get(usize::from(id.0)).copied().flatten()
    }

    /// The node that has `page`.
    pub fn node_of(&self, page: MachinePage) -> Option<&'static Node> {
        self.nodes().find(|node| node.range().contains(page))
    }

    /// How far its nodes are apart.
    pub const fn distances(&self) -> &Distances {
        &self.distances
    }

    /// The directory's record of `page`: none where nothing can move.
    pub fn record(&self, page: MachinePage) -> Option<&'static PageRecord> {
        self.node_of(page)?.directory().record(page)
    }

    /// The nodes, nearest to `to` first.
    pub fn nearest(&self, to: NodeId) -> impl Iterator<Item = &'static Node> + '_ {
        let nodes = self.distances.nearest(to);
        nodes.filter_map(|id| self.node(id))
    }

    /// Whose `page` is; `None` if it is in no node.
    pub fn owner(&self, page: MachinePage) -> Option<Owner> {
        self.node_of(page)?.owner(page)
    }

    /// Pages of `size`, naturally aligned, from the node nearest to `prefer` that has them.
    ///
    /// # Errors
    /// No node has a block so large.
    pub fn allocate(&self, prefer: NodeId, size: RunSize) -> Result<DirtyPages, NoMemory> {
        let mut nodes = self.nearest(prefer);
        nodes.find_map(|node| node.allocate(size)).ok_or(NoMemory)
    }

    /// A run of `largest` or of the size of a smaller TLB page, near before large: a node's smaller blocks
    /// are taken before another node's larger ones.
    ///
    /// # Errors
    /// No node has a free page.
    pub fn allocate_up_to(&self, prefer: NodeId, largest: RunSize) -> Result<DirtyPages, NoMemory> {
        for node in self.nearest(prefer) {
            let mut size = Some(largest);
            while let Some(now) = size {
                if let Some(pages) = node.allocate(now) {
                    return Ok(pages);
                }
                size = now.next_smaller_tlb_page();
            }
        }
        Err(NoMemory)
    }

    /// Backs `count` guest pages from `first` with zeroed pages in the largest runs there
    /// are, and tells `place` each run and the guest page it begins at.
    ///
    /// # Errors
    /// The free pages did not suffice: the runs told so far are the virtual machine's, and
    /// come back with [`Machine::reclaim`].
    pub fn back(
        &self,
        vm: VmId,
        (first, count): (GuestPage, u64),
        prefer: NodeId,
        memory: &impl MachineMemory,
        mut place: impl FnMut(GuestPage, PageRange),
    ) -> Result<(), NoMemory> {
        let mut at = first.0;
        let end = first.0.saturating_add(count);
        while at < end {
            let largest = RunSize::largest_tlb_page(at, end - at);
            let pages = self.allocate_up_to(prefer, largest)?.zero(memory);
            let run = self.give_to_guest(pages, vm, GuestPage(at));
            place(GuestPage(at), run);
            at += run.count;
        }
        Ok(())
    }

    fn give(&self, pages: ZeroedPages, owner: Owner) -> PageRange {
        let range = pages.range();
        if let Some(node) = self.node_of(range.first) {
            // Only a token stands for pages in transit, and this one ends here.
            let _ = node.memmap().change_run(range, Owner::InTransit, owner);
        }
        range
    }

    /// Makes pages guest-physical memory of `vm` from guest page `first` on.
    pub fn give_to_guest(&self, pages: ZeroedPages, vm: VmId, first: GuestPage) -> PageRange {
        self.give(pages, Owner::Guest { vm, page: first })
    }

    /// Makes pages the monitor's for `vm`; they come back with it.
    pub fn give_to_service(&self, pages: ZeroedPages, vm: VmId) -> PageRange {
        self.give(pages, Owner::Service { vm })
    }

    /// Makes pages the monitor's own.
    pub fn give_to_monitor(&self, pages: ZeroedPages) -> PageRange {
        self.give(pages, Owner::Monitor)
    }

    /// Takes pages of one node away from `owner` (for a guest: the owner of the first).
    /// No TLB may map them any more.
    ///
    /// # Errors
    /// They are not all `owner`'s; nothing has changed.
    pub fn take_back(&self, range: PageRange, owner: Owner) -> Result<DirtyPages, WrongOwner> {
        let nowhere = WrongOwner {
            page: range.first,
            found: None,
        };
        let node = self.node_of(range.first).ok_or(nowhere)?;
        node.memmap().change_run(range, owner, Owner::InTransit)?;
        Ok(DirtyPages::new(range))
    }

    /// Gives pages back to their node.
    pub fn free(&self, pages: DirtyPages) {
        if let Some(node) = self.node_of(pages.range().first) {
            // Only a token stands for pages in transit, and this one ends here.
            let _ = node.free(pages);
        }
    }

    /// Makes one run of `pages` and of what is directly behind it in the same node.
    ///
    /// # Errors
    /// `more` is somewhere else: it comes back.
    pub fn join(&self, pages: &mut DirtyPages, more: DirtyPages) -> Result<(), DirtyPages> {
        let (first, second) = (pages.range(), more.range());
        if first.end() != second.first {
            return Err(more);
        }
        match self.node_of(first.first) {
            Some(node) if node.range().contains_range(second) => pages.join(more),
            _ => Err(more),
        }
    }

    /// Frees every page used for `vm`; how many those were. Its virtual CPUs are off and no
    /// TLB maps its pages any more.
    #[link_section = ".text.once"]
    #[inline(never)]
    pub fn reclaim(&self, vm: VmId) -> u64 {
        let mut pages = 0;
        for node in self.nodes() {
            pages += node.reclaim(vm);
        }
        pages
    }

    /// Number of free pages of all nodes.
    pub fn free_pages(&self) -> u64 {
        self.nodes().map(Node::free_pages).sum()
    }

    /// Checks every node's bitmap against its memmap.
    pub fn audit(&self) -> Audit<MachineFailure> {
        let mut audit = Audit::new();
        for node in self.nodes() {
            node.audit(&mut audit);
        }
        audit
    }
}

#[cfg(test)]
mod tests;
