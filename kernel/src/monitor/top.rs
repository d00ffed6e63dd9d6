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
use crate::machine::{NodeId, Owner, NODES_MAX};
use crate::numa::estimate::Estimate;
use crate::numa::hottest::{HotPage, Hottest};
use crate::numa::{Counters, Interval, NodeSet, NumaCounters, Why};
use core::sync::atomic::Ordering;
use disco_arch::lock::Mutex;

/// Records in a piece.
const RECORDS: usize = 2048;

/// Taken by CPU 0 alone, so nobody waits for it; before a slot's state and the console.
static TOP: Mutex<Top> = Mutex::new(Top {
    estimate: Estimate::EXACT,
    hottest: Hottest::new(),
    next: None,
});

/// What CPU 0 remembers while it answers `numa top`.
#[derive(Debug)]
struct Top {
    estimate: Estimate,
    hottest: Hottest,
    /// What is done with the next piece; nothing when all is found.
    next: Option<Piece>,
}

/// What is done with records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pass {
    /// Samples are added up.
    Add,
    /// Hot pages are looked for.
    Look,
}

/// A piece of the directory.
#[derive(Clone, Copy, Debug)]
struct Piece {
    pass: Pass,
    node: NodeId,
    /// Place in the node's directory.
    first: usize,
}

impl Piece {
    const fn begin(pass: Pass) -> Self {
        Self {
            pass,
            node: NodeId(0),
            first: 0,
        }
    }
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
            let (estimate, pass) = match monitor.numa.counters {
                Counters::Sampled => (Estimate::SAMPLED, Pass::Add),
                Counters::Magic | Counters::Off => (Estimate::EXACT, Pass::Look),
            };
            top.estimate = estimate;
            top.next = Some(Piece::begin(pass));
        }
        if let Some(piece) = top.next {
            let now = monitor.numa.interval(self.now());
            top.next = monitor.look_at_piece(&mut top, piece, now);
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

    /// Goes through a piece of the directory; what comes next.
    fn look_at_piece(&self, top: &mut Top, piece: Piece, now: Interval) -> Option<Piece> {
        let of = self.machine.node(piece.node)?;
        // What is known of a page that was freed stays until somebody has it again.
        let is_free = |page| of.owner(page) == Some(Owner::Free);
        let mut looked = 0;
        for (page, record) in of.directory().iter_from(piece.first).take(RECORDS) {
            looked += 1;
            let misses = record.misses_at(now);
            if misses == [0; NODES_MAX] {
                continue;
            }
            if piece.pass == Pass::Add {
                if !is_free(page) {
                    top.estimate.add(&misses);
                }
                continue;
            }
            let heat = top.estimate.heat(&misses);
            if top.hottest.takes(heat) && !is_free(page) {
                let counts = record.counts_at(now);
                top.hottest.offer(HotPage { page, heat, counts });
            }
        }
        if looked == RECORDS {
            let first = piece.first + RECORDS;
            return Some(Piece { first, ..piece });
        }
        let node = NodeId(piece.node.0 + 1);
        match (self.machine.node(node), piece.pass) {
            (Some(_), pass) => Some(Piece {
                node,
                ..Piece::begin(pass)
            }),
            (None, Pass::Add) => Some(Piece::begin(Pass::Look)),
            (None, Pass::Look) => None,
        }
    }

    /// The page at this place among the hottest, as it is now, with the misses that were found on it.
    fn hot_page_row(&self, hottest: &Hottest, place: usize) -> Option<HotPageRow<'static>> {
        let &HotPage { page, heat, counts } = hottest.get(place)?;
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
            counts,
            heat: Estimate::misses_of(heat),
            decided: node.directory().record(page)?.decided(),
            replicas: replicas.unwrap_or(NodeSet::EMPTY),
        })
    }
}
