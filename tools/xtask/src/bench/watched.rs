//! A machine that a benchmark runs: it types at consoles and reads what comes.

use crate::build::monitor::Image;
use crate::description::Machine;
use crate::disk::{DiskFile, Keep, Layout};
use crate::flash::Flash;
use crate::paths;
use crate::run::drive::Drive;
use crate::run::qemu::Board;
use crate::run::session::Session;
use anyhow::{ensure, Context, Result};
use regex::bytes::Regex;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

/// A machine whose console is answered.
pub struct Watched {
    session: Session,
    deadline: Instant,
    /// How much of the console was understood.
    read: usize,
    /// Commands that shells were given.
    commands: u32,
}

impl Watched {
    /// Starts `machine`, with a new disk if it has one, and ends it when `work` has ended. What it says is
    /// in files named `name`; it may take `limit` seconds. `arguments` are for QEMU.
    pub fn run<T>(
        monitor: &Image,
        machine: &Machine,
        (name, limit): (&str, u64),
        arguments: &[&str],
        work: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        let folder = paths::target().join("bench");
        fs::create_dir_all(&folder)?;
        let path = |what: &str| folder.join(format!("{name}.{what}"));
        let flash = path("flash");
        let (description, payload) = machine.encode()?;
        Flash::assemble(monitor, &description, payload.bytes)?.write(&flash)?;
        let arguments = arguments.iter().copied().map(str::to_owned).collect();
        let mut board = Board::of_image(&flash, path("events.log"), arguments)?;
        let layout = Layout::of(machine)?;
        let disk = layout.map(|layout| DiskFile::provide(&layout, &path("disk"), Keep::Discard));
        let disk = disk.transpose()?;
        board.disk = disk
            .as_ref()
            .map(|disk| Drive::File(disk.path().to_path_buf()));
        let session = Session::start(&board.command(), &board.events, limit, &folder.join(name))?;
        let mut watched = Self {
            session,
            deadline: Instant::now() + Duration::from_secs(limit),
            read: 0,
            commands: 0,
        };
        let result = work(&mut watched);
        drop(watched);
        if let Some(disk) = disk {
            disk.remove();
        }
        let _ = fs::remove_file(&flash);
        result.with_context(|| format!("see {}", paths::shown(&path("console.log"))))
    }

    /// Waits until the shells of all virtual machines are there.
    pub fn shells(&mut self, machine: &Machine) -> Result<()> {
        for vm in &machine.vms {
            let name = Some(&*vm.name);
            self.wait_for(|session, _| session.events.find("shell_ready", name).is_some())?;
        }
        Ok(())
    }

    /// Attaches to the console of a virtual machine with a shell.
    pub fn attach(&mut self, vm: &str) -> Result<()> {
        let command = format!("\rvm console {vm}\r\r");
        self.say(&command, &format!("{vm}:.*# "))?;
        // What it had shown before comes first, with older prompts.
        self.shell("").map(drop)
    }

    /// Leaves the console that is attached.
    pub fn detach(&mut self) {
        self.session.send("\u{1d}");
    }

    /// Has the shell of a virtual machine that is not attached execute a command, as [`Watched::shell`] does.
    pub fn at(&mut self, vm: &str, command: &str) -> Result<String> {
        self.attach(vm)?;
        let shown = self.shell(command)?;
        self.detach();
        Ok(shown)
    }

    /// Has the shell whose console is attached execute a command; what came until it had ended.
    pub fn shell(&mut self, command: &str) -> Result<String> {
        self.commands += 1;
        let number = self.commands;
        self.say(
            &format!("{command}\recho e''nd {number}\r"),
            &format!("\nend {number}\n"),
        )
    }

    /// Has the monitor execute a command, and waits for the end of its answer, a pattern; the answer.
    pub fn ask(&mut self, command: &str, end: &str) -> Result<String> {
        self.read = self.session.console_len();
        self.say(&format!("\r{command}\r"), end)
    }

    /// What the console has shown and nobody has waited for.
    fn unread(&self) -> Vec<u8> {
        self.session.console().split_off(self.read)
    }

    /// Types, and waits until the console matches; what it has shown up to there.
    fn say(&mut self, text: &str, pattern: &str) -> Result<String> {
        let regex = Regex::new(pattern)?;
        self.session.send(text);
        let mut shown = Vec::new();
        self.wait_for(|_, console| {
            let found = regex.find(console);
            shown = found.map_or_else(Vec::new, |found| console[..found.end()].to_vec());
            found.is_some()
        })?;
        self.read += shown.len();
        Ok(String::from_utf8_lossy(&shown).into_owned())
    }

    fn wait_for(&mut self, mut met: impl FnMut(&Session, &[u8]) -> bool) -> Result<()> {
        loop {
            self.session.events.poll();
            if met(&self.session, &self.unread()) {
                return Ok(());
            }
            self.session.events.no_panic()?;
            ensure!(
                self.session.ended()?.is_none() && Instant::now() < self.deadline,
                "the machine has ended or is too slow"
            );
            thread::sleep(Duration::from_millis(50));
        }
    }
}
