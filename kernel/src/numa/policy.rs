//! What to do with a page that has become hot: leave it, migrate it, replicate it, or give its
//! replicas up.
//!
//! The decision tree and its thresholds are those of FLASH (Verghese, Devine, Gupta, Rosenblum:
//! *Operating System Support for Improving Data Locality on CC-NUMA Compute Servers*, ASPLOS'96). A
//! page is looked at when one node's misses on it reach the *trigger threshold* within a *reset
//! interval*. If another node misses nearly as often (*sharing threshold*), the page is replicated,
//! unless it is written (*write threshold*); else it is migrated, unless it was already (*migrate
//! threshold*). Two things are different. Counts are halved at the end of an interval, not cleared, so
//! the sharing threshold is a share of the hot node's misses. And the cap on moves is a bucket that
//! leaks instead of a number for each interval: a page may move a few times at once, as it does when a
//! program changes its phase, but one that is bounced on purpose soon moves once in
//! [`Thresholds::forgive`] intervals.

use super::directory::{Counts, Interval};
use super::{Distances, NodeSet};
use crate::machine::NodeId;

/// When a page moves. Defaults: [`Thresholds::DEFAULT`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Thresholds {
    /// Length of a reset interval, in milliseconds: counts are halved at its end.
    pub interval_ms: u16,
    /// Misses of one node, in an interval and what is left of those before, that make a page hot for it.
    pub trigger: u16,
    /// Thousandths of the hot node's misses that make another node a sharer.
    pub sharing: u16,
    /// Thousandths of all misses, as writes, from which on a page counts as written.
    pub write: u16,
    /// Whether the counts of a page begin anew when it is found to be written and shared for the first time in an interval: who has
    /// filled it may be done with that. Else it stays until the next one.
    pub again: bool,
    /// Moves that a page may make at once.
    pub moves: u16,
    /// Intervals after which it may make one more.
    pub forgive: u16,
    /// Moves of its pages that a virtual machine may make at once, for each of its virtual CPUs.
    pub burst: u32,
    /// Moves that it may make in each interval from then on, for each of its virtual CPUs.
    pub rate: u32,
}

impl Thresholds {
    /// What a description has that says nothing: to be tuned by measurement.
    pub const DEFAULT: Self = Self {
        // FLASH's.
        interval_ms: 100,
        // FLASH's. At 600 ns more for a remote miss, so many cost about what a move does (paper: 67
        // to 102 us).
        trigger: 128,
        // FLASH's: a quarter of the trigger.
        sharing: 250,
        // FLASH's is one write in an interval; a share means the same for each of the sources. A
        // write costs what replicas save at 600 misses or so: their copies, and the fault.
        write: 2,
        // Some samples may all miss the writes.
        again: false,
        moves: 4,
        // A page that is bounced on purpose costs 0.1 ms in 2 s.
        forgive: 20,
        // 8 MiB for each virtual CPU: what was put on a wrong node goes to the right one at once.
        burst: 512,
        // 320 a second of 0.1 ms each are 3 % of the CPU's time.
        rate: 32,
    };

    /// The same for counts from samples. They take longer until they are more than chance, so an interval has
    /// ten times the length; what goes by intervals goes by as much time as before.
    pub const SAMPLED: Self = Self { ..Self::SLOW };

    /// What a description has that says nothing, with the exact model's counts: in `cargo xtask bench numa` a node's
    /// share of a page that all read is some 70 misses a second, which FLASH's interval would never find. They
    /// cost in ten seconds what a copy does.
    pub const EXACT: Self = Self {
        interval_ms: 20 * Self::DEFAULT.interval_ms,
        trigger: Self::DEFAULT.trigger / 2,
        again: true,
        forgive: Self::DEFAULT.forgive / 20,
        rate: 20 * Self::DEFAULT.rate,
        ..Self::DEFAULT
    };

    const SLOW: Self = Self {
        interval_ms: 10 * Self::DEFAULT.interval_ms,
        forgive: Self::DEFAULT.forgive / 10,
        rate: 10 * Self::DEFAULT.rate,
        ..Self::DEFAULT
    };

    /// By how much a page's unrest grows: when it was moved, or `collapsed` by a write. The
    /// latter costs two moves that were for nothing, and is to remain rare.
    pub const fn unrest_of(&self, collapsed: bool) -> u16 {
        let weight = if collapsed { self.moves } else { 1 };
        self.forgive.saturating_mul(weight)
    }

    /// Whether a page of so much unrest stays where it is.
    const fn is_capped(&self, unrest: u16) -> bool {
        let most = self.forgive.saturating_mul(self.moves);
        unrest.saturating_add(self.forgive) > most
    }
}

impl Default for Thresholds {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// What the policy has to know of a page beside its counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Situation {
    /// The page's node.
    pub home: NodeId,
    /// Nodes that have a replica of it.
    pub replicas: NodeSet,
    /// Others use it too, so it stays: to migrate it for one virtual machine is to replicate it.
    pub shared: bool,
    /// Nodes with memory for a page.
    pub room: NodeSet,
    /// Nodes with memory to spare, which replicas may take.
    pub plenty: NodeSet,
    /// Moves that its virtual machine may make at present: [`MoveBudget::left`].
    pub budget: u32,
}

