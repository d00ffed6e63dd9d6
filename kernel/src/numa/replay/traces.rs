//! Traces that are made: what the nodes of a machine do, an access at a time.

use super::{Access, MISSES};

/// Pages of each node's program, or of what several share.
pub const PAGES: usize = 32;
/// Nodes of the machine, with a virtual CPU each.
pub const NODES: u8 = 4;
/// Time from one access of a node to its next: half of it is spent waiting for something.
pub const STEP_NS: u64 = MISSES as u64 * 3_000;

/// Numbers that look random (SplitMix64).
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// What each node does from `from_ms` to `to_ms`: `next` gives page and whether it is written.
pub fn trace(
    (from_ms, to_ms): (u64, u64),
    mut next: impl FnMut(&mut Random, u64, u8) -> (usize, bool),
) -> impl Iterator<Item = Access> {
    let mut random = Random(from_ms);
    let steps = from_ms * 1_000_000 / STEP_NS..to_ms * 1_000_000 / STEP_NS;
    let all = steps.flat_map(|step| (0..NODES).map(move |node| (step * STEP_NS, node)));
    all.map(move |(time_ns, node)| {
        let (page, write) = next(&mut random, time_ns / 1_000_000, node);
        Access {
            time_ns,
            page,
            node,
            write,
        }
    })
}

/// Each node on pages of its own, a third of the accesses writes; `owner` says whose pages it uses at a time
/// in milliseconds.
pub fn programs(when: (u64, u64), owner: impl Fn(u64, u8) -> u8) -> impl Iterator<Item = Access> {
    trace(when, move |random, ms, node| {
        let page = random.below(PAGES as u64) as usize;
        (
            usize::from(owner(ms, node)) * PAGES + page,
            random.below(3) == 0,
        )
    })
}

/// All nodes on the same pages; so many accesses of a thousand are writes.
pub fn shared(when: (u64, u64), writes: u64) -> impl Iterator<Item = Access> {
    trace(when, move |random, _, _| {
        let page = random.below(PAGES as u64) as usize;
        (page, random.below(1000) < writes)
    })
}

/// One program alone, whose pages are used by one node and then by another, for `period_ms` each; the
/// other nodes use pages of their own.
pub fn bounced(when: (u64, u64), period_ms: u64) -> impl Iterator<Item = Access> {
    trace(when, move |random, ms, node| {
        let turn = (ms / period_ms % 2) as u8;
        let owner = if node < 2 { node ^ turn } else { node };
        let page = random.below(PAGES as u64) as usize;
        (usize::from(owner) * PAGES + page, random.below(3) == 0)
    })
}
