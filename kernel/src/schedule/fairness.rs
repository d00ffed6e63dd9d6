//! Shares, waits and moves of virtual CPUs that compute, sleep, take locks and call each other.

use super::simulation::{World, HZ, MS};
use super::workload::{work, Report, Work};
use super::*;
use crate::machine::NodeId;
use proptest::prelude::*;

/// Virtual CPUs that do `works`, started where the scheduler places them.
fn crowd(nodes: &[u8], works: &[Work]) -> (World, Vec<(u16, Work)>) {
    let mut world = World::new(nodes);
    for vcpu in 0..works.len() as u16 {
        let node = world.scheduler.least_loaded_node().unwrap();
        let cpu = world.scheduler.place(VcpuId(vcpu), node).unwrap();
        assert!(world.start(vcpu, cpu.0));
    }
    world.settle();
    (world, (0..).zip(works.iter().copied()).collect())
}

/// What becomes of `works` in so many seconds.
fn run(nodes: &[u8], works: &[Work], seconds: u64) -> Report {
    let (mut world, works) = crowd(nodes, works);
    work(&mut world, &works, seconds * HZ)
}

/// The simulation ends each slice up to a step late, and who was interrupted ends his first.
const PERIOD: u64 = 11 * MS;

#[test]
fn who_computes_gets_the_same_share_on_any_number_of_cpus() {
    let table: &[(&[u8], usize)] = &[
        (&[0], 10),
        (&[0, 0], 3),
        (&[0, 0], 4),
        (&[0, 0], 5),
        (&[0, 0], 8),
        (&[0, 0, 0], 4),
        (&[0, 0, 0], 5),
        (&[0, 0, 0], 16),
        (&[0, 0, 0, 0], 9),
        (&[0, 1], 3),
        (&[0, 0, 1, 1], 5),
        (&[0, 0, 1, 1], 7),
        (&[0, 1, 2, 3], 5),
    ];
    for &(nodes, count) in table {
        // Moves between nodes are rare: it takes longer until shares are alike.
        let (seconds, off) = if nodes.contains(&1) {
            (12, 12.0)
        } else {
            (4, 4.0)
        };
        let report = run(nodes, &vec![Work::Computes; count], seconds);
        let (least, most) = report.spread();
        let fair = 100.0 * nodes.len() as f64 / count as f64;
        assert!(
            least > fair - off && most < fair + off,
            "{count} on {nodes:?}: {least} to {most} % instead of {fair} %"
        );
        assert!(report.longest_wait <= PERIOD, "{count} on {nodes:?}");
        assert!(
            report.moves <= 11 * seconds,
            "{count} on {nodes:?}: {} moves",
            report.moves
        );
        let far = (seconds + 1) * nodes.len() as u64;
        assert!(report.far_moves <= far, "{count} on {nodes:?}");
        if count % nodes.len() == 0 {
            assert!(report.moves <= 2, "{count} on {nodes:?}: {}", report.moves);
        }
    }
}

#[test]
fn three_on_two_cpus_get_two_thirds_each_within_a_second() {
    let report = run(&[0, 0], &[Work::Computes; 3], 1);
    let (least, most) = report.spread();
    assert!(least > 60.0 && most < 74.0, "{least} to {most} %");
}

#[test]
fn the_descheduled_holder_of_a_lock_stops_the_others_for_a_slice_at_most() {
    let table: &[(&[u8], usize)] = &[
        (&[0, 0], 3),
        (&[0, 0], 4),
        (&[0, 0], 8),
        (&[0, 0, 0], 16),
        (&[0, 1], 4),
    ];
    for &(nodes, count) in table {
        for (think, hold) in [(2 * MS, MS), (MS / 2, MS / 2), (20 * MS, MS / 10)] {
            let taken = [false, true].map(|yields| {
                let what = Work::Locks {
                    lock: 0,
                    think,
                    hold,
                    yields,
                };
                let report = run(nodes, &vec![what; count], 1);
                let setting = format!("{count} on {nodes:?}, {think}, {hold}, {yields}");
                assert!(report.longest_held <= PERIOD, "{setting}");
                assert!(report.longest_wait <= PERIOD, "{setting}");
                let (least, most) = report.spread();
                assert!(most - least < 15.0, "{setting}: {least} to {most} %");
                report.taken
            });
            // Who yields lets the holder run: the lock changes hands more often.
            assert!(taken[1] + 5 >= taken[0], "{count} on {nodes:?}: {taken:?}");
        }
    }
}

