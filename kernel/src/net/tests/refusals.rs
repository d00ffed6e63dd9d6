//! What is refused, and how.

use super::harness::{header, list, one, slot, Net, GUEST_BYTES};
use crate::machine::simulation::SimulatedMemory;
use crate::machine::VmId;
use crate::net::Refused;
use disco_abi::{net_link_address, Segment, NET_MESSAGE_MAX, PAGE_SIZE};

const TO: u64 = 1;

#[test]
fn bad_lists_are_refused() {
    let memory = SimulatedMemory::new(500);
    let mut net = Net::new(&memory, 2, 8);
    net.header(0, net_link_address(TO), 0);
    let cases: &[(&[(u64, u64)], Refused)] = &[
        (&[(0, 14), (GUEST_BYTES, 1)], Refused::Address),
        (&[(0, 14), (GUEST_BYTES - 1, 2)], Refused::Address),
        (&[(0, 14), (u64::MAX - 10, 100)], Refused::Address),
        (&[(0, 14), (8, u64::MAX)], Refused::Address),
        (&[(0, 14), (u64::MAX, u64::MAX)], Refused::Address),
        (&[], Refused::TooShort),
        (&[(0, 13)], Refused::TooShort),
        (&[(0, 0), (u64::MAX, 0)], Refused::TooShort),
        (&[(0, NET_MESSAGE_MAX + 1)], Refused::TooLong),
        (
            &[(0, 14), (0, GUEST_BYTES), (0, GUEST_BYTES)],
            Refused::TooLong,
        ),
        (&[(0, 1); 21], Refused::Argument),
    ];
    for &(fragments, refused) in cases {
        assert_eq!(
            net.send(0, &one(fragments)),
            (0, Some(refused)),
            "{fragments:x?}"
        );
    }
    let whole = one(&[(0, 14), (64, 20)]);
    for length in 1..whole.len() {
        assert_eq!(
            net.send(0, &whole[..length]),
            (0, Some(Refused::Argument)),
            "{length}"
        );
    }
    assert_eq!(net.send(0, &whole), (1, None));
    assert_eq!(net.send(0, &[]), (0, None));
    net.end();
}

#[test]
fn a_checksum_lies_within_its_message() {
    let memory = SimulatedMemory::new(500);
    let mut net = Net::new(&memory, 2, 8);
    net.header(0, net_link_address(TO), 0);
    let fragments = vec![Segment {
        address: 0,
        bytes: 60,
    }];
    for (field, refused) in [
        (50 << 32 | 34, None),
        (58 << 32 | 60, None),
        (u64::MAX, None),
        (59 << 32 | 34, Some(Refused::Argument)),
        (50 << 32 | 61, Some(Refused::Argument)),
        (u64::MAX - 1, Some(Refused::Argument)),
    ] {
        let sent = net.send(0, &list(&[(fragments.clone(), field)]));
        assert_eq!(sent.1, refused, "{field:#x}");
    }
    net.end();
}

#[test]
fn a_list_ends_at_its_first_bad_message() {
    let memory = SimulatedMemory::new(500);
    let mut net = Net::new(&memory, 2, 64);
    net.header(0, net_link_address(TO), 0);
    net.store(0, 100, &header(net_link_address(TO), net_link_address(1)));
    let message = |address, bytes| (vec![Segment { address, bytes }], 0);
    let (good, theirs, short) = (message(0, 60), message(100, 60), message(0, 3));
    for (before, bad, refused) in [
        (1, &theirs, Refused::NotYours),
        (20, &theirs, Refused::NotYours),
        (16, &short, Refused::TooShort),
        (17, &short, Refused::TooShort),
    ] {
        let mut messages = vec![good.clone(); before];
        messages.extend([bad.clone(), good.clone()]);
        assert_eq!(
            net.send(0, &list(&messages)),
            (before as u64, Some(refused))
        );
    }
    net.end();
}

