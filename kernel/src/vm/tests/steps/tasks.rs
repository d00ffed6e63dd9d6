//! Tasks of several steps, and sequences of tasks.

use super::branches::{branch, operands};
use super::instructions::{instruction, memory, monitor_call, tlb, Instruction};
use super::values::*;
use super::{execute, write, Step};
use crate::vm::tests::guest::*;
use crate::vm::tests::model::registers as cp0;
use disco_abi::{CSSEG_WINDOW, SHOOTDOWN_ALL, SHOOTDOWN_ASID, XSSEG_WINDOW};
use proptest::prelude::*;
use proptest::sample::select;
use std::ops::Range;

type Task = Vec<Step>;

fn one((word, values): Instruction) -> Task {
    vec![Step::Execute {
        values,
        branch: None,
        word,
    }]
}

/// An instruction, with this probability behind a branch.
fn single(behind: f64) -> impl Strategy<Value = Task> {
    let behind = prop::option::weighted(behind, (branch(), operands()));
    (instruction(), behind).prop_map(|((word, mut values), behind)| {
        let branch = behind.map(|(branch, operands)| {
            values.extend(operands);
            branch
        });
        vec![Step::Execute {
            values,
            branch,
            word,
        }]
    })
}

/// The writing of a TLB entry, by index or at random.
fn tlb_entry() -> impl Strategy<Value = Task> {
    let index = prop::option::weighted(0.3, 0..18u64);
    let pages = (entry_lo(), entry_lo(), prop::bool::weighted(0.3));
    (entry_hi(), pages, page_mask(), index).prop_map(|(hi, (lo0, lo1, global), mask, index)| {
        let g = u64::from(global);
        write_entry(hi, [lo0 & !1 | g, lo1 & !1 | g], mask, index)
    })
}

/// Registers, and then `tlbwi` or `tlbwr`.
fn write_entry(hi: u64, lo: [u64; 2], mask: u64, index: Option<u64>) -> Task {
    let mut steps = vec![
        write(cp0::ENTRY_HI, hi),
        write(cp0::ENTRY_LO0, lo[0]),
        write(cp0::ENTRY_LO1, lo[1]),
        write(cp0::PAGE_MASK, mask),
    ];
    steps.extend(index.map(|index| write(cp0::INDEX, index)));
    steps.push(execute(if index.is_some() { TLBWI } else { TLBWR }));
    steps
}

/// A change to user or supervisor mode, which goes on somewhere, perhaps where a page is mapped.
fn lower_mode() -> impl Strategy<Value = Task> {
    let mapped = prop::bool::weighted(0.8);
    let then = prop::collection::vec(single(0.3), 0..5);
    (code(), any::<u32>(), mapped, then).prop_map(|(pc, bits, mapped, then)| {
        let mut steps = Vec::new();
        if mapped {
            let physical = (u64::from(bits) & 0xf0) << 10;
            let pages = [lo(physical, 7), lo(physical + 0x4000, 7)];
            steps = write_entry(pc & (cp0::R | cp0::VPN2), pages, 0x6000, None);
        }
        // User mode, or supervisor mode.
        let ksu = if bits & 6 == 0 { 0x08 } else { 0x10 };
        let status = u64::from(bits & 0x2000_ff01 | ksu | 2);
        steps.extend([
            write(cp0::EPC, pc),
            write(cp0::STATUS, status | 0xe0),
            execute(0x4200_0018),
        ]);
        steps.extend(then.concat());
        steps
    })
}

/// A switch of address spaces.
fn asid() -> impl Strategy<Value = Task> {
    select(vec![0u64, 0, 1, 0x3ff]).prop_map(|asid| vec![write(cp0::ENTRY_HI, asid)])
}

fn shootdown() -> impl Strategy<Value = Task> {
    let pages = select(vec![1u64, 2, 3, 8, 40, 200]);
    let bytes = prop_oneof![
        8 => pages.prop_map(|pages| pages << 12),
        1 => Just(SHOOTDOWN_ASID),
        1 => Just(SHOOTDOWN_ALL),
    ];
    (entry_hi(), bytes).prop_map(|(key, bytes)| vec![Step::Shootdown(key & !cp0::EHINV, bytes)])
}

/// Pages are lent to others, others take their place, or they get replicas or lose them: few, or too many to look them up one by one.
fn backing() -> impl Strategy<Value = Task> {
    let change = select(vec![
        Change::Lend,
        Change::Replace,
        Change::ReplaceLent,
        Change::Replicate,
        Change::Collapse,
    ]);
    let count = select(vec![1u64, 1, 2, 4, 5, 40]);
    (0..PAGES, count, change).prop_map(|(first, count, change)| {
        vec![Step::Backing(first, count.min(PAGES - first), change)]
    })
}

/// Tables for the page-table walker, of up to four directories and a page table, on the way to an
/// address; the pages around it; and an access to it.
fn tables() -> impl Strategy<Value = Task> {
    let shape = (
        prop::array::uniform4(select(vec![0u64, 0, 2, 9, 11])),
        select(vec![1u64, 3, 11, 11]),
        select(vec![14u64, 14, 14, 12, 16, 13, 30]),
    );
    let settings = (
        select(vec![6u64, 6, 2, 1, 10]),
        select(vec![
            1u64 << 31 | 3 << 26,
            1 << 31 | 3 << 26,
            1 << 31 | 1 << 26,
            3 << 26,
        ]),
        select(vec![0u64, 0, 0, 0, 4, 0x1234 << 48, 1 << 62, PAGES << 14]),
    );
    let pages = [entry_lo(), entry_lo(), entry_lo(), entry_lo()];
    (shape, settings, pages, address(), memory()).prop_map(build_tables)
}

