//! Traces of misses, replayed against directory and policy with a simple model of what they cost.
//!
//! An [`Access`] stands for [`MISSES`] misses of one node on one page. The model keeps where each page and its
//! replicas are, lets a write collapse replicas as the monitor's fault does, and adds up what misses and
//! moves take.

mod cases;
mod promises;
mod traces;

use super::source::{Records, Samples};
use super::*;
use crate::address::MachinePage;
use crate::machine::{NodeId, PageRange};

/// Misses that an access stands for.
const MISSES: u16 = 16;
/// From the beginning of a miss to that of the next, without the miss itself, in nanoseconds.
const COMPUTE_NS: u64 = 600;
/// What a move costs: the paper's upper figure for a migration (SOSP'97, section 6.4).
const MOVE_NS: u64 = 102_000;
/// What the fault that collapses replicas costs, without the copies that were in vain.
const COLLAPSE_NS: u64 = 50_000;

/// Misses on a page.
#[derive(Clone, Copy, Debug)]
struct Access {
    time_ns: u64,
    page: usize,
    node: u8,
    write: bool,
}

/// Where a page is.
#[derive(Clone, Copy, Debug)]
struct Place {
    home: NodeId,
    replicas: NodeSet,
    shared: bool,
}

/// What a replay came to.
#[derive(Clone, Copy, Debug, Default)]
struct Outcome {
    local: u64,
    remote: u64,
    migrations: u64,
    replications: u64,
    collapses: u64,
    /// Time of all nodes together.
    busy_ns: u64,
    /// How much of it went into moves.
    moves_ns: u64,
}

impl Outcome {
    fn moves(&self) -> u64 {
        self.migrations + self.replications
    }

    /// Percent of the misses that were local.
    fn local_share(&self) -> f64 {
        100.0 * self.local as f64 / (self.local + self.remote).max(1) as f64
    }

    /// Its time as percent of `other`'s.
    fn time_of(&self, other: &Self) -> f64 {
        100.0 * self.busy_ns as f64 / other.busy_ns as f64
    }

    /// What came after `earlier` in the same replay.
    fn since(&self, earlier: &Self) -> Self {
        Self {
            local: self.local - earlier.local,
            remote: self.remote - earlier.remote,
            migrations: self.migrations - earlier.migrations,
            replications: self.replications - earlier.replications,
            collapses: self.collapses - earlier.collapses,
            busy_ns: self.busy_ns - earlier.busy_ns,
            moves_ns: self.moves_ns - earlier.moves_ns,
        }
    }
}

/// A machine of some nodes with the pages of one virtual machine.
struct World {
    distances: Distances,
    thresholds: Thresholds,
    policy: bool,
    /// The source does not see writes: the refill before each was for a read.
    blind: bool,
    pages: Vec<Place>,
    free: Vec<u64>,
    directory: Directory,
    samples: Vec<Samples>,
    budget: MoveBudget,
    now: Interval,
    outcome: Outcome,
}

impl World {
    /// `nodes` nodes with a virtual CPU each and `free` pages that are nobody's; pages where `homes` says.
    fn new(nodes: u8, homes: impl IntoIterator<Item = u8>, free: u64) -> Self {
        let place = |home| Place {
            home: NodeId(home),
            replicas: NodeSet::EMPTY,
            shared: false,
        };
        let pages: Vec<Place> = homes.into_iter().map(place).collect();
        let records: Vec<PageRecord> = pages.iter().map(|_| PageRecord::new()).collect();
        let range = PageRange::new(MachinePage(0), records.len() as u64);
        let thresholds = Thresholds::DEFAULT;
        Self {
            distances: Distances::default(),
            thresholds,
            policy: true,
            blind: false,
            pages,
            free: vec![free; usize::from(nodes)],
            directory: Directory::new(range, records.leak()),
            samples: vec![Samples::new(); usize::from(nodes)],
            budget: MoveBudget::new(&thresholds, u16::from(nodes), Interval(0)),
            now: Interval(0),
            outcome: Outcome::default(),
        }
    }

    fn without_policy(mut self) -> Self {
        self.policy = false;
        self
    }

