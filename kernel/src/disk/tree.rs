//! A B-tree of sector ranges: what lies where. Ranges never overlap.
//!
//! A range that is put in takes the place of what it covers, and cuts what it covers in part. Values
//! are uses of something, which a cut makes two of: [`Uses`] counts them. A value says nothing about
//! where in it a sector lies: sectors keep their place within their block of a page.

use super::pool::{Pool, Pooled, Supply, NONE};
use core::ops::Range;

/// Most entries of a node.
const ORDER: usize = 15;
/// Neighbours that have no more entries together become one node.
const MERGED_MAX: usize = 12;
/// Most levels: two neighbours have more than [`MERGED_MAX`] entries, which is 6 to the power of 10.
const HEIGHT_MAX: usize = 10;
/// Nodes to a page of the pool.
pub const NODES: usize = 32;

/// Memory for the nodes of any number of trees.
pub type Nodes<V> = Pool<Node<V>, NODES>;

/// No memory for a node; nothing has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoNode;

/// Counts the uses that values stand for.
pub trait Uses<V> {
    /// One more use of the same.
    fn again(&mut self, value: &V) -> V;
    /// Ends a use.
    fn release(&mut self, value: V);
}

/// A range and its value in a leaf; elsewhere a child and where the first range in it begins.
struct Slot<V> {
    start: u64,
    sectors: u32,
    child: u32,
    value: Option<V>,
}

impl<V> Slot<V> {
    const EMPTY: Self = Self {
        start: 0,
        sectors: 0,
        child: NONE,
        value: None,
    };

    const fn inner(start: u64, child: u32) -> Self {
        Self {
            start,
            child,
            ..Self::EMPTY
        }
    }

    const fn end(&self) -> u64 {
        self.start + self.sectors as u64
    }
}

/// A node of a tree.
pub struct Node<V> {
    /// Entries; while the node is in no tree the pool's link.
    count: u32,
    slots: [Slot<V>; ORDER],
}

impl<V> Default for Node<V> {
    fn default() -> Self {
        Self {
            count: 0,
            slots: [const { Slot::EMPTY }; ORDER],
        }
    }
}

impl<V> Pooled for Node<V> {
    fn link(&mut self) -> &mut u32 {
        &mut self.count
    }
}

impl<V> Node<V> {
    fn slots(&self) -> &[Slot<V>] {
        &self.slots[..self.count as usize]
    }

    /// How many slots begin at `sector` or before.
    fn up_to(&self, sector: u64) -> usize {
        self.slots().partition_point(|slot| slot.start <= sector)
    }

    fn insert(&mut self, at: usize, slot: Slot<V>) {
        let count = self.count as usize;
        self.slots[count] = slot;
        self.slots[at..=count].rotate_right(1);
        self.count += 1;
    }

    fn remove(&mut self, at: usize) -> Slot<V> {
        let count = self.count as usize;
        self.slots[at..count].rotate_left(1);
        self.count -= 1;
        core::mem::replace(&mut self.slots[count - 1], Slot::EMPTY)
    }

    /// Takes the last `count` slots out, in order, for [`Node::append`].
    fn move_last(&mut self, count: usize, to: &mut [Slot<V>; ORDER]) {
        let first = self.count as usize - count;
        for (from, to) in self.slots[first..].iter_mut().zip(to).take(count) {
            *to = core::mem::replace(from, Slot::EMPTY);
        }
        self.count = first as u32;
    }

    fn append(&mut self, slots: [Slot<V>; ORDER], count: usize) {
        let first = self.count as usize;
        for (to, from) in self.slots[first..].iter_mut().zip(slots).take(count) {
            *to = from;
        }
        self.count += count as u32;
    }
}

/// The way to an entry: node and slot at each level, leaves first.
#[derive(Clone, Copy)]
struct Path([(u32, usize); HEIGHT_MAX]);

/// A tree; its nodes are in a pool, which is passed to everything.
#[derive(Debug)]
pub struct Tree {
    root: u32,
    height: usize,
}

