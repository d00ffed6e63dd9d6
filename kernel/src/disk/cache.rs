//! The global disk cache: blocks of the real disk that are in machine memory, for every virtual disk.

use super::place::{Cached, Counted, Place};
use super::pool::Supply;
use super::tree::{Node, Nodes, Tree, Uses, NODES};
use super::{sectors_of, BLOCK};
use crate::address::MachinePage;
use crate::machine::shared::{PageRef, SharedMemory};
use crate::machine::NoMemory;

/// Most blocks that one search for a page to evict looks at.
const LOOKS_MAX: usize = 4096;

/// What there is of a block.
pub enum Lookup<'a> {
    /// Nothing.
    Absent,
    /// It is on its way.
    Reading,
    /// The block; whether a transfer takes it to the disk just now.
    Valid(&'a PageRef, bool),
}

/// The cache of one real disk.
pub struct Cache {
    tree: Tree,
    nodes: Nodes<Place>,
    /// Pages, and how many there may be.
    pages: usize,
    most: usize,
    /// Where the search for a page to evict goes on: a sector.
    hand: u64,
}

impl Cache {
    /// An empty cache of at most `most` pages, with `node_pages` pages for its tree.
    pub const fn new(most: usize, node_pages: usize) -> Self {
        Self {
            tree: Tree::EMPTY,
            nodes: Nodes::new(node_pages),
            pages: 0,
            most,
            hand: 0,
        }
    }

    /// Sets how many pages it may have.
    pub fn set_most(&mut self, most: usize) {
        self.most = most;
    }

    /// Pages it has.
    pub const fn pages(&self) -> usize {
        self.pages
    }

    /// Pages of its tree.
    pub const fn table_pages(&self) -> usize {
        self.nodes.pages()
    }

    /// Looks for a block.
    pub fn look(&mut self, block: u64) -> Lookup<'_> {
        match self.find(block) {
            Some(cached) => {
                cached.used = true;
                if cached.reading {
                    Lookup::Reading
                } else {
                    Lookup::Valid(&cached.page, cached.writing)
                }
            }
            None => Lookup::Absent,
        }
    }

    /// Sees to it that `count` blocks can be put in; whether that is so.
    pub fn reserve(&mut self, tables: &dyn Supply<Node<Place>, NODES>, count: usize) -> bool {
        // A block may take another's place, which needs a node for an entry more.
        self.tree.reserve(&mut self.nodes, tables, count + 2)
    }

    /// A page that may become a block's, if need be in place of one that nobody but the cache uses.
    ///
    /// # Errors
    /// There is none.
    pub fn allocate(&mut self, memory: &dyn SharedMemory) -> Result<PageRef, NoMemory> {
        if self.pages >= self.most {
            self.evict(memory);
        }
        memory.allocate().or_else(|NoMemory| {
            if self.evict(memory) {
                memory.allocate()
            } else {
                Err(NoMemory)
            }
        })
    }

    /// Makes `page` the block, in place of what there was. Room is reserved.
    pub fn put(
        &mut self,
        (memory, tables): (&dyn SharedMemory, &dyn Supply<Node<Place>, NODES>),
        block: u64,
        page: PageRef,
        (reading, writing): (bool, bool),
    ) {
        self.take(memory, block);
        let cached = Place::Cached(Cached {
            page,
            reading,
            writing,
            used: true,
        });
        let mut uses = Counted(memory);
        let place = (&mut self.nodes, tables);
        let put = self
            .tree
            .insert(place, sectors_of(block), cached, &mut uses);
        match put {
            Ok(()) => self.pages += 1,
            // It was not reserved: nobody finds what is not there.
            Err((_, cached)) => uses.release(cached),
        }
    }

    /// The transfer that was to fill `block` with `page`, or to take `page` to it, has ended. What
    /// another has put in since stays. If not well, nobody knows what is in memory, or on the disk: it
    /// is read again.
    pub fn transfer_ended(
        &mut self,
        memory: &dyn SharedMemory,
        block: u64,
        page: MachinePage,
        well: bool,
    ) {
        if let Some(cached) = self.find(block).filter(|cached| cached.page.page() == page) {
            (cached.reading, cached.writing) = (false, false);
            if !well {
                self.take(memory, block);
            }
        }
    }

    /// Takes a block out if it is there.
    pub fn take(&mut self, memory: &dyn SharedMemory, block: u64) {
        if self.find(block).is_none() {
            return;
        }
        if let Some((_, cached)) = self.tree.take(&mut self.nodes, block * BLOCK) {
            Counted(memory).release(cached);
            self.pages -= 1;
        }
    }

    /// Gives up to `count` pages back that nobody else uses; how many.
    pub fn shrink(&mut self, memory: &dyn SharedMemory, count: usize) -> usize {
        (0..count).take_while(|_| self.evict(memory)).count()
    }

    /// Every block's number and page.
    pub fn iter(&self) -> impl Iterator<Item = (u64, MachinePage)> + '_ {
        let mut at = 0;
        core::iter::from_fn(move || {
            let (range, Place::Cached(cached)) = self.tree.find(&self.nodes, at)? else {
                return None;
            };
            at = range.end;
            Some((range.start / BLOCK, cached.page.page()))
        })
    }

    fn find(&mut self, block: u64) -> Option<&mut Cached> {
        match self.tree.find_mut(&mut self.nodes, block * BLOCK)? {
            (range, Place::Cached(cached)) if range.start == block * BLOCK => Some(cached),
            _ => None,
        }
    }

    /// Evicts a page that nobody else uses and nobody has looked for in a while: the clock
    /// algorithm. Whether there was one.
    fn evict(&mut self, memory: &dyn SharedMemory) -> bool {
        for _ in 0..LOOKS_MAX.min(2 * self.pages) {
            let found = self.tree.find_mut(&mut self.nodes, self.hand);
            let Some((range, Place::Cached(cached))) = found else {
                self.hand = 0;
                continue;
            };
            self.hand = range.end;
            let idle = !cached.reading && !cached.writing && memory.users(&cached.page) == 1;
            if idle && !core::mem::take(&mut cached.used) {
                self.take(memory, range.start / BLOCK);
                return true;
            }
        }
        false
    }
}
