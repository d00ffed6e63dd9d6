//! A real disk as bytes, with a volatile cache, for host tests.

use super::device::{BlockDevice, DeviceError, DeviceFull, Piece, Transfer};
use crate::machine::simulation::SimulatedMemory;
use disco_abi::SECTOR;

const BYTES: usize = SECTOR as usize;

/// A transfer as it was submitted.
struct Submitted {
    transfer: Transfer,
    sector: u64,
    pieces: Vec<Piece>,
    token: u32,
    /// What a write takes to the disk.
    bytes: Vec<u8>,
    /// What a flush is about: all that had been written when it was submitted.
    after: usize,
}

/// A sector in the volatile cache.
struct Written {
    number: usize,
    sector: u64,
    data: Vec<u8>,
}

/// Numbers that look random, the same for the same seed.
pub struct Random(pub u64);

impl Random {
    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % end
    }
}

/// A disk that ends transfers in any order, and keeps what was written in a cache until a flush.
pub struct SimulatedDevice {
    memory: &'static SimulatedMemory,
    /// What a power cut leaves.
    pub durable: Vec<u8>,
    /// Sectors written since, in order.
    volatile: Vec<Written>,
    /// Counts them.
    written: usize,
    queue: Vec<Submitted>,
    /// Most transfers under way.
    pub capacity: usize,
    /// Transfers that end before time stands still.
    pub budget: usize,
    /// Order of completion, and what a power cut leaves.
    pub random: Random,
    /// Transfers that touch this sector fail.
    pub bad_sector: Option<u64>,
    /// A device that says it has flushed, and has not.
    pub ignores_flush: bool,
    /// Switched off.
    pub off: bool,
    /// Pieces of all transfers, and transfers that were not flushes.
    pub pieces: usize,
    /// See `pieces`.
    pub transfers: usize,
    /// Flushes that have ended.
    pub flushes: usize,
}

impl SimulatedDevice {
    /// A disk that holds `durable`.
    pub fn new(memory: &'static SimulatedMemory, durable: Vec<u8>, seed: u64) -> Self {
        Self {
            memory,
            durable,
            volatile: Vec::new(),
            written: 0,
            queue: Vec::new(),
            capacity: 8,
            budget: usize::MAX,
            random: Random(seed | 1),
            bad_sector: None,
            ignores_flush: false,
            off: false,
            pieces: 0,
            transfers: 0,
            flushes: 0,
        }
    }

    /// What a read of the whole disk would read.
    pub fn contents(&self) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        for written in &self.volatile {
            write_sector(&mut bytes, written.sector, &written.data);
        }
        bytes
    }

    /// The power is cut: of what was written since the last flush, and of what was under way, any
    /// sectors have reached the disk, in any order. What it holds then.
    pub fn cut(mut self) -> Vec<u8> {
        for submitted in core::mem::take(&mut self.queue) {
            self.write(&submitted);
        }
        let odds = 1 + self.random.below(4);
        while !self.volatile.is_empty() {
            let next = self.random.below(self.volatile.len());
            let written = self.volatile.swap_remove(next);
            if self.random.below(odds) == 0 {
                write_sector(&mut self.durable, written.sector, &written.data);
            }
        }
        self.durable
    }

    /// Into the volatile cache.
    fn write(&mut self, submitted: &Submitted) {
        for (data, sector) in submitted.bytes.chunks(BYTES).zip(submitted.sector..) {
            self.written += 1;
            self.volatile.push(Written {
                number: self.written,
                sector,
                data: data.to_vec(),
            });
        }
    }

    fn gathered(&self, pieces: &[Piece]) -> Vec<u8> {
        let of = |piece: &Piece| {
            let offset = piece.address.offset_in_page() as usize;
            let page = self.memory.bytes(piece.address.page());
            page[offset..offset + piece.bytes as usize].to_vec()
        };
        pieces.iter().flat_map(of).collect()
    }
}

fn write_sector(bytes: &mut [u8], sector: u64, data: &[u8]) {
    bytes[sector as usize * BYTES..][..BYTES].copy_from_slice(data);
}

impl BlockDevice for SimulatedDevice {
    fn sectors(&self) -> u64 {
        self.durable.len() as u64 / SECTOR
    }

    fn submit(
        &mut self,
        transfer: Transfer,
        sector: u64,
        pieces: &[Piece],
        token: u32,
    ) -> Result<(), DeviceFull> {
        if self.queue.len() >= self.capacity {
            return Err(DeviceFull);
        }
        assert!(pieces.len() <= super::device::PIECES_MAX);
        assert_eq!(pieces.is_empty(), transfer == Transfer::Flush);
        let length: u64 = pieces.iter().map(|piece| u64::from(piece.bytes)).sum();
        assert!(sector * SECTOR + length <= self.durable.len() as u64);
        let bytes = match transfer {
            Transfer::Write => self.gathered(pieces),
            _ => Vec::new(),
        };
        self.pieces += pieces.len();
        self.transfers += usize::from(transfer != Transfer::Flush);
        self.queue.push(Submitted {
            transfer,
            sector,
            pieces: pieces.to_vec(),
            token,
            bytes,
            after: self.written,
        });
        Ok(())
    }

    fn give_up(&mut self) {
        self.off = true;
    }

    fn completed(&mut self) -> Option<(u32, Result<(), DeviceError>)> {
        if self.off {
            let done = self.queue.pop()?;
            return Some((done.token, Err(DeviceError)));
        }
        if self.queue.is_empty() || self.budget == 0 {
            return None;
        }
        self.budget -= 1;
        let next = self.random.below(self.queue.len());
        let done = self.queue.remove(next);
        let length: u64 = done.pieces.iter().map(|piece| u64::from(piece.bytes)).sum();
        let touched = done.sector..done.sector + length / SECTOR;
        if self.bad_sector.is_some_and(|bad| touched.contains(&bad)) {
            return Some((done.token, Err(DeviceError)));
        }
        match done.transfer {
            Transfer::Read => {
                let first = done.sector as usize * BYTES;
                let mut all = self.durable[first..first + length as usize].to_vec();
                for written in &self.volatile {
                    if touched.contains(&written.sector) {
                        write_sector(&mut all, written.sector - done.sector, &written.data);
                    }
                }
                let mut at = 0;
                for piece in &done.pieces {
                    let bytes = &all[at..at + piece.bytes as usize];
                    let offset = piece.address.offset_in_page() as usize;
                    self.memory
                        .device_write(piece.address.page(), offset, bytes);
                    at += bytes.len();
                }
            }
            Transfer::Write => {
                let now = self.gathered(&done.pieces);
                assert!(now == done.bytes, "changed while the device reads it");
                self.write(&done);
            }
            Transfer::Flush => {
                self.flushes += 1;
                if !self.ignores_flush {
                    for written in &self.volatile {
                        if written.number <= done.after {
                            write_sector(&mut self.durable, written.sector, &written.data);
                        }
                    }
                    self.volatile.retain(|written| written.number > done.after);
                }
            }
        }
        Some((done.token, Ok(())))
    }
}
