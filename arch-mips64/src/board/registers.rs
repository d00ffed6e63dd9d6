//! A device's registers.

use super::XKPHYS_UNCACHED;
use core::ptr::NonNull;
use volatile::VolatilePtr;

/// A block of device registers, reached through uncached xkphys.
#[derive(Clone, Copy, Debug)]
pub struct Registers {
    base: u64,
}

impl Registers {
    /// The registers at physical address `physical`.
    ///
    /// # Safety
    /// A device of the board answers there, at every offset that is used, and the caller is its
    /// driver: accesses have no effect but the device's.
    pub const unsafe fn at(physical: u64) -> Self {
        Self {
            base: XKPHYS_UNCACHED | physical,
        }
    }

    fn pointer<T>(self, offset: u64) -> VolatilePtr<'static, T> {
        let address = (self.base + offset) as *mut T;
        // SAFETY: an uncached xkphys address is mapped without the TLB and is not 0; that a
        // device is there is what `at` demands.
        unsafe { VolatilePtr::new(NonNull::new_unchecked(address)) }
    }

    /// Reads the byte at `offset`.
    pub fn read8(self, offset: u64) -> u8 {
        self.pointer(offset).read()
    }

    /// Writes the byte at `offset`.
    pub fn write8(self, offset: u64, value: u8) {
        self.pointer(offset).write(value)
    }

    /// Reads the 16-bit word at `offset`, a multiple of 2.
    pub fn read16(self, offset: u64) -> u16 {
        self.pointer(offset).read()
    }

    /// Writes the 16-bit word at `offset`, a multiple of 2.
    pub fn write16(self, offset: u64, value: u16) {
        self.pointer(offset).write(value)
    }

    /// Reads the 32-bit word at `offset`, a multiple of 4.
    pub fn read32(self, offset: u64) -> u32 {
        self.pointer(offset).read()
    }

    /// Writes the 32-bit word at `offset`, a multiple of 4.
    pub fn write32(self, offset: u64, value: u32) {
        self.pointer(offset).write(value)
    }

    /// Reads the 64-bit word at `offset`, a multiple of 8.
    pub fn read64(self, offset: u64) -> u64 {
        self.pointer(offset).read()
    }

    /// Writes the 64-bit word at `offset`, a multiple of 8.
    pub fn write64(self, offset: u64, value: u64) {
        self.pointer(offset).write(value)
    }
}