type Tables = ([u64; 4], u64, u64);

fn build_tables(
    ((widths, pages_width, page_shift), (ptei, control, astray), pages, address, access): (
        Tables,
        (u64, u64, u64),
        [u64; 4],
        u64,
        Instruction,
    ),
) -> Task {
    const FIELDS: [u32; 4] = [32, 24, 18, 12];
    let table = |level: u64| 0x1_0000 + level * 0x4000;
    // The lowest directory's index begins where that of the page table ends.
    let (mut field, mut size) = (page_shift << 6 | ptei, 1 << 30 | pages_width << 6);
    let mut shift = page_shift + pages_width;
    let mut steps = Vec::new();
    let mut level = 0;
    for (width, place) in widths.into_iter().zip(FIELDS).rev() {
        if width != 0 && shift < 60 {
            let index = address >> shift & ((1 << width) - 1);
            let pointer =
                (XSSEG_WINDOW + table(level)).wrapping_add(if level == 0 { astray } else { 0 });
            level += 1;
            steps.push(Step::Memory(table(level) + index * 8, pointer));
            field |= shift << place;
            size |= width << place;
            shift += width;
        }
    }
    let first = address >> page_shift & ((1 << pages_width) - 1) & !1;
    for (index, lo) in (first..).zip(pages) {
        let rotated = lo.rotate_left(2) & 0xffff_ffff;
        let place = table(0) + (index & 0x7ff) * 8;
        steps.push(Step::Memory(place, rotated << ptei.saturating_sub(2)));
    }
    steps.extend([
        write(cp0::PW_BASE, CSSEG_WINDOW + table(level)),
        write(cp0::PW_FIELD, field),
        write(cp0::PW_SIZE, size),
        write(cp0::PW_CTL, control),
    ]);
    let (word, mut values) = access;
    for (_, base) in &mut values {
        *base = address;
    }
    steps.extend(one((word, values)));
    steps
}

fn happening() -> impl Strategy<Value = Task> {
    let time = prop_oneof![
        8 => 0..150u64,
        1 => select(vec![(1u64 << 32) - 1, 1 << 32, (1 << 32) + 7, 3 << 32]),
    ];
    prop_oneof![
        time.prop_map(|ticks| vec![Step::Time(ticks)]),
        (2..7u32, any::<bool>()).prop_map(|(line, raised)| vec![Step::Line(line, raised)]),
    ]
}

/// The timer, set to strike soon, with Count perhaps stopped.
fn timer() -> impl Strategy<Value = Task> {
    (0..60u64, 0..100u64, any::<bool>(), any::<bool>()).prop_map(|(ticks, passed, stop, go_on)| {
        let mut steps = vec![write(cp0::COUNT, 0), write(cp0::COMPARE, ticks)];
        if stop {
            steps.push(write(cp0::CAUSE, cp0::DC));
        }
        steps.push(Step::Time(passed));
        if go_on {
            steps.extend([write(cp0::CAUSE, 0), Step::Time(passed)]);
        }
        steps
    })
}

/// The number of wired entries to begin with: with many, others replace each other soon.
fn wired() -> impl Strategy<Value = Task> {
    select(vec![0u64, 0, 9, 11, 12, 13]).prop_map(|wired| vec![write(cp0::WIRED, wired)])
}

fn sequence<T: Strategy<Value = Task>>(
    task: T,
    length: Range<usize>,
) -> impl Strategy<Value = Vec<Step>> {
    let tasks = prop::collection::vec(task, length);
    (wired(), tasks).prop_map(|(first, tasks)| [first, tasks.concat()].concat())
}

/// A bit of everything.
pub fn anything() -> impl Strategy<Value = Vec<Step>> {
    let task = prop_oneof![
        10 => single(0.3),
        5 => tlb_entry(),
        4 => memory().prop_map(one),
        2 => lower_mode(),
        1 => tables(),
        2 => happening(),
        1 => timer(),
        2 => backing(),
    ];
    sequence(task, 1..40)
}

/// Instructions behind branches of every kind.
pub fn slots() -> impl Strategy<Value = Vec<Step>> {
    sequence(single(0.99), 1..12)
}

/// The TLB, its instructions and calls, and accesses through it.
pub fn translations() -> impl Strategy<Value = Vec<Step>> {
    let task = prop_oneof![
        6 => tlb_entry(),
        3 => tlb().prop_map(one),
        2 => monitor_call().prop_map(one),
        3 => asid(),
        1 => shootdown(),
        3 => backing(),
        8 => memory().prop_map(one),
        1 => tables(),
    ];
    sequence(task, 1..80)
}

/// Entries with pages that nothing else uses, at every index.
pub fn overwrite_every_entry() -> Vec<Step> {
    let entry = |index: u64| write_entry(0x5000_0000 + (index << 15), [0, 0], 0x6000, Some(index));
    (0..16).flat_map(entry).collect()
}

/// Loads and stores in several address spaces.
pub fn accesses() -> impl Strategy<Value = Vec<Step>> {
    let task = prop_oneof![1 => asid(), 1 => backing(), 4 => memory().prop_map(one)];
    prop::collection::vec(task, 10..30).prop_map(|tasks| tasks.concat())
}
