//! The two sides of the comparison.

use super::progress::Side;
use super::rows::{Group, Row, BOOT};
use super::COUNTED;
use crate::build::{linux, monitor::Image};
use crate::description::Machine;
use crate::flash::Flash;
use crate::paths;
use crate::process::last_lines;
use crate::run::native;
use crate::run::qemu::Board;
use crate::run::session::Session;
use anyhow::{bail, Context, Result};
use regex::Regex;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

/// What a row took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figure {
    /// Nanoseconds of virtual time.
    pub ns: u64,
    /// How often it was done in that time, if the user land counts it.
    pub repetitions: Option<u64>,
}

/// What a side has measured.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// By the row's name.
    pub figures: BTreeMap<String, Figure>,
}

impl Measured {
    /// What another run of the same side has measured comes with this.
    fn add(&mut self, run: Self) {
        // A machine with a disk boots in its own time.
        for (name, figure) in run.figures {
            self.figures.entry(name).or_insert(figure);
        }
    }

    /// A row's figure. Nothing takes no time.
    pub fn figure(&self, name: &str) -> Option<Figure> {
        let figure = self.figures.get(name).copied();
        figure.filter(|figure| figure.ns > 0)
    }
}

/// No calibration of the delay loop, which the guest does not
/// need either.
const NATIVE_COMMAND_LINE: &str = "lpj=5000000";
/// Programs lie where the kernel puts them without random numbers: a program's misses depend on where it lies.
pub const FIXED: &str = "norandmaps";
/// A kernel with nothing to do computes. When a CPU waits, QEMU's main thread moves the clock on to the next timer, and now and then before
/// the CPU's thread has counted its last instructions (`icount_start_warp_timer`, QEMU's softmmu/icount.c): that timer is
/// late then, and no second run is.
const AWAKE: &str = "nowait";
/// QEMU gives the board's kernel random numbers: the same ones each time.
const SEED: [&str; 2] = ["-seed", "1"];
/// The guest's memory, and the bare board's.
pub const MEMORY_MIB: u64 = 256;
/// How long a side may take.
const LIMIT: Duration = Duration::from_secs(80 * 60);

/// Builds what both sides need for `rows`, beside the monitor.
pub fn build(rows: &[Row]) -> Result<()> {
    linux::build_bench()?;
    loads(rows).try_for_each(|load| linux::build_load(load.name))
}

/// Those of `rows` that are loads, which have a disk.
fn loads(rows: &[Row]) -> impl Iterator<Item = &Row> {
    rows.iter().filter(|row| row.group == Group::Load)
}

/// Whether any of `rows` is a load.
pub fn has_loads(rows: &[Row]) -> bool {
    loads(rows).next().is_some()
}

/// The user land of a run: with the load's disk, if it is a load's. The disk is a file in memory on both sides: how long a real one
/// takes is no matter of counted instructions, and no two runs would count the same.
fn initramfs(rows: &[Row]) -> PathBuf {
    match loads(rows).next() {
        Some(load) => linux::load_initramfs_path(load.name),
        None => linux::bench_initramfs_path(),
    }
}

/// `rows` in runs. A load has one of its own: on the board there is time for one (`guests/linux/README.md`), and what the
/// one before has left in memory is no matter of it.
pub fn runs(rows: &[Row]) -> Vec<Vec<Row>> {
    let (loads, others): (Vec<Row>, Vec<Row>) =
        rows.iter().partition(|row| row.group == Group::Load);
    let mut runs = vec![others];
    runs.extend(loads.into_iter().map(|load| vec![load]));
    runs.retain(|rows| !rows.is_empty());
    runs
}

/// Linux on the bare board.
pub fn native(rows: &[Row], mut progress: Side) -> Result<Measured> {
    let mut measured = Measured::default();
    for rows in runs(rows) {
        let command = native_command(&rows);
        measured.add(measure(&command, &events("native")?, &mut progress)?);
    }
    progress.finish();
    Ok(measured)
}

/// QEMU with the bare board and Linux on it, which is asked for the rows of a run.
pub fn native_command(rows: &[Row]) -> Command {
    let line = format!("{NATIVE_COMMAND_LINE} {}", request(rows));
    let memory = format!("{MEMORY_MIB}M");
    let mut command = native::command(
        &linux::bench_native_kernel_path(),
        &initramfs(rows),
        &memory,
        &line,
    );
    command.args(COUNTED).args(SEED);
    command
}

/// Linux as the only guest of the monitor.
pub fn guest(monitor: &Image, rows: &[Row], mut progress: Side) -> Result<Measured> {
    let mut measured = Measured::default();
    for rows in runs(rows) {
        let machine = guest_machine(&rows)?;
        let events = events("guest")?;
        let board = guest_board(monitor, &machine, &folder().join("guest.flash"), &events)?;
        measured.add(measure(&board.command(), &events, &mut progress)?);
    }
    progress.finish();
    Ok(measured)
}

