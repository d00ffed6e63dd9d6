//! Shared pages and promises against a model.

use super::super::tests::{assert_sound, machine, Bytes};
use super::super::{Machine, NoMemory, NodeId, Owner, PageRange, RunSize, VmId};
use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

const VM: VmId = VmId(3);

fn new_page(machine: &Machine) -> PageRef {
    let page = machine.allocate_spare(NodeId(0), RunSize::ONE).unwrap();
    machine.share_new(page).unwrap()
}

fn guest_page(machine: &Machine, at: u64) -> MachinePage {
    let pages = machine.allocate(NodeId(0), RunSize::ONE).unwrap();
    machine
        .give_to_guest(pages.zero(&Bytes::new()), VM, GuestPage(at))
        .first
}

#[test]
fn the_last_user_frees_the_page() {
    let machine = machine(1, 64);
    let first = new_page(&machine);
    let second = machine.share(&first);
    assert_eq!((machine.users(&first), machine.free_pages()), (2, 55));
    assert_eq!(machine.owner(first.page()), Some(Owner::Shared));
    machine.release(first);
    assert_eq!((machine.users(&second), machine.free_pages()), (1, 55));
    let page = second.page();
    machine.release(second);
    assert_eq!((machine.users_of(page), machine.free_pages()), (0, 56));
    assert_sound(&machine);
}

#[test]
fn a_guests_page_is_lent_and_becomes_its_own_again() {
    let machine = machine(1, 64);
    let page = guest_page(&machine, 7);
    assert!(machine.share_guest(page, VmId(4), GuestPage(7)).is_err());
    let lent = machine.share_guest(page, VM, GuestPage(7)).unwrap();
    assert_eq!(machine.users(&lent), 2);
    // The reference that the virtual machine's pmap is.
    let own = machine.own(PageRef::counted(page), VM, GuestPage(7));
    let own = own.unwrap_err();
    machine.release(lent);
    assert_eq!(machine.own(own, VM, GuestPage(7)), Ok(page));
    let owner = Owner::Guest {
        vm: VM,
        page: GuestPage(7),
    };
    assert_eq!(
        (machine.owner(page), machine.users_of(page)),
        (Some(owner), 0)
    );
    assert_sound(&machine);
}

#[test]
fn a_copy_has_the_bytes_and_the_owner() {
    let (machine, memory) = (machine(1, 64), Bytes::new());
    let from = guest_page(&machine, 2);
    memory.write(from, [9; 64]);
    let pages = machine.allocate(NodeId(0), RunSize::ONE).unwrap();
    let copy = machine.give_copy(pages, from, VM, GuestPage(2), &memory);
    assert_eq!(memory.read(copy), [9; 64]);
    let owner = machine.owner(copy).and_then(Owner::vm);
    assert_eq!(owner, Some(VM));
}

#[test]
fn the_audit_compares_users_with_those_found() {
    let machine = machine(2, 64);
    let page = new_page(&machine);
    let more = machine.share(&page);
    let failures = |found: u32| {
        let mut audit = Audit::new();
        machine.audit_users_begin();
        for before in 0..found {
            assert_eq!(machine.audit_user(page.page()), before);
        }
        machine.audit_users_end(&mut audit);
        audit.failures().collect::<Vec<_>>()
    };
    assert_eq!(failures(2), []);
    assert_eq!(failures(1), [MachineFailure::Users(page.page(), 2, 1)]);
    machine.release(more);
    assert_eq!(failures(1), []);
    let node = machine.node_of(page.page()).unwrap();
    // Nobody's page may have users.
    let at = PageRange::new(page.page(), 1);
    node.memmap()
        .change_run(at, Owner::Shared, Owner::Payload)
        .unwrap();
    let entry = MachineFailure::Entry(page.page());
    assert_eq!(machine.audit().failures().next(), Some(entry));
}

#[test]
fn promised_pages_are_for_virtual_machines() {
    let machine = machine(2, 64);
    assert_eq!(machine.promise(113), Err(NoMemory));
    machine.promise(110).unwrap();
    assert_eq!((machine.spare(), machine.promised()), (2, 110));
    let cache = [new_page(&machine), new_page(&machine)];
    let refused = machine.allocate_spare(NodeId(0), RunSize::ONE);
    assert_eq!(refused.unwrap_err(), NoMemory);
    // Of a virtual machine that is promised them.
    for at in 0..110 {
        guest_page(&machine, at);
        machine.fulfil(1);
    }
    assert_eq!((machine.free_pages(), machine.promised()), (0, 0));
    for page in cache {
        machine.release(page);
    }
    assert_eq!(machine.spare(), 2);
}

