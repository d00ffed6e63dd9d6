//! The run queue: states and run times of the virtual CPUs whose home is this CPU.

use super::ready::{ReadyList, Waiter};
use super::{CpuId, Scheduler, VcpuId, VcpuSet, VCPUS_MAX};
use crate::machine::Audit;

/// Lengths of time in ticks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Times {
    /// Those that could run on one CPU get equal parts of this: no ready one waits longer.
    pub period: u64,
    /// No slice is shorter.
    pub least: u64,
    /// Most run time that waiting earns.
    pub credit: u64,
    /// How far one that wakes must be behind the running one to preempt it.
    pub preempt: u64,
    /// Logarithm of the ticks that an average of the load goes back.
    pub memory: u32,
}

impl Times {
    /// For a Count of `hz` ticks a second: a period of 10 ms, slices of 1 ms and more, a credit
    /// of 5 ms, preemption at a lead of 1 ms, and averages of 50 to 100 ms.
    pub const fn at(hz: u64) -> Self {
        Self {
            period: hz / 100,
            least: hz / 1000,
            credit: hz / 200,
            preempt: hz / 1000,
            memory: (hz / 10).ilog2(),
        }
    }

    /// A run or a wait so short that it does not count: a quarter of the shortest slice.
    pub(super) const fn moment(&self) -> u64 {
        self.least / 4
    }
}

/// What a virtual CPU does, as its home knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// It waits until something is posted to it, or until `deadline`.
    Waiting {
        /// In ticks; `u64::MAX` for never.
        deadline: u64,
    },
    /// It could run.
    Ready,
    /// It runs.
    Running,
}

/// What the scheduler has done on one CPU since it started.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    /// Turns taken.
    pub turns: u64,
    /// Another virtual CPU than before was given the CPU.
    pub switches: u64,
    /// Wake-ups, by posts and by deadlines.
    pub wakes: u64,
    /// Virtual CPUs that came from another CPU, or were started.
    pub arrivals: u64,
    /// Virtual CPUs given to other CPUs.
    pub given: u64,
    /// Those of them that were given to one that was not idle.
    pub shared: u64,
    /// Inbox bits passed on to a new home.
    pub forwarded: u64,
}

/// What the audit of a run queue found wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum QueueFailure {
    /// It is in two states at once.
    TwoStates(CpuId, VcpuId),
    /// It is in the queue of a CPU that is not its home.
    NotHome(CpuId, VcpuId),
}

impl core::fmt::Display for QueueFailure {
    #[cold]
    #[inline(never)]
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let (cpu, vcpu, what) = match self {
            Self::TwoStates(cpu, vcpu) => (cpu, vcpu, "has two states"),
            Self::NotHome(cpu, vcpu) => (cpu, vcpu, "has its home elsewhere"),
        };
        write!(
            f,
            "run queue of CPU {}: virtual CPU {} {what}",
            cpu.0, vcpu.0
        )
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    /// Ticks it has run, comparable among those of one queue.
    virtual_time: u64,
    /// While it waits.
    pub(super) deadline: u64,
    /// When it came to this CPU.
    came: u64,
}

/// The virtual CPUs of one CPU, which alone touches this; it lies in its node's memory.
#[derive(Debug)]
pub struct RunQueue {
    pub(super) cpu: CpuId,
    pub(super) times: Times,
    pub(super) slots: [Slot; VCPUS_MAX],
    pub(super) ready: ReadyList,
    pub(super) waiting: VcpuSet,
    pub(super) current: Option<VcpuId>,
    /// Up to when the current one's run time is counted.
    pub(super) charged: u64,
    /// Since when the current one was ready before its slice.
    pub(super) since: u64,
    pub(super) slice_begin: u64,
    pub(super) slice_len: u64,
    /// The current one wants no more of its slice.
    pub(super) yields: bool,
    /// Least virtual time of the runnable ones; never falls.
    floor: u64,
    /// How many could run, as an average up to tick `averaged`, see `balance.rs`.
    pub(super) average: u64,
    pub(super) averaged: u64,
    /// When the longest ready one may go to an idle CPU; `u64::MAX` if none is.
    pub(super) gives: u64,
    pub(super) counters: Counters,
}

/// Where virtual time begins, so that a credit never reaches below 0.
const BEGINNING: u64 = 1 << 40;

impl RunQueue {
    /// The empty queue of `cpu`.
    pub const fn new(cpu: CpuId, times: Times) -> Self {
        let slot = Slot {
            virtual_time: BEGINNING,
            deadline: u64::MAX,
            came: 0,
        };
        Self {
            cpu,
            times,
            slots: [slot; VCPUS_MAX],
            ready: ReadyList::new(),
            waiting: VcpuSet::EMPTY,
            current: None,
            charged: 0,
            since: 0,
            slice_begin: 0,
            slice_len: 0,
            yields: false,
            floor: BEGINNING,
            average: 0,
            averaged: 0,
            gives: u64::MAX,
            counters: Counters {
                turns: 0,
                switches: 0,
                wakes: 0,
                arrivals: 0,
                given: 0,
                shared: 0,
                forwarded: 0,
            },
        }
    }

    /// Whose it is.
    pub const fn cpu(&self) -> CpuId {
        self.cpu
    }

    /// The virtual CPU that runs.
    pub const fn current(&self) -> Option<VcpuId> {
        self.current
    }

    /// What the scheduler has done here.
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    /// What `vcpu` does; `None` if it is not in this queue.
    pub fn state(&self, vcpu: VcpuId) -> Option<State> {
        if self.current == Some(vcpu) {
            Some(State::Running)
        } else if self.ready.contains(vcpu) {
            Some(State::Ready)
        } else if self.waiting.contains(vcpu) {
            let deadline = self.slots.get(usize::from(vcpu.0))?.deadline;
            Some(State::Waiting { deadline })
        } else {
            None
        }
    }

