//! The decision tree, branch by branch, and what no decision may ever do.

use super::*;
use crate::machine::NODES_MAX;
use proptest::prelude::*;

const T: Thresholds = Thresholds::DEFAULT;

fn counts(misses: &[(u8, u16)], writes: u16) -> Counts {
    let mut counts = Counts {
        writes,
        ..Counts::default()
    };
    for &(node, count) in misses {
        counts.misses[usize::from(node)] = count;
    }
    counts
}

fn on(home: u8) -> Situation {
    Situation {
        home: NodeId(home),
        replicas: NodeSet::EMPTY,
        shared: false,
        room: NodeSet::first(4),
        plenty: NodeSet::first(4),
        budget: 100,
    }
}

fn set(nodes: &[u8]) -> NodeSet {
    nodes.iter().copied().map(NodeId).collect()
}

fn decided(counts: &Counts, situation: &Situation) -> (Action, Why) {
    let decision = decide(counts, situation, &Distances::default(), &T);
    (decision.action, decision.why)
}

#[test]
fn a_page_that_one_node_uses_goes_there_written_or_not() {
    let to_2 = (Action::Migrate(NodeId(2)), Why::OneNode);
    assert_eq!(decided(&counts(&[(2, 128)], 0), &on(0)), to_2);
    assert_eq!(decided(&counts(&[(2, 128)], 128), &on(0)), to_2);
    // Others that miss now and then do not count.
    assert_eq!(
        decided(&counts(&[(0, 30), (1, 31), (2, 128)], 9), &on(0)),
        to_2
    );
}

#[test]
fn a_page_that_is_not_hot_or_local_stays() {
    assert_eq!(
        decided(&counts(&[(2, 127)], 0), &on(0)),
        (Action::Leave, Why::Cold)
    );
    assert_eq!(
        decided(&counts(&[(2, 5000)], 0), &on(2)),
        (Action::Leave, Why::Local)
    );
    let local = Situation {
        replicas: set(&[1, 2]),
        ..on(0)
    };
    assert_eq!(
        decided(&counts(&[(1, 500), (2, 500)], 0), &local),
        (Action::Leave, Why::Local)
    );
}

#[test]
fn a_page_that_several_read_is_replicated_to_those() {
    let read = counts(&[(0, 400), (1, 300), (2, 200), (3, 20)], 0);
    let to = |nodes| (Action::Replicate(set(nodes)), Why::ReadShared);
    assert_eq!(decided(&read, &on(0)), to(&[1, 2]));
    let some = Situation {
        replicas: set(&[1]),
        ..on(0)
    };
    assert_eq!(decided(&read, &some), to(&[2]));
    let one = Situation { budget: 1, ..on(0) };
    assert_eq!(decided(&read, &one), to(&[1]));
    let little = Situation {
        plenty: set(&[2, 3]),
        ..on(0)
    };
    assert_eq!(decided(&read, &little), to(&[2]));
}

#[test]
fn a_page_that_several_use_and_one_writes_stays() {
    let written = counts(&[(1, 500), (2, 500)], 2);
    assert_eq!(decided(&written, &on(0)), (Action::Leave, Why::WriteShared));
    let hardly = counts(&[(1, 500), (2, 500)], 1);
    assert_eq!(decided(&hardly, &on(0)).1, Why::ReadShared);
    let with = Situation {
        replicas: set(&[1, 2]),
        ..on(0)
    };
    assert_eq!(
        decided(&written, &with),
        (Action::Collapse, Why::WriteShared)
    );
}

#[test]
fn a_page_that_others_have_too_is_replicated_and_not_migrated() {
    let shared = Situation {
        shared: true,
        ..on(0)
    };
    let expected = (Action::Replicate(set(&[3])), Why::OneNode);
    assert_eq!(decided(&counts(&[(3, 200)], 0), &shared), expected);
}

#[test]
fn a_page_that_has_moved_too_often_stays() {
    let mut hot = counts(&[(2, 1000)], 0);
    hot.unrest = T.forgive * (T.moves - 1);
    assert!(matches!(decided(&hot, &on(0)).0, Action::Migrate(_)));
    hot.unrest += 1;
    assert_eq!(decided(&hot, &on(0)), (Action::Leave, Why::Restless));
    let spent = Situation { budget: 0, ..on(0) };
    hot.unrest = 0;
    assert_eq!(decided(&hot, &spent), (Action::Leave, Why::Budget));
}

