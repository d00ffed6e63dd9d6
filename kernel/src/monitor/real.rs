//! The real machine behind the traits of the virtual machine and of machine memory.

use crate::address::{MachineAddress, MachinePage};
use crate::machine::{MachineMemory, PageRange};
use crate::vm::hardware::{FpuRegisters, Hardware, TlbPair};
use crate::vm::l2tlb::expand_lo;
use crate::vm::trap::Trap;
use core::slice;
use disco_abi::{PAGE_SIZE, SPECIAL_PAGE};
use disco_arch::board::XKPHYS_CACHED;
use disco_arch::cp0::{self, HwrEna, Status};
use disco_arch::tlb::{self, Entry as TlbEntry};
use disco_arch::trap::Entry;
use disco_arch::{cpu, fpu};

/// Wired entry of the special page.
const SPECIAL_INDEX: u32 = 0;

/// The CPU that runs this code. Not `Send`: a handle is good where it was made.
#[derive(Debug)]
pub struct RealCpu {
    _here: core::marker::PhantomData<*mut ()>,
}

impl RealCpu {
    /// This CPU.
    ///
    /// # Safety
    /// One handle at a time is in use on a CPU, and only with interrupts off: it changes the TLB
    /// under whatever guest was loaded last.
    pub unsafe fn here() -> Self {
        Self {
            _here: core::marker::PhantomData,
        }
    }

    /// What the CPU says about the trap that it took through `entry`.
    pub fn trap(&self, entry: Entry, user: bool) -> Trap {
        Trap {
            entry,
            cause: cp0::cause().bits(),
            epc: cp0::epc(),
            bad_vaddr: cp0::bad_vaddr(),
            bad_instr: cp0::bad_instr(),
            bad_instr_p: cp0::bad_instr_p(),
            user,
        }
    }

    /// Maps `page` as the special page of the guest that runs next.
    pub fn map_special_page(&mut self, page: MachinePage) {
        let lo = (page.address().0 >> 12) << 6 | tlb::CACHED | tlb::DIRTY | tlb::VALID;
        let entry = TlbEntry {
            hi: SPECIAL_PAGE & !(2 * PAGE_SIZE - 1),
            lo0: tlb::GLOBAL,
            lo1: lo | tlb::GLOBAL | tlb::EXECUTE_INHIBIT,
            mask: tlb::page_mask(14),
        };
        // SAFETY: the page is the virtual CPU's own, and only its kernel mode reaches csseg.
        unsafe { tlb::write_indexed(SPECIAL_INDEX, entry) };
    }
}

impl RealCpu {
    /// Maps no special page.
    pub fn unmap_special_page(&mut self) {
        let nothing = TlbEntry {
            hi: tlb::ENTRY_HI_INVALID,
            ..TlbEntry::default()
        };
        // SAFETY: an invalid entry maps nothing.
        unsafe { tlb::write_indexed(SPECIAL_INDEX, nothing) };
    }
}

/// A pair as the TLB takes it.
const fn tlb_entry(pair: TlbPair) -> TlbEntry {
    TlbEntry {
        hi: pair.hi,
        lo0: expand_lo(pair.lo0),
        lo1: expand_lo(pair.lo1),
        mask: pair.page_mask,
    }
}

impl Hardware for RealCpu {
    fn tlb_write(&mut self, pair: TlbPair) {
        // SAFETY: the pair comes from the pmap of the guest that will use it; the caller has
        // removed what matched the same address.
        unsafe { tlb::write_random(tlb_entry(pair)) };
    }

    fn tlb_replace(&mut self, pair: TlbPair) {
        match tlb::probe(pair.hi) {
            // Not removed before: QEMU drops the entries that it keeps in hiding at every `tlbwi` but
            // one that only adds rights.
            // SAFETY: as for `tlb_write`; nothing else matched the address, and user addresses are
            // not those of the wired entry.
            Some(index) => unsafe { tlb::write_indexed(index, tlb_entry(pair)) },
            None => self.tlb_write(pair),
        }
    }

    fn tlb_remove(&mut self, hi: u64) {
        // More than once, where the guest has mapped the address twice.
        while let Some(index) = tlb::probe(hi).filter(|&index| index != SPECIAL_INDEX) {
            let nothing = TlbEntry {
                hi: tlb::ENTRY_HI_INVALID,
                ..TlbEntry::default()
            };
            // SAFETY: an invalid entry maps nothing.
            unsafe { tlb::write_indexed(index, nothing) };
        }
    }

    fn tlb_flush(&mut self) {
        // SAFETY: reading the wired entry and writing it back changes nothing.
        unsafe {
            let special = tlb::read(SPECIAL_INDEX);
            tlb::flush();
            if special.hi & tlb::ENTRY_HI_INVALID == 0 {
                tlb::write_indexed(SPECIAL_INDEX, special);
            }
        }
    }

    fn count(&self) -> u32 {
        cp0::count()
    }

    fn set_user_local(&mut self, value: u64) {
        // SAFETY: only guests read UserLocal.
        unsafe { cp0::set_user_local(value) };
    }

    fn set_hwrena(&mut self, value: u32) {
        // SAFETY: the virtual CPU asks only for registers that are right for it.
        unsafe { cp0::set_hwrena(HwrEna::from_bits_retain(value)) };
    }

