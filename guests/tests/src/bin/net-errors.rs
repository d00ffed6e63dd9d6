//! What the subnet refuses, and that nothing is lost by it. Messages go to the sender itself.
#![no_std]
#![no_main]

use disco_test_guests::abi::{
    BootInfo, Call, CallError, NetError, Segment, NET_LIST_MAX, NET_MESSAGE_MAX, NET_OUTSIDE_MAX,
    PAGE_SIZE,
};
use disco_test_guests::calls::{call, raw};
use disco_test_guests::subnet::{
    self, header, pattern, set_header, slot, List, BROADCAST, HEADER, WAITING,
};
use disco_test_guests::{cp0, FREE_MEMORY};

disco_test_guests::guest!(run);

const FRAME: u64 = FREE_MEMORY;
const HEADS: u64 = FREE_MEMORY + (1 << 20);
const PAGES: u64 = FREE_MEMORY + (2 << 20);
const KIND: u16 = 0x88b5;

fn run(boot: &'static BootInfo) {
    let own = subnet::info().mac;
    calls(boot.memory);
    addresses(own);
    lists(own, boot.memory);
    half_good(own);
    overlapping(own);
    places(own, boot.memory);
    assert!(!waiting());
}

fn waiting() -> bool {
    cp0::reg::CAUSE.read() & WAITING != 0
}

fn segment(address: u64, bytes: u64) -> Segment {
    Segment { address, bytes }
}

fn calls(memory: u64) {
    for place in [memory, memory - 8, u64::MAX, 1 << 63] {
        assert_eq!(
            call(Call::NetInfo, [place, 0, 0, 0]),
            Err(CallError::BadAddress)
        );
        assert_eq!(
            call(Call::NetPeer, [0, place, 0, 0]),
            Err(CallError::BadAddress)
        );
        assert_eq!(
            call(Call::NetSend, [place, 32, 0, 0]),
            Err(CallError::BadAddress)
        );
        assert_eq!(
            call(Call::NetReceive, [place, 1, 0, 0]),
            Err(CallError::BadAddress)
        );
    }
    for number in [64, 1 << 40, u64::MAX] {
        assert_eq!(call(Call::NetPeer, [number, HEADS, 0, 0]), Ok(0));
        assert_eq!(
            call(Call::NetReceive, [HEADS, number, 0, 0]),
            Err(CallError::BadArgument)
        );
    }
    for bytes in [NET_LIST_MAX + 1, 1 << 40, u64::MAX] {
        assert_eq!(
            call(Call::NetSend, [HEADS, bytes, 0, 0]),
            Err(CallError::BadArgument)
        );
    }
    assert_eq!(
        call(Call::NetSend, [u64::MAX, 0, 0, 0]),
        Ok(0),
        "nothing to send"
    );
    assert_eq!(
        call(Call::NetReceive, [u64::MAX, 0, 0, 0]),
        Ok(0),
        "no place"
    );
}

fn send(fragments: &[Segment]) -> i64 {
    List::new().add(fragments).send()
}

fn addresses(own: u64) {
    let nobody = NetError::NoReceiver as i64;
    let not_yours = NetError::NotYours as i64;
    for (to, from, result) in [
        (own, own + 1, not_yours),
        (BROADCAST, own ^ 1, not_yours),
        (own, 0, not_yours),
        (BROADCAST, BROADCAST, not_yours),
        (own + 1, own, nobody),
        (own + 63, own, nobody),
        (BROADCAST, own, 1),
        (0x3333_0000_0001, own, 1),
    ] {
        set_header(FRAME, to, from, KIND);
        assert_eq!(send(&[segment(FRAME, 60)]), result, "{from:x} to {to:x}");
    }
    assert!(!waiting(), "to all but the sender");
    let router = 0x5255_0a61_0002;
    set_header(FRAME, router, own, KIND);
    let long = NetError::TooLong as i64;
    assert_eq!(send(&[segment(FRAME, NET_OUTSIDE_MAX)]), 1);
    assert_eq!(send(&[segment(FRAME, NET_OUTSIDE_MAX + 1)]), long);
}

fn lists(own: u64, memory: u64) {
    set_header(FRAME, own, own, KIND);
    let (bad, outside) = (CallError::BadArgument as i64, CallError::BadAddress as i64);
    let (short, long) = (NetError::TooShort as i64, NetError::TooLong as i64);
    let frame = segment(FRAME, HEADER);
    let cases: &[(&[Segment], i64)] = &[
        (&[frame, segment(memory, 1)], outside),
        (&[frame, segment(memory - 1, 2)], outside),
        (&[frame, segment(u64::MAX, 1)], outside),
        (&[frame, segment(u64::MAX - 8, 100)], outside),
        (&[frame, segment(FRAME, u64::MAX)], outside),
        (&[frame, segment(u64::MAX, u64::MAX)], outside),
        (&[frame, segment(1 << 63, 1 << 63)], outside),
        (&[], short),
        (&[segment(FRAME, 13)], short),
        (&[segment(FRAME, 0), segment(u64::MAX, 0)], short),
        (&[segment(FRAME, NET_MESSAGE_MAX + 1)], long),
        (&[frame, segment(0, memory), segment(0, memory)], long),
        (&[segment(FRAME, 1); 21], bad),
    ];
    for &(fragments, result) in cases {
        assert_eq!(send(fragments), result, "{fragments:x?}");
    }
    for count in [2, 1000, 1 << 60, u64::MAX] {
        let mut list = List::new();
        for word in [count, 0, FRAME, 60] {
            list.push(word);
        }
        assert_eq!(list.send(), bad, "{count:#x} fragments");
    }
    for checksum in [59 << 32 | 34, 34 << 32 | 61, 1 << 63] {
        let mut list = List::new().add(&[segment(FRAME, 60)]);
        list.words()[1] = checksum;
        assert_eq!(list.send(), bad, "{checksum:#x}");
    }
    assert!(!waiting(), "none was taken");
}

