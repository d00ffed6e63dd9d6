//! `cargo xtask fmt` and `cargo xtask lint`.

use crate::build::monitor;
use crate::setup::toolchain::Toolchain;
use crate::{paths, process};
use anyhow::Result;
use std::env;
use std::process::Command;

fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(paths::root());
    command
}

/// Formats the whole workspace, or only says what is not formatted.
pub fn format(check: bool) -> Result<()> {
    let mut command = cargo();
    command.args(["fmt", "--all"]);
    if check {
        command.arg("--check");
    }
    process::run_step("format", "format", &mut command)
}

/// Looks for what clippy and rustfmt complain about. The crates that compile only for the board
/// are checked where the board's toolchain has clippy.
pub fn lint() -> Result<()> {
    format(true)?;
    let mut command = cargo();
    command.args(["clippy", "--all-targets", "--", "-D", "warnings"]);
    process::run_step("clippy: host crates", "clippy-host", &mut command)?;
    let Some(toolchain) =
        Toolchain::find().filter(|found| found.sysroot.join("bin/clippy-driver").exists())
    else {
        eprintln!("clippy: the board's toolchain has none, so boot and the guests are not checked");
        return Ok(());
    };
    let mut command = monitor::cargo(&toolchain, "clippy");
    command.args([
        "--package",
        "disco-boot",
        "--package",
        "disco-bare",
        "--package",
        "disco-conformance",
        "--package",
        "disco-executor",
        "--package",
        "disco-numa-guests",
        "--package",
        "disco-test-guests",
        "--",
        "-D",
        "warnings",
    ]);
    process::run_step("clippy: board crates", "clippy-board", &mut command)
}
