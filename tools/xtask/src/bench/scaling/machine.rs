//! The machine, and how it is divided.

use super::figures::Scaling;
use crate::bench::gang::{self, Gang};
use crate::bench::numa::machine::SLICES;
use crate::bench::sides;
use crate::build::linux;
use crate::build::monitor::Image;
use crate::description::Machine;
use crate::paths;
use crate::process::last_lines;
use crate::run::magic::Magic;
use crate::run::session::Session;
use anyhow::{bail, ensure, Context, Result};
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// Virtual CPUs of all virtual machines together, jobs that they work at, and their memory.
const CPUS: usize = 8;
const MEMORY_MIB: usize = 512;
/// Source files that each job compiles.
const FILES: usize = 3;
/// CPUs of the machine. QEMU goes from one to the next, and with [`SLICES`] each second one has no time: of an odd number each
/// has its turn in every second round, so there is one more than are needed.
const MACHINE_CPUS: usize = CPUS + 1;
/// Nodes of the machine.
const NODES: usize = 8;
/// Nanoseconds of a miss on the own node's memory, and on another's: the paper's.
pub const MISS_NS: [u64; 2] = [300, 900];
/// When all begin: 5 seconds after the machine was switched on, by its clock chip.
const START: u64 = 1_767_225_605;
/// The first virtual machine's window.
const FIRST_WINDOW: usize = 11;
/// Seconds that a machine may take.
const LIMIT: u64 = 1800;

/// How the CPUs are divided.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Virtual machines, which have equally many.
    pub vms: usize,
}

impl Layout {
    /// All.
    pub const ALL: [Self; 4] = [
        Self { vms: 1 },
        Self { vms: 2 },
        Self { vms: 4 },
        Self { vms: 8 },
    ];

    /// Virtual CPUs of each virtual machine.
    pub fn cpus(self) -> usize {
        CPUS / self.vms
    }

    fn name(self) -> String {
        format!("scaling-{}x{}", self.vms, self.cpus())
    }

    /// Runs it until all have ended their work.
    pub fn measure(self, image: &Image, model: &Magic) -> Result<Scaling> {
        let path = |what: &str| sides::folder().join(format!("{}.{what}", self.name()));
        let model = model.reporting_to(path("json"));
        let mut machine = self.machine()?;
        machine.magic = true;
        let flash = path("flash");
        let mut board = sides::guest_board(image, &machine, &flash, &path("events.log"))?;
        board.extra.extend(SLICES.map(str::to_owned));
        board.model(&model)?;
        let logs = sides::folder().join(self.name());
        let mut session = Session::start(&board.command(), &board.events, LIMIT, &logs)?;
        let ended = self.wait(&mut session);
        drop(session);
        let _ = fs::remove_file(&flash);
        let _ = fs::remove_file(crate::flash::payload_path(&flash));
        ended.with_context(|| {
            let log = path("console.log");
            let lines = last_lines(&log, 15);
            format!(
                "{}; the last lines of {}:\n{lines}",
                self.name(),
                paths::shown(&log)
            )
        })?;
        let windows = (FIRST_WINDOW..).take(self.vms);
        Scaling::of((self.vms, self.cpus()), windows, &model.read()?)
            .with_context(|| paths::shown(&model.report))
    }

    fn machine(self) -> Result<Machine> {
        let [local, remote] = MISS_NS;
        let mut text = format!(
            "[hardware]\ncpus = {MACHINE_CPUS}\nnodes = {NODES}\nmemory = \"1G\"\n\
             [numa]\nlocal_ns = {local}\nremote_ns = {remote}\nlatency = \"off\"\n"
        );
        for number in 0..self.vms {
            let gang = Gang {
                window: FIRST_WINDOW + number,
                jobs: self.cpus(),
                files: FILES,
                start: START,
            };
            let _ = write!(
                text,
                "[[vm]]\nname = \"vm-{number}\"\nguest = {:?}\ninitrd = {:?}\ncpus = {}\nmemory = \"{}M\"\n\
                 cmdline = \"{} quiet {}\"\n",
                linux::bench_kernel_path(),
                linux::gang_initramfs_path(),
                self.cpus(),
                MEMORY_MIB / self.vms,
                linux::COMMAND_LINE,
                gang.request()
            );
        }
        let place = "the machine of bench's scaling";
        Ok(Machine::parse(place, Path::new(""), &text)?)
    }

    fn wait(self, session: &mut Session) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(LIMIT);
        loop {
            thread::sleep(Duration::from_millis(200));
            session.events.poll();
            session.events.no_panic()?;
            let console = String::from_utf8_lossy(&session.console()).into_owned();
            if gang::ended(&console) == self.vms {
                return gang::check(&[console], CPUS).map(drop);
            }
            if let Some(status) = session.ended()? {
                bail!("QEMU ended with {status}");
            }
            ensure!(Instant::now() < deadline, "it is too slow");
        }
    }
}