#[test]
fn all_others_run_before_one_that_yielded_runs_again() {
    let (mut world, _) = crowd(&[0], &[Work::Computes; 5]);
    for _ in 0..20 {
        let spinner = world.queues[0].current().unwrap();
        world.now += MS / 20;
        assert!(world.queues[0].yield_now(world.scheduler, world.now));
        world.turn(0);
        let mut seen = VcpuSet::EMPTY;
        while world.queues[0].current() != Some(spinner) {
            seen.insert(world.queues[0].current().unwrap());
            world.pass(MS / 10);
        }
        assert_eq!(seen.len(), 4);
        world.pass(MS / 2);
    }
}

#[test]
fn who_yields_alone_takes_no_turn() {
    let (mut world, _) = crowd(&[0], &[Work::Computes]);
    let turns = world.queues[0].counters().turns;
    assert!(!world.queues[0].yield_now(world.scheduler, world.now));
    assert_eq!(world.queues[0].counters().turns, turns);
}

#[test]
fn a_sibling_that_is_called_runs_soon() {
    for (nodes, computing) in [
        (&[0u8][..], 1),
        (&[0], 3),
        (&[0, 0], 2),
        (&[0, 0], 4),
        (&[0, 1], 3),
    ] {
        let call = |whom| Work::Calls { whom, run: MS / 10 };
        let mut works = vec![call(1), call(0)];
        works.resize(2 + computing, Work::Computes);
        let report = run(nodes, &works, 2);
        let mean = report.wakes.0 / report.wakes.1;
        assert!(mean <= MS / 3, "{computing} on {nodes:?}: {mean} ticks");
        assert!(report.longest_wake <= PERIOD, "{computing} on {nodes:?}");
    }
}

#[test]
fn who_sleeps_gets_what_it_needs_up_to_its_share() {
    let sleeps = |run, pause| Work::Sleeps { run, pause };
    let works = [Work::Computes, sleeps(3 * MS, MS)];
    let (least, most) = run(&[0], &works, 4).spread();
    assert!(least > 47.0 && most < 53.0, "{least} to {most} %");
    let works = [Work::Computes, Work::Computes, sleeps(MS, 9 * MS)];
    let report = run(&[0], &works, 4);
    assert!(report.share(2) > 9.0, "{report:?}");
    assert!(report.longest_wake <= MS, "{report:?}");
}

#[test]
fn short_runs_drive_nobody_about() {
    // One computes on a node of its own; three that run for a moment share the other.
    let sleeps = |v: u64| Work::Sleeps {
        run: MS,
        pause: 3 * MS + 50 * v,
    };
    let works = [Work::Computes, sleeps(1), sleeps(2), sleeps(3)];
    let report = run(&[0, 1], &works, 4);
    assert!(report.share(0) > 97.0, "{report:?}");
    assert!(report.far_moves < 8, "{report:?}");
    let mut works = vec![Work::Computes; 3];
    works.extend((0..9).map(sleeps));
    let report = run(&[0; 4], &works, 4);
    assert!(report.moves < 100 * 4, "{report:?}");
}

#[test]
fn siblings_start_on_different_cpus() {
    let mut world = World::new(&[0, 0, 0]);
    world.scheduler.join(VcpuId(4), 3);
    // CPU 0 is full of others, which must not drive the siblings together.
    for (vcpu, cpu) in [(0, 1), (1, 1), (2, 2), (4, 0)] {
        assert!(world.start(vcpu, cpu));
    }
    for vcpu in [5, 6] {
        let cpu = world.scheduler.place(VcpuId(vcpu), NodeId(0)).unwrap();
        assert!(world.start(vcpu, cpu.0));
    }
    let homes = [4, 5, 6].map(|vcpu| world.scheduler.home(VcpuId(vcpu)).unwrap().0);
    assert_eq!(homes, [0, 2, 1]);
}

