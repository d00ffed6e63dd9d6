//! `cargo xtask bench --magic`: the benchmark against the board, both sides beside the exact model of the memory system.
//! Each row is a window of the model's, between markers of the user land's.

mod figures;
mod table;

use super::progress::{Progress, Side};
use super::rows::{Group, Row, BOOT};
use super::{keep, sides};
use crate::build::monitor::Image;
use crate::run::magic::Magic;
use crate::setup::toolchain::Toolchain;
use anyhow::Result;
use serde_json::Value;
use std::path::Path;
use std::thread;

/// What the sides are called here.
const NATIVE: &str = "magic-native";
const GUEST: &str = "magic-guest";
/// A miss on memory that is all in one node.
const MISS_NS: u64 = 300;

/// Measures both sides of `rows` and prints them; `json` keeps the figures.
pub fn run(json: Option<&Path>, rows: &[Row], toolchain: &Toolchain) -> Result<()> {
    let rows = windowed(rows);
    let image = Image::build(toolchain)?;
    sides::build(&rows)?;
    let model = Magic::build(sides::folder().join("magic.json"), Vec::new())?;
    let progress = Progress::new();
    let (native, guest) = thread::scope(|scope| {
        let native = scope.spawn(|| native(&model, &rows, progress.side(NATIVE, &rows)));
        let guest = guest(&image, &model, &rows, progress.side(GUEST, &rows));
        (native.join(), guest)
    });
    let native = native.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    let rows = figures::of(&rows, &native, &guest?)?;
    print!("{}", table::of(&rows));
    keep(json, "magic", &rows)
}

/// Those of `rows` that have a window: what the user land is asked for, in that order. The boot begins before a marker
/// can be executed, and loads would take hours beside the model.
fn windowed(rows: &[Row]) -> Vec<Row> {
    let rows = rows.iter().copied();
    rows.filter(|row| row.name != BOOT && row.group != Group::Load)
        .collect()
}

/// The model's report of the bare board.
fn native(model: &Magic, rows: &[Row], progress: Side) -> Result<Value> {
    let model = model.reporting_to(sides::folder().join(NATIVE).with_extension("json"));
    let mut command = sides::native_command(rows);
    command.args(model.native_arguments(sides::MEMORY_MIB << 20, MISS_NS));
    sides::run(&command, &sides::events(NATIVE)?, progress)?;
    model.read()
}

/// That of the machine with a monitor.
fn guest(image: &Image, model: &Magic, rows: &[Row], progress: Side) -> Result<Value> {
    let path = |what: &str| sides::folder().join(GUEST).with_extension(what);
    let model = model.reporting_to(path("json"));
    let mut machine = sides::guest_machine(rows)?;
    machine.magic = true;
    let events = sides::events(GUEST)?;
    let mut board = sides::guest_board(image, &machine, &path("flash"), &events)?;
    board.model(&model)?;
    sides::run(&board.command(), &events, progress)?;
    model.read()
}
