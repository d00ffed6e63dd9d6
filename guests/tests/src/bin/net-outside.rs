//! Through the gateway: the address of the router outside (ARP), and an echo (ICMP) with a checksum
//! that the gateway computes.
#![no_std]
#![no_main]

use disco_test_guests::abi::{BootInfo, NetInfo, Segment, PAGE_SIZE};
use disco_test_guests::subnet::{
    self, byte, fill, header, number, set_byte, set_header, slot, List, BROADCAST, HEADER,
};
use disco_test_guests::FREE_MEMORY;

disco_test_guests::guest!(run);

/// The end of a page, so that a fragment crosses into the next.
const FRAME: u64 = FREE_MEMORY + PAGE_SIZE - 50;
const HEADS: u64 = FREE_MEMORY + (1 << 20);
const PAGES: u64 = FREE_MEMORY + (2 << 20);
const ARP: u16 = 0x0806;
const IP: u16 = 0x0800;
/// Bytes of an IP header without options, and of an ICMP header.
const IP_HEADER: u64 = 20;
const ICMP_HEADER: u64 = 8;
const ICMP: u64 = 1;
const ECHO: u64 = 8;
const PAYLOAD: u64 = 1400;

fn run(_: &'static BootInfo) {
    let own = subnet::info();
    let router = resolve(&own);
    echo(&own, router);
}

/// Stores a number of `bytes` bytes.
fn set(address: u64, bytes: u64, value: u64) {
    for at in 0..bytes {
        set_byte(address + at, (value >> (8 * (bytes - 1 - at))) as u8);
    }
}

fn send(bytes: u64, checksum: u64) {
    let mut list = List::new().add(&[Segment {
        address: FRAME,
        bytes,
    }]);
    list.words()[1] = checksum;
    assert_eq!(list.send(), 1);
}

/// Waits for a frame for which `wanted` holds, at `HEADS`.
fn receive(wanted: impl Fn(u64) -> bool) {
    let head = Segment {
        address: HEADS,
        bytes: 2000,
    };
    loop {
        let mut slot = slot(head, PAGES);
        subnet::receive_one(&mut slot);
        assert!(subnet::length(&slot) <= 1514);
        if wanted(slot.head_used) {
            return;
        }
    }
}

/// The link-level address of the gateway.
fn resolve(own: &NetInfo) -> u64 {
    set_header(FRAME, BROADCAST, own.mac, ARP);
    let body = FRAME + HEADER;
    // Ethernet, IPv4, their lengths, a request.
    set(body, 8, 0x0001_0800_0604_0001);
    set(body + 8, 6, own.mac);
    set(body + 14, 4, own.address);
    set(body + 18, 6, 0);
    set(body + 24, 4, own.gateway);
    send(60, 0);
    let answer = HEADS + HEADER;
    receive(|_| header(HEADS).2 == ARP.into() && number(answer + 6, 2) == 2);
    let (to, from, _) = header(HEADS);
    assert_eq!(to, own.mac);
    assert_eq!(number(answer + 14, 4), own.gateway);
    assert_eq!(number(answer + 8, 6), from);
    from
}

fn echo(own: &NetInfo, router: u64) {
    set_header(FRAME, router, own.mac, IP);
    let ip = FRAME + HEADER;
    let icmp = ip + IP_HEADER;
    set(ip, 2, 0x4500);
    set(ip + 2, 2, IP_HEADER + ICMP_HEADER + PAYLOAD);
    set(ip + 4, 4, 0x1234_0000);
    set(ip + 8, 4, 64 << 24 | ICMP << 16);
    set(ip + 12, 4, own.address);
    set(ip + 16, 4, own.gateway);
    set(ip + 10, 2, u64::from(!sum(ip, IP_HEADER)));
    set(icmp, 4, ECHO << 24);
    set(icmp + 4, 4, 0xd15c_0001);
    fill(icmp + ICMP_HEADER, PAYLOAD, 3);
    let start = HEADER + IP_HEADER;
    send(start + ICMP_HEADER + PAYLOAD, (start + 2) << 32 | start);
    let answer = HEADS + start;
    receive(|length| length == start + ICMP_HEADER + PAYLOAD && number(answer, 1) == 0);
    assert_eq!(number(HEADS + HEADER + 12, 4), own.gateway);
    assert_eq!(number(answer + 4, 4), 0xd15c_0001);
    assert_eq!(sum(answer, ICMP_HEADER + PAYLOAD), 0xffff, "its checksum");
    for at in 0..PAYLOAD {
        let (is, was) = (
            byte(answer + ICMP_HEADER + at),
            byte(icmp + ICMP_HEADER + at),
        );
        assert_eq!(is, was, "byte {at}");
    }
}

/// The one's complement sum of 16-bit words.
fn sum(address: u64, bytes: u64) -> u16 {
    let words = (0..bytes).step_by(2).map(|at| number(address + at, 2));
    let sum: u64 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    ((folded & 0xffff) + (folded >> 16)) as u16
}
