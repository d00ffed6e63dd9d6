//! `cargo xtask conformance`: the same small programs natively and as a guest, and what they saw
//! compared.

mod compare;
mod linux;
mod place;
mod table;

use crate::bare::{Place, Program};
use crate::build::monitor;
use crate::paths;
use crate::setup::{Installer, Need};
use anyhow::{anyhow, Result};
use place::Records;
use std::fs;
use std::process::ExitCode;
use std::thread;

/// The package of the programs.
const PACKAGE: &str = "disco-conformance";

/// How a run of the suite ended.
#[derive(Default)]
pub struct Outcome {
    /// Programs whose records agree.
    pub passed: usize,
    /// Those whose do not, and why.
    pub failed: Vec<(String, String)>,
}

/// The filter that selects the programs that run on Linux.
pub const LINUX: &str = "linux";

/// The filter that runs what has failed once more: on Linux it is all one program.
pub fn again<'a>(filter: &str, name: &'a str) -> &'a str {
    if filter == LINUX {
        LINUX
    } else {
        name
    }
}

/// Runs the programs whose names contain `filter` and prints what differs.
pub fn run(filter: &str, installer: &Installer) -> Result<ExitCode> {
    let outcome = suite(filter, installer)?;
    for (name, why) in &outcome.failed {
        let again = again(filter, name);
        println!("FAIL {name}: {why}\n  again: cargo xtask conformance {again}");
    }
    let failed = outcome.failed.len();
    if outcome.passed + failed == 0 {
        eprintln!("no program has {filter} in its name: guests/conformance/src has the names");
    }
    println!("{} passed, {failed} failed", outcome.passed);
    Ok(if failed == 0 && outcome.passed > 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Runs the programs whose names contain `filter`, or those on Linux, in both places at once, and
/// compares.
pub fn suite(filter: &str, installer: &Installer) -> Result<Outcome> {
    let mut needs = vec![Need::Emulator];
    needs.extend(Need::MONITOR);
    if filter == LINUX {
        needs.extend(Need::LINUX);
    }
    let toolchain = installer.provide(&needs)?;
    let monitor = monitor::Image::build(&toolchain)?;
    if filter == LINUX {
        return linux::suite(&monitor);
    }
    let allowed = table::load()?;
    let program = Program::build(PACKAGE, monitor, &toolchain)?;
    fs::create_dir_all(paths::target().join("conformance"))?;
    let collect = |place| place::collect(&program, place, filter);
    let (native, guest) = thread::scope(|scope| {
        let native = scope.spawn(|| collect(Place::Native));
        let guest = collect(Place::Guest);
        (native.join(), guest)
    });
    let native: Records = native.map_err(|_| anyhow!("the native run panicked"))??;
    Ok(compare::compare(&native, &guest?, &allowed, filter))
}
