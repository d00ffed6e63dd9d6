//! The monitor on the board: what ties machine, virtual machines, scheduler and console together.
//!
//! Locks, in the order in which they are taken: a virtual machine's [`slot::VmSlot::state`], the
//! console's, a virtual machine's backing, the subnet's, a real device's, a node's, the event
//! line's. None is held while a guest runs.

pub mod calls;
pub mod check;
pub mod commands;
pub mod console;
pub mod cpu;
pub mod device;
pub mod disk;
pub mod fetch;
pub mod gather;
pub mod heat;
pub mod hot;
pub mod latency;
pub mod lifecycle;
mod light;
pub mod load;
mod magic;
pub mod memory;
pub mod moves;
pub mod net;
pub mod pages;
pub mod partition;
pub mod real;
pub mod resident;
pub mod sample;
pub mod shake;
pub mod shortage;
pub mod siblings;
pub mod slot;
pub mod top;
pub mod users;

use crate::address::MachinePage;
use crate::clock::{count_hz, nanoseconds};
use crate::console::{GuestConsole, Mux};
use crate::disk::Disks;
use crate::events::Event;
use crate::machine::layout::{MachineLayout, Range, FREE_MAX};
use crate::machine::{bitmap_words, Entry, Machine, Node, NodeId, PageRange, VmId};
use crate::net::switch::Subnet;
use crate::numa::{Counters, Directory, Distances, PageRecord, Settings};
use crate::schedule::{AtomicVcpuSet, CpuId, Mailbox, Scheduler, VcpuId};
use crate::vm::identity::Identity;
use core::fmt::{self, Write};
use core::sync::atomic::AtomicU64;
use core::{mem, slice};
use cpu::{Cpu, CpuShared, NodeCode};
use disco_abi::PAGE_SIZE;
use disco_arch::board::uart::Uart;
use disco_arch::board::{rtc, XKPHYS_CACHED};
use disco_arch::cp0;
use disco_arch::lock::{Mutex, MutexGuard};
use disco_flash::{DescriptionView, CPUS_MAX, NONE, VMS_MAX};
use partition::Partitions;
use slot::VmSlot;
use spin::Once;

/// What the firmware hands over.
#[derive(Clone, Copy, Debug)]
pub struct Handover {
    /// Memory and CPUs by node.
    pub layout: MachineLayout,
    /// The machine description, in the flash.
    pub description: DescriptionView<'static>,
    /// The payload, checked.
    pub payload: &'static [u8],
    /// Bytes of the monitor's code and constants, replicated in each node.
    pub code_len: u64,
}