#[test]
fn a_page_does_not_go_where_there_is_no_memory() {
    let hot = counts(&[(3, 1000)], 0);
    let full = Situation {
        room: set(&[0, 1, 2]),
        ..on(0)
    };
    assert_eq!(decided(&hot, &full), (Action::Leave, Why::NoRoom));
    // On a line it goes as near as it can.
    let line = Distances::new(|a, b| 300 + 100 * u32::from(a.0.abs_diff(b.0))).unwrap();
    let near = decide(&hot, &full, &line, &T);
    assert_eq!(near.action, Action::Migrate(NodeId(2)));
    assert_eq!(near.targets(), set(&[2]));
    let read = counts(&[(1, 1000), (3, 1000)], 0);
    let none = Situation {
        plenty: set(&[0, 2]),
        ..on(0)
    };
    assert_eq!(decided(&read, &none), (Action::Leave, Why::NoRoom));
}

#[test]
fn memory_that_is_equally_far_does_not_move() {
    let uniform = Distances::uniform(300, 300);
    let decision = decide(&counts(&[(2, 1000)], 0), &on(0), &uniform, &T);
    assert_eq!(decision.action, Action::Leave);
    let decision = decide(&counts(&[(2, 1000), (1, 900)], 0), &on(0), &uniform, &T);
    assert_eq!(decision.action, Action::Leave);
}

#[test]
fn a_budget_is_spent_and_earned_again() {
    let mut budget = MoveBudget::new(&T, 2, Interval(7));
    assert_eq!(budget.left(Interval(7)), 1024);
    budget.spend(1012);
    assert_eq!(budget.left(Interval(7)), 12);
    assert_eq!(budget.left(Interval(8)), 12 + 64);
    budget.spend(1000);
    assert_eq!(budget.left(Interval(8)), 0);
    assert_eq!(budget.left(Interval(9)), 64);
    assert_eq!(budget.left(Interval(5000)), 1024);
}

fn any_counts() -> impl Strategy<Value = Counts> {
    let misses = prop_oneof![Just(0u16), 0u16..300, any::<u16>()];
    let misses = prop::collection::vec(misses, NODES_MAX);
    let unrest = prop_oneof![Just(0u16), 0u16..100, any::<u16>()];
    let writes = prop_oneof![Just(0u16), 0u16..300, any::<u16>()];
    (misses, writes, unrest).prop_map(|(misses, writes, unrest)| Counts {
        misses: misses.try_into().unwrap(),
        writes,
        unrest,
        ..Counts::default()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]
    #[test]
    fn no_decision_breaks_a_promise(
        counts in any_counts(),
        (nodes, home) in (1u8..=16).prop_flat_map(|nodes| (Just(nodes), 0..nodes)),
        (replicas, room, plenty) in any::<(u16, u16, u16)>(),
        shared: bool,
        budget in prop_oneof![0u32..4, any::<u32>()],
        remote in 300u16..1000,
        trigger: u16, sharing in 0u16..1001, write in 0u16..1001, moves in 0u16..8, forgive in 0u16..300,
    ) {
        let there = NodeSet::first(usize::from(nodes));
        let replicas = NodeSet::from_bits(replicas).intersection(there).minus(NodeSet::of(NodeId(home)));
        let situation = Situation {
            home: NodeId(home),
            replicas,
            shared,
            room: NodeSet::from_bits(room).intersection(there),
            plenty: NodeSet::from_bits(plenty).intersection(there),
            budget,
        };
        let thresholds = Thresholds { trigger, sharing, write, moves, forgive, ..T };
        let distances = Distances::uniform(300, remote.into());
        let decision = decide(&counts, &situation, &distances, &thresholds);
        let places = replicas.union(NodeSet::of(NodeId(home)));
        let targets = decision.targets();
        prop_assert_eq!(targets.minus(there), NodeSet::EMPTY);
        prop_assert_eq!(targets.intersection(places), NodeSet::EMPTY);
        prop_assert!(targets.len() <= budget);
        if !targets.is_empty() {
            let unrest = u32::from(counts.unrest) + u32::from(forgive);
            prop_assert!(unrest <= u32::from(moves) * u32::from(forgive));
            prop_assert!(remote > 300);
        }
        match decision.action {
            Action::Leave => {}
            Action::Migrate(node) => {
                prop_assert!(situation.room.contains(node));
                prop_assert!(!shared && replicas.is_empty());
            }
            Action::Replicate(nodes) => {
                prop_assert!(!nodes.is_empty());
                prop_assert_eq!(nodes.minus(situation.plenty), NodeSet::EMPTY);
                prop_assert!(!is_written(&counts, &thresholds));
            }
            Action::Collapse => prop_assert!(!replicas.is_empty()),
        }
    }
}
