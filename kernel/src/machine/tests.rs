//! The machine's memory against a model of bytes.

use super::*;
use crate::numa::Directory;
use proptest::prelude::*;
use std::cell::RefCell;
use std::collections::BTreeMap;

const FIRST: u64 = 0x20000;
const BYTES: usize = 64;

/// A few bytes stand for each page.
pub(super) struct Bytes(RefCell<BTreeMap<u64, [u8; BYTES]>>);

impl Bytes {
    pub(super) fn new() -> Self {
        Self(RefCell::new(BTreeMap::new()))
    }
    pub(super) fn read(&self, page: MachinePage) -> [u8; BYTES] {
        let pages = self.0.borrow();
        pages.get(&page.0).copied().unwrap_or([0x5a; BYTES])
    }
    pub(super) fn write(&self, page: MachinePage, bytes: [u8; BYTES]) {
        self.0.borrow_mut().insert(page.0, bytes);
    }
}

impl MachineMemory for Bytes {
    fn zero(&self, pages: PageRange) {
        pages.pages().for_each(|page| self.write(page, [0; BYTES]));
    }
    fn copy(&self, from: PageRange, to: MachinePage) {
        for (at, page) in (to.0..).zip(from.pages()) {
            self.write(MachinePage(at), self.read(page));
        }
    }
}

fn node(id: u8, first: u64, count: u64) -> &'static Node {
    let range = PageRange::new(MachinePage(first), count);
    let entries: Vec<Entry> = (0..count).map(|_| Entry::default()).collect();
    let bitmap = vec![!0; bitmap_words(range)].leak();
    Box::leak(Box::new(Node::new(
        NodeId(id),
        range,
        entries.leak(),
        bitmap,
        Directory::default(),
    )))
}

/// Nodes of `pages` each, of which the first 8 stay the monitor's.
pub(super) fn machine(nodes: u8, pages: u64) -> Machine {
    let nodes = (0..nodes).map(|id| {
        let first = FIRST + u64::from(id) * pages;
        let node = node(id, first, pages);
        node.open(PageRange::new(MachinePage(first + 8), pages - 8))
            .unwrap();
        node
    });
    Machine::new(nodes, Distances::default())
}

pub(super) fn assert_sound(machine: &Machine) {
    let audit = machine.audit();
    let failures: Vec<_> = audit.failures().map(|f| f.to_string()).collect();
    assert_eq!(failures, Vec::<String>::new());
    assert!(audit.checks() > 0);
}

#[test]
fn nearest_nodes_come_first() {
    let machine = machine(4, 64);
    let order = |to| -> Vec<u8> { machine.nearest(NodeId(to)).map(|n| n.id().0).collect() };
    assert_eq!(order(0), [0, 1, 2, 3]);
    assert_eq!(order(1), [1, 0, 2, 3]);
    assert_eq!(order(3), [3, 2, 1, 0]);
}

#[test]
fn nodes_are_as_near_as_the_machine_says() {
    let nodes: Vec<_> = machine(4, 64).nodes().collect();
    // A ring, wired 0 2 1 3.
    let place = |node: NodeId| [0u32, 2, 1, 3][usize::from(node.0 % 4)];
    let hops = |a, b| (place(a) + 4 - place(b)) % 4;
    let distances = Distances::new(|a, b| 300 + 100 * hops(a, b).min(hops(b, a))).unwrap();
    let ring = Machine::new(nodes, distances);
    let order = |to| -> Vec<u8> { ring.nearest(NodeId(to)).map(|n| n.id().0).collect() };
    assert_eq!(order(0), [0, 2, 3, 1]);
    assert_eq!(order(1), [1, 2, 3, 0]);
    while ring.allocate(NodeId(0), RunSize::ONE).is_ok_and(|pages| {
        let node = ring.node_of(pages.range().first).unwrap().id();
        node == NodeId(0)
    }) {}
    // The first page that was not of node 0 was of the nearest one.
    let free = |id| ring.node(NodeId(id)).unwrap().free_pages();
    assert_eq!([free(0), free(1), free(2), free(3)], [0, 56, 55, 56]);
}