/// The monitor's shared part. Constant after boot but for what says otherwise.
pub struct Monitor {
    /// What the firmware found.
    pub layout: MachineLayout,
    /// The machine description.
    pub description: DescriptionView<'static>,
    /// The payload's bytes.
    pub payload: &'static [u8],
    /// Bytes of code and constants in each node.
    pub code_len: u64,
    /// Machine memory.
    pub machine: Machine,
    /// How misses are counted, and what for.
    pub numa: Settings,
    /// What the exact model counts, if it is the source.
    magic: Option<magic::MagicSource>,
    /// The scheduler's shared words.
    pub scheduler: &'static Scheduler,
    /// What virtual CPUs say they are.
    pub identity: Identity,
    /// Memory is given to virtual machines as they touch it.
    pub overcommit: bool,
    /// One for each virtual machine of the description.
    pub slots: &'static [VmSlot],
    /// What each CPU tells the others.
    pub cpus: [Option<&'static CpuShared>; CPUS_MAX],
    /// The virtual disks. Taken after the console, and before a real device and a virtual machine's
    /// backing.
    pub disks: &'static Mutex<Disks>,
    /// The virtual subnet. Taken after a virtual machine's backing, and before a real device.
    pub subnet: Mutex<Subnet<'static>>,
    /// The real disk and network card.
    pub devices: device::Devices,
    /// A bit for each virtual machine whose guest is read from the real disk. Written under its slot's state.
    pub loading: AtomicU64,
    /// Where the disks' partitions are.
    pub partitions: partition::Partitions,
    /// Virtual CPUs that look again when memory was freed.
    pub short: AtomicVcpuSet,
    /// The serial line of people. Taken after a slot's state.
    pub console: &'static Mutex<Mux<'static>>,
    /// The serial line of events. Innermost.
    events: Mutex<Uart>,
    /// Wall clock at tick 0, in nanoseconds since 1970.
    epoch_ns: u64,
}

static MONITOR: Once<&'static Monitor> = Once::new();
// Too large to pass over a boot stack.
static SCHEDULER: Scheduler = Scheduler::new();
static CONSOLE: Mutex<Mux<'static>> = Mutex::new(Mux::new());

/// Builds the shared part, on CPU 0 while no other runs.
#[link_section = ".init.text"]
#[inline(never)]
pub fn prepare(handover: &Handover) -> &'static Monitor {
    let layout = handover.layout;
    let mut machine_nodes: [Option<&'static Node>; CPUS_MAX] = [None; CPUS_MAX];
    let mut carver = Carver::new(&layout);
    for number in 0..layout.nodes().len() {
        machine_nodes[number] = Some(make_node(&layout, number, &mut carver));
    }
    let slots = make_slots(handover, &mut carver);
    for (number, slot) in slots.iter().enumerate() {
        let guest = carver.take::<GuestConsole>(0, 1);
        // SAFETY: room for one, zeroed, which is a valid console without a name; nobody else's.
        let guest = unsafe { &mut *guest };
        guest.set_name(slot.name);
        CONSOLE.lock().add_guest(number, guest);
    }
    if let Some(vm) = attached_at_boot(handover) {
        CONSOLE.lock().attach(vm);
    }
    let mut cpus = [None; CPUS_MAX];
    for (number, cpu) in layout.cpus().iter().enumerate() {
        let node = NodeId(cpu.node as u8);
        cpus[number] = Some(&*carver.place(cpu.node, CpuShared::new(node)));
        let mailbox = carver.place(cpu.node, Mailbox::new(node));
        SCHEDULER.add_cpu(CpuId(number as u8), mailbox);
    }
    let subnet = net::make_subnet(slots, &mut carver);
    let devices = device::Devices::find(&mut carver);
    let partitions = Partitions::find(&handover.description, &devices, &mut carver);
    let disks = disk::make_disks(&handover.description, &partitions, &mut carver);
    let ticks = u64::from(cp0::count());
    let seconds = rtc::unix_seconds();
    let numa = Settings::new(
        &handover.description.machine.numa,
        layout.nodes().len(),
        count_hz(),
    );
    let wants_magic = numa.counters == Counters::Magic;
    let monitor = Monitor {
        layout,
        description: handover.description,
        payload: handover.payload,
        code_len: handover.code_len,
        machine: Machine::new(
            machine_nodes.into_iter().flatten(),
            distances(&handover.description.machine.numa),
        ),
        magic: wants_magic.then(|| magic::open(&handover.description.machine, &numa)),
        numa,
        scheduler: &SCHEDULER,
        identity: real_identity(),
        overcommit: handover.description.machine.overcommit.get() != 0,
        slots,
        cpus,
        subnet: Mutex::new(subnet),
        devices,
        loading: AtomicU64::new(0),
        partitions,
        short: AtomicVcpuSet::new(),
        disks,
        console: &CONSOLE,
        events: Mutex::new(Uart::com2()),
        epoch_ns: seconds
            .saturating_mul(1_000_000_000)
            .saturating_sub(nanoseconds(ticks)),
    };
    let monitor = &*carver.place(0, monitor);
    carver.open(monitor);
    MONITOR.call_once(|| monitor)
}

/// The monitor; `None` before [`prepare`].
#[link_section = ".text.once"]
#[inline(never)]
pub fn monitor() -> Option<&'static Monitor> {
    MONITOR.get().copied()
}

/// Prepares CPU `number`, which runs this and will run `code`, to run the monitor; CPU 0, the last one,
/// starts the virtual machines. `block` is the CPU's private memory, `stack` the end of its stack.
#[link_section = ".text.once"]
#[inline(never)]
pub fn prepare_cpu(number: usize, block: Range, stack: Range, code: &NodeCode) -> *mut Cpu {
    let Some(monitor) = monitor() else {
        panic!("CPU {number} runs before the monitor is prepared");
    };
    // SAFETY: the layout gives this block to this CPU alone, and it is large enough (checked
    // when compiled, see `cpu::BLOCK_LEN`).
    let place = (XKPHYS_CACHED | block.start.0) as *mut Cpu;
    unsafe {
        let stack = XKPHYS_CACHED | stack.end.0;
        Cpu::init(place, monitor, (number, stack), code);
    }
    if number == 0 {
        // SAFETY: as above, and traps do not come yet.
        let cpu = unsafe { &mut *place };
        monitor.start_all(|| cpu.now());
    }
    place
}

