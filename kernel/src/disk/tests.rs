//! Virtual disks on a simulated machine, against a model of a number for each sector.

use super::pool::simulation::SimulatedSupply;
use super::simulation::{Random, SimulatedDevice};
use super::*;
use crate::address::{GuestPage, GuestPhysical};
use crate::machine::shared::PageRef;
use crate::machine::simulation::{SimulatedGuest, SimulatedMemory};
use disco_abi::Segment;
use proptest::prelude::*;
use std::collections::BTreeMap;
use virtual_disk::MONITOR;

const PAGE: usize = PAGE_SIZE as usize;
/// Guest pages of a virtual machine, and of them those of one command.
const GUEST_PAGES: usize = 48;
const REGION_PAGES: usize = 8;
/// Commands of a virtual machine at a time.
const SLOTS: usize = GUEST_PAGES / REGION_PAGES;

/// A machine with a real disk, virtual ones, and virtual machines that all have all of these.
struct World {
    memory: &'static SimulatedMemory,
    supply: &'static SimulatedSupply,
    device: SimulatedDevice,
    disks: Box<Disks>,
    guests: Vec<SimulatedGuest<'static>>,
}

/// Modes of the tests' disks, with their first block and length in sectors.
const DISKS: [(DiskMode, u64, u64); 4] = [
    (DiskMode::Cow, 1, 230),
    (DiskMode::Shared, 12, 200),
    (DiskMode::Exclusive, 20, 140),
    (DiskMode::ReadOnly, 30, 100),
];
const REAL_BLOCKS: u64 = 40;
/// The disk that the monitor has, too.
const FILE: usize = 3;

fn leaked<T>(values: impl IntoIterator<Item = T>) -> &'static mut [T] {
    Box::leak(values.into_iter().collect::<Vec<T>>().into_boxed_slice())
}

/// The contents of a sector: its number, again and again.
fn sector(number: u64) -> Vec<u8> {
    number.to_be_bytes().repeat(SECTOR as usize / 8)
}

impl World {
    fn new(vms: usize, pages: usize, private_max: u64, seed: u64) -> Self {
        let memory: &'static SimulatedMemory = Box::leak(Box::new(SimulatedMemory::new(pages)));
        let bytes = (0..REAL_BLOCKS * BLOCK).flat_map(sector).collect();
        let disk = |&(mode, first, sectors): &(DiskMode, u64, u64)| VirtualDisk {
            name: "disk",
            mode,
            first,
            sectors,
            private_max,
            owner: None,
            fault: false,
            reads: 0,
            misses: 0,
        };
        let mounts = (0..vms)
            .flat_map(|vm| (0..DISKS.len()).map(move |disk| Mount::new(vm as u16, disk as u16)))
            .chain([Mount::new(MONITOR, FILE as u16)]);
        let mut disks = Box::new(Disks::new());
        disks.set_up(
            leaked(DISKS.iter().map(disk)),
            leaked(mounts),
            leaked((0..vms).map(|_| Queue::EMPTY)),
            pages,
        );
        Self {
            memory,
            supply: Box::leak(Box::new(SimulatedSupply::new(1000))),
            device: SimulatedDevice::new(memory, bytes, seed),
            disks,
            guests: (0..vms)
                .map(|_| SimulatedGuest::new(memory, GUEST_PAGES))
                .collect(),
        }
    }

