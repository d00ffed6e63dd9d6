//! The real disk, as the virtual ones see it.

use crate::address::MachineAddress;

/// What a device is to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Transfer {
    /// Sectors into memory.
    Read,
    /// Memory into sectors. It may stay in the device's volatile cache.
    Write,
    /// What was written by transfers that have ended becomes durable.
    Flush,
}

/// Contiguous machine memory of a transfer. It stays as it is until the transfer has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Piece {
    /// Where it begins.
    pub address: MachineAddress,
    /// Bytes, a multiple of a sector.
    pub bytes: u32,
}

/// Most pieces of a transfer.
pub const PIECES_MAX: usize = 64;

/// The device takes nothing more until a transfer has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DeviceFull;

/// The device reported that a transfer has failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DeviceError;

/// A disk with transfers under way, which end in any order.
pub trait BlockDevice {
    /// Its length in sectors.
    fn sectors(&self) -> u64;

    /// Begins a transfer with `pieces`, at most [`PIECES_MAX`], from sector `sector` on; it ends under
    /// the name `token`.
    ///
    /// # Errors
    /// The device is full.
    fn submit(
        &mut self,
        transfer: Transfer,
        sector: u64,
        pieces: &[Piece],
        token: u32,
    ) -> Result<(), DeviceFull>;

    /// Switches the device off: what is under way, and everything later, ends with an error.
    fn give_up(&mut self);

    /// A transfer that has ended.
    fn completed(&mut self) -> Option<(u32, Result<(), DeviceError>)>;
}
