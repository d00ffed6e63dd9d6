//! Replicas: copies of guest pages for nodes that use them often.
//!
//! A replica is a page of the node that it is for ([`Owner::Replica`]). The page that it is a copy of
//! is read-only as long as there is one. Nobody is promised a replica, and none is made of memory
//! that is promised to others.

use super::{DirtyPages, Machine, MachineMemory, NoMemory, NodeId, Owner, PageRange, RunSize};
use super::{Node, VmId, WrongOwner};
use crate::address::{GuestPage, MachinePage};
use crate::numa::NodeSet;

/// The part of a node's memory that replicas leave free: 1 / 16.
const KEPT_FREE: u64 = 16;

impl Machine {
    /// A page of `node` itself, for what is to be there, of memory that is promised to nobody.
    ///
    /// # Errors
    /// It has none, or all that is free is promised.
    pub fn allocate_on(&self, node: NodeId) -> Result<DirtyPages, NoMemory> {
        self.allocate_run_on(node, RunSize::ONE)
    }

    /// The same for a run of pages.
    ///
    /// # Errors
    /// It has no block so large, or all that is free is promised.
    pub fn allocate_run_on(&self, node: NodeId, size: RunSize) -> Result<DirtyPages, NoMemory> {
        self.promise(size.pages())?;
        let pages = self.node(node).and_then(|node| node.allocate(size));
        self.fulfil(size.pages());
        pages.ok_or(NoMemory)
    }

    /// Makes a page from the allocator a replica of `from`, which is page `guest` of `vm`.
    pub fn give_replica(
        &self,
        pages: DirtyPages,
        from: MachinePage,
        vm: VmId,
        guest: GuestPage,
        memory: &impl MachineMemory,
    ) -> MachinePage {
        self.give_copy_to(pages, from, Owner::Replica { vm, page: guest }, memory)
    }

    /// Takes a replica back. No TLB may map it any more when it is freed.
    ///
    /// # Errors
    /// It is none of that guest page; nothing has changed.
    pub fn take_replica(
        &self,
        page: MachinePage,
        vm: VmId,
        guest: GuestPage,
    ) -> Result<DirtyPages, WrongOwner> {
        let owner = Owner::Replica { vm, page: guest };
        self.take_back(PageRange::new(page, 1), owner)
    }

    /// Nodes with a free page.
    pub fn room(&self) -> NodeSet {
        self.nodes_where(|node| node.free_pages() > 0)
    }

    /// Nodes with memory to spare for replicas: none while all that is free is promised.
    pub fn plenty(&self) -> NodeSet {
        if self.spare() == 0 {
            return NodeSet::EMPTY;
        }
        self.nodes_where(|node| node.free_pages() > node.range().count / KEPT_FREE)
    }

    fn nodes_where(&self, holds: impl Fn(&Node) -> bool) -> NodeSet {
        let nodes = self.nodes().filter(|node| holds(node));
        nodes.map(Node::id).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_sound, machine, Bytes};
    use super::*;

    const VM: VmId = VmId(3);
    const GUEST: GuestPage = GuestPage(9);

    #[test]
    fn a_replica_is_a_copy_on_its_node_and_goes_with_its_virtual_machine() {
        let (machine, memory) = (machine(3, 64), Bytes::new());
        let page = machine.allocate(NodeId(0), RunSize::ONE).unwrap();
        let page = machine.give_to_guest(page.zero(&memory), VM, GUEST).first;
        memory.write(page, [7; 64]);
        let replicas = [1, 2].map(|node| {
            let new = machine.allocate_on(NodeId(node)).unwrap();
            machine.give_replica(new, page, VM, GUEST, &memory)
        });
        for (node, replica) in (1..).zip(replicas) {
            assert_eq!(memory.read(replica), [7; 64]);
            assert_eq!(machine.node_of(replica).unwrap().id(), NodeId(node));
            let owner = Owner::Replica {
                vm: VM,
                page: GUEST,
            };
            assert_eq!(machine.owner(replica), Some(owner));
            assert_eq!(owner.vm(), Some(VM));
        }
        assert_eq!(machine.node(NodeId(1)).unwrap().usage().replica, 1);
        assert_eq!(machine.node(NodeId(1)).unwrap().usage().total(), 64);
        assert!(machine.take_replica(page, VM, GUEST).is_err());
        assert!(machine.take_replica(replicas[0], VM, GuestPage(8)).is_err());
        assert!(machine.take_replica(replicas[0], VmId(4), GUEST).is_err());
        machine.free(machine.take_replica(replicas[0], VM, GUEST).unwrap());
        assert_sound(&machine);
        assert_eq!(machine.reclaim(VM), 2);
        assert_eq!(machine.free_pages(), 3 * 56);
        assert_sound(&machine);
    }

    #[test]
    fn memory_that_is_promised_or_elsewhere_is_not_taken() {
        let machine = machine(2, 64);
        assert_eq!(machine.room(), NodeSet::first(2));
        assert_eq!(machine.plenty(), NodeSet::first(2));
        // 56 pages a node, of which replicas leave 4 free.
        for left in (4..56).rev() {
            let _ = machine.allocate_on(NodeId(1)).unwrap();
            let plenty = NodeSet::first(if left > 4 { 2 } else { 1 });
            assert_eq!(machine.plenty(), plenty, "{left}");
        }
        for _ in 0..4 {
            let _ = machine.allocate_on(NodeId(1)).unwrap();
        }
        assert_eq!(machine.allocate_on(NodeId(1)).unwrap_err(), NoMemory);
        assert_eq!(machine.allocate_on(NodeId(2)).unwrap_err(), NoMemory);
        assert_eq!(machine.room(), NodeSet::first(1));
        machine.promise(56).unwrap();
        assert_eq!(machine.allocate_on(NodeId(0)).unwrap_err(), NoMemory);
        assert_eq!(machine.plenty(), NodeSet::EMPTY);
        assert_eq!(machine.promised(), 56);
    }
}
