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
/// The guest's memory, and the bare board's.
const MEMORY: &str = "256M";
/// How long a side may take.
const LIMIT: Duration = Duration::from_secs(900);

/// Linux on the bare board.
pub fn native() -> Result<Figures> {
    let line = format!("{NATIVE_COMMAND_LINE} {}", request());
    let mut command = native::command(&linux::bench_initramfs_path(), MEMORY, &line);
    measure("native", command.args(COUNTED), &events("native")?)
}

/// Linux as the only guest of the monitor.
pub fn guest(monitor: &Image) -> Result<Figures> {
    let text = format!(
        "[hardware]\ncpus = 1\nnodes = 1\nmemory = \"512M\"\nconsole = \"bench\"\n\
         [[vm]]\nname = \"bench\"\nguest = {:?}\ninitrd = {:?}\nmemory = \"{MEMORY}\"\n\
         cmdline = \"{} {}\"\n",
        linux::bench_kernel_path(),
        linux::bench_initramfs_path(),
        linux::COMMAND_LINE,
        request()
    );
    let machine = Machine::parse("the benchmark's machine", Path::new(""), &text)?;
    let (description, payload) = machine.encode()?;
    let events = events("guest")?;
    let flash = folder().join("guest.flash");
    Flash::assemble(monitor, &description, payload.bytes)?.write(&flash)?;
    let counted = COUNTED
        .iter()
        .map(|&argument| argument.to_owned())
        .collect();
    let board = Board::of_image(&flash, events.clone(), counted)?;
    measure("guest", &board.command(), &events)
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

fn folder() -> PathBuf {
    paths::target().join("bench")
}

fn events(side: &str) -> Result<PathBuf> {
    fs::create_dir_all(folder())?;
    Ok(folder().join(format!("{side}.events.log")))
}

fn measure(side: &str, command: &Command, events: &Path) -> Result<Figures> {
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
            return figures(&console).with_context(|| format!("see {}", paths::shown(&log)));
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
