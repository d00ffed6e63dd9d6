//! Events that let people see memory move: at intervals, figures of the nodes, and where the pages of each
//! virtual machine lie and who misses on them (`docs/virtual-machine.md`, Events).
//!
//! CPU 0 does it when it serves the console: in steps, each some pages or a line, with time for guests between
//! them. Pages may move meanwhile: each is counted where it was when it was looked at.

use super::cpu::Cpu;
use super::Monitor;
use crate::address::{GuestPage, MachinePage};
use crate::clock::{nanoseconds, ticks_of_ms, TICKS_PER_MS};
use crate::console::numa_report::NodeRow;
use crate::events::Event;
use crate::machine::{Node, NodeId, NODES_MAX};
use crate::numa::heat::{Copy, Heat};
use crate::numa::Interval;
use crate::vm::pmap::Pmap;
use core::sync::atomic::{AtomicU64, Ordering};
use disco_abi::PAGE_SIZE;
use disco_arch::lock::Mutex;

/// Guest pages that are looked at in a step.
const PAGES: u64 = 256;
/// Ticks from a step to the next.
const PAUSE: u64 = TICKS_PER_MS;

/// Taken by CPU 0 alone, so nobody waits for it; before a slot's state and the event line.
static WATCH: Mutex<Watch> = Mutex::new(Watch {
    due: 0,
    round: 0,
    told: [NodeRow::NONE; NODES_MAX],
    step: Step::Wait,
    heat: Heat::new(),
});

/// What CPU 0 remembers from step to step.
#[derive(Debug)]
struct Watch {
    /// When the next round begins.
    due: u64,
    /// The number of the last one.
    round: u64,
    /// What had been counted when it began, by node.
    told: [NodeRow; NODES_MAX],
    step: Step,
    heat: Heat,
}

/// What comes next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    /// Wait for the next round.
    Wait,
    /// Look at the virtual machine in this slot, or at the next that runs.
    Begin(usize),
    /// Look at pages of a virtual machine, from this one on.
    Look(Place, u64),
    /// Tell what was found on this node.
    Tell(Place, u8),
}

/// A virtual machine that runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Place {
    /// Its slot.
    slot: usize,
    /// How often it had been started when it was first looked at: another start is another memory.
    starts: u64,
}

impl Cpu {
    /// Does the next step, if it is due at tick `now`; when the one behind it is. On CPU 0.
    #[cold]
    #[inline(never)]
    pub(super) fn watch_memory(&mut self, now: u64) -> u64 {
        let interval = self.monitor.description.machine.numa.events_ms.get();
        if interval == 0 {
            return u64::MAX;
        }
        let mut watch = WATCH.lock();
        if now >= watch.due || watch.step != Step::Wait {
            self.monitor
                .watch_step(&mut watch, now, ticks_of_ms(interval.into()));
        }
        match watch.step {
            Step::Wait => watch.due,
            _ => now.saturating_add(PAUSE),
        }
    }
}

impl Monitor {
    /// Does the next step; `interval` ticks lie between two rounds.
    fn watch_step(&self, watch: &mut Watch, now: u64, interval: u64) {
        watch.step = match watch.step {
            Step::Wait => {
                // The first round only remembers what it begins with.
                let begins = watch.due > 0;
                watch.due = now.saturating_add(interval);
                self.tell_nodes(watch, now, begins);
                if begins {
                    Step::Begin(0)
                } else {
                    Step::Wait
                }
            }
            Step::Begin(slot) => self.begin_machine(&mut watch.heat, slot),
            Step::Look(place, page) => self.look_at_pages(&mut watch.heat, place, page, now),
            Step::Tell(place, node) => self.tell_machine(watch, place, node, now),
        };
    }

    /// Tells what the nodes have counted since the last round, if `aloud`.
    fn tell_nodes(&self, watch: &mut Watch, now: u64, aloud: bool) {
        let mut since = [NodeRow::NONE; NODES_MAX];
        let mut count = 0;
        for (node, (told, since)) in self
            .machine
            .nodes()
            .zip(watch.told.iter_mut().zip(&mut since))
        {
            let counted = self.node_row(node);
            *since = counted.since(told);
            *told = counted;
            count += 1;
        }
        if aloud {
            watch.round += 1;
            let nodes = since.get(..count).unwrap_or_default();
            let round = watch.round;
            self.event(Event::Numa { round, nodes }, now, None);
        }
    }

