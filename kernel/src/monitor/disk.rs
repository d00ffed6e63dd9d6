//! Virtual disks on the board: their calls, their interrupt, their command.

use super::calls::{numbers_and_name, Done, GuestRange};
use super::cpu::{Cpu, POSTED_DISK};
use super::device::want_attention;
use super::partition::Partitions;
use super::real::RealMemory;
use super::resident::Resident;
use super::shortage::Want;
use super::slot::VmSlot;
use super::{Carver, Monitor, CONSOLE};
use crate::clock::count_hz;
use crate::console::command::Format;
use crate::console::disk_report::DiskRow;
use crate::console::report::Row;
use crate::disk::pool::Supply;
use crate::disk::request::REQUEST_BYTES_MAX;
use crate::disk::virtual_disk::{Fault, Mount, VirtualDisk};
use crate::disk::{Disks, Edge, Passed, Queue, Refused, BLOCK};
use crate::events::Event;
use crate::machine::{NodeId, RunSize};
use core::sync::atomic::Ordering;
use disco_abi::{CallError, DiskInfo, DiskMode, DISK_COMMANDS_MAX, LINE_DISK, PAGE_SIZE};
use disco_arch::board::XKPHYS_CACHED;
use disco_arch::cp0;
use disco_arch::lock::Mutex;
use disco_flash::{text, DescriptionView, NONE};

/// How long the device may take for a transfer of a log's recovery, in seconds: Count wraps after 25.
const PATIENCE: u64 = 20;
/// How long it may take for any other one, in seconds.
const ANSWER_MAX: u64 = 30;
/// Bytes of a `DiskDone`.
const DONE_BYTES: usize = 16;
// Too large to pass over a stack.
static DISKS: Mutex<Disks> = Mutex::new(Disks::new());

/// The virtual disks of the description, on CPU 0 while no other runs. One whose partition cannot be
/// used is there, and cannot be had.
#[link_section = ".init.text"]
#[inline(never)]
pub(super) fn make_disks(
    description: &DescriptionView<'static>,
    partitions: &Partitions,
    carver: &mut Carver,
) -> &'static Mutex<Disks> {
    let disks = description.disks.iter().enumerate().map(|(number, disk)| {
        let name = text(&disk.name);
        let found = partitions.disk(number);
        let aligned = found.filter(|extent| extent.first % BLOCK == 0);
        if found.is_some() && aligned.is_none() {
            CONSOLE.lock().notice(format_args!(
                "disk {name} cannot be used: its partition does not begin at a multiple of 16 KiB"
            ));
        }
        VirtualDisk {
            name,
            mode: DiskMode::from_number(disk.mode.get().into()).unwrap_or(DiskMode::ReadOnly),
            first: aligned.map_or(0, |extent| extent.first / BLOCK),
            sectors: aligned.map_or(0, |extent| extent.sectors),
            private_max: disk.private.get() / PAGE_SIZE,
            owner: None,
            fault: aligned.is_none(),
            reads: 0,
            misses: 0,
        }
    });
    let disks = carver.collect(disks);
    let mounts = description.mounts.iter();
    let mounts = carver
        .collect(mounts.map(|mount| Mount::new(mount.vm.get() as u16, mount.disk.get() as u16)));
    let queues = carver.collect(description.vms.iter().map(|_| Queue::EMPTY));
    let memory = description.machine.memory.get() / PAGE_SIZE;
    DISKS.lock().set_up(disks, mounts, queues, memory as usize);
    &DISKS
}

/// Pages for the tables of the disks: the monitor's for ever.
struct TablePages(&'static Monitor);

impl<T: Default + 'static, const N: usize> Supply<T, N> for TablePages {
    #[cold]
    #[inline(never)]
    fn more(&self) -> Option<&'static mut [T; N]> {
        const { assert!(size_of::<[T; N]>() <= PAGE_SIZE as usize) };
        let machine = &self.0.machine;
        let page = machine.allocate_spare(NodeId(0), RunSize::ONE).ok()?;
        let page = machine.give_to_monitor(page.zero(&RealMemory));
        let place = (XKPHYS_CACHED | page.first.address().0) as *mut T;
        for number in 0..N {
            // SAFETY: a page of the monitor's that nobody else knows, as large as that.
            unsafe { place.add(number).write(T::default()) };
        }
        // SAFETY: all were written just now.
        Some(unsafe { &mut *place.cast() })
    }
}

