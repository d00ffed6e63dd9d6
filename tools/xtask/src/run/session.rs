//! A machine that a program watches: its console, its events, and its end.

use super::events::Events;
use crate::children::{limited, Guarded};
use anyhow::Result;
use std::fs::File;
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
