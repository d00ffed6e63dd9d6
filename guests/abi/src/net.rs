//! The virtual subnet: what its monitor calls take and give.
//!
//! A message is an Ethernet frame without its checksum, in fragments. A fragment that is a whole
//! aligned page is mapped, read-only, into sender and receiver; everything else is copied.

use crate::{Segment, NAME_MAX};

/// Interrupt line (Cause.IP bit) of the subnet: raised while messages wait for `NetReceive`.
pub const LINE_NET: u32 = 5;
/// Most fragments of a message.
pub const NET_FRAGMENTS_MAX: usize = 20;
/// Most bytes of a message, the Ethernet header included.
pub const NET_MESSAGE_MAX: u64 = 96 << 10;
/// Fewest bytes of a message: an Ethernet header.
pub const NET_MESSAGE_MIN: u64 = 14;
/// Most bytes of a message that leaves through the gateway.
pub const NET_OUTSIDE_MAX: u64 = 1514;
/// Most bytes of the list that one `NetSend` passes.
pub const NET_LIST_MAX: u64 = 4 << 10;
/// Most messages that one `NetReceive` takes.
pub const NET_SLOTS_MAX: usize = 16;
/// Pages that a message may be received into, beside the head.
pub const NET_PAGES: usize = 8;
/// What an IP packet between virtual machines may have: 3 pages of payload with 52 bytes of IP and TCP
/// headers, so that pages stay whole in a stream.
pub const NET_MTU: u64 = 3 * crate::PAGE_SIZE + 52;
/// What an IP packet to the outside may have.
pub const NET_OUTSIDE_MTU: u64 = 1500;

/// The virtual subnet: the first of its IPv4 addresses. Those of the virtual machines, the gateway and the
/// name server are the same at every boot.
pub const NET_SUBNET: u64 = 0x0a61_0000;
/// Bits of it that name the subnet.
pub const NET_PREFIX: u64 = 16;
/// IPv4 address of the way out.
pub const NET_GATEWAY: u64 = NET_SUBNET + 2;
/// IPv4 address of the name server outside.
pub const NET_NAME_SERVER: u64 = NET_SUBNET + 3;

/// IPv4 address of virtual machine `number`: its place in the machine description, from 0.
pub const fn net_address(number: u64) -> u64 {
    NET_SUBNET + 0x101 + number
}

/// Its link-level address, in bits 47..0: locally administered, and its IPv4 address in the last four bytes.
pub const fn net_link_address(number: u64) -> u64 {
    0x5244 << 32 | net_address(number)
}

/// Answer of `NetInfo`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct NetInfo {
    /// Link-level address in bits 47..0.
    pub mac: u64,
    /// IPv4 address.
    pub address: u64,
    /// Bits of it that name the subnet.
    pub prefix: u64,
    /// IPv4 address of the way out.
    pub gateway: u64,
    /// IPv4 address of the name server outside.
    pub name_server: u64,
}

/// Answer of `NetPeer`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct NetPeer {
    /// Link-level address in bits 47..0.
    pub mac: u64,
    /// IPv4 address.
    pub address: u64,
    /// The virtual machine's name, closed with 0.
    pub name: [u8; NAME_MAX + 1],
}

/// Head of a message in the list of `NetSend`; its fragments, [`Segment`]s, follow, and then the next
/// message.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct NetMessage {
    /// Number of fragments.
    pub fragments: u64,
    /// Where a checksum is still to be computed (its place from the frame's first byte in bits 63..32,
    /// where summing begins in bits 31..0), or 0 if none is. Between virtual machines nobody does.
    pub checksum: u64,
}

/// A place for one message, in the list of `NetReceive`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct NetSlot {
    /// Where the beginning goes, at most one fragment: up to the first page that is mapped, or all.
    pub head: Segment,
    /// Guest-physical addresses of whole pages for the rest, used in order; all ones behind the last.
    /// What was in a page that is used is gone.
    pub pages: [u64; NET_PAGES],
    /// Answer: bytes in the head.
    pub head_used: u64,
    /// Answer: bytes in each page, in order; 0 behind the last one used.
    pub page_used: [u64; NET_PAGES],
    /// Answer: as [`NetMessage::checksum`]; all ones if the checksum has been seen to be right.
    pub checksum: u64,
}

/// Bytes of a message's head and `fragments` fragments.
pub const fn net_message_bytes(fragments: u64) -> u64 {
    size_of::<NetMessage>() as u64 + fragments * size_of::<Segment>() as u64
}

/// Why a message was not taken: the result of `NetSend` if it is the first of its list. (One behind
/// it ends the list: the result is how many were taken.)
#[repr(i64)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetError {
    /// Shorter than [`NET_MESSAGE_MIN`] bytes.
    TooShort = -16,
    /// Longer than [`NET_MESSAGE_MAX`] bytes, or [`NET_OUTSIDE_MAX`] on its way outside.
    TooLong = -17,
    /// Its source is not the sender's link-level address.
    NotYours = -18,
    /// Nobody has its destination address, and there is no way out.
    NoReceiver = -19,
}