    fn fpu_save(&mut self, registers: &mut FpuRegisters) {
        let mut raw = [0; 33];
        fpu::save(&mut raw);
        registers.fpr.copy_from_slice(&raw[..32]);
        registers.fcsr = raw[32];
    }

    fn fpu_load(&mut self, registers: &FpuRegisters) {
        let mut raw = [0; 33];
        raw[..32].copy_from_slice(&registers.fpr);
        raw[32] = registers.fcsr;
        // SAFETY: KScratch4 holds this CPU's block, which begins with a context of its own.
        unsafe { fpu::load(&raw) };
    }

    fn load(&self, address: MachineAddress) -> u64 {
        let word = (XKPHYS_CACHED | address.0 & !7) as *const u64;
        // SAFETY: the address comes from a pmap: a page of the guest's that stays its own while
        // its virtual CPU is here. The guest's other CPUs may write it: volatile.
        unsafe { word.read_volatile() }
    }

    fn read(&self, address: MachineAddress, bytes: &mut [u8]) {
        let from = (XKPHYS_CACHED | address.0) as *const u8;
        // SAFETY: as for `load`; the caller stays within a page.
        unsafe { core::ptr::copy_nonoverlapping(from, bytes.as_mut_ptr(), bytes.len()) };
    }

    fn write(&mut self, address: MachineAddress, bytes: &[u8]) {
        let to = (XKPHYS_CACHED | address.0) as *mut u8;
        // SAFETY: as for `load`; the caller stays within a page.
        unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
    }
}

/// Machine memory through unmapped cached addresses.
#[derive(Clone, Copy, Debug)]
pub struct RealMemory;

impl RealMemory {
    /// The bytes of pages that the caller owns.
    ///
    /// # Safety
    /// Nobody else uses the pages while the slice lives.
    pub unsafe fn bytes(pages: PageRange) -> &'static mut [u8] {
        let start = (XKPHYS_CACHED | pages.first.address().0) as *mut u8;
        let len = (pages.count * PAGE_SIZE) as usize;
        // SAFETY: pages of the machine are mapped at xkphys; the caller owns them.
        unsafe { slice::from_raw_parts_mut(start, len) }
    }
}

impl MachineMemory for RealMemory {
    fn zero(&self, pages: PageRange) {
        let start = XKPHYS_CACHED | pages.first.address().0;
        // SAFETY: a token of the allocator stands for these pages: nobody else has them.
        unsafe { cpu::zero(start, pages.count * PAGE_SIZE) };
    }

    fn copy(&self, from: PageRange, to: MachinePage) {
        let source = XKPHYS_CACHED | from.first.address().0;
        let target = XKPHYS_CACHED | to.address().0;
        // SAFETY: the caller owns both, and they do not overlap.
        unsafe { cpu::copy(source, target, from.count * PAGE_SIZE) };
    }
}

/// Address of byte `offset` of a page, and how many of `length` bytes from there are in it.
fn within(page: MachinePage, offset: usize, length: usize) -> (u64, usize) {
    let offset = (offset as u64).min(PAGE_SIZE);
    let room = (PAGE_SIZE - offset) as usize;
    (XKPHYS_CACHED | page.address().0 + offset, length.min(room))
}

/// Reads bytes of a page that the caller uses.
pub fn read(page: MachinePage, offset: usize, bytes: &mut [u8]) {
    let (from, length) = within(page, offset, bytes.len());
    // SAFETY: memory of the machine, within the page; it stays the caller's meanwhile. A guest that
    // writes it at the same time reads its own disorder.
    unsafe { core::ptr::copy_nonoverlapping(from as *const u8, bytes.as_mut_ptr(), length) };
}

/// Writes bytes of a page that the caller may write to.
pub fn write(page: MachinePage, offset: usize, bytes: &[u8]) {
    let (to, length) = within(page, offset, bytes.len());
    // SAFETY: as for `read`.
    unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), to as *mut u8, length) };
}

/// Copies bytes between two pages, from one that the caller uses to one that he may write to.
pub fn copy(from: (MachinePage, usize), to: (MachinePage, usize), bytes: usize) {
    let (from, bytes) = within(from.0, from.1, bytes);
    let (to, bytes) = within(to.0, to.1, bytes);
    // SAFETY: as for `read`. It may be the same page: a guest that sends to itself.
    unsafe { core::ptr::copy(from as *const u8, to as *mut u8, bytes) };
}

/// Makes code that a page of the caller's may hold visible to instruction fetch.
pub fn publish_page(page: MachinePage) {
    // SAFETY: memory of the machine is mapped.
    unsafe { cpu::publish_code(XKPHYS_CACHED | page.address().0, PAGE_SIZE) };
}

/// Status bits of this CPU's FPU that no program can change.
pub fn fixed_status() -> u32 {
    (cp0::status() & Status::FR).bits()
}

/// Makes code that was stored to `bytes` visible to instruction fetch.
pub fn publish(bytes: &[u8]) {
    // SAFETY: the bytes are mapped.
    unsafe { cpu::publish_code(bytes.as_ptr() as u64, bytes.len() as u64) };
}
