//! Compiles host tests for Linux on big-endian MIPS64, where QEMU's user emulation runs them.
//!
//! Rust has no library ready for this target, so it is compiled from its source. Programs are
//! linked statically: they need no C library of the target when they run.

use crate::paths;
use crate::setup::toolchain::Toolchain;
use std::process::Command;

/// What Rust's compiler is told to build for: the C compiler of the Linux guest links it.
const TARGET: &str = "mipsisa64r6-unknown-linux-gnuabi64";
/// The linker.
pub const LINKER: &str = "mipsisa64r6-linux-gnuabi64-gcc";
/// QEMU's user emulation for the target.
pub const EMULATOR_PROGRAM: &str = "qemu-mips64";
/// What stands before the name of a program to run it.
pub const EMULATOR: &[&str] = &[EMULATOR_PROGRAM, "-cpu", "I6400"];

/// A cargo command that builds for the target. Optimised a little: property tests run forty
/// times as fast for half as much more time to compile, and assertions stay.
pub fn cargo(toolchain: &Toolchain, verb: &str) -> Command {
    let mut command = toolchain.cargo_with_source();
    command
        .env("RUSTFLAGS", "-Ctarget-feature=+crt-static")
        .env("CARGO_PROFILE_DEV_OPT_LEVEL", "1")
        .env("CARGO_PROFILE_DEV_DEBUG", "false")
        .arg("--config")
        .arg(format!("target.{TARGET}.linker=\"{LINKER}\""))
        .args([verb, "-Zbuild-std=std,test,panic_unwind"])
        .args(["--target", TARGET])
        .arg("--target-dir")
        .arg(paths::target().join("mips64-linux"));
    command
}
