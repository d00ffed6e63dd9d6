//! The run queue: states and run times of the virtual CPUs whose home is this CPU.

use super::{CpuId, Scheduler, VcpuId, VcpuSet, VCPUS_MAX};
use crate::machine::Audit;

/// Lengths of time in ticks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Times {
    /// How long one runs while others are ready.
    pub slice: u64,
    /// Most run time that waiting earns.
    pub credit: u64,
    /// How far one that wakes must be behind the running one to preempt it.
    pub preempt: u64,
}

impl Times {
    /// For a Count of `hz` ticks a second: slices of 10 ms, a credit of 5 ms, and preemption
    /// at a lead of 1 ms.
    pub const fn at(hz: u64) -> Self {
        Self {
            slice: hz / 100,
            credit: hz / 200,
            preempt: hz / 1000,
        }
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
    /// Virtual CPUs given to idle CPUs.
    pub given: u64,
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
struct Slot {
    /// Ticks it has run, comparable among those of one queue.
    virtual_time: u64,
    /// While it waits.
    deadline: u64,
}

/// The virtual CPUs of one CPU, which alone touches this; it lies in its node's memory.
#[derive(Debug)]
pub struct RunQueue {
    pub(super) cpu: CpuId,
    times: Times,
    slots: [Slot; VCPUS_MAX],
    pub(super) ready: VcpuSet,
    waiting: VcpuSet,
    pub(super) current: Option<VcpuId>,
    /// Those that became ready in this turn: only they preempt.
    woken: VcpuSet,
    /// Up to when the current one's run time is counted.
    charged: u64,
    slice_end: u64,
    /// Least virtual time of the runnable ones; never falls.
    floor: u64,
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
        };
        Self {
            cpu,
            times,
            slots: [slot; VCPUS_MAX],
            ready: VcpuSet::EMPTY,
            waiting: VcpuSet::EMPTY,
            current: None,
            woken: VcpuSet::EMPTY,
            charged: 0,
            slice_end: 0,
            floor: BEGINNING,
            counters: Counters {
                turns: 0,
                switches: 0,
                wakes: 0,
                arrivals: 0,
                given: 0,
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

    fn virtual_time(&self, vcpu: VcpuId) -> u64 {
        self.slots
            .get(usize::from(vcpu.0))
            .map_or(self.floor, |slot| slot.virtual_time)
    }

    fn set_virtual_time(&mut self, vcpu: VcpuId, time: u64) {
        if let Some(slot) = self.slots.get_mut(usize::from(vcpu.0)) {
            slot.virtual_time = time;
        }
    }

    /// The ready one that has run least.
    fn first(&self) -> Option<VcpuId> {
        self.ready.iter().min_by_key(|&v| self.virtual_time(v))
    }

    /// The ready one that would wait longest.
    pub(super) fn last(&self) -> Option<VcpuId> {
        self.ready.iter().max_by_key(|&v| self.virtual_time(v))
    }

    /// Counts what the current one has run up to `now`.
    pub(super) fn charge(&mut self, scheduler: &Scheduler, now: u64) {
        if let Some(current) = self.current {
            let ran = now.saturating_sub(self.charged);
            self.set_virtual_time(current, self.virtual_time(current).saturating_add(ran));
            scheduler.count_run(current, ran);
        }
        self.charged = self.charged.max(now);
        let runnable = self.first().into_iter().chain(self.current);
        let least = runnable.map(|vcpu| self.virtual_time(vcpu)).min();
        self.floor = self.floor.max(least.unwrap_or(self.floor));
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

    /// The current virtual CPU lets another one run, if one is ready; the caller takes a turn.
    pub fn yield_now(&mut self, scheduler: &Scheduler, now: u64) {
        self.charge(scheduler, now);
        if let (Some(current), Some(first)) = (self.current, self.first()) {
            let level = self.virtual_time(first);
            self.set_virtual_time(current, self.virtual_time(current).max(level));
            self.slice_end = now;
        }
    }

    /// Takes in one that came from another CPU or was started, `lag` ahead of the others.
    pub(super) fn arrive(&mut self, vcpu: VcpuId, lag: u64) {
        let time = self.floor.saturating_add_signed(lag as i64);
        let least = self.floor.saturating_sub(self.times.credit);
        let most = self.floor.saturating_add(self.times.slice);
        self.set_virtual_time(vcpu, time.max(least).min(most));
        self.ready.insert(vcpu);
        self.woken.insert(vcpu);
        self.counters.arrivals += 1;
    }

    /// How far `vcpu` is ahead of the others (as two's complement), to arrive elsewhere with.
    pub(super) fn lag(&self, vcpu: VcpuId) -> u64 {
        self.virtual_time(vcpu).wrapping_sub(self.floor)
    }

    /// Lets go of `vcpu`.
    pub(super) fn forget(&mut self, vcpu: VcpuId) {
        self.ready.remove(vcpu);
        self.waiting.remove(vcpu);
        self.woken.remove(vcpu);
        self.current = self.current.filter(|&current| current != vcpu);
    }

    /// Makes `vcpu` ready if it waits.
    pub(super) fn wake(&mut self, vcpu: VcpuId) {
        if !self.waiting.contains(vcpu) {
            return;
        }
        self.waiting.remove(vcpu);
        let earliest = self.floor.saturating_sub(self.times.credit);
        self.set_virtual_time(vcpu, self.virtual_time(vcpu).max(earliest));
        self.ready.insert(vcpu);
        self.woken.insert(vcpu);
        self.counters.wakes += 1;
    }

    /// Wakes those whose deadline is over.
    pub(super) fn wake_late(&mut self, now: u64) {
        for vcpu in self.waiting.iter() {
            let slot = self.slots.get(usize::from(vcpu.0));
            if slot.is_some_and(|slot| slot.deadline <= now) {
                self.wake(vcpu);
            }
        }
    }

    /// Decides who runs from `now` on.
    pub(super) fn pick(&mut self, now: u64) {
        let expired = now >= self.slice_end;
        let next = match (self.current, self.first()) {
            (None, first) => first,
            (Some(current), Some(first)) => {
                let (mine, its) = (self.virtual_time(current), self.virtual_time(first));
                let preempts =
                    self.woken.contains(first) && its.saturating_add(self.times.preempt) < mine;
                Some(first).filter(|_| preempts || expired && its <= mine)
            }
            (Some(_), None) => None,
        };
        self.woken = VcpuSet::EMPTY;
        if let Some(next) = next {
            self.ready.remove(next);
            if let Some(previous) = self.current.replace(next) {
                self.ready.insert(previous);
            }
            self.counters.switches += 1;
        }
        if next.is_some() || expired {
            self.slice_end = now.saturating_add(self.times.slice);
        }
    }

    /// When this CPU must take its next turn, if nothing is posted before: the end of the slice
    /// or a deadline; `u64::MAX` for never.
    pub fn next_event(&self) -> u64 {
        let competes = self.current.is_some() && !self.ready.is_empty();
        let slice = if competes { self.slice_end } else { u64::MAX };
        let slots = self.waiting.iter();
        slots
            .filter_map(|vcpu| self.slots.get(usize::from(vcpu.0)))
            .fold(slice, |earliest, slot| earliest.min(slot.deadline))
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