/// What to do with a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Nothing.
    Leave,
    /// Move it to this node.
    Migrate(NodeId),
    /// Give each of these nodes a replica.
    Replicate(NodeSet),
    /// Give all its replicas up.
    Collapse,
}

/// Why.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u16)]
pub enum Why {
    /// No node that is far from it misses often.
    Cold = 1,
    /// It is hot, and near to those who use it.
    Local,
    /// One node uses it.
    OneNode,
    /// Several nodes read it.
    ReadShared,
    /// It is written, and others use it too.
    WriteShared,
    /// It has moved too often.
    Restless,
    /// Its virtual machine has made too many moves.
    Budget,
    /// No node that is nearer has memory left.
    NoRoom,
}

impl Why {
    /// How many reasons there are.
    pub const COUNT: usize = Self::ALL.len();

    /// All reasons.
    pub const ALL: [Self; 8] = [
        Self::Cold,
        Self::Local,
        Self::OneNode,
        Self::ReadShared,
        Self::WriteShared,
        Self::Restless,
        Self::Budget,
        Self::NoRoom,
    ];

    /// The reason of that number.
    fn from_number(number: u16) -> Option<Self> {
        Self::ALL.get(usize::from(number.checked_sub(1)?)).copied()
    }

    /// Its place in [`Why::ALL`].
    pub const fn place(self) -> usize {
        self as usize - 1
    }

    /// The reason in a word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Cold => "cold",
            Self::Local => "local",
            Self::OneNode => "one-node",
            Self::ReadShared => "read-shared",
            Self::WriteShared => "write-shared",
            Self::Restless => "restless",
            Self::Budget => "budget",
            Self::NoRoom => "no-room",
        }
    }
}

/// What to do with a page, and why.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Decision {
    /// What.
    pub action: Action,
    /// Why.
    pub why: Why,
}

impl Decision {
    pub(super) const fn leave(why: Why) -> Self {
        let action = Action::Leave;
        Self { action, why }
    }

    /// What of it, in a word.
    pub const fn word(&self) -> &'static str {
        match self.action {
            Action::Leave => "leave",
            Action::Migrate(_) => "migrate",
            Action::Replicate(_) => "replicate",
            Action::Collapse => "collapse",
        }
    }

    /// All but its targets as a number that is not 0: the kind of action in bits 15..8, why in bits 7..0.
    pub(super) const fn number(&self) -> u16 {
        let action = match self.action {
            Action::Leave => 0,
            Action::Migrate(_) => 1,
            Action::Replicate(_) => 2,
            Action::Collapse => 3,
        };
        action << 8 | self.why as u16
    }

    /// The decision of that number with these targets.
    pub(super) fn from_number(number: u16, targets: NodeSet) -> Option<Self> {
        let action = match (number & !Self::FLAGS) >> 8 {
            0 => Action::Leave,
            1 => Action::Migrate(targets.iter().next()?),
            2 => Action::Replicate(targets),
            3 => Action::Collapse,
            _ => return None,
        };
        let why = Why::from_number(number & 0xff)?;
        Some(Self { action, why })
    }

    /// Set in a decision's number: it was some time ago, and may be another one now.
    pub(super) const OLD: u16 = 1 << 15;
    /// Set in a decision's number: the page was found to be written and shared in this interval, then or before.
    pub(super) const FOUND_WRITTEN: u16 = 1 << 14;

    const FLAGS: u16 = Self::OLD | Self::FOUND_WRITTEN;

    /// Whether a decision of this number is to leave the page as it is; so does none.
    pub(super) const fn is_to_leave(number: u16) -> bool {
        (number & !Self::FLAGS) >> 8 == 0
    }

    /// Whether a decision of this number, not an old one, is to leave a page that is far from who uses it.
    pub(super) const fn is_to_stay(number: u16) -> bool {
        let why = number & 0xff;
        (number & !Self::FOUND_WRITTEN) >> 8 == 0 && why > Why::Local as u16
    }

    /// Whether that is so, however often it is missed on.
    pub(super) const fn is_settled(number: u16) -> bool {
        let why = number & 0xff;
        let is_reason = why == Why::WriteShared as u16 || why == Why::Restless as u16;
        is_reason && Self::is_to_stay(number)
    }

    /// The nodes that get the page.
    pub const fn targets(&self) -> NodeSet {
        match self.action {
            Action::Migrate(node) => NodeSet::of(node),
            Action::Replicate(nodes) => nodes,
            Action::Leave | Action::Collapse => NodeSet::EMPTY,
        }
    }
}

