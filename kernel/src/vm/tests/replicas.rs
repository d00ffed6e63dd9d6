//! Replicas: each node sees its own, and none when there is none any more.

use super::guest::*;
use super::machine::Access;
use super::pmap::zeroed;
use crate::address::{GuestPage, MachinePage};
use crate::machine::NodeId;
use crate::numa::NodeSet;
use crate::vm::hardware::Hardware;
use crate::vm::pmap::{Backing, Pmap, LINEAR_PIECE};
use crate::vm::trap::Outcome;
use crate::vm::view::View;
use crate::vm::vtlb::{LO_D, LO_V};
use disco_abi::{CSSEG_WINDOW, PAGE_SIZE, XSSEG_WINDOW};
use proptest::prelude::*;
use std::collections::BTreeMap;

const NODES: u8 = 3;
/// Pages of a large page of the windows.
const LARGE: u64 = LINEAR_PIECE / PAGE_SIZE / 2;

fn pmap(pages: u64) -> Pmap<'static> {
    let pieces = pages.div_ceil(2 * LARGE);
    let view = |_| View::new(zeroed(pages), zeroed(pieces));
    let views: Vec<View> = (0..NODES).map(view).collect();
    Pmap::with_views(zeroed(pages), views.leak())
}

/// Machine page and flags that a node's virtual CPUs get.
fn mapped(pmap: &Pmap, node: u8, guest: GuestPage) -> Option<(MachinePage, u64)> {
    let seen = pmap.seen_from(NodeId(node));
    let lo = seen.map(guest, 0x7000_0000);
    assert_eq!(lo, seen.entry_lo(guest));
    let flags = |lo: u32| {
        assert_eq!(lo & 0xc1, 0, "what no TLB may see: {lo:#x}");
        u64::from(lo) & (LO_D | LO_V)
    };
    lo.map(|lo| (MachinePage(u64::from(lo) >> 8), flags(lo)))
}

fn all_replicas(pmap: &Pmap) -> Vec<(GuestPage, NodeId, MachinePage)> {
    let of = |guest: GuestPage| {
        let nodes = pmap.replicas(guest).iter();
        nodes.map(move |node| (guest, node, pmap.replica(guest, node).unwrap()))
    };
    (0..pmap.pages()).map(GuestPage).flat_map(of).collect()
}

#[test]
fn each_node_sees_its_own_replica() {
    let pmap = pmap(4);
    let (page, own, replica) = (GuestPage(2), MachinePage(0x2_0005), MachinePage(0x2_4007));
    pmap.back(page, own);
    assert!(!pmap.add_replica(page, NodeId(1), replica), "writable");
    assert_eq!(mapped(&pmap, 1, page), Some((own, LO_D | LO_V)));
    pmap.exchange(page, Backing::Replicated(own));
    assert_eq!(mapped(&pmap, 1, page), Some((own, LO_V)));
    assert!(pmap.add_replica(page, NodeId(1), replica));
    assert!(!pmap.add_replica(page, NodeId(1), own), "it has one");
    assert!(!pmap.add_replica(page, NodeId(3), replica), "no such node");
    assert!(
        !pmap.add_replica(GuestPage(4), NodeId(0), replica),
        "no such page"
    );
    let expected = [own, replica, own].map(|page| Some((page, LO_V)));
    assert_eq!([0, 1, 2].map(|node| mapped(&pmap, node, page)), expected);
    assert_eq!(pmap.backing(page), Backing::Replicated(own));
    assert_eq!(pmap.machine_page(page), Some(own));
    assert_eq!(pmap.replicas(page), NodeSet::of(NodeId(1)));
    assert_eq!(all_replicas(&pmap), [(page, NodeId(1), replica)]);
    assert_eq!(pmap.give_up_replica(page, NodeId(0)), None);
    assert_eq!(pmap.give_up_replica(page, NodeId(1)), Some(replica));
    assert_eq!(pmap.give_up_replica(page, NodeId(1)), None);
    assert_eq!(mapped(&pmap, 1, page), Some((own, LO_V)));
    assert_eq!(pmap.backing(page), Backing::Replicated(own));
}

#[test]
fn replicas_of_what_was_there_before_are_never_seen() {
    let pmap = pmap(1);
    let page = GuestPage(0);
    pmap.exchange(page, Backing::Shared(MachinePage(1)));
    assert!(pmap.add_replica(page, NodeId(2), MachinePage(2)));
    pmap.exchange(page, Backing::Shared(MachinePage(3)));
    assert!(pmap.add_replica(page, NodeId(1), MachinePage(4)));
    assert_eq!(mapped(&pmap, 2, page), Some((MachinePage(3), LO_V)));
    assert_eq!(mapped(&pmap, 1, page), Some((MachinePage(4), LO_V)));
    assert_eq!(
        pmap.exchange(page, Backing::Nothing),
        Backing::Shared(MachinePage(3))
    );
    assert_eq!(mapped(&pmap, 1, page), None);
    assert_eq!(all_replicas(&pmap), []);
}

#[test]
fn a_map_without_views_has_no_replicas() {
    let pmap = Pmap::new(zeroed(2), zeroed(1));
    pmap.exchange(GuestPage(0), Backing::Shared(MachinePage(1)));
    assert!(!pmap.add_replica(GuestPage(0), NodeId(0), MachinePage(2)));
    assert!(pmap.replicas(GuestPage(0)).is_empty());
    assert_eq!(mapped(&pmap, 5, GuestPage(0)), Some((MachinePage(1), LO_V)));
}

