//! `cargo xtask soak power-cut`: cuts the power again and again while a Linux guest writes, and looks
//! whether everything is there that it was told is durable.
//!
//! The real disk is a server of ours with a volatile write cache. A cut kills QEMU; then of everything
//! that was not flushed some sectors are kept, in no order. The next start has to find every record
//! whose fsync had returned, on an `exclusive` and on a `cow-persistent` disk. Some cuts come when the log
//! has just moved to its other half, where the most depends on its flushes.

use super::contents::contents;
use super::nbd::{Server, SharedDisk};
use super::records::Said;
use super::volatile::{Cut, VolatileDisk, SECTOR};
use crate::build::images::BuiltImage;
use crate::build::linux;
use crate::build::monitor::Image;
use crate::children::limited;
use crate::cli::PowerCutArgs;
use crate::description::Machine;
use crate::disk::{DiskFile, Keep, Layout, Partition};
use crate::flash::Flash;
use crate::paths;
use crate::run::drive::Drive;
use crate::run::qemu::Board;
use crate::run::session::Session;
use crate::setup::{in_path, Installer, Need};
use anyhow::{bail, ensure, Context, Result};
use disco_fuzz::random::Random;
use disco_kernel::disk::BLOCK;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The disk whose partition holds what the guest sees.
const EXCLUSIVE: &str = "exclusive";
/// The disk whose log holds what the guest has written.
const PERSISTENT: &str = "persistent";
/// The host's checker of file systems.
const CHECKER: &str = "e2fsck";
/// The virtual machine.
const VM: &str = "alpha";
/// What is typed in it.
const COMMAND: &str =
    "mkdir -p /tmp/e /tmp/p; mount -t ext4 /dev/vda /tmp/e && mount -t ext4 /dev/vdb /tmp/p && \
                       exec /tmp/e/records /tmp/e/exclusive /tmp/p/persistent\r";
/// Seconds that a start may take, until records are written.
const START_MAX: u64 = 300;
/// The longest that records are written before a cut, in milliseconds.
const WRITING_MAX: u64 = 2500;
/// The longest that is waited for the log to move, in milliseconds.
const MOVE_MAX: u64 = 20_000;
/// So many requests after the log has moved the power is cut. The next one is the flush that makes the
/// move last.
const BEHIND: &[u64] = &[0, 0, 1, 3, 10];
/// A cut in so many rounds comes when the log has moved.
const MOVE_EVERY: u64 = 3;
/// Rounds in which a monitor that ignores flushes has to be caught.
const SELF_TEST_ROUNDS: u64 = 20;

/// A monitor that ignores some flushes.
struct Seeded {
    /// Its number in `kernel/src/vm/defect.rs`.
    number: u64,
    what: &'static str,
    /// A cut in so many rounds comes when the log has moved, ...
    move_every: u64,
    /// ... one of so many requests later.
    behind: &'static [u64],
}

const SEEDED: [Seeded; 2] = [
    Seeded {
        number: 19,
        what: "ends the guest's flushes at once",
        move_every: MOVE_EVERY,
        behind: BEHIND,
    },
    Seeded {
        number: 20,
        what: "does not flush what the log has moved",
        move_every: 1,
        behind: &[0],
    },
];

/// What the rounds need.
struct Soak {
    board: Board,
    disk: SharedDisk,
    /// The partitions of both disks, and the log.
    exclusive: Partition,
    persistent: Partition,
    log: Partition,
    random: Random,
    /// A cut in so many rounds comes when the log has moved.
    move_every: u64,
    behind: &'static [u64],
    /// What was said to be durable.
    said: Said,
    _file: DiskFile,
}

/// Runs the rounds; a loss is told and shows in the status.
pub fn run(args: &PowerCutArgs, installer: &Installer) -> Result<ExitCode> {
    let mut needs = vec![Need::Emulator];
    needs.extend(Need::MONITOR);
    needs.extend(Need::LINUX);
    let toolchain = installer.provide(&needs)?;
    linux::build_guest()?;
    BuiltImage::Records.build()?;
    let clock = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let seed = args.seed.unwrap_or(u64::from(clock.subsec_nanos()));
    println!("seed {seed} (the moment of a cut also depends on this computer's speed)");
    if args.self_test {
        return self_test(&Image::build_with_defects(&toolchain)?, seed);
    }
    let mut soak = Soak::new(&Image::build(&toolchain)?, seed, MOVE_EVERY, BEHIND)?;
    Ok(match soak.rounds(args.rounds)? {
        Some(loss) => {
            println!("LOST after a power cut: {loss}");
            let logs = paths::shown(&folder());
            println!("  consoles and the disk are in {logs}; again: cargo xtask soak power-cut --seed {seed}");
            ExitCode::FAILURE
        }
        None => {
            let records: u64 = soak.said.durable.values().sum();
            let rounds = args.rounds;
            println!("{rounds} power cuts, {records} durable records, none lost");
            ExitCode::SUCCESS
        }
    })
}

