//! `cargo xtask conformance linux`: one program, many areas (`guests/linux/conformance`), on Linux on
//! the bare board and on Linux in a virtual machine. Every line it prints is the same in both.

use super::Outcome;
use crate::build::{linux, monitor};
use crate::description::Machine;
use crate::flash::Flash;
use crate::paths;
use crate::process::last_lines;
use crate::run::native;
use crate::run::qemu::Board;
use crate::run::session::Session;
use anyhow::{bail, Result};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

/// The guest's memory, and the bare board's.
const MEMORY: &str = "128M";
/// On both kernels' command lines: warnings are all they print, so that no line is torn.
const COMMAND_LINE: &str = "quiet disco.conformance";
/// Before each line of the program's, and alone with [`END`] at its end.
const MARK: &str = "conformance ";
const END: &str = "conformance end";
/// How long a place may take.
const LIMIT: Duration = Duration::from_secs(600);

/// What the program printed, by the names of its lines.
type Lines = BTreeMap<String, String>;

/// Runs the program in both places at once, and compares.
pub fn suite(monitor: &monitor::Image) -> Result<Outcome> {
    linux::build_conformance()?;
    fs::create_dir_all(folder())?;
    let (native, guest) = thread::scope(|scope| {
        let native = scope.spawn(|| collect("linux-native", &native_command(), &events("native")));
        let guest = guest_command(monitor)
            .and_then(|command| collect("linux-guest", &command, &events("guest")));
        (native.join(), guest)
    });
    let native = native.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    Ok(compare(&native, &guest?))
}

fn folder() -> PathBuf {
    paths::target().join("conformance")
}

fn events(place: &str) -> PathBuf {
    folder().join(format!("linux-{place}.events.log"))
}

fn native_command() -> Command {
    let kernel = linux::native_kernel_path();
    native::command(&kernel, &linux::conformance_path(), MEMORY, COMMAND_LINE)
}

fn guest_command(monitor: &monitor::Image) -> Result<Command> {
    let text = format!(
        "[hardware]\ncpus = 2\nnodes = 2\nmemory = \"256M\"\nconsole = \"linux\"\n\
         [[vm]]\nname = \"linux\"\nguest = \"linux\"\nmemory = \"{MEMORY}\"\n\
         cpus = 4\ninitrd = \"{}\"\ncmdline = \"{COMMAND_LINE}\"\n",
        linux::conformance_path().display()
    );
    let machine = Machine::parse("the conformance test's machine", Path::new(""), &text)?;
    let (description, payload) = machine.encode()?;
    let flash = folder().join("linux.flash");
    Flash::assemble(monitor, &description, payload.bytes)?.write(&flash)?;
    Ok(Board::of_image(&flash, events("guest"), Vec::new())?.command())
}

/// Runs the program in one place.
fn collect(place: &str, command: &Command, events: &Path) -> Result<Lines> {
    let logs = folder().join(place);
    let mut session = Session::start(command, events, LIMIT.as_secs(), &logs)?;
    let started = Instant::now();
    loop {
        let ended = session.ended()?;
        let console = String::from_utf8_lossy(&session.console()).into_owned();
        if console.lines().any(|line| line == END) {
            return Ok(lines(&console));
        }
        if ended.is_some() || started.elapsed() > LIMIT {
            let log = logs.with_extension("console.log");
            bail!(
                "{place}: expected `{END}` within {} s; the last lines of {}:\n{}",
                LIMIT.as_secs(),
                paths::shown(&log),
                last_lines(&log, 15)
            );
        }
        thread::sleep(Duration::from_millis(100));
    }
}

fn lines(console: &str) -> Lines {
    console
        .lines()
        .filter_map(|line| line.strip_prefix(MARK)?.split_once(' '))
        .map(|(name, text)| (name.to_owned(), text.to_owned()))
        .collect()
}

/// A line passes if it is the same in both places, and not one that is wrong in any.
fn compare(native: &Lines, guest: &Lines) -> Outcome {
    let mut outcome = Outcome::default();
    let names = native
        .keys()
        .chain(guest.keys().filter(|&name| !native.contains_key(name)));
    for name in names {
        let text = |lines: &Lines| lines.get(name).cloned().unwrap_or("(missing)".to_owned());
        let (native, guest) = (text(native), text(guest));
        if native == guest && !native.starts_with("WRONG") {
            outcome.passed += 1;
        } else {
            let why = format!("\n    native {native}\n    guest  {guest}");
            outcome.failed.push((format!("linux.{name}"), why));
        }
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::{compare, lines};

    #[test]
    fn only_the_programs_lines_count() {
        let seen = lines("init\nconformance a.b 1 2\n[ 1.0] x\nconformance end\n");
        assert_eq!(seen.len(), 1);
        assert_eq!(seen["a.b"], "1 2");
    }

    #[test]
    fn a_line_that_differs_is_missing_or_is_wrong_fails() {
        let all = lines("conformance a 1\nconformance b 2\nconformance c WRONG 3\n");
        let outcome = compare(&all, &all);
        assert_eq!((outcome.passed, outcome.failed.len()), (2, 1));
        let other = lines("conformance a 1\nconformance b 3\nconformance d 4\n");
        let outcome = compare(&all, &other);
        assert_eq!((outcome.passed, outcome.failed.len()), (1, 3));
    }
}
