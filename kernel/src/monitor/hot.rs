//! Pages that have become hot: what the policy wants of them, and how it went.
//!
//! Whoever finds a page hot leaves it with its virtual machine, in the list of the node that misses on it; a CPU
//! of that node looks at a few of them when it has the virtual machine loaded, and moves those that are to be
//! moved with one shootdown.

use super::cpu::Cpu;
use super::memory::GuestMemory;
use super::moves::{Batch, Goal, BATCH};
use super::resident::{Resident, ResidentVm};
use super::slot::VmSlot;
use super::Monitor;
use crate::address::{GuestPage, MachinePage};
use crate::machine::{NodeId, Owner, VmId};
use crate::numa::counters::add;
use crate::numa::{decide, Action, Decision, Interval, NodeSet, Situation};
use crate::vm::pmap::Backing;
use disco_arch::cpu;
use disco_magic::marker;

/// Hot pages that are looked at in a row: as many as are copied with one shootdown.
const AT_ONCE: usize = BATCH;

/// What is the same for all pages that are looked at in a row.
struct Scene {
    now: Interval,
    room: NodeSet,
    plenty: NodeSet,
    /// Moves that the virtual machine may make.
    budget: u32,
}

/// Pages, and what is to be done with each, or was.
type Wanted = [Option<(GuestPage, Decision)>; AT_ONCE];

/// Copies that it takes; a collapse counts as one.
fn copies_of(decision: &Decision) -> u32 {
    decision.targets().len().max(1)
}

impl Monitor {
    /// Leaves a hot page of virtual machine `vm` with it, for CPUs of one of `nodes`.
    pub(super) fn leave_hot(&self, (vm, page): (VmId, GuestPage), nodes: [NodeId; 2]) {
        if let Some(slot) = self.slots.get(usize::from(vm.0)) {
            with_memory(slot, |vm| vm.add_hot(page, nodes));
        }
    }

    /// Leaves a hot machine page with whom it belongs to, or with all who share it.
    pub(super) fn leave_hot_page(&self, page: MachinePage, nodes: [NodeId; 2]) {
        match self.machine.owner(page) {
            Some(Owner::Guest { vm, page } | Owner::Replica { vm, page }) => {
                self.leave_hot((vm, page), nodes);
            }
            Some(Owner::Shared) => self.leave_hot_shared_page(page, nodes),
            _ => {}
        }
    }

    /// Looks for those who share a page: rare, and long.
    #[cold]
    #[inline(never)]
    fn leave_hot_shared_page(&self, page: MachinePage, nodes: [NodeId; 2]) {
        for slot in self.slots {
            let shares = |backing| backing == Backing::Shared(page);
            with_memory(slot, |vm| {
                let found = vm.pmap.iter().find(|(_, backing)| shares(*backing));
                if let Some((guest, _)) = found {
                    vm.add_hot(guest, nodes);
                }
            });
        }
    }
}

/// What `look` finds in a virtual machine that runs; nothing while it starts or ends.
pub(super) fn with_memory<T>(slot: &VmSlot, look: impl FnOnce(&ResidentVm) -> T) -> Option<T> {
    let _state = slot.state.try_lock()?;
    // SAFETY: null, or under `state` it stays where it is.
    unsafe { slot.resident().as_ref() }.map(look)
}

impl Cpu {
    /// Looks at pages of the loaded virtual machine that are hot here, and does what the policy wants: how many
    /// were looked at, and of how many something was done. If another CPU moves pages of it they stay in their
    /// list: to wait for that takes longer than going on.
    pub(super) fn look_at_hot(&mut self, resident: &mut Resident) -> (usize, usize) {
        let (monitor, vm) = (self.monitor, resident.vm);
        let Some(list) = vm.hot_for(self.shared.node) else {
            return (0, 0);
        };
        // The lock is this node's, which others rarely take; the virtual machine's memory is another matter.
        if list.lock().is_empty() {
            return (0, 0);
        }
        let begin = self.now();
        let Some(mut memory) = self.try_guest_memory(resident) else {
            return (0, 0);
        };
        let mut pages = [GuestPage(0); AT_ONCE];
        let pages = list.lock().take_all(&mut pages);
        let mut scene = monitor.scene(vm, begin);
        let mut wanted: Wanted = [None; AT_ONCE];
        for (place, &page) in wanted.iter_mut().zip(pages) {
            let decision = self.decide_on(vm, page, &scene);
            let decision = decision.filter(|decision| decision.action != Action::Leave);
            scene.budget -= decision.map_or(0, |decision| copies_of(&decision).min(scene.budget));
            *place = decision.map(|decision| (page, decision));
        }
        if wanted.iter().all(Option::is_none) {
            return (pages.len(), 0);
        }
        cpu::mark::<{ marker::MOVING }>();
        self.move_all(&mut memory, &mut wanted);
        cpu::mark::<{ marker::MOVED }>();
        drop(memory);
        let moved = wanted.iter().flatten();
        let copies = moved.clone().map(|(_, decision)| copies_of(decision)).sum();
        vm.budget.lock().spend(copies);
        let count = moved.clone().count();
        let spent = self.now().saturating_sub(begin) / count.max(1) as u64;
        for (page, decision) in moved {
            self.note_move(resident, *page, &decision.action, spent);
        }
        (pages.len(), count)
    }

