//! Runs one test of the manifest.

use super::http;
use super::manifest::Test;
use super::steps::Player;
use crate::build::monitor::Image;
use crate::children::{limited, Guarded};
use crate::disk::{self, DiskFile, Keep, Layout};
use crate::flash::Flash;
use crate::numa_report;
use crate::paths;
use crate::process::last_lines;
use crate::run::drive::{DiskFault, Drive};
use crate::run::magic::{self, Magic};
use crate::run::qemu::Board;
use crate::run::session::Session;
use anyhow::{bail, ensure, Context, Result};
use regex::Regex;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// The outer limit of a machine under test comes this long after the inner one.
const GRACE: u64 = 20;

/// Where a test's files go.
fn file(test: &Test, kind: &str) -> PathBuf {
    paths::target()
        .join("test")
        .join(format!("{}.{kind}", test.name))
}

/// Runs a test. The error says what was expected, and quotes and names the log.
pub fn run(test: &Test, monitor: Option<&Image>) -> Result<()> {
    fs::create_dir_all(paths::target().join("test"))?;
    let (result, log) = match &test.xtask {
        Some(arguments) => (run_xtask(test, arguments), file(test, "output.log")),
        None => (run_machine(test, monitor), file(test, "console.log")),
    };
    result.map_err(|error| {
        let qemu = last_lines(&file(test, "qemu.log"), 3);
        let qemu: String = qemu
            .lines()
            .filter(|line| !crate::run::expected_warning(line))
            .map(|line| format!("\n{line}"))
            .collect();
        let lines = last_lines(&log, 15);
        anyhow::anyhow!(
            "{error:#}{qemu}\n  last lines of {}:\n{lines}",
            paths::shown(&log)
        )
    })
}

fn run_machine(test: &Test, monitor: Option<&Image>) -> Result<()> {
    let monitor = monitor.context("the monitor was not built")?;
    let flash = file(test, "flash");
    let machine = test.machine()?;
    let (description, payload) = machine.encode()?;
    let mut image = Flash::assemble(monitor, &description, payload.bytes)?;
    damage(&mut image.image, &test.damage).context("damage")?;
    damage(&mut image.payload, &test.damage_payload).context("damage_payload")?;
    image.write(&flash)?;
    // Each run has a disk of its own, whatever one before has left.
    let disk = Layout::of(&machine)?
        .map(|layout| DiskFile::provide(&layout, &disk::path_beside(&flash), Keep::Discard))
        .transpose()?;
    if let Some(disk) = &disk {
        damage_file(disk.path(), &test.damage_disk).context("damage_disk")?;
    }
    let disk_path = disk.as_ref().map(|disk| disk.path().to_path_buf());
    let mut board = Board::of_image(&flash, file(test, "events.log"), test.qemu.clone())?;
    let targets = test.forward.iter();
    let forwards = targets.map(|target| http::forward(target));
    let forwards = forwards.collect::<Result<Vec<_>>>()?;
    board.forward(&forwards)?;
    let magic = (!test.magic.is_empty())
        .then(|| Magic::build(file(test, "magic.json"), Vec::new()))
        .transpose()?;
    if let Some(magic) = &magic {
        board.model(magic)?;
    }
    board.disk = match (disk_path.clone(), test.disk_errors.is_empty()) {
        (Some(path), true) => Some(Drive::File(path)),
        (Some(path), false) => {
            let faults = file(test, "blkdebug");
            DiskFault::write(&test.disk_errors, &faults)?;
            Some(Drive::Faulty(path, faults))
        }
        (None, _) => None,
    };
    let seconds = test.timeout + GRACE;
    let logs = paths::target().join("test").join(&test.name);
    let start = |damage: &[i64]| {
        if let Some(path) = &disk_path {
            damage_file(path, damage).context("damage_disk")?;
        }
        Session::start(&board.command(), &board.events, seconds, &logs)
    };
    let mut session = start(&[])?;
    let deadline = Instant::now() + Duration::from_secs(test.timeout);
    let mut player = Player::new(&mut session, deadline, &forwards, &start);
    player.play(&test.steps)?;
    player.verdicts(&test.verdicts())?;
    player.check_events()?;
    if let Some(pattern) = &test.never {
        let console = session.console();
        let found = Regex::new(&format!("(?m){pattern}"))?
            .find(&String::from_utf8_lossy(&console))
            .map(|m| m.as_str().to_owned());
        if let Some(text) = found {
            bail!("the console must never match /{pattern}/, and it shows: {text}");
        }
    }
    drop(session);
    if let Some(magic) = &magic {
        check_magic(test, magic)?;
    }
    if !test.report.is_empty() {
        check_report(test, &board.events)?;
    }
    let _ = fs::remove_file(&flash);
    let _ = fs::remove_file(crate::flash::payload_path(&flash));
    if let Some(disk) = disk {
        disk.remove();
    }
    Ok(())
}

