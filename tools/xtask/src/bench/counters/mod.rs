//! `cargo xtask bench numa-counters`: the pages that the monitor's samples say are hot, against those that the exact
//! model has counted the most misses on (`docs/numa.md`).

mod compare;
mod machine;
mod programs;
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
use machine::Run;
use programs::Program;
use serde_json::json;
use std::fs;
use std::path::Path;
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

/// Measures each program twice and prints it; `json` keeps the figures. Ends with whether the goals are met.
pub fn run(json: Option<&Path>, toolchain: &Toolchain) -> Result<bool> {
    let image = Image::build(toolchain)?;
    guests::build_numa(toolchain)?;
    let folder = paths::target().join("bench/numa-counters");
    fs::create_dir_all(&folder)?;
    let model = Magic::build(folder.join("report.json"), vec![LISTED.to_owned()])?;
    let mut all = Vec::new();
    for program in Program::ALL {
        let found = measure(&image, &model, program, &folder)?;
        println!("{}", table::of(program, &found));
        all.push((program.name(), found));
    }
    let rows = all
        .iter()
        .map(|(program, found)| json!({ "program": program, "found": found }));
    keep(json, "numa-counters", rows.collect::<Vec<_>>())?;
    Ok(all.iter().all(|(_, found)| found.is_met()))
}

/// Runs a program twice, which has to come out the same.
fn measure(image: &Image, model: &Magic, program: Program, folder: &Path) -> Result<Comparison> {
    let line = program.command_line();
    let read = &|turn: &str| {
        let name = format!("{}-{turn}", program.name());
        let run = Run {
            program,
            command_line: &line,
            folder,
            name: &name,
        };
        run.read(image, model, (LOOKED_AT, HOTTEST))
    };
    let title = format!("numa-counters: measure {} twice", program.name());
    let log = folder.join(format!("{}-first.console.log", program.name()));
    let [first, second] = both(
        ["first", "second"].map(|turn| move || read(turn)),
        &title,
        &log,
    );
    let first = first?;
    ensure!(
        first == second?,
        "two runs of {} gave different figures: compare what they left in {}",
        program.name(),
        paths::shown(folder)
    );
    Comparison::of(&first)
}

/// Does both at once, and shows that it takes time.
fn both<T: Send>(work: [impl FnOnce() -> T + Send; 2], title: &str, log: &Path) -> [T; 2] {
    thread::scope(|scope| {
        let threads = work.map(|work| scope.spawn(work));
        let mut progress = Progress::new(title);
        while !threads.iter().all(ScopedJoinHandle::is_finished) {
            thread::sleep(Duration::from_millis(50));
            progress.tick(log);
        }
        progress.finish(true);
        threads.map(|thread| {
            let result = thread.join();
            result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    })
}
