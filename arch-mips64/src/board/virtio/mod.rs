//! Virtio devices (version 1.2 of the specification): a disk and a network card.
//!
//! A driver and its device share rings and buffers in machine memory, written by both at any time: all
//! of it is atomic words, little-endian. What a device writes is a claim: one that makes no sense is
//! [`Broken`], and the driver switches the device off, so that it touches no memory any more.

pub mod block;
pub mod network;
pub mod queue;
#[cfg(test)]
mod simulation;
pub mod transport;

use core::fmt;

/// Feature: the device is as version 1 says, little-endian whatever the CPU is.
pub const VERSION_1: u64 = 1 << 32;

/// Where a device is told of requests, and switched off.
pub trait Device {
    /// Requests were put into queue `queue`.
    fn notify(&self, queue: u16);
    /// Resets the device and takes machine memory and interrupts from it, for ever.
    fn switch_off(&self);
}

/// The device did something that it may not do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Broken;

/// Why a device cannot be driven.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unusable {
    /// Its registers are not where virtio has them, or there is no room for them.
    Registers,
    /// It does not answer to a reset.
    Reset,
    /// It lacks features of this mask, or refuses them.
    Features(u64),
    /// A queue is too short for the driver.
    Queue,
    /// It does not take as many pieces in one request as the driver has.
    Pieces,
}

impl fmt::Display for Unusable {
    #[cold]
    #[inline(never)]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registers => f.write_str("its registers are not found"),
            Self::Reset => f.write_str("it does not answer to a reset"),
            Self::Features(lacking) => write!(f, "it lacks the features {lacking:#x}"),
            Self::Queue => f.write_str("its queue is too short"),
            Self::Pieces => f.write_str("its requests have too few pieces"),
        }
    }
}

/// Address at which devices see `place`, which is in cached xkphys (or, in host tests, anywhere).
fn bus_address<T>(place: &'static T) -> u64 {
    core::ptr::from_ref(place) as u64 & !(0xf8 << 56)
}