#[test]
fn a_full_node_falls_back_to_the_next() {
    let machine = machine(3, 64);
    let mut from = Vec::new();
    while let Ok(pages) = machine.allocate(NodeId(1), RunSize::at_least(8).unwrap()) {
        from.push(machine.node_of(pages.range().first).unwrap().id().0);
    }
    assert_eq!(from.len(), 21);
    assert_eq!(from[..7], [1; 7]);
    assert_eq!(from[7..14], [0; 7]);
    assert_eq!(from[14..], [2; 7]);
    assert_eq!(
        machine.allocate(NodeId(1), RunSize::ONE).unwrap_err(),
        NoMemory
    );
    assert_eq!(
        machine.nodes().map(|n| n.usage().in_transit).sum::<u64>(),
        168
    );
}

#[test]
fn guests_get_large_zeroed_pages_of_their_node() {
    let machine = machine(2, 4096);
    let memory = Bytes::new();
    let mut runs = Vec::new();
    let memory_of_vm = (GuestPage(0), 2048 + 16 + 3);
    machine
        .back(VmId(5), memory_of_vm, NodeId(1), &memory, |guest, run| {
            runs.push((guest.0, run));
        })
        .unwrap();
    let sizes: Vec<u64> = runs.iter().map(|(_, run)| run.count).collect();
    assert_eq!(sizes, [1024, 1024, 16, 1, 1, 1]);
    for (guest, run) in runs {
        assert_eq!(run.first.0 % run.count, 0);
        for (offset, page) in (0..).zip(run.pages()) {
            assert_eq!(memory.read(page), [0; BYTES]);
            assert_eq!(machine.node_of(page).unwrap().id(), NodeId(1));
            let page_of_vm = GuestPage(guest + offset);
            let owner = Owner::Guest {
                vm: VmId(5),
                page: page_of_vm,
            };
            assert_eq!(machine.owner(page), Some(owner));
        }
    }
    assert_sound(&machine);
}

#[test]
fn a_broken_node_backs_with_smaller_pages_before_another_node_does() {
    let machine = machine(2, 2048);
    let memory = Bytes::new();
    let mut from = Vec::new();
    let whole = (GuestPage(0), 2048);
    machine
        .back(VmId(1), whole, NodeId(0), &memory, |_, run| {
            let node = machine.node_of(run.first).unwrap().id().0;
            from.push((node, run.count));
        })
        .unwrap();
    let local: u64 = from.iter().filter(|f| f.0 == 0).map(|f| f.1).sum();
    assert_eq!(local, 2040);
    assert_eq!(
        from.iter().filter(|f| f.0 == 1).map(|f| f.1).sum::<u64>(),
        8
    );
}

#[test]
fn pages_of_a_virtual_machine_that_is_gone_all_come_back() {
    let machine = machine(2, 1024);
    let memory = Bytes::new();
    let before = machine.free_pages();
    for _ in 0..20 {
        let tables = machine
            .allocate(NodeId(0), RunSize::ONE)
            .unwrap()
            .zero(&memory);
        machine.give_to_service(tables, VmId(3));
        machine
            .back(VmId(3), (GuestPage(0), 1500), NodeId(0), &memory, |_, _| ())
            .unwrap();
        assert_eq!(machine.free_pages(), before - 1501);
        assert_eq!(machine.reclaim(VmId(3)), 1501);
        assert_eq!(machine.free_pages(), before);
    }
    let largest = machine.nodes().map(Node::largest_free).max();
    assert_eq!(largest, Some(512));
    assert_sound(&machine);
}

#[test]
fn running_out_leaves_what_reclaim_returns() {
    let machine = machine(1, 256);
    let memory = Bytes::new();
    let mut told = 0;
    let failed = machine.back(
        VmId(1),
        (GuestPage(0), 300),
        NodeId(0),
        &memory,
        |_, run| {
            told += run.count;
        },
    );
    assert_eq!(failed, Err(NoMemory));
    assert_eq!((told, machine.free_pages()), (248, 0));
    assert_eq!(machine.reclaim(VmId(1)), 248);
    assert_eq!(machine.free_pages(), 248);
}

