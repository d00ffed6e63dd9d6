//! The machine that is measured, and how its memory is.

use super::programs::{Program, MEMBERS};
use crate::bench::COUNTED;
use crate::build::monitor::{self, Image};
use crate::description::Machine;
use crate::flash::Flash;
use crate::paths;
use crate::process::last_lines;
use crate::run::magic::Magic;
use crate::run::qemu::Board;
use crate::run::session::Session;
use anyhow::{bail, ensure, Result};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// Seconds that a run may take.
const LIMIT: u64 = 2400;
/// The virtual machine.
const VM: &str = "job";

/// QEMU has one thread for all CPUs when it counts instructions, and goes from one to the next whenever a timer is due:
/// this one every 2 µs, which are 2,000 instructions. It is a part of the network that nothing is connected to. The CPU
/// whose turn comes with the timer only sees to that (QEMU 7.2), so each second CPU hardly runs: those of the machine that
/// compute are the others, one on each node.
pub(in crate::bench) const SLICES: [&str; 4] = [
    "-netdev",
    "hubport,id=slices,hubid=0",
    "-object",
    "filter-buffer,id=slice,netdev=slices,interval=2",
];

/// How memory is, and what the monitor does about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// Nothing.
    None,
    /// It moves pages by the misses that it samples.
    Sampled,
    /// It moves pages by the misses that the exact model counts for it.
    Exact,
    /// Memory of all nodes is as far as that of the own one.
    Uniform,
}

impl Column {
    /// All.
    pub const ALL: [Self; 4] = [Self::None, Self::Sampled, Self::Exact, Self::Uniform];

    /// For people and file names.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "no policy",
            Self::Sampled => "policy, sampled",
            Self::Exact => "policy, exact",
            Self::Uniform => "uniform",
        }
    }

    /// Lines of the description.
    fn numa(self) -> String {
        let (policy, counters, remote_ns) = match self {
            // Counts that nobody reads: they cost the monitor nothing.
            Self::None => ("off", "magic", 900),
            Self::Sampled => ("on", "sampled", 900),
            Self::Exact => ("on", "magic", 900),
            Self::Uniform => ("off", "magic", 300),
        };
        format!(
            "local_ns = 300\nremote_ns = {remote_ns}\npolicy = \"{policy}\"\ncounters = \"{counters}\"\nlatency = \"off\"\n"
        )
    }
}

/// What is run.
pub struct Run<'a> {
    /// The program.
    pub program: Program,
    /// Its command line.
    pub command_line: &'a str,
    /// The memory.
    pub column: Column,
}

impl Run<'_> {
    /// Runs it to its end; the exact model's report, and what the monitor says of its nodes.
    pub fn measure(&self, image: &Image, model: &Magic, folder: &Path) -> Result<(Value, Value)> {
        let name = format!(
            "{}-{}",
            self.program.name(),
            self.column.name().replace(", ", "-").replace(' ', "-")
        );
        let path = |what: &str| folder.join(format!("{name}.{what}"));
        let mut machine = self.machine()?;
        machine.magic = true;
        let (description, payload) = machine.encode()?;
        let flash = path("flash");
        Flash::assemble(image, &description, payload.bytes)?.write(&flash)?;
        let arguments = COUNTED.iter().chain(&SLICES).copied().map(str::to_owned);
        let mut board = Board::of_image(&flash, path("events.log"), arguments.collect())?;
        let model = model.reporting_to(path("json"));
        board.model(&model)?;
        let mut session =
            Session::start(&board.command(), &board.events, LIMIT, &folder.join(&name))?;
        let ended = run_to_end(&mut session);
        let nodes = nodes_of(&session.console());
        drop(session);
        let _ = fs::remove_file(&flash);
        let _ = fs::remove_file(crate::flash::payload_path(&flash));
        if let Err(error) = ended {
            let log = path("console.log");
            bail!(
                "{error:#}; the last lines of {}:\n{}",
                paths::shown(&log),
                last_lines(&log, 15)
            );
        }
        Ok((model.read()?, nodes))
    }

    fn machine(&self) -> Result<Machine> {
        let cpus = 2 * MEMBERS;
        let guest = monitor::output_folder().join(self.program.name());
        let text = format!(
            "[hardware]\ncpus = {cpus}\nnodes = {MEMBERS}\nmemory = \"1G\"\nconsole = \"{VM}\"\n\
             [numa]\n{}\
             [[vm]]\nname = \"{VM}\"\nguest = {guest:?}\ncpus = {cpus}\nmemory = \"96M\"\ncmdline = \"{}\"\n",
            self.column.numa(),
            self.command_line,
        );
        Ok(Machine::parse(
            "the machine of bench numa",
            Path::new(""),
            &text,
        )?)
    }
}

/// Waits for the program's verdict, and switches the machine off.
fn run_to_end(session: &mut Session) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(LIMIT);
    let mut told = false;
    loop {
        thread::sleep(Duration::from_millis(100));
        session.events.poll();
        session.events.no_panic()?;
        if let Some(verdict) = session.events.find("test_verdict", Some(VM)) {
            let reason = verdict.reason.as_deref().unwrap_or_default();
            ensure!(
                verdict.verdict.as_deref() == Some("pass"),
                "the program failed: {reason}"
            );
        }
        if session.events.find("vm_stopped", Some(VM)).is_some() && !told {
            session.send("\rnuma --json\rpoweroff\r");
            told = true;
        }
        match session.ended()? {
            Some(status) if told && status.success() => return Ok(()),
            Some(status) => bail!("QEMU ended with {status}"),
            None => ensure!(Instant::now() < deadline, "it is too slow"),
        }
    }
}

/// What the last `numa --json` on a console says of each node.
fn nodes_of(console: &[u8]) -> Value {
    let text = String::from_utf8_lossy(console);
    let answer = text.rsplit("numa --json").next().unwrap_or_default();
    let lines = answer.lines().filter(|line| line.starts_with('{'));
    let objects = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
    objects.filter(|line| line["node"].is_number()).collect()
}

#[cfg(test)]
mod tests {
    use super::nodes_of;

    #[test]
    fn nodes_are_found_between_other_lines() {
        let console = b"disco> numa --json\n{\"node\":7}\n[job] hello\ndisco> numa --json\n{\"node\":0}\n{\"node\":1}\n\
            {\"reason\":\"cold\",\"times\":3}\ndisco> poweroff\n";
        let nodes = nodes_of(console);
        assert_eq!(nodes.as_array().map(Vec::len), Some(2));
        assert_eq!(nodes[1]["node"], 1);
        assert_eq!(nodes_of(b"[job] hello\n").as_array().map(Vec::len), Some(0));
    }
}