    #[inline(never)]
    pub(super) fn virtual_time(&self, vcpu: VcpuId) -> u64 {
        self.slots
            .get(usize::from(vcpu.0))
            .map_or(self.floor, |slot| slot.virtual_time)
    }

    /// When `vcpu` came to this CPU, in ticks.
    pub(super) fn came(&self, vcpu: VcpuId) -> u64 {
        let slot = self.slots.get(usize::from(vcpu.0));
        slot.map_or(0, |slot| slot.came)
    }

    pub(super) fn set_virtual_time(&mut self, vcpu: VcpuId, time: u64) {
        if let Some(slot) = self.slots.get_mut(usize::from(vcpu.0)) {
            slot.virtual_time = time;
        }
    }

    /// Counts what the current one has run up to `now`.
    pub(super) fn charge(&mut self, scheduler: &Scheduler, now: u64) {
        if let Some(current) = self.current {
            let ran = now.saturating_sub(self.charged);
            self.set_virtual_time(current, self.virtual_time(current).saturating_add(ran));
            scheduler.count_run(current, ran);
        }
        self.charged = self.charged.max(now);
        self.average_load(now);
        let current = self.current.map(|current| self.virtual_time(current));
        let ready = self.ready.iter().map(|waiter| waiter.vcpu);
        let least = ready.fold(current.unwrap_or(u64::MAX), |least, vcpu| {
            least.min(self.virtual_time(vcpu))
        });
        if least != u64::MAX {
            self.floor = self.floor.max(least);
        }
    }

    /// The current one has not run for `ticks` of the time since the last charge: the CPU did
    /// something else.
    pub fn discount(&mut self, ticks: u64) {
        self.charged = self.charged.saturating_add(ticks);
    }

    /// The current virtual CPU has nothing to do until something is posted to it or until
    /// `deadline` (`u64::MAX` for never). It goes on, and this returns `false`, if something is
    /// posted already or the deadline is over; else the caller takes a turn.
    #[must_use]
    pub fn wait(&mut self, scheduler: &Scheduler, now: u64, deadline: u64) -> bool {
        let Some(current) = self.current else {
            return false;
        };
        // The look that the posting protocol turns on.
        if scheduler.posted(current) != 0 || deadline <= now {
            return false;
        }
        self.charge(scheduler, now);
        if let Some(slot) = self.slots.get_mut(usize::from(current.0)) {
            slot.deadline = deadline;
        }
        self.waiting.insert(current);
        self.current = None;
        true
    }

    /// Takes in one that came from another CPU or was started.
    pub(super) fn arrive(&mut self, scheduler: &Scheduler, vcpu: VcpuId, now: u64) {
        let lag = scheduler.lag(vcpu) as i64;
        let time = self.floor.saturating_add_signed(lag);
        let least = self.floor.saturating_sub(self.times.credit);
        let most = self.floor.saturating_add(self.slice());
        self.set_virtual_time(vcpu, time.max(least).min(most));
        if let Some(slot) = self.slots.get_mut(usize::from(vcpu.0)) {
            slot.came = now;
            slot.deadline = scheduler.begins(vcpu);
        }
        self.counters.arrivals += 1;
        // Until then it waits, and this turn wakes it if that is over.
        self.waiting.insert(vcpu);
    }

    #[inline(never)]
    fn make_ready(&mut self, vcpu: VcpuId, since: u64) {
        self.ready.insert(Waiter {
            vcpu,
            woken: true,
            left: 0,
            since,
        });
    }

    /// How far `vcpu` is ahead of the others (as two's complement), to arrive elsewhere with.
    pub(super) fn lag(&self, vcpu: VcpuId) -> u64 {
        self.virtual_time(vcpu).wrapping_sub(self.floor)
    }

    /// Lets go of `vcpu`.
    #[link_section = ".text.once"]
    #[inline(never)]
    pub(super) fn forget(&mut self, vcpu: VcpuId) {
        self.ready.remove(vcpu);
        self.waiting.remove(vcpu);
        self.current = self.current.filter(|&current| current != vcpu);
    }

    /// Makes `vcpu` ready if it waits.
    #[inline(never)]
    pub(super) fn wake(&mut self, vcpu: VcpuId, now: u64) {
        if !self.waiting.contains(vcpu) {
            return;
        }
        self.waiting.remove(vcpu);
        let earliest = self.floor.saturating_sub(self.times.credit);
        self.set_virtual_time(vcpu, self.virtual_time(vcpu).max(earliest));
        self.make_ready(vcpu, now);
        self.counters.wakes += 1;
    }

    /// Wakes those whose deadline is over.
    pub(super) fn wake_late(&mut self, now: u64) {
        for vcpu in self.waiting.iter() {
            let slot = self.slots.get(usize::from(vcpu.0));
            if slot.is_some_and(|slot| slot.deadline <= now) {
                self.wake(vcpu, now);
            }
        }
    }

    /// Checks that each virtual CPU here has one state, and its home here.
    pub fn audit(&self, scheduler: &Scheduler, audit: &mut Audit<QueueFailure>) {
        for vcpu in (0..VCPUS_MAX as u16).map(VcpuId) {
            let states = u32::from(self.current == Some(vcpu))
                + u32::from(self.ready.contains(vcpu))
                + u32::from(self.waiting.contains(vcpu));
            audit.check(states <= 1, || QueueFailure::TwoStates(self.cpu, vcpu));
            let home = states == 0 || scheduler.home(vcpu) == Some(self.cpu);
            audit.check(home, || QueueFailure::NotHome(self.cpu, vcpu));
        }
    }
}
