//! The special page, as the monitor sees it.

use core::sync::atomic::{AtomicU64, Ordering};
use disco_abi as abi;

/// The slots of one virtual CPU's special page. The guest may change them at any instruction:
/// what is read here is a claim, read once and then checked.
#[repr(C)]
#[derive(Debug)]
pub struct SpecialPage {
    slots: [AtomicU64; abi::SP_SLOTS],
}

macro_rules! registers {
    ($($(#[$doc:meta])* $get:ident $set:ident $offset:ident,)*) => {
        $(
            $(#[$doc])*
            pub fn $get(&self) -> u64 {
                self.slots[$offset as usize / 8].load(Ordering::Relaxed)
            }
            $(#[$doc])*
            pub fn $set(&self, value: u64) {
                self.slots[$offset as usize / 8].store(value, Ordering::Relaxed)
            }
        )*
    };
}

use abi::*;

impl SpecialPage {
    /// A page of zeros.
    pub const fn new() -> Self {
        Self {
            slots: [const { AtomicU64::new(0) }; abi::SP_SLOTS],
        }
    }

    /// Makes every slot 0.
    pub fn clear(&self) {
        for slot in &self.slots {
            slot.store(0, Ordering::Relaxed);
        }
    }

    registers! {
        /// EPC.
        epc set_epc SP_EPC,
        /// BadVAddr.
        bad_vaddr set_bad_vaddr SP_BADVADDR,
        /// An interrupt waits for IE, EXL or ERL.
        pending set_pending SP_PENDING,
        /// EntryHi.
        entry_hi set_entry_hi SP_ENTRYHI,
        /// EntryLo0.
        entry_lo0 set_entry_lo0 SP_ENTRYLO0,
        /// EntryLo1.
        entry_lo1 set_entry_lo1 SP_ENTRYLO1,
        /// PageMask.
        page_mask set_page_mask SP_PAGEMASK,
        /// Context.
        context set_context SP_CONTEXT,
        /// XContext.
        xcontext set_xcontext SP_XCONTEXT,
        /// ErrorEPC.
        error_epc set_error_epc SP_ERROREPC,
        /// UserLocal.
        user_local set_user_local SP_USERLOCAL,
    }

    /// The slots as the guest's loads and stores find them.
    #[cfg(test)]
    pub(super) fn memory(&self) -> &[AtomicU64; abi::SP_SLOTS] {
        &self.slots
    }

    fn word(&self, offset: u64) -> u32 {
        self.slots[offset as usize / 8].load(Ordering::Relaxed) as u32
    }

    fn set_word(&self, offset: u64, value: u32) {
        self.slots[offset as usize / 8].store(value as i32 as i64 as u64, Ordering::Relaxed)
    }

    /// Status.
    pub fn status(&self) -> u32 {
        self.word(SP_STATUS)
    }
    /// Status.
    pub fn set_status(&self, value: u32) {
        self.set_word(SP_STATUS, value)
    }
    /// Cause, as of the last exception.
    pub fn cause(&self) -> u32 {
        self.word(SP_CAUSE)
    }
    /// Cause.
    pub fn set_cause(&self, value: u32) {
        self.set_word(SP_CAUSE, value)
    }
    /// Index.
    pub fn index(&self) -> u32 {
        self.word(SP_INDEX)
    }
    /// Index.
    pub fn set_index(&self, value: u32) {
        self.set_word(SP_INDEX, value)
    }
    /// BadInstr.
    pub fn bad_instr(&self) -> u32 {
        self.word(SP_BADINSTR)
    }
    /// BadInstr.
    pub fn set_bad_instr(&self, value: u32) {
        self.set_word(SP_BADINSTR, value)
    }
    /// BadInstrP.
    pub fn bad_instr_p(&self) -> u32 {
        self.word(SP_BADINSTRP)
    }
    /// BadInstrP.
    pub fn set_bad_instr_p(&self, value: u32) {
        self.set_word(SP_BADINSTRP, value)
    }
    /// KScratch1 to KScratch6 are 0 to 5.
    pub fn kscratch(&self, number: usize) -> u64 {
        match number {
            0..=5 => self.slots[SP_KSCRATCH as usize / 8 + number].load(Ordering::Relaxed),
            _ => 0,
        }
    }
    /// KScratch1 to KScratch6 are 0 to 5; others do not exist.
    pub fn set_kscratch(&self, number: usize, value: u64) {
        if number < 6 {
            self.slots[SP_KSCRATCH as usize / 8 + number].store(value, Ordering::Relaxed);
        }
    }
}

impl Default for SpecialPage {
    fn default() -> Self {
        Self::new()
    }
}
