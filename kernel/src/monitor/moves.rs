//! Guest pages move: to another node, or as replicas to several.
//!
//! A batch of them at once, for one shootdown. Pages on the nodes they go to are taken first, so that a
//! move that has begun comes to its end. The pmap's words say that pages move: who misses on one waits for
//! the backing lock. The virtual CPUs that have mapped one are asked to forget it, and waited for, while the guest
//! runs on. Then contents are copied, and the words say where they are.

use super::cpu::Cpu;
use super::memory::GuestMemory;
use super::real::{self, RealMemory};
use super::slot::VmSlot;
use crate::address::{GuestPage, GuestPhysical, MachinePage};
use crate::machine::shared::GuestPages;
use crate::machine::{DirtyPages, NoMemory, NodeId};
use crate::numa::{Action, NodeSet};
use crate::vm::defect::{seeded, Defect};
use crate::vm::pmap::Backing;
use core::fmt;

/// Copies that are made with one shootdown.
pub(super) const BATCH: usize = 16;

/// What is to become of a guest page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Goal {
    /// It lies on this node, without replicas; if it has several users, the node gets a replica.
    Node(NodeId),
    /// Each of these nodes has a copy of it. Its virtual machine's first write ends that.
    Replicas(NodeSet),
    /// It has no replicas.
    Alone,
}

/// What was done with a guest page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Moved {
    /// It is another machine page now: the one before, and this one.
    To(MachinePage, MachinePage),
    /// A node got a replica of this machine page: this one.
    Replicated(MachinePage, MachinePage),
    /// This machine page has lost its replicas.
    Collapsed(MachinePage),
}

/// Why a guest page stays as it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// There is no machine page behind it.
    Nothing,
    /// It is as it is to be.
    AsItIs,
    /// The node has no free memory, or all of it is promised.
    NoMemory(NodeId),
}

impl fmt::Display for Refused {
    #[cold]
    #[inline(never)]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("there is no machine page behind it yet"),
            Self::AsItIs => f.write_str("it is there already"),
            Self::NoMemory(node) => write!(
                f,
                "node {} has no free memory that is promised to nobody; `mem` shows what there is",
                node.0
            ),
        }
    }
}

/// A copy to be made.
struct Copy {
    at: GuestPage,
    node: NodeId,
    page: DirtyPages,
    is_replica: bool,
}

/// Copies that will be made at once, of pages whose pmap words say that they move.
pub struct Batch {
    copies: [Option<Copy>; BATCH],
    count: usize,
}

impl Batch {
    /// Of none.
    pub const fn new() -> Self {
        Self {
            copies: [const { None }; BATCH],
            count: 0,
        }
    }

    fn add(&mut self, copy: Copy) {
        if let Some(place) = self.copies.get_mut(self.count) {
            *place = Some(copy);
            self.count += 1;
        }
    }

    fn has(&self, at: GuestPage) -> bool {
        let copies = self.copies.iter().flatten();
        copies.into_iter().any(|copy| copy.at == at)
    }
}

