//! Both places, and programs that run in both.

use super::side::{Ended, Ram, Side};
use crate::bare::{Place, Program as Executor, MEMORY};
use crate::build::monitor;
use crate::description::{Guest, Load, Machine, Numa, Vm};
use crate::flash::Flash;
use crate::paths;
use crate::run::qemu::Board;
use crate::run::session::Session;
use anyhow::{bail, Context, Result};
use disco_executor_layout::SLOTS;
use disco_fuzz::outcome::Outcome;
use disco_fuzz::program::Program;
use std::fs;

/// Bytes of RAM of the machine with the monitor.
const MACHINE_MEMORY: u64 = 128 << 20;
/// Bytes of the witness.
const WITNESS_MEMORY: u64 = 6 << 20;
/// A machine that nobody ends any more ends after so many seconds.
const SECONDS: u64 = 24 * 3600;

/// What a program left natively and in the virtual machine.
pub type Outcomes = (Outcome, Outcome);

/// Both places.
pub struct Pair {
    native: Side,
    guest: Side,
    /// Slots of the next batch are those of its half.
    half: u64,
    waiting: Option<(u64, u64)>,
}

/// A program that one of the places does not get over.
#[derive(Debug)]
pub struct Stuck {
    /// The place.
    pub place: Place,
    /// Its number in its batch, and the batch: 0 for the one asked for last.
    pub index: usize,
    /// Why.
    pub why: String,
}

/// What became of a batch.
pub enum Batch {
    /// All ran.
    Ran(Vec<Outcomes>),
    /// One did not.
    Stuck(Stuck),
}

/// Programs of a batch: half of the slots, so that the next can be put while it runs.
pub const BATCH: usize = SLOTS as usize / 2;

impl Pair {
    /// Starts both machines.
    pub fn start(executor: &Executor, monitor: &monitor::Image, name: &str) -> Result<Self> {
        let folder = paths::target().join("fuzz");
        fs::create_dir_all(&folder)?;
        let files = folder.join(format!("{name}-native"));
        let ram = Ram::new(Place::Native, MEMORY)?;
        let mut arguments = ram.arguments();
        // As the machine with the monitor: with several CPUs QEMU makes `sc` one access, a store,
        // where it is a load and a store with one. The second CPU stays off.
        arguments.extend(["-smp", "2", "-accel", "tcg,thread=multi"].map(str::to_owned));
        let native = executor.start(Place::Native, "", SECONDS, &files, &arguments)?;
        let files = folder.join(format!("{name}-guest"));
        let guest_ram = Ram::new(Place::Guest, MACHINE_MEMORY)?;
        let flash = files.with_extension("flash");
        let (description, payload) = machine(executor).encode()?;
        Flash::assemble(monitor, &description, payload.bytes)?.write(&flash)?;
        let events = files.with_extension("events");
        let board = Board::of_image(&flash, events, guest_ram.arguments())?;
        let guest = Session::start(&board.command(), &board.events, SECONDS, &files)?;
        Ok(Self {
            native: Side::new(native, ram, false).context("on the board")?,
            guest: Side::new(guest, guest_ram, true).context("in the virtual machine")?,
            half: 0,
            waiting: None,
        })
    }

    /// Lets a batch of at most [`BATCH`] programs run; what became of the batch before, if it was
    /// not asked for yet.
    pub fn submit(&mut self, programs: &[Program]) -> Result<Option<Batch>> {
        let first = self.half * BATCH as u64;
        for (slot, program) in (first..).zip(programs) {
            let data = program.data();
            self.native.put(slot, program, &data)?;
            self.guest.put(slot, program, &data)?;
        }
        let count = programs.len() as u64;
        self.native.ask(first, count)?;
        self.guest.ask(first, count)?;
        self.half ^= 1;
        let before = self.waiting.replace((first, count));
        before.map(|batch| self.collect(batch, 1)).transpose()
    }

    /// What became of the last batch.
    pub fn finish(&mut self) -> Result<Option<Batch>> {
        let last = self.waiting.take();
        last.map(|batch| self.collect(batch, 0)).transpose()
    }

    /// Runs programs and waits for them.
    pub fn run(&mut self, programs: &[Program]) -> Result<Batch> {
        self.submit(programs)?;
        self.finish()?.context("a batch that was asked for")
    }

    fn collect(&mut self, (first, count): (u64, u64), left: u64) -> Result<Batch> {
        for (place, side) in [
            (Place::Native, &mut self.native),
            (Place::Guest, &mut self.guest),
        ] {
            if let Ended::Stuck(slot, why) = side.wait(left)? {
                let index = slot.wrapping_sub(first) as usize;
                return Ok(Batch::Stuck(Stuck { place, index, why }));
            }
        }
        let outcome = |slot| Ok((self.native.outcome(slot)?, self.guest.outcome(slot)?));
        let outcomes = (first..first + count).map(outcome);
        Ok(Batch::Ran(outcomes.collect::<Result<_>>()?))
    }

    /// Looks whether the witness and the monitor are unharmed.
    pub fn check(&mut self) -> Result<()> {
        if self.waiting.is_some() {
            bail!("a batch is under way");
        }
        self.guest.check()
    }
}

/// The machine with the monitor: the programs' virtual machine and the witness, on two CPUs.
fn machine(executor: &Executor) -> Machine {
    let vm = |name: &str, memory, command_line: &str| Vm {
        name: name.to_owned(),
        guest: Guest::Elf(executor.elf(Place::Guest)),
        cpus: 1,
        memory,
        command_line: command_line.to_owned(),
        initrd: None,
        load: Load::Memory,
        autostart: true,
        disks: Vec::new(),
        net: false,
    };
    Machine {
        cpus: 2,
        nodes: 1,
        memory: MACHINE_MEMORY,
        overcommit: false,
        numa: Numa::default(),
        magic: false,
        console: None,
        disks: Vec::new(),
        vms: vec![
            vm("programs", MEMORY, ""),
            vm("witness", WITNESS_MEMORY, "role=witness"),
        ],
    }
}
