//! In and out of a guest: the exception vectors and what they share with the monitor.
//!
//! KScratch1 holds the address of the [`GuestContext`] of whatever the CPU runs (the idle loop
//! has one too), KScratch2 and KScratch3 hold `$k0` and `$k1` inside the vectors.

mod context;
#[cfg(target_os = "none")]
mod vectors;

pub use context::{
    Counters, Entry, GuestContext, L2Slot, Light, LinearEntry, LinearPair, CONTEXT_ALIGNMENT,
    L2_EMPTY, L2_ENTRIES, L2_SLOTS_OFFSET, SPECIAL_PAGE_OFFSET,
};

#[cfg(target_os = "none")]
pub use vectors::{enter, set_context, vectors_address};
