use super::simulation::{World, HZ, MS};
use super::*;
use crate::machine::NodeId;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What a virtual CPU does in the simulation.
#[derive(Clone, Copy)]
enum Work {
    Computes,
    /// Runs so many ticks, then waits so many.
    Sleeps(u64, u64),
}

/// Runs `world` for `ticks` in steps of 0.1 ms; the ticks each virtual CPU got, and the longest
/// that one waited for its CPU after its deadline.
fn run(world: &mut World, work: &BTreeMap<u16, Work>, ticks: u64) -> (BTreeMap<u16, u64>, u64) {
    let ran = |world: &World, v: u16| world.scheduler.ran(VcpuId(v));
    let before: BTreeMap<u16, u64> = work.keys().map(|&v| (v, ran(world, v))).collect();
    let mut since: BTreeMap<u16, (u64, u64)> = BTreeMap::new();
    let mut latency = 0;
    let end = world.now + ticks;
    while world.now < end {
        world.pass(MS / 10);
        for cpu in 0..world.queues.len() {
            let Some(vcpu) = world.queues[cpu].current() else {
                continue;
            };
            let Some(&Work::Sleeps(burst, pause)) = work.get(&vcpu.0) else {
                continue;
            };
            let (due, from) = since.remove(&vcpu.0).unwrap_or((world.now, world.now));
            let from = if due <= world.now && from == u64::MAX {
                latency = latency.max(world.now - due);
                world.now
            } else {
                from
            };
            since.insert(vcpu.0, (due, from));
            if world.now - from >= burst {
                let deadline = world.now + pause;
                assert!(world.queues[cpu].wait(world.scheduler, world.now, deadline));
                since.insert(vcpu.0, (deadline, u64::MAX));
                world.turn(cpu);
                world.settle();
            }
        }
    }
    (0..world.queues.len()).for_each(|cpu| world.turn(cpu));
    let got = before.iter().map(|(&v, &b)| (v, ran(world, v) - b));
    (got.collect(), latency)
}

fn assert_share(got: u64, of: u64, percent: u64) {
    let share = got as f64 * 100.0 / of as f64;
    let wanted = percent as f64;
    assert!(
        (share - wanted).abs() <= 3.0,
        "{share} % instead of {wanted} %"
    );
}

fn world_with(nodes: &[u8], on: &[(u16, u8)]) -> World {
    let mut world = World::new(nodes);
    for &(vcpu, cpu) in on {
        assert!(world.start(vcpu, cpu));
    }
    world.settle();
    world
}

#[test]
fn two_that_compute_on_one_cpu_get_half_each() {
    let mut world = world_with(&[0], &[(0, 0), (1, 0)]);
    let work = [(0, Work::Computes), (1, Work::Computes)].into();
    let (got, _) = run(&mut world, &work, 2 * HZ);
    assert_share(got[&0], 2 * HZ, 50);
    assert_share(got[&1], 2 * HZ, 50);
    let switches = world.queues[0].counters().switches;
    assert!((380..=420).contains(&switches), "{switches} in 400 slices");
}

#[test]
fn seven_that_compute_on_one_cpu_get_a_seventh_each() {
    let on: Vec<(u16, u8)> = (0..7).map(|v| (v * 17, 0)).collect();
    let mut world = world_with(&[0], &on);
    let work = on.iter().map(|&(v, _)| (v, Work::Computes)).collect();
    let (got, _) = run(&mut world, &work, 7 * HZ);
    got.values()
        .for_each(|&ticks| assert_share(ticks, 7 * HZ, 14));
}

#[test]
fn one_that_wakes_runs_soon_and_the_other_loses_no_more_than_that() {
    let mut world = world_with(&[0], &[(0, 0), (1, 0)]);
    let work = [(0, Work::Computes), (1, Work::Sleeps(MS, 9 * MS))].into();
    let (got, latency) = run(&mut world, &work, 2 * HZ);
    assert!(latency <= MS, "waited {latency} ticks");
    assert_share(got[&0], 2 * HZ, 90);
    assert_share(got[&1], 2 * HZ, 10);
}