/// Decides what becomes of a page.
pub fn decide(
    counts: &Counts,
    situation: &Situation,
    distances: &Distances,
    thresholds: &Thresholds,
) -> Decision {
    let home = NodeSet::of(situation.home);
    let places = situation.replicas.union(home);
    let written = is_written(counts, thresholds);
    if written && !situation.replicas.is_empty() {
        return Decision {
            action: Action::Collapse,
            why: Why::WriteShared,
        };
    }
    let near = near(places, distances);
    let (hot, misses) = match hottest(counts, near) {
        Some((node, misses)) if misses >= thresholds.trigger.max(1) => (node, misses),
        _ => return at_rest(counts, thresholds),
    };
    let sharers = sharers(counts, hot, misses, thresholds);
    let is_alone = sharers.is_empty();
    if written && (situation.shared || !is_alone) {
        return Decision::leave(Why::WriteShared);
    }
    if thresholds.is_capped(counts.unrest) {
        return Decision::leave(Why::Restless);
    }
    if situation.budget == 0 {
        return Decision::leave(Why::Budget);
    }
    if is_alone && !situation.shared && situation.replicas.is_empty() {
        return migrate(hot, situation, distances);
    }
    let wanted = sharers.union(NodeSet::of(hot)).minus(near);
    let why = if is_alone {
        Why::OneNode
    } else {
        Why::ReadShared
    };
    replicate(counts, wanted, situation, why)
}

/// Why a page stays on which no node misses often that is far from it.
fn at_rest(counts: &Counts, thresholds: &Thresholds) -> Decision {
    let is_hot = counts.misses.iter().any(|&m| m >= thresholds.trigger);
    Decision::leave(if is_hot { Why::Local } else { Why::Cold })
}

fn is_written(counts: &Counts, thresholds: &Thresholds) -> bool {
    let writes = u64::from(counts.writes) * 1000;
    counts.writes > 0 && writes >= u64::from(counts.total()) * u64::from(thresholds.write)
}

/// Nodes that one of `places` is as near to as their own memory.
fn near(places: NodeSet, distances: &Distances) -> NodeSet {
    let near = places.iter().map(|at| distances.near(at));
    near.fold(NodeSet::EMPTY, NodeSet::union)
}

/// The node that misses most, beside `others`; of several the first.
fn hottest(counts: &Counts, others: NodeSet) -> Option<(NodeId, u16)> {
    let far = counts.by_node().filter(|(node, _)| !others.contains(*node));
    far.reduce(|most, next| if next.1 > most.1 { next } else { most })
}

/// Nodes beside `hot` that miss nearly as often.
fn sharers(counts: &Counts, hot: NodeId, misses: u16, thresholds: &Thresholds) -> NodeSet {
    let enough = u32::from(misses) * u32::from(thresholds.sharing) / 1000;
    let shares = |(node, misses): &(NodeId, u16)| {
        *node != hot && *misses > 0 && u32::from(*misses) >= enough
    };
    counts
        .by_node()
        .filter(shares)
        .map(|(node, _)| node)
        .collect()
}

/// To the node that uses it, or the nearest to that one that has memory.
fn migrate(hot: NodeId, situation: &Situation, distances: &Distances) -> Decision {
    let now = distances.latency_ns(hot, situation.home);
    let nearer = distances
        .nearest(hot)
        .take_while(|&node| distances.latency_ns(hot, node) < now)
        .find(|&node| situation.room.contains(node));
    match nearer {
        Some(node) => Decision {
            action: Action::Migrate(node),
            why: Why::OneNode,
        },
        None => Decision::leave(Why::NoRoom),
    }
}

/// To those of the nodes that have memory to spare, as far as the budget goes: who misses most first.
fn replicate(counts: &Counts, wanted: NodeSet, situation: &Situation, why: Why) -> Decision {
    let mut left = wanted.intersection(situation.plenty);
    let mut chosen = NodeSet::EMPTY;
    while chosen.len() < situation.budget {
        let Some((node, _)) = hottest(counts, NodeSet::ALL.minus(left)) else {
            break;
        };
        left = left.minus(NodeSet::of(node));
        chosen = chosen.union(NodeSet::of(node));
    }
    if chosen.is_empty() {
        return Decision::leave(Why::NoRoom);
    }
    let action = Action::Replicate(chosen);
    Decision { action, why }
}

/// The moves that a virtual machine may make: a few at once, and then so many in each interval. Kept
/// under the lock that its moves are made under.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MoveBudget {
    left: u32,
    most: u32,
    rate: u32,
    interval: Interval,
}

impl MoveBudget {
    /// Of a virtual machine of `vcpus` virtual CPUs that begins in interval `now`.
    pub const fn new(thresholds: &Thresholds, vcpus: u16, now: Interval) -> Self {
        let most = thresholds.burst.saturating_mul(vcpus as u32);
        Self {
            left: most,
            most,
            rate: thresholds.rate.saturating_mul(vcpus as u32),
            interval: now,
        }
    }

    /// Moves that it may make in interval `now`.
    pub fn left(&mut self, now: Interval) -> u32 {
        let passed = u32::from(now.since(self.interval));
        self.interval = now;
        let earned = self.rate.saturating_mul(passed);
        self.left = self.left.saturating_add(earned).min(self.most);
        self.left
    }

    /// It has made `moves`.
    pub fn spend(&mut self, moves: u32) {
        self.left = self.left.saturating_sub(moves);
    }
}

#[cfg(test)]
mod tests;