    fn with<R>(
        &mut self,
        work: impl FnOnce(&mut Disks, &mut Edge<'_>, &mut [SimulatedGuest<'static>]) -> R,
    ) -> R {
        let mut edge = Edge {
            memory: self.memory,
            tables: self.supply,
            device: &mut self.device,
        };
        work(&mut self.disks, &mut edge, &mut self.guests)
    }

    fn open(&mut self, vm: usize, disk: u64) -> Result<(), CallError> {
        self.disks.open(vm, disk)
    }

    fn command(
        &mut self,
        vm: usize,
        disk: u64,
        (operation, sector, tag): (DiskOperation, u64, u64),
        segments: &[Segment],
    ) -> Result<bool, Refused> {
        let mut words = vec![operation as u64, sector, tag, segments.len() as u64];
        words.extend(segments.iter().flat_map(|one| [one.address, one.bytes]));
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        self.with(|disks, edge, guests| {
            let guest = (vm, (GUEST_PAGES * PAGE) as u64, &mut guests[vm] as _);
            disks.command(edge, guest, disk, &bytes)
        })
        .map(|passed| passed == Passed::Ended)
    }

    fn completed(&mut self, budget: usize) {
        self.device.budget = budget;
        self.with(|disks, edge, _| disks.completed(edge));
        self.device.budget = usize::MAX;
    }

    fn take(&mut self, vm: usize) -> Result<Vec<(u64, u64)>, NoMemory> {
        let mut all = Vec::new();
        self.with(|disks, edge, guests| {
            let guest = (vm, &mut guests[vm] as &mut dyn GuestPages);
            disks.take(edge, guest, 3, |_, done| all.push((done.tag, done.status)))
        })?;
        Ok(all)
    }

    /// Each page has as many users as can be found.
    fn audit(&self) {
        let mut users: BTreeMap<MachinePage, u32> = BTreeMap::new();
        let mut count = |page| *users.entry(page).or_default() += 1;
        self.disks.uses(&mut |_, page| count(page));
        for guest in &self.guests {
            let pages = (0..GUEST_PAGES as u64).filter_map(|at| guest.machine_page(GuestPage(at)));
            pages.for_each(&mut count);
        }
        assert_eq!(users.len(), self.memory.used(), "pages are lost");
        for (page, count) in users {
            assert_eq!(self.memory.users(&PageRef::counted(page)), count);
        }
    }

    /// Ends everything; no page is left.
    fn finish(mut self) {
        let vms = self.guests.len();
        for vm in 0..vms {
            self.with(|disks, edge, _| disks.vm_ended(edge, vm));
        }
        self.completed(usize::MAX);
        self.audit();
        self.guests.clear();
        self.disks.shrink(self.memory, usize::MAX);
        assert_eq!(self.memory.used(), 0);
    }
}

/// A command that the model waits for.
#[derive(Clone, Debug)]
struct Expected {
    vm: usize,
    disk: usize,
    slot: usize,
    operation: DiskOperation,
    sectors: core::ops::Range<u64>,
    segments: Vec<Segment>,
    /// What it writes.
    number: u64,
}

/// What each sector of each disk holds, for each virtual machine; `None` where a command has failed.
struct Model {
    sectors: BTreeMap<(usize, usize), Vec<Option<u64>>>,
    waiting: BTreeMap<u64, Expected>,
    open: BTreeMap<(usize, usize), bool>,
    number: u64,
}

impl Model {
    fn new(vms: usize) -> Self {
        let mut sectors = BTreeMap::new();
        for vm in 0..vms {
            for (disk, &(_, first, length)) in DISKS.iter().enumerate() {
                let all = (first * BLOCK..first * BLOCK + length).map(Some).collect();
                sectors.insert((Self::view(vm, disk), disk), all);
            }
        }
        Self {
            sectors,
            waiting: BTreeMap::new(),
            open: BTreeMap::new(),
            number: 1 << 32,
        }
    }

    /// Whose view of a disk: everybody's own of a private one.
    fn view(vm: usize, disk: usize) -> usize {
        match DISKS[disk].0 {
            DiskMode::Cow => vm,
            _ => usize::MAX,
        }
    }

    fn collides(&self, new: &Expected) -> bool {
        let view = |one: &Expected| (one.disk, Self::view(one.vm, one.disk));
        self.waiting.values().any(|one| {
            let meets = one.sectors.start < new.sectors.end && new.sectors.start < one.sectors.end;
            let both_read =
                one.operation == DiskOperation::Read && new.operation == DiskOperation::Read;
            (one.vm == new.vm && one.slot == new.slot)
                || (view(one) == view(new) && meets && !both_read)
        })
    }

    fn stamp(new: &Expected, sector: u64) -> u64 {
        new.number + sector
    }

