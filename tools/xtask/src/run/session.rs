//! A machine that a program watches: its console, its events, and its end.

use super::events::Events;
use crate::children::{limited, Guarded};
use anyhow::{Context, Result};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// A running machine.
pub struct Session {
    machine: Guarded,
    input: Option<ChildStdin>,
    console: Arc<Mutex<Vec<u8>>>,
    /// Its events.
    pub events: Events,
}

impl Session {
    /// Starts QEMU for at most `seconds`. What its console prints goes to `logs`.console.log, its
    /// own words to `logs`.qemu.log, and its events are in `events`.
    pub fn start(qemu: &Command, events: &Path, seconds: u64, logs: &Path) -> Result<Self> {
        File::create(events)?;
        let log = File::create(logs.with_extension("console.log"))?;
        let mut command = limited(qemu, seconds);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(logs.with_extension("qemu.log"))?);
        let mut machine = Guarded::start_group(&mut command)?;
        let console = Arc::new(Mutex::new(Vec::new()));
        if let Some(output) = machine.child().stdout.take() {
            let console = Arc::clone(&console);
            thread::spawn(move || collect(output, log, &console));
        }
        let input = machine.child().stdin.take();
        let events = Events::follow(events.to_path_buf());
        Ok(Self {
            machine,
            input,
            console,
            events,
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

    /// The number of QEMU's process, which the program that limits its time has started.
    pub fn emulator(&mut self) -> Result<u32> {
        let limiter = self.machine.child().id();
        let path = format!("/proc/{limiter}/task/{limiter}/children");
        let children = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        let child = children
            .split_whitespace()
            .next()
            .context("QEMU has ended")?;
        Ok(child.parse()?)
    }

    /// QEMU's exit status if it has ended.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.machine.ended()
    }
}

/// Copies what the console prints to `log`, and what a reader of lines sees of it to `console`.
fn collect(mut output: ChildStdout, mut log: File, console: &Mutex<Vec<u8>>) {
    let mut buffer = [0; 4096];
    let mut raw = Vec::new();
    while let Ok(length @ 1..) = output.read(&mut buffer) {
        let _ = log.write_all(&buffer[..length]);
        raw.extend_from_slice(&buffer[..length]);
        let shown = take_lines(&mut raw);
        console
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(shown);
    }
}

/// What the monitor prints to clear its prompt's line before it prints something else.
const CLEAR_LINE: &[u8] = b"\x1b[K";

/// Takes bytes for a reader of lines: without carriage returns, and with a new line where the
/// prompt's line is cleared. The start of a [`CLEAR_LINE`] stays until the rest has come.
fn take_lines(raw: &mut Vec<u8>) -> Vec<u8> {
    let mut shown = Vec::new();
    let mut at = 0;
    while at < raw.len() {
        let rest = &raw[at..];
        if rest.starts_with(CLEAR_LINE) {
            shown.push(b'\n');
            at += CLEAR_LINE.len();
        } else if CLEAR_LINE.starts_with(rest) {
            break;
        } else {
            shown.extend(Some(rest[0]).filter(|&byte| byte != b'\r'));
            at += 1;
        }
    }
    raw.drain(..at);
    shown
}

#[cfg(test)]
mod tests {
    use super::take_lines;

    #[test]
    fn a_cleared_prompt_ends_its_line() {
        let mut raw = b"disco> \r\x1b[K[a] text\r\n\x1b".to_vec();
        assert_eq!(take_lines(&mut raw), b"disco> \n[a] text\n");
        raw.extend_from_slice(b"[Kb");
        assert_eq!(take_lines(&mut raw), b"\nb");
        assert!(raw.is_empty());
    }
}
