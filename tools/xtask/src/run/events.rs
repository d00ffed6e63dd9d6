//! The monitor's events: JSON lines that only the monitor can write.

use anyhow::{bail, Result};
use serde::Deserialize;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;

/// One event.
#[derive(Clone, Debug, Deserialize)]
pub struct Event {
    /// What happened: "boot", "vm_started", "shell_ready", "vm_stopped", "test_verdict", "panic",
    /// "poweroff".
    pub event: String,
    /// When, in nanoseconds after boot.
    #[serde(default)]
    pub ns: u64,
    /// The virtual machine it happened to.
    pub vm: Option<String>,
    /// Why, where there is a why.
    pub reason: Option<String>,
    /// What the guest says about it.
    pub message: Option<String>,
    /// "pass" or "fail" of a test guest.
    pub verdict: Option<String>,
}

/// Reads the events of a running machine as they come.
pub struct Events {
    path: PathBuf,
    position: u64,
    partial: Vec<u8>,
    /// All events so far.
    pub seen: Vec<Event>,
}

impl Events {
    /// Follows the file at `path`, which need not exist yet.
    pub fn follow(path: PathBuf) -> Self {
        Self {
            path,
            position: 0,
            partial: Vec::new(),
            seen: Vec::new(),
        }
    }

    /// Reads what is new. A line that is not an event, or not whole yet, is no event.
    pub fn poll(&mut self) {
        let read = || -> std::io::Result<Vec<u8>> {
            let mut file = File::open(&self.path)?;
            file.seek(SeekFrom::Start(self.position))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let new = read().unwrap_or_default();
        self.position += new.len() as u64;
        self.partial.extend_from_slice(&new);
        while let Some(end) = self.partial.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.partial.drain(..=end).collect();
            self.seen
                .extend(serde_json::from_slice::<Event>(&line).ok());
        }
    }

    /// The first event of this kind, of this virtual machine if one is named.
    pub fn find(&self, kind: &str, vm: Option<&str>) -> Option<&Event> {
        self.seen
            .iter()
            .find(|event| event.event == kind && (vm.is_none() || event.vm.as_deref() == vm))
    }

    /// An error once the monitor has panicked.
    pub fn no_panic(&self) -> Result<()> {
        match self.find("panic", None) {
            Some(panic) => bail!(
                "the monitor stopped: {}",
                panic.reason.as_deref().unwrap_or("no reason given")
            ),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Events;
    use std::io::Write;

    #[test]
    fn a_line_counts_when_it_is_whole() {
        let path = std::env::temp_dir().join(format!("disco-events-{}", std::process::id()));
        let mut file = std::fs::File::create(&path).unwrap();
        let mut events = Events::follow(path.clone());
        file.write_all(b"noise\n{\"event\":\"boot\",\"ns\":1}\n{\"event\":\"vm_sta")
            .unwrap();
        events.poll();
        assert_eq!(events.seen.len(), 1);
        assert!(events.find("vm_started", Some("alpha")).is_none());
        file.write_all(b"rted\",\"vm\":\"alpha\"}\n").unwrap();
        events.poll();
        assert!(events.find("vm_started", Some("alpha")).is_some());
        assert!(events.find("vm_started", Some("beta")).is_none());
        std::fs::remove_file(path).unwrap();
    }
}
