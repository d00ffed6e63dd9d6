//! Messages come as they were sent, whatever their fragments and places.

use super::harness::{one, slot, Net};
use crate::machine::simulation::SimulatedMemory;
use disco_abi::{net_link_address, NET_MESSAGE_MAX, NET_MESSAGE_MIN, PAGE_SIZE};

/// Guest memory with a pattern that says where a byte is from, behind a header.
fn patterned(memory: &SimulatedMemory) -> Net<'_> {
    let mut net = Net::new(memory, 2, 8);
    let bytes: Vec<u8> = (0..10 * PAGE_SIZE)
        .map(|at| ((at / 5) ^ (at >> 9)) as u8)
        .collect();
    net.store(0, 0, &bytes);
    net.header(0, net_link_address(1), 0);
    net
}

fn transfer(fragments: &[(u64, u64)], places: &[((u64, u64), &[u64])]) {
    let memory = SimulatedMemory::new(500);
    let mut net = patterned(&memory);
    let mut expected = Vec::new();
    for &(address, bytes) in fragments {
        expected.extend(net.load(0, address, bytes as usize));
    }
    for &(head, pages) in places {
        assert_eq!(net.send(0, &one(fragments)), (1, None), "{fragments:x?}");
        let (bytes, used) = net.receive(1, &slot(head, pages)).unwrap().unwrap();
        assert!(
            bytes == expected,
            "{fragments:x?} into {head:x?} {pages:x?}"
        );
        let sum = used.mapped * PAGE_SIZE + used.copied;
        assert_eq!(sum as usize, expected.len());
    }
    net.end();
}

const EIGHT: &[u64] = &[40, 38, 36, 34, 32, 30, 28, 26];

#[test]
fn every_length_around_a_page() {
    let around = |middle: u64| middle - 2..middle + 3;
    let lengths = (NET_MESSAGE_MIN..80)
        .chain(around(PAGE_SIZE))
        .chain(around(PAGE_SIZE * 2))
        .chain([NET_MESSAGE_MAX - 1, NET_MESSAGE_MAX]);
    for length in lengths {
        transfer(&[(0, length)], &[((0x1fff, 128), EIGHT), ((0, 0), EIGHT)]);
    }
}

#[test]
fn pages_between_odd_pieces() {
    let page = |number| (number * PAGE_SIZE, PAGE_SIZE);
    let places: &[((u64, u64), &[u64])] = &[
        ((PAGE_SIZE - 3, 60), EIGHT),
        ((0, 14), EIGHT),
        ((0, 1), EIGHT),
        ((0, 7 * PAGE_SIZE), &[]),
        ((5, 3), &EIGHT[..7]),
    ];
    transfer(&[(0, 54), page(1), page(2), page(3)], places);
    transfer(
        &[(0, 54), page(1), (77, 5), page(1), (PAGE_SIZE - 1, 2)],
        places,
    );
    transfer(
        &[
            (0, 14),
            page(1),
            (1, 1),
            page(2),
            (1, 1),
            page(3),
            (1, 1),
            page(4),
        ],
        places,
    );
    transfer(&[page(0), (1, 1), (9, 1), page(3)], places);
    transfer(
        &[(0, 2 * PAGE_SIZE), (3, 2 * PAGE_SIZE), (0, 2 * PAGE_SIZE)],
        places,
    );
    transfer(&[(0, 14), (0, 0), (9, 0), (30, 9)], places);
}