impl GuestMemory<'_> {
    /// Begins to move `at`. What was done is told by [`GuestMemory::finish`], which has to follow
    /// before anything else is done with this memory.
    ///
    /// # Errors
    /// It stays; or of several replicas some are not made for want of memory.
    pub fn begin(
        &mut self,
        batch: &mut Batch,
        (at, goal): (GuestPage, Goal),
        told: &mut dyn FnMut(GuestPage, Moved),
    ) -> Result<(), Refused> {
        if batch.has(at) {
            // Twice in a batch: the first comes first.
            self.finish(batch, told);
        }
        let backing = self.vm.pmap.backing(at);
        let page = backing.page().ok_or(Refused::Nothing)?;
        let home = self.monitor.machine.node_of(page).map(|node| node.id());
        match (goal, backing) {
            (Goal::Alone, _) => {
                if self.vm.pmap.replicas(at).is_empty() {
                    return Err(Refused::AsItIs);
                }
                self.collapse(at);
                told(at, Moved::Collapsed(page));
                Ok(())
            }
            (Goal::Node(node), Backing::Shared(_)) => {
                self.begin_replicas(batch, at, home, NodeSet::of(node), told)
            }
            (Goal::Node(node), _) => {
                if !self.vm.pmap.replicas(at).is_empty() {
                    self.collapse(at);
                    told(at, Moved::Collapsed(page));
                }
                if home == Some(node) {
                    return Err(Refused::AsItIs);
                }
                self.take(batch, at, (node, false), told)
            }
            (Goal::Replicas(nodes), _) => self.begin_replicas(batch, at, home, nodes, told),
        }
    }

    fn begin_replicas(
        &mut self,
        batch: &mut Batch,
        at: GuestPage,
        home: Option<NodeId>,
        nodes: NodeSet,
        told: &mut dyn FnMut(GuestPage, Moved),
    ) -> Result<(), Refused> {
        let there = self.vm.pmap.replicas(at);
        let there = home.map_or(there, |home| there.union(NodeSet::of(home)));
        let missing = nodes.minus(there);
        if missing.is_empty() {
            return Err(Refused::AsItIs);
        }
        for node in missing.iter() {
            self.take(batch, at, (node, true), told)?;
        }
        Ok(())
    }

    /// Takes a page of `node` for `at`, which begins to move.
    fn take(
        &mut self,
        batch: &mut Batch,
        at: GuestPage,
        (node, is_replica): (NodeId, bool),
        told: &mut dyn FnMut(GuestPage, Moved),
    ) -> Result<(), Refused> {
        if batch.count == BATCH {
            self.finish(batch, told);
        }
        let page = self.monitor.machine.allocate_on(node);
        let page = page.map_err(|NoMemory| Refused::NoMemory(node))?;
        if !batch.has(at) {
            self.begin_move(at);
        }
        batch.add(Copy {
            at,
            node,
            page,
            is_replica,
        });
        Ok(())
    }

    /// Makes the copies of `batch`.
    pub fn finish(&mut self, batch: &mut Batch, told: &mut dyn FnMut(GuestPage, Moved)) {
        if core::mem::take(&mut batch.count) == 0 {
            return;
        }
        if !seeded(Defect::CopyEarly) {
            self.settle();
        }
        for copy in batch.copies.iter_mut().map_while(Option::take) {
            let at = copy.at;
            if let Some(from) = self.vm.pmap.machine_page(at) {
                if let Some(moved) = self.copy(copy, from) {
                    told(at, moved);
                }
            }
        }
        // The pages that were moved away.
        self.settle();
    }

    /// Makes one copy. The page moves until its last one is made.
    fn copy(&mut self, copy: Copy, from: MachinePage) -> Option<Moved> {
        let (machine, pmap) = (&self.monitor.machine, &self.vm.pmap);
        let (at, vm) = (copy.at, self.vm.slot.id);
        if copy.is_replica {
            let page = machine.give_replica(copy.page, from, vm, at, &RealMemory);
            real::publish_page(page);
            // The first of several makes it what it will be; those that follow find it so.
            let added = pmap.add_replica(at, copy.node, page);
            pmap.end_move(at);
            pmap.build_linear_piece(at);
            if !added {
                if let Ok(page) = machine.take_replica(page, vm, at) {
                    machine.free(page);
                }
            }
            return added.then_some(Moved::Replicated(from, page));
        }
        let page = copy.page.range().first;
        self.put(at, copy.page);
        pmap.build_linear_piece(at);
        Some(Moved::To(from, page))
    }

    /// Moves one page, and says what became of it.
    ///
    /// # Errors
    /// It stays as it is.
    pub fn relocate(&mut self, at: GuestPage, goal: Goal) -> Result<Option<Moved>, Refused> {
        let mut batch = Batch::new();
        let mut last = None;
        let told = &mut |_, moved| last = Some(moved);
        let begun = self.begin(&mut batch, (at, goal), told);
        self.finish(&mut batch, told);
        begun.map(|()| last)
    }
}

impl Cpu {
    /// Counts what was done with a page for `numa` and the events, but not its time.
    #[cold]
    pub(super) fn count_move(&self, moved: Moved) {
        let node = |page| {
            self.monitor
                .machine
                .node_of(page)
                .map_or(NodeId(0), |node| node.id())
        };
        let (home, action) = match moved {
            Moved::To(from, to) => (from, Action::Migrate(node(to))),
            Moved::Replicated(of, to) => (of, Action::Replicate(NodeSet::of(node(to)))),
            Moved::Collapsed(page) => (page, Action::Collapse),
        };
        self.shared.numa.moved(&action, node(home), 0);
    }

    /// The command `numa move`.
    #[cold]
    pub(super) fn numa_move(&mut self, slot: &'static VmSlot, address: u64, node: u64) {
        let monitor = self.monitor;
        let nodes = monitor.machine.nodes().count() as u64;
        let guest = GuestPhysical(address).page();
        let Some(target) = u8::try_from(node).ok().filter(|_| node < nodes).map(NodeId) else {
            return self.answer(&mut |out| {
                writeln!(
                    out,
                    "there is no node {node}; the machine has {nodes}, from 0 on"
                )
            });
        };
        let _state = slot.state.lock();
        // SAFETY: null, or under its slot's state it stays where it is; what is borrowed of it ends before.
        let Some(vm) = (unsafe { slot.resident().as_ref() }) else {
            return self.answer(&mut |out| writeln!(out, "{} does not run", slot.name));
        };
        if guest.0 >= vm.pmap.pages() {
            let memory = slot.described.memory.get();
            return self.answer(&mut |out| {
                writeln!(
                    out,
                    "{address:#x} is beyond the memory of {}, {memory:#x} bytes",
                    slot.name
                )
            });
        }
        let mut memory = self.memory_of(vm);
        let moved = memory.relocate(guest, Goal::Node(target));
        memory.gather(guest);
        drop(memory);
        if let Ok(Some(moved)) = moved {
            self.count_move(moved);
        }
        self.answer(&mut |out| {
            let at = guest.address().0;
            match moved {
                Ok(Some(Moved::To(from, to))) => writeln!(
                    out,
                    "{at:#x} of {} was at {:#x} and is at {:#x}, on node {node}",
                    slot.name,
                    from.address().0,
                    to.address().0
                ),
                Ok(Some(Moved::Replicated(of, to))) => writeln!(
                    out,
                    "{at:#x} of {} has several users: node {node} has a replica of {:#x}, {:#x}",
                    slot.name,
                    of.address().0,
                    to.address().0
                ),
                Ok(_) => writeln!(out, "{at:#x} of {} has lost its replicas", slot.name),
                Err(refused) => writeln!(out, "{at:#x} of {} stays: {refused}", slot.name),
            }
        });
    }
}
