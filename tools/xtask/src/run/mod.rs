//! Runs the machine for a person or a pipe.

pub mod drive;
pub mod events;
pub mod feed;
pub mod magic;
pub mod native;
pub mod network;
pub mod qemu;
pub mod session;

use crate::build::cache::Key;
use crate::build::{guests, monitor};
use crate::children::Guarded;
use crate::description::Machine;
use crate::disk::{DiskFile, Keep, Layout};
use crate::flash::{Flash, Hardware};
use crate::paths;
use crate::setup::toolchain::Toolchain;
use anyhow::{bail, Context, Result};
use drive::Drive;
use events::Events;
use feed::Feed;
use magic::Magic;
use network::Forward;
use qemu::Board;
use rustix::termios::{tcgetattr, tcsetattr, OptionalActions, Termios};
use std::fs;
use std::io::{BufRead, BufReader, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStderr, ChildStdout, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Builds what a machine needs, writes its flash image to `output`, and provides its real disk at
/// `disk`, if it has one.
pub fn build(
    machine: &Machine,
    toolchain: &Toolchain,
    output: &Path,
    disk: &Path,
    keep: Keep,
) -> Result<Option<DiskFile>> {
    let monitor = monitor::Image::build(toolchain)?;
    guests::build_for(machine, toolchain)?;
    let (description, payload) = machine.encode()?;
    Flash::assemble(&monitor, &description, payload.bytes)?.write(output)?;
    Layout::of(machine)?
        .map(|layout| DiskFile::provide(&layout, disk, keep))
        .transpose()
}

/// Checks forwards before anything is built.
pub fn check_forwards(machine: &Machine, forwards: &[Forward]) -> Result<()> {
    let vms = machine.vms.iter().map(|vm| (&*vm.name, vm.net));
    network::check(&vms.collect::<Vec<_>>(), forwards)
}

/// Where the real disk of a machine stays from one run to the next.
pub fn disk_path(machine: Option<&Path>) -> PathBuf {
    let folder = paths::target().join("disk");
    let Some(file) = machine else {
        return folder.join("default.disk");
    };
    // Descriptions of one name in different folders are different machines.
    let place = file.canonicalize().unwrap_or_else(|_| file.to_path_buf());
    let hash = Key::new("machine").text(&place.to_string_lossy()).hex();
    let name = file.file_stem().unwrap_or_default().to_string_lossy();
    folder.join(format!("{name}-{}.disk", &hash[..8]))
}

/// A flash image made for one run and removed after it.
pub struct OwnImage(PathBuf);

impl OwnImage {
    /// A path that no other run uses.
    pub fn new() -> Self {
        Self(paths::target().join(format!("run-{}.flash", std::process::id())))
    }

    /// Where the image goes.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for OwnImage {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
        let _ = fs::remove_file(crate::flash::payload_path(&self.0));
    }
}

/// What a person wants of a run.
pub struct Wishes {
    /// Where the events go.
    pub events: Option<PathBuf>,
    /// Ports that lead to virtual machines.
    pub forwards: Vec<Forward>,
    /// The exact model of the memory system, if it is to run beside.
    pub magic: Option<Magic>,
    /// Further arguments for QEMU.
    pub extra: Vec<String>,
}

/// Runs the image at `flash` until the machine is off; its end decides about success.
pub fn run(flash: &Path, disk: Option<&DiskFile>, wishes: Wishes) -> Result<()> {
    let kept = wishes.events.is_some();
    let events = wishes
        .events
        .unwrap_or_else(|| paths::target().join(format!("run-{}.events", std::process::id())));
    fs::create_dir_all(paths::target())?;
    fs::write(&events, "").with_context(|| format!("cannot write {}", events.display()))?;
    let mut board = Board::of_image(flash, events.clone(), wishes.extra)?;
    board.forward(&wishes.forwards)?;
    if let Some(magic) = &wishes.magic {
        board.model(magic)?;
        let counts = board.extra.iter().any(|argument| argument == "-icount");
        if counts && board.hardware.cpus > 1 && !magic::tells_cpus_apart() {
            eprintln!("xtask: {}", magic::WRONG_CPUS);
        }
    }
    match disk {
        Some(disk) => board.disk = Some(Drive::File(disk.path().to_path_buf())),
        None if board.hardware.disk => eprintln!(
            "xtask: {} is missing: the machine has no disks",
            paths::shown(&crate::disk::path_beside(flash))
        ),
        None => {}
    }
    let mut follow = Events::follow(events.clone());
    let status = if std::io::stdin().is_terminal() {
        run_on_terminal(&board)
    } else {
        run_on_pipe(&board, &mut follow)
    };
    follow.poll();
    if !kept {
        let _ = fs::remove_file(&events);
    }
    verdict(status?, &follow)?;
    if let Some(magic) = &wishes.magic {
        eprintln!("{}", magic.summary()?);
    }
    Ok(())
}

