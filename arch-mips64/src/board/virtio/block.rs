//! A disk.

use super::queue::{Buffer, Queue, Rings};
use super::transport::Transport;
use super::{bus_address, Broken, Device, Unusable, VERSION_1};
use crate::board::pci::{FreeMemory, Function};
use core::sync::atomic::{AtomicU32, AtomicU64, AtomicU8, Ordering};

/// Descriptors of the queue.
pub const QUEUE: usize = 256;
/// Features that the driver needs: version 1, and requests to flush (without which nobody could say
/// when a write is durable).
pub const FEATURES: u64 = VERSION_1 | 1 << 9;
/// Feature: the device says how many pieces a request may have.
pub const PIECES: u64 = 1 << 2;
/// Most pieces of a request, where the device says nothing of it.
pub const PIECES_MAX: usize = QUEUE - 2;
/// Unit of positions and lengths, in bytes.
pub const SECTOR: u32 = 512;

/// Status of a request: done well.
const OK: u8 = 0;
/// Status of a request: not done. No device writes it.
const UNKNOWN: u8 = 0xff;

/// What a request does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Operation {
    /// Sectors into memory.
    Read = 0,
    /// Memory into sectors.
    Write = 1,
    /// What was written becomes durable.
    Flush = 4,
}

/// What goes before and behind a request's data.
#[derive(Debug)]
#[repr(C)]
struct Request {
    operation: AtomicU32,
    reserved: AtomicU32,
    sector: AtomicU64,
    status: AtomicU8,
}

/// Bytes of a [`Request`] before the data.
const HEAD: u32 = 16;

/// What the driver shares with its device; zeroed before use.
#[derive(Debug)]
#[repr(C)]
pub struct Shared {
    rings: Rings<QUEUE>,
    requests: [Request; QUEUE],
}

/// Bytes of the device's own registers.
const CONFIG_LEN: u64 = 8;
/// Register: length in sectors.
const CAPACITY: u64 = 0;
/// Register: most pieces of a request.
const MOST_PIECES: u64 = 12;

/// The queue has no room for a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Full;

/// The device has failed, or says that a request has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Failed;

/// A request that has ended: its name, and how.
pub type Ended = (u32, Result<(), Failed>);

/// A disk and its requests under way. One whose device is broken is switched off, and all its
/// requests, also later ones, end with [`Failed`].
#[derive(Debug)]
pub struct Disk<D> {
    device: D,
    queue: Queue<QUEUE>,
    shared: &'static Shared,
    /// By head: the request's name, and the bytes that the device is to write, the status included.
    under_way: [Option<(u32, u32)>; QUEUE],
    sectors: u64,
    failed: bool,
}

impl<D: Device> Disk<D> {
    /// A disk of `sectors` sectors whose device has not been told of the queue. `shared` is this driver's
    /// alone.
    fn new(device: D, shared: &'static Shared, sectors: u64) -> Self {
        Self {
            device,
            queue: Queue::new(&shared.rings),
            shared,
            under_way: [None; QUEUE],
            sectors,
            failed: false,
        }
    }

    /// Its length in sectors.
    pub const fn sectors(&self) -> u64 {
        self.sectors
    }

    /// Whether it was switched off because it is broken.
    pub const fn has_failed(&self) -> bool {
        self.failed
    }

    /// Switches the device off: requests under way end with [`Failed`].
    pub fn fail(&mut self) {
        self.device.switch_off();
        self.failed = true;
    }