/// Looks at what the exact model says of the run.
fn check_magic(test: &Test, magic: &Magic) -> Result<()> {
    let report = magic.read()?;
    for (mode, [least, most]) in &test.magic {
        let percent = magic::local_percent(&report, mode)
            .with_context(|| format!("the exact model has no mode `{mode}`"))?;
        ensure!(
            (*least..=*most).contains(&percent),
            "expected {least} to {most} % of the misses of mode {mode} to be local, and {percent:.1} % are: {}",
            paths::shown(&magic.report)
        );
    }
    Ok(())
}

/// Looks at the page of the run's memory.
fn check_report(test: &Test, events: &Path) -> Result<()> {
    let output = file(test, "html");
    numa_report::write(events, &output)?;
    let page = fs::read_to_string(&output)?;
    for pattern in &test.report {
        ensure!(
            Regex::new(&format!("(?m){pattern}"))?.is_match(&page),
            "expected {} to match /{pattern}/",
            paths::shown(&output)
        );
    }
    Ok(())
}

fn damage(bytes: &mut [u8], offsets: &[usize]) -> Result<()> {
    for &offset in offsets {
        let length = bytes.len();
        let byte = bytes
            .get_mut(offset)
            .with_context(|| format!("there is no byte {offset:#x} of {length:#x}"))?;
        *byte = !*byte;
    }
    Ok(())
}

fn damage_file(path: &Path, offsets: &[i64]) -> Result<()> {
    let mut file = File::options().read(true).write(true).open(path)?;
    for &offset in offsets {
        let place = match u64::try_from(offset) {
            Ok(offset) => SeekFrom::Start(offset),
            Err(_) => SeekFrom::End(offset),
        };
        let place = file.seek(place)?;
        let mut byte = [0];
        file.read_exact(&mut byte)
            .with_context(|| format!("there is no byte {offset:#x}"))?;
        file.seek(SeekFrom::Start(place))?;
        file.write_all(&[!byte[0]])?;
    }
    Ok(())
}

/// Runs `cargo xtask ARGUMENTS` and looks at its output and exit status.
fn run_xtask(test: &Test, arguments: &[String]) -> Result<()> {
    let log = file(test, "output.log");
    let output = File::create(&log)?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(arguments).current_dir(paths::root());
    let seconds = test.timeout + GRACE;
    let mut command = limited(&command, seconds);
    command
        .stdin(Stdio::piped())
        .stdout(output.try_clone()?)
        .stderr(output);
    let mut program = Guarded::start_group(&mut command)?;
    if let Some(mut pipe) = program.child().stdin.take() {
        // Less than a pipe holds, so nothing waits; a program that wants none may be gone.
        let _ = pipe.write_all(test.input.as_bytes());
    }
    let deadline = Instant::now() + Duration::from_secs(test.timeout);
    let status = loop {
        if let Some(status) = program.ended()? {
            break status;
        }
        ensure!(
            Instant::now() < deadline,
            "expected an end within {} s",
            test.timeout
        );
        thread::sleep(Duration::from_millis(20));
    };
    let text = String::from_utf8_lossy(&fs::read(&log)?).replace('\r', "");
    if let Some(pattern) = &test.says {
        ensure!(
            Regex::new(&format!("(?m){pattern}"))?.is_match(&text),
            "expected output that matches /{pattern}/"
        );
    }
    ensure!(
        status.code() == Some(test.status),
        "expected exit status {}, and it is {status}",
        test.status
    );
    Ok(())
}
