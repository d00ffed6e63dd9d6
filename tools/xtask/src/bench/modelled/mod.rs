//! `cargo xtask bench --magic`: the benchmark against the board, both sides beside the exact model of the memory system.
//! Each phase is a window of the model's, between markers (`guests/linux/marker`).

mod figures;
mod table;

use super::{keep, sides, Phase, PHASES};
use crate::build::{linux, monitor::Image};
use crate::run::magic::Magic;
use crate::setup::toolchain::Toolchain;
use anyhow::Result;
use serde_json::Value;
use std::path::Path;
use std::thread;

/// A miss on memory that is all in one node.
const MISS_NS: u64 = 300;

/// Measures both sides and prints them; `json` keeps the figures.
pub fn run(json: Option<&Path>, toolchain: &Toolchain) -> Result<()> {
    let image = Image::build(toolchain)?;
    linux::build_bench()?;
    linux::build_marked()?;
    let model = Magic::build(sides::folder().join("magic.json"), Vec::new())?;
    let (native, guest) = thread::scope(|scope| {
        let native = scope.spawn(|| native(&model));
        let guest = guest(&image, &model);
        (native.join(), guest)
    });
    let native = native.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    let rows = figures::of(&windowed(), &native, &guest?)?;
    print!("{}", table::of(&rows));
    keep(json, "magic", &rows)
}

/// Phases that have a window: those that the user land was asked for, in that order. The boot begins before a marker
/// can be executed.
fn windowed() -> Vec<Phase> {
    let phases = PHASES.iter().copied();
    phases.filter(|phase| phase.name != "boot").collect()
}

/// The model's report of the bare board.
fn native(model: &Magic) -> Result<Value> {
    let side = "magic-native";
    let model = model.reporting_to(sides::folder().join(side).with_extension("json"));
    let mut command = sides::native_command(&linux::marked_initramfs_path());
    command.args(model.native_arguments(sides::MEMORY_MIB << 20, MISS_NS));
    sides::run(side, &command, &sides::events(side)?)?;
    model.read()
}

/// That of the machine with a monitor.
fn guest(image: &Image, model: &Magic) -> Result<Value> {
    let side = "magic-guest";
    let path = |what: &str| sides::folder().join(side).with_extension(what);
    let model = model.reporting_to(path("json"));
    let mut machine = sides::guest_machine(&linux::marked_initramfs_path())?;
    machine.magic = true;
    let events = sides::events(side)?;
    let mut board = sides::guest_board(image, &machine, &path("flash"), &events)?;
    board.model(&model)?;
    sides::run(side, &board.command(), &events)?;
    model.read()
}
