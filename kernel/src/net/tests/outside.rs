//! The gateway.

use super::harness::{header, list, one, slot, Card, Net};
use crate::machine::simulation::SimulatedMemory;
use crate::machine::VmId;
use crate::net::switch::Woken;
use crate::net::Refused;
use disco_abi::{net_link_address, Segment, NET_OUTSIDE_MAX, PAGE_SIZE};

const ROUTER: u64 = 0x5255_0a61_0002;
const BROADCAST: u64 = 0xffff_ffff_ffff;

fn with_card(memory: &SimulatedMemory) -> Net<'_> {
    let mut net = Net::new(memory, 3, 8);
    net.card = Some(Card::default());
    net
}

fn sent(net: &Net<'_>) -> usize {
    net.card.as_ref().unwrap().sent.len()
}

#[test]
fn frames_for_nobody_here_leave() {
    let memory = SimulatedMemory::new(100);
    let mut net = with_card(&memory);
    net.header(0, ROUTER, 0);
    net.store(0, PAGE_SIZE - 5, b"scattered");
    let frame = one(&[(0, 14), (PAGE_SIZE - 5, 9), (0, NET_OUTSIDE_MAX - 23)]);
    assert_eq!(net.send(0, &frame), (1, None));
    let left = &net.card.as_ref().unwrap().sent[0];
    assert_eq!(left.len() as u64, NET_OUTSIDE_MAX);
    assert_eq!(left[..14], header(ROUTER, net_link_address(0)));
    assert_eq!(&left[14..23], b"scattered");
    net.store(0, 64, &header(net_link_address(3), net_link_address(0)));
    let nobody = one(&[(64, 60)]);
    assert_eq!(net.send(0, &nobody), (0, Some(Refused::NoReceiver)));
    let frame = one(&[(0, NET_OUTSIDE_MAX + 1)]);
    assert_eq!(net.send(0, &frame), (0, Some(Refused::TooLong)));
    assert_eq!(net.woken, 0);
    net.card.as_mut().unwrap().is_full = true;
    assert_eq!(net.send(0, &one(&[(0, 60)])), (1, None));
    let outside = net.subnet.outside().received;
    assert_eq!((outside.messages, outside.dropped), (1, 1));
    net.end();
}

#[test]
fn broadcasts_go_to_all_and_leave_if_they_may() {
    let memory = SimulatedMemory::new(100);
    let mut net = with_card(&memory);
    net.header(0, BROADCAST, 0);
    assert_eq!(net.send(0, &one(&[(0, 60)])), (1, None));
    assert_eq!((net.woken, sent(&net)), (0b110, 1));
    assert_eq!(net.send(0, &one(&[(0, 2000)])), (1, None));
    assert_eq!(sent(&net), 1);
    for vm in [1, 2] {
        assert_eq!(
            net.receive(vm, &slot((0, 60), &[]))
                .unwrap()
                .unwrap()
                .0
                .len(),
            60
        );
        assert_eq!(
            net.receive(vm, &slot((0, 2000), &[]))
                .unwrap()
                .unwrap()
                .0
                .len(),
            2000
        );
    }
    net.header(0, net_link_address(2), 0);
    assert_eq!(net.send(0, &one(&[(0, 60)])), (1, None));
    assert_eq!((net.woken, sent(&net)), (0b100, 1), "one of us");
    net.end();
}

#[test]
fn a_checksum_is_computed_for_frames_that_leave() {
    let memory = SimulatedMemory::new(100);
    let mut net = with_card(&memory);
    net.header(0, ROUTER, 0);
    net.store(0, 14, &[0x12; 40]);
    let fragments = vec![Segment {
        address: 0,
        bytes: 54,
    }];
    assert_eq!(net.send(0, &list(&[(fragments, 50 << 32 | 34)])), (1, None));
    let left = &net.card.as_ref().unwrap().sent[0];
    // Ten words 0x1212, of which one is the place, with what was summed before.
    assert_eq!(left[50..52], (!(0x1212u16 * 10)).to_be_bytes());
    net.end();
}

#[test]
fn frames_from_outside_come_to_whom_they_are_for() {
    let memory = SimulatedMemory::new(100);
    let mut net = with_card(&memory);
    let mut frame = vec![3; 200];
    frame[..14].copy_from_slice(&header(net_link_address(1), ROUTER));
    assert_eq!(net.subnet.receive_outside(&frame, &memory), Woken(0b10));
    assert_eq!(
        net.receive(1, &slot((0, 1000), &[])).unwrap().unwrap().0,
        frame
    );
    frame[..14].copy_from_slice(&header(BROADCAST, ROUTER));
    assert_eq!(net.subnet.receive_outside(&frame, &memory), Woken(0b111));
    frame[..14].copy_from_slice(&header(net_link_address(9), ROUTER));
    assert_eq!(
        net.subnet.receive_outside(&frame, &memory),
        Woken(0),
        "nobody"
    );
    frame[..14].copy_from_slice(&header(BROADCAST, net_link_address(1)));
    assert_eq!(
        net.subnet.receive_outside(&frame, &memory),
        Woken(0),
        "not from there"
    );
    for length in [0, 13, 1515] {
        let frame = vec![0xff; length];
        assert_eq!(net.subnet.receive_outside(&frame, &memory), Woken(0));
    }
    assert_eq!(net.subnet.outside().sent.dropped, 3);
    net.subnet.close(VmId(1), &memory);
    frame[..14].copy_from_slice(&header(net_link_address(1), ROUTER));
    assert_eq!(
        net.subnet.receive_outside(&frame, &memory),
        Woken(0),
        "it does not run"
    );
    net.end();
}
