//! The TLB of the real CPU.

/// EntryLo: cached, coherent.
pub const CACHED: u64 = 3 << 3;
/// EntryLo: stores are allowed.
pub const DIRTY: u64 = 1 << 2;
/// EntryLo: the page is there.
pub const VALID: u64 = 1 << 1;
/// EntryLo: the address space is ignored.
pub const GLOBAL: u64 = 1 << 0;
/// EntryLo: reads are an exception.
pub const READ_INHIBIT: u64 = 1 << 63;
/// EntryLo: instruction fetches are an exception.
pub const EXECUTE_INHIBIT: u64 = 1 << 62;
/// EntryHi: this entry matches nothing.
pub const ENTRY_HI_INVALID: u64 = 1 << 10;
/// Index: `tlbp` found nothing.
pub const PROBE_FAILED: u32 = 1 << 31;

/// PageMask of a page of `1 << shift` bytes; `shift` is even, 12 to 28.
pub const fn page_mask(shift: u32) -> u32 {
    ((1 << (shift + 1)) - 1) & !0x1fff
}

/// One pair of pages as the TLB holds it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Entry {
    /// Virtual page pair and address space (EntryHi).
    pub hi: u64,
    /// Even page (EntryLo0).
    pub lo0: u64,
    /// Odd page (EntryLo1).
    pub lo1: u64,
    /// Page size (PageMask).
    pub mask: u32,
}

#[cfg(target_os = "none")]
pub use access::*;

#[cfg(target_os = "none")]
mod access {
    use super::{Entry, ENTRY_HI_INVALID, PROBE_FAILED};
    use crate::cp0;
    use core::arch::asm;

    fn load(entry: Entry) {
        // SAFETY: these four registers only stage a TLB instruction; the address space in
        // EntryHi matters to mapped addresses alone, which the monitor itself never uses.
        unsafe {
            cp0::set_entry_hi(entry.hi);
            cp0::set_entry_lo0(entry.lo0);
            cp0::set_entry_lo1(entry.lo1);
            cp0::set_page_mask(entry.mask);
        }
    }

    /// Entries of this CPU's TLB.
    pub fn entries() -> u32 {
        ((cp0::config1() >> 25) & 0x3f) + 1
    }

    /// Writes `entry` over entry `index`. Leaves EntryHi at the entry's.
    ///
    /// # Safety
    /// What `entry` maps is what the code that will use it may reach.
    pub unsafe fn write_indexed(index: u32, entry: Entry) {
        load(entry);
        // SAFETY: the entry is staged; the caller answers for what it maps.
        unsafe {
            cp0::set_index(index);
            asm!("tlbwi", "ehb", options(nostack));
        }
    }

    /// Writes `entry` over a random entry that is not wired. Leaves EntryHi at the entry's.
    ///
    /// # Safety
    /// What `entry` maps is what the code that will use it may reach, and no entry of the TLB
    /// matches the same address.
    pub unsafe fn write_random(entry: Entry) {
        load(entry);
        // SAFETY: the entry is staged; the caller answers for what it maps.
        unsafe { asm!("tlbwr", "ehb", options(nostack)) };
    }

    /// The entry at `index`. Overwrites the staging registers, EntryHi among them.
    pub fn read(index: u32) -> Entry {
        // SAFETY: `tlbr` only loads the staging registers.
        unsafe {
            cp0::set_index(index);
            asm!("tlbr", "ehb", options(nostack));
        }
        Entry {
            hi: cp0::entry_hi(),
            lo0: cp0::entry_lo0(),
            lo1: cp0::entry_lo1(),
            mask: cp0::page_mask(),
        }
    }

    /// Makes room for what `tlbwr` will drive out. QEMU hides such entries behind the TLB, where they go on to match, up to 112 of
    /// them; from then on it takes no more until something empties the hiding place, as `tlbr` does
    /// (`r4k_invalidate_tlb`, QEMU's target/mips/tcg/sysemu/tlb_helper.c). Overwrites the staging registers.
    pub fn forget_hidden() {
        // SAFETY: `tlbr` only loads the staging registers.
        unsafe { asm!("tlbr", "ehb", options(nostack)) };
    }

    /// The index of the entry that matches `hi` (address and address space). Leaves EntryHi at
    /// `hi`.
    pub fn probe(hi: u64) -> Option<u32> {
        // SAFETY: `tlbp` only loads Index.
        unsafe {
            cp0::set_entry_hi(hi);
            asm!("tlbp", "ehb", options(nostack));
        }
        let index = cp0::index();
        (index & PROBE_FAILED == 0).then_some(index)
    }

    /// Empties the whole TLB, wired entries included. Keeps EntryHi.
    pub fn flush_all() {
        let hi = cp0::entry_hi();
        for index in 0..entries() {
            // SAFETY: an invalid entry matches no address.
            unsafe {
                write_indexed(
                    index,
                    Entry {
                        hi: ENTRY_HI_INVALID,
                        ..Entry::default()
                    },
                )
            };
        }
        // SAFETY: this is the value from before.
        unsafe { cp0::set_entry_hi(hi) };
    }

    /// Empties the whole TLB, wired entries included, with one instruction. Keeps EntryHi.
    #[inline(always)]
    pub fn flush() {
        // `tlbinvf`, which the assembler knows only with an extension.
        // SAFETY: fewer entries are always correct; refills bring them back.
        unsafe { asm!(".word 0x42000004", "ehb", options(nostack)) };
    }
}

#[cfg(test)]
mod tests {
    use super::page_mask;

    #[test]
    fn page_masks() {
        assert_eq!(page_mask(12), 0);
        assert_eq!(page_mask(14), 0x6000);
        assert_eq!(page_mask(28), 0x1fff_e000);
    }
}
