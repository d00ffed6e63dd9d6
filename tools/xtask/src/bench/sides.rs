//! The two sides of the comparison.

use super::{COUNTED, PHASES};
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

/// Nanoseconds of virtual time that each phase took.
pub type Figures = BTreeMap<String, u64>;

/// No calibration of the delay loop, which the guest does not
/// need either.
const NATIVE_COMMAND_LINE: &str = "lpj=5000000";
/// QEMU gives the board's kernel random numbers, which decide where programs are loaded: the same ones each time.
const SEED: [&str; 2] = ["-seed", "1"];
/// The guest's memory, and the bare board's.
pub const MEMORY_MIB: u64 = 256;
/// How long a side may take.
const LIMIT: Duration = Duration::from_secs(900);

/// Linux on the bare board.
pub fn native() -> Result<Figures> {
    let command = native_command(&linux::bench_initramfs_path());
    measure("native", &command, &events("native")?)
}

/// QEMU with the bare board and Linux on it, with this user land.
pub fn native_command(initramfs: &Path) -> Command {
    let line = format!("{NATIVE_COMMAND_LINE} {}", request());
    let memory = format!("{MEMORY_MIB}M");
    let mut command = native::command(initramfs, &memory, &line);
    command.args(COUNTED).args(SEED);
    command
}

/// Linux as the only guest of the monitor.
pub fn guest(monitor: &Image) -> Result<Figures> {
    let machine = guest_machine(&linux::bench_initramfs_path())?;
    let events = events("guest")?;
    let board = guest_board(monitor, &machine, &folder().join("guest.flash"), &events)?;
    measure("guest", &board.command(), &events)
}

/// The machine with Linux as its only guest, with this user land.
pub fn guest_machine(initramfs: &Path) -> Result<Machine> {
    let text = format!(
        "[hardware]\ncpus = 1\nnodes = 1\nmemory = \"512M\"\nconsole = \"bench\"\n\
         [[vm]]\nname = \"bench\"\nguest = {:?}\ninitrd = {initramfs:?}\nmemory = \"{MEMORY_MIB}M\"\n\
         cmdline = \"{} {}\"\n",
        linux::bench_kernel_path(),
        linux::COMMAND_LINE,
        request()
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
fn request() -> String {
    let asked: Vec<&str> = PHASES
        .iter()
        .map(|phase| phase.name)
        .filter(|&name| name != "boot")
        .collect();
    format!("disco.bench={}", asked.join(","))
}

pub fn folder() -> PathBuf {
    paths::target().join("bench")
}

pub fn events(side: &str) -> Result<PathBuf> {
    fs::create_dir_all(folder())?;
    Ok(folder().join(format!("{side}.events.log")))
}

fn measure(side: &str, command: &Command, events: &Path) -> Result<Figures> {
    let console = run(side, command, events)?;
    let log = folder().join(side).with_extension("console.log");
    figures(&console).with_context(|| format!("see {}", paths::shown(&log)))
}

/// Runs a side until its user land has done what it was asked for; its console.
pub fn run(side: &str, command: &Command, events: &Path) -> Result<String> {
    let logs = folder().join(side);
    let log = logs.with_extension("console.log");
    let mut session = Session::start(command, events, LIMIT.as_secs(), &logs)?;
    let started = Instant::now();
    eprintln!("{side}: measuring ...");
    loop {
        let ended = session.ended()?;
        let console = String::from_utf8_lossy(&session.console()).into_owned();
        if console.contains("bench done") {
            eprintln!("{side}: done in {} s", started.elapsed().as_secs());
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

/// The figures in what a side printed: the kernel's time of "shell ready", which begins where
/// the clock is known, and a line for each phase.
fn figures(console: &str) -> Result<Figures> {
    let ready = Regex::new(r"\[ *(\d+)\.(\d{6})\] shell ready")?;
    let line = Regex::new(r"bench ([a-z]+) (\d+)")?;
    let mut figures = Figures::new();
    if let Some(found) = ready.captures(console) {
        let (seconds, micros): (u64, u64) = (found[1].parse()?, found[2].parse()?);
        figures.insert("boot".to_owned(), seconds * 1_000_000_000 + micros * 1000);
    }
    for found in line.captures_iter(console) {
        figures.insert(found[1].to_owned(), found[2].parse()?);
    }
    Ok(figures)
}

#[cfg(test)]
mod tests {
    use super::figures;

    #[test]
    fn figures_of_a_console() {
        let console =
            "[    0.204511] shell ready\nbench pipes 110000000\nbench dd 40000000\nbench done\n";
        let figures = figures(console).unwrap();
        assert_eq!(figures["boot"], 204_511_000);
        assert_eq!(figures["pipes"], 110_000_000);
        assert_eq!(figures["dd"], 40_000_000);
        assert_eq!(figures.len(), 3);
    }
}
