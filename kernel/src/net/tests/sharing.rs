//! Whole pages are shared, and nobody sees what another writes.

use super::harness::{one, slot, Net};
use crate::address::GuestPage;
use crate::machine::simulation::SimulatedMemory;
use crate::machine::VmId;
use crate::net::queue::QUEUE_PAGES;
use disco_abi::{net_link_address, PAGE_SIZE};

const BROADCAST: u64 = 0xffff_ffff_ffff;
const PAGE: usize = PAGE_SIZE as usize;

#[test]
fn a_whole_page_is_one_page_in_both() {
    let memory = SimulatedMemory::new(500);
    let mut net = Net::new(&memory, 2, 8);
    net.header(0, net_link_address(1), 0);
    net.store(0, 2 * PAGE_SIZE, &[7; PAGE]);
    assert_eq!(
        net.send(0, &one(&[(0, 54), (2 * PAGE_SIZE, PAGE_SIZE)])),
        (1, None)
    );
    assert_eq!(net.woken, 1 << 1);
    // The sender writes before the receiver looks.
    net.store(0, 2 * PAGE_SIZE, &[8; 100]);
    let (bytes, used) = net
        .receive(1, &slot((100, 200), &[30, 31]))
        .unwrap()
        .unwrap();
    assert_eq!((used.head, used.pages[0], used.pages[1]), (54, PAGE, 0));
    assert_eq!(bytes[54..], [7; PAGE]);
    let counters = net.subnet.counters(VmId(1)).received;
    assert_eq!(
        (counters.messages, counters.remapped, counters.copied),
        (1, 1, 54)
    );
    net.end();
}

#[test]
fn a_page_that_nobody_writes_stays_shared_when_the_sender_ends() {
    let memory = SimulatedMemory::new(500);
    let mut net = Net::new(&memory, 3, 8);
    net.header(0, BROADCAST, 0);
    net.store(0, PAGE_SIZE, &[9; PAGE]);
    assert_eq!(
        net.send(0, &one(&[(0, 14), (PAGE_SIZE, PAGE_SIZE)])),
        (1, None)
    );
    assert_eq!(net.woken, 0b110);
    for vm in [1, 2] {
        net.receive(vm, &slot((0, 64), &[5])).unwrap().unwrap();
    }
    let page = |net: &Net<'_>, vm: usize, page| net.guests[vm].machine_page(GuestPage(page));
    assert_eq!(page(&net, 0, 1), page(&net, 1, 5));
    assert_eq!(page(&net, 1, 5), page(&net, 2, 5));
    net.reboot(0);
    net.store(1, 5 * PAGE_SIZE, &[1]);
    assert_ne!(page(&net, 1, 5), page(&net, 2, 5));
    assert_eq!(net.load(2, 5 * PAGE_SIZE, PAGE), [9; PAGE]);
    net.end();
}

#[test]
fn what_waits_is_given_up_when_its_receiver_ends() {
    let memory = SimulatedMemory::new(500);
    let mut net = Net::new(&memory, 2, 8);
    net.header(0, net_link_address(1), 0);
    for _ in 0..3 {
        assert_eq!(
            net.send(0, &one(&[(0, 14), (PAGE_SIZE, PAGE_SIZE)])),
            (1, None)
        );
    }
    assert_eq!(net.subnet.pages().count(), 6);
    net.reboot(1);
    assert!(!net.subnet.is_waiting(VmId(1)));
    assert_eq!(memory.used(), 2, "the sender's own");
    // Nothing is kept for one that does not run.
    net.subnet.close(VmId(1), &memory);
    assert_eq!(net.send(0, &one(&[(0, 60)])), (1, None));
    assert_eq!(net.subnet.counters(VmId(1)).received.dropped, 1);
    net.end();
}

#[test]
fn a_queue_is_bounded_in_messages_and_in_pages() {
    let memory = SimulatedMemory::new(2000);
    let mut net = Net::new(&memory, 2, 200);
    net.header(0, net_link_address(1), 0);
    for _ in 0..201 {
        assert_eq!(net.send(0, &one(&[(0, 60)])), (1, None));
    }
    assert_eq!(net.subnet.counters(VmId(1)).received.dropped, 1);
    net.reboot(1);
    let large = one(&[(0, 14), (PAGE_SIZE, 3 * PAGE_SIZE)]);
    for _ in 0..QUEUE_PAGES / 4 + 2 {
        assert_eq!(net.send(0, &large), (1, None));
    }
    assert_eq!(net.subnet.pages().count(), QUEUE_PAGES);
    assert_eq!(net.subnet.counters(VmId(1)).received.dropped, 3);
    net.end();
}

#[test]
fn who_does_not_take_messages_leaves_memory_to_others() {
    let memory = SimulatedMemory::new(100);
    let mut net = Net::new(&memory, 3, 200);
    net.header(0, net_link_address(1), 0);
    for _ in 0..150 {
        assert_eq!(net.send(0, &one(&[(0, 60)])), (1, None));
    }
    let queued = net.subnet.pages().count() as u64;
    let dropped = |net: &Net<'_>, vm| net.subnet.counters(VmId(vm)).received.dropped;
    assert_eq!(net.subnet.counters(VmId(0)).sent.dropped, 0);
    assert_eq!((queued, dropped(&net, 1)), (49, 101));
    // Half of what was there is left, and a first message is kept in any case.
    net.header(0, net_link_address(2), 0);
    for _ in 0..20 {
        assert_eq!(net.send(0, &one(&[(0, 60)])), (1, None));
    }
    assert_eq!(dropped(&net, 2), 0);
    net.end();
}

#[test]
fn without_memory_messages_are_dropped_and_nothing_is_lost() {
    for pages in 1..8 {
        let memory = SimulatedMemory::new(pages);
        let mut net = Net::new(&memory, 2, 8);
        net.header(0, net_link_address(1), 0);
        let sent = net.send(0, &one(&[(0, 14), (PAGE_SIZE, 3 * PAGE_SIZE), (14, 30)]));
        assert_eq!(sent, (1, None));
        // The header's page, three that are lent, and one of the message.
        let dropped = net.subnet.counters(VmId(0)).sent.dropped;
        assert_eq!(dropped, u64::from(pages < 5), "{pages}");
        net.end();
    }
}

#[test]
fn a_message_to_oneself_comes_back() {
    let memory = SimulatedMemory::new(100);
    let mut net = Net::new(&memory, 1, 8);
    net.header(0, net_link_address(0), 0);
    assert_eq!(net.send(0, &one(&[(0, 20)])), (1, None));
    assert_eq!(
        net.receive(0, &slot((64, 20), &[]))
            .unwrap()
            .unwrap()
            .0
            .len(),
        20
    );
    net.end();
}