#[test]
fn a_long_sleep_earns_no_more_than_the_credit() {
    let mut world = world_with(&[0], &[(0, 0), (1, 0)]);
    let asleep = [(0, Work::Computes), (1, Work::Sleeps(0, 5 * HZ))].into();
    run(&mut world, &asleep, HZ);
    world.post(1);
    world.settle();
    let work = [(0, Work::Computes), (1, Work::Computes)].into();
    let (got, _) = run(&mut world, &work, HZ / 2);
    assert!(got[&1] > got[&0] - 11 * MS, "{got:?}");
    assert!(got[&1] <= got[&0] + 25 * MS, "{got:?}");
}

#[test]
fn idle_cpus_are_given_work() {
    let mut world = world_with(&[0, 0, 1, 1], &[(0, 0), (1, 0), (2, 0), (3, 0)]);
    let work = (0..4).map(|v| (v, Work::Computes)).collect();
    let (got, _) = run(&mut world, &work, HZ);
    got.values().for_each(|&ticks| assert_share(ticks, HZ, 100));
    assert_eq!(world.queues[0].counters().given, 3);
    world.assert_sound();
}

#[test]
fn a_cpu_of_the_same_node_is_given_work_first() {
    let mut world = world_with(&[0, 1, 2, 1], &[(0, 3), (1, 3)]);
    world.pass(MS / 4);
    let homes = [0, 1].map(|v| world.scheduler.home(VcpuId(v)).unwrap().0);
    assert!(homes == [3, 1] || homes == [1, 3], "{homes:?}");
}

#[test]
fn one_that_wakes_returns_to_the_cpu_it_ran_on() {
    let mut world = world_with(&[0, 0], &[(0, 0), (1, 1)]);
    let work = [
        (0, Work::Sleeps(2 * MS, 3 * MS)),
        (1, Work::Sleeps(MS, 4 * MS)),
    ]
    .into();
    run(&mut world, &work, HZ);
    assert_eq!(world.scheduler.home(VcpuId(0)), Some(CpuId(0)));
    assert_eq!(world.scheduler.home(VcpuId(1)), Some(CpuId(1)));
    assert!(world.queues[0].counters().wakes > 100);
    assert!(world.queues.iter().all(|q| q.counters().given == 0));
}

#[test]
fn what_is_posted_before_the_wait_prevents_it() {
    let mut world = world_with(&[0], &[(0, 0)]);
    assert_eq!(world.scheduler.post(VcpuId(0), 1 << 7), Some(CpuId(0)));
    assert!(!world.queues[0].wait(world.scheduler, world.now, u64::MAX));
    assert_eq!(world.state(0), Some(State::Running));
    assert_eq!(world.scheduler.take_posted(VcpuId(0)), 1 << 7);
    assert!(!world.queues[0].wait(world.scheduler, world.now, world.now));
    assert!(world.queues[0].wait(world.scheduler, world.now, u64::MAX));
    let deadline = u64::MAX;
    assert_eq!(world.state(0), Some(State::Waiting { deadline }));
}

#[test]
fn a_post_that_read_the_old_home_is_passed_on() {
    // Two on CPU 0, and CPU 1 is idle: one of them has moved there, and sleeps.
    let mut world = world_with(&[0, 0], &[(0, 0), (1, 0)]);
    world.pass(MS / 4);
    let moved = world.queues[1].current().unwrap();
    assert!(world.queues[1].wait(world.scheduler, world.now, u64::MAX));
    world.turn(1);
    // A poster that read its home before it moved.
    world.begin_post(moved.0);
    world.posting = vec![(moved, CpuId(0))];
    world.end_post(0);
    world.settle();
    assert_eq!(world.state(moved.0), Some(State::Running));
    assert_eq!(world.queues[0].counters().forwarded, 1);
}

