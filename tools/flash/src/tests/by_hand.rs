use super::*;
use crate::block::{Block, Marker, Step};
use crate::counts::Count::*;
use disco_magic::{Misses, Region};
use serde_json::Value;
use std::sync::atomic::AtomicU32;

const LINE: u64 = 128;

fn read(model: &Model, cpu: usize, offset: u64) {
    model.access(cpu, Mode::User, offset, false);
}

fn write(model: &Model, cpu: usize, offset: u64) {
    model.access(cpu, Mode::User, offset, true);
}

/// What one access of a CPU costs in stalls.
fn cost(model: &Model, cpu: usize, access: impl FnOnce()) -> u64 {
    let before = user(model, cpu)[StallNs];
    access();
    user(model, cpu)[StallNs] - before
}

#[test]
fn local_and_remote_memory_cost_what_the_machine_says() {
    let model = small(2, 2);
    assert_eq!(cost(&model, 0, || read(&model, 0, 0)), 300);
    assert_eq!(
        cost(&model, 0, || read(&model, 0, LINE - 1)),
        0,
        "the same line"
    );
    assert_eq!(cost(&model, 0, || read(&model, 0, NODE_1)), 900);
    assert_eq!(cost(&model, 1, || read(&model, 1, NODE_1 + LINE)), 300);
    let counts = user(&model, 0);
    assert_eq!((counts[Accesses], counts[Local], counts[Remote]), (3, 1, 1));
    assert_eq!(counts.local_share(), 0.5);
}

#[test]
fn what_the_first_level_loses_the_second_has() {
    let model = small(1, 1);
    // Lines 0, 2 and 4 share a set of the first level, which has two ways; of the second level's
    // four sets 0 and 4 share one.
    for line in [0, 2, 4] {
        assert_eq!(cost(&model, 0, || read(&model, 0, line * LINE)), 300);
    }
    assert_eq!(cost(&model, 0, || read(&model, 0, 0)), 50);
    assert_eq!(cost(&model, 0, || read(&model, 0, 4 * LINE)), 0);
    // The second level did not see that use of line 4, so line 8 takes its place there, and with
    // it that in the first level, where it had just been used.
    assert_eq!(cost(&model, 0, || read(&model, 0, 8 * LINE)), 300);
    assert_eq!(cost(&model, 0, || read(&model, 0, 0)), 0);
    assert_eq!(cost(&model, 0, || read(&model, 0, 4 * LINE)), 300);
    assert_eq!(user(&model, 0)[SecondLevelHits], 1);
}

#[test]
fn the_first_write_of_the_only_reader_is_free() {
    let model = small(2, 2);
    read(&model, 0, 0);
    assert_eq!(cost(&model, 0, || write(&model, 0, 8)), 0);
    // Line 1 comes back from the second level, and is its own there, too.
    for line in [1, 3, 5] {
        read(&model, 0, line * LINE);
    }
    assert_eq!(cost(&model, 0, || write(&model, 0, LINE)), 50);
    assert_eq!(user(&model, 0)[Upgrades], 0);
}

#[test]
fn a_write_takes_the_line_from_all_others() {
    let model = small(3, 3);
    for cpu in 0..3 {
        read(&model, cpu, 0);
    }
    // CPU 1 has it, but not to write: node 0, the home, is asked.
    assert_eq!(cost(&model, 1, || write(&model, 1, 0)), 900);
    assert_eq!(user(&model, 1)[Upgrades], 1);
    // Its home's own CPU: the only valid copy is node 1's.
    assert_eq!(cost(&model, 0, || read(&model, 0, 0)), 300 + 600);
    assert_eq!(user(&model, 0)[Owned], 1);
    // Now memory is up to date again: two hops from node 2.
    assert_eq!(cost(&model, 2, || read(&model, 2, 0)), 900);
    assert_eq!(
        cost(&model, 1, || read(&model, 1, 0)),
        0,
        "the writer kept a copy"
    );
}

#[test]
fn three_nodes_are_three_hops() {
    let model = small(3, 3);
    write(&model, 1, 0);
    assert_eq!(cost(&model, 2, || read(&model, 2, 0)), 900 + 600);
    assert_eq!(user(&model, 2)[Remote], 1);
}

#[test]
fn a_clean_line_comes_from_its_home() {
    let model = small(2, 2);
    read(&model, 1, 0);
    assert_eq!(cost(&model, 0, || read(&model, 0, 0)), 300);
    assert_eq!(user(&model, 0)[Local], 1);
    // And the first reader has to ask now.
    assert_eq!(cost(&model, 1, || write(&model, 1, 0)), 900);
}

#[test]
fn cpus_of_one_node_share_memory_and_not_caches() {
    let model = small(4, 2);
    write(&model, 2, NODE_1);
    assert_eq!(cost(&model, 3, || read(&model, 3, NODE_1)), 300);
    assert_eq!(user(&model, 3)[Local], 1);
}

#[test]
fn code_goes_through_the_other_half() {
    let model = small(1, 1);
    let block = |offset, all| Block {
        offset: Some(offset),
        mode: Mode::User,
        first: all,
        all,
    };
    // Of 33 instructions the last is in the second line.
    model.enter(0, block(0, 33));
    assert_eq!(user(&model, 0)[Local], 2);
    model.enter(0, block(0, 32));
    assert_eq!(
        (
            user(&model, 0)[Instructions],
            user(&model, 0)[FirstLevelMisses]
        ),
        (65, 2)
    );
    assert_eq!(
        cost(&model, 0, || read(&model, 0, 0)),
        50,
        "the second level is for both"
    );
    // Code outside of RAM costs nothing but its instructions.
    model.enter(
        0,
        Block {
            offset: None,
            mode: Mode::User,
            first: 7,
            all: 7,
        },
    );
    assert_eq!(user(&model, 0)[Instructions], 72);
}

