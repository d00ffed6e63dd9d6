//! Pages that have become hot: what the policy wants of them, and how it went.

use super::cpu::Cpu;
use super::moves::Goal;
use super::resident::Resident;
use crate::address::GuestPage;
use crate::numa::counters::add;
use crate::numa::{decide, Action, Situation};
use crate::vm::pmap::Backing;

impl Cpu {
    /// Looks at a page of the loaded virtual machine that has become hot, and does what the policy wants. Whether it was moved,
    /// or lost its replicas.
    pub(super) fn look_at_page(&mut self, resident: &mut Resident, page: GuestPage) -> bool {
        let (monitor, vm) = (self.monitor, resident.vm);
        if !monitor.numa.policy {
            return false;
        }
        let thresholds = &monitor.numa.thresholds;
        let begin = self.now();
        let now = monitor.numa.interval(begin);
        let backing = vm.pmap.backing(page);
        let machine = &monitor.machine;
        let Some((at, home)) = backing
            .page()
            .and_then(|at| Some((at, machine.node_of(at)?)))
        else {
            return false;
        };
        let Some(record) = home.directory().record(at) else {
            return false;
        };
        let situation = Situation {
            home: home.id(),
            replicas: vm.pmap.replicas(page),
            shared: matches!(backing, Backing::Shared(_)),
            room: machine.room(),
            plenty: machine.plenty(),
            budget: vm.budget.lock().left(now),
        };
        let counts = record.counts(now);
        let decision = decide(&counts, &situation, machine.distances(), thresholds);
        record.note(&decision);
        self.shared.numa.looked_at(&decision);
        let goal = match decision.action {
            Action::Leave => return false,
            Action::Migrate(node) => Goal::Node(node),
            Action::Replicate(nodes) => Goal::Replicas(nodes),
            Action::Collapse => Goal::Alone,
        };
        if vm.backing.is_locked() {
            // Another CPU moves pages of this virtual machine. Waiting for it takes longer than going on until this
            // one is hot again.
            return false;
        }
        let mut memory = self.guest_memory(resident);
        let moved = memory.relocate(page, goal);
        // With its last page, a large page of the windows has moved.
        let _ = matches!(goal, Goal::Node(_)) && memory.gather(page);
        drop(memory);
        if moved.is_err() {
            add(&self.shared.numa.failed, 1);
            return false;
        }
        vm.budget.lock().spend(decision.targets().len().max(1));
        self.note_move(resident, page, &decision.action, begin);
        true
    }

    /// Copy on write, and the end of replicas: the loaded virtual CPU stores to a page that it may not store to as it
    /// is. If there is no memory for a copy, that is noted.
    pub(super) fn unshare(&mut self, resident: &mut Resident, page: GuestPage) {
        let had_replicas = !resident.pmap.replicas(page).is_empty();
        let begin = if had_replicas { self.now() } else { 0 };
        let _ = self.guest_memory(resident).own(page);
        if had_replicas {
            self.note_move(resident, page, &Action::Collapse, begin);
        }
    }

    /// A page of the loaded virtual machine was moved, from tick `begin` up to now.
    #[inline(never)]
    fn note_move(&mut self, resident: &Resident, page: GuestPage, action: &Action, begin: u64) {
        let (machine, settings) = (&self.monitor.machine, &self.monitor.numa);
        let end = self.now();
        // After a migration the page has another record, and another home.
        let Some(at) = resident.pmap.machine_page(page) else {
            return;
        };
        let Some(home) = machine.node_of(at) else {
            return;
        };
        if let Some(record) = home.directory().record(at) {
            let is_collapse = *action == Action::Collapse;
            let now = settings.interval(end);
            record.moved(now, &settings.thresholds, is_collapse);
            if is_collapse {
                // For a write that no sample may have seen.
                record.written(now, self.shared.node, settings.weight());
            }
        }
        self.shared
            .numa
            .moved(action, home.id(), end.saturating_sub(begin));
    }
}
