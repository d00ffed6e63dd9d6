//! Messages of all sizes between two virtual machines, scattered and in whole pages: `b` sends each
//! back as it came, and `a` compares it with what it sent, though it has written all over that.
#![no_std]
#![no_main]

use disco_test_guests::abi::{
    BootInfo, NetSlot, Segment, NET_FRAGMENTS_MAX, NET_GATEWAY, NET_MESSAGE_MAX, NET_MESSAGE_MIN,
    NET_NAME_SERVER, NET_PREFIX, PAGE_SIZE,
};
use disco_test_guests::subnet::{
    self, byte, fill, find, header, pieces, set_byte, set_header, slot, List, BROADCAST, HEADER,
};
use disco_test_guests::{text, FREE_MEMORY};

disco_test_guests::guest!(run);

const HELLO: u16 = 0x88b5;
const DATA: u16 = 0x88b6;
const END: u16 = 0x88b7;

/// What is sent: its pages lie in every second page, so that no two of them are one piece.
const SOURCE: u64 = FREE_MEMORY;
/// A copy of what was sent.
const COPY: u64 = FREE_MEMORY + (1 << 20);
const HEADS: u64 = FREE_MEMORY + (2 << 20);
const PAGES: u64 = FREE_MEMORY + (3 << 20);

fn run(boot: &'static BootInfo) {
    let own = subnet::info();
    assert_eq!((own.prefix, own.gateway), (NET_PREFIX, NET_GATEWAY));
    assert_eq!(own.name_server, NET_NAME_SERVER);
    let name = text(&boot.name);
    assert_eq!(own.mac, find(name));
    assert_eq!(own.mac & 0xffff_ffff, own.address, "the same last bytes");
    match name {
        "a" => ask(own.mac, find("b")),
        _ => echo(own.mac),
    }
}

fn place(head: u64) -> NetSlot {
    let head = Segment {
        address: HEADS + 5,
        bytes: head,
    };
    slot(head, PAGES)
}

fn send(fragments: &[Segment]) {
    assert_eq!(List::new().add(fragments).send(), 1, "{fragments:x?}");
}

/// Sends everything back, until the end.
fn echo(own: u64) {
    let mut head = 14;
    loop {
        // A head that takes all, some, or nothing but the header.
        head = if head > 3000 { 14 } else { head * 2 };
        let mut slot = place(head);
        subnet::receive_one(&mut slot);
        let mut back = [Segment {
            address: 0,
            bytes: 0,
        }; NET_FRAGMENTS_MAX];
        let count = pieces(&slot, &mut back);
        let back = &back[..count];
        let first = back.iter().find(|piece| piece.bytes > 0).expect("bytes");
        let (_, from, kind) = header(first.address);
        set_header(first.address, from, own, kind as u16);
        send(back);
        if kind == u64::from(END) {
            return;
        }
    }
}

fn ask(own: u64, other: u64) {
    let mut slot = place(64);
    // Until it runs nobody answers.
    loop {
        set_header(SOURCE, BROADCAST, own, HELLO);
        send(&[Segment {
            address: SOURCE,
            bytes: HEADER,
        }]);
        let start = disco_test_guests::time::count();
        while disco_test_guests::time::since(start) < 1_000_000 {
            if subnet::receive(core::slice::from_mut(&mut slot)) == 1 {
                return exchange(own, other);
            }
        }
    }
}

fn exchange(own: u64, other: u64) {
    let sizes = [
        NET_MESSAGE_MIN,
        15,
        60,
        1514,
        PAGE_SIZE - 1,
        PAGE_SIZE,
        PAGE_SIZE + 54,
        3 * PAGE_SIZE + 66,
        5 * PAGE_SIZE + 1,
        NET_MESSAGE_MAX - 1,
        NET_MESSAGE_MAX,
    ];
    let mut seed = 0;
    for size in sizes {
        for layout in [contiguous, headed, scattered, in_pages] {
            seed += 1;
            fill(SOURCE, 16 * PAGE_SIZE, seed);
            let mut fragments = [Segment {
                address: 0,
                bytes: 0,
            }; NET_FRAGMENTS_MAX];
            let count = layout(size, &mut fragments);
            compare(own, other, &fragments[..count], seed);
        }
    }
    set_header(SOURCE, other, own, END);
    send(&[Segment {
        address: SOURCE,
        bytes: HEADER,
    }]);
    loop {
        let mut slot = place(64);
        subnet::receive_one(&mut slot);
        if header(HEADS + 5).2 == u64::from(END) {
            return;
        }
    }
}