    fn uniform(mut self) -> Self {
        self.distances = Distances::uniform(300, 300);
        self.without_policy()
    }

    fn run(&mut self, trace: impl IntoIterator<Item = Access>) -> Outcome {
        for access in trace {
            self.access(&access);
        }
        self.outcome
    }

    fn access(&mut self, access: &Access) {
        let interval_ns = u64::from(self.thresholds.interval_ms) * 1_000_000;
        self.now = Interval((access.time_ns / interval_ns) as u16);
        let node = NodeId(access.node);
        if access.write && !self.pages[access.page].replicas.is_empty() {
            self.collapse(access.page);
        }
        let place = self.pages[access.page];
        let places = place.replicas.union(NodeSet::of(place.home));
        let latencies = places.iter().map(|at| self.distances.latency_ns(node, at));
        let latency_ns = u64::from(latencies.min().unwrap());
        let misses = u64::from(MISSES);
        match places.contains(node) {
            true => self.outcome.local += misses,
            false => self.outcome.remote += misses,
        }
        self.outcome.busy_ns += misses * (COMPUTE_NS + latency_ns);
        if self.policy {
            self.note(access);
        }
    }

    fn note(&mut self, access: &Access) {
        let write = access.write && !self.blind;
        let is_full = self.samples[usize::from(access.node)].note(Sample {
            page: MachinePage(access.page as u64),
            node: NodeId(access.node),
            reads: if write { 0 } else { MISSES },
            writes: if write { MISSES } else { 0 },
            follow: false,
            user: None,
        });
        if !is_full {
            return;
        }
        let mut hot = Vec::new();
        let directory = self.directory;
        let records = Records {
            now: self.now,
            trigger: self.thresholds.trigger,
            of: &|page| directory.record(page),
        };
        let samples = &mut self.samples[usize::from(access.node)];
        samples.add_up(usize::MAX, &records, &mut |page| {
            hot.push(page.page.0 as usize);
        });
        hot.into_iter().for_each(|page| self.look(page));
    }

    fn nodes_with(&self, pages: u64) -> NodeSet {
        let nodes = (0..).map(NodeId).zip(&self.free);
        let enough = nodes.filter(|(_, &free)| free >= pages);
        enough.map(|(node, _)| node).collect()
    }

    /// Decides about a page, and does it.
    fn look(&mut self, page: usize) {
        let place = self.pages[page];
        let record = self.record(page);
        let situation = Situation {
            home: place.home,
            replicas: place.replicas,
            shared: place.shared,
            room: self.nodes_with(1),
            plenty: self.nodes_with(4),
            budget: self.budget.left(self.now),
        };
        let counts = record.counts(self.now);
        let decision = decide(&counts, &situation, &self.distances, &self.thresholds);
        let _ = record.note(&decision, &self.thresholds);
        match decision.action {
            Action::Leave => return,
            Action::Collapse => return self.collapse(page),
            Action::Migrate(to) => {
                self.free[usize::from(to.0)] -= 1;
                self.free[usize::from(place.home.0)] += 1;
                self.pages[page].home = to;
                self.outcome.migrations += 1;
            }
            Action::Replicate(nodes) => {
                for node in nodes.iter() {
                    self.free[usize::from(node.0)] -= 1;
                }
                self.pages[page].replicas = place.replicas.union(nodes);
                self.outcome.replications += u64::from(nodes.len());
            }
        }
        let moves = decision.targets().len();
        self.budget.spend(moves);
        record.moved(self.now, &self.thresholds, false);
        self.spend(u64::from(moves) * MOVE_NS);
    }

    fn collapse(&mut self, page: usize) {
        for node in self.pages[page].replicas.iter() {
            self.free[usize::from(node.0)] += 1;
        }
        self.pages[page].replicas = NodeSet::EMPTY;
        self.record(page).moved(self.now, &self.thresholds, true);
        self.outcome.collapses += 1;
        self.spend(COLLAPSE_NS);
    }

    fn spend(&mut self, ns: u64) {
        self.outcome.busy_ns += ns;
        self.outcome.moves_ns += ns;
    }

    fn record(&self, page: usize) -> &'static PageRecord {
        self.directory.record(MachinePage(page as u64)).unwrap()
    }
}