/// Runs the monitor on this CPU, for ever.
///
/// # Safety
/// `cpu` is what [`prepare_cpu`] has returned on this CPU.
#[inline(always)]
pub unsafe fn run(cpu: *mut Cpu) -> ! {
    // SAFETY: it was initialised, and from here on it is used by this CPU's traps alone.
    unsafe { Cpu::enter_first(cpu) }
}

fn real_identity() -> Identity {
    let config = [
        cp0::config0(),
        cp0::config1(),
        cp0::config2(),
        cp0::config3(),
        cp0::config4(),
        cp0::config5().bits(),
    ];
    Identity::new(cp0::prid(), config, real::fixed_status())
}

/// The virtual machine whose console the description wants attached.
fn attached_at_boot(handover: &Handover) -> Option<usize> {
    match handover.description.machine.console.get() {
        NONE => None,
        vm => Some(vm as usize),
    }
}

fn make_slots(handover: &Handover, carver: &mut Carver) -> &'static [VmSlot] {
    let vms = handover.description.vms;
    let place = carver.take::<VmSlot>(0, vms.len().min(VMS_MAX));
    let mut first = VcpuId(0);
    for (number, described) in vms.iter().enumerate().take(VMS_MAX) {
        let slot = VmSlot::new(VmId(number as u16), described, first);
        // Together no more than `VCPUS_MAX`: `DescriptionView::parse` has seen to that.
        SCHEDULER.join(first, slot.vcpu_count());
        first.0 += slot.vcpu_count();
        // SAFETY: `take` returned room for as many slots.
        unsafe { place.add(number).write(slot) };
    }
    // SAFETY: all were written.
    unsafe { slice::from_raw_parts(place, vms.len().min(VMS_MAX)) }
}

/// How far nodes are apart, as the description says.
fn distances(numa: &disco_flash::Numa) -> Distances {
    let latency_ns = |from: NodeId, to: NodeId| {
        let latency = numa.latency_ns(from.0.into(), to.0.into());
        u32::try_from(latency).unwrap_or(u32::MAX)
    };
    // xtask describes no node that would be nearer to another than to itself.
    Distances::new(latency_ns).unwrap_or_default()
}

/// A node with its tables, in its own memory.
fn make_node(layout: &MachineLayout, number: usize, carver: &mut Carver) -> &'static Node {
    let memory = layout.nodes()[number].memory;
    let range = PageRange::new(memory.start.page(), memory.len() / PAGE_SIZE);
    let entries = carver.take::<Entry>(number, range.count as usize);
    let words = bitmap_words(range);
    let bitmap = carver.take::<u64>(number, words);
    // SAFETY: fresh memory of the node, zeroed, which is a valid entry and word; nobody else has
    // it.
    let (entries, bitmap) = unsafe {
        (
            slice::from_raw_parts_mut(entries, range.count as usize),
            slice::from_raw_parts_mut(bitmap, words),
        )
    };
    let directory = match layout.nodes().len() {
        // Nothing can move.
        1 => Directory::default(),
        _ => make_directory(number, range, carver),
    };
    let id = NodeId(number as u8);
    carver.place(number, Node::new(id, range, entries, bitmap, directory))
}

fn make_directory(node: usize, range: PageRange, carver: &mut Carver) -> Directory {
    let records = carver.take::<PageRecord>(node, range.count as usize);
    // SAFETY: fresh memory of the node, zeroed, which are valid records; nobody writes to it but
    // through their atomic words.
    let records = unsafe { slice::from_raw_parts(records, range.count as usize) };
    Directory::new(range, records)
}

/// Takes memory from the beginning of each node's free ranges before there is an allocator.
struct Carver {
    free: [[Range; FREE_MAX]; CPUS_MAX],
}

impl Carver {
    fn new(layout: &MachineLayout) -> Self {
        let mut free = [[Range::default(); FREE_MAX]; CPUS_MAX];
        for (ranges, node) in free.iter_mut().zip(layout.nodes()) {
            for (to, from) in ranges.iter_mut().zip(node.free()) {
                *to = from;
            }
        }
        Self { free }
    }

