//! The cases of the papers: what the policy has to make of each.

use super::traces::{bounced, programs, shared, trace, NODES, PAGES};
use super::*;

const ALL: usize = PAGES * NODES as usize;
const PLENTY: u64 = 10_000;

/// Pages that were all allocated on node 0.
fn on_one_node() -> World {
    World::new(NODES, [0; ALL], PLENTY)
}

/// Pages that are where they are used.
fn at_home() -> World {
    World::new(NODES, (0..ALL).map(|page| (page / PAGES) as u8), PLENTY)
}

/// No policy, policy, uniform memory.
fn three(trace: impl Iterator<Item = Access>) -> [Outcome; 3] {
    let trace: Vec<Access> = trace.collect();
    let run = |mut world: World| world.run(trace.iter().copied());
    [
        run(on_one_node().without_policy()),
        run(on_one_node()),
        run(on_one_node().uniform()),
    ]
}

#[test]
fn programs_that_were_allocated_on_one_node_spread() {
    let [without, with, uniform] = three(programs((0, 1500), |_, node| node));
    assert!(without.local_share() < 26.0);
    assert!(with.local_share() > 90.0, "{with:?}");
    assert!(with.time_of(&uniform) < 110.0, "{with:?}");
    assert!(with.time_of(&without) < 75.0);
    assert_eq!(with.replications + with.collapses, 0);
    // Each page once, but for those that were at home.
    assert_eq!(with.migrations, (ALL - PAGES) as u64);
}

#[test]
fn what_all_read_is_replicated() {
    let [without, with, uniform] = three(shared((0, 1500), 0));
    assert!(without.local_share() < 26.0);
    assert!(with.local_share() > 90.0, "{with:?}");
    assert!(with.time_of(&uniform) < 110.0, "{with:?}");
    assert_eq!(with.replications, PAGES as u64 * 3);
    assert_eq!(with.collapses, 0);
}

#[test]
fn what_all_write_is_left_alone() {
    // What is written seldom may seem to be read at first.
    for (writes, moves) in [(30, 2 * PAGES as u64), (200, 2), (1000, 2)] {
        let [without, with, _] = three(shared((0, 1500), writes));
        assert!(with.time_of(&without) < 102.0, "{writes}: {with:?}");
        assert!(with.moves() <= moves, "{writes}: {with:?}");
    }
}

/// What is read and written after one refill looks as if it were read, until the write collapses it.
#[test]
fn writes_that_nobody_sees_cost_little() {
    for writes in [1, 10, 200] {
        let trace: Vec<Access> = shared((0, 2_000), writes).collect();
        let without = on_one_node().without_policy().run(trace.iter().copied());
        let mut world = on_one_node();
        world.blind = true;
        let with = world.run(trace);
        assert!(with.time_of(&without) < 102.0, "{writes}: {with:?}");
    }
}

#[test]
fn phases_that_change_are_followed() {
    let phases = |when| programs(when, |ms, node| (node + (ms / 1000) as u8) % NODES);
    let [without, with, _] = three(phases((0, 4_000)));
    assert!(with.local_share() > 80.0, "{with:?}");
    assert!(with.time_of(&without) < 80.0, "{with:?}");
}

#[test]
fn memory_follows_a_virtual_cpu_that_was_moved_for_good() {
    let mut world = at_home();
    // What ran on node 1 runs on node 3 from now on, and the other way round.
    let swapped = |ms: u64, node: u8| match node {
        1 | 3 if ms >= 1000 => node ^ 2,
        _ => node,
    };
    let before = world.run(programs((0, 1000), swapped));
    assert_eq!((before.remote, before.moves()), (0, 0));
    let moved = world.run(programs((1000, 2000), swapped));
    let after = world.run(programs((2000, 3000), swapped));
    assert_eq!(after.migrations, 2 * PAGES as u64);
    assert!(after.since(&moved).local_share() > 99.9, "{after:?}");
}

/// A guest that uses its pages here, then there, so that each is moved in vain.
#[test]
fn pages_that_are_bounced_on_purpose_soon_stay() {
    for period_ms in [60, 200, 500] {
        let seconds = 4;
        let trace: Vec<Access> = bounced((0, 1000 * seconds), period_ms).collect();
        let without = at_home().without_policy().run(trace.iter().copied());
        let with = at_home().run(trace);
        let thresholds = Thresholds::DEFAULT;
        let intervals = 1000 * seconds / u64::from(thresholds.interval_ms);
        let each = u64::from(thresholds.moves) + intervals / u64::from(thresholds.forgive);
        assert!(
            with.moves() <= 2 * PAGES as u64 * each,
            "{period_ms}: {with:?}"
        );
        assert!(with.time_of(&without) < 103.0, "{period_ms}: {with:?}");
        // Of the time of four CPUs.
        let time_ns = seconds * 1_000_000_000 * u64::from(NODES);
        assert!(with.moves_ns * 100 < 3 * time_ns, "{period_ms}: {with:?}");
    }
}

/// One that has its pages replicated and then writes to each.
#[test]
fn replicas_that_are_collapsed_on_purpose_soon_are_made_no_more() {
    let seconds = 6;
    let trace: Vec<Access> = super::traces::trace((0, 1000 * seconds), |random, ms, _| {
        let page = random.below(PAGES as u64) as usize;
        (page, ms % 500 == 0)
    })
    .collect();
    let without = on_one_node().without_policy().run(trace.iter().copied());
    let with = on_one_node().run(trace);
    assert!(with.time_of(&without) < 102.0, "{with:?}");
    let thresholds = Thresholds::DEFAULT;
    let lasts = u64::from(thresholds.unrest_of(true)) * u64::from(thresholds.interval_ms);
    let rounds = 2 + 1000 * seconds / lasts;
    assert!(with.collapses <= PAGES as u64 * rounds, "{with:?}");
}

#[test]
fn pages_stay_where_their_users_nodes_are_full() {
    let mut world = on_one_node();
    world.free = vec![0, 10, PLENTY, 0];
    let outcome = world.run(programs((0, 2000), |_, node| node));
    let on = |node| {
        world
            .pages
            .iter()
            .filter(|page| page.home.0 == node)
            .count()
    };
    assert_eq!((on(1), on(2), on(3)), (10, PAGES, 0));
    assert_eq!(outcome.migrations, 10 + PAGES as u64);
    let mut world = on_one_node();
    world.free = vec![0, 10, PLENTY, 0];
    world.run(shared((0, 2000), 0));
    let on = |node| {
        let has = |page: &&Place| page.home == node || page.replicas.contains(node);
        world.pages.iter().take(PAGES).filter(has).count()
    };
    assert_eq!((on(NodeId(2)), on(NodeId(3))), (PAGES, 0));
    // Replicas leave a few pages to others.
    assert!((7..=10).contains(&on(NodeId(1))));
}

#[test]
fn what_one_has_filled_and_all_read_is_replicated_within_the_interval() {
    let fill = trace((0, 100), |random, _, _| {
        (random.below(PAGES as u64) as usize, true)
    });
    let fill = fill.map(|access| Access { node: 0, ..access });
    let all: Vec<Access> = fill.chain(shared((100, 1500), 0)).collect();
    let run = |again| {
        let mut world = on_one_node();
        world.thresholds.interval_ms = 5000;
        world.thresholds.again = again;
        world.run(all.iter().copied())
    };
    let (at_once, later) = (run(true), run(false));
    assert!(at_once.local_share() > 85.0, "{at_once:?}");
    assert_eq!((at_once.collapses, later.moves()), (0, 0));
}