/// One fragment, anywhere.
fn contiguous(size: u64, fragments: &mut [Segment; NET_FRAGMENTS_MAX]) -> usize {
    fragments[0] = Segment {
        address: SOURCE + 1234 + size % 7,
        bytes: size,
    };
    1
}

/// One fragment, from the beginning of a page.
fn in_pages(size: u64, fragments: &mut [Segment; NET_FRAGMENTS_MAX]) -> usize {
    fragments[0] = Segment {
        address: SOURCE,
        bytes: size,
    };
    1
}

/// A header, and then every second page.
fn headed(size: u64, fragments: &mut [Segment; NET_FRAGMENTS_MAX]) -> usize {
    let first = size % PAGE_SIZE;
    let mut count = 0;
    let mut left = size;
    if first >= HEADER {
        fragments[0] = Segment {
            address: SOURCE + PAGE_SIZE - first,
            bytes: first,
        };
        left -= first;
        count = 1;
    }
    while left > 0 {
        let bytes = left.min(PAGE_SIZE);
        fragments[count] = Segment {
            address: SOURCE + (2 * count as u64 + 1) * PAGE_SIZE,
            bytes,
        };
        left -= bytes;
        count += 1;
    }
    count
}

/// Many odd fragments, also empty ones and a page between.
fn scattered(size: u64, fragments: &mut [Segment; NET_FRAGMENTS_MAX]) -> usize {
    let mut left = size;
    let mut at = SOURCE + 3;
    for count in 0..NET_FRAGMENTS_MAX {
        let bytes = match count {
            0 => HEADER,
            3 => 0,
            5 => {
                at = at.next_multiple_of(PAGE_SIZE);
                PAGE_SIZE
            }
            19 => left,
            _ => 37 + 53 * count as u64,
        };
        let bytes = bytes.min(left);
        fragments[count] = Segment { address: at, bytes };
        at += bytes + 11;
        left -= bytes;
    }
    NET_FRAGMENTS_MAX
}

/// Sends these fragments, spoils them, and compares what comes back.
fn compare(own: u64, other: u64, fragments: &[Segment], seed: u64) {
    let first = fragments[0].address;
    set_header(first, other, own, DATA);
    let mut size = 0;
    for fragment in fragments {
        for at in 0..fragment.bytes {
            set_byte(COPY + size, byte(fragment.address + at));
            size += 1;
        }
    }
    send(fragments);
    fill(SOURCE, 16 * PAGE_SIZE, !seed);
    let mut slot = place(20 + seed * 40);
    loop {
        subnet::receive_one(&mut slot);
        let mut came = [Segment {
            address: 0,
            bytes: 0,
        }; NET_FRAGMENTS_MAX];
        let count = pieces(&slot, &mut came);
        let came = &came[..count];
        let start = came.iter().find(|piece| piece.bytes > 0).expect("bytes");
        let (to, from, kind) = header(start.address);
        if kind == u64::from(HELLO) {
            continue;
        }
        assert_eq!((to, from, kind), (own, other, DATA.into()));
        assert_eq!(subnet::length(&slot), size, "{fragments:x?}");
        let mut done = 0;
        for piece in came {
            for at in 0..piece.bytes {
                let (is, was) = (byte(piece.address + at), byte(COPY + done));
                assert!(is == was || done < HEADER, "byte {done} of {fragments:x?}");
                done += 1;
            }
        }
        return;
    }
}
