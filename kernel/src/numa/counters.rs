//! What one CPU has counted of misses, decisions and moves, for `numa` and the events.
//!
//! Only its CPU writes these words, with a load and a store each: an addition with LL and SC would
//! break a guest's pair. Others read them whenever they like.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::policy::{Action, Decision, Why};
use crate::machine::{NodeId, NODES_MAX};

/// Moves that a CPU has made for one node.
#[derive(Debug, Default)]
pub struct MoveCounters {
    /// Pages that were migrated to the node.
    pub migrations: AtomicU64,
    /// Replicas that it was given.
    pub replications: AtomicU64,
    /// Times that a page of it lost its replicas to a write.
    pub collapses: AtomicU64,
}

/// What one CPU has counted.
#[derive(Debug)]
pub struct NumaCounters {
    /// Samples of misses in memory of the CPU's node.
    pub local: AtomicU64,
    /// Samples of misses in other nodes' memory.
    pub remote: AtomicU64,
    /// Samples that were lost.
    pub lost: AtomicU64,
    /// Decisions by their reason: [`NumaCounters::decided`].
    decisions: [AtomicU64; Why::COUNT],
    /// Moves that were decided for and then not made: no memory after all, or the page changed meanwhile.
    pub failed: AtomicU64,
    /// Moves by the node that they were made for: [`NumaCounters::moves`].
    moves: [MoveCounters; NODES_MAX],
    /// Times that it forgot where pages were, since another CPU moved them: what a move costs besides.
    pub shootdowns: AtomicU64,
    /// Time that went into moves, in ticks.
    pub spent: AtomicU64,
}

/// Adds to a word that nobody else writes.
pub fn add(word: &AtomicU64, more: u64) {
    word.store(word.load(Relaxed).wrapping_add(more), Relaxed);
}

impl NumaCounters {
    /// Nothing yet.
    pub const fn new() -> Self {
        Self {
            local: AtomicU64::new(0),
            remote: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            decisions: [const { AtomicU64::new(0) }; Why::COUNT],
            failed: AtomicU64::new(0),
            moves: [const {
                MoveCounters {
                    migrations: AtomicU64::new(0),
                    replications: AtomicU64::new(0),
                    collapses: AtomicU64::new(0),
                }
            }; NODES_MAX],
            shootdowns: AtomicU64::new(0),
            spent: AtomicU64::new(0),
        }
    }

    /// A sample of a miss was taken.
    pub fn sampled(&self, is_local: bool) {
        add(if is_local { &self.local } else { &self.remote }, 1);
    }

    /// A hot page was looked at. The moves are counted when they are made: [`NumaCounters::moved`].
    pub fn looked_at(&self, decision: &Decision) {
        if let Some(word) = self.decisions.get(decision.why.place()) {
            add(word, 1);
        }
    }

    /// How often `why` was the reason to move pages or to leave them.
    pub fn decided(&self, why: Why) -> u64 {
        let word = self.decisions.get(why.place());
        word.map_or(0, |word| word.load(Relaxed))
    }

    /// A page of `home` was moved as `action` says, in so many ticks.
    pub fn moved(&self, action: &Action, home: NodeId, ticks: u64) {
        let count = |node: NodeId, word: fn(&MoveCounters) -> &AtomicU64| {
            if let Some(moves) = self.moves(node) {
                add(word(moves), 1);
            }
        };
        match action {
            Action::Leave => return,
            Action::Migrate(node) => count(*node, |moves| &moves.migrations),
            Action::Replicate(nodes) => nodes
                .iter()
                .for_each(|node| count(node, |moves| &moves.replications)),
            Action::Collapse => count(home, |moves| &moves.collapses),
        }
        add(&self.spent, ticks);
    }

    /// Moves that were made for `node`; `None` if no machine has it.
    pub fn moves(&self, node: NodeId) -> Option<&MoveCounters> {
        self.moves.get(usize::from(node.0))
    }
}

impl Default for NumaCounters {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numa::NodeSet;

    #[test]
    fn moves_count_for_the_nodes_they_were_made_for() {
        let counters = NumaCounters::new();
        let home = NodeId(3);
        counters.moved(&Action::Migrate(NodeId(1)), home, 5);
        counters.moved(&Action::Replicate(NodeSet::from_bits(0b110)), home, 7);
        counters.moved(&Action::Collapse, home, 1);
        counters.moved(&Action::Leave, home, 100);
        let of = |node: u8| {
            let moves = counters.moves(NodeId(node)).unwrap();
            let words = [&moves.migrations, &moves.replications, &moves.collapses];
            words.map(|word| word.load(Relaxed))
        };
        assert_eq!([of(0), of(1), of(2)], [[0, 0, 0], [1, 1, 0], [0, 1, 0]]);
        assert_eq!(of(3), [0, 0, 1]);
        assert_eq!(counters.spent.load(Relaxed), 13);
        assert!(counters.moves(NodeId(16)).is_none());
    }

    #[test]
    fn every_reason_has_a_count_of_its_own() {
        let counters = NumaCounters::new();
        for (times, why) in (1..).zip(Why::ALL) {
            let action = Action::Leave;
            (0..times).for_each(|_| counters.looked_at(&Decision { action, why }));
        }
        for (times, why) in (1..).zip(Why::ALL) {
            assert_eq!(counters.decided(why), times);
        }
        counters.sampled(true);
        counters.sampled(false);
        counters.sampled(false);
        let shares = (counters.local.load(Relaxed), counters.remote.load(Relaxed));
        assert_eq!(shares, (1, 2));
    }
}
