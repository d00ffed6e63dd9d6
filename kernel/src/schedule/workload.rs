//! Virtual CPUs that compute, sleep and take locks on simulated CPUs, and what becomes of them.

use super::simulation::{World, MS};
use super::*;
use crate::machine::NodeId;
use std::collections::BTreeMap;

/// How long the simulation lets the CPUs run between two looks.
const STEP: u64 = MS / 20;

/// What a virtual CPU does for ever. Times in ticks of running, but for pauses.
#[derive(Clone, Copy, Debug)]
pub enum Work {
    Computes,
    Sleeps {
        run: u64,
        pause: u64,
    },
    /// Computes for `think`, takes the lock of this number, holds it for `hold`. While another
    /// one has it, it spins, and yields if `yields`.
    Locks {
        lock: usize,
        think: u64,
        hold: u64,
        yields: bool,
    },
    /// Runs for `run`, wakes `whom` and waits to be woken; the first of all begins.
    Calls {
        whom: u16,
        run: u64,
    },
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    Runs,
    Spins,
    Holds,
}

#[derive(Clone, Copy, Debug)]
struct Progress {
    work: Work,
    phase: Phase,
    /// Ticks run in this phase.
    done: u64,
    ran: u64,
    /// Since when it is ready.
    ready_since: Option<u64>,
    /// When it was to wake.
    due: Option<u64>,
    /// The node of its home.
    node: Option<NodeId>,
}

/// What became of them.
#[derive(Debug, Default)]
pub struct Report {
    /// Ticks that each ran.
    pub ran: BTreeMap<u16, u64>,
    /// The longest time that one was ready and did not run.
    pub longest_wait: u64,
    /// The longest time from a wake-up to running.
    pub longest_wake: u64,
    /// All times from a wake-up to running, and how many.
    pub wakes: (u64, u64),
    /// The longest time that one that holds a lock did not run.
    pub longest_held: u64,
    /// How often a lock was taken.
    pub taken: u64,
    /// Moves between CPUs.
    pub moves: u64,
    /// Those of them to another node.
    pub far_moves: u64,
    /// Ticks that all this took.
    ticks: u64,
}

impl Report {
    /// The part of one CPU that `vcpu` got, in per cent.
    pub fn share(&self, vcpu: u16) -> f64 {
        self.ran[&vcpu] as f64 * 100.0 / self.ticks as f64
    }

    /// The least and the greatest share.
    pub fn spread(&self) -> (f64, f64) {
        let shares = self.ran.keys().map(|&v| self.share(v));
        shares.fold((f64::MAX, 0.0), |(l, m), s| (l.min(s), m.max(s)))
    }
}

/// Lets virtual CPUs 0 and up do their work on `world` for `ticks`, where they are started.
pub fn work(world: &mut World, works: &[(u16, Work)], ticks: u64) -> Report {
    let mut report = Report {
        ticks,
        ..Report::default()
    };
    let mut locks: BTreeMap<usize, Option<u16>> = BTreeMap::new();
    let mut all: BTreeMap<u16, Progress> = works
        .iter()
        .map(|&(vcpu, work)| {
            let begin = Progress {
                work,
                phase: Phase::Runs,
                done: 0,
                ran: 0,
                ready_since: None,
                due: None,
                node: None,
            };
            (vcpu, begin)
        })
        .collect();
    let given = |world: &World| world.queues.iter().map(|q| q.counters().given).sum::<u64>();
    let before = given(world);
    let end = world.now + ticks;
    while world.now < end {
        let running: Vec<_> = world.queues.iter().map(RunQueue::current).collect();
        for queue in &world.queues {
            if let Some(one) = queue.current().and_then(|vcpu| all.get_mut(&vcpu.0)) {
                one.ran += STEP;
                one.done += STEP;
                if let Some(due) = one.due.take() {
                    let late = world.now.saturating_sub(due);
                    report.longest_wake = report.longest_wake.max(late);
                    report.wakes.0 += late;
                    report.wakes.1 += 1;
                }
            }
        }
        world.pass(STEP);
        for cpu in (0..world.queues.len()).filter(|&cpu| running[cpu].is_some()) {
            if world.queues[cpu].current() != running[cpu] {
                continue;
            }
            act(world, cpu, &mut all, &mut locks, &mut report);
        }
        for (&vcpu, one) in &mut all {
            let node = world.node(vcpu);
            report.far_moves += u64::from(one.node.is_some() && one.node != node);
            one.node = node;
            if world.state(vcpu) == Some(State::Ready) {
                let waits = world.now - *one.ready_since.get_or_insert(world.now);
                report.longest_wait = report.longest_wait.max(waits);
                if one.phase == Phase::Holds {
                    report.longest_held = report.longest_held.max(waits);
                }
            } else {
                one.ready_since = None;
            }
        }
    }
    report.moves = given(world) - before;
    report.ran = all.iter().map(|(&vcpu, one)| (vcpu, one.ran)).collect();
    report
}

/// The current virtual CPU of `cpu` does what it has come to.
fn act(
    world: &mut World,
    cpu: usize,
    all: &mut BTreeMap<u16, Progress>,
    locks: &mut BTreeMap<usize, Option<u16>>,
    report: &mut Report,
) {
    let Some(vcpu) = world.queues[cpu].current() else {
        return;
    };
    let Some(one) = all.get_mut(&vcpu.0) else {
        return;
    };
    let (scheduler, now) = (world.scheduler, world.now);
    match one.work {
        Work::Computes => {}
        Work::Sleeps { run, pause } => {
            if one.done >= run {
                one.done = 0;
                one.due = Some(now + pause);
                scheduler.take_posted(vcpu);
                assert!(world.queues[cpu].wait(scheduler, now, now + pause));
                world.turn(cpu);
                world.settle();
            }
        }
        Work::Locks {
            lock,
            think,
            hold,
            yields,
        } => {
            let holder = locks.entry(lock).or_default();
            if one.phase == Phase::Runs && one.done >= think {
                one.phase = Phase::Spins;
            }
            if one.phase == Phase::Spins && holder.is_none() {
                (one.phase, one.done) = (Phase::Holds, 0);
                *holder = Some(vcpu.0);
                report.taken += 1;
            } else if one.phase == Phase::Holds && one.done >= hold {
                (one.phase, one.done) = (Phase::Runs, 0);
                *holder = None;
            }
            if one.phase == Phase::Spins && yields && world.queues[cpu].yield_now(scheduler, now) {
                world.turn(cpu);
                world.settle();
            }
        }
        Work::Calls { whom, run } => {
            if one.done >= run {
                one.done = 0;
                scheduler.take_posted(vcpu);
                if let Some(other) = all.get_mut(&whom) {
                    other.due = Some(now);
                }
                world.post(whom);
                if world.queues[cpu].wait(scheduler, now, u64::MAX) {
                    world.turn(cpu);
                }
                world.settle();
            }
        }
    }
}
