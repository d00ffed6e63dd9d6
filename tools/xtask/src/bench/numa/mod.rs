//! `cargo xtask bench numa`: programs whose memory was allocated on one node and is used from eight, as the
//! paper's figure 8 has them. Times are those of the exact model of the memory system (`docs/numa.md`),
//! instructions are counted, and nothing comes from outside while it measures: a second run gives the same
//! figures.

mod cost;
mod figures;
mod goals;
pub(super) mod machine;
mod programs;
mod table;

use super::keep;
use super::progress::bar;
use crate::build::guests;
use crate::build::monitor::Image;
use crate::paths;
use crate::run::magic::Magic;
use crate::setup::toolchain::Toolchain;
use anyhow::{Context, Result};
use cost::{Cost, Machine};
use figures::Figures;
use goals::Verdict;
use indicatif::ProgressBar;
use machine::{Column, Run};
use programs::Program;
use serde_json::json;
use std::fs;
use std::io::IsTerminal;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Machines that run at once: each takes one CPU of the host, and its figures do not depend on what else that does.
const AT_ONCE: usize = 2;

/// Measures all and prints it; `json` keeps the figures. Ends with whether all goals are met.
pub fn run(json: Option<&Path>, toolchain: &Toolchain) -> Result<bool> {
    let image = Image::build(toolchain)?;
    guests::build_numa(toolchain)?;
    let folder = paths::target().join("bench/numa");
    fs::create_dir_all(&folder)?;
    let model = Magic::build(folder.join("report.json"), Vec::new())?;
    let lines: Vec<String> = Program::ALL
        .iter()
        .map(|program| program.command_line(&folder))
        .collect::<Result<_, _>>()?;
    let runs: Vec<Run> = Program::ALL
        .iter()
        .zip(&lines)
        .flat_map(|(&program, command_line)| {
            Column::ALL.map(|column| Run {
                program,
                command_line,
                column,
            })
        })
        .collect();
    let figures = all(&runs, |run| {
        let measured = run.measure(&image, &model, &folder)?;
        Figures::of(run.program.name(), run.column.name(), &measured)
    })?;
    let mut met = true;
    for (&program, rows) in Program::ALL.iter().zip(figures.chunks(Column::ALL.len())) {
        let verdicts = goals::verdicts(program, rows);
        let costs = costs(rows);
        met &= verdicts.iter().all(Verdict::is_met) && costs.iter().all(|(_, cost)| cost.is_met());
        println!("{}", table::of(program, rows, &costs, &verdicts));
    }
    keep(json, "numa", json!({ "runs": figures }))?;
    Ok(met)
}

/// What moves cost with each policy that has made some; the first row has none.
fn costs(rows: &[Figures]) -> Vec<(&'static str, Cost)> {
    let Some((without, others)) = rows.split_first() else {
        return Vec::new();
    };
    let cost = |row: &Figures| Some((row.memory, Cost::of(row, without, &Machine::FLASH)?));
    others.iter().filter_map(cost).collect()
}

/// Does `measure` for all of `runs`, a few at once; what came of them, in order.
fn all<T: Send>(runs: &[Run], measure: impl Fn(&Run) -> Result<T> + Sync) -> Result<Vec<T>> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::new());
    let progress = Progress::new(runs.len());
    let work = || loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let Some(run) = runs.get(number) else {
            return;
        };
        let name = format!("{}, {}", run.program.name(), run.column.name());
        let started = Instant::now();
        let result = measure(run).with_context(|| name.clone());
        if result.is_err() {
            // The others need not begin.
            next.store(runs.len(), Ordering::Relaxed);
        }
        progress.ended(&name, started.elapsed());
        let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
        results.push((number, result));
    };
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(work);
        }
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(number, _)| *number);
    results.into_iter().map(|(_, result)| result).collect()
}

/// Which runs have ended: a bar on a terminal, elsewhere a line for each.
struct Progress {
    bar: Option<ProgressBar>,
}

impl Progress {
    fn new(runs: usize) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            bar(
                ProgressBar::new(runs as u64),
                "numa [{elapsed}] {bar:30} {pos}/{len} runs  {wide_msg}",
            )
        });
        if bar.is_none() {
            eprintln!("numa: measuring, {runs} runs ...");
        }
        Self { bar }
    }

    fn ended(&self, name: &str, took: Duration) {
        let line = format!("{name}: {} s", took.as_secs());
        match &self.bar {
            Some(bar) => {
                bar.inc(1);
                bar.set_message(line);
            }
            None => eprintln!("numa: {line}"),
        }
    }
}
