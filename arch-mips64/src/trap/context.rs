//! What the vectors read and write. The layout is the assembly's: offsets come from `offset_of!`.

use core::sync::atomic::{AtomicU32, Ordering};

/// Slots of a second-level TLB; a power of two.
pub const L2_ENTRIES: usize = 2048;
/// A tag that no address has: bits 12..10 of every tag are 0.
pub const L2_EMPTY: u64 = u64::MAX;

/// Bytes from a virtual CPU's [`GuestContext`] to its [`L2_ENTRIES`] slots: a constant, so that the
/// refill vector need not load an address.
pub const L2_SLOTS_OFFSET: usize = core::mem::size_of::<GuestContext>();

/// What the address of a virtual CPU's [`GuestContext`] is a multiple of, in bytes, so that the refill vector can put a slot's
/// number into it.
pub const CONTEXT_ALIGNMENT: usize = L2_ENTRIES * core::mem::size_of::<L2Slot>();

/// Bytes from a virtual CPU's [`GuestContext`] to its special page, which lies before it, where loads and stores reach it
/// by their offset.
pub const SPECIAL_PAGE_OFFSET: isize = -(16 << 10);

/// One slot of the second-level TLB: a pair of pages, ready for the real TLB.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct L2Slot {
    /// EntryHi of the pair under [`GuestContext::l2_mask`], or [`L2_EMPTY`].
    pub tag: u64,
    /// EntryLo0 as `mtc0` takes it: RI and XI in bits 31 and 30.
    pub lo0: u32,
    /// EntryLo1.
    pub lo1: u32,
}

/// A 2 MiB piece of the linear windows, served with a large page that covers it. The vectors of
/// several CPUs may read it, PageMask first, while it changes: who finds a PageMask finds EntryLo
/// as it was or as it is, each of them whole, since a piece that is given up keeps it.
#[repr(C)]
#[derive(Debug, Default)]
pub struct LinearEntry {
    /// PageMask, or 0 if no large page covers this piece.
    page_mask: AtomicU32,
    /// EntryLo0 of the large page's pair.
    lo0: AtomicU32,
    /// EntryLo1.
    lo1: AtomicU32,
    /// 0.
    reserved: AtomicU32,
}

/// What a [`LinearEntry`] holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinearPair {
    /// PageMask, or 0 for none.
    pub page_mask: u32,
    /// EntryLo0.
    pub lo0: u32,
    /// EntryLo1.
    pub lo1: u32,
}

impl LinearEntry {
    /// Fills it, PageMask last; or gives it up, PageMask alone.
    pub fn set(&self, pair: LinearPair) {
        if pair.page_mask == 0 {
            return self.page_mask.store(0, Ordering::Release);
        }
        self.lo0.store(pair.lo0, Ordering::Relaxed);
        self.lo1.store(pair.lo1, Ordering::Relaxed);
        self.page_mask.store(pair.page_mask, Ordering::Release);
    }

    /// What it holds.
    pub fn get(&self) -> LinearPair {
        LinearPair {
            page_mask: self.page_mask.load(Ordering::Acquire),
            lo0: self.lo0.load(Ordering::Relaxed),
            lo1: self.lo1.load(Ordering::Relaxed),
        }
    }
}

/// How often the vectors did their work without the monitor's Rust code.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Counters {
    /// Misses served from the second-level TLB.
    pub l2_hits: u64,
    /// Misses of the linear windows served with a large page.
    pub linear_hits: u64,
    /// System calls reflected to the guest kernel.
    pub system_calls: u64,
    /// `eret` instructions of the guest kernel.
    pub erets: u64,
}

/// How the CPU came into the monitor.
#[repr(u64)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// TLB refill vector.
    Refill = 0,
    /// General exception vector.
    General = 1,
    /// Interrupt vector.
    Interrupt = 2,
}

/// What may be served without saving all registers.
#[repr(u64)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Light {
    /// A refill.
    Refill = 0,
    /// An entry of the TLB does not allow an access.
    Fault = 1,
    /// `hypcall` of a guest's kernel, in no delay slot.
    Call = 3,
}

