//! The virtual subnet. Addresses are guest-physical.

use crate::calls::{call, raw};
use crate::cp0;
use crate::place::{base, physical_address};
use disco_abi::{
    Call, NetInfo, NetPeer, NetSlot, Segment, LINE_NET, NET_FRAGMENTS_MAX, NET_LIST_MAX, NET_PAGES,
    PAGE_SIZE,
};

/// Status.IM and Cause.IP of the subnet.
pub const WAITING: u64 = 1 << (8 + LINE_NET);
/// Link-level address of all.
pub const BROADCAST: u64 = 0xffff_ffff_ffff;
/// Bytes of a frame's header.
pub const HEADER: u64 = 14;

/// This virtual machine on the subnet.
pub fn info() -> NetInfo {
    let mut info = NetInfo {
        mac: 0,
        address: 0,
        prefix: 0,
        gateway: 0,
        name_server: 0,
    };
    let place = physical_address(&raw mut info);
    assert_eq!(call(Call::NetInfo, [place, 0, 0, 0]), Ok(0));
    info
}

/// A virtual machine on the subnet, from 0, if there are so many.
pub fn peer(number: u64) -> Option<NetPeer> {
    let mut peer = NetPeer {
        mac: 0,
        address: 0,
        name: [0; 32],
    };
    let place = physical_address(&raw mut peer);
    let there = call(Call::NetPeer, [number, place, 0, 0]).expect("the subnet");
    (there == 1).then_some(peer)
}

/// The link-level address of the virtual machine with this name.
pub fn find(name: &str) -> u64 {
    let mut peers = (0..).map_while(peer);
    let found = peers.find(|peer| crate::text(&peer.name) == name);
    found.expect("a virtual machine with this name").mac
}

/// A list for `NetSend`.
pub struct List {
    words: [u64; NET_LIST_MAX as usize / 8],
    used: usize,
}

impl List {
    /// An empty one.
    pub const fn new() -> Self {
        Self {
            words: [0; NET_LIST_MAX as usize / 8],
            used: 0,
        }
    }

    /// Adds a message with these fragments.
    pub fn add(mut self, fragments: &[Segment]) -> Self {
        self.push(fragments.len() as u64);
        self.push(0);
        for fragment in fragments {
            self.push(fragment.address);
            self.push(fragment.bytes);
        }
        self
    }

    /// Adds any word.
    pub fn push(&mut self, word: u64) {
        self.words[self.used] = word;
        self.used += 1;
    }

    /// Sends it.
    pub fn send(&self) -> i64 {
        send(physical_address(self.words.as_ptr()), self.used as u64 * 8)
    }

    /// Its words, for somebody who changes them meanwhile.
    pub fn words(&mut self) -> &mut [u64] {
        &mut self.words[..self.used]
    }
}

impl Default for List {
    fn default() -> Self {
        Self::new()
    }
}

/// The call `NetSend`.
pub fn send(address: u64, bytes: u64) -> i64 {
    raw(Call::NetSend as u64, [address, bytes, 0, 0])
}

/// A slot with this head, and pages from `pages` on.
pub const fn slot(head: Segment, pages: u64) -> NetSlot {
    let mut slot = NetSlot {
        head,
        pages: [u64::MAX; NET_PAGES],
        head_used: u64::MAX,
        page_used: [u64::MAX; NET_PAGES],
        checksum: u64::MAX - 1,
    };
    let mut page = 0;
    while page < NET_PAGES {
        slot.pages[page] = pages + page as u64 * PAGE_SIZE;
        page += 1;
    }
    slot
}

/// The call `NetReceive`.
pub fn receive(slots: &mut [NetSlot]) -> i64 {
    let place = physical_address(slots.as_mut_ptr());
    raw(Call::NetReceive as u64, [place, slots.len() as u64, 0, 0])
}

/// Waits, with interrupts off, until the line of the subnet is up.
pub fn wait() {
    cp0::set_status(WAITING);
    while cp0::reg::CAUSE.read() & WAITING == 0 {
        cp0::wait();
    }
}

/// Receives a message into `slot`, and waits until there is one.
pub fn receive_one(slot: &mut NetSlot) {
    loop {
        match receive(core::slice::from_mut(slot)) {
            0 => wait(),
            result => return assert_eq!(result, 1, "NetReceive"),
        }
    }
}

/// The pieces of a message in a slot, in order: how many.
pub fn pieces(slot: &NetSlot, pieces: &mut [Segment; NET_FRAGMENTS_MAX]) -> usize {
    pieces[0] = Segment {
        address: slot.head.address,
        bytes: slot.head_used,
    };
    let mut count = 1;
    for (&address, &bytes) in slot.pages.iter().zip(&slot.page_used) {
        if bytes > 0 {
            pieces[count] = Segment { address, bytes };
            count += 1;
        }
    }
    count
}

/// Bytes in a slot.
pub fn length(slot: &NetSlot) -> u64 {
    slot.head_used + slot.page_used.iter().sum::<u64>()
}

/// A byte of memory.
pub fn byte(address: u64) -> u8 {
    // SAFETY: memory that tests set aside.
    unsafe { ((base() + address) as *const u8).read_volatile() }
}

/// Changes a byte of memory.
pub fn set_byte(address: u64, value: u8) {
    // SAFETY: memory that tests set aside.
    unsafe { ((base() + address) as *mut u8).write_volatile(value) }
}

/// Fills memory with a pattern of `seed`.
pub fn fill(address: u64, bytes: u64, seed: u64) {
    for at in 0..bytes {
        set_byte(address + at, pattern(seed, at));
    }
}

/// A byte of the pattern of `seed`.
pub fn pattern(seed: u64, at: u64) -> u8 {
    (seed.wrapping_mul(29) + at + (at >> 8) * 5) as u8
}

/// Writes a frame's header.
pub fn set_header(address: u64, to: u64, from: u64, kind: u16) {
    let mut at = address;
    let mut bytes = |bytes: &[u8]| {
        for &byte in bytes {
            set_byte(at, byte);
            at += 1;
        }
    };
    bytes(&to.to_be_bytes()[2..]);
    bytes(&from.to_be_bytes()[2..]);
    bytes(&kind.to_be_bytes());
}

/// What a number of `bytes` bytes at `address` says.
pub fn number(address: u64, bytes: u64) -> u64 {
    (0..bytes).fold(0, |number, at| number << 8 | u64::from(byte(address + at)))
}

/// Destination, source and kind of a frame.
pub fn header(address: u64) -> (u64, u64, u64) {
    (
        number(address, 6),
        number(address + 6, 6),
        number(address + 12, 2),
    )
}