    /// A command has ended with `status`: what the guest sees is right.
    fn ended(&mut self, world: &World, one: &Expected, status: u64, may_fail: bool) {
        let key = (Self::view(one.vm, one.disk), one.disk);
        let known = self.sectors.get_mut(&key).unwrap();
        if status != 0 {
            assert!(may_fail, "{one:?} failed with {status}");
            if one.operation != DiskOperation::Read {
                for sector in one.sectors.clone() {
                    known[sector as usize] = None;
                }
            }
            return;
        }
        match one.operation {
            DiskOperation::Read => {
                let mut bytes = Vec::new();
                for segment in &one.segments {
                    let mut part = vec![0; segment.bytes as usize];
                    world.guests[one.vm].load(GuestPhysical(segment.address), &mut part);
                    bytes.extend(part);
                }
                for (sector_number, data) in one.sectors.clone().zip(bytes.chunks(512)) {
                    if let Some(number) = known[sector_number as usize] {
                        assert!(data == sector(number), "sector {sector_number} of {one:?}");
                    }
                }
            }
            DiskOperation::Write | DiskOperation::WriteDurable => {
                for sector in one.sectors.clone() {
                    known[sector as usize] = Some(Self::stamp(one, sector));
                }
            }
            DiskOperation::Flush => {}
        }
    }
}

/// Segments of `count` sectors in the region of a slot: whole pages, or anywhere.
fn segments(random: &mut Random, slot: usize, count: u64) -> Vec<Segment> {
    let mut at = (slot * REGION_PAGES * PAGE) as u64;
    let mut left = count;
    let mut all = Vec::new();
    while left > 0 {
        let bytes = match random.below(3) {
            0 => left.min(1 + random.below(4) as u64),
            _ => left.min(BLOCK * (1 + random.below(2) as u64)),
        } * SECTOR;
        at = match random.below(3) {
            0 if bytes < 4096 => at + random.below(700) as u64,
            0 => at,
            _ => at.next_multiple_of(PAGE_SIZE),
        };
        let address = at;
        let end = ((slot + 1) * REGION_PAGES * PAGE) as u64;
        if address + left * SECTOR > end {
            // What is left, together, at the end of the region.
            all.clear();
            let address = end - count * SECTOR;
            let bytes = count * SECTOR;
            return vec![Segment { address, bytes }];
        }
        all.push(Segment { address, bytes });
        at += bytes;
        left -= bytes / SECTOR;
    }
    all
}

