//! Several Linux machines as as many QEMUs, against as many virtual machines under one monitor in one QEMU: what they take of the
//! host's memory and CPU time for the same work. These are figures of this computer, not of counted instructions.

mod host;
mod table;

use super::gang::{self, Gang};
use super::sides;
use crate::build::linux;
use crate::build::monitor::Image;
use crate::description::Machine;
use crate::flash::{self, Flash};
use crate::paths;
use crate::process::{last_lines, Progress};
use crate::run::native;
use crate::run::qemu::Board;
use crate::run::session::Session;
use anyhow::{bail, ensure, Context, Result};
use host::Usage;
use serde::{Deserialize, Serialize};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

pub use table::of as table;

/// How many machines there are.
const COUNTS: [usize; 4] = [1, 2, 4, 8];
/// What each has to do, and its memory.
const WORK: Gang = Gang {
    window: 1,
    jobs: 2,
    files: 12,
    start: 0,
};
const MEMORY_MIB: usize = 96;
/// Seconds that all machines together may take.
const LIMIT: u64 = 900;

/// So many machines in both ways.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Machines {
    /// How many.
    pub count: usize,
    /// A QEMU for each, without a monitor.
    pub native: Usage,
    /// One QEMU with a monitor.
    pub guest: Usage,
}

/// Measures all counts, in order.
pub fn measure(image: &Image) -> Result<Vec<Machines>> {
    linux::build_gang()?;
    fs::create_dir_all(sides::folder())?;
    let both = |count: usize| {
        Ok(Machines {
            count,
            native: separate(count)?,
            guest: together(count, image)?,
        })
    };
    COUNTS.into_iter().map(both).collect()
}

/// The files of a machine.
fn files(name: &str) -> PathBuf {
    sides::folder().join(format!("machines-{name}"))
}

/// A QEMU for each.
fn separate(count: usize) -> Result<Usage> {
    let command = |_| {
        let memory = format!("{MEMORY_MIB}M");
        native::command(
            &linux::bench_native_kernel_path(),
            &linux::gang_initramfs_path(),
            &memory,
            &WORK.request(),
        )
    };
    let machines = (0..count).map(|number| (format!("native-{number}"), command(number)));
    watch(
        &format!("machines: {count} of QEMU's"),
        machines.collect(),
        count,
    )
}

/// All in one.
fn together(count: usize, image: &Image) -> Result<Usage> {
    let name = format!("guests-{count}");
    let (description, payload) = machine(count)?.encode()?;
    let flash = files(&name).with_extension("flash");
    Flash::assemble(image, &description, payload.bytes)?.write(&flash)?;
    let events = files(&name).with_extension("events.log");
    let board = Board::of_image(&flash, events, Vec::new())?;
    let title = format!("machines: {count} of the monitor's");
    let usage = watch(&title, vec![(name, board.command())], count);
    let _ = fs::remove_file(&flash);
    let _ = fs::remove_file(flash::payload_path(&flash));
    usage
}

fn machine(count: usize) -> Result<Machine> {
    let mut text = "[hardware]\ncpus = 2\nnodes = 2\nmemory = \"1G\"\n".to_owned();
    for number in 0..count {
        let _ = write!(
            text,
            "[[vm]]\nname = \"vm-{number}\"\nguest = {:?}\ninitrd = {:?}\nmemory = \"{MEMORY_MIB}M\"\n\
             cmdline = \"{} {}\"\n",
            linux::bench_kernel_path(),
            linux::gang_initramfs_path(),
            linux::COMMAND_LINE,
            WORK.request()
        );
    }
    let place = "the machine of bench's machines";
    Ok(Machine::parse(place, Path::new(""), &text)?)
}

/// Runs QEMUs with names until `count` machines in them have ended their work; what the QEMUs have taken then.
fn watch(title: &str, machines: Vec<(String, Command)>, count: usize) -> Result<Usage> {
    let Some(log) = machines
        .first()
        .map(|(name, _)| files(name).with_extension("console.log"))
    else {
        bail!("no machine");
    };
    let started = Instant::now();
    let mut progress = Progress::new(title);
    let start = |(name, command): &(String, Command)| {
        let events = files(name).with_extension("events.log");
        Session::start(command, &events, LIMIT, &files(name))
    };
    let mut sessions = machines.iter().map(start).collect::<Result<Vec<_>>>()?;
    let consoles = loop {
        thread::sleep(Duration::from_millis(100));
        progress.tick(&log);
        let consoles: Vec<String> = sessions
            .iter()
            .map(|session| String::from_utf8_lossy(&session.console()).into_owned())
            .collect();
        if consoles
            .iter()
            .map(|console| gang::ended(console))
            .sum::<usize>()
            == count
        {
            break consoles;
        }
        for session in &mut sessions {
            session.events.poll();
            session.events.no_panic()?;
            ensure!(
                session.ended()?.is_none() && started.elapsed().as_secs() < LIMIT,
                "a machine has ended or is too slow; the last lines of {}:\n{}",
                paths::shown(&log),
                last_lines(&log, 15)
            );
        }
    };
    let mut usage = Usage::default();
    for session in &mut sessions {
        usage += Usage::of(session.emulator()?)?;
    }
    usage.wall_ms = u64::try_from(started.elapsed().as_millis())?;
    progress.finish(true);
    gang::check(&consoles, count * WORK.jobs).with_context(|| paths::shown(&log))?;
    Ok(usage)
}
