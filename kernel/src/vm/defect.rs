//! Small defects, seeded into the emulator to show that the comparison with the real CPU finds them
//! (`cargo xtask fuzz cpu --self-test`), and some in the disks to show that power cuts do
//! (`cargo xtask soak power-cut --self-test`, and the host tests of the log) and in moving pages (`soak moves --self-test`).
//!
//! Without the feature `defects`, which nothing but these commands sets, [`seeded`] is `false` when the
//! monitor is compiled, and nothing of this is in it.

/// A defect. The numbers are those of `xtask`'s table, which says what each does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Defect {
    CauseBd = 1,
    ForbiddenSlot = 2,
    DelaySlot = 3,
    LinkBroken = 4,
    PageMask = 5,
    Global = 6,
    AsidMatch = 7,
    ExecuteInhibit = 8,
    BadVaddr = 9,
    NestedExl = 10,
    Compare = 11,
    NestedRefill = 12,
    Dirty = 13,
    ProbeFailed = 14,
    Context = 15,
    BadInstrP = 16,
    ErrorLevel = 17,
    InterruptMask = 18,
    IgnoreFlush = 19,
    IgnoreMoveFlush = 20,
    IgnoreSuperblockFlush = 21,
    CopyEarly = 22,
    StaleReplicas = 23,
}

/// A mark, and the number of the defect of this run: `xtask` finds the mark in the image.
#[cfg(feature = "defects")]
static CHOSEN: [core::sync::atomic::AtomicU64; 2] = [
    core::sync::atomic::AtomicU64::new(0x4449_5343_4f44_4546),
    core::sync::atomic::AtomicU64::new(0),
];

/// Whether this run has the defect.
#[cfg(feature = "defects")]
pub fn seeded(defect: Defect) -> bool {
    use core::sync::atomic::Ordering::Relaxed;
    // Out of the compiler's sight, which would find that nobody writes the number.
    core::hint::black_box(&CHOSEN)[1].load(Relaxed) == defect as u64
}

/// Whether this run has the defect: none has.
#[cfg(not(any(feature = "defects", test)))]
#[inline(always)]
pub const fn seeded(_: Defect) -> bool {
    false
}

#[cfg(all(test, not(feature = "defects")))]
pub use chosen::{seeded, with};

/// Host tests choose a defect for themselves.
#[cfg(all(test, not(feature = "defects")))]
mod chosen {
    use super::Defect;
    use std::cell::Cell;

    thread_local! {
        static CHOSEN: Cell<Option<Defect>> = const { Cell::new(None) };
    }

    /// Whether the test that runs in this thread has chosen the defect.
    pub fn seeded(defect: Defect) -> bool {
        CHOSEN.get() == Some(defect)
    }

    /// What `work` does with a defect.
    pub fn with<R>(defect: Option<Defect>, work: impl FnOnce() -> R) -> R {
        let before = CHOSEN.replace(defect);
        let result = work();
        CHOSEN.set(before);
        result
    }
}
