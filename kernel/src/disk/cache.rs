//! The global disk cache: blocks of the real disk that are in machine memory, for every virtual disk.

use super::pool::Supply;
use super::tree::{Node, Nodes, Tree, Uses, NODES};
use super::{sectors_of, BLOCK};
use crate::address::MachinePage;
use crate::machine::shared::{PageRef, SharedMemory};
use crate::machine::NoMemory;

/// Most blocks that one search for a page to evict looks at.
const LOOKS_MAX: usize = 4096;

/// A block in memory.
pub struct Cached {
    page: PageRef,
    /// A transfer fills it.
    reading: bool,
    /// A transfer takes it to the disk, which has something older yet.
    writing: bool,
    /// Looked for since the clock's hand passed.
    used: bool,
}

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
    nodes: Nodes<Cached>,
    /// Pages, and how many there may be.
    pages: usize,
    most: usize,
    /// Where the search for a page to evict goes on: a sector.
    hand: u64,
}

/// Blocks are put in and taken out whole: no use is ever divided.
struct Release<'a>(&'a dyn SharedMemory, usize);

impl Uses<Cached> for Release<'_> {
    fn again(&mut self, value: &Cached) -> Cached {
        self.1 += 1;
        Cached {
            page: self.0.share(&value.page),
            ..*value
        }
    }

    fn release(&mut self, value: Cached) {
        self.1 -= 1;
        self.0.release(value.page);
    }
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
        match self.tree.find_mut(&mut self.nodes, block * BLOCK) {
            Some((range, cached)) if range.start == block * BLOCK => {
                cached.used = true;
                if cached.reading {
                    Lookup::Reading
                } else {
                    Lookup::Valid(&cached.page, cached.writing)
                }
            }
            _ => Lookup::Absent,
        }
    }

    /// Sees to it that `count` blocks can be put in; whether that is so.
    pub fn reserve(&mut self, tables: &dyn Supply<Node<Cached>, NODES>, count: usize) -> bool {
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
        (memory, tables): (&dyn SharedMemory, &dyn Supply<Node<Cached>, NODES>),
        block: u64,
        page: PageRef,
        (reading, writing): (bool, bool),
    ) {
        let cached = Cached {
            page,
            reading,
            writing,
            used: true,
        };
        let mut uses = Release(memory, self.pages + 1);
        let place = (&mut self.nodes, tables);
        let refused = self
            .tree
            .insert(place, sectors_of(block), cached, &mut uses);
        if let Err((_, cached)) = refused {
            // Nobody reads what is not there; a block that was there is older than this one.
            uses.release(cached);
            let _ = self
                .tree
                .remove((&mut self.nodes, tables), sectors_of(block), &mut uses);
        }
        self.pages = uses.1;
    }

    /// The transfer that was to fill `block` with `page` has ended. What another has put in since
    /// stays.
    pub fn read_ended(
        &mut self,
        memory: &dyn SharedMemory,
        block: u64,
        page: MachinePage,
        well: bool,
    ) {
        if let Some(cached) = self.find(block, page) {
            cached.reading = false;
            if !well {
                self.take(memory, block);
            }
        }
    }

    /// The transfer that was to take `page` to `block` has ended. If not well, nobody knows what is
    /// on the disk: it is read again.
    pub fn write_ended(
        &mut self,
        memory: &dyn SharedMemory,
        block: u64,
        page: MachinePage,
        well: bool,
    ) {
        if let Some(cached) = self.find(block, page) {
            cached.writing = false;
            if !well {
                self.take(memory, block);
            }
        }
    }

    /// Takes a block out that is there.
    pub fn take(&mut self, memory: &dyn SharedMemory, block: u64) {
        if let Some((_, cached)) = self.tree.take(&mut self.nodes, block * BLOCK) {
            memory.release(cached.page);
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
            let (range, cached) = self.tree.find(&self.nodes, at)?;
            at = range.end;
            Some((range.start / BLOCK, cached.page.page()))
        })
    }

    fn find(&mut self, block: u64, page: MachinePage) -> Option<&mut Cached> {
        let (range, cached) = self.tree.find_mut(&mut self.nodes, block * BLOCK)?;
        (range.start == block * BLOCK && cached.page.page() == page).then_some(cached)
    }

    /// Evicts a page that nobody else uses and nobody has looked for in a while: the clock
    /// algorithm. Whether there was one.
    fn evict(&mut self, memory: &dyn SharedMemory) -> bool {
        for _ in 0..LOOKS_MAX.min(2 * self.pages) {
            let Some((range, cached)) = self.tree.find_mut(&mut self.nodes, self.hand) else {
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
