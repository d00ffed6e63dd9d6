//! The virtual subnet: messages between virtual machines, and through the gateway.
//!
//! A message's way: a guest's list is read ([`list`]), what a message holds is copied or lent into pages
//! with several users ([`message`]), the switch puts it into the queues of its receivers ([`switch`],
//! [`queue`]), and a receiver takes it into a place that it has for one ([`place`]).

pub mod address;
pub mod checksum;
pub mod link;
pub mod list;
pub mod message;
pub mod place;
pub mod port;
pub mod queue;
pub mod send;
pub mod switch;
#[cfg(test)]
mod tests;

use disco_abi::{CallError, NetError};

/// Why a message was not taken, or no place filled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// The list ends within a message, a message has too many fragments, its checksum is outside of it;
    /// the pages of a place are not whole or not apart.
    Argument,
    /// A fragment or a place lies outside of guest-physical memory.
    Address,
    /// Shorter than a header.
    TooShort,
    /// Longer than a message, or what may leave the subnet.
    TooLong,
    /// The source address is not the sender's.
    NotYours,
    /// Nobody has the destination address, and there is no way out.
    NoReceiver,
}

impl Refused {
    /// What the guest's call returns.
    pub const fn result(self) -> i64 {
        match self {
            Self::Argument => CallError::BadArgument as i64,
            Self::Address => CallError::BadAddress as i64,
            Self::TooShort => NetError::TooShort as i64,
            Self::TooLong => NetError::TooLong as i64,
            Self::NotYours => NetError::NotYours as i64,
            Self::NoReceiver => NetError::NoReceiver as i64,
        }
    }

    /// A few words for people.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Argument => "malformed list",
            Self::Address => "address outside of memory",
            Self::TooShort => "too short",
            Self::TooLong => "too long",
            Self::NotYours => "source address of another",
            Self::NoReceiver => "no receiver",
        }
    }
}