#[test]
fn replicas_in_a_row_are_a_large_page_for_their_node_alone() {
    let pmap = pmap(2 * LARGE);
    let (own, replicas) = (LARGE * 100, LARGE * 200);
    for page in 0..2 * LARGE {
        pmap.back(GuestPage(page), MachinePage(own + page));
    }
    for page in LARGE..2 * LARGE {
        let machine = MachinePage(own + page);
        pmap.exchange(GuestPage(page), Backing::Replicated(machine));
        let replica = MachinePage(replicas + page);
        assert!(pmap.add_replica(GuestPage(page), NodeId(1), replica));
        pmap.build_linear_piece(GuestPage(page));
    }
    let entry = |node| pmap.seen_from(NodeId(node)).linear_entry(0);
    assert_eq!([entry(0).page_mask, entry(2).page_mask], [0; 2]);
    let entry = entry(1);
    assert_ne!(entry.page_mask, 0);
    let page = |lo: u32| (u64::from(lo) >> 8, u64::from(lo) & LO_D);
    assert_eq!(page(entry.lo0), (own, LO_D));
    assert_eq!(page(entry.lo1), (replicas + LARGE, 0));
    // One less, and it is none.
    pmap.give_up_replica(GuestPage(LARGE + 9), NodeId(1));
    pmap.build_linear_piece(GuestPage(LARGE + 9));
    assert_eq!(pmap.seen_from(NodeId(1)).linear_entry(0).page_mask, 0);
    // All its own again, and it is one for all.
    for page in LARGE..2 * LARGE {
        pmap.exchange(GuestPage(page), Backing::Own(MachinePage(own + page)));
    }
    pmap.build_linear_table();
    for node in 0..NODES {
        let entry = pmap.seen_from(NodeId(node)).linear_entry(0);
        assert_eq!(
            [page(entry.lo0), page(entry.lo1)],
            [(own, LO_D), (own + LARGE, LO_D)]
        );
    }
}

#[test]
fn a_store_to_a_replicated_page_is_a_fault_and_a_load_finds_the_replica() {
    const PAGE: u64 = 5;
    for address in [CSSEG_WINDOW, XSSEG_WINDOW].map(|window| window + PAGE * PAGE_SIZE) {
        for shared in [false, true] {
            let mut guest = Guest::new();
            guest.store(PAGE * PAGE_SIZE, 77);
            if shared {
                guest.change(PAGE, 1, Change::Lend);
            }
            guest.access(address, Access::Load);
            let before = guest.machine_address(PAGE * PAGE_SIZE);
            guest.change(PAGE, 1, Change::Replicate);
            let replica = guest.machine_address(PAGE * PAGE_SIZE);
            assert_ne!(replica, before);
            assert_eq!(guest.access(address, Access::Load), End::Machine(replica));
            assert_eq!(guest.machine.load(replica), 77);
            let fault = End::Outcome(Outcome::Unshare(GuestPage(PAGE)));
            assert_eq!(guest.access(address, Access::Store), fault);
            guest.audit();
            guest.change(PAGE, 1, Change::Collapse);
            assert_eq!(guest.access(address, Access::Load), End::Machine(before));
            let stored = if shared { fault } else { End::Machine(before) };
            assert_eq!(guest.access(address, Access::Store), stored);
            guest.audit();
        }
    }
}

proptest! {
    /// Against a plain table of who has what.
    #[test]
    fn every_node_sees_what_a_table_says(
        steps in prop::collection::vec((0u64..3, 0..NODES, 0u8..6), 1..80),
    ) {
        let pmap = pmap(3);
        let mut fresh = 0x100;
        let mut own: BTreeMap<u64, (MachinePage, bool)> = BTreeMap::new();
        let mut replicas: BTreeMap<(u64, u8), MachinePage> = BTreeMap::new();
        for (page, node, step) in steps {
            let guest = GuestPage(page);
            fresh += 1;
            let new = MachinePage(fresh);
            let forget = |replicas: &mut BTreeMap<(u64, u8), MachinePage>| {
                replicas.retain(|(of, _), _| *of != page);
            };
            match step {
                0 => {
                    pmap.exchange(guest, Backing::Own(new));
                    own.insert(page, (new, true));
                    forget(&mut replicas);
                }
                1 => {
                    pmap.exchange(guest, Backing::Shared(new));
                    own.insert(page, (new, false));
                    forget(&mut replicas);
                }
                2 => {
                    pmap.exchange(guest, Backing::Nothing);
                    own.remove(&page);
                    forget(&mut replicas);
                }
                3 => {
                    if let Some((machine, writable)) = own.get_mut(&page).filter(|own| own.1) {
                        pmap.exchange(guest, Backing::Replicated(*machine));
                        *writable = false;
                    }
                }
                4 => {
                    let may = own.get(&page).is_some_and(|own| !own.1);
                    let may = may && !replicas.contains_key(&(page, node));
                    prop_assert_eq!(pmap.add_replica(guest, NodeId(node), new), may);
                    if may {
                        replicas.insert((page, node), new);
                    }
                }
                _ => {
                    let expected = replicas.remove(&(page, node));
                    prop_assert_eq!(pmap.give_up_replica(guest, NodeId(node)), expected);
                }
            }
            for (guest, node) in (0..3).flat_map(|guest| (0..NODES).map(move |node| (guest, node))) {
                let expected = own.get(&guest).map(|&(machine, writable)| {
                    let flags = if writable { LO_D | LO_V } else { LO_V };
                    (replicas.get(&(guest, node)).copied().unwrap_or(machine), flags)
                });
                prop_assert_eq!(mapped(&pmap, node, GuestPage(guest)), expected);
            }
            let all = replicas.iter().map(|(&(guest, node), &page)| (GuestPage(guest), NodeId(node), page));
            prop_assert_eq!(all_replicas(&pmap), all.collect::<Vec<_>>());
        }
    }
}
