//! What CPUs share: mailboxes, posted words, homes, and who is idle.

use core::sync::atomic::{AtomicU32, AtomicU64, AtomicU8, Ordering};

use spin::Once;

use super::set::AtomicVcpuSet;
use super::{CpuId, VcpuId, CPUS_MAX, VCPUS_MAX};
use crate::machine::NodeId;

/// Bit of the posted word: the virtual CPU is to be switched off. The bits below 32 are
/// interrupt lines; the others are free for further requests.
pub const POSTED_STOP: u64 = 1 << 63;
/// A home that is none: the virtual CPU is off.
const OFF: u8 = u8::MAX;

/// What other CPUs write for one CPU, in its node's memory.
#[derive(Debug)]
#[repr(align(64))]
pub struct Mailbox {
    pub(super) node: NodeId,
    pub(super) inbox: AtomicVcpuSet,
    /// How many virtual CPUs have their home here.
    homed: AtomicU32,
    /// How many could run here; its CPU writes it.
    pub(super) runnable: AtomicU32,
    /// The same as an average, see `balance.rs`; its CPU writes it.
    pub(super) average: AtomicU64,
    /// Up to when, in ticks.
    pub(super) averaged: AtomicU64,
    /// When a virtual CPU was last given from here or to here to balance, in ticks.
    pub(super) moved: AtomicU64,
    /// The same between nodes.
    pub(super) moved_far: AtomicU64,
}

impl Mailbox {
    /// An empty mailbox for a CPU of `node`.
    pub const fn new(node: NodeId) -> Self {
        Self {
            node,
            inbox: AtomicVcpuSet::new(),
            homed: AtomicU32::new(0),
            runnable: AtomicU32::new(0),
            average: AtomicU64::new(0),
            averaged: AtomicU64::new(0),
            moved: AtomicU64::new(0),
            moved_far: AtomicU64::new(0),
        }
    }

    /// How many virtual CPUs have their home here.
    pub fn homed(&self) -> u32 {
        self.homed.load(Ordering::Relaxed)
    }

    /// Whether something is in it that its CPU has not looked at.
    pub fn has_mail(&self) -> bool {
        !self.inbox.is_empty()
    }
}

/// The shared words of one virtual CPU, on a cache line of their own.
#[derive(Debug)]
#[repr(align(64))]
struct VcpuWords {
    /// Interrupt lines and requests that it has not taken yet.
    posted: AtomicU64,
    /// The CPU that owns its run state, or [`OFF`]. Only that CPU changes it; out of off,
    /// whoever starts it.
    home: AtomicU8,
    /// The node where its memory is: that of the CPU it was started on, until [`Scheduler::set_memory_in`].
    memory_in: AtomicU8,
    /// The first virtual CPU of its virtual machine (low half), and how many that one has.
    siblings: AtomicU32,
    /// While it changes homes: its virtual run time less that of the queue it left.
    lag: AtomicU64,
    /// Ticks it has run.
    ran: AtomicU64,
    /// It begins to run at this tick, not before.
    begins: AtomicU64,
}

/// The scheduler's shared part.
#[derive(Debug)]
pub struct Scheduler {
    cpus: [Once<&'static Mailbox>; CPUS_MAX],
    vcpus: [VcpuWords; VCPUS_MAX],
    /// A bit for each CPU that has nothing to run.
    pub(super) idle: AtomicU64,
}

impl Scheduler {
    /// No CPU, and every virtual CPU off.
    pub const fn new() -> Self {
        Self {
            cpus: [const { Once::new() }; CPUS_MAX],
            vcpus: [const {
                VcpuWords {
                    posted: AtomicU64::new(0),
                    home: AtomicU8::new(OFF),
                    memory_in: AtomicU8::new(0),
                    siblings: AtomicU32::new(0),
                    lag: AtomicU64::new(0),
                    ran: AtomicU64::new(0),
                    begins: AtomicU64::new(0),
                }
            }; VCPUS_MAX],
            idle: AtomicU64::new(0),
        }
    }

    /// Makes a CPU known; the first mailbox of a number counts.
    pub fn add_cpu(&self, cpu: CpuId, mailbox: &'static Mailbox) {
        if let Some(place) = self.cpus.get(usize::from(cpu.0)) {
            place.call_once(|| mailbox);
        }
    }