impl Tree {
    /// Nothing lies anywhere.
    pub const EMPTY: Self = Self {
        root: NONE,
        height: 0,
    };

    /// The first range that ends behind `sector`, and its value.
    pub fn find<'a, V>(&self, nodes: &'a Nodes<V>, sector: u64) -> Option<(Range<u64>, &'a V)> {
        let (node, slot) = self.locate(nodes, sector)?;
        let slot = &nodes.get(node).slots[slot];
        Some((slot.start..slot.end(), slot.value.as_ref()?))
    }

    /// As [`Tree::find`]; the value may be changed.
    pub fn find_mut<'a, V>(
        &self,
        nodes: &'a mut Nodes<V>,
        sector: u64,
    ) -> Option<(Range<u64>, &'a mut V)> {
        let (node, slot) = self.locate(nodes, sector)?;
        let slot = &mut nodes.get_mut(node).slots[slot];
        Some((slot.start..slot.end(), slot.value.as_mut()?))
    }

    /// What lies in `range`, in order and without a gap: parts with a value, and parts without.
    pub fn walk<'a, V>(
        &'a self,
        nodes: &'a Nodes<V>,
        range: Range<u64>,
    ) -> impl Iterator<Item = (Range<u64>, Option<&'a V>)> + 'a {
        let mut at = range.start;
        core::iter::from_fn(move || {
            if at >= range.end {
                return None;
            }
            let part = match self.find(nodes, at) {
                Some((found, value)) if found.start <= at => {
                    (at..found.end.min(range.end), Some(value))
                }
                Some((found, _)) => (at..found.start.min(range.end), None),
                None => (at..range.end, None),
            };
            at = part.0.end;
            Some(part)
        })
    }

    /// Puts `value` at `range`, which is not empty, in place of what is there.
    ///
    /// # Errors
    /// No memory; the value comes back.
    pub fn insert<V>(
        &mut self,
        (nodes, supply): (&mut Nodes<V>, &dyn Supply<Node<V>, NODES>),
        range: Range<u64>,
        value: V,
        uses: &mut dyn Uses<V>,
    ) -> Result<(), (NoNode, V)> {
        if !self.reserve(nodes, supply, 2) {
            return Err((NoNode, value));
        }
        self.cut(nodes, &range, uses);
        let slot = Slot {
            start: range.start,
            sectors: (range.end - range.start) as u32,
            child: NONE,
            value: Some(value),
        };
        self.insert_slot(nodes, slot);
        Ok(())
    }

    /// Takes away what lies in `range`.
    ///
    /// # Errors
    /// No memory: to cut a piece out of a range makes two of it.
    pub fn remove<V>(
        &mut self,
        (nodes, supply): (&mut Nodes<V>, &dyn Supply<Node<V>, NODES>),
        range: Range<u64>,
        uses: &mut dyn Uses<V>,
    ) -> Result<(), NoNode> {
        if !self.reserve(nodes, supply, 1) {
            return Err(NoNode);
        }
        self.cut(nodes, &range, uses);
        Ok(())
    }

    /// Takes away the first entry that ends behind `sector`, whole.
    pub fn take<V>(&mut self, nodes: &mut Nodes<V>, sector: u64) -> Option<(Range<u64>, V)> {
        let path = self.seek(nodes, sector)?;
        let slot = self.remove_at(nodes, path);
        Some((slot.start..slot.end(), slot.value?))
    }

    /// Sees to it that `count` more entries next to each other find room.
    pub fn reserve<V>(
        &self,
        nodes: &mut Nodes<V>,
        supply: &dyn Supply<Node<V>, NODES>,
        count: usize,
    ) -> bool {
        // Halves of a node have room for six entries; at the edges each level may be full.
        self.height < HEIGHT_MAX - 1 && nodes.reserve(count / 4 + 3 * (self.height + 2), supply)
    }

    /// Node and slot of the first entry that ends behind `sector`: what is looked for most often, without
    /// noting the way.
    fn locate<V>(&self, nodes: &Nodes<V>, sector: u64) -> Option<(u32, usize)> {
        let mut node = self.root;
        // Where the entry behind those of the node begins.
        let mut next = None;
        for level in (0..self.height).rev() {
            let here = nodes.get(node);
            let slot = here.up_to(sector).saturating_sub(1);
            if level == 0 && here.slots[slot].end() > sector {
                return Some((node, slot));
            }
            if slot + 1 < here.slots().len() {
                next = Some((level, node, slot + 1));
            }
            node = here.slots[slot].child;
        }
        let (below, mut node, mut slot) = next?;
        for _ in 0..below {
            (node, slot) = (nodes.get(node).slots[slot].child, 0);
        }
        Some((node, slot))
    }

    /// The way to the first entry that ends behind `sector`.
    fn seek<V>(&self, nodes: &Nodes<V>, sector: u64) -> Option<Path> {
        if self.height == 0 {
            return None;
        }
        let mut path = Path([(NONE, 0); HEIGHT_MAX]);
        let mut node = self.root;
        for level in (0..self.height).rev() {
            let here = nodes.get(node);
            let slot = here.up_to(sector).saturating_sub(1);
            path.0[level] = (node, slot);
            node = here.slots[slot].child;
        }
        let (leaf, slot) = path.0[0];
        if nodes.get(leaf).slots[slot].end() > sector {
            return Some(path);
        }
        self.next(nodes, path)
    }

    /// The way to the next entry.
    fn next<V>(&self, nodes: &Nodes<V>, mut path: Path) -> Option<Path> {
        let mut levels = path.0[..self.height].iter();
        let up = levels.position(|&(node, slot)| slot + 1 < nodes.get(node).count as usize)?;
        path.0[up].1 += 1;
        for level in (0..up).rev() {
            let (parent, slot) = path.0[level + 1];
            path.0[level] = (nodes.get(parent).slots[slot].child, 0);
        }
        Some(path)
    }

    /// Empties `range`. Room for one entry more is reserved.
    fn cut<V>(&mut self, nodes: &mut Nodes<V>, range: &Range<u64>, uses: &mut dyn Uses<V>) {
        while let Some(path) = self.seek(nodes, range.start) {
            let (leaf, number) = path.0[0];
            let slot = &mut nodes.get_mut(leaf).slots[number];
            let (start, end) = (slot.start, slot.end());
            if start >= range.end {
                return;
            }
            if start < range.start {
                slot.sectors = (range.start - start) as u32;
                if end > range.end {
                    let rest = Slot {
                        start: range.end,
                        sectors: (end - range.end) as u32,
                        child: NONE,
                        value: slot.value.as_ref().map(|value| uses.again(value)),
                    };
                    self.insert_slot(nodes, rest);
                }
            } else if end > range.end {
                slot.start = range.end;
                slot.sectors = (end - range.end) as u32;
                (1..self.height).for_each(|level| Self::set_bound(nodes, &path, level));
            } else if let Some(value) = self.remove_at(nodes, path).value {
                uses.release(value);
            }
        }
    }

    /// Puts in an entry that overlaps none, with nodes that were reserved.
    fn insert_slot<V>(&mut self, nodes: &mut Nodes<V>, slot: Slot<V>) {
        let mut path = [NONE; HEIGHT_MAX];
        let mut node = self.root;
        for level in (0..self.height).rev() {
            path[level] = node;
            let here = nodes.get_mut(node);
            let number = here.up_to(slot.start).saturating_sub(1);
            if level > 0 {
                let child = &mut here.slots[number];
                child.start = child.start.min(slot.start);
                node = child.child;
            }
        }
        let mut slot = slot;
        for node in path.into_iter().take(self.height) {
            let here = nodes.get_mut(node);
            if here.slots().len() < ORDER {
                here.insert(here.up_to(slot.start), slot);
                return;
            }
            slot = Self::split(nodes, node, slot);
        }
        let old = self.root;
        let root = new_node(nodes);
        if self.height > 0 {
            let start = nodes.get(old).slots[0].start.min(slot.start);
            nodes.get_mut(root).insert(0, Slot::inner(start, old));
        }
        let here = nodes.get_mut(root);
        here.insert(here.slots().len(), slot);
        self.root = root;
        self.height += 1;
    }

    /// Makes two of a full node and puts `slot` into one; the entry of the new one for the parent.
    fn split<V>(nodes: &mut Nodes<V>, node: u32, slot: Slot<V>) -> Slot<V> {
        let mut upper = [const { Slot::EMPTY }; ORDER];
        let here = nodes.get_mut(node);
        here.move_last(ORDER / 2, &mut upper);
        let below = slot.start < upper[0].start;
        let right = new_node(nodes);
        nodes.get_mut(right).append(upper, ORDER / 2);
        let target = nodes.get_mut(if below { node } else { right });
        target.insert(target.up_to(slot.start), slot);
        Slot::inner(nodes.get(right).slots[0].start, right)
    }

    /// Takes out the entry that `path` leads to, and merges nodes that have become small.
    fn remove_at<V>(&mut self, nodes: &mut Nodes<V>, path: Path) -> Slot<V> {
        let (leaf, number) = path.0[0];
        let removed = nodes.get_mut(leaf).remove(number);
        for level in 1..self.height {
            let (child, _) = path.0[level - 1];
            let (parent, number) = path.0[level];
            let gone = if nodes.get(child).count == 0 {
                nodes.give(child);
                Some(number)
            } else {
                Self::set_bound(nodes, &path, level);
                Self::merge(nodes, parent, number)
                    .or_else(|| Self::merge(nodes, parent, number.checked_sub(1)?))
            };
            if let Some(slot) = gone {
                nodes.get_mut(parent).remove(slot);
            }
        }
        self.lower(nodes);
        removed
    }

    /// Makes the bound at `level` of the way what its child begins with. It has to be exact: a range
    /// that ends behind a lower one would not be looked for on the side where it begins.
    fn set_bound<V>(nodes: &mut Nodes<V>, path: &Path, level: usize) {
        let start = nodes.get(path.0[level - 1].0).slots[0].start;
        let (parent, number) = path.0[level];
        nodes.get_mut(parent).slots[number].start = start;
    }

    /// Moves what is in the child behind slot `left` into that one's child if there is room; the
    /// slot whose child is gone.
    fn merge<V>(nodes: &mut Nodes<V>, parent: u32, left: usize) -> Option<usize> {
        let [to, from] = nodes.get(parent).slots().get(left..left + 2)? else {
            return None;
        };
        let (to, from) = (to.child, from.child);
        let count = nodes.get(from).slots().len();
        if nodes.get(to).slots().len() + count > MERGED_MAX {
            return None;
        }
        let mut moved = [const { Slot::EMPTY }; ORDER];
        nodes.get_mut(from).move_last(count, &mut moved);
        nodes.get_mut(to).append(moved, count);
        nodes.give(from);
        Some(left + 1)
    }

    /// Takes roots away that lead to one node or none.
    fn lower<V>(&mut self, nodes: &mut Nodes<V>) {
        while self.height > 0 {
            let root = nodes.get(self.root);
            let child = match (root.slots(), self.height) {
                ([], _) => NONE,
                ([only], 2..) => only.child,
                _ => return,
            };
            nodes.get_mut(self.root).count = 0;
            nodes.give(self.root);
            self.root = child;
            self.height = if child == NONE { 0 } else { self.height - 1 };
        }
    }
}

/// A node that was reserved.
fn new_node<V>(nodes: &mut Nodes<V>) -> u32 {
    let Some(node) = nodes.take() else {
        panic!("a tree of the disks grows without a reserve");
    };
    nodes.get_mut(node).count = 0;
    node
}

#[cfg(test)]
mod tests;