    /// Zeroed room for `count` values in the memory of `node`.
    #[link_section = ".init.text"]
    fn take<T>(&mut self, node: usize, count: usize) -> *mut T {
        let bytes = (mem::size_of::<T>() * count) as u64;
        for range in &mut self.free[node] {
            // Cache lines of their own.
            let start = range.start.0.next_multiple_of(64);
            if start.saturating_add(bytes) <= range.end.0 {
                range.start.0 = start + bytes;
                let place = (XKPHYS_CACHED | start) as *mut u8;
                // SAFETY: free memory of the machine, taken out of the range just now.
                unsafe { place.write_bytes(0, bytes as usize) };
                return place.cast();
            }
        }
        panic!("node {node} has no room for the monitor's tables: give the machine more memory");
    }

    /// Moves `value` into the memory of `node`, for ever.
    fn place<T>(&mut self, node: usize, value: T) -> &'static mut T {
        let place = self.take::<T>(node, 1);
        // SAFETY: `take` returned room for one, aligned to a cache line.
        unsafe {
            place.write(value);
            &mut *place
        }
    }

    /// Moves what `values` gives into the memory of node 0, for ever.
    fn collect<T>(&mut self, values: impl ExactSizeIterator<Item = T>) -> &'static mut [T] {
        let count = values.len();
        let place = self.take::<T>(0, count);
        let mut written = 0;
        for value in values.take(count) {
            // SAFETY: `take` returned room for `count`, aligned to a cache line.
            unsafe { place.add(written).write(value) };
            written += 1;
        }
        // SAFETY: so many were written.
        unsafe { slice::from_raw_parts_mut(place, written) }
    }

    /// Hands what is left to the allocator, and tells the memmap of the payload.
    fn open(&self, monitor: &Monitor) {
        for node in monitor.machine.nodes() {
            for range in self.free[usize::from(node.id().0)] {
                let first = range.start.0.div_ceil(PAGE_SIZE);
                let count = (range.end.0 / PAGE_SIZE).saturating_sub(first);
                if count > 0
                    && node
                        .open(PageRange::new(MachinePage(first), count))
                        .is_err()
                {
                    panic!("free memory of node {} is not the monitor's", node.id().0);
                }
            }
            mark_payload(node, monitor.layout.payload);
        }
        if monitor.overcommit {
            monitor.share_payload();
        }
    }
}

/// Tells `node` which of its pages the payload lies in.
fn mark_payload(node: &Node, payload: Range) {
    let range = node.range();
    let first = payload.start.page().0.max(range.first.0);
    let end = payload.end.0.div_ceil(PAGE_SIZE).min(range.end().0);
    if first < end && !payload.is_empty() {
        let pages = PageRange::new(MachinePage(first), end - first);
        if node.mark_payload(pages).is_err() {
            panic!("the payload lies in memory that is not free");
        }
    }
}

impl Monitor {
    /// Writes an event at tick `now`, about virtual machine `vm` if one is given.
    #[inline(never)]
    #[cold]
    pub fn event(&self, event: Event, now: u64, vm: Option<&VmSlot>) {
        let mut line = EventLine(self.events.lock());
        // A serial line takes everything: writing cannot fail.
        let _ = event.write(nanoseconds(now), vm.map(|slot| slot.name), &mut line);
    }

    /// The virtual machine that `vcpu` belongs to, and which of its virtual CPUs it is.
    pub fn slot_of(&self, vcpu: VcpuId) -> Option<(&'static VmSlot, u16)> {
        let behind = self.slots.partition_point(|slot| slot.vcpu(0) <= vcpu);
        let slot = self.slots.get(behind.checked_sub(1)?)?;
        Some((slot, slot.number_of(vcpu)?))
    }

    /// Nanoseconds since 1970 at tick `now`.
    pub fn wall_clock(&self, now: u64) -> u64 {
        self.epoch_ns.saturating_add(nanoseconds(now))
    }
}

struct EventLine<'a>(MutexGuard<'a, Uart>);

impl Write for EventLine<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write_str(text)
    }

    fn write_char(&mut self, character: char) -> fmt::Result {
        self.0.write_char(character)
    }
}
