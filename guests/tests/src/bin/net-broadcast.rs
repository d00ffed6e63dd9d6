//! Broadcasts among three virtual machines: each gets those of both others, in order, none of its own,
//! and none in another's name, though each tries.
#![no_std]
#![no_main]

use disco_test_guests::abi::{BootInfo, NetError, Segment, PAGE_SIZE};
use disco_test_guests::subnet::{
    self, fill, header, pattern, peer, set_byte, set_header, slot, List, BROADCAST, HEADER,
};
use disco_test_guests::{time, FREE_MEMORY};

disco_test_guests::guest!(run);

const FRAME: u64 = FREE_MEMORY;
const BODY: u64 = FREE_MEMORY + (1 << 20);
const HEADS: u64 = FREE_MEMORY + (2 << 20);
const PAGES: u64 = FREE_MEMORY + (3 << 20);
/// "I run"; "I have heard both"; then messages with their number behind the header.
const HELLO: u16 = 0x88b5;
const READY: u16 = 0x88b6;
const DATA: u16 = 0x88b7;
const FORGED: u16 = 0x88b8;
const VMS: usize = 3;
/// Both others' messages fit into a queue.
const MESSAGES: u64 = 40;

struct State {
    own: usize,
    peers: [u64; VMS],
    heard: [bool; VMS],
    ready: [bool; VMS],
    messages: [u64; VMS],
}

fn run(_: &'static BootInfo) {
    let peers = core::array::from_fn(|number| peer(number as u64).expect("a peer").mac);
    assert!(peer(VMS as u64).is_none());
    let mac = subnet::info().mac;
    let own = peers.iter().position(|&peer| peer == mac).expect("itself");
    let mut state = State {
        own,
        peers,
        heard: [false; VMS],
        ready: [false; VMS],
        messages: [0; VMS],
    };
    state.heard[own] = true;
    state.ready[own] = true;
    while state.heard != [true; VMS] {
        state.send(HELLO, &[]);
        let start = time::count();
        while state.heard != [true; VMS] && time::since(start) < 1_000_000 {
            state.receive();
        }
    }
    state.send(READY, &[]);
    while state.ready != [true; VMS] {
        subnet::wait();
        state.receive();
    }
    state.exchange();
}

impl State {
    fn send(&self, kind: u16, body: &[Segment]) {
        set_header(FRAME, BROADCAST, self.peers[self.own], kind);
        let mut fragments = [Segment {
            address: FRAME,
            bytes: HEADER + 2,
        }; 3];
        fragments[1..=body.len()].copy_from_slice(body);
        let list = List::new().add(&fragments[..=body.len()]);
        assert_eq!(list.send(), 1);
    }

    fn forge(&self) {
        let other = self.peers[(self.own + 1) % VMS];
        set_header(FRAME, BROADCAST, other, FORGED);
        let frame = Segment {
            address: FRAME,
            bytes: 60,
        };
        assert_eq!(List::new().add(&[frame]).send(), NetError::NotYours as i64);
    }

    fn exchange(&mut self) {
        for number in 0..MESSAGES {
            fill(BODY, PAGE_SIZE, number);
            set_byte(FRAME + HEADER, number as u8);
            let page = Segment {
                address: BODY,
                bytes: PAGE_SIZE,
            };
            let part = Segment {
                address: BODY + 100,
                bytes: 100,
            };
            self.send(DATA, &[if number % 2 == 0 { page } else { part }]);
            self.forge();
        }
        self.messages[self.own] = MESSAGES;
        while self.messages != [MESSAGES; VMS] {
            subnet::wait();
            self.receive();
        }
    }

    /// Receives one message, if there is one.
    fn receive(&mut self) {
        let head = Segment {
            address: HEADS,
            bytes: 200,
        };
        let mut slot = slot(head, PAGES);
        if subnet::receive(core::slice::from_mut(&mut slot)) == 0 {
            return;
        }
        let (to, from, kind) = header(HEADS);
        assert_eq!(to, BROADCAST);
        let from = self
            .peers
            .iter()
            .position(|&peer| peer == from)
            .expect("a peer");
        assert_ne!(from, self.own, "one's own");
        self.heard[from] = true;
        match kind as u16 {
            HELLO => {}
            READY => self.ready[from] = true,
            DATA => self.data(from, &slot),
            _ => panic!("kind {kind:#x}"),
        }
    }

    fn data(&mut self, from: usize, slot: &disco_test_guests::abi::NetSlot) {
        let number = self.messages[from];
        assert_eq!(subnet::byte(HEADS + HEADER), number as u8, "in order");
        self.messages[from] += 1;
        let (place, bytes, offset) = match number % 2 {
            0 => (PAGES, slot.page_used[0], 0),
            _ => (HEADS + HEADER + 2, slot.head_used - HEADER - 2, 100),
        };
        assert_eq!(bytes, [PAGE_SIZE, 100][number as usize % 2]);
        for at in 0..bytes {
            assert_eq!(subnet::byte(place + at), pattern(number, offset + at));
        }
    }
}