/// A list ends at its first bad message, and those before it come.
fn half_good(own: u64) {
    set_header(FRAME, own, own, KIND);
    set_header(FRAME + 100, own, own + 1, KIND);
    let good = segment(FRAME, 60);
    for bad in [
        segment(FRAME + 100, 60),
        segment(FRAME, 3),
        segment(u64::MAX, 60),
    ] {
        let list = List::new()
            .add(&[good])
            .add(&[good])
            .add(&[bad])
            .add(&[good]);
        assert_eq!(list.send(), 2);
        assert!(waiting());
        let mut slots = [slot(segment(HEADS, 60), PAGES); 3];
        slots[1].head.address += 64;
        assert_eq!(subnet::receive(&mut slots), 2);
        assert_eq!((slots[0].head_used, slots[1].head_used), (60, 60));
        assert_eq!(slots[2].head_used, u64::MAX, "not used");
        assert!(!waiting());
    }
}

/// Fragments may overlap, and name a page several times: the bytes come as often.
fn overlapping(own: u64) {
    subnet::fill(FRAME, 3 * PAGE_SIZE, 3);
    set_header(FRAME, own, own, KIND);
    let page = segment(FRAME + PAGE_SIZE, PAGE_SIZE);
    let across = segment(FRAME + PAGE_SIZE - 50, 100);
    let fragments = [segment(FRAME, 60), page, across, page, across];
    assert_eq!(send(&fragments), 1);
    let mut slot = slot(segment(HEADS, 60), PAGES);
    assert_eq!(subnet::receive(core::slice::from_mut(&mut slot)), 1);
    assert_eq!(slot.head_used, 60);
    let mut at = 0;
    for (number, part) in [page, across, page, across].iter().enumerate() {
        assert_eq!(slot.page_used[number], part.bytes, "place {number}");
        for byte in 0..part.bytes {
            let sent = pattern(3, part.address - FRAME + byte);
            assert_eq!(
                subnet::byte(PAGES + at + byte),
                sent,
                "byte {byte} of {number}"
            );
        }
        at += PAGE_SIZE;
    }
}

fn places(own: u64, memory: u64) {
    subnet::fill(FRAME, 3 * PAGE_SIZE, 7);
    set_header(FRAME, own, own, KIND);
    let message = [segment(FRAME, 60), segment(FRAME + PAGE_SIZE, PAGE_SIZE)];
    assert_eq!(send(&message), 1);
    let (bad, outside) = (CallError::BadArgument as i64, CallError::BadAddress as i64);
    let good = slot(segment(HEADS, 60), PAGES);
    let with = |change: &dyn Fn(&mut disco_test_guests::abi::NetSlot)| {
        let mut slot = good;
        change(&mut slot);
        let result = raw(
            Call::NetReceive as u64,
            [
                disco_test_guests::place::physical_address(&raw const slot),
                1,
                0,
                0,
            ],
        );
        assert!(waiting(), "it waits on");
        result
    };
    assert_eq!(with(&|slot| slot.pages[0] += 8), bad);
    assert_eq!(with(&|slot| slot.pages[3] = slot.pages[2]), bad);
    assert_eq!(with(&|slot| slot.head.address = slot.pages[0] - 30), bad);
    assert_eq!(with(&|slot| slot.pages[7] = memory), outside);
    assert_eq!(
        with(&|slot| slot.pages[7] = u64::MAX - PAGE_SIZE + 1),
        outside
    );
    assert_eq!(with(&|slot| slot.head.address = memory - 59), outside);
    assert_eq!(with(&|slot| slot.head.bytes = u64::MAX), outside);
    assert_eq!(with(&|slot| slot.head.address = u64::MAX), outside);
    let mut slot = good;
    assert_eq!(subnet::receive(core::slice::from_mut(&mut slot)), 1);
    assert_eq!(
        (slot.head_used, slot.page_used[0], slot.page_used[1]),
        (60, PAGE_SIZE, 0)
    );
    assert_eq!(slot.checksum, 0);
    assert_eq!(header(HEADS), (own, own, KIND.into()));
    for at in 0..PAGE_SIZE {
        assert_eq!(
            subnet::byte(PAGES + at),
            pattern(7, PAGE_SIZE + at),
            "byte {at}"
        );
    }
}