#[test]
fn only_the_owner_gives_pages_back() {
    let machine = machine(1, 64);
    let memory = Bytes::new();
    let pages = machine.allocate(NodeId(0), RunSize::at_least(4).unwrap());
    let run = machine.give_to_guest(pages.unwrap().zero(&memory), VmId(1), GuestPage(10));
    let owner = |vm, page| Owner::Guest {
        vm: VmId(vm),
        page: GuestPage(page),
    };
    assert!(machine.take_back(run, owner(2, 10)).is_err());
    assert!(machine.take_back(run, owner(1, 11)).is_err());
    let dirty = machine.take_back(run, owner(1, 10)).unwrap();
    assert!(machine.take_back(run, owner(1, 10)).is_err());
    machine.free(dirty);
    assert_eq!(machine.free_pages(), 56);
    assert_sound(&machine);
}

#[test]
fn the_audit_finds_a_page_that_left_the_memmap_alone() {
    let machine = machine(1, 64);
    let page = MachinePage(FIRST + 20);
    let node = machine.node(NodeId(0)).unwrap();
    node.memmap()
        .change_run(PageRange::new(page, 1), Owner::Free, Owner::Payload)
        .unwrap();
    let audit = machine.audit();
    assert_eq!(audit.failed(), 1);
    let wrong = MachineFailure::Bitmap(page, Some(Owner::Payload));
    assert_eq!(audit.failures().next(), Some(wrong));
}

#[test]
fn cpus_allocate_and_free_at_once() {
    let machine = machine(2, 512);
    let before = machine.free_pages();
    std::thread::scope(|scope| {
        for cpu in 0..4u16 {
            let machine = &machine;
            scope.spawn(move || {
                let memory = Bytes::new();
                let vm = VmId(cpu);
                for round in 0..200u64 {
                    let near = NodeId((cpu % 2) as u8);
                    let size = RunSize::at_least(1 + round % 16).unwrap();
                    let Ok(pages) = machine.allocate(near, size) else {
                        continue;
                    };
                    let run = machine.give_to_guest(pages.zero(&memory), vm, GuestPage(round));
                    if round % 3 != 0 {
                        let owner = Owner::Guest {
                            vm,
                            page: GuestPage(round),
                        };
                        machine.free(machine.take_back(run, owner).unwrap());
                    }
                }
                machine.reclaim(vm);
            });
        }
    });
    assert_eq!(machine.free_pages(), before);
    assert_sound(&machine);
}

proptest! {
    #![proptest_config(crate::cases_of_length(4))]
    #[test]
    fn no_guest_sees_what_another_wrote(
        steps in prop::collection::vec((0u16..4, 1u64..40, any::<bool>()), 1..60),
    ) {
        let machine = machine(2, 128);
        let memory = Bytes::new();
        let mut sizes = [0u64; 4];
        for (vm, count, end) in steps {
            let (id, size) = (VmId(vm), &mut sizes[usize::from(vm)]);
            if end {
                prop_assert_eq!(machine.reclaim(id), *size);
                *size = 0;
                continue;
            }
            let mut got = 0;
            let wanted = (GuestPage(*size), count);
            let done = machine.back(id, wanted, NodeId((vm % 2) as u8), &memory, |_, run| {
                for page in run.pages() {
                    assert_eq!(memory.read(page), [0; BYTES]);
                    memory.write(page, [vm as u8 + 1; BYTES]);
                }
                got += run.count;
            });
            prop_assert_eq!(done.is_ok(), got == count);
            *size += got;
            prop_assert_eq!(machine.free_pages(), 240 - sizes.iter().sum::<u64>());
        }
        prop_assert_eq!(machine.audit().failed(), 0);
    }
}