    /// Does what was decided for pages, and leaves those in `wanted` with which it went well.
    fn move_all(&self, memory: &mut GuestMemory<'_>, wanted: &mut Wanted) {
        let mut batch = Batch::new();
        for place in &mut *wanted {
            let goal = place.and_then(|(page, decision)| Some((page, goal_of(&decision)?)));
            let begun = goal.map(|goal| memory.begin(&mut batch, goal, &mut |_, _| ()));
            if let Some(Err(_)) = begun {
                add(&self.shared.numa.failed, 1);
                *place = None;
            }
        }
        memory.finish(&mut batch, &mut |_, _| ());
        for (page, decision) in wanted.iter().flatten() {
            // With its last page, a large page of the windows may have moved.
            if matches!(decision.action, Action::Migrate(_)) {
                memory.gather_if_used(*page);
            }
        }
    }

    /// What the policy wants of a page.
    fn decide_on(&self, vm: &ResidentVm, page: GuestPage, scene: &Scene) -> Option<Decision> {
        let machine = &self.monitor.machine;
        let backing = vm.pmap.backing(page);
        let at = backing.page()?;
        let home = machine.node_of(at)?;
        let record = home.directory().record(at)?;
        if record.is_settled(scene.now) {
            // For another node, since it was left here.
            return None;
        }
        let situation = Situation {
            home: home.id(),
            replicas: vm.pmap.replicas(page),
            shared: matches!(backing, Backing::Shared(_)),
            room: scene.room,
            plenty: scene.plenty,
            budget: scene.budget,
        };
        let counts = record.counts(scene.now);
        let thresholds = &self.monitor.numa.thresholds;
        let decision = decide(&counts, &situation, machine.distances(), thresholds);
        if record.note(&decision, thresholds) {
            self.monitor.forget_counts(at);
        }
        self.shared.numa.looked_at(&decision);
        Some(decision)
    }

    /// Copy on write, and the end of replicas: the loaded virtual CPU stores to a page that it may not store to as it
    /// is. If there is no memory for a copy, that is noted.
    pub(super) fn unshare(&mut self, resident: &mut Resident, page: GuestPage) {
        let had_replicas = !resident.pmap.replicas(page).is_empty();
        let begin = if had_replicas { self.now() } else { 0 };
        let _ = self.guest_memory(resident).own(page);
        if had_replicas {
            let spent = self.now().saturating_sub(begin);
            self.note_move(resident, page, &Action::Collapse, spent);
        }
    }

    /// A page of the loaded virtual machine was moved, which took so many ticks.
    #[inline(never)]
    fn note_move(&mut self, resident: &Resident, page: GuestPage, action: &Action, spent: u64) {
        let (machine, settings) = (&self.monitor.machine, &self.monitor.numa);
        // After a migration the page has another record, and another home.
        let Some(at) = resident.pmap.machine_page(page) else {
            return;
        };
        let Some(home) = machine.node_of(at) else {
            return;
        };
        if let Some(record) = home.directory().record(at) {
            let is_collapse = *action == Action::Collapse;
            let now = settings.interval(self.now());
            record.moved(now, &settings.thresholds, is_collapse);
            if is_collapse {
                // For a write that no sample may have seen.
                record.written(now, self.shared.node, settings.weight());
            }
        }
        self.shared.numa.moved(action, home.id(), spent);
    }
}

impl Monitor {
    fn scene(&self, vm: &ResidentVm, now: u64) -> Scene {
        let now = self.numa.interval(now);
        Scene {
            now,
            room: self.machine.room(),
            plenty: self.machine.plenty(),
            budget: vm.budget.lock().left(now),
        }
    }
}

const fn goal_of(decision: &Decision) -> Option<Goal> {
    match decision.action {
        Action::Leave => None,
        Action::Migrate(node) => Some(Goal::Node(node)),
        Action::Replicate(nodes) => Some(Goal::Replicas(nodes)),
        Action::Collapse => Some(Goal::Alone),
    }
}