#[test]
fn an_idle_cpu_is_given_a_sibling_first() {
    let mut world = World::new(&[0, 0]);
    world.scheduler.join(VcpuId(1), 2);
    for vcpu in 0..3 {
        assert!(world.start(vcpu, 0));
    }
    world.settle();
    world.pass(MS / 4);
    let homes = [1, 2].map(|vcpu| world.scheduler.home(VcpuId(vcpu)).unwrap());
    assert_ne!(homes[0], homes[1]);
}

#[test]
fn one_that_went_to_another_node_returns_when_its_own_is_idle() {
    let (mut world, _) = crowd(&[0, 1], &[]);
    for vcpu in 0..2 {
        assert!(world.start(vcpu, 0));
    }
    world.settle();
    world.pass(2 * MS);
    let away = world.queues[1].current().expect("CPU 1 was given one");
    world.stop(1 - away.0);
    world.settle();
    assert_eq!(world.scheduler.home(away), Some(CpuId(1)));
    for _ in 0..30 {
        world.pass(100 * MS);
    }
    assert_eq!(world.scheduler.home(away), Some(CpuId(0)));
    assert_eq!(world.queues[0].current(), Some(away));
}

#[test]
fn one_whose_memory_has_followed_stays_where_it_is() {
    let (mut world, _) = crowd(&[0, 1], &[]);
    for vcpu in 0..2 {
        assert!(world.start(vcpu, 0));
    }
    world.settle();
    world.pass(2 * MS);
    let away = world.queues[1].current().expect("CPU 1 was given one");
    world.scheduler.set_memory_in(away, NodeId(1));
    world.stop(1 - away.0);
    world.settle();
    for _ in 0..30 {
        world.pass(100 * MS);
    }
    assert_eq!(world.scheduler.home(away), Some(CpuId(1)));
    // It goes where its memory is if that is elsewhere after all.
    world.scheduler.set_memory_in(away, NodeId(0));
    for _ in 0..30 {
        world.pass(100 * MS);
    }
    assert_eq!(world.scheduler.home(away), Some(CpuId(0)));
}

#[test]
fn slices_that_get_longer_leave_time_for_who_has_waited() {
    // Who sleeps leaves the period to fewer.
    let sleeps = |run, pause| Work::Sleeps { run, pause };
    let calls = |whom, run| Work::Calls { whom, run };
    let locks = |think, hold| Work::Locks {
        lock: 0,
        think,
        hold,
        yields: false,
    };
    let one = [
        sleeps(7101, 6401),
        Work::Computes,
        sleeps(7201, 801),
        calls(0, 100),
        Work::Computes,
    ];
    let two = [
        sleeps(7951, 6751),
        Work::Computes,
        locks(100, 100),
        calls(4, 2951),
        locks(3901, 1001),
        Work::Computes,
        Work::Computes,
        sleeps(4551, 5901),
    ];
    for (nodes, works) in [(&[0u8][..], &one[..]), (&[0, 0], &two)] {
        let report = run(nodes, works, 1);
        assert!(report.longest_wait <= PERIOD, "{report:?}");
    }
}

fn any_work(others: u16) -> impl Strategy<Value = Work> {
    let ticks = || MS / 10..8 * MS;
    prop_oneof![
        Just(Work::Computes),
        (ticks(), ticks()).prop_map(|(run, pause)| Work::Sleeps { run, pause }),
        (0usize..2, ticks(), ticks(), any::<bool>()).prop_map(|(lock, think, hold, yields)| {
            Work::Locks {
                lock,
                think,
                hold,
                yields,
            }
        }),
        (0..others, ticks()).prop_map(|(whom, run)| Work::Calls { whom, run }),
    ]
}

proptest! {
    #![proptest_config(crate::cases_of_length(8))]

    #[test]
    fn no_ready_one_waits_longer_than_the_period(
        nodes in prop::collection::vec(0u8..2, 1..4),
        works in prop::collection::vec(any_work(10), 1..=10),
    ) {
        let report = run(&nodes, &works, 1);
        prop_assert!(report.longest_wait <= PERIOD, "{:?}", report);
    }
}