#[test]
fn references_are_made_and_ended_by_many_cpus_at_once() {
    let machine = machine(1, 64);
    let page = new_page(&machine);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let mine = machine.share(&page);
            let machine = &machine;
            scope.spawn(move || {
                let mut held = vec![mine];
                for round in 0..5000 {
                    match round % 3 {
                        0 | 1 => held.push(machine.share(&held[0])),
                        _ if held.len() > 1 => machine.release(held.pop().unwrap()),
                        _ => {}
                    }
                    if held.len() > 8 {
                        held.drain(1..).for_each(|page| machine.release(page));
                    }
                }
                held.into_iter().for_each(|page| machine.release(page));
            });
        }
    });
    assert_eq!(machine.users(&page), 1);
    assert!(machine.take_sole(page).is_ok());
}

#[test]
fn cpus_do_not_take_what_is_promised_to_others() {
    let machine = machine(1, 64);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let machine = &machine;
            scope.spawn(move || {
                for round in 0..2000 {
                    let wanted = 1 + round % 20;
                    if machine.promise(wanted).is_err() {
                        continue;
                    }
                    // Nobody can have taken them.
                    let pages: Vec<_> = (0..wanted)
                        .map(|_| machine.allocate(NodeId(0), RunSize::ONE).unwrap())
                        .inspect(|_| machine.fulfil(1))
                        .collect();
                    let spare = machine.allocate_spare(NodeId(0), RunSize::ONE);
                    pages
                        .into_iter()
                        .chain(spare)
                        .for_each(|page| machine.free(page));
                }
            });
        }
    });
    assert_eq!((machine.free_pages(), machine.promised()), (56, 0));
}

/// What the model knows of a shared page: the references to it that tests hold.
type Model = BTreeMap<u64, Vec<PageRef>>;

fn nth(model: &Model, choice: usize) -> Option<u64> {
    model.keys().nth(choice % model.len().max(1)).copied()
}

proptest! {
    #![proptest_config(crate::cases_of_length(4))]
    #[test]
    fn counts_are_those_of_the_model(steps in prop::collection::vec((0u8..6, any::<usize>()), 1..200)) {
        let machine = machine(2, 40);
        let free = machine.free_pages();
        let (mut model, mut own) = (Model::new(), Vec::new());
        for (step, choice) in steps {
            let page = nth(&model, choice);
            match (step, page) {
                (0, _) => if let Ok(pages) = machine.allocate_spare(NodeId(0), RunSize::ONE) {
                    let page = machine.share_new(pages).unwrap();
                    prop_assert!(model.insert(page.page().0, vec![page]).is_none());
                },
                (1, _) => if let Some(at) = own.pop() {
                    let page: MachinePage = at;
                    let lent = machine.share_guest(page, VM, GuestPage(0)).unwrap();
                    model.insert(page.0, vec![lent, PageRef::counted(page)]);
                },
                (2, Some(page)) => {
                    let held = model.get_mut(&page).unwrap();
                    held.push(machine.share(&held[0]));
                }
                (3 | 4, Some(page)) => {
                    let held = model.get_mut(&page).unwrap();
                    machine.release(held.pop().unwrap());
                    if held.is_empty() {
                        model.remove(&page);
                    }
                }
                (_, Some(page)) => {
                    let mut held = model.remove(&page).unwrap();
                    match machine.own(held.pop().unwrap(), VM, GuestPage(0)) {
                        Ok(page) => {
                            prop_assert!(held.is_empty());
                            own.push(page);
                        }
                        Err(back) => {
                            prop_assert!(!held.is_empty());
                            held.push(back);
                            model.insert(page, held);
                        }
                    }
                }
                _ => {}
            }
            for (&page, held) in &model {
                prop_assert_eq!(machine.users(&held[0]), held.len() as u32);
                prop_assert_eq!(machine.owner(MachinePage(page)), Some(Owner::Shared));
            }
            prop_assert_eq!(machine.free_pages() as usize, free as usize - model.len() - own.len());
        }
        prop_assert_eq!(machine.audit().failed(), 0);
    }
}