#[test]
fn time_is_that_of_the_busiest_cpu() {
    let model = small(2, 2);
    let block = Block {
        offset: None,
        mode: Mode::GuestKernel,
        first: 100,
        all: 100,
    };
    model.enter(0, block);
    model.step(
        0,
        Step {
            mode: Mode::User,
            following: 20,
            marker: None,
        },
    );
    read(&model, 0, 0);
    model.enter(
        1,
        Block {
            first: 10,
            mode: Mode::Monitor,
            ..block
        },
    );
    model.mark(1, Marker::Idle);
    model.enter(
        1,
        Block {
            first: 1000,
            mode: Mode::Monitor,
            ..block
        },
    );
    model.mark(1, Marker::Busy);
    for marker in [Marker::Moving, Marker::Moved] {
        model.mark(1, marker);
        model.enter(
            1,
            Block {
                first: 1,
                mode: Mode::Monitor,
                ..block
            },
        );
    }
    let report: Value = serde_json::from_str(&model.report()).unwrap();
    let run = &report["run"];
    assert_eq!(run["elapsed_ns"], 120 * 5 + 300);
    assert_eq!(run["cpus"][0]["idle_ns"], 0);
    assert_eq!(run["cpus"][1]["busy_ns"], 12 * 5);
    assert_eq!(run["cpus"][1]["idle_ns"], 900 - 60);
    assert_eq!(run["modes"]["moving"]["instructions"], 1);
    assert_eq!(run["modes"]["idle"]["instructions"], 1000);
    assert_eq!(run["modes"]["user"]["local_misses"], 1);
    assert_eq!(run["local_share"], 1.0);
}

#[test]
fn windows_are_reported_apart() {
    let model = small(2, 2);
    read(&model, 0, 0);
    model.mark(0, Marker::End(7));
    for line in [1, 2] {
        model.mark(1, Marker::Begin(7));
        read(&model, 0, NODE_1 + line * LINE);
        read(&model, 1, NODE_1 + (4 + line) * LINE);
        model.mark(0, Marker::End(7));
        read(&model, 0, 9 * LINE);
    }
    model.mark(0, Marker::Begin(3));
    let report: Value = serde_json::from_str(&model.report()).unwrap();
    let windows = report["windows"].as_array().unwrap();
    assert_eq!(windows.len(), 1, "one that was not begun does not end");
    let window = &windows[0];
    assert_eq!(
        (window["window"].as_u64(), window["times"].as_u64()),
        (Some(7), Some(2))
    );
    assert_eq!(window["elapsed_ns"], 2 * 900);
    assert_eq!(window["local_share"], 0.5);
    assert_eq!(window["cpus"][1]["busy_ns"], 2 * 300);
    assert_eq!(window["hottest"].as_array().unwrap().len(), 1);
    assert_eq!(window["hottest"][0]["reads"], serde_json::json!([2, 2]));
    assert_eq!(window["hottest"][0]["address"], 0x8000_0000_u64 + NODE_1);
    assert_eq!(window["hottest"][0]["home"], 1);
    assert_eq!(report["run"]["pages_missed_on"], 2);
    assert_eq!(report["open_windows"], serde_json::json!([3]));
}

#[test]
fn the_monitors_region_has_the_same_counts() {
    let model = small(2, 2);
    let words: Vec<AtomicU32> = (0..model.geometry().words())
        .map(|_| AtomicU32::new(0))
        .collect();
    let region = Region::create(Vec::leak(words), model.geometry()).unwrap();
    model.count_in(region);
    region.set_threshold(2);
    read(&model, 0, NODE_1);
    write(&model, 0, NODE_1 + LINE);
    read(&model, 1, 0);
    let page = |offset: u64| ((0x8000_0000 + offset) >> 14) as u32;
    assert_eq!(
        region.misses(page(NODE_1), 0),
        Some(Misses {
            reads: 1,
            writes: 1
        })
    );
    assert_eq!(
        region.misses(page(0), 1),
        Some(Misses {
            reads: 1,
            writes: 0
        })
    );
    let hot = region.take_hot().unwrap();
    assert_eq!((hot.page, hot.node), (page(NODE_1), 0));
    assert_eq!(region.take_hot(), None);
    region.set_epoch(1);
    read(&model, 0, NODE_1 + 2 * LINE);
    assert_eq!(
        region.misses(page(NODE_1), 0),
        Some(Misses {
            reads: 1,
            writes: 0
        })
    );
}

#[test]
fn what_is_outside_of_the_machine_is_not_counted() {
    let model = small(1, 1);
    read(&model, 0, MEMORY);
    read(&model, 1, 0);
    model.enter(
        9,
        Block {
            offset: Some(0),
            mode: Mode::User,
            first: 1,
            all: 1,
        },
    );
    model.enter(
        0,
        Block {
            offset: Some(MEMORY as u32 - 4),
            mode: Mode::User,
            first: 0,
            all: 500,
        },
    );
    model.enter(
        0,
        Block {
            offset: Some(MEMORY as u32),
            mode: Mode::User,
            first: 0,
            all: 1,
        },
    );
    assert_eq!(user(&model, 0)[Accesses], 0);
    assert_eq!(user(&model, 0)[Local], 1);
}