/// Runs monitors that ignore flushes, each of which has to lose something.
fn self_test(monitor: &Image, seed: u64) -> Result<ExitCode> {
    let mut missed = 0;
    for seeded in SEEDED {
        let mut monitor = monitor.clone();
        monitor.seed(seeded.number)?;
        let mut soak = Soak::new(&monitor, seed, seeded.move_every, seeded.behind)?;
        let what = seeded.what;
        match soak.rounds(SELF_TEST_ROUNDS)? {
            Some(loss) => println!("a monitor that {what} was caught: {loss}"),
            None => {
                println!("MISSED: a monitor that {what} passed {SELF_TEST_ROUNDS} rounds");
                missed += 1;
            }
        }
    }
    let count = SEEDED.len();
    println!("{} of {count} defects found", count - missed);
    Ok(if missed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn folder() -> PathBuf {
    paths::target().join("soak")
}

/// The machine: a disk of each kind that keeps what is written. The log is so small that it moves about once
/// a second.
fn machine() -> Result<Machine> {
    let text = format!(
        "[hardware]\ncpus = 2\nnodes = 2\nmemory = \"192M\"\nconsole = \"{VM}\"\n\
         [[disk]]\nname = \"{EXCLUSIVE}\"\nimage = \"records\"\nmode = \"exclusive\"\n\
         [[disk]]\nname = \"{PERSISTENT}\"\nimage = \"records\"\nmode = \"cow-persistent\"\nlog = \"24M\"\n\
         [[vm]]\nname = \"{VM}\"\nguest = \"linux\"\nmemory = \"64M\"\ndisks = [\"{EXCLUSIVE}\", \"{PERSISTENT}\"]\n\
         initrd = \"{}\"\n",
        linux::initramfs_path().display()
    );
    Ok(Machine::parse(
        "the power cut's machine",
        Path::new(""),
        &text,
    )?)
}

impl Soak {
    fn new(monitor: &Image, seed: u64, move_every: u64, behind: &'static [u64]) -> Result<Self> {
        let machine = machine()?;
        let flash = folder().join("power-cut.flash");
        let (description, payload) = machine.encode()?;
        Flash::assemble(monitor, &description, payload.bytes)?.write(&flash)?;
        let layout = Layout::of(&machine)?.context("a machine without disks")?;
        let file = DiskFile::provide(&layout, &folder().join("power-cut.disk"), Keep::Discard)?;
        let open = File::options().read(true).write(true).open(file.path())?;
        let disk = VolatileDisk::new(open, Random::new(seed, 0))?;
        let mut board = Board::of_image(&flash, folder().join("power-cut.events"), Vec::new())?;
        // Not in the target folder: a socket's path is short.
        let socket = std::env::temp_dir().join(format!("disco-{}.nbd", std::process::id()));
        board.disk = Some(Drive::Server(socket));
        let partition = |name: &str| {
            let mut all = layout.partitions.iter();
            let found = all.find(|partition| partition.name == name);
            found.cloned().context("no such partition")
        };
        Ok(Self {
            board,
            disk: Arc::new(Mutex::new(disk)),
            exclusive: partition(EXCLUSIVE)?,
            persistent: partition(PERSISTENT)?,
            log: partition(&format!("{PERSISTENT}: {VM}"))?,
            move_every,
            behind,
            random: Random::new(seed, 1),
            said: Said::default(),
            _file: file,
        })
    }

    /// Cuts so often, and looks once more at the end. A loss ends it, and is told.
    fn rounds(&mut self, rounds: u64) -> Result<Option<String>> {
        for round in 1..=rounds {
            let before = self.said.durable.clone();
            let moved = round % self.move_every == 0;
            let loss = self.until_cut(moved);
            if let Some(loss) = loss.with_context(|| format!("round {round}"))? {
                return Ok(Some(format!("round {round}: {loss}")));
            }
            let cut = self.disk().cut()?;
            self.tell(round, rounds, &before, cut);
            if let Some(fault) = self.check_on_host()? {
                return Ok(Some(format!("round {round}: {fault}")));
            }
        }
        self.until_cut(false).context("after the last round")
    }

    fn disk(&self) -> std::sync::MutexGuard<'_, VolatileDisk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, round: u64, rounds: u64, before: &BTreeMap<String, u64>, cut: Cut) {
        let new = |(file, &record): (&String, &u64)| {
            record - before.get(file).copied().unwrap_or_default()
        };
        let records: u64 = self.said.durable.iter().map(new).sum();
        println!(
            "round {round} of {rounds}: {records} records; of {} sectors that were not flushed {} are there, \
             {} half way",
            cut.unflushed, cut.newest, cut.between
        );
    }

    /// Starts the machine, looks at what it finds, lets it write, and kills it: at any time, or when the
    /// log has moved.
    fn until_cut(&mut self, moved: bool) -> Result<Option<String>> {
        let Some(Drive::Server(socket)) = &self.board.disk else {
            bail!("the disk has no server");
        };
        let server = Server::start(socket, Arc::clone(&self.disk))?;
        let logs = folder().join("power-cut");
        let mut session = Session::start(
            &self.board.command(),
            &self.board.events,
            START_MAX + (WRITING_MAX + MOVE_MAX) / 1000 + 1,
            &logs,
        )?;
        // The log's superblocks are in its first two blocks.
        let superblock = self.log.offset / SECTOR;
        let moment = match moved {
            true => Moment::Moved(
                vec![superblock, superblock + BLOCK],
                self.random.pick(self.behind),
            ),
            false => Moment::After(Duration::from_millis(self.random.below(WRITING_MAX))),
        };
        let said = write_until_cut(&mut session, &self.disk, moment);
        drop(session);
        server.end()?;
        let said = said.with_context(|| {
            format!("see {}", paths::shown(&logs.with_extension("console.log")))
        })?;
        if let Some(loss) = said.lost(&self.said) {
            return Ok(Some(loss));
        }
        if let Some(complaint) = said.complaints.first() {
            return Ok(Some(complaint.clone()));
        }
        self.said.extend(said);
        Ok(None)
    }

    /// The file systems of both disks, as the host's checker sees them after it has replayed the
    /// journal.
    fn check_on_host(&self) -> Result<Option<String>> {
        let exclusive = self.durable(&self.exclusive)?;
        let persistent = contents(self.durable(&self.persistent)?, &self.durable(&self.log)?)?;
        for (disk, bytes) in [(EXCLUSIVE, exclusive), (PERSISTENT, persistent)] {
            if let Some(fault) = check_file_system(disk, &bytes)? {
                return Ok(Some(fault));
            }
        }
        Ok(None)
    }

    /// A partition as the cut has left it.
    fn durable(&self, partition: &Partition) -> Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(partition.length)?];
        self.disk().durable(partition.offset, &mut bytes)?;
        Ok(bytes)
    }
}

