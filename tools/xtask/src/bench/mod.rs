//! `cargo xtask bench`: the same Linux with the same commands on the bare board and as the only
//! guest, both with counted instructions, where a nanosecond is an instruction and every run
//! gives the same figures. Neither side's kernel has disks or a network, and both have the same user
//! land, which is not the ordinary one (`guests/linux/bench`): the difference is the monitor.

mod counters;
mod modelled;
mod net;
mod numa;
mod reads;
mod report;
mod sharing;
mod sides;
pub mod watched;

use crate::build::{linux, monitor};
use crate::cli::{BenchArgs, Benchmark};
use crate::run::magic;
use crate::setup::toolchain::Toolchain;
use crate::setup::{Installer, Need};
use anyhow::{ensure, Context, Result};
use report::Report;
use serde::Serialize;
use serde_json::json;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::thread;

/// Counts instructions, and lets the clock chip follow them.
const COUNTED: &[&str] = &[
    "-icount",
    "shift=0,sleep=off",
    "-rtc",
    "base=2026-01-01,clock=vm",
];
/// Phases that the guest's `bench` command knows, with what they do and the ratio we want.
const PHASES: &[Phase] = &[
    Phase {
        name: "boot",
        about: "boot to shell",
        goal: None,
    },
    Phase {
        name: "pipes",
        about: "100 x busybox true | cat",
        goal: Some(2.0),
    },
    Phase {
        name: "dd",
        about: "100k system calls of dd",
        goal: Some(1.6),
    },
    Phase {
        name: "loop",
        about: "compute-bound shell loop",
        goal: Some(1.02),
    },
];

/// Something that is measured.
#[derive(Clone, Copy)]
struct Phase {
    name: &'static str,
    about: &'static str,
    /// The most that the guest may take for what the board takes 1 for.
    goal: Option<f64>,
}

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
    let mut needs = vec![Need::Emulator];
    needs.extend(Need::MONITOR);
    let is_numa = matches!(args.what, Some(Benchmark::Numa | Benchmark::NumaCounters));
    if !is_numa {
        needs.extend(Need::LINUX);
    }
    let toolchain = installer.provide(&needs)?;
    if is_numa {
        ensure!(magic::tells_cpus_apart(), magic::WRONG_CPUS);
    }
    let json = args.json.as_deref();
    let met = match args.what {
        None if args.magic => modelled::run(json, &toolchain).map(|()| true),
        None => board(json, &toolchain).map(|()| true),
        Some(Benchmark::Sharing) => sharing::run(json, &toolchain),
        Some(Benchmark::Reads) => reads::run(json, &toolchain),
        Some(Benchmark::Net) => net::run(json, &toolchain),
        Some(Benchmark::Numa) => numa::run(json, &toolchain),
        Some(Benchmark::NumaCounters) => counters::run(json, &toolchain),
    }?;
    Ok(if met {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Measures both sides and prints them; `json` keeps the figures.
fn board(json: Option<&Path>, toolchain: &Toolchain) -> Result<()> {
    let image = monitor::Image::build(toolchain)?;
    linux::build_bench()?;
    // Counted instructions do not depend on what else the host does.
    let (native, guest) = thread::scope(|scope| {
        let native = scope.spawn(sides::native);
        let guest = sides::guest(&image);
        (native.join(), guest)
    });
    let native = native.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    let report = Report::new(&native, &guest?)?;
    print!("{}", report.table());
    keep(json, "bench", report.json())
}
