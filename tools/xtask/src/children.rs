//! Programs that must not outlive this one.

use anyhow::{Context, Result};
use rustix::process::{
    kill_process, kill_process_group, test_kill_process, test_kill_process_group, Pid, Signal,
};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// What a signal to us must end.
static RUNNING: Mutex<Vec<Target>> = Mutex::new(Vec::new());

/// How many tenths of a second a program has to end by itself.
const PATIENCE: u32 = 20;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Target {
    /// A process group that is not ours.
    Group(Pid),
    /// A process in our own group.
    Process(Pid),
}

impl Target {
    fn is_there(self) -> bool {
        match self {
            Self::Group(group) => test_kill_process_group(group).is_ok(),
            Self::Process(process) => test_kill_process(process).is_ok(),
        }
    }

    fn signal(self, signal: Signal) {
        // One that has just ended needs nothing.
        let _ = match self {
            Self::Group(group) => kill_process_group(group, signal),
            Self::Process(process) => kill_process(process, signal),
        };
    }
}

/// From now on, a signal that ends us first ends every [`Guarded`] program.
pub fn end_with_us() -> Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGHUP, SIGINT, SIGTERM])?;
    thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
            running
                .iter()
                .for_each(|target| target.signal(Signal::TERM));
            for _ in 0..PATIENCE {
                if !running.iter().any(|target| target.is_there()) {
                    break;
                }
                thread::sleep(Duration::from_millis(100));
            }
            running
                .iter()
                .for_each(|target| target.signal(Signal::KILL));
            std::process::exit(128 + signal);
        }
    });
    Ok(())
}

/// A running program that ends with this value.
pub struct Guarded {
    child: Child,
    target: Target,
}

impl Guarded {
    /// Starts a program with the terminal: it stays in our process group.
    pub fn start(command: &mut Command) -> Result<Self> {
        let child = spawn(command)?;
        let target = Target::Process(Pid::from_child(&child));
        Ok(Self::new(child, target))
    }

    /// Starts a program in a process group of its own.
    pub fn start_group(command: &mut Command) -> Result<Self> {
        let child = spawn(command.process_group(0))?;
        let target = Target::Group(Pid::from_child(&child));
        Ok(Self::new(child, target))
    }

    fn new(child: Child, target: Target) -> Self {
        RUNNING
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(target);
        Self { child, target }
    }

    /// The program, for its pipes.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Its exit status if it has ended.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            self.target.signal(Signal::KILL);
            let _ = self.child.wait();
        }
        RUNNING
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|other| *other != self.target);
    }
}

fn spawn(command: &mut Command) -> Result<Child> {
    command
        .spawn()
        .with_context(|| format!("cannot start {}", command.get_program().display()))
}

/// `command` under a time limit that holds even if we are killed.
pub fn limited(command: &Command, seconds: u64) -> Command {
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
    limited
}