impl Monitor {
    /// Works on the disks, near `node`; nothing without a real disk. Who waits for a command that
    /// has ended is told.
    pub(super) fn with_disks<R>(
        &'static self,
        node: NodeId,
        work: impl FnOnce(&mut Disks, &mut Edge<'_>) -> R,
    ) -> Option<R> {
        let mut work = Some(work);
        let mut result = None;
        self.work_on_disks(node, &mut |disks, edge| {
            result = work.take().map(|work| work(disks, edge));
        });
        result
    }

    /// The same once for all who do: the code is copied into every node.
    fn work_on_disks(&'static self, node: NodeId, work: &mut dyn FnMut(&mut Disks, &mut Edge<'_>)) {
        let Some(disk) = self.devices.disk else {
            return;
        };
        let memory = self.shared_pages(node);
        let mut disks = self.disks.lock();
        let mut driver = disk.driver.lock();
        let mut edge = Edge {
            memory: &memory,
            tables: &TablePages(self),
            device: &mut *driver,
        };
        work(&mut disks, &mut edge);
        let woken = disks.woken();
        drop(driver);
        drop(disks);
        let loading = self.loading.load(Ordering::Relaxed);
        if woken & loading != 0 {
            want_attention();
        }
        for slot in self.slots {
            if woken & !loading & 1 << slot.id.0 != 0 {
                self.post(slot.vcpu(0), POSTED_DISK);
            }
        }
    }

    /// Recovers the logs, before any virtual machine runs, on CPU 0 at tick `now`.
    #[link_section = ".init.text"]
    #[inline(never)]
    pub(super) fn recover_logs(&'static self, now: u64) {
        let patience = (PATIENCE * count_hz()).min(u32::MAX.into()) as u32;
        for (number, mount) in self.description.mounts.iter().enumerate() {
            let Some(log) = self.partitions.log(number) else {
                continue;
            };
            let place = (log.first / BLOCK, log.sectors / BLOCK);
            let mut begin = 0;
            let mut waits = |first| {
                if first {
                    begin = cp0::count();
                }
                cp0::count().wrapping_sub(begin) < patience
            };
            let recovered = self.with_disks(NodeId(0), |disks, edge| {
                disks.recover(edge, number, place, &mut waits)
            });
            let Some(Err(error)) = recovered else {
                continue;
            };
            let disk = self.description.disks.get(mount.disk.get() as usize);
            let (Some(disk), Some(slot)) = (disk, self.slots.get(mount.vm.get() as usize)) else {
                continue;
            };
            let disk = text(&disk.name);
            CONSOLE.lock().notice(format_args!(
                "{} cannot use disk {disk}: {error}. `cargo xtask run --fresh-disk` makes a new one and keeps the old",
                slot.name
            ));
            let reason = &error;
            self.event(Event::DiskUnusable { disk, reason }, now, Some(slot));
        }
    }

    /// Transfers of the real disk may have ended, says its interrupt.
    #[cold]
    #[inline(never)]
    pub(super) fn disk_ready(&'static self) {
        let _ = self.with_disks(NodeId(0), |disks, edge| disks.completed(edge));
    }

    /// It is tick `now`: a real disk that does not answer is switched off. On CPU 0, now and then.
    #[cold]
    #[inline(never)]
    pub(super) fn disk_time_passes(&'static self, now: u64) {
        let most = ANSWER_MAX * count_hz();
        let _ = self.with_disks(NodeId(0), |disks, edge| disks.time_passes(edge, now, most));
    }

    /// Takes up to `count` pages from the global disk cache that nobody else uses; whether there was one.
    #[cold]
    #[inline(never)]
    pub(super) fn shrink_cache(&'static self, node: NodeId, count: usize) -> bool {
        // Blocks that were in use since the last search are passed by once. Each is bounded.
        const SEARCHES: usize = 4;
        let shrunk = self.with_disks(node, |disks, edge| {
            let mut search = 0..SEARCHES;
            search.any(|_| disks.shrink(edge.memory, count) > 0)
        });
        shrunk == Some(true)
    }

    /// A virtual machine has ended.
    #[cold]
    #[inline(never)]
    pub(super) fn disk_vm_ended(&'static self, slot: &VmSlot) {
        let vm = slot.id.0.into();
        let _ = self.with_disks(NodeId(0), |disks, edge| disks.vm_ended(edge, vm));
    }
}

impl Cpu {
    /// The call `DiskInfo`.
    #[cold]
    #[inline(never)]
    pub(super) fn disk_info(
        &self,
        resident: &mut Resident,
        number: u64,
        address: u64,
    ) -> Result<Done, CallError> {
        const BYTES: usize = size_of::<DiskInfo>();
        let range = GuestRange::check(&resident.vm.pmap, address, BYTES as u64, BYTES)?;
        let mut answer = [0; BYTES];
        {
            let disks = self.monitor.disks.lock();
            let (_, disk) = disks.mount(resident.vm.slot.id.0.into(), number)?;
            numbers_and_name(&mut answer, [disk.sectors, disk.mode as u64], disk.name);
        }
        range.write(self.guest_memory(resident), &answer)?;
        Ok(Done::Value(0))
    }