/// Random commands of virtual machines that come and go.
fn run(seed: u64, pages: usize, capacity: usize, bad: bool, private_max: u64) {
    let vms = 3;
    let mut random = Random(seed | 1);
    let mut world = World::new(vms, pages, private_max, seed);
    world.device.capacity = capacity;
    let bad_sector = DISKS[3].1 * BLOCK + 40;
    world.device.bad_sector = bad.then_some(bad_sector);
    let mut model = Model::new(vms);
    let tight = pages < 1000 || private_max < 100;
    for tag in 0..300u64 {
        match random.below(12) {
            0..7 => {
                let disk = random.below(DISKS.len());
                let (mode, _, length) = DISKS[disk];
                let operation = match random.below(10) {
                    0..5 => DiskOperation::Read,
                    5..8 => DiskOperation::Write,
                    8 => DiskOperation::WriteDurable,
                    _ => DiskOperation::Flush,
                };
                let mut new = Expected {
                    vm: random.below(vms),
                    disk,
                    slot: random.below(SLOTS),
                    operation,
                    sectors: 0..0,
                    segments: Vec::new(),
                    number: model.number,
                };
                model.number += 1 << 16;
                if operation != DiskOperation::Flush {
                    let first = match random.below(2) {
                        0 => random.below(length as usize) as u64,
                        _ => random.below(length as usize) as u64 / BLOCK * BLOCK,
                    };
                    let count = (1 + random.below(90) as u64).min(length - first);
                    new.sectors = first..first + count;
                    new.segments = segments(&mut random, new.slot, count);
                }
                if model.collides(&new) {
                    continue;
                }
                let writes = matches!(
                    operation,
                    DiskOperation::Write | DiskOperation::WriteDurable
                );
                if writes {
                    let mut at = new.sectors.start;
                    for segment in &new.segments {
                        let mut data = Vec::new();
                        for _ in 0..segment.bytes / SECTOR {
                            data.extend(sector(Model::stamp(&new, at)));
                            at += 1;
                        }
                        world.guests[new.vm].store(GuestPhysical(segment.address), &data);
                    }
                }
                let key = (new.vm, disk);
                if !model.open.get(&key).copied().unwrap_or(false) {
                    let refused = world.open(new.vm, disk as u64);
                    let had = mode == DiskMode::Exclusive
                        && model.open.iter().any(|(one, open)| one.1 == disk && *open);
                    assert_eq!(refused, if had { Err(CallError::InUse) } else { Ok(()) });
                    if had {
                        continue;
                    }
                    model.open.insert(key, true);
                }
                let request = (operation, new.sectors.start, tag);
                let result = world.command(new.vm, disk as u64, request, &new.segments);
                match result {
                    Ok(true) => model.ended(&world, &new, 0, false),
                    Ok(false) => {
                        model.waiting.insert(tag, new.clone());
                    }
                    Err(refused) => assert!(tight, "{refused:?}"),
                }
                // What the guest does to its memory once the write is passed concerns nobody.
                if writes && mode != DiskMode::ReadOnly && result.is_ok() {
                    for segment in &new.segments {
                        world.guests[new.vm].store(GuestPhysical(segment.address), &[0xee; 100]);
                    }
                }
            }
            7..9 => world.completed(1 + random.below(4)),
            9..11 => {
                let vm = random.below(vms);
                let told: Vec<(u64, u64)> = world.take(vm).unwrap_or_default();
                for (tag, status) in told {
                    let one = model.waiting.remove(&tag).unwrap();
                    let bad_read = bad && one.disk == 3;
                    let refused = one.disk == 3 && one.operation != DiskOperation::Read;
                    model.ended(&world, &one, status, tight || bad_read || refused);
                }
            }
            _ => {
                let vm = random.below(vms);
                if random.below(6) == 0 {
                    world.with(|disks, edge, _| disks.vm_ended(edge, vm));
                    let memory = world.memory;
                    world.guests[vm] = SimulatedGuest::new(memory, GUEST_PAGES);
                    let (_, first, length) = DISKS[0];
                    let at_first = (first * BLOCK..first * BLOCK + length).map(Some).collect();
                    model.sectors.insert((vm, 0), at_first);
                    model.open.retain(|key, _| key.0 != vm);
                    let gone = model.waiting.extract_if(.., |_, one| one.vm == vm);
                    for (_, one) in gone.collect::<Vec<_>>() {
                        let key = (Model::view(one.vm, one.disk), one.disk);
                        if key.0 == usize::MAX && one.operation != DiskOperation::Read {
                            for sector in one.sectors {
                                model.sectors.get_mut(&key).unwrap()[sector as usize] = None;
                            }
                        }
                    }
                }
                world.audit();
            }
        }
    }
    // Nothing waits for ever.
    world.completed(usize::MAX);
    for vm in 0..vms {
        loop {
            let told = match world.take(vm) {
                Ok(told) if told.is_empty() => break,
                Ok(told) => told,
                Err(NoMemory) => {
                    assert!(tight);
                    model.waiting.retain(|_, one| one.vm != vm);
                    break;
                }
            };
            for (tag, status) in told {
                let one = model.waiting.remove(&tag).unwrap();
                let may_fail = tight || one.disk == 3;
                model.ended(&world, &one, status, may_fail);
            }
        }
    }
    assert!(model.waiting.is_empty(), "{:?}", model.waiting);
    // The real disk holds what was written to the shared disks, and nothing else has changed.
    let contents = world.device.contents();
    for (disk, &(mode, first, length)) in DISKS.iter().enumerate() {
        for number in 0..length {
            let real = first * BLOCK + number;
            let expected = match mode {
                DiskMode::Cow => Some(real),
                _ => model.sectors[&(usize::MAX, disk)][number as usize],
            };
            if let Some(expected) = expected {
                let at = (real * SECTOR) as usize;
                assert!(
                    contents[at..at + 512] == sector(expected),
                    "{mode:?} {number}"
                );
            }
        }
    }
    world.finish();
}

