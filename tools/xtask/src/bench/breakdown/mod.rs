//! `cargo xtask bench --breakdown`: where the instructions of both sides go, as the paper's figure 5 and table 2.
//! Each row is a window between markers; a plugin of QEMU's counts (`tools/breakdown`).

mod causes;
pub mod figures;
mod plugin;
mod table;

use super::progress::{Progress, Side};
use super::rows::{Row, BOOT};
use super::{keep, sides};
use crate::build::monitor::Image;
use crate::setup::toolchain::Toolchain;
use anyhow::Result;
use disco_breakdown::report::Report;
use figures::Split;
use plugin::Plugin;
use std::path::Path;
use std::thread;

/// What the sides are called here.
const NATIVE: &str = "breakdown-native";
const GUEST: &str = "breakdown-guest";

/// Measures both sides of `rows` and prints them; `json` keeps the figures.
pub fn run(json: Option<&Path>, rows: &[Row], toolchain: &Toolchain) -> Result<()> {
    let splits = measure(rows, toolchain)?;
    print!("{}", table::of(&splits));
    keep(json, "breakdown", &splits)
}

/// Where the instructions of each of `rows` go, on both sides. The boot begins before a marker can be executed, and
/// differently on the two sides: it is left out.
pub fn measure(rows: &[Row], toolchain: &Toolchain) -> Result<Vec<Split>> {
    let rows = rows.iter().copied();
    let rows: Vec<_> = rows.filter(|row| row.name != BOOT).collect();
    let image = Image::build(toolchain)?;
    sides::build(&rows)?;
    let plugin = Plugin::build()?;
    let mut splits = Vec::new();
    for rows in sides::runs(&rows) {
        splits.extend(of_run(&rows, &image, &plugin)?);
    }
    Ok(splits)
}

/// Where the instructions of the rows of one run go.
fn of_run(rows: &[Row], image: &Image, plugin: &Plugin) -> Result<Vec<Split>> {
    let progress = Progress::new();
    let (native, guest) = thread::scope(|scope| {
        let native = scope.spawn(|| native(plugin, rows, progress.side(NATIVE, rows)));
        let guest = guest(image, plugin, rows, progress.side(GUEST, rows));
        (native.join(), guest)
    });
    let native = native.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    // The user land numbers windows by the order in which it was asked.
    let windows = (1..).zip(rows.iter().map(|row| row.name.to_owned()));
    figures::of(&windows.collect::<Vec<_>>(), &native, &guest?)
}

/// The report of the bare board.
fn native(plugin: &Plugin, rows: &[Row], progress: Side) -> Result<Report> {
    let report = sides::folder().join(NATIVE).with_extension("json");
    let events = sides::events(NATIVE)?;
    let mut command = sides::native_command(rows);
    command.args(plugin.native_arguments(&report));
    sides::run(&command, &events, progress)?;
    plugin::read(&report)
}

/// That of the machine with a monitor.
fn guest(image: &Image, plugin: &Plugin, rows: &[Row], progress: Side) -> Result<Report> {
    let path = |what: &str| sides::folder().join(GUEST).with_extension(what);
    let events = sides::events(GUEST)?;
    let machine = sides::guest_machine(rows)?;
    let mut board = sides::guest_board(image, &machine, &path("flash"), &events)?;
    plugin::write_points(&path("points"))?;
    let memory = board.hardware.memory;
    let arguments = plugin.guest_arguments(&path("json"), &path("points"), memory);
    board.extra.extend(arguments);
    sides::run(&board.command(), &events, progress)?;
    plugin::read(&path("json"))
}