/// Whether a machine that ended has done so well.
fn verdict(status: ExitStatus, events: &Events) -> Result<()> {
    events.no_panic()?;
    if !status.success() {
        bail!("{} ended with {status}", qemu::PROGRAM);
    }
    if events.find("boot", None).is_none() {
        bail!("the machine ended before the monitor had started");
    }
    if events.find("poweroff", None).is_none() {
        bail!("the machine ended, but not by the monitor's poweroff");
    }
    Ok(())
}

/// The terminal's settings, restored at the end whatever QEMU did to them.
struct TerminalKeeper(Option<Termios>);

impl TerminalKeeper {
    fn keep() -> Self {
        Self(tcgetattr(std::io::stdin()).ok())
    }
}

impl Drop for TerminalKeeper {
    fn drop(&mut self) {
        if let Some(settings) = &self.0 {
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Drain, settings);
        }
    }
}

/// QEMU has the terminal and makes it raw: every key, Ctrl-C too, goes to the machine.
fn run_on_terminal(board: &Board) -> Result<ExitStatus> {
    let _keeper = TerminalKeeper::keep();
    let mut command = board.command();
    command.stderr(Stdio::piped());
    let mut machine = Guarded::start(&mut command)?;
    let warnings = machine.child().stderr.take().map(pass_warnings);
    let status = machine.child().wait()?;
    finish(warnings);
    Ok(status)
}

fn run_on_pipe(board: &Board, events: &mut Events) -> Result<ExitStatus> {
    let mut command = board.command();
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut machine = Guarded::start_group(&mut command)?;
    let warnings = machine.child().stderr.take().map(pass_warnings);
    let printed = Arc::new(Mutex::new(Instant::now()));
    let output = machine
        .child()
        .stdout
        .take()
        .map(|stdout| pass_output(stdout, Arc::clone(&printed)));
    let mut feed = machine.child().stdin.take().map(Feed::start);
    let started = Instant::now();
    let status = loop {
        if let Some(status) = machine.ended()? {
            break status;
        }
        events.poll();
        let ready = started.elapsed() >= feed::READY_MAX || is_ready(&board.hardware, events);
        let last = printed
            .lock()
            .map_or_else(|broken| *broken.into_inner(), |time| *time);
        if let Some(feed) = &mut feed {
            feed.step(ready, last);
        }
        thread::sleep(Duration::from_millis(20));
    };
    finish(output);
    finish(warnings);
    Ok(status)
}

/// Whether every virtual machine that is started at boot takes input, or never will.
pub fn is_ready(hardware: &Hardware, events: &Events) -> bool {
    if events.find("panic", None).is_some() {
        return true;
    }
    events.find("boot", None).is_some()
        && hardware.vms.iter().filter(|vm| vm.started).all(|vm| {
            let kind = if vm.linux {
                "shell_ready"
            } else {
                "vm_started"
            };
            events
                .find(kind, Some(&vm.name))
                .or_else(|| events.find("vm_stopped", Some(&vm.name)))
                .is_some()
        })
}

/// Copies the console to standard output and notes when.
fn pass_output(mut from: ChildStdout, printed: Arc<Mutex<Instant>>) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            let mut out = std::io::stdout().lock();
            let _ = out.write_all(&buffer[..length]).and_then(|()| out.flush());
            if let Ok(mut time) = printed.lock() {
                *time = Instant::now();
            }
        }
    })
}

/// Copies what QEMU says, but for its word on parallel CPUs, which is true of no run of ours:
/// the board's document says how they were tried.
fn pass_warnings(from: ChildStderr) -> JoinHandle<()> {
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if !expected_warning(&line) {
                eprintln!("{line}");
            }
        }
    })
}

/// Whether QEMU prints this line in every run.
pub fn expected_warning(line: &str) -> bool {
    line.contains("Guest not yet converted to MTTCG")
        || line.contains("You may get unexpected results")
}

fn finish(thread: Option<JoinHandle<()>>) {
    if let Some(thread) = thread {
        let _ = thread.join();
    }
}