    /// The call `DiskOpen`.
    #[cold]
    #[inline(never)]
    pub(super) fn disk_open(
        &mut self,
        resident: &Resident,
        number: u64,
    ) -> Result<Done, CallError> {
        let slot = resident.vm.slot;
        let opened = self.monitor.disks.lock().open(slot.id.0.into(), number);
        match opened {
            Ok(()) => Ok(Done::Value(0)),
            Err(error) => self.disk_refused(slot, number, error),
        }
    }

    /// A call for a virtual machine's disk is refused.
    #[cold]
    #[inline(never)]
    fn disk_refused(
        &mut self,
        slot: &VmSlot,
        number: u64,
        error: CallError,
    ) -> Result<Done, CallError> {
        let id = slot.id.0.into();
        let mut disks = self.monitor.disks.lock();
        disks.refused(id, number, error);
        let fault = disks.tell(id);
        drop(disks);
        self.tell_fault(slot, fault);
        Err(error)
    }

    /// Tells people what of a virtual machine's disk has failed.
    #[cold]
    #[inline(never)]
    fn tell_fault(&mut self, slot: &VmSlot, fault: Option<(&'static str, Fault, usize)>) {
        let Some((disk, fault, owner)) = fault else {
            return;
        };
        let owner = self.monitor.slots.get(owner);
        let owner = owner.filter(|_| fault == Fault::InUse);
        let owner = owner.map_or("", |slot| slot.name);
        let reason = match fault {
            Fault::InUse => "it is exclusive, and until its end it belongs to ",
            Fault::Quota => "private sectors have reached their quota; further ones fail",
            Fault::Command => "a command that is none",
            Fault::OutOfRange => "sectors behind its end",
            Fault::ReadOnly => "a write to a read-only disk",
            Fault::NoMemory => "no memory for a command",
            Fault::Device => "the real disk failed",
        };
        let event = match fault {
            Fault::InUse => Event::DiskRefused { disk, owner },
            Fault::Quota => Event::DiskFull { disk },
            _ => Event::DiskError { disk, reason },
        };
        let now = self.now();
        self.monitor.event(event, now, Some(slot));
        self.monitor
            .console
            .lock()
            .notice(format_args!("{}: disk {disk}: {reason}{owner}", slot.name));
    }

    /// The call `DiskCommand`.
    pub(super) fn disk_command(
        &mut self,
        resident: &mut Resident,
        [number, address, bytes]: [u64; 3],
    ) -> Result<Done, CallError> {
        let vm = resident.vm;
        let range = if bytes > REQUEST_BYTES_MAX as u64 {
            Err(CallError::BadArgument)
        } else {
            GuestRange::check(&vm.pmap, address, bytes, REQUEST_BYTES_MAX)
        };
        let range = match range {
            Ok(range) => range,
            Err(error) => return self.disk_refused(vm.slot, number, error),
        };
        let mut request = [0; REQUEST_BYTES_MAX];
        // Once: what a sibling does to it afterwards concerns nobody.
        range.read(self.guest_memory(resident), &mut request)?;
        let request = &request[..bytes as usize];
        let (id, memory) = (vm.slot.id.0.into(), vm.pmap.pages() * PAGE_SIZE);
        let mut fault = None;
        let node = self.shared.node;
        let done = self.monitor.with_disks(node, |disks, edge| {
            let mut guest = self.guest_memory(resident);
            let done = disks.command(edge, (id, memory, &mut guest), number, request);
            if let Err(Refused::Call(error)) = done {
                disks.refused(id, number, error);
            }
            fault = disks.tell(id);
            done
        });
        self.tell_fault(vm.slot, fault);
        if let Some(Ok(Passed::Unchecked(index))) = done {
            self.check_command(index);
        }
        match done.ok_or(CallError::NoDevice)? {
            Ok(passed) => Ok(Done::Value((passed == Passed::Ended).into())),
            Err(Refused::Call(error)) => Err(error),
            Err(Refused::NoMemory) => {
                // With promises others' memory never becomes free for it.
                if self.monitor.overcommit {
                    resident.wants.get_or_insert(Want::Spare);
                }
                Err(CallError::BadAddress)
            }
        }
    }

    /// Works out the checksums of a command, which are what takes longest in writing to a log.
    #[cold]
    #[inline(never)]
    fn check_command(&self, index: u32) {
        let (monitor, node) = (self.monitor, self.shared.node);
        let lacks = monitor.with_disks(node, |disks, _| disks.lacks(index));
        if let Some(mut checksums) = lacks {
            checksums.work_out(&self.shared_pages());
            let _ = monitor.with_disks(node, |disks, edge| disks.checked(edge, &checksums));
        }
    }

    /// The call `DiskTake`.
    pub(super) fn disk_take(
        &mut self,
        resident: &mut Resident,
        address: u64,
        room: u64,
    ) -> Result<Done, CallError> {
        let vm = resident.vm;
        let room = room.min(DISK_COMMANDS_MAX as u64) as usize;
        let length = room * DONE_BYTES;
        let range = GuestRange::check(&vm.pmap, address, length as u64, length)?;
        // Before anything is taken that could not be told.
        range.prepare(self.guest_memory(resident))?;
        let mut answer = [0; DISK_COMMANDS_MAX * DONE_BYTES];
        let id = vm.slot.id.0.into();
        let node = self.shared.node;
        let taken = self.monitor.with_disks(node, |disks, edge| {
            let mut guest = self.guest_memory(resident);
            let guest = (id, &mut guest as _);
            let count = disks.take(edge, guest, room, |number, done| {
                let words = [done.tag, done.status].map(u64::to_be_bytes);
                answer[number * DONE_BYTES..][..DONE_BYTES].copy_from_slice(words.as_flattened());
            })?;
            Ok((count, disks.has_ended(id), disks.tell(id)))
        });
        let (count, more) = match taken {
            Some(Ok((count, more, fault))) => {
                self.tell_fault(vm.slot, fault);
                (count, more)
            }
            Some(Err(crate::machine::NoMemory)) => return Err(CallError::BadAddress),
            None => return Err(CallError::NoDevice),
        };
        range
            .shortened(count * DONE_BYTES)
            .write(self.guest_memory(resident), &answer)?;
        self.line_taken(resident, LINE_DISK, more);
        Ok(Done::Value(count as u64))
    }

    /// The command `disk`.
    pub(super) fn disk(&mut self, format: Format) {
        let monitor = self.monitor;
        self.answer(&mut |out| DiskRow::write_head(out, format));
        let count = monitor.description.disks.len();
        for number in 0..count {
            let users = monitor.description.mounts.iter().enumerate();
            let users = users
                .filter(|(_, mount)| mount.disk.get() as usize == number && mount.vm.get() != NONE);
            for mount in users.map(|(index, _)| Some(index)).chain([None]) {
                let row = disk_row(monitor, number, mount);
                if let Some(row) = row {
                    self.answer(&mut |out| row.write_row(out, format));
                }
            }
        }
    }
}

/// What `disk` says of a disk, or of one virtual machine's share of it.
fn disk_row(monitor: &Monitor, number: usize, mount: Option<usize>) -> Option<DiskRow<'static>> {
    let disks = monitor.disks.lock();
    let disk = disks.disks().get(number)?;
    let mounts = disks.mounts();
    let open = |mount: &Mount| match (mount.fault || disk.fault, mount.open) {
        (true, _) => "damaged",
        (false, true) => "open",
        (false, false) => "closed",
    };
    let private = |mount: &Mount| disks.private_sectors(mount);
    let mine = mounts.iter().filter(|one| usize::from(one.disk) == number);
    let mount = mount.and_then(|index| mounts.get(index));
    let cached = disks.cache().iter();
    Some(DiskRow {
        disk: disk.name,
        vm: mount.map(|mount| {
            let slot = monitor.slots.get(usize::from(mount.vm));
            slot.map_or("", |slot| slot.name)
        }),
        mode: mode_word(disk.mode),
        state: match mount {
            Some(mount) => open(mount),
            None if disk.fault => "damaged",
            None => "ready",
        },
        sectors: disk.sectors,
        cached: match mount {
            Some(_) => None,
            None => Some(cached.filter(|&(block, _)| disk.contains(block)).count() as u64),
        },
        hits: match mount {
            Some(_) => None,
            None => Some(disk.reads.saturating_sub(disk.misses) * 1000 / disk.reads.max(1)),
        },
        private: match mount {
            Some(mount) => private(mount),
            None => mine.map(private).sum(),
        },
    })
}

const fn mode_word(mode: DiskMode) -> &'static str {
    match mode {
        DiskMode::Cow => "cow",
        DiskMode::CowPersistent => "cow-persistent",
        DiskMode::Exclusive => "exclusive",
        DiskMode::Shared => "shared",
        DiskMode::ReadOnly => "read-only",
    }
}