    /// The mailbox of a CPU, if it is known.
    #[inline(never)]
    pub fn mailbox(&self, cpu: CpuId) -> Option<&'static Mailbox> {
        self.cpus.get(usize::from(cpu.0))?.get().copied()
    }

    fn vcpu(&self, vcpu: VcpuId) -> Option<&VcpuWords> {
        self.vcpus.get(usize::from(vcpu.0))
    }

    /// Makes `count` virtual CPUs from `first` on siblings: they are one virtual machine's, and
    /// rather kept on different CPUs.
    pub fn join(&self, first: VcpuId, count: u16) {
        let members = self.vcpus.iter().skip(usize::from(first.0));
        for words in members.take(usize::from(count)) {
            let siblings = u32::from(count) << 16 | u32::from(first.0);
            words.siblings.store(siblings, Ordering::Relaxed);
        }
    }

    /// How many siblings of `vcpu` have their home on `cpu`.
    pub(super) fn siblings_on(&self, vcpu: VcpuId, cpu: CpuId) -> usize {
        let siblings = self
            .vcpu(vcpu)
            .map_or(0, |words| words.siblings.load(Ordering::Relaxed));
        let (first, count) = (siblings as u16, (siblings >> 16) as u16);
        let members = (first..first.saturating_add(count)).map(VcpuId);
        members
            .filter(|&member| member != vcpu && self.home(member) == Some(cpu))
            .count()
    }

    /// Sets `bits` in the posted word of `vcpu` and tells its home. Returns the CPU that the
    /// caller now interrupts (itself too, unless it takes a turn before it runs or idles).
    ///
    /// `None` if it is off: the bits stay until it is started, and are cleared then.
    pub fn post(&self, vcpu: VcpuId, bits: u64) -> Option<CpuId> {
        let home = self.set_posted(vcpu, bits)?;
        self.mailbox(home)?.inbox.insert(vcpu);
        Some(home)
    }

    /// The first half of a post: sets the bits, then reads the home.
    pub(super) fn set_posted(&self, vcpu: VcpuId, bits: u64) -> Option<CpuId> {
        self.vcpu(vcpu)?.posted.fetch_or(bits, Ordering::AcqRel);
        self.home(vcpu)
    }

    /// Asks for `vcpu` to be switched off; [`Scheduler::home`] is `None` when it is.
    /// Returns the CPU to interrupt; `None` if it is off already.
    #[link_section = ".text.once"]
    #[inline(never)]
    pub fn stop(&self, vcpu: VcpuId) -> Option<CpuId> {
        self.home(vcpu)?;
        self.post(vcpu, POSTED_STOP)
    }

    /// Tells the home of `vcpu` to look at it; which CPU that is.
    pub(super) fn remind(&self, vcpu: VcpuId) -> Option<CpuId> {
        let home = self.home(vcpu)?;
        self.mailbox(home)?.inbox.insert(vcpu);
        Some(home)
    }

    /// The CPU that owns the run state of `vcpu`; `None` if it is off: no CPU touches it then.
    pub fn home(&self, vcpu: VcpuId) -> Option<CpuId> {
        match self.vcpu(vcpu)?.home.load(Ordering::Acquire) {
            OFF => None,
            cpu => Some(CpuId(cpu)),
        }
    }

    /// What is posted to `vcpu` and not taken.
    pub fn posted(&self, vcpu: VcpuId) -> u64 {
        self.vcpu(vcpu)
            .map_or(0, |words| words.posted.load(Ordering::Acquire))
    }

    /// Takes what is posted to `vcpu`, except a request to stop, which its home handles in its
    /// next turn. For the CPU that runs it, each time before it enters the guest.
    pub fn take_posted(&self, vcpu: VcpuId) -> u64 {
        let Some(words) = self.vcpu(vcpu) else {
            return 0;
        };
        match words.posted.load(Ordering::Acquire) & !POSTED_STOP {
            0 => 0,
            _ => words.posted.fetch_and(POSTED_STOP, Ordering::AcqRel) & !POSTED_STOP,
        }
    }

