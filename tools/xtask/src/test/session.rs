//! A machine under test: its console, its events, and its end.

use crate::run::events::Events;
use crate::run::qemu::Board;
use anyhow::{Context, Result};
use rustix::process::{kill_process_group, Pid, Signal};
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Process groups that a signal to us must end: they are not in the terminal's own group.
static RUNNING: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// Ends every machine under test when this program is told to end.
pub fn end_with_us() -> Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGHUP, SIGINT, SIGTERM])?;
    thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            for group in RUNNING
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .iter()
            {
                let _ = kill_process_group(*group, Signal::KILL);
            }
            std::process::exit(128 + signal);
        }
    });
    Ok(())
}

/// A child in a process group of its own, which ends with this value.
pub struct Group(Child);

impl Group {
    /// Starts `command` under `timeout`, so that its end is certain even if we are killed.
    pub fn start(
        command: &Command,
        seconds: u64,
        stdin: Stdio,
        stdout: Stdio,
        stderr: Stdio,
    ) -> Result<Self> {
        let mut limited = Command::new("timeout");
        limited
            .args(["--kill-after=5", &seconds.to_string()])
            .arg(command.get_program());
        limited.args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => limited.env(name, value),
                None => limited.env_remove(name),
            };
        }
        if let Some(folder) = command.get_current_dir() {
            limited.current_dir(folder);
        }
        let program = command.get_program().display();
        let child = limited
            .stdin(stdin)
            .stdout(stdout)
            .stderr(stderr)
            .process_group(0)
            .spawn();
        let child = child.with_context(|| format!("cannot start {program}"))?;
        let group = Pid::from_child(&child);
        RUNNING
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(group);
        Ok(Self(child))
    }

    /// Its exit status if it has ended.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.0.try_wait()?)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let group = Pid::from_child(&self.0);
        if !matches!(self.0.try_wait(), Ok(Some(_))) {
            let _ = kill_process_group(group, Signal::KILL);
            let _ = self.0.wait();
        }
        RUNNING
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|other| *other != group);
    }
}

/// A running machine.
pub struct Session {
    machine: Group,
    input: Option<ChildStdin>,
    console: Arc<Mutex<Vec<u8>>>,
    /// Its events.
    pub events: Events,
}

impl Session {
    /// Starts `board`; what it prints goes to `console_log`, what QEMU says to `qemu_log`.
    pub fn start(board: &Board, seconds: u64, console_log: &Path, qemu_log: &Path) -> Result<Self> {
        File::create(&board.events)?;
        let stderr = File::create(qemu_log)?;
        let log = File::create(console_log)?;
        let mut machine = Group::start(
            &board.command(),
            seconds,
            Stdio::piped(),
            Stdio::piped(),
            stderr.into(),
        )?;
        let console = Arc::new(Mutex::new(Vec::new()));
        if let Some(output) = machine.0.stdout.take() {
            let console = Arc::clone(&console);
            thread::spawn(move || collect(output, log, &console));
        }
        let input = machine.0.stdin.take();
        Ok(Self {
            machine,
            input,
            console,
            events: Events::follow(board.events.clone()),
        })
    }

    /// What the console has shown so far, without carriage returns.
    pub fn console(&self) -> Vec<u8> {
        self.console
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Length of what [`Self::console`] gives.
    pub fn console_len(&self) -> usize {
        self.console
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    /// Types on the console. A machine that is off takes nothing.
    pub fn send(&mut self, text: &str) {
        if let Some(input) = &mut self.input {
            let _ = input
                .write_all(text.as_bytes())
                .and_then(|()| input.flush());
        }
    }

    /// QEMU's exit status if it has ended.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.machine.ended()
    }
}

fn collect(mut output: ChildStdout, mut log: File, console: &Mutex<Vec<u8>>) {
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = output.read(&mut buffer) {
        let _ = log.write_all(&buffer[..length]);
        let shown = buffer[..length]
            .iter()
            .copied()
            .filter(|&byte| byte != b'\r');
        console
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(shown);
    }
}
