//! The log on a disk that loses what was not flushed, cut at every step.

use super::format;
use super::recover::LogError;
use super::{Log, Move};
use crate::address::GuestPhysical;
use crate::disk::pool::simulation::SimulatedSupply;
use crate::disk::simulation::{Random, SimulatedDevice};
use crate::disk::virtual_disk::{Mount, VirtualDisk};
use crate::disk::{Disks, Edge, Passed, Queue, BLOCK};
use crate::machine::shared::GuestPages;
use crate::machine::simulation::{SimulatedGuest, SimulatedMemory};
use crate::vm::defect::{self, Defect};
use disco_abi::{DiskMode, DiskOperation, PAGE_SIZE, SECTOR};
use std::collections::BTreeMap;

/// The disk: its blocks on the real one, and its sectors.
const DISK_BLOCKS: u64 = 45;
const SECTORS: u64 = DISK_BLOCKS * BLOCK - 5;
/// The log's blocks: the smallest there can be.
const LOG: (u64, u64) = (DISK_BLOCKS, 2 + 2 * 269);
const GUEST_PAGES: usize = 256;
const REGION: u64 = 64 * PAGE_SIZE;

struct Machine {
    memory: &'static SimulatedMemory,
    supply: &'static SimulatedSupply,
    device: SimulatedDevice,
    disks: Box<Disks>,
    guest: SimulatedGuest<'static>,
}

fn leaked<T>(value: T) -> &'static mut T {
    Box::leak(Box::new(value))
}

fn stamped(number: u64) -> Vec<u8> {
    number.to_be_bytes().repeat(SECTOR as usize / 8)
}

/// A disk as it is made: sectors hold their numbers, the log is empty.
fn new_disk() -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..DISK_BLOCKS * BLOCK).flat_map(stamped).collect();
    bytes.resize(((LOG.0 + LOG.1) * PAGE_SIZE) as usize, 0);
    bytes
}

impl Machine {
    fn new(bytes: Vec<u8>, seed: u64) -> Self {
        let memory: &'static SimulatedMemory = leaked(SimulatedMemory::new(3000));
        let disk = VirtualDisk {
            name: "home",
            mode: DiskMode::CowPersistent,
            first: 0,
            sectors: SECTORS,
            private_max: 0,
            owner: None,
            fault: false,
            reads: 0,
            misses: 0,
        };
        let mut disks = Box::new(Disks::new());
        let mount = leaked([Mount::new(0, 0)]);
        disks.set_up(leaked([disk]), mount, leaked([Queue::EMPTY]), 400);
        Self {
            memory,
            supply: leaked(SimulatedSupply::new(1000)),
            device: SimulatedDevice::new(memory, bytes, seed),
            disks,
            guest: SimulatedGuest::new(memory, GUEST_PAGES),
        }
    }