    /// Begins to count anew what `vcpu` runs: its virtual machine starts.
    pub fn forget_run(&self, vcpu: VcpuId) {
        if let Some(words) = self.vcpu(vcpu) {
            words.ran.store(0, Ordering::Relaxed);
        }
    }

    /// Ticks that `vcpu` has run since its virtual machine was started.
    pub fn ran(&self, vcpu: VcpuId) -> u64 {
        self.vcpu(vcpu)
            .map_or(0, |words| words.ran.load(Ordering::Relaxed))
    }

    /// Starts `vcpu`, which is off, on `cpu`, to run from tick `begins` on; returns whether it was off and the CPU is known.
    /// The caller then interrupts `cpu`. Starting and stopping one virtual CPU at the same time
    /// is ruled out by the virtual machine's lock, which the caller holds.
    #[must_use]
    pub fn start(&self, vcpu: VcpuId, cpu: CpuId, begins: u64) -> bool {
        let (Some(words), Some(mailbox)) = (self.vcpu(vcpu), self.mailbox(cpu)) else {
            return false;
        };
        if words.home.load(Ordering::Acquire) != OFF {
            return false;
        }
        words.posted.store(0, Ordering::Relaxed);
        words.lag.store(0, Ordering::Relaxed);
        words.begins.store(begins, Ordering::Relaxed);
        words.memory_in.store(mailbox.node.0, Ordering::Relaxed);
        mailbox.homed.fetch_add(1, Ordering::Relaxed);
        words.home.store(cpu.0, Ordering::Release);
        mailbox.inbox.insert(vcpu);
        true
    }

    // What follows is for the home of the virtual CPU, or the CPU itself, only.

    /// The memory of `vcpu` is in `node` now: there it is given rather than elsewhere, and returns to. It
    /// may have followed the virtual CPU to where that was moved for good.
    pub fn set_memory_in(&self, vcpu: VcpuId, node: NodeId) {
        if let Some(words) = self.vcpu(vcpu) {
            words.memory_in.store(node.0, Ordering::Relaxed);
        }
    }

    pub(super) fn count_run(&self, vcpu: VcpuId, ticks: u64) {
        if let Some(words) = self.vcpu(vcpu) {
            words.ran.fetch_add(ticks, Ordering::Relaxed);
        }
    }

    pub(super) fn begins(&self, vcpu: VcpuId) -> u64 {
        self.vcpu(vcpu)
            .map_or(0, |words| words.begins.load(Ordering::Relaxed))
    }

    pub(super) fn lag(&self, vcpu: VcpuId) -> u64 {
        self.vcpu(vcpu)
            .map_or(0, |words| words.lag.load(Ordering::Relaxed))
    }

    /// The node where the memory of `vcpu` is.
    pub(super) fn memory_in(&self, vcpu: VcpuId) -> NodeId {
        let words = self.vcpu(vcpu);
        NodeId(words.map_or(0, |words| words.memory_in.load(Ordering::Relaxed)))
    }

    /// Makes `to` the home of `vcpu`, with `lag` for its queue, and tells it.
    pub(super) fn move_home(&self, vcpu: VcpuId, from: CpuId, to: CpuId, lag: u64) {
        let (Some(words), Some(mailbox)) = (self.vcpu(vcpu), self.mailbox(to)) else {
            return;
        };
        self.uncount_homed(from);
        mailbox.homed.fetch_add(1, Ordering::Relaxed);
        words.lag.store(lag, Ordering::Relaxed);
        words.home.store(to.0, Ordering::Release);
        mailbox.inbox.insert(vcpu);
    }

    /// Switches `vcpu` off. Its home has let go of it.
    pub(super) fn switch_off(&self, vcpu: VcpuId, from: CpuId) {
        if let Some(words) = self.vcpu(vcpu) {
            self.uncount_homed(from);
            words.posted.fetch_and(!POSTED_STOP, Ordering::AcqRel);
            words.home.store(OFF, Ordering::Release);
        }
    }

    fn uncount_homed(&self, cpu: CpuId) {
        if let Some(mailbox) = self.mailbox(cpu) {
            mailbox.homed.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Default for Scheduler {
    fn default() -> Self {
        Self::new()
    }
}
