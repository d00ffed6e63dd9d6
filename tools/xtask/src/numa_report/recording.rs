//! What the events of a run say about its memory.

use std::collections::BTreeSet;
use std::ops::Range;

/// A run, as far as its events tell of it.
#[derive(Debug)]
pub struct Recording {
    /// The file of the events, as the person named it.
    pub file: String,
    /// Nodes of the machine.
    pub nodes: usize,
    /// Its intervals, in order.
    pub rounds: Vec<Round>,
    /// Virtual machines, in the order in which they appear.
    pub vms: Vec<VmRecording>,
    /// Lines that are no events.
    pub noise: Vec<usize>,
    /// The last line, if it has no end.
    pub unfinished: Option<usize>,
}

/// An interval: an event `numa`.
#[derive(Debug)]
pub struct Round {
    /// The event's line in the file, from 1.
    pub line: usize,
    /// When it ended, in nanoseconds after boot.
    pub ns: u64,
    /// By node.
    pub nodes: Vec<NodeFigures>,
}

/// What a node's CPUs did in an interval, or in several.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct NodeFigures {
    /// Free memory at its end, in bytes.
    pub free: u64,
    /// Misses in the node's own memory.
    pub local: u64,
    /// Misses in other nodes' memory.
    pub remote: u64,
    /// Pages that were migrated to it.
    pub migrations: u64,
    /// Replicas that it was given.
    pub replications: u64,
    /// Pages of it that lost their replicas.
    pub collapses: u64,
    /// Time for all that, in nanoseconds.
    pub spent_ns: u64,
}

/// A virtual machine.
#[derive(Debug)]
pub struct VmRecording {
    /// Its name.
    pub name: String,
    /// Bytes of a region of its memory.
    pub region_bytes: u64,
    /// Its regions.
    pub regions: usize,
    /// Its memory, each time that it was looked at.
    pub snapshots: Vec<Snapshot>,
    /// Where looks at it were told in part: the run ended, or its beginning is missing.
    pub cut: Vec<String>,
}

/// A virtual machine's memory at one time: events `numa_heat` of one round.
#[derive(Debug)]
pub struct Snapshot {
    /// The round's number, as the events have it.
    pub round: u64,
    /// When, in nanoseconds after boot.
    pub ns: u64,
    /// How many events it has.
    pub lines: usize,
    /// By node; a node without an event has nothing to do with it.
    pub nodes: Vec<Option<NodeHeat>>,
}

/// What a node has to do with each region: an event `numa_heat`.
#[derive(Debug)]
pub struct NodeHeat {
    /// The event's line in the file, from 1.
    pub line: usize,
    /// Guest pages that lie on the node.
    pub pages: Vec<u32>,
    /// Guest pages of which it has a replica.
    pub replicas: Vec<u32>,
    /// Misses of its CPUs.
    pub misses: Vec<u32>,
}

/// A node's part of a region.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Part {
    /// Guest pages that lie on the node.
    pub pages: u32,
    /// Guest pages of which it has a replica.
    pub replicas: u32,
    /// Misses of its CPUs.
    pub misses: u32,
}

impl NodeFigures {
    /// Adds those of a later interval, or of another node.
    fn add(&mut self, other: &Self) {
        let sums = [
            (&mut self.local, other.local),
            (&mut self.remote, other.remote),
            (&mut self.migrations, other.migrations),
            (&mut self.replications, other.replications),
            (&mut self.collapses, other.collapses),
            (&mut self.spent_ns, other.spent_ns),
        ];
        for (sum, more) in sums {
            *sum = sum.saturating_add(more);
        }
    }

    /// Misses in all memory.
    pub const fn misses(&self) -> u64 {
        self.local.saturating_add(self.remote)
    }

    /// Moves of all kinds.
    pub fn moves(&self) -> u64 {
        let two = self.migrations.saturating_add(self.replications);
        two.saturating_add(self.collapses)
    }
}

