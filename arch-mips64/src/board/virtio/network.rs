//! A network card that takes frames for any address, which is what one does that nobody tells of
//! addresses (the driver refuses the features for that).

use super::queue::{Buffer, Queue, Rings};
use super::transport::Transport;
use super::{bus_address, Broken, Device, Unusable, VERSION_1};
use crate::board::pci::{FreeMemory, Function};
use core::sync::atomic::{AtomicU64, Ordering};

/// Buffers in each direction, and descriptors of each queue.
pub const QUEUE: usize = 64;
/// Features that the driver needs.
pub const FEATURES: u64 = VERSION_1;
/// Feature: the device has a link-level address.
pub const HAS_ADDRESS: u64 = 1 << 5;
/// Number of the queue of frames that come.
pub const RECEIVE: u16 = 0;
/// Number of the queue of frames that go.
pub const SEND: u16 = 1;
/// Most bytes of a frame, without its checksum.
pub const FRAME_MAX: usize = 1514;

/// Bytes of the device's own registers.
const CONFIG_LEN: u64 = 8;
/// Register: link-level address, six bytes, and status.
const ADDRESS: u64 = 0;
/// Bytes before a frame that say how it is to be completed: nothing of that is used.
const HEADER: u32 = 12;
/// Where the frame begins in a [`Bytes`], so that it can be moved by words.
const FRAME_AT: usize = 16;
/// Words of a buffer.
const WORDS: usize = (FRAME_AT + FRAME_MAX).div_ceil(8);

/// Room for a header and a frame.
#[derive(Debug)]
#[repr(C)]
struct Bytes([AtomicU64; WORDS]);

impl Bytes {
    /// With room for a frame of `frame` bytes.
    fn buffer(&'static self, frame: u32, device_writes: bool) -> Buffer {
        Buffer {
            address: bus_address(self) + FRAME_AT as u64 - u64::from(HEADER),
            bytes: HEADER + frame,
            device_writes,
        }
    }

    fn store(&self, frame: &[u8]) {
        let words = &self.0[FRAME_AT / 8..];
        for (word, bytes) in words.iter().zip(frame.chunks(8)) {
            let mut whole = [0; 8];
            whole[..bytes.len()].copy_from_slice(bytes);
            word.store(u64::from_ne_bytes(whole), Ordering::Relaxed);
        }
    }

    fn load(&self, frame: &mut [u8]) {
        let words = &self.0[FRAME_AT / 8..];
        for (word, bytes) in words.iter().zip(frame.chunks_mut(8)) {
            let whole = word.load(Ordering::Relaxed).to_ne_bytes();
            bytes.copy_from_slice(&whole[..bytes.len()]);
        }
    }
}

/// What the driver shares with its device; zeroed before use.
#[derive(Debug)]
#[repr(C)]
pub struct Shared {
    receive: Rings<QUEUE>,
    send: Rings<QUEUE>,
    coming: [Bytes; QUEUE],
    going: [Bytes; QUEUE],
}

/// The card takes no frame now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Full;

/// A network card. One whose device is broken is switched off: it sends and receives nothing.
#[derive(Debug)]
pub struct Card<D> {
    device: D,
    receive: Queue<QUEUE>,
    send: Queue<QUEUE>,
    shared: &'static Shared,
    /// The device has buffers that it was not told of.
    offered: bool,
    /// Frames that came and were too long or too short to be one.
    bad: u64,
    failed: bool,
}

impl<D: Device> Card<D> {
    /// A card whose device has not been told of the queues. `shared` is this driver's alone.
    fn new(device: D, shared: &'static Shared) -> Self {
        let send = Queue::new(&shared.send);
        send.without_interrupts();
        Self {
            device,
            receive: Queue::new(&shared.receive),
            send,
            shared,
            offered: false,
            bad: 0,
            failed: false,
        }
    }