    fn with<R>(
        &mut self,
        work: impl FnOnce(&mut Disks, &mut Edge<'_>, &mut dyn GuestPages) -> R,
    ) -> R {
        let mut edge = Edge {
            memory: self.memory,
            tables: self.supply,
            device: &mut self.device,
        };
        work(&mut self.disks, &mut edge, &mut self.guest)
    }

    /// Recovers; the device answers so many times.
    fn recover(&mut self, answers: usize) -> Result<(), LogError> {
        self.device.budget = answers;
        let mut looks = answers;
        let result = self.with(|disks, edge, _| {
            disks.recover(edge, 0, LOG, &mut |_| {
                looks = looks.wrapping_sub(1);
                looks != usize::MAX
            })
        });
        self.device.budget = usize::MAX;
        result
    }

    fn pass(&mut self, operation: DiskOperation, sector: u64, count: u64, slot: u64) -> bool {
        let mut words = vec![operation as u64, sector, slot, u64::from(count > 0)];
        if count > 0 {
            words.extend([slot * REGION, count * SECTOR]);
        }
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        let memory = GUEST_PAGES as u64 * PAGE_SIZE;
        let passed =
            self.with(|disks, edge, guest| disks.command(edge, (0, memory, guest), 0, &bytes));
        match passed.unwrap() {
            Passed::Ended => true,
            Passed::Later => false,
            Passed::Unchecked(index) => {
                // Others go on meanwhile, and this one does not.
                self.with(|disks, edge, _| disks.go_on(edge));
                let mut checksums = self.disks.lacks(index);
                checksums.work_out(self.memory);
                self.with(|disks, edge, _| disks.checked(edge, &checksums));
                false
            }
        }
    }

    fn completed(&mut self, most: usize, left: &mut usize) {
        let budget = most.min(*left);
        self.device.budget = budget;
        self.with(|disks, edge, _| disks.completed(edge));
        *left -= budget - self.device.budget;
        self.device.budget = usize::MAX;
    }

    fn take(&mut self) -> Vec<(u64, u64)> {
        let mut all = Vec::new();
        self.with(|disks, edge, guest| {
            disks.take(edge, (0, guest), 64, |_, done| {
                all.push((done.tag, done.status))
            })
        })
        .unwrap();
        all
    }

    /// What each sector holds.
    fn contents(&mut self) -> Vec<u64> {
        self.disks.open(0, 0).unwrap();
        let mut all = Vec::new();
        let mut sector = 0;
        while sector < SECTORS {
            let count = (SECTORS - sector).min(2000).min(REGION / SECTOR);
            if !self.pass(DiskOperation::Read, sector, count, 0) {
                self.completed(usize::MAX, &mut usize::MAX.clone());
                assert_eq!(self.take(), [(0, 0)]);
            }
            for at in 0..count {
                let mut bytes = [0; SECTOR as usize];
                self.guest.load(GuestPhysical(at * SECTOR), &mut bytes);
                let number = u64::from_be_bytes(bytes[..8].try_into().unwrap());
                assert!(
                    bytes[..] == stamped(number),
                    "sector {} is torn",
                    sector + at
                );
                all.push(number);
            }
            sector += count;
        }
        all
    }
}

/// What a guest was told, and what it has written.
#[derive(Default)]
struct History {
    /// Writes in order: which sectors. The number of the first is 1; it says what they wrote.
    writes: Vec<core::ops::Range<u64>>,
    /// By sector, the latest write that a flush has promised to keep.
    promised: BTreeMap<u64, usize>,
}

impl History {
    /// A flush has promised to keep a write.
    fn promise(&mut self, write: usize) {
        for sector in self.writes[write - 1].clone() {
            let latest = self.promised.entry(sector).or_default();
            *latest = (*latest).max(write);
        }
    }