#[test]
fn a_device_that_does_not_answer_is_given_up() {
    let mut world = World::new(1, 200, 100, 1);
    world.open(0, 2).unwrap();
    let page = [Segment {
        address: 0,
        bytes: PAGE_SIZE,
    }];
    let pass = |world: &mut World, operation, sector, tag| {
        let list = if operation == DiskOperation::Flush {
            &[][..]
        } else {
            &page
        };
        world.command(0, 2, (operation, sector, tag), list)
    };
    let ticks = |world: &mut World, now| {
        world.with(|disks, edge, _| disks.time_passes(edge, now, 30));
        world.take(0).unwrap()
    };
    pass(&mut world, DiskOperation::Read, 0, 1).unwrap();
    assert_eq!(ticks(&mut world, 100), []);
    // A later one does not make the first one younger, nor one that is answered in between.
    pass(&mut world, DiskOperation::Write, 32, 2).unwrap();
    assert_eq!(ticks(&mut world, 130), []);
    assert!(!world.device.off);
    let mut told = ticks(&mut world, 131);
    told.sort_unstable();
    let failed = DiskError::Device as u64;
    assert_eq!(told, [(1, failed), (2, failed)]);
    assert!(world.device.off);
    // From then on everything fails at once, and nothing else.
    pass(&mut world, DiskOperation::Flush, 0, 3).unwrap();
    world.completed(usize::MAX);
    assert_eq!(world.take(0).unwrap(), [(3, failed)]);
    world.finish();
}

#[test]
fn people_are_told_once_of_each_fault() {
    let mut world = World::new(2, 200, 1, 1);
    let page = [Segment {
        address: 0,
        bytes: PAGE_SIZE,
    }];
    for _ in 0..2 {
        world.open(0, 2).unwrap();
        let refused = world.open(1, 2).unwrap_err();
        assert_eq!(refused, CallError::InUse);
        world.disks.refused(1, 2, refused);
        world.disks.refused(1, 2, refused);
        assert_eq!(world.disks.tell(1), Some(("disk", Fault::InUse, 0)));
        for number in [0, 3] {
            world.open(0, number).unwrap();
        }
        for (disk, operation, sector) in [
            (0, DiskOperation::Read, 1 << 40),
            (0, DiskOperation::Write, 0),
            (0, DiskOperation::Write, 32),
            (0, DiskOperation::Write, 64),
            (3, DiskOperation::Write, 0),
        ] {
            let _ = world.command(0, disk, (operation, sector, 1), &page);
        }
        world.disks.refused(0, 0, CallError::BadAddress);
        world.disks.refused(0, 99, CallError::BadAddress);
        let told = core::iter::from_fn(|| world.disks.tell(0));
        let told: Vec<Fault> = told.map(|(_, fault, _)| fault).collect();
        let expected = [
            Fault::Command,
            Fault::OutOfRange,
            Fault::Quota,
            Fault::ReadOnly,
        ];
        assert_eq!(told, expected);
        assert_eq!(world.disks.tell(1), None);
        // One that starts anew begins anew.
        for vm in 0..2 {
            world.with(|disks, edge, _| disks.vm_ended(edge, vm));
        }
    }
    world.finish();
}

#[test]
fn an_idle_device_is_not_given_up() {
    let mut world = World::new(1, 200, 100, 1);
    world.open(0, 2).unwrap();
    for now in [0, 1000, 2000] {
        world.with(|disks, edge, _| disks.time_passes(edge, now, 30));
        let page = [Segment {
            address: 0,
            bytes: PAGE_SIZE,
        }];
        let request = (DiskOperation::Write, 0, now);
        world.command(0, 2, request, &page).unwrap();
        world.completed(usize::MAX);
        assert_eq!(world.take(0).unwrap(), [(now, 0)]);
    }
    assert!(!world.device.off);
    world.audit();
}

