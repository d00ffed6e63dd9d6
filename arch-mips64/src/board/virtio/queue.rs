//! A split virtqueue: requests are chains of buffers, and come back in any order.

use super::{bus_address, Broken};
use core::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering};
use static_assertions::const_assert_eq;

/// Descriptor: another one follows in the chain.
const NEXT: u64 = 1;
/// Descriptor: the device writes the buffer.
const WRITE: u64 = 2;
/// Available ring: the driver looks for what has ended by itself.
const NO_INTERRUPT: u16 = 1;
/// Where a list ends.
const END: u16 = u16::MAX;

#[derive(Debug)]
#[repr(C, align(16))]
struct Descriptor {
    address: AtomicU64,
    /// Bytes in bits 31..0, flags in bits 47..32, the next descriptor above.
    shape: AtomicU64,
}

/// What a queue of `N` descriptors shares with its device; zeroed before use.
#[derive(Debug)]
#[repr(C)]
pub struct Rings<const N: usize> {
    descriptors: [Descriptor; N],
    available: Available<N>,
    used: Used<N>,
}

/// The driver's ring: heads of chains.
#[derive(Debug)]
#[repr(C)]
struct Available<const N: usize> {
    flags: AtomicU16,
    index: AtomicU16,
    ring: [AtomicU16; N],
    event: AtomicU16,
}

/// The device's ring: heads of chains, and bytes written.
#[derive(Debug)]
#[repr(C, align(4))]
struct Used<const N: usize> {
    flags: AtomicU16,
    index: AtomicU16,
    ring: [[AtomicU32; 2]; N],
    event: AtomicU16,
}

const_assert_eq!(size_of::<Descriptor>(), 16);
const_assert_eq!(core::mem::offset_of!(Rings<64>, available), 64 * 16);
const_assert_eq!(core::mem::offset_of!(Used<64>, ring), 4);

/// Where a device finds the parts of [`Rings`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RingAddresses {
    /// The descriptors.
    pub descriptors: u64,
    /// The driver's ring.
    pub available: u64,
    /// The device's ring.
    pub used: u64,
}

/// Contiguous machine memory of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Buffer {
    /// Where it begins, as devices see it.
    pub address: u64,
    /// Bytes.
    pub bytes: u32,
    /// The device writes it; else it reads it.
    pub device_writes: bool,
}

/// The driver's side of a queue. What it needs to know of requests under way it remembers for itself
/// and does not read back.
///
/// The device is always told of what was passed, also where it says that it looks by itself: to believe
/// that takes a barrier between a store and a load, and QEMU before 8.0 executes none on a machine of one
/// CPU, though its devices run on other threads.
#[derive(Debug)]
pub struct Queue<const N: usize> {
    rings: &'static Rings<N>,
    /// Descriptor behind each, in its chain or in the list of free ones.
    next: [u16; N],
    /// Descriptors of the chain under way that begins at each; 0 if none does.
    length: [u16; N],
    free: u16,
    free_count: u16,
    /// Chains ever passed to the device, and ever taken back.
    passed: u16,
    taken: u16,
}

impl<const N: usize> Queue<N> {
    /// With nothing under way. `rings` is this queue's alone.
    pub fn new(rings: &'static Rings<N>) -> Self {
        const { assert!(N.is_power_of_two() && N <= 1 << 15) };
        let mut next = [END; N];
        for (number, next) in next.iter_mut().enumerate().take(N - 1) {
            *next = number as u16 + 1;
        }
        Self {
            rings,
            next,
            length: [0; N],
            free: 0,
            free_count: N as u16,
            passed: 0,
            taken: 0,
        }
    }

    /// What the device is told of it.
    pub fn addresses(&self) -> RingAddresses {
        RingAddresses {
            descriptors: bus_address(&self.rings.descriptors),
            available: bus_address(&self.rings.available),
            used: bus_address(&self.rings.used),
        }
    }

    /// The device need not interrupt for what has ended.
    pub fn without_interrupts(&self) {
        let flags = &self.rings.available.flags;
        flags.store(NO_INTERRUPT.to_le(), Ordering::Relaxed);
    }

    /// The head that the next chain will have, if there is room for one of `count` buffers.
    pub fn next_head(&self, count: usize) -> Option<u16> {
        (count > 0 && count <= usize::from(self.free_count)).then_some(self.free)
    }

    /// Passes a chain of buffers, those first that the device reads. What was stored before is visible
    /// to the device. `false`, and nothing done, if there is no room.
    pub fn pass(&mut self, buffers: &mut dyn ExactSizeIterator<Item = Buffer>) -> bool {
        let count = buffers.len();
        let Some(head) = self.next_head(count) else {
            return false;
        };
        let mut place = head;
        for (number, buffer) in buffers.enumerate() {
            let next = self.next[usize::from(place)];
            let last = number + 1 == count;
            self.describe(place, buffer, (!last).then_some(next));
            self.free = next;
            if !last {
                place = next;
            }
        }
        self.free_count -= count as u16;
        self.next[usize::from(place)] = END;
        self.length[usize::from(head)] = count as u16;
        let available = &self.rings.available;
        let slot = usize::from(self.passed) % N;
        available.ring[slot].store(head.to_le(), Ordering::Relaxed);
        self.passed = self.passed.wrapping_add(1);
        available
            .index
            .store(self.passed.to_le(), Ordering::Release);
        true
    }

    fn describe(&self, place: u16, buffer: Buffer, next: Option<u16>) {
        let descriptor = &self.rings.descriptors[usize::from(place)];
        let flags =
            if next.is_some() { NEXT } else { 0 } | if buffer.device_writes { WRITE } else { 0 };
        let next = u64::from(next.unwrap_or(0));
        let shape = u64::from(buffer.bytes) | flags << 32 | next << 48;
        let address = buffer.address.to_le();
        descriptor.address.store(address, Ordering::Relaxed);
        descriptor.shape.store(shape.to_le(), Ordering::Relaxed);
    }

    /// A chain that has ended: its head, and how many bytes the device says it has written.
    ///
    /// # Errors
    /// The device names a chain that is not under way.
    pub fn take(&mut self) -> Result<Option<(u16, u32)>, Broken> {
        let used = &self.rings.used;
        let ended = u16::from_le(used.index.load(Ordering::Acquire)).wrapping_sub(self.taken);
        if ended == 0 {
            return Ok(None);
        }
        if ended > self.passed.wrapping_sub(self.taken) {
            return Err(Broken);
        }
        let [head, bytes] = &used.ring[usize::from(self.taken) % N];
        let head = u32::from_le(head.load(Ordering::Relaxed));
        let bytes = u32::from_le(bytes.load(Ordering::Relaxed));
        let count = match self.length.get_mut(head as usize) {
            Some(count) if *count > 0 => core::mem::take(count),
            _ => return Err(Broken),
        };
        self.taken = self.taken.wrapping_add(1);
        self.give_back(head as u16, count);
        Ok(Some((head as u16, bytes)))
    }

    fn give_back(&mut self, head: u16, count: u16) {
        let mut last = head;
        for _ in 1..count {
            last = self.next[usize::from(last)];
        }
        self.next[usize::from(last)] = self.free;
        self.free = head;
        self.free_count += count;
    }
}

#[cfg(test)]
mod tests;
