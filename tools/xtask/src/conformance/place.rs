//! The programs' run in one place, begun again behind a program that hangs or ends it.

use crate::bare::{Place, Program};
use crate::paths;
use anyhow::{bail, Result};
use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

/// How long a program may take, and the machine to start.
const PATIENCE: Duration = Duration::from_secs(20);
/// Limit for a whole machine, in seconds.
const LIMIT: u64 = 600;

/// What one program saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// Its lines, as key and value.
    Seen(Vec<(String, String)>),
    /// It did not come to its end; why.
    Broken(String),
}

/// What the programs of one place saw, by their names.
pub type Records = BTreeMap<String, Record>;

/// Runs the programs whose names contain `filter`.
pub fn collect(program: &Program, place: Place, filter: &str) -> Result<Records> {
    let mut records = Records::new();
    let mut after = None;
    loop {
        let run = run(program, place, filter, after.as_deref())?;
        let came_to = run.open.clone();
        records.extend(run.closed);
        let Some(why) = run.end else {
            return Ok(records);
        };
        let Some(name) = came_to else {
            bail!("{}: {why}, and no program was under way", place.name());
        };
        records.insert(name.clone(), Record::Broken(why));
        after = Some(name);
    }
}

/// One machine's run.
#[derive(Debug, Default, PartialEq, Eq)]
struct Run {
    closed: Vec<(String, Record)>,
    /// The program under way.
    open: Option<String>,
    lines: Vec<(String, String)>,
    done: bool,
    /// Why it ended before the closing line.
    end: Option<String>,
}

impl Run {
    fn line(&mut self, line: &str) {
        if let Some(name) = line.strip_prefix("begin ") {
            self.open = Some(name.to_owned());
            self.lines.clear();
        } else if let Some(name) = line.strip_prefix("end ") {
            let lines = std::mem::take(&mut self.lines);
            if self.open.take().as_deref() == Some(name) {
                self.closed.push((name.to_owned(), Record::Seen(lines)));
            }
        } else if let Some(why) = line.strip_prefix("panic: ") {
            self.end = Some(format!("it panicked: {why}"));
        } else if line == "done" {
            self.done = true;
        } else if let (true, Some((key, value))) = (self.open.is_some(), line.split_once('=')) {
            self.lines.push((key.to_owned(), value.to_owned()));
        }
    }
}

fn run(program: &Program, place: Place, filter: &str, after: Option<&str>) -> Result<Run> {
    let mut command_line = format!("filter={filter}");
    if let Some(after) = after {
        command_line += &format!(" after={after}");
    }
    let files = paths::target().join("conformance").join(place.name());
    let mut session = program.start(place, &command_line, LIMIT, &files, &[])?;
    let mut run = Run::default();
    let mut taken = 0;
    let mut moved = Instant::now();
    loop {
        // Asked before the output: what was printed before the end counts.
        let ended = session.ended()?;
        session.events.poll();
        let stopped = session.events.find("vm_stopped", None).cloned();
        let console = session.console();
        if let Some(length) = console[taken..].iter().rposition(|&byte| byte == b'\n') {
            let text = String::from_utf8_lossy(&console[taken..taken + length]).into_owned();
            text.lines().for_each(|line| run.line(line));
            taken += length + 1;
            moved = Instant::now();
        }
        if run.done || run.end.is_some() {
            return Ok(run);
        }
        run.end = if let Some(status) = ended {
            Some(format!("the machine ended ({status})"))
        } else if let Some(event) = stopped {
            let said = [event.reason, event.message].into_iter().flatten();
            Some(format!(
                "the virtual machine ended: {}",
                said.collect::<Vec<_>>().join(", ")
            ))
        } else if moved.elapsed() > PATIENCE {
            Some(format!("it did not end within {} s", PATIENCE.as_secs()))
        } else {
            None
        };
        if run.end.is_some() {
            return Ok(run);
        }
        thread::sleep(Duration::from_millis(20));
    }
}

#[cfg(test)]
mod tests {
    use super::{Record, Run};

    #[test]
    fn a_record_is_what_stands_between_begin_and_end() {
        let mut run = Run::default();
        for line in [
            "noise=1",
            "begin a",
            "x=0x1",
            "end a",
            "begin b",
            "y=0x2",
            "panic: p (f:1)",
        ] {
            run.line(line);
        }
        let seen = vec![("x".to_owned(), "0x1".to_owned())];
        assert_eq!(run.closed, [("a".to_owned(), Record::Seen(seen))]);
        assert_eq!(run.open.as_deref(), Some("b"));
        assert!(run.end.is_some() && !run.done);
    }
}
