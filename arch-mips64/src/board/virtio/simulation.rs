//! A device for host tests: it finds rings and buffers by the addresses that it was told, as the
//! specification lays them out.

use super::queue::{Buffer, RingAddresses};
use super::Device;
use core::cell::{Cell, RefCell};
use core::ptr;
use std::rc::Rc;
use std::vec::Vec;

/// Bytes at an address that a driver told.
pub fn load(address: u64, bytes: usize) -> Vec<u8> {
    let place = ptr::with_exposed_provenance::<u8>(address as usize);
    // SAFETY: tests tell addresses of memory that is never freed, and run on one thread.
    (0..bytes)
        .map(|at| unsafe { place.add(at).read_volatile() })
        .collect()
}

/// Stores bytes there.
pub fn store(address: u64, bytes: &[u8]) {
    let place = ptr::with_exposed_provenance_mut::<u8>(address as usize);
    for (at, byte) in bytes.iter().enumerate() {
        // SAFETY: as in `load`; all of it is in atomic words.
        unsafe { place.add(at).write_volatile(*byte) };
    }
}

fn load16(address: u64) -> u16 {
    u16::from_le_bytes(load(address, 2).try_into().unwrap())
}

/// Zeroed memory that a driver shares with its device.
pub fn shared<T>() -> &'static T {
    let layout = std::alloc::Layout::new::<T>();
    // SAFETY: what drivers share is atomic integers, for which zeros are valid; `T` is not empty.
    unsafe { &*std::alloc::alloc_zeroed(layout).cast::<T>() }
}

/// What a driver asked of a device.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Chain {
    pub head: u16,
    pub buffers: Vec<Buffer>,
}

/// The device's side of a queue of `size` descriptors.
pub struct DeviceQueue {
    rings: RingAddresses,
    size: u16,
    seen: u16,
    used: u16,
}

impl DeviceQueue {
    pub fn new(rings: RingAddresses, size: usize) -> Self {
        assert_eq!(rings.descriptors % 16, 0);
        assert_eq!(rings.available % 2, 0);
        assert_eq!(rings.used % 4, 0);
        Self {
            rings,
            size: size as u16,
            seen: 0,
            used: 0,
        }
    }

    /// The next request.
    pub fn next(&mut self) -> Option<Chain> {
        if load16(self.rings.available + 2) == self.seen {
            return None;
        }
        let slot = self.rings.available + 4 + 2 * u64::from(self.seen % self.size);
        self.seen = self.seen.wrapping_add(1);
        let head = load16(slot);
        let mut buffers = Vec::new();
        let mut next = Some(head);
        while let Some(place) = next {
            assert!(place < self.size && buffers.len() < self.size.into());
            let descriptor = load(self.rings.descriptors + 16 * u64::from(place), 16);
            let flags = u16::from_le_bytes(descriptor[12..14].try_into().unwrap());
            buffers.push(Buffer {
                address: u64::from_le_bytes(descriptor[..8].try_into().unwrap()),
                bytes: u32::from_le_bytes(descriptor[8..12].try_into().unwrap()),
                device_writes: flags & 2 != 0,
            });
            next =
                (flags & 1 != 0).then(|| u16::from_le_bytes(descriptor[14..].try_into().unwrap()));
        }
        Some(Chain { head, buffers })
    }

    /// Says that a request has ended.
    pub fn end(&mut self, head: u32, written: u32) {
        let slot = self.rings.used + 4 + 8 * u64::from(self.used % self.size);
        store(slot, &head.to_le_bytes());
        store(slot + 4, &written.to_le_bytes());
        self.set_used(self.used.wrapping_add(1));
    }

    /// Says how many requests have ended.
    pub fn set_used(&mut self, index: u16) {
        self.used = index;
        store(self.rings.used + 2, &index.to_le_bytes());
    }
}

/// What a driver told its device.
#[derive(Clone, Default)]
pub struct Wire {
    pub notices: Rc<RefCell<Vec<u16>>>,
    pub off: Rc<Cell<bool>>,
}

impl Device for Wire {
    fn notify(&self, queue: u16) {
        assert!(!self.off.get(), "a device that is off is told something");
        self.notices.borrow_mut().push(queue);
    }

    fn switch_off(&self) {
        self.off.set(true);
    }
}