#[test]
fn a_cpu_with_nothing_to_run_sleeps_until_the_first_deadline() {
    let mut world = world_with(&[0], &[(0, 0), (1, 0)]);
    for deadline in [7 * MS, 4 * MS] {
        assert!(world.queues[0].wait(world.scheduler, 0, deadline));
        world.turn(0);
    }
    assert_eq!((world.queues[0].current(), world.until[0]), (None, 4 * MS));
    world.pass(4 * MS);
    let first = world.queues[0].current();
    assert!(first.is_some());
    assert_eq!(world.until[0], 7 * MS);
    world.pass(3 * MS);
    assert_eq!(world.queues[0].ready.len(), 1);
}

#[test]
fn who_yields_lets_the_other_run() {
    let mut world = world_with(&[0], &[(0, 0), (1, 0)]);
    for _ in 0..10 {
        let before = world.queues[0].current();
        world.now += MS / 2;
        assert!(world.queues[0].yield_now(world.scheduler, world.now));
        world.turn(0);
        assert_ne!(world.queues[0].current(), before);
    }
}

#[test]
fn stopping_works_in_every_state_and_the_next_start_is_clean() {
    let mut world = world_with(&[0], &[(0, 0), (1, 0), (2, 0)]);
    let waiting = world.queues[0].current().unwrap();
    assert!(world.queues[0].wait(world.scheduler, 0, u64::MAX));
    world.turn(0);
    let states: Vec<_> = (0..3).map(|v| world.state(v).unwrap()).collect();
    assert!(states.contains(&State::Running) && states.contains(&State::Ready));
    for vcpu in 0..3 {
        world.stop(vcpu);
        world.settle();
        assert_eq!(world.scheduler.home(VcpuId(vcpu)), None);
        assert_eq!(world.scheduler.stop(VcpuId(vcpu)), None);
        world.assert_sound();
    }
    assert_eq!(world.wires.stopped, [VcpuId(0), VcpuId(1), VcpuId(2)]);
    assert_eq!(world.queues[0].current(), None);
    assert_eq!(world.scheduler.post(waiting, 1), None);
    assert!(world.start(waiting.0, 0));
    assert!(!world.start(waiting.0, 0));
    world.settle();
    assert_eq!(world.state(waiting.0), Some(State::Running));
    assert_eq!(world.scheduler.posted(waiting), 0);
}

#[test]
fn one_that_is_started_for_later_does_not_run_before() {
    let mut world = World::new(&[0]);
    assert!(world.start_at(0, 0, 5 * MS));
    world.settle();
    assert_eq!((world.queues[0].current(), world.until[0]), (None, 5 * MS));
    assert_eq!(world.queues[0].contenders(world.scheduler, world.now), 1);
    world.pass(4 * MS);
    assert_eq!(world.queues[0].current(), None);
    world.pass(MS);
    assert_eq!(world.queues[0].current(), Some(VcpuId(0)));
    world.assert_sound();
}

#[test]
fn a_new_one_goes_to_the_least_loaded_cpu_of_its_node() {
    let mut world = World::new(&[0, 0, 1, 1]);
    for (vcpu, cpu) in [(0, 0), (1, 2), (2, 3), (3, 3)] {
        assert!(world.start(vcpu, cpu));
    }
    assert_eq!(world.scheduler.place(VcpuId(9), NodeId(0)), Some(CpuId(1)));
    assert_eq!(world.scheduler.place(VcpuId(9), NodeId(1)), Some(CpuId(2)));
    assert_eq!(world.scheduler.place(VcpuId(9), NodeId(9)), Some(CpuId(2)));
    assert_eq!(world.scheduler.least_loaded_node(), Some(NodeId(0)));
    assert_eq!(Scheduler::new().place(VcpuId(0), NodeId(0)), None);
}

