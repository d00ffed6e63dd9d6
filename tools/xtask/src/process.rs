//! Runs a long step: its output goes to a log, the person sees progress, and on failure the
//! log's last lines.

use crate::children::Guarded;
use crate::paths;
use anyhow::{bail, Context, Result};
use indicatif::{ProgressBar, ProgressStyle};
use std::fs::{self, File};
use std::io::{IsTerminal, Read, Seek, SeekFrom};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A step shorter than this shows nothing.
const SILENT: Duration = Duration::from_millis(1500);
/// How often a line is printed where there is no terminal.
const PLAIN_INTERVAL: Duration = Duration::from_secs(30);
/// How many lines of a failed step's log are printed.
const LINES_SHOWN: usize = 30;

/// Variables of the cargo that started us; they must not reach another toolchain's cargo.
const FOREIGN: &[&str] = &[
    "CARGO",
    "RUSTC",
    "RUSTDOC",
    "RUSTFLAGS",
    "RUSTUP_TOOLCHAIN",
    "RUSTC_WRAPPER",
];

/// A command without the variables of the cargo that started us.
pub fn clean_command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    for name in FOREIGN {
        command.env_remove(name);
    }
    command
}

/// Runs `command` to its end with its output in `target/log/NAME.log`.
///
/// `title` says what is done, for instance "monitor: compile".
pub fn run_step(title: &str, name: &str, command: &mut Command) -> Result<()> {
    run_step_to(title, name, command, None)
}

/// The same, with standard output in a file of its own.
pub fn run_step_to(
    title: &str,
    name: &str,
    command: &mut Command,
    output: Option<&Path>,
) -> Result<()> {
    let log = paths::logs().join(format!("{name}.log"));
    fs::create_dir_all(paths::logs())?;
    let file = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
    let stdout = match output {
        Some(path) => File::create(path)?,
        None => file.try_clone()?,
    };
    command.stdin(Stdio::null()).stdout(stdout).stderr(file);
    let mut step = Guarded::start_group(command).with_context(|| title.to_owned())?;
    let mut progress = Progress::new(title);
    let status = loop {
        if let Some(status) = step.ended()? {
            break status;
        }
        progress.tick(&log);
        std::thread::sleep(Duration::from_millis(50));
    };
    progress.finish(status.success());
    if !status.success() {
        bail!(
            "{title} failed ({status}); the last lines of {}:\n{}",
            paths::shown(&log),
            last_lines(&log, LINES_SHOWN)
        );
    }
    Ok(())
}

/// The last `count` lines of a file, each after four blanks; empty if it cannot be read.
pub fn last_lines(path: &Path, count: usize) -> String {
    let text = tail(path, 64 << 10);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..]
        .iter()
        .map(|line| format!("    {line}\n"))
        .collect()
}

fn tail(path: &Path, bytes: u64) -> String {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(bytes)))?;
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        Ok(text)
    };
    String::from_utf8_lossy(&read().unwrap_or_default()).into_owned()
}

/// A spinner on a terminal; elsewhere a line now and then.
pub struct Progress {
    title: String,
    started: Instant,
    printed: Option<Instant>,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Of the work that `title` names, which begins now.
    pub fn new(title: &str) -> Self {
        Self {
            title: title.to_owned(),
            started: Instant::now(),
            printed: None,
            bar: None,
        }
    }

    /// The work goes on; the last line of `log` says where it is. To be called often.
    pub fn tick(&mut self, log: &Path) {
        if self.started.elapsed() < SILENT {
            return;
        }
        if !std::io::stderr().is_terminal() {
            self.tick_plain(log);
            return;
        }
        let bar = self.bar.get_or_insert_with(|| {
            let bar = ProgressBar::new_spinner().with_elapsed(self.started.elapsed());
            let style = ProgressStyle::with_template("{spinner} {prefix} [{elapsed}] {wide_msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar.set_prefix(self.title.clone());
            bar
        });
        bar.set_message(last_line(log));
        bar.tick();
    }

    fn tick_plain(&mut self, log: &Path) {
        match self.printed {
            None => eprintln!("{} ...", self.title),
            Some(last) if last.elapsed() < PLAIN_INTERVAL => return,
            Some(_) => {
                let seconds = self.started.elapsed().as_secs();
                eprintln!("{} ... {seconds} s: {}", self.title, last_line(log));
            }
        }
        self.printed = Some(Instant::now());
    }

    /// The work has ended.
    pub fn finish(&mut self, success: bool) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        if success && self.started.elapsed() >= SILENT {
            eprintln!(
                "{}: done in {} s",
                self.title,
                self.started.elapsed().as_secs()
            );
        }
    }
}

fn last_line(log: &Path) -> String {
    let text = tail(log, 1024);
    let line = text
        .lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .unwrap_or_default();
    line.chars().filter(|c| !c.is_control()).take(200).collect()
}
