//! What holds for any trace.

use super::*;
use proptest::prelude::*;

const PAGES: usize = 12;

#[derive(Clone, Debug)]
struct Burst {
    page: usize,
    node: u8,
    write: bool,
    count: u64,
    pause_ms: u64,
}

fn bursts(nodes: u8) -> impl Strategy<Value = Vec<Burst>> {
    let pause = prop_oneof![4 => Just(0u64), 1 => 0u64..400];
    let burst = (
        0..PAGES,
        0..nodes,
        prop::bool::weighted(0.2),
        1u64..40,
        pause,
    );
    let burst = burst.prop_map(|(page, node, write, count, pause_ms)| Burst {
        page,
        node,
        write,
        count,
        pause_ms,
    });
    prop::collection::vec(burst, 1..100)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn no_trace_breaks_a_promise(
        (nodes, bursts) in (2u8..=16).prop_flat_map(|nodes| (Just(nodes), bursts(nodes))),
        free in 0u64..8,
        shared in any::<u16>(),
        rate in 0u32..4,
        burst in 0u32..20,
    ) {
        let mut world = World::new(nodes, [0; PAGES], free);
        for (number, page) in world.pages.iter_mut().enumerate() {
            page.shared = shared >> number & 1 == 1;
        }
        world.thresholds = Thresholds { rate, burst, ..Thresholds::DEFAULT };
        world.budget = MoveBudget::new(&world.thresholds, 1, Interval(0));
        let all = |world: &World| {
            let replicas: u64 = world.pages.iter().map(|p| u64::from(p.replicas.len())).sum();
            world.free.iter().sum::<u64>() + replicas
        };
        let pages = all(&world);
        let mut time_ns = 0;
        let mut moves = [0u64; PAGES];
        for Burst { page, node, write, count, pause_ms } in bursts {
            time_ns += pause_ms * 1_000_000;
            for _ in 0..count {
                time_ns += 48_000;
                let before = world.pages.clone();
                world.access(&Access { time_ns, page, node, write });
                for (number, (was, is)) in before.iter().zip(&world.pages).enumerate() {
                    let moved = was.home != is.home || is.replicas.minus(was.replicas) != NodeSet::EMPTY;
                    moves[number] += u64::from(moved);
                    // A page that others use too stays where it is.
                    prop_assert!(!is.shared || is.home == was.home);
                    prop_assert!(!is.replicas.contains(is.home));
                }
                if write {
                    prop_assert!(before[page].replicas.is_empty() || world.pages[page].replicas.is_empty());
                }
            }
            // No page was lost or made, and no node has given more than it had.
            prop_assert_eq!(all(&world), pages);
            prop_assert!(world.free.len() == usize::from(nodes));
        }
        let intervals = time_ns / 100_000_000;
        prop_assert!(world.outcome.moves() <= u64::from(burst) + intervals * u64::from(rate));
        let cap = u64::from(world.thresholds.moves) + intervals / u64::from(world.thresholds.forgive);
        prop_assert!(moves.iter().all(|&moves| moves <= cap + 1), "{moves:?}, {cap}");
    }
}