#[test]
fn numbers_out_of_range_are_refused() {
    let world = world_with(&[0], &[]);
    let beyond = VcpuId(VCPUS_MAX as u16);
    assert!(!world.scheduler.start(beyond, CpuId(0), 0));
    assert!(!world.scheduler.start(VcpuId(0), CpuId(1), 0));
    assert_eq!(world.scheduler.post(beyond, 1), None);
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Start(u16, u8),
    Stop(u16),
    Post(u16),
    BeginPost(u16),
    EndPost(usize),
    Arrive(usize),
    Turn(usize),
    TurnIfDue(usize),
    Wait(usize, u64),
    Yield(usize),
    Take(usize),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let (vcpu, cpu) = (0u16..6, 0usize..3);
    prop_oneof![
        2 => (vcpu.clone(), 0u8..3).prop_map(|(v, c)| Step::Start(v, c)),
        1 => vcpu.clone().prop_map(Step::Stop),
        2 => vcpu.clone().prop_map(Step::Post),
        4 => vcpu.prop_map(Step::BeginPost),
        3 => any::<usize>().prop_map(Step::EndPost),
        4 => any::<usize>().prop_map(Step::Arrive),
        2 => cpu.clone().prop_map(Step::Turn),
        6 => cpu.clone().prop_map(Step::TurnIfDue),
        4 => (cpu.clone(), prop_oneof![Just(u64::MAX), 1..30 * MS]).prop_map(|(c, t)| Step::Wait(c, t)),
        1 => cpu.clone().prop_map(Step::Yield),
        3 => cpu.prop_map(Step::Take),
        3 => (0..12 * MS).prop_map(Step::Pass),
    ]
}

fn make(world: &mut World, step: Step) {
    let (scheduler, now) = (world.scheduler, world.now);
    match step {
        Step::Start(vcpu, cpu) => {
            let off = scheduler.home(VcpuId(vcpu)).is_none();
            assert_eq!(world.start(vcpu, cpu), off);
        }
        Step::Stop(vcpu) => world.stop(vcpu),
        Step::Post(vcpu) => world.post(vcpu),
        Step::BeginPost(vcpu) => world.begin_post(vcpu),
        Step::EndPost(which) => world.end_post(which),
        Step::Arrive(which) => world.arrive(which),
        Step::Turn(cpu) => world.turn(cpu),
        Step::TurnIfDue(cpu) => {
            if world.interrupted[cpu] || now >= world.until[cpu] {
                world.turn(cpu);
            }
        }
        Step::Wait(cpu, ticks) => {
            if world.queues[cpu].wait(scheduler, now, now.saturating_add(ticks)) {
                world.turn(cpu);
            }
        }
        Step::Yield(cpu) => {
            if world.queues[cpu].yield_now(scheduler, now) {
                world.turn(cpu);
            }
        }
        Step::Take(cpu) => {
            if let Some(vcpu) = world.queues[cpu].current() {
                scheduler.take_posted(vcpu);
            }
        }
        Step::Pass(ticks) => world.now += ticks,
    }
}

proptest! {
    #[test]
    fn no_interleaving_loses_a_virtual_cpu_or_a_wake_up(
        steps in prop::collection::vec(step(), 1..150),
        meanwhile in prop::collection::vec(0u16..6, 0..20),
    ) {
        let mut world = World::new(&[0, 0, 1]);
        world.wires.meanwhile = meanwhile.into_iter().map(VcpuId).collect();
        for step in steps {
            make(&mut world, step);
            world.assert_sound();
        }
        while !world.posting.is_empty() {
            world.end_post(0);
        }
        world.settle();
        world.assert_sound();
        for vcpu in 0..6 {
            let posted = world.scheduler.posted(VcpuId(vcpu));
            match world.state(vcpu) {
                Some(State::Waiting { .. }) => prop_assert_eq!(posted, 0),
                Some(_) => prop_assert_eq!(posted & POSTED_STOP, 0),
                None => prop_assert_eq!(world.scheduler.home(VcpuId(vcpu)), None),
            }
        }
        // No CPU is left idle while another has two to run: each takes a turn, and who is ready
        // waits for no longer than a move to another node takes.
        (0..3).for_each(|cpu| world.turn(cpu));
        world.settle();
        for _ in 0..20 {
            world.pass(MS / 2);
        }
        let idle = world.queues.iter().any(|queue| queue.current().is_none());
        let waits = |queue: &RunQueue| queue.ready.iter().any(|w| w.since + MS < world.now);
        let crowded = world.queues.iter().any(waits);
        prop_assert!(!(idle && crowded));
    }
}