    /// Begins a request, with memory as address and bytes, from sector `sector` on; it ends under
    /// the name `token`.
    ///
    /// # Errors
    /// There is no room for it.
    pub fn submit(
        &mut self,
        operation: Operation,
        sector: u64,
        pieces: &mut dyn ExactSizeIterator<Item = (u64, u32)>,
        token: u32,
    ) -> Result<(), Full> {
        if self.failed {
            let mut places = self.under_way.iter_mut();
            let place = places.find(|place| place.is_none()).ok_or(Full)?;
            *place = Some((token, 0));
            return Ok(());
        }
        let count = pieces.len() + 2;
        let head = self.queue.next_head(count).ok_or(Full)?;
        let request = &self.shared.requests[usize::from(head)];
        let number = (operation as u32).to_le();
        request.operation.store(number, Ordering::Relaxed);
        request.sector.store(sector.to_le(), Ordering::Relaxed);
        request.status.store(UNKNOWN, Ordering::Relaxed);
        let reads = operation == Operation::Read;
        let mut bytes = 1;
        let mut chain = Chain {
            head: Some(bus_address(request)),
            pieces,
            device_writes: reads,
            data: 0,
            status: Some(bus_address(&request.status)),
        };
        self.queue.pass(&mut chain);
        if reads {
            bytes += chain.data;
        }
        self.under_way[usize::from(head)] = Some((token, bytes));
        self.device.notify(0);
        Ok(())
    }

    /// A request that has ended.
    pub fn completed(&mut self) -> Option<Ended> {
        if !self.failed {
            match self.take() {
                Ok(ended) => return ended,
                Err(Broken) => self.fail(),
            }
        }
        let (token, _) = self.under_way.iter_mut().find_map(Option::take)?;
        Some((token, Err(Failed)))
    }

    fn take(&mut self) -> Result<Option<Ended>, Broken> {
        let Some((head, written)) = self.queue.take()? else {
            return Ok(None);
        };
        let head = usize::from(head);
        let Some((token, bytes)) = self.under_way[head] else {
            return Err(Broken);
        };
        // A request that was taken wrongly is still one of those under way.
        if written > bytes {
            return Err(Broken);
        }
        self.under_way[head] = None;
        let status = self.shared.requests[head].status.load(Ordering::Relaxed);
        let well = status == OK && written == bytes;
        Ok(Some((token, if well { Ok(()) } else { Err(Failed) })))
    }
}

/// The buffers of a request: head, data, status.
struct Chain<'a> {
    head: Option<u64>,
    pieces: &'a mut dyn ExactSizeIterator<Item = (u64, u32)>,
    device_writes: bool,
    data: u32,
    status: Option<u64>,
}

impl Iterator for Chain<'_> {
    type Item = Buffer;

    fn next(&mut self) -> Option<Buffer> {
        if let Some(address) = self.head.take() {
            return Some(Buffer {
                address,
                bytes: HEAD,
                device_writes: false,
            });
        }
        if let Some((address, bytes)) = self.pieces.next() {
            self.data = self.data.wrapping_add(bytes);
            return Some(Buffer {
                address,
                bytes,
                device_writes: self.device_writes,
            });
        }
        let address = self.status.take()?;
        Some(Buffer {
            address,
            bytes: 1,
            device_writes: true,
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let rest = usize::from(self.head.is_some()) + usize::from(self.status.is_some());
        let count = self.pieces.len() + rest;
        (count, Some(count))
    }
}

impl ExactSizeIterator for Chain<'_> {}

impl Disk<Transport> {
    /// Brings the disk at `function` up, with registers in `free`. `shared` is this driver's alone.
    ///
    /// # Errors
    /// It cannot be driven, or not with `pieces` in a request. It is off then.
    pub fn open(
        function: Function,
        free: &mut FreeMemory,
        shared: &'static Shared,
        pieces: usize,
    ) -> Result<Self, Unusable> {
        let transport = Transport::new(function, free, FEATURES, PIECES, CONFIG_LEN)?;
        let most = match transport.features() & PIECES {
            0 => PIECES_MAX,
            _ => transport.config32(MOST_PIECES) as usize,
        };
        let sectors = transport.config64(CAPACITY);
        let mut disk = Self::new(transport, shared, sectors);
        let ready = if most < pieces {
            Err(Unusable::Pieces)
        } else {
            disk.device.set_queue(0, &disk.queue)
        };
        if let Err(problem) = ready {
            disk.device.switch_off();
            return Err(problem);
        }
        disk.device.start();
        Ok(disk)
    }

    /// Where the device is reached.
    pub const fn transport(&self) -> &Transport {
        &self.device
    }
}

#[cfg(test)]
mod tests;
