//! The lists that a guest passes, as bytes that were copied once. Guests are big-endian.

use super::Refused;
use crate::address::GuestPhysical;
use core::mem::size_of;
use disco_abi::{
    NetMessage, Segment, NET_FRAGMENTS_MAX, NET_MESSAGE_MAX, NET_MESSAGE_MIN, PAGE_SIZE,
};

/// Reads a number from the beginning of `bytes`, and takes it off.
pub(super) fn number(bytes: &mut &[u8]) -> Option<u64> {
    let (first, rest) = bytes.split_first_chunk::<8>()?;
    *bytes = rest;
    Some(u64::from_be_bytes(*first))
}

/// Checks that `bytes` from `address` on lie within memory of so many bytes.
pub(super) fn check(address: u64, bytes: u64, memory: u64) -> Result<GuestPhysical, Refused> {
    match address.checked_add(bytes) {
        Some(end) if end <= memory => Ok(GuestPhysical(address)),
        _ => Err(Refused::Address),
    }
}

/// A message that a guest wants to send: checked, and as yet in the guest's memory.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// Its fragments as they stand in the list.
    fragments: &'a [u8],
    /// Bytes of all of them.
    pub length: u64,
    /// As [`NetMessage::checksum`]; a place lies within the message.
    pub checksum: u64,
}

impl Claim<'_> {
    /// The parts of the fragments within one guest page each, in order.
    pub fn parts(&self) -> impl Iterator<Item = (GuestPhysical, usize)> + '_ {
        let (fragments, _) = self.fragments.as_chunks::<{ size_of::<Segment>() }>();
        fragments.iter().flat_map(|fragment| {
            let mut fields = fragment.as_slice();
            let mut at = number(&mut fields).unwrap_or(0);
            let mut left = number(&mut fields).unwrap_or(0);
            core::iter::from_fn(move || {
                let part = left.min(PAGE_SIZE - at % PAGE_SIZE);
                let address = GuestPhysical(at);
                at = at.wrapping_add(part);
                left -= part;
                (part > 0).then_some((address, part as usize))
            })
        })
    }
}

/// The messages of a list, to the first that is bad.
#[derive(Debug)]
pub struct MessageList<'a> {
    rest: &'a [u8],
    memory: u64,
}

impl<'a> MessageList<'a> {
    /// The list in `bytes` of a guest with so many bytes of `memory`.
    pub const fn new(bytes: &'a [u8], memory: u64) -> Self {
        Self {
            rest: bytes,
            memory,
        }
    }

    fn read(&mut self) -> Result<Claim<'a>, Refused> {
        let count = number(&mut self.rest).ok_or(Refused::Argument)?;
        let checksum = number(&mut self.rest).ok_or(Refused::Argument)?;
        if count > NET_FRAGMENTS_MAX as u64 {
            return Err(Refused::Argument);
        }
        let (fragments, rest) = self
            .rest
            .split_at_checked(count as usize * size_of::<Segment>())
            .ok_or(Refused::Argument)?;
        self.rest = rest;
        let mut length = 0u64;
        let mut fields = fragments;
        while let (Some(address), Some(bytes)) = (number(&mut fields), number(&mut fields)) {
            if bytes > 0 {
                check(address, bytes, self.memory)?;
            }
            // Each is less than memory.
            length = length.saturating_add(bytes);
        }
        if length < NET_MESSAGE_MIN {
            return Err(Refused::TooShort);
        }
        if length > NET_MESSAGE_MAX {
            return Err(Refused::TooLong);
        }
        let (place, start) = (checksum >> 32, checksum & 0xffff_ffff);
        let seen = checksum == 0 || checksum == u64::MAX;
        if !seen && (place + 2 > length || start > length) {
            return Err(Refused::Argument);
        }
        Ok(Claim {
            fragments,
            length,
            checksum,
        })
    }
}

impl<'a> Iterator for MessageList<'a> {
    type Item = Result<Claim<'a>, Refused>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let read = self.read();
        if read.is_err() {
            self.rest = &[];
        }
        Some(read)
    }
}

const _: () = assert!(size_of::<NetMessage>() == 16 && size_of::<Segment>() == 16);