proptest! {
    #![proptest_config(crate::cases_of_length(10))]

    #[test]
    fn runnable_ones_of_one_cpu_run_alike(count in 2u16..9, sleepers in 0u16..3) {
        let total = count + sleepers;
        let on: Vec<(u16, u8)> = (0..total).map(|v| (v, 0)).collect();
        let mut world = world_with(&[0], &on);
        let work = |v| if v < count { Work::Computes } else { Work::Sleeps(MS / 2, 50 * MS) };
        let work: BTreeMap<u16, Work> = (0..total).map(|v| (v, work(v))).collect();
        let (got, _) = run(&mut world, &work, HZ);
        let (least, most) = (0..count).fold((u64::MAX, 0), |(l, m), v| (l.min(got[&v]), m.max(got[&v])));
        prop_assert!(most - least <= 3 * HZ / 100, "{:?}", got);
        prop_assert!(got.values().sum::<u64>() >= HZ * 99 / 100);
    }
}

/// A CPU of the host as a CPU of the machine: a flag is its interrupt line.
struct Thread<'a>(&'a [AtomicBool]);

impl Local for Thread<'_> {
    fn interrupt(&mut self, cpu: CpuId) {
        self.0[usize::from(cpu.0)].store(true, Ordering::SeqCst);
    }
    fn leave(&mut self, _: VcpuId) {}
    fn stopped(&mut self, _: VcpuId) {}
}

#[test]
fn real_threads_lose_no_wake_up() {
    const CPUS: usize = 3;
    const VCPUS: u16 = 5;
    let world = world_with(&[0, 0, 1], &[(0, 0), (1, 0), (2, 0), (3, 1), (4, 2)]);
    let scheduler = world.scheduler;
    let lines = [const { AtomicBool::new(false) }; CPUS];
    let over = AtomicBool::new(false);
    let begun = Instant::now();
    let lost = std::thread::scope(|scope| {
        for mut queue in world.queues {
            let (lines, over) = (&lines, &over);
            scope.spawn(move || {
                let cpu = usize::from(queue.cpu().0);
                let mut local = Thread(lines);
                let mut until = 0;
                while !over.load(Ordering::SeqCst) {
                    let now = begun.elapsed().as_micros() as u64;
                    if lines[cpu].swap(false, Ordering::SeqCst) || now >= until {
                        until = queue.turn(scheduler, now, &mut local).until;
                    }
                    let Some(current) = queue.current() else {
                        std::thread::yield_now();
                        continue;
                    };
                    scheduler.take_posted(current);
                    if queue.wait(scheduler, now, u64::MAX) {
                        until = queue.turn(scheduler, now, &mut local).until;
                    }
                }
            });
        }
        let posters = [1u16, 2].map(|stride| {
            let lines = &lines;
            scope.spawn(move || {
                let mut local = Thread(lines);
                for round in 0..3000u16 {
                    let vcpu = VcpuId(round.wrapping_mul(stride) % VCPUS);
                    if let Some(cpu) = scheduler.post(vcpu, u64::from(stride)) {
                        local.interrupt(cpu);
                    }
                    let posted = Instant::now();
                    while scheduler.posted(vcpu) & u64::from(stride) != 0 {
                        if posted.elapsed() > Duration::from_secs(10) {
                            return Some((vcpu, round));
                        }
                        std::thread::yield_now();
                    }
                }
                None
            })
        });
        let lost = posters.map(|poster| poster.join().unwrap());
        over.store(true, Ordering::SeqCst);
        lost
    });
    assert_eq!(lost, [None, None]);
}
