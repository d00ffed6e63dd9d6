//! The commands `numa` and `numa top`.
//!
//! The directory is gone through on CPU 0, a piece whenever the console is served, with time for guests
//! between two pieces. What was found is kept until the answer is complete: its rows stay what they were
//! however long the terminal takes for them.

use super::cpu::Cpu;
use super::Monitor;
use crate::console::command::Format;
use crate::console::numa_report::{HotPageRow, ReasonRow};
use crate::console::report::Row;
use crate::machine::{NodeId, Owner};
use crate::numa::hottest::Hottest;
use crate::numa::{Interval, NodeSet, NumaCounters, Why};
use core::sync::atomic::Ordering;
use spin::Mutex;

/// Records that are looked at in a piece.
const PIECE: usize = 2048;

/// Taken by CPU 0 alone, so nobody waits for it; before a slot's state and the console.
static TOP: Mutex<Top> = Mutex::new(Top {
    hottest: Hottest::new(),
    next: None,
});

/// What CPU 0 remembers while it answers `numa top`.
#[derive(Debug)]
struct Top {
    hottest: Hottest,
    /// The node and the place in its directory where the next piece begins; nothing when all is found.
    next: Option<(NodeId, usize)>,
}

impl Cpu {
    /// The command `numa`.
    #[cold]
    pub(super) fn numa(&mut self, format: Format) {
        let monitor = self.monitor;
        self.rows(format, monitor.machine.nodes().map(|n| monitor.node_row(n)));
        self.answer(&mut |out| ReasonRow::write_head(out, format));
        let reasons = Why::ALL.into_iter();
        let reasons = reasons.map(|why| (why.word(), monitor.counted(|numa| numa.decided(why))));
        let failed = monitor.counted(|numa| numa.failed.load(Ordering::Relaxed));
        let lost = monitor.counted(|numa| numa.lost.load(Ordering::Relaxed));
        let others = [("moves that failed", failed), ("samples lost", lost)];
        for (reason, times) in reasons.chain(others) {
            let row = ReasonRow { reason, times };
            self.answer(&mut |out| row.write_row(out, format));
        }
    }

    /// The command `numa top`, of the `most` hottest pages.
    #[cold]
    pub(super) fn numa_top(&mut self, most: u16, format: Format) {
        let monitor = self.monitor;
        if monitor.machine.nodes().count() < 2 {
            return self.answer(&mut |out| {
                writeln!(out, "the machine has one node: no page can be nearer")
            });
        }
        let mut top = TOP.lock();
        let is_fresh = monitor.console.lock().is_fresh();
        if is_fresh {
            top.hottest.begin(most.into());
            top.next = Some((NodeId(0), 0));
        }
        if let Some((node, first)) = top.next {
            let now = monitor.numa.interval(self.now());
            top.next = monitor.look_for_hot_pages(&mut top.hottest, node, first, now);
            return monitor.console.lock().answer_later();
        }
        self.answer(&mut |out| HotPageRow::write_head(out, format));
        for place in 0.. {
            let Some(row) = monitor.hot_page_row(&top.hottest, place) else {
                return;
            };
            self.answer(&mut |out| row.write_row(out, format));
        }
    }
}

impl Monitor {
    /// The sum of what all CPUs have counted.
    fn counted(&self, word: impl Fn(&NumaCounters) -> u64) -> u64 {
        let cpus = self.cpus.iter().flatten();
        cpus.map(|cpu| word(&cpu.numa))
            .fold(0, |sum, more| sum.wrapping_add(more))
    }

    /// Looks at a piece of a node's directory; where the next begins.
    fn look_for_hot_pages(
        &self,
        hottest: &mut Hottest,
        node: NodeId,
        first: usize,
        now: Interval,
    ) -> Option<(NodeId, usize)> {
        let of = self.machine.node(node)?;
        // What is known of a page that was freed stays until somebody has it again.
        let is_free = |page| of.owner(page) == Some(Owner::Free);
        let mut looked = 0;
        for (page, record) in of.directory().iter_from(first).take(PIECE) {
            looked += 1;
            let misses = record.misses_at(now).iter().map(|&m| u32::from(m)).sum();
            if hottest.takes(misses) && !is_free(page) {
                hottest.offer(page, record.counts_at(now));
            }
        }
        if looked == PIECE {
            return Some((node, first + PIECE));
        }
        let next = NodeId(node.0 + 1);
        self.machine.node(next).map(|_| (next, 0))
    }

    /// The page at this place among the hottest, as it is now, with the misses that were found on it.
    fn hot_page_row(&self, hottest: &Hottest, place: usize) -> Option<HotPageRow<'static>> {
        let (page, counts) = hottest.get(place)?;
        let node = self.machine.node_of(page)?;
        let guest = match self.machine.owner(page) {
            Some(Owner::Guest { vm, page }) => {
                let slot = self.slots.get(usize::from(vm.0));
                slot.map(|slot| (slot, page))
            }
            _ => None,
        };
        let replicas =
            guest.and_then(|(slot, page)| self.with_resident(slot, |vm| vm.pmap.replicas(page)));
        Some(HotPageRow {
            machine: page.address().0,
            home: node.id(),
            guest: guest.map(|(slot, page)| (slot.name, page.address().0)),
            nodes: self.machine.nodes().count(),
            counts: *counts,
            decided: node.directory().record(page)?.decided(),
            replicas: replicas.unwrap_or(NodeSet::EMPTY),
        })
    }
}