/// The real CPU's side of a virtual CPU.
#[repr(C)]
#[derive(Debug)]
pub struct GuestContext {
    /// General registers. The first is none: the vectors break a link with a pair of loads and stores there.
    pub gpr: [u64; 32],
    /// Where the guest goes on.
    pub pc: u64,
    /// Status to go on with: EXL set, KSU the guest's real mode. After a trap: KSU alone.
    pub status: u64,
    /// EntryHi to go on with: the guest's ASID.
    pub entry_hi: u64,
    /// PageMask of all pages in the second-level TLB, and while the guest runs.
    pub page_mask: u64,
    /// Not 0: go on with `eretnc`, so that an LL/SC pair of the guest survives the trap.
    pub keep_link: u64,
    /// Bits of EntryHi that make a tag for user addresses.
    pub l2_mask: u64,
    /// The same for kernel addresses: without the ASID, since only global entries are kept.
    pub l2_kernel_mask: u64,
    /// Right shift that brings a tag's lowest page bit to bit 0.
    pub l2_shift: u64,
    /// Address of the [`LinearEntry`] table.
    pub linear_base: u64,
    /// Its entries.
    pub linear_count: u64,
    /// Those of them that the csseg window reaches.
    pub csseg_count: u64,
    /// Virtual Cause without ExcCode, CE and BD: waiting interrupts and writable bits.
    pub cause_base: u64,
    /// Of that the waiting interrupts.
    pub pending: u64,
    /// The same with the ExcCode of a system call.
    pub syscall_cause: u64,
    /// Where a system call of guest user mode goes; 0: let the monitor find out.
    pub syscall_vector: u64,
    /// Status of a running guest without KSU and CU1.
    pub base_status: u64,
    /// CU1 if the FPU holds this virtual CPU's registers, else 0.
    pub fpu_mask: u64,
    /// Virtual Status before the last `eret` or `eretnc` that the vectors did, sign-extended from 32 bits; [`GuestContext::NO_ERET`] if what
    /// follows is no longer true.
    pub eret_from: u64,
    /// The same after it.
    pub eret_to: u64,
    /// The real Status that makes.
    pub eret_status: u64,
    /// What it was made of: `base_status` and `fpu_mask`.
    pub eret_of: u64,
    /// Top of the monitor's stack on this CPU.
    pub stack: u64,
    /// `extern "C" fn(*mut GuestContext, Entry) -> *mut GuestContext`, this node's copy.
    pub handler: u64,
    /// `extern "C" fn(*mut GuestContext, u64) -> u64`, this node's copy: serves a [`Light`], or gives 0, and `handler` has
    /// to. It finds `pc`, `status` and the general registers that a function may use up saved, and may change them, EntryHi
    /// and PageMask. 0 for none: everything goes to `handler`.
    pub light: u64,
    /// `extern "C" fn(*mut GuestContext) -> !` for an exception of the monitor itself.
    pub fault_handler: u64,
    /// Status while the monitor runs.
    pub monitor_status: u64,
    /// What the vectors count.
    pub counters: Counters,
}

impl GuestContext {
    /// No 32-bit word, sign-extended, is that.
    const NO_ERET: u64 = 1 << 32;
    /// ExcCode 8.
    const SYSTEM_CALL: u64 = 8 << 2;

    /// Sets the virtual Cause outside exceptions.
    pub fn set_cause_base(&mut self, cause: u32) {
        self.cause_base = cause.into();
        self.pending = self.cause_base & 0xff00;
        self.syscall_cause = self.cause_base | Self::SYSTEM_CALL;
    }

    /// Forgets what the last `eret` led to, if it would lead to something else: `base_status` or `fpu_mask` may have changed.
    pub fn check_eret(&mut self) {
        let made_of = self.base_status | self.fpu_mask;
        if self.eret_of != made_of {
            self.eret_of = made_of;
            self.eret_from = Self::NO_ERET;
        }
    }

    /// A context of a virtual CPU that has done nothing yet, for which nothing is set up.
    pub const fn new() -> Self {
        Self {
            gpr: [0; 32],
            pc: 0,
            status: 0,
            entry_hi: 0,
            page_mask: 0,
            keep_link: 0,
            l2_mask: 0,
            l2_kernel_mask: 0,
            l2_shift: 0,
            linear_base: 0,
            linear_count: 0,
            csseg_count: 0,
            cause_base: 0,
            pending: 0,
            syscall_cause: Self::SYSTEM_CALL,
            syscall_vector: 0,
            base_status: 0,
            fpu_mask: 0,
            eret_from: Self::NO_ERET,
            eret_to: 0,
            eret_status: 0,
            eret_of: 0,
            stack: 0,
            handler: 0,
            light: 0,
            fault_handler: 0,
            monitor_status: 0,
            counters: Counters {
                l2_hits: 0,
                linear_hits: 0,
                system_calls: 0,
                erets: 0,
            },
        }
    }
}

impl Default for GuestContext {
    fn default() -> Self {
        Self::new()
    }
}

static_assertions::const_assert_eq!(core::mem::size_of::<L2Slot>(), 16);
static_assertions::const_assert_eq!(core::mem::size_of::<LinearEntry>(), 16);
