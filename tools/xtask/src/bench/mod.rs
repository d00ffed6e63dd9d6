//! `cargo xtask bench`: the same Linux with the same commands on the bare board and as the only
//! guest, both with counted instructions, where a nanosecond is an instruction and every run
//! gives the same figures. Either side's kernel has no network, and both have the same user
//! land, which is not the ordinary one (`guests/linux/bench`): the difference is the monitor.

mod board;
mod breakdown;
mod compare;
mod counters;
mod gang;
mod machines;
mod modelled;
mod net;
mod numa;
mod page;
mod progress;
mod reads;
mod record;
mod rows;
mod scaling;
mod selection;
mod sharing;
mod sides;
mod table;
pub mod watched;

use crate::cli::{BenchArgs, Benchmark};
use crate::run::magic;
use crate::setup::{Installer, Need};
use anyhow::{ensure, Context, Result};
use board::Wishes;
use record::Record;
use serde::Serialize;
use serde_json::json;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

/// Counts instructions, and lets the clock chip follow them.
const COUNTED: &[&str] = &[
    "-icount",
    "shift=0,sleep=off",
    "-rtc",
    "base=2026-01-01,clock=vm",
];

/// Keeps a benchmark's figures in the file `json`, if one was asked for.
fn keep(json: Option<&Path>, benchmark: &str, figures: impl Serialize) -> Result<()> {
    let Some(path) = json else {
        return Ok(());
    };
    let text = serde_json::to_string_pretty(&json!({ benchmark: figures }))?;
    fs::write(path, text + "\n").with_context(|| format!("cannot write {}", path.display()))
}

/// Runs a benchmark: the one against the board if none is named.
pub fn run(args: &BenchArgs, installer: &Installer) -> Result<ExitCode> {
    let wishes = Wishes::of(args)?;
    if let Some(from) = &args.from {
        return wishes.tell(&Record::read(from)?).map(status);
    }
    let mut needs = vec![Need::Emulator];
    needs.extend(Need::MONITOR);
    let is_numa = matches!(args.what, Some(Benchmark::Numa | Benchmark::NumaCounters));
    if !is_numa {
        needs.extend(Need::LINUX);
    }
    if args.what.is_none() && wishes.have_loads() {
        needs.extend(Need::LOADS);
    }
    let toolchain = installer.provide(&needs)?;
    if is_numa {
        ensure!(magic::tells_cpus_apart(), magic::WRONG_CPUS);
    }
    let json = args.json.as_deref();
    let met = match args.what {
        None if args.breakdown => breakdown::run(json, wishes.rows(), &toolchain).map(|()| true),
        None if args.magic => modelled::run(json, wishes.rows(), &toolchain).map(|()| true),
        None => wishes.run(&toolchain),
        Some(Benchmark::Sharing) => sharing::run(json, &toolchain),
        Some(Benchmark::Reads) => reads::run(json, &toolchain),
        Some(Benchmark::Net) => net::run(json, &toolchain),
        Some(Benchmark::Numa) => numa::run(json, &toolchain),
        Some(Benchmark::NumaCounters) => counters::run(json, &toolchain),
    }?;
    Ok(status(met))
}

fn status(met: bool) -> ExitCode {
    if met {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
