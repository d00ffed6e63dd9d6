//! What the virtual machine needs of the real one.
//!
//! The board implements it (`real.rs`); tests implement it with an array for a TLB and bytes for
//! memory.

use crate::address::MachineAddress;

/// A pair of pages for the real TLB.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TlbPair {
    /// EntryHi: bits 63..62, VPN2, ASID.
    pub hi: u64,
    /// EntryLo0 with RI and XI in bits 31 and 30, as `mtc0` takes it.
    pub lo0: u32,
    /// EntryLo1.
    pub lo1: u32,
    /// PageMask.
    pub page_mask: u32,
}

/// Registers of the floating-point unit.
#[repr(C, align(8))]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FpuRegisters {
    /// f0 to f31.
    pub fpr: [u64; 32],
    /// FCSR.
    pub fcsr: u64,
}

impl FpuRegisters {
    /// All registers 0.
    pub const ZERO: Self = Self {
        fpr: [0; 32],
        fcsr: 0,
    };
}

/// The CPU that runs the virtual CPU, and machine memory.
pub trait Hardware {
    /// Writes an entry over any that is not wired.
    fn tlb_write(&mut self, pair: TlbPair);
    /// Writes an entry in the place of the one that maps its address and ASID, or over any that is not
    /// wired if none does. There is not more than one.
    fn tlb_replace(&mut self, pair: TlbPair);
    /// Removes whatever maps the address and ASID of `hi` and is not wired: every entry, if a guest
    /// has mapped an address twice.
    fn tlb_remove(&mut self, hi: u64);
    /// Removes all entries that are not wired.
    fn tlb_flush(&mut self);
    /// Count.
    fn count(&self) -> u32;
    /// What `rdhwr $29` reads.
    fn set_user_local(&mut self, value: u64);
    /// Which hardware registers `rdhwr` reads without a trap.
    fn set_hwrena(&mut self, value: u32);
    /// Copies the FPU's registers out.
    fn fpu_save(&mut self, registers: &mut FpuRegisters);
    /// Copies the FPU's registers in.
    fn fpu_load(&mut self, registers: &FpuRegisters);
    /// Reads an aligned 64-bit word of machine memory that the caller's virtual machine owns.
    fn load(&self, address: MachineAddress) -> u64;
    /// Copies bytes of machine memory that the caller's virtual machine owns.
    fn read(&self, address: MachineAddress, bytes: &mut [u8]);
    /// Writes bytes of machine memory that the caller's virtual machine owns.
    fn write(&mut self, address: MachineAddress, bytes: &[u8]);
}