    /// Lets frames come.
    fn start(&mut self) {
        while self.offer() {}
        self.device.notify(RECEIVE);
    }

    /// Whether it was switched off because it is broken.
    pub const fn has_failed(&self) -> bool {
        self.failed
    }

    /// How many frames came that were too long or too short to be one.
    pub const fn bad_frames(&self) -> u64 {
        self.bad
    }

    /// Gives the device a buffer for a frame, if one is free.
    fn offer(&mut self) -> bool {
        let Some(head) = self.receive.next_head(1) else {
            return false;
        };
        let bytes = &self.shared.coming[usize::from(head)];
        let buffer = bytes.buffer(FRAME_MAX as u32, true);
        self.receive.pass(&mut core::iter::once(buffer))
    }

    /// Switches the device off.
    pub fn fail(&mut self) {
        self.device.switch_off();
        self.failed = true;
    }

    /// Sends a frame of at most [`FRAME_MAX`] bytes, which are copied.
    ///
    /// # Errors
    /// All buffers are on their way, the frame is too long, or the device has failed.
    pub fn send(&mut self, frame: &[u8]) -> Result<(), Full> {
        while !self.failed {
            match self.send.take() {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(Broken) => self.fail(),
            }
        }
        let head = self.send.next_head(1).ok_or(Full)?;
        if self.failed || frame.len() > FRAME_MAX {
            return Err(Full);
        }
        let bytes = &self.shared.going[usize::from(head)];
        bytes.store(frame);
        let buffer = bytes.buffer(frame.len() as u32, false);
        self.send.pass(&mut core::iter::once(buffer));
        self.device.notify(SEND);
        Ok(())
    }

    /// Copies a frame that has come into `frame`, and says how long it is. The device learns of free
    /// buffers when there is no frame any more.
    pub fn receive(&mut self, frame: &mut [u8; FRAME_MAX]) -> Option<usize> {
        while !self.failed {
            let (head, written) = match self.receive.take() {
                Ok(Some(taken)) => taken,
                Ok(None) => {
                    if core::mem::take(&mut self.offered) {
                        self.device.notify(RECEIVE);
                    }
                    break;
                }
                Err(Broken) => {
                    self.fail();
                    break;
                }
            };
            let length = written.saturating_sub(HEADER) as usize;
            let target = frame.get_mut(..length).filter(|_| length > 0);
            let good = target.is_some();
            if let Some(target) = target {
                self.shared.coming[usize::from(head)].load(target);
            }
            self.offered |= self.offer();
            if good {
                return Some(length);
            }
            self.bad += 1;
        }
        None
    }
}

impl Card<Transport> {
    /// Brings the card at `function` up, with registers in `free`. `shared` is this driver's alone.
    ///
    /// # Errors
    /// It cannot be driven. It is off then.
    pub fn open(
        function: Function,
        free: &mut FreeMemory,
        shared: &'static Shared,
    ) -> Result<Self, Unusable> {
        let transport = Transport::new(function, free, FEATURES, HAS_ADDRESS, CONFIG_LEN)?;
        let mut card = Self::new(transport, shared);
        let device = &mut card.device;
        let first = device.set_queue(RECEIVE, &card.receive);
        if let Err(problem) = first.and_then(|()| device.set_queue(SEND, &card.send)) {
            device.switch_off();
            return Err(problem);
        }
        device.start();
        card.start();
        Ok(card)
    }

    /// Its link-level address in bits 47..0, if it has one.
    pub fn address(&self) -> Option<u64> {
        let bytes = self.device.config64(ADDRESS).to_le_bytes();
        let [a, b, c, d, e, f, ..] = bytes;
        let has = self.device.features() & HAS_ADDRESS != 0;
        has.then(|| u64::from_be_bytes([0, 0, a, b, c, d, e, f]))
    }

    /// Where the device is reached.
    pub const fn transport(&self) -> &Transport {
        &self.device
    }
}

#[cfg(test)]
mod tests;
