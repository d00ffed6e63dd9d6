//! Large pages of the linear windows are formed anew after their guest pages have moved to another node one
//! by one: when the last of them is there, all go into one run.

use super::memory::GuestMemory;
use super::real::{self, RealMemory};
use crate::address::GuestPage;
use crate::machine::shared::GuestPages;
use crate::machine::{DirtyPages, RunSize};
use crate::vm::pmap::{Backing, LINEAR_PAGES};

impl GuestMemory<'_> {
    /// Makes the guest pages of the large page of the windows around `guest` one run, if all are on one node but
    /// scattered there, and it has a free run. Whether they are one now that were none before.
    pub fn gather(&mut self, guest: GuestPage) -> bool {
        let (machine, pmap) = (&self.monitor.machine, &self.vm.pmap);
        let node_of = |page| machine.node_of(page).map(|node| node.id());
        let Some(node) = pmap.scattered_on(guest, node_of) else {
            return false;
        };
        let size = RunSize::at_least(LINEAR_PAGES);
        let Some(run) = size.and_then(|size| machine.allocate_run_on(node, size).ok()) else {
            return false;
        };
        let first = guest.0 & !(LINEAR_PAGES - 1);
        for at in (first..first + LINEAR_PAGES).map(GuestPage) {
            self.begin_move(at);
        }
        self.settle();
        let mut left = Some(run);
        for at in (first..first + LINEAR_PAGES).map(GuestPage) {
            let Some(pages) = left.take() else {
                break;
            };
            let (page, rest) = pages.split_first();
            left = rest;
            self.put(at, page);
        }
        pmap.build_linear_piece(guest);
        self.settle();
        true
    }

    /// The same if a virtual CPU has missed on one of them in a window.
    pub fn gather_if_used(&mut self, guest: GuestPage) -> bool {
        self.vm.pmap.has_window_misses(guest) && self.gather(guest)
    }

    /// Puts `page` behind `at`, which moves, with a copy of what is there.
    pub(super) fn put(&mut self, at: GuestPage, page: DirtyPages) {
        let (machine, pmap) = (&self.monitor.machine, &self.vm.pmap);
        let Some(from) = pmap.machine_page(at) else {
            return machine.free(page);
        };
        let page = machine.give_copy(page, from, self.vm.slot.id, at, &RealMemory);
        real::publish_page(page);
        if let (Some(old), Some(new)) = (machine.record(from), machine.record(page)) {
            new.take_over(old);
        }
        pmap.exchange(at, Backing::Own(page));
        self.take_away(at, from);
    }
}
