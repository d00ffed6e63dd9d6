//! `cargo xtask bench numa-counters`: the pages that the monitor's samples say are hot, against those that the exact
//! model has counted the most misses on (`docs/numa.md`).

mod compare;
mod machine;
mod table;

use super::keep;
use crate::build::guests;
use crate::build::monitor::Image;
use crate::paths;
use crate::process::Progress;
use crate::run::magic::Magic;
use crate::setup::toolchain::Toolchain;
use anyhow::{ensure, Result};
use compare::Comparison;
use disco_numa_work::mix;
use disco_numa_work::store::{self, Record, Shop};
use machine::MEMBERS;
use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;

/// So many of the exact model's hottest pages are looked for among so many of the monitor's, and so many of them are to be
/// found there.
const HOTTEST: usize = 100;
/// See [`HOTTEST`].
const LOOKED_AT: usize = 150;
/// See [`HOTTEST`].
const FOUND: usize = 70;
/// Pages that the program has to miss on.
const TOUCHED: u64 = 2000;
/// Pages in the exact model's lists: many of the hottest are the monitor's.
const LISTED: &str = "hot=400";

/// Records that all members have, of 1 KiB: 32 MiB.
const RECORDS: usize = 32 << 10;
/// Those of each member: 2 MiB.
const SESSIONS: usize = 2 << 10;
/// Words of each member's journal: 512 KiB.
const JOURNAL: usize = 64 << 10;
/// Of each member.
const REQUESTS: u64 = 1_000_000;

/// Measures twice and prints it; `json` keeps the figures. Ends with whether the goals are met.
pub fn run(json: Option<&Path>, toolchain: &Toolchain) -> Result<bool> {
    let image = Image::build(toolchain)?;
    guests::build_numa(toolchain)?;
    let folder = paths::target().join("bench/numa-counters");
    fs::create_dir_all(&folder)?;
    let model = Magic::build(folder.join("report.json"), vec![LISTED.to_owned()])?;
    let line = command_line();
    let read = &|name| machine::read(&image, &model, (&folder, name), &line, (LOOKED_AT, HOTTEST));
    let [first, second] = both(["first", "second"].map(|name| move || read(name)), &folder);
    let first = first?;
    ensure!(
        first == second?,
        "two runs gave different figures: compare first.json and second.json in {}",
        paths::shown(&folder)
    );
    let found = Comparison::of(&first)?;
    print!("{}", table::of(&found));
    keep(json, "numa-counters", &found)?;
    Ok(found.is_met())
}

/// Does both at once, and shows that it takes time.
fn both<T: Send>(work: [impl FnOnce() -> T + Send; 2], folder: &Path) -> [T; 2] {
    thread::scope(|scope| {
        let threads = work.map(|work| scope.spawn(work));
        let mut progress = Progress::new("numa-counters: measure, twice");
        while !threads.iter().all(ScopedJoinHandle::is_finished) {
            thread::sleep(Duration::from_millis(50));
            progress.tick(&folder.join("first.console.log"));
        }
        progress.finish(true);
        threads.map(|thread| {
            let result = thread.join();
            result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    })
}

/// The program's, with the checksum that has to come out.
fn command_line() -> String {
    let table =
        |records: usize| -> Vec<Record> { (0..records).map(|_| Record::default()).collect() };
    let records = table(RECORDS);
    let part = RECORDS / MEMBERS as usize;
    for (member, part) in (0..).zip(records.chunks(part)) {
        store::fill(part, member);
    }
    let serve = |member: u64| {
        let sessions = table(SESSIONS);
        store::fill(&sessions, !member);
        let journal: Vec<AtomicU64> = (0..JOURNAL).map(|_| AtomicU64::new(0)).collect();
        let shop = Shop {
            records: &records,
            sessions: &sessions,
            journal: &journal,
        };
        shop.serve(member, REQUESTS, |_| ());
        store::checksum(&sessions)
    };
    let sums: Vec<u64> = (0..MEMBERS).map(serve).collect();
    let sum = sums.into_iter().fold(store::checksum(&records), mix);
    format!("records={RECORDS} sessions={SESSIONS} journal={JOURNAL} requests={REQUESTS} sum={sum}")
}