    /// What is not as promised, if anything.
    fn broken(&self, contents: &[u64]) -> Option<String> {
        for (sector, &number) in (0..).zip(contents) {
            let promised = self.promised.get(&sector).copied().unwrap_or(0);
            let write = match number.checked_sub(1 << 32) {
                None if number == sector => 0,
                None => return Some(format!("sector {sector} holds another's")),
                Some(write) => write as usize,
            };
            let wrote = write == 0 || self.writes[write - 1].contains(&sector);
            if write < promised || !wrote {
                return Some(format!(
                    "sector {sector} holds what write {write} wrote, {promised} was promised"
                ));
            }
        }
        // A record of a log is there as a whole or not at all.
        for (number, range) in (1..).zip(&self.writes) {
            let seen = |sector: &u64| contents[*sector as usize] == (1 << 32) + number;
            let older = |sector: &u64| contents[*sector as usize] < (1 << 32) + number;
            let blocks = range.end.div_ceil(BLOCK) - range.start / BLOCK;
            if blocks <= 32 && range.clone().any(|sector| seen(&sector)) {
                if let Some(sector) = range.clone().find(older) {
                    return Some(format!("write {number} is there but for sector {sector}"));
                }
            }
        }
        None
    }
}

struct Command {
    write: usize,
    durable: bool,
    /// Of a flush: what had ended when it was passed.
    ended: Option<Vec<usize>>,
}

/// A guest writes and flushes until the device has ended `left` transfers; what was promised.
fn live(machine: &mut Machine, seed: u64, left: &mut usize) -> History {
    let mut random = Random(seed | 1);
    let mut history = History::default();
    let mut under_way: BTreeMap<u64, Command> = BTreeMap::new();
    let mut ended: Vec<usize> = Vec::new();
    machine.disks.open(0, 0).unwrap();
    for _ in 0..250 {
        if *left == 0 {
            break;
        }
        let slot = 1 + random.below(3) as u64;
        let free = !under_way.contains_key(&slot);
        let first = match random.below(2) {
            0 => random.below(SECTORS as usize) as u64,
            _ => random.below(DISK_BLOCKS as usize) as u64 * BLOCK,
        };
        let most = if random.below(3) == 0 { 1200 } else { 100 };
        let count = (1 + random.below(most) as u64).min(SECTORS - first);
        let range = first..first + count;
        let meets = |one: &Command| {
            one.ended.is_none() && {
                let other = &history.writes[one.write - 1];
                other.start < range.end && range.start < other.end
            }
        };
        let collides = under_way.values().any(meets);
        match random.below(8) {
            0..4 if free && !collides => {
                history.writes.push(range);
                let write = history.writes.len();
                let data = stamped((1 << 32) + write as u64).repeat(count as usize);
                machine.guest.store(GuestPhysical(slot * REGION), &data);
                let durable = random.below(4) == 0;
                let operation = if durable {
                    DiskOperation::WriteDurable
                } else {
                    DiskOperation::Write
                };
                assert!(!machine.pass(operation, first, count, slot));
                let command = Command {
                    write,
                    durable,
                    ended: None,
                };
                under_way.insert(slot, command);
            }
            4 if free => {
                let command = Command {
                    write: 0,
                    durable: false,
                    ended: Some(ended.clone()),
                };
                if machine.pass(DiskOperation::Flush, 0, 0, slot) {
                    ended.iter().for_each(|&write| history.promise(write));
                } else {
                    under_way.insert(slot, command);
                }
            }
            _ => machine.completed(1 + random.below(6), left),
        }
        for (slot, status) in machine.take() {
            assert_eq!(status, 0);
            let command = under_way.remove(&slot).unwrap();
            match command.ended {
                Some(ended) => ended.iter().for_each(|&write| history.promise(write)),
                None => {
                    if command.durable {
                        history.promise(command.write);
                    }
                    ended.push(command.write);
                }
            }
        }
    }
    history
}

/// A life that is cut after so many transfers: whether it was, and what a recovery finds wrong.
fn cut(seed: u64, after: usize, ignores_flush: bool) -> (bool, Option<String>) {
    let mut machine = Machine::new(new_disk(), seed);
    machine.recover(usize::MAX).unwrap();
    machine.device.ignores_flush = ignores_flush;
    machine.device.capacity = 1 + seed as usize % 7;
    let mut left = after;
    let mut history = live(&mut machine, seed, &mut left);
    let mut bytes = machine.device.cut();
    if ignores_flush {
        let mut machine = Machine::new(bytes, seed);
        let result = match machine.recover(usize::MAX) {
            Ok(()) => history.broken(&machine.contents()),
            Err(error) => Some(error.to_string()),
        };
        return (left == 0, result);
    }
    // The recovery is cut, too, at any time, and then what the guest does after it.
    let mut random = Random(seed ^ after as u64 ^ 0x5555);
    for _ in 0..2 {
        let mut machine = Machine::new(bytes, seed ^ 1);
        let _ = machine.recover(random.below(40));
        bytes = machine.device.cut();
    }
    let mut machine = Machine::new(bytes, seed);
    if let Err(error) = machine.recover(usize::MAX) {
        return (left == 0, Some(error.to_string()));
    }
    let contents = machine.contents();
    let broken = history.broken(&contents);
    // What was recovered is durable.
    for (sector, &number) in (0..).zip(&contents) {
        if let Some(write) = number.checked_sub(1 << 32) {
            history.promised.insert(sector, write as usize);
        }
    }
    let mut again = Machine::new(machine.device.cut(), seed);
    let broken = broken.or_else(|| match again.recover(usize::MAX) {
        Ok(()) if again.contents() == contents => None,
        Ok(()) => Some("another recovery finds other contents".into()),
        Err(error) => Some(format!("another recovery: {error}")),
    });
    (left == 0, broken)
}

#[test]
fn what_a_flush_has_promised_is_there_after_every_cut() {
    for seed in 1..2 {
        let mut after = 0;
        loop {
            let (was_cut, broken) = cut(seed * 77, after, false);
            assert_eq!(broken, None, "seed {seed}, cut after {after} transfers");
            if !was_cut {
                break;
            }
            // Every one at first, and where blocks move some of them.
            after += 1 + after / 15;
        }
        assert!(after > 100, "seed {seed} ends after {after} transfers");
    }
}

#[test]
fn blocks_move_and_nothing_else_changes() {
    let mut moves = 0;
    for seed in 1..4 {
        let mut machine = Machine::new(new_disk(), seed);
        machine.recover(usize::MAX).unwrap();
        let history = live(&mut machine, seed * 31, &mut usize::MAX.clone());
        machine.completed(usize::MAX, &mut usize::MAX.clone());
        machine.take();
        let log = machine.disks.mounts()[0].log.as_ref().unwrap();
        moves += log.epoch - 1;
        assert!(log.moving().is_none() && !log.has_failed());
        let contents = machine.contents();
        assert_eq!(history.broken(&contents), None);
        // Nothing was cut: all is there, durable or not.
        let bytes = machine.device.contents();
        let mut again = Machine::new(bytes, seed);
        again.recover(usize::MAX).unwrap();
        assert!(again.contents() == contents);
    }
    assert!(moves > 2, "{moves}");
}

#[test]
fn damage_is_named_and_never_a_panic() {
    let mut machine = Machine::new(new_disk(), 5);
    machine.recover(usize::MAX).unwrap();
    let history = live(&mut machine, 55, &mut 60);
    let written = History {
        writes: history.writes.clone(),
        ..History::default()
    };
    let bytes = machine.device.contents();
    let start = (LOG.0 * PAGE_SIZE) as usize;
    let damaged = |at: usize, length: usize| {
        let mut bytes = bytes.clone();
        bytes[start + at..][..length].fill(0x5a);
        let mut machine = Machine::new(bytes, 5);
        let result = machine.recover(usize::MAX);
        if result.is_err() {
            assert!(machine.disks.open(0, 0).is_err());
        }
        result.map(|()| machine.contents())
    };
    let page = PAGE_SIZE as usize;
    assert_eq!(damaged(0, 2 * page), Err(LogError::Superblock));
    // One of the two suffices, and a record that nobody was promised may go.
    for superblock in 0..2 {
        if let Ok(contents) = damaged(superblock * page, 512) {
            assert_eq!(history.broken(&contents), None);
        }
    }
    // The first record was promised long ago.
    assert_eq!(damaged(2 * page, 512), Err(LogError::Record(0)));
    let mut random = Random(99);
    for _ in 0..30 {
        let at = random.below((LOG.1 as usize - 1) * page);
        let length = 1 + random.below(page);
        // It is noticed, or looks like the end of the log: nothing behind it said that it was durable.
        if let Ok(contents) = damaged(at, length) {
            assert_eq!(written.broken(&contents), None, "{length} bytes at {at}");
        }
    }
    // A bit of the first record's data, which was promised long ago, too.
    let data = format::Shape::of(LOG.1).unwrap().block(0, 0) as usize * page;
    assert_eq!(damaged(data + 100, 1), Err(LogError::Record(0)));
    // Another disk's log.
    let mut machine = Machine::new(bytes, 5);
    *machine.disks = Disks::new();
    let other = VirtualDisk {
        name: "other",
        mode: DiskMode::CowPersistent,
        first: 0,
        sectors: SECTORS - 1,
        private_max: 0,
        owner: None,
        fault: false,
        reads: 0,
        misses: 0,
    };
    let mount = leaked([Mount::new(0, 0)]);
    machine
        .disks
        .set_up(leaked([other]), mount, leaked([Queue::EMPTY]), 400);
    assert_eq!(machine.recover(usize::MAX), Err(LogError::Other));
}

#[test]
fn random_lives_are_cut() {
    for seed in 1..12 {
        let (_, broken) = cut(seed * 1234567, seed as usize * 7 % 400, false);
        assert_eq!(broken, None, "seed {seed}");
    }
}

#[test]
fn a_device_that_ignores_flushes_is_caught() {
    let caught = |seed: &u64| cut(seed * 99, 120, true).1.is_some();
    assert!((1..20).any(|seed| caught(&seed)));
}

/// Writes without a flush, in commands of a megabyte, until the log moves; then with one transfer of the
/// device at a time until `stop`.
fn write_until(machine: &mut Machine, stop: impl Fn(&Log) -> bool) {
    let mut written = 0;
    for step in 0..5000u64 {
        let log = machine.disks.mounts()[0].log.as_ref().unwrap();
        if stop(log) {
            return;
        }
        let moving = log.moving().is_some();
        if !moving && step % 2 == 0 && written < 1000 {
            // Of sectors that nobody has been promised anything about.
            let first = step / 2 % 2 * 32;
            written += usize::from(!machine.pass(DiskOperation::Write, first, 32, 1));
        }
        machine.completed(1, &mut usize::MAX.clone());
        machine.take();
    }
    panic!("it never comes to that");
}

/// Each flush of a move is there for something: without it a cut at its moment loses what was promised
/// long before.
#[test]
fn every_flush_of_a_move_is_needed() {
    let lost = |defect: Option<Defect>, moves: u64, seed: u64| {
        defect::with(defect, || {
            let mut machine = Machine::new(new_disk(), seed);
            machine.recover(usize::MAX).unwrap();
            machine.disks.open(0, 0).unwrap();
            let data = stamped(77).repeat(1200);
            machine.guest.store(GuestPhysical(2 * REGION), &data);
            for operation in [DiskOperation::Write, DiskOperation::Flush] {
                let count = 1200 * u64::from(operation == DiskOperation::Write);
                machine.pass(operation, 64, count, 2);
                machine.completed(usize::MAX, &mut usize::MAX.clone());
                assert_eq!(machine.take(), [(2, 0)]);
            }
            let last = machine.disks.mounts()[0].log.as_ref().unwrap().epoch + moves;
            write_until(&mut machine, |log| match moves {
                // The superblock has been written.
                1 => {
                    log.epoch == last
                        && !matches!(
                            log.moving(),
                            Some(Move::Blocks(_) | Move::Flush | Move::Superblock)
                        )
                }
                _ => log.epoch == last && !matches!(log.moving(), Some(Move::Blocks(0))),
            });
            let mut again = Machine::new(machine.device.cut(), seed);
            again.recover(usize::MAX).is_err()
                || again.contents()[64..1264]
                    .iter()
                    .any(|&number| number != 77)
        })
    };
    for (defect, moves) in [
        (Defect::IgnoreMoveFlush, 1),
        (Defect::IgnoreSuperblockFlush, 2),
    ] {
        assert!(
            (1..20).any(|seed| lost(Some(defect), moves, seed * 4321)),
            "{defect:?}"
        );
        assert!(
            !(1..4).any(|seed| lost(None, moves, seed * 4321)),
            "without {defect:?}"
        );
    }
}
