//! The machine on which both count, and how it is read while its guest still has its pages.

use super::programs::Program;
use crate::bench::numa::machine::SLICES;
use crate::bench::COUNTED;
use crate::build::monitor::{self, Image};
use crate::description::Machine;
use crate::flash::Flash;
use crate::paths;
use crate::process::last_lines;
use crate::run::magic::Magic;
use crate::run::qemu::Board;
use crate::run::session::Session;
use anyhow::{bail, ensure, Context, Result};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// Seconds that the run may take, and an answer of the monitor.
const LIMIT: u64 = 1200;
const ANSWER_LIMIT: Duration = Duration::from_secs(60);
/// The virtual machine.
const VM: &str = "job";
/// What its guest prints when it has ended its work.
const DONE: &str = "the work is done";
/// Virtual CPUs that work, each on a node of its own.
pub const MEMBERS: u64 = 8;

/// What was read of both.
#[derive(Debug, PartialEq)]
pub struct Reading {
    /// The exact model's report when the guest had ended its work.
    pub exact: Value,
    /// Rows of `numa top`.
    pub top: Vec<Value>,
    /// Rows of `numa`.
    pub nodes: Vec<Value>,
    /// Of the exact model's hottest pages, in order, those that are the guest's: places in its list.
    pub guests: Vec<usize>,
}

/// What is run.
pub struct Run<'a> {
    /// The program.
    pub program: Program,
    /// Its command line.
    pub command_line: &'a str,
    /// Where files go.
    pub folder: &'a Path,
    /// Their names.
    pub name: &'a str,
}

impl Run<'_> {
    /// Runs the program until it has ended its work, and reads both: the monitor's `top` hottest pages, and which ones of
    /// the exact model's are the guest's, up to `wanted` of them.
    pub fn read(
        &self,
        image: &Image,
        model: &Magic,
        (top, wanted): (usize, usize),
    ) -> Result<Reading> {
        let path = |what: &str| self.folder.join(format!("{}.{what}", self.name));
        let mut machine = self.machine()?;
        machine.magic = true;
        let (description, payload) = machine.encode()?;
        let flash = path("flash");
        Flash::assemble(image, &description, payload.bytes)?.write(&flash)?;
        let arguments = COUNTED.iter().chain(&SLICES).copied().map(str::to_owned);
        let mut board = Board::of_image(&flash, path("events.log"), arguments.collect())?;
        let model = model.reporting_to(path("json"));
        board.model(&model)?;
        let logs = self.folder.join(self.name);
        let mut session = Session::start(&board.command(), &board.events, LIMIT, &logs)?;
        let reading = watch(&mut session).and_then(|()| {
            let exact = model.read()?;
            let mut prompt = Prompt::new(&mut session);
            Ok(Reading {
                top: prompt.ask(&format!("numa top {top} --json"))?,
                nodes: prompt.ask("numa --json")?,
                guests: prompt.guests_pages(&exact, wanted)?,
                exact,
            })
        });
        drop(session);
        let _ = fs::remove_file(&flash);
        let _ = fs::remove_file(crate::flash::payload_path(&flash));
        reading.map_err(|error| {
            let log = path("console.log");
            error.context(format!(
                "the last lines of {}:\n{}",
                paths::shown(&log),
                last_lines(&log, 15)
            ))
        })
    }

    fn machine(&self) -> Result<Machine> {
        let cpus = 2 * MEMBERS;
        let guest = monitor::output_folder().join(self.program.name());
        // An interval is longer than the run: what was counted early counts as much as what was counted late.
        let text = format!(
            "[hardware]\ncpus = {cpus}\nnodes = {MEMBERS}\nmemory = \"1G\"\n\
             [numa]\ncounters = \"sampled\"\npolicy = \"off\"\nlatency = \"off\"\n\
             [numa.thresholds]\ninterval_ms = 60000\n\
             [[vm]]\nname = \"{VM}\"\nguest = {guest:?}\ncpus = {cpus}\nmemory = \"96M\"\n\
             cmdline = \"members={MEMBERS} stay=1 {}\"\n",
            self.command_line
        );
        Ok(Machine::parse(
            "the machine of bench numa-counters",
            Path::new(""),
            &text,
        )?)
    }
}

/// Waits until the guest has ended its work.
fn watch(session: &mut Session) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(LIMIT);
    loop {
        thread::sleep(Duration::from_millis(100));
        session.events.poll();
        session.events.no_panic()?;
        if let Some(verdict) = session.events.find("test_verdict", Some(VM)) {
            bail!(
                "the program failed: {}",
                verdict.reason.as_deref().unwrap_or_default()
            );
        }
        if String::from_utf8_lossy(&session.console()).contains(DONE) {
            return Ok(());
        }
        match session.ended()? {
            Some(status) => bail!("QEMU ended with {status}"),
            None => ensure!(Instant::now() < deadline, "it is too slow"),
        }
    }
}

/// The monitor's prompt.
struct Prompt<'a>(&'a mut Session);

impl<'a> Prompt<'a> {
    fn new(session: &'a mut Session) -> Self {
        session.send("\r");
        Self(session)
    }

    /// The rows of an answer in JSON.
    fn ask(&mut self, command: &str) -> Result<Vec<Value>> {
        let begin = self.0.console_len();
        // The second command's answer shows that the first's is whole.
        self.0.send(&format!("{command}\rhelp help\r"));
        let deadline = Instant::now() + ANSWER_LIMIT;
        loop {
            let console = self.0.console();
            let text = String::from_utf8_lossy(&console[begin..]).into_owned();
            if let Some((answer, _)) = text.split_once("help [COMMAND]") {
                return Ok(rows(answer));
            }
            ensure!(
                Instant::now() < deadline && self.0.ended()?.is_none(),
                "`{command}` is not answered"
            );
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// See [`Reading::guests`].
    fn guests_pages(&mut self, exact: &Value, wanted: usize) -> Result<Vec<usize>> {
        let hottest = exact["run"]["hottest"].as_array().context("hottest")?;
        let mut found = Vec::new();
        for (place, page) in hottest.iter().enumerate() {
            let address = page["address"].as_u64().context("an address")?;
            let rows = self.ask(&format!("mem page {address:#x} --json"))?;
            if rows
                .iter()
                .any(|row| row["vm"] == VM && row["owner"] != "replica")
            {
                found.push(place);
            }
            if found.len() == wanted {
                break;
            }
        }
        Ok(found)
    }
}

/// Rows in JSON among other lines: each a line, or a line of all.
fn rows(console: &str) -> Vec<Value> {
    let lines = console.lines().filter(|line| line.starts_with(['[', '{']));
    lines
        .filter_map(|line| serde_json::from_str(line).ok())
        .flat_map(|row| match row {
            Value::Array(rows) => rows,
            row => vec![row],
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::rows;

    #[test]
    fn rows_are_found_between_other_lines() {
        let console =
            "disco> numa --json\n[{\"node\":0},{\"node\":1}]\n[job] hello\n{\"node\":2}\ndisco> \n";
        let nodes: Vec<_> = rows(console)
            .iter()
            .map(|row| row["node"].as_u64())
            .collect();
        assert_eq!(nodes, [Some(0), Some(1), Some(2)]);
    }
}