proptest! {
    #![proptest_config(crate::cases_of_length(6))]
    #[test]
    fn disks_hold_what_was_written(seed: u64, capacity in 1..9usize, bad: bool) {
        run(seed, 4000, capacity, bad, 1000);
    }

    #[test]
    fn without_memory_commands_fail_and_nothing_else(seed: u64, pages in 150..220usize) {
        run(seed, pages, 3, false, 1000);
    }

    #[test]
    fn a_quota_keeps_private_sectors_down(seed: u64) {
        run(seed, 4000, 4, false, 3);
    }
}

/// Begins to fetch sectors of a disk for a virtual machine.
fn fetch(world: &mut World, vm: usize, disk: usize, sectors: u64) -> Result<(), DiskError> {
    world.with(|disks, edge, _| disks.fetch(edge, vm, disk, sectors))
}

#[test]
fn a_guests_file_is_read_once_and_stays_until_its_guests_start() {
    let (_, first, sectors) = DISKS[FILE];
    let mut world = World::new(2, 40, 10, 1);
    assert_eq!(fetch(&mut world, 0, FILE, sectors), Ok(()));
    assert_eq!(world.disks.fetched(0), None);
    assert_eq!(fetch(&mut world, 1, FILE, 33), Ok(()));
    world.completed(usize::MAX);
    assert_eq!(world.disks.fetched(0), Some(Ok(())));
    assert_eq!(world.disks.fetched(1), Some(Ok(())));
    assert_eq!(world.device.pieces, sectors.div_ceil(BLOCK) as usize);
    for block in 0..sectors.div_ceil(BLOCK) {
        let page = world.disks.fetched_page(FILE, block).unwrap();
        let mut bytes = vec![0; SECTOR as usize];
        world.memory.read(&PageRef::counted(page), 0, &mut bytes);
        assert_eq!(bytes, sector((first + block) * BLOCK));
    }
    // It is not given up while a guest has yet to be loaded from it.
    world.audit();
    world.with(|disks, edge, _| disks.vm_ended(edge, 0));
    world.disks.shrink(world.memory, usize::MAX);
    world.disks.shrink(world.memory, usize::MAX);
    assert!(world.disks.fetched_page(FILE, 1).is_some());
    assert_eq!(world.disks.fetched_page(FILE, 2), None);
    world.with(|disks, edge, _| disks.vm_ended(edge, 1));
    world.finish();
}

#[test]
fn a_file_that_cannot_be_fetched_is_an_error() {
    let (_, first, sectors) = DISKS[FILE];
    let mut world = World::new(1, 40, 10, 1);
    let outside = Err(DiskError::OutOfRange);
    assert_eq!(fetch(&mut world, 0, FILE, sectors + 1), outside);
    // The monitor has no such disk.
    assert_eq!(fetch(&mut world, 0, 0, 1), outside);
    assert_eq!(fetch(&mut world, 0, DISKS.len(), 1), outside);
    world.disks.disks[FILE].fault = true;
    assert_eq!(fetch(&mut world, 0, FILE, 1), outside);
    world.disks.disks[FILE].fault = false;
    // One transfer of it fails.
    world.device.bad_sector = Some(first * BLOCK + 70);
    assert_eq!(fetch(&mut world, 0, FILE, sectors), Ok(()));
    world.completed(usize::MAX);
    assert_eq!(world.disks.fetched(0), Some(Err(DiskError::Device)));
    world.with(|disks, edge, _| disks.vm_ended(edge, 0));
    assert_eq!(world.disks.fetched(0), Some(Ok(())));
    // Nobody waits for it any more.
    world.device.bad_sector = None;
    assert_eq!(fetch(&mut world, 0, FILE, sectors), Ok(()));
    world.with(|disks, edge, _| disks.vm_ended(edge, 0));
    assert_eq!(world.disks.fetched(0), Some(Ok(())));
    world.finish();
}