#[test]
fn each_kind_is_told_once_until_the_sender_starts_again() {
    let memory = SimulatedMemory::new(10);
    let mut net = Net::new(&memory, 2, 8);
    for _ in 0..2 {
        assert!(net.subnet.tells(VmId(0), Refused::NotYours));
        assert!(!net.subnet.tells(VmId(0), Refused::NotYours));
        assert!(net.subnet.tells(VmId(0), Refused::Argument));
        assert!(net.subnet.tells(VmId(1), Refused::NotYours));
        net.reboot(0);
        net.reboot(1);
    }
}

#[test]
fn addresses_are_checked() {
    let memory = SimulatedMemory::new(500);
    let mut net = Net::new(&memory, 3, 8);
    let (own, other) = (net_link_address(0), net_link_address(1));
    let broadcast = 0xffff_ffff_ffff;
    for (to, from, refused) in [
        (other, own, None),
        (other, other, Some(Refused::NotYours)),
        (broadcast, other, Some(Refused::NotYours)),
        (broadcast, 0, Some(Refused::NotYours)),
        (net_link_address(3), own, Some(Refused::NoReceiver)),
        (0x5255_0a61_0002, own, Some(Refused::NoReceiver)),
        (0, own, Some(Refused::NoReceiver)),
        (broadcast, own, None),
        (0x3333_0000_0001, own, None),
    ] {
        net.store(0, 0, &header(to, from));
        let sent = net.send(0, &one(&[(0, 60)]));
        assert_eq!(sent.1, refused, "{from:x} to {to:x}");
    }
    net.end();
}

#[test]
fn bad_places_are_refused_and_lose_nothing() {
    let memory = SimulatedMemory::new(500);
    let mut net = Net::new(&memory, 2, 8);
    net.header(0, net_link_address(TO), 0);
    assert_eq!(
        net.send(0, &one(&[(0, 60), (PAGE_SIZE, PAGE_SIZE)])),
        (1, None)
    );
    let mut unaligned = slot((0, 60), &[20]);
    unaligned[16..24].copy_from_slice(&(20 * PAGE_SIZE + 8).to_be_bytes());
    let last = GUEST_BYTES / PAGE_SIZE;
    let cases = [
        (unaligned, Refused::Argument),
        (slot((0, 60), &[20, 20]), Refused::Argument),
        (slot((0, 60), &[0]), Refused::Argument),
        (slot((20 * PAGE_SIZE - 30, 60), &[20]), Refused::Argument),
        (slot((0, 60), &[last]), Refused::Address),
        (slot((GUEST_BYTES - 59, 60), &[20]), Refused::Address),
        (slot((u64::MAX, 60), &[20]), Refused::Address),
        (slot((4, u64::MAX), &[20]), Refused::Address),
        (slot((0, 60), &[20])[..20].to_vec(), Refused::Argument),
    ];
    for (slot, refused) in cases {
        assert_eq!(net.receive(1, &slot).unwrap_err(), refused, "{slot:x?}");
    }
    let (bytes, used) = net.receive(1, &slot((0, 60), &[20])).unwrap().unwrap();
    assert_eq!((bytes.len(), used.mapped, used.copied), (60 + 16384, 1, 60));
    assert_eq!(net.receive(1, &slot((0, 60), &[20])), Ok(None));
    net.end();
}

#[test]
fn messages_that_do_not_fit_are_dropped_and_the_next_one_comes() {
    let memory = SimulatedMemory::new(500);
    let mut net = Net::new(&memory, 2, 8);
    net.header(0, net_link_address(TO), 0);
    let large = one(&[(0, 60), (PAGE_SIZE, PAGE_SIZE)]);
    for small in [
        slot((0, 59), &[]),
        slot((0, 60), &[]),
        slot((0, 59 + PAGE_SIZE), &[]),
    ] {
        assert_eq!(net.send(0, &large), (1, None));
        assert_eq!(net.send(0, &one(&[(0, 40)])), (1, None));
        let (bytes, _) = net.receive(1, &small).unwrap().unwrap();
        assert_eq!(bytes.len(), 40);
    }
    assert_eq!(net.subnet.counters(VmId(1)).received.dropped, 3);
    net.end();
}
