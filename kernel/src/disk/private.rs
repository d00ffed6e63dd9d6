//! What a virtual machine has written to a disk and no other sees: a tree of its sectors.
//!
//! All private sectors of a block lie in one page, or in one block of the log, each at its place.

use super::place::{Counted, Place};
use super::pool::Supply;
use super::tree::{Node, Nodes, Tree, Uses, NODES};
use super::{sector_bytes, sectors_of, BLOCK};
use crate::machine::shared::{PageRef, SharedMemory};

/// Memory for trees of private sectors.
pub type PrivateNodes = Nodes<Place>;

/// The private sectors of one virtual machine on one disk.
pub struct Private {
    tree: Tree,
    /// Blocks that have some.
    blocks: u64,
}

impl Private {
    /// None.
    pub const NONE: Self = Self {
        tree: Tree::EMPTY,
        blocks: 0,
    };

    /// Blocks with private sectors.
    pub const fn blocks(&self) -> u64 {
        self.blocks
    }

    /// Which sectors of a block are private, a bit each, and where they are.
    pub fn of_block<'a>(&'a self, nodes: &'a PrivateNodes, block: u64) -> (u32, Option<&'a Place>) {
        let mut mask = 0;
        let mut place = None;
        if self.blocks == 0 {
            return (mask, place);
        }
        for (range, value) in self.tree.walk(nodes, sectors_of(block)) {
            if value.is_some() {
                mask |= mask_of(range.start % BLOCK, range.end - range.start);
                place = value;
            }
        }
        (mask, place)
    }

    /// Sees to it that [`Private::set`] finds memory; whether that is so.
    pub fn reserve(
        &self,
        nodes: &mut PrivateNodes,
        tables: &dyn Supply<Node<Place>, NODES>,
    ) -> bool {
        self.reserve_blocks(nodes, tables, 1)
    }

    /// As [`Private::reserve`], for so many blocks.
    pub fn reserve_blocks(
        &self,
        nodes: &mut PrivateNodes,
        tables: &dyn Supply<Node<Place>, NODES>,
        blocks: usize,
    ) -> bool {
        // Every other sector, at most.
        let entries = blocks * BLOCK as usize / 2 + 2;
        self.tree.reserve(nodes, tables, entries)
    }

    /// Puts the private sectors `mask` of a block to `place`, and none elsewhere. Memory is reserved.
    pub fn set(
        &mut self,
        memory: &dyn SharedMemory,
        (nodes, tables): (&mut PrivateNodes, &dyn Supply<Node<Place>, NODES>),
        block: u64,
        (mask, place): (u32, Place),
    ) {
        let mut uses = Counted(memory);
        if self.of_block(nodes, block).0 == 0 {
            self.blocks += 1;
        }
        let _ = self
            .tree
            .remove((nodes, tables), sectors_of(block), &mut uses);
        let first = block * BLOCK;
        for (start, count) in runs(mask) {
            let range = first + start..first + start + count;
            let value = uses.again(&place);
            if let Err((_, value)) = self.tree.insert((nodes, tables), range, value, &mut uses) {
                uses.release(value);
            }
        }
        uses.release(place);
    }

    /// The first private range that ends behind a sector, and where it is.
    pub fn next<'a>(
        &'a self,
        nodes: &'a PrivateNodes,
        sector: u64,
    ) -> Option<(core::ops::Range<u64>, &'a Place)> {
        self.tree.find(nodes, sector)
    }

    /// Every range's value.
    pub fn places<'a>(&'a self, nodes: &'a PrivateNodes) -> impl Iterator<Item = &'a Place> + 'a {
        let all = self.tree.walk(nodes, 0..u64::MAX);
        all.filter_map(|(_, place)| place)
    }

    /// Forgets them all.
    #[link_section = ".text.once"]
    #[inline(never)]
    pub fn clear(&mut self, memory: &dyn SharedMemory, nodes: &mut PrivateNodes) {
        while let Some((_, place)) = self.tree.take(nodes, 0) {
            Counted(memory).release(place);
        }
        self.blocks = 0;
    }

    /// Sectors, counted one by one.
    pub fn sectors(&self, nodes: &PrivateNodes) -> u64 {
        let all = self.tree.walk(nodes, 0..u64::MAX);
        let private = all.filter(|(_, place)| place.is_some());
        private.map(|(range, _)| range.end - range.start).sum()
    }
}

/// The bits of `count` sectors of a block.
pub const fn mask_of(first: u64, count: u64) -> u32 {
    (((1u64 << count) - 1) << first) as u32
}

/// Runs of bits: first and number.
pub fn runs(mask: u32) -> impl Iterator<Item = (u64, u64)> {
    let mut rest = u64::from(mask);
    core::iter::from_fn(move || {
        if rest == 0 {
            return None;
        }
        let first = u64::from(rest.trailing_zeros());
        let count = u64::from((rest >> first).trailing_ones());
        rest &= !(((1 << count) - 1) << first);
        Some((first, count))
    })
}

/// Copies the sectors `mask` of a block's page to another page, which nobody else uses.
#[link_section = ".text.once"]
#[inline(never)]
pub fn copy_sectors(memory: &dyn SharedMemory, from: &PageRef, to: &PageRef, mask: u32) {
    for (first, count) in runs(mask) {
        let offset = sector_bytes(first);
        memory.copy((from, offset), (to, offset), sector_bytes(count));
    }
}