/// What the host's checker finds wrong.
fn check_file_system(disk: &str, bytes: &[u8]) -> Result<Option<String>> {
    let copy = folder().join(format!("power-cut.{disk}.ext4"));
    fs::write(&copy, bytes)?;
    // Replays the journal, and deletes files that had no name any more; then nothing may be wrong.
    for arguments in [["-p"], ["-fn"]] {
        let checker = in_path(CHECKER).context("e2fsck is missing")?;
        let mut command = Command::new(checker);
        command.args(arguments).arg(&copy);
        let output = limited(&command, 60).output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let status = output.status.code().context("the check was killed")?;
        let allowed = if arguments == ["-p"] { 1 } else { 0 };
        if status > allowed {
            return Ok(Some(format!(
                "{CHECKER} {} of the disk `{disk}` ends with {status}:\n{text}",
                arguments[0]
            )));
        }
    }
    Ok(None)
}

/// When the power is cut.
enum Moment {
    /// So long after the first record on each disk.
    After(Duration),
    /// So many requests after a write to one of these sectors.
    Moved(Vec<u64>, u64),
}

/// What the guest says until the power is cut.
fn write_until_cut(session: &mut Session, disk: &SharedDisk, moment: Moment) -> Result<Said> {
    let disk = || disk.lock().unwrap_or_else(PoisonError::into_inner);
    let mut moment = Some(moment);
    let deadline = Instant::now() + Duration::from_secs(START_MAX);
    let mut typed = false;
    let mut cut_at: Option<Instant> = None;
    loop {
        ensure!(
            session.ended()?.is_none(),
            "the machine has ended by itself"
        );
        session.events.poll();
        session.events.no_panic()?;
        if !typed && session.events.find("shell_ready", Some(VM)).is_some() {
            session.send(COMMAND);
            typed = true;
        }
        let said = Said::read(&session.console());
        let ready = said.durable.len() == 2 && said.found.len() == 2;
        if let Some(moment) = moment.take_if(|_| ready) {
            let writing = match moment {
                Moment::After(writing) => writing,
                Moment::Moved(sectors, later) => {
                    disk().cut_behind(sectors, later);
                    Duration::from_millis(MOVE_MAX)
                }
            };
            cut_at = Some(Instant::now() + writing);
        }
        let over = disk().is_off() || cut_at.is_some_and(|moment| Instant::now() >= moment);
        if over || !said.complaints.is_empty() {
            return Ok(said);
        }
        ensure!(Instant::now() < deadline, "no records within {START_MAX} s");
        thread::sleep(Duration::from_millis(10));
    }
}