    /// What a node has counted since boot.
    pub fn node_row(&self, node: &Node) -> NodeRow {
        let mut row = NodeRow {
            node: node.id().0.into(),
            free: node.free_pages() * PAGE_SIZE,
            ..NodeRow::NONE
        };
        let mut spent = 0;
        for cpu in self.cpus.iter().flatten() {
            let add = |sum: &mut u64, word: &AtomicU64| {
                *sum = sum.wrapping_add(word.load(Ordering::Relaxed));
            };
            if cpu.node == node.id() {
                add(&mut row.local, &cpu.numa.local);
                add(&mut row.remote, &cpu.numa.remote);
                add(&mut row.shootdowns, &cpu.numa.shootdowns);
                add(&mut spent, &cpu.numa.spent);
            }
            if let Some(moves) = cpu.numa.moves(node.id()) {
                add(&mut row.migrations, &moves.migrations);
                add(&mut row.replications, &moves.replications);
                add(&mut row.collapses, &moves.collapses);
            }
        }
        row.spent_ns = nanoseconds(spent);
        row
    }

    fn begin_machine(&self, heat: &mut Heat, first: usize) -> Step {
        let slots = self.slots.iter().enumerate().skip(first);
        for (slot, vm) in slots {
            let starts = vm.starts.load(Ordering::Relaxed);
            let place = Place { slot, starts };
            match self.with_pmap(place, |pmap| heat.begin(pmap.pages())) {
                Looked::Done(()) => return Step::Look(place, 0),
                Looked::Later => return Step::Begin(slot),
                Looked::Gone => {}
            }
        }
        Step::Wait
    }

    fn look_at_pages(&self, heat: &mut Heat, place: Place, first: u64, now: u64) -> Step {
        let interval = self.numa.interval(now);
        let looked = self.with_pmap(place, |pmap| {
            let end = pmap.pages().min(first.saturating_add(PAGES));
            for page in first..end {
                self.look_at_page(heat, pmap, page, interval);
            }
            (end < pmap.pages()).then_some(end)
        });
        match looked {
            Looked::Done(Some(next)) => Step::Look(place, next),
            Looked::Done(None) => Step::Tell(place, 0),
            Looked::Later => Step::Look(place, first),
            Looked::Gone => Step::Begin(place.slot + 1),
        }
    }

    fn look_at_page(&self, heat: &mut Heat, pmap: &Pmap<'_>, page: u64, interval: Interval) {
        let guest = GuestPage(page);
        let mut add = |machine: MachinePage, copy: Copy| {
            let Some(node) = self.machine.node_of(machine) else {
                return;
            };
            let record = node.directory().record(machine);
            let misses = record.map_or([0; NODES_MAX], |record| record.misses_at(interval));
            heat.add(page, node.id(), copy, &misses);
        };
        if let Some(machine) = pmap.machine_page(guest) {
            add(machine, Copy::Page);
            for node in pmap.replicas(guest).iter() {
                if let Some(replica) = pmap.replica(guest, node) {
                    add(replica, Copy::Replica);
                }
            }
        }
    }

    /// Tells what was found on the first node from `node` on that has anything.
    fn tell_machine(&self, watch: &Watch, place: Place, node: u8, now: u64) -> Step {
        let all = (node..NODES_MAX as u8).map(NodeId);
        let found = all
            .filter_map(|node| Some((node, watch.heat.of(node)?)))
            .next();
        let (Some((node, heat)), Some(slot)) = (found, self.slots.get(place.slot)) else {
            return Step::Begin(place.slot + 1);
        };
        let event = Event::NumaHeat {
            round: watch.round,
            node,
            lines: watch.heat.nodes(),
            region_bytes: watch.heat.region_pages() * PAGE_SIZE,
            heat,
        };
        self.event(event, now, Some(slot));
        Step::Tell(place, node.0 + 1)
    }

    /// Lets `look` look at a virtual machine's map, if it runs still and is not being started or ended
    /// just now.
    fn with_pmap<T>(&self, place: Place, look: impl FnOnce(&Pmap<'_>) -> T) -> Looked<T> {
        let Some(slot) = self.slots.get(place.slot) else {
            return Looked::Gone;
        };
        // Who holds it may take long, to clear memory: guests are not to wait for that.
        let Some(state) = slot.state.try_lock() else {
            return Looked::Later;
        };
        let is_same = slot.starts.load(Ordering::Relaxed) == place.starts;
        // SAFETY: it does not go away while the state is held.
        let looked = match unsafe { slot.resident().as_ref() } {
            Some(vm) if is_same => Looked::Done(look(&vm.pmap)),
            _ => Looked::Gone,
        };
        drop(state);
        looked
    }
}

/// What has become of looking at a virtual machine.
enum Looked<T> {
    Done(T),
    /// Somebody starts or ends it just now.
    Later,
    /// It does not run any more, or was started anew.
    Gone,
}