/// The machine with Linux as its only guest, which is asked for the rows of a run.
pub fn guest_machine(rows: &[Row]) -> Result<Machine> {
    let text = format!(
        "[hardware]\ncpus = 1\nnodes = 1\nmemory = \"512M\"\nconsole = \"bench\"\n\
         [[vm]]\nname = \"bench\"\nguest = {:?}\ninitrd = {:?}\nmemory = \"{MEMORY_MIB}M\"\n\
         cmdline = \"{} {}\"\n",
        linux::bench_kernel_path(),
        initramfs(rows),
        linux::COMMAND_LINE,
        request(rows)
    );
    Ok(Machine::parse(
        "the benchmark's machine",
        Path::new(""),
        &text,
    )?)
}

/// The board with a machine's image, which is written to `flash`.
pub fn guest_board(
    monitor: &Image,
    machine: &Machine,
    flash: &Path,
    events: &Path,
) -> Result<Board> {
    let (description, payload) = machine.encode()?;
    Flash::assemble(monitor, &description, payload.bytes)?.write(flash)?;
    let counted = COUNTED
        .iter()
        .map(|&argument| argument.to_owned())
        .collect();
    Board::of_image(flash, events.to_path_buf(), counted)
}

/// Asks the guest's user land to measure; the boot needs no asking.
fn request(rows: &[Row]) -> String {
    let names = rows.iter().map(|row| row.name);
    let asked: Vec<&str> = names.filter(|&name| name != BOOT).collect();
    format!("{FIXED} {AWAKE} disco.bench={}", asked.join(","))
}

/// Where the benchmark's files go.
pub fn folder() -> PathBuf {
    paths::target().join("bench")
}

/// The file of a side's events.
pub fn events(side: &str) -> Result<PathBuf> {
    fs::create_dir_all(folder())?;
    Ok(folder().join(format!("{side}.events.log")))
}

fn measure(command: &Command, events: &Path, progress: &mut Side) -> Result<Measured> {
    let log = folder().join(progress.name).with_extension("console.log");
    let console = run_on(command, events, progress)?;
    measured(&console).with_context(|| format!("see {}", paths::shown(&log)))
}

/// Runs a side until its user land has done what it was asked for; its console.
pub fn run(command: &Command, events: &Path, mut progress: Side) -> Result<String> {
    let console = run_on(command, events, &mut progress)?;
    progress.finish();
    Ok(console)
}

/// The same as a part of what a side does.
fn run_on(command: &Command, events: &Path, progress: &mut Side) -> Result<String> {
    let side = progress.name;
    let logs = folder().join(side);
    let log = logs.with_extension("console.log");
    let mut session = Session::start(command, events, LIMIT.as_secs(), &logs)?;
    let started = Instant::now();
    loop {
        let ended = session.ended()?;
        let console = String::from_utf8_lossy(&session.console()).into_owned();
        let so_far = measured(&console)?;
        progress.update(|row| so_far.figure(row).is_some());
        if console.contains("bench done") {
            return Ok(console);
        }
        if ended.is_some() || started.elapsed() > LIMIT {
            bail!(
                "the {side} side ended without its figures; the last lines of {}:\n{}",
                paths::shown(&log),
                last_lines(&log, 15)
            );
        }
        thread::sleep(Duration::from_millis(200));
    }
}

/// What a side's console says: the kernel's time of "shell ready", which begins where the clock is known, and a line for
/// each row.
fn measured(console: &str) -> Result<Measured> {
    let ready = Regex::new(r"\[ *(\d+)\.(\d{6})\] shell ready")?;
    let line = Regex::new(r"(?m)^bench ([a-z]+) (\d+)(?: (\d+))?$")?;
    let mut measured = Measured::default();
    let mut add = |name: &str, ns: u64, repetitions: Option<u64>| {
        let figure = Figure { ns, repetitions };
        measured.figures.insert(name.to_owned(), figure);
    };
    if let Some(found) = ready.captures(console) {
        let (seconds, micros): (u64, u64) = (found[1].parse()?, found[2].parse()?);
        add(BOOT, seconds * 1_000_000_000 + micros * 1000, None);
    }
    for found in line.captures_iter(console) {
        let repetitions = found.get(3).map(|count| count.as_str().parse());
        add(&found[1], found[2].parse()?, repetitions.transpose()?);
    }
    Ok(measured)
}

#[cfg(test)]
mod tests {
    use super::{measured, Figure};

    #[test]
    fn figures_of_a_console() {
        let console =
            "[    0.000000] Linux version 6.1.192 (disco@disco) #1\n[    0.204511] shell ready\n\
            bench pipes 110000000\nbench null 40000000 100000\nbench cut 12";
        let side = measured(&(console.to_owned() + " \nbench done\n")).unwrap();
        let figure = |ns, repetitions| Some(Figure { ns, repetitions });
        assert_eq!(side.figure("boot"), figure(204_511_000, None));
        assert_eq!(side.figure("pipes"), figure(110_000_000, None));
        assert_eq!(side.figure("null"), figure(40_000_000, Some(100_000)));
        assert_eq!(side.figures.len(), 3);
    }

    #[test]
    fn nothing_takes_no_time() {
        assert_eq!(measured("bench dd 0\n").unwrap().figure("dd"), None);
    }
}