impl Recording {
    /// The sum over `rounds`, of one node or of all; free memory as at their end.
    pub fn totals(&self, node: Option<usize>, rounds: Range<usize>) -> NodeFigures {
        let mut sum = NodeFigures::default();
        for round in self.rounds.get(rounds).unwrap_or_default() {
            let one = node.map(|node| node..node + 1);
            let nodes = one.unwrap_or(0..round.nodes.len());
            let nodes = round.nodes.get(nodes).unwrap_or_default();
            nodes.iter().for_each(|node| sum.add(node));
            sum.free = nodes.iter().map(|node| node.free).sum();
        }
        sum
    }

    /// The first or the last tenth of the intervals that have misses, rounded up, as a range of intervals.
    pub fn tenth(&self, last: bool) -> Range<usize> {
        let misses = |index: &usize| self.totals(None, *index..*index + 1).misses() > 0;
        let busy: Vec<usize> = (0..self.rounds.len()).filter(misses).collect();
        let count = busy.len().div_ceil(10);
        let chosen = if last {
            &busy[busy.len() - count..]
        } else {
            &busy[..count]
        };
        match chosen {
            [] => 0..0,
            [first, .., last] => *first..last + 1,
            [only] => *only..only + 1,
        }
    }

    /// When the last of `rounds` ended, in nanoseconds after boot.
    pub fn end_of(&self, rounds: &Range<usize>) -> u64 {
        let last = self.rounds.get(rounds.end.saturating_sub(1));
        last.map_or(0, |round| round.ns)
    }

    /// The lines of `rounds` in the file.
    pub fn lines(&self, rounds: Range<usize>) -> String {
        lines(
            self.rounds
                .get(rounds)
                .unwrap_or_default()
                .iter()
                .map(|round| round.line),
        )
    }

    /// What is wrong with the file, though not so much that there could be no page.
    pub fn warning(&self) -> Option<String> {
        let mut said = Vec::new();
        if let Some(first) = self.noise.first() {
            said.push(format!(
                "{}:{first}: no event, nor are {} further lines; they are left out",
                self.file,
                self.noise.len() - 1
            ));
        }
        if let Some(line) = self.unfinished {
            said.push(format!(
                "{}:{line}: the line has no end, so it is left out: the run was cut off, or is still going on",
                self.file
            ));
        }
        (!said.is_empty()).then(|| said.join("\n"))
    }
}

impl VmRecording {
    /// Leaves out what is not whole: a node that is missing would have nothing.
    pub fn cut_off(&mut self) {
        let snapshots = std::mem::take(&mut self.snapshots);
        let is_whole =
            |snapshot: &Snapshot| snapshot.nodes.iter().flatten().count() >= snapshot.lines;
        let (whole, cut): (Vec<_>, Vec<_>) = snapshots.into_iter().partition(is_whole);
        self.snapshots = whole;
        self.cut = cut.iter().map(Snapshot::places).collect();
    }
}

impl Snapshot {
    /// What each node has to do with `region`.
    pub fn parts(&self, region: usize) -> Vec<Part> {
        let part = |heat: &Option<NodeHeat>| {
            heat.as_ref().map_or_else(Part::default, |heat| {
                let at = |figures: &[u32]| figures.get(region).copied().unwrap_or(0);
                Part {
                    pages: at(&heat.pages),
                    replicas: at(&heat.replicas),
                    misses: at(&heat.misses),
                }
            })
        };
        self.nodes.iter().map(part).collect()
    }

    /// The same for all regions together.
    pub fn whole(&self) -> Vec<Part> {
        let part = |heat: &Option<NodeHeat>| {
            heat.as_ref().map_or_else(Part::default, |heat| Part {
                pages: heat.pages.iter().sum(),
                replicas: heat.replicas.iter().sum(),
                misses: heat.misses.iter().fold(0, |a, b| a.saturating_add(*b)),
            })
        };
        self.nodes.iter().map(part).collect()
    }

    /// Its lines in the file.
    pub fn places(&self) -> String {
        lines(self.nodes.iter().flatten().map(|heat| heat.line))
    }
}

/// `line 5`, or `lines 5 to 9` of which not all need be meant.
fn lines(of: impl Iterator<Item = usize>) -> String {
    let all: BTreeSet<usize> = of.collect();
    match (all.first(), all.last()) {
        (Some(first), Some(last)) if first != last => format!("lines {first} to {last}"),
        (Some(only), _) => format!("line {only}"),
        _ => "no line".to_owned(),
    }
}
