//! A virtual machine in memory: its virtual CPUs and its tables, built and torn down.

use super::fetch::FileError;
use super::real::RealMemory;
use super::shortage::Want;
use super::slot::VmSlot;
use super::Monitor;
use crate::address::{GuestPage, MachinePage};
use crate::machine::shared::PageRef;
use crate::machine::{NoMemory, NodeId, PageRange, RunSize, VmId, NODES_MAX};
use crate::numa::latency::Debt;
use crate::numa::{HotPages, Interval, MoveBudget, Residence};
use crate::schedule::VcpuId;
use crate::vm::hardware::FpuRegisters;
use crate::vm::loader::LoadError;
use crate::vm::pmap::{Backing, Pmap, PmapEntry, LINEAR_PIECE};
use crate::vm::shootdown::ShootdownBox;
use crate::vm::special::SpecialPage;
use crate::vm::vcpu::{Registers, Vcpu, VcpuCounters};
use crate::vm::view::View;
use crate::vm::vtlb::VirtualTlb;
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};
use core::{fmt, mem, ptr, slice};
use disco_abi::{
    BOOT_INFO_GUEST_PHYSICAL, BOOT_MAGIC, CSSEG_WINDOW, CSSEG_WINDOW_SIZE, PAGE_SIZE, VCPUS_PER_VM,
};
use disco_arch::lock::Mutex;
use disco_arch::trap::{GuestContext, LinearEntry, CONTEXT_ALIGNMENT, SPECIAL_PAGE_OFFSET};
use disco_flash::CPUS_MAX;

/// A running virtual machine: what its virtual CPUs share. It lies in memory of the node where it
/// was started.
pub struct ResidentVm {
    /// Its slot.
    pub slot: &'static VmSlot,
    /// The physical-to-machine map.
    pub pmap: Pmap<'static>,
    /// Guards what is behind guest-physical pages, and is held until no virtual CPU uses what was
    /// there before. Taken before a node's lock.
    pub backing: Mutex<()>,
    /// Moves of its pages that the policy may make. Innermost.
    pub budget: Mutex<MoveBudget>,
    /// Pages that each node has found hot. Innermost.
    hot: [Mutex<HotPages>; NODES_MAX],
    /// Pages that it was promised and has not of its own at present.
    pub promised: AtomicU64,
    /// A bit for each virtual CPU that is paused for want of memory.
    pub paused: AtomicU64,
    /// Its virtual CPUs: null behind the last. Constant once it runs.
    vcpus: [AtomicPtr<Resident>; VCPUS_PER_VM],
    /// What siblings write for each of them.
    shared: [VcpuShared; VCPUS_PER_VM],
}

/// What the virtual CPUs of a virtual machine write for one of them.
#[derive(Debug)]
#[repr(align(64))]
pub struct VcpuShared {
    /// Messages that `IpiTake` takes.
    pub messages: AtomicU64,
    /// Translations that it is to forget.
    pub shootdown: ShootdownBox,
}

/// A virtual CPU in memory. Its home CPU owns it; while it is off, whoever holds its slot's state.
#[repr(C)]
pub struct Resident {
    /// The virtual CPU: first, so that the vectors' context has this structure's address.
    pub vcpu: Vcpu<'static>,
    /// Its virtual machine.
    pub vm: &'static ResidentVm,
    /// The physical-to-machine map as it is seen from the node where it runs.
    pub pmap: Pmap<'static>,
    /// That node.
    pub looks_from: NodeId,
    /// Its number for the scheduler.
    pub id: VcpuId,
    /// What its siblings write for it.
    pub shared: &'static VcpuShared,
    /// The page behind the special page.
    pub special_page: MachinePage,
    /// The node of its memory.
    pub node: NodeId,
    /// Where its memory is, by its misses.
    pub residence: Residence,
    /// What it needs before it goes on, and did not get.
    pub wants: Option<Want>,
    /// What it has to wait for its remote misses.
    pub debt: Debt,
}

const _: () = assert!(VCPUS_PER_VM == disco_flash::VCPUS_PER_VM);
// The vectors look for the second-level TLB behind the context and for the special page before it.
const _: () = assert!(mem::offset_of!(Resident, vcpu) == 0);
const _: () = assert!((CONTEXT_ALIGNMENT as u64).is_multiple_of(PAGE_SIZE));
const _: () = assert!(SPECIAL_PAGE_OFFSET == -(PAGE_SIZE as isize));

/// Why a virtual machine could not be started.
#[derive(Clone, Copy, Debug)]
pub enum StartError {
    /// The machine has not enough free memory.
    NoMemory,
    /// Its guest cannot be loaded.
    Load(LoadError),
    /// A file of its guest, by name, cannot be had.
    File(&'static str, FileError),
}

impl From<NoMemory> for StartError {
    fn from(_: NoMemory) -> Self {
        Self::NoMemory
    }
}

impl fmt::Display for StartError {
    #[cold]
    #[inline(never)]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoMemory => f.write_str(
                "the machine has not enough free memory; stop another virtual machine first",
            ),
            Self::Load(error) => error.fmt(f),
            Self::File(name, error) => write!(
                f,
                "its file {name} {}; `cargo xtask run --fresh-disk` makes a new disk and keeps the old",
                error.text()
            ),
        }
    }
}

impl Monitor {
    /// Zeroed pages for the monitor's own use on behalf of `vm`: at least `bytes`.
    fn service_pages(&self, vm: VmId, node: NodeId, bytes: u64) -> Result<PageRange, NoMemory> {
        let size = RunSize::at_least(bytes.div_ceil(PAGE_SIZE)).ok_or(NoMemory)?;
        let pages = self.machine.allocate_spare(node, size)?.zero(&RealMemory);
        Ok(self.machine.give_to_service(pages, vm))
    }

    /// Builds the virtual machine of `slot` with memory of `node` and nearby, its first virtual CPU
    /// at the guest's entry at tick `now`.
    ///
    /// # Errors
    /// Not enough memory, or the guest cannot be loaded; nothing is kept.
    pub fn build(
        &'static self,
        slot: &'static VmSlot,
        node: NodeId,
        now: u64,
    ) -> Result<&'static ResidentVm, StartError> {
        let vm = self.place_tables(slot, node).inspect_err(|_| {
            self.machine.reclaim(slot.id);
        })?;
        if let Err(error) = self.fill(vm, node, now) {
            self.clear_away(vm);
            return Err(error);
        }
        Ok(vm)
    }

    /// Frees every page of a virtual machine whose virtual CPUs are off.
    #[cold]
    #[inline(never)]
    pub(super) fn clear_away(&self, vm: &ResidentVm) {
        for (_, backing) in vm.pmap.iter() {
            if let Backing::Shared(page) = backing {
                // The reference that the pmap's entry is.
                self.machine.release(PageRef::counted(page));
            }
        }
        self.machine.fulfil(vm.promised.load(Ordering::Relaxed));
        // The tables go with it.
        self.machine.reclaim(vm.slot.id);
        self.memory_freed();
    }

    #[link_section = ".text.once"]
    #[inline(never)]
    fn fill(
        &'static self,
        vm: &'static ResidentVm,
        node: NodeId,
        now: u64,
    ) -> Result<(), StartError> {
        let slot = vm.slot;
        for (vcpu, number) in vm.vcpus.iter().zip(0..slot.vcpu_count()) {
            let place = self.place_vcpu(vm, number, node)?;
            vcpu.store(place, Ordering::Relaxed);
        }
        if !self.overcommit {
            self.promise(vm, vm.pmap.pages())?;
            // Of several nodes, memory comes from where it is touched first.
            if self.machine.nodes().count() == 1 {
                self.back_all(vm, node)?;
            }
        }
        let entry = self.load_guest(vm, node)?;
        if let Some(first) = vm.vcpu(0) {
            // SAFETY: it was placed just now, and nothing runs yet.
            let first = unsafe { &mut *first };
            first.reset(entry, CSSEG_WINDOW + BOOT_INFO_GUEST_PHYSICAL, now);
        }
        Ok(())
    }

    /// All moves that it may make at once.
    #[link_section = ".text.once"]
    #[inline(never)]
    fn new_budget(&self, slot: &VmSlot) -> MoveBudget {
        let vcpus = slot.vcpu_count();
        // Whatever the time is now: more than all it will not have.
        MoveBudget::new(&self.numa.thresholds, vcpus, Interval(0))
    }

    /// What the virtual CPUs of `slot` share, as yet without them.
    #[link_section = ".text.once"]
    #[inline(never)]
    fn place_tables(
        &self,
        slot: &'static VmSlot,
        node: NodeId,
    ) -> Result<&'static ResidentVm, NoMemory> {
        let memory = slot.described.memory.get() & !(LINEAR_PIECE - 1);
        let pages = memory / PAGE_SIZE;
        let pmap_bytes = pages * mem::size_of::<PmapEntry>() as u64;
        let entries = self.service_pages(slot.id, node, pmap_bytes)?;
        let head = self.service_pages(slot.id, node, mem::size_of::<ResidentVm>() as u64)?;
        // SAFETY: the pages were just allocated for this virtual machine, live until it is torn
        // down, and are zeroed, which is a valid `PmapEntry`.
        let (entries, head) = unsafe { (RealMemory::bytes(entries), RealMemory::bytes(head)) };
        // SAFETY: as above; the size is what was asked for.
        let entries = unsafe { slice::from_raw_parts(entries.as_ptr().cast(), pages as usize) };
        let pmap = self.place_views(slot, entries, memory)?;
        let place = head.as_mut_ptr().cast::<ResidentVm>();
        // SAFETY: as above; everything is written before the reference is made, but for the lists of hot
        // pages, which no stack has room for: zeros are free locks around empty ones.
        unsafe {
            (&raw mut (*place).slot).write(slot);
            (&raw mut (*place).pmap).write(pmap);
            (&raw mut (*place).backing).write(Mutex::new(()));
            (&raw mut (*place).budget).write(Mutex::new(self.new_budget(slot)));
            (&raw mut (*place).promised).write(AtomicU64::new(0));
            (&raw mut (*place).paused).write(AtomicU64::new(0));
            for vcpu in 0..VCPUS_PER_VM {
                let none = AtomicPtr::new(ptr::null_mut());
                (&raw mut (*place).vcpus[vcpu]).write(none);
                (&raw mut (*place).shared[vcpu]).write(VcpuShared::new());
            }
            Ok(&*place)
        }
    }

    /// The map in `entries` of `memory` bytes with a view for each node in that node's memory, if there
    /// are several.
    #[link_section = ".text.once"]
    #[inline(never)]
    fn place_views(
        &self,
        slot: &VmSlot,
        entries: &'static [PmapEntry],
        memory: u64,
    ) -> Result<Pmap<'static>, NoMemory> {
        let pieces = memory / LINEAR_PIECE;
        let linear_bytes = pieces * mem::size_of::<LinearEntry>() as u64;
        let has_replicas = self.machine.nodes().count() > 1;
        let words = if has_replicas { entries.len() } else { 0 };
        let word_bytes = (words * mem::size_of::<AtomicU32>()) as u64;
        let place = |node: NodeId| {
            let pages = self.service_pages(slot.id, node, linear_bytes + word_bytes)?;
            // SAFETY: the pages were just allocated for this virtual machine and live until it is torn
            // down; zeros are valid entries, and the sizes are those that were asked for.
            Ok(unsafe {
                let bytes = RealMemory::bytes(pages);
                let linear = bytes.as_ptr().cast::<LinearEntry>();
                let replicas = bytes.as_ptr().add(linear_bytes as usize);
                View::new(
                    slice::from_raw_parts(replicas.cast(), words),
                    slice::from_raw_parts(linear, pieces as usize),
                )
            })
        };
        if !has_replicas {
            return Ok(Pmap::new(entries, place(NodeId(0))?.linear()));
        }
        let count = self.machine.nodes().count();
        let bytes = (count * mem::size_of::<View<'_>>()) as u64;
        let table = self.service_pages(slot.id, NodeId(0), bytes)?;
        // SAFETY: as above, and each place is written before it is read.
        let table = unsafe {
            let first = RealMemory::bytes(table)
                .as_mut_ptr()
                .cast::<View<'static>>();
            for (number, node) in self.machine.nodes().enumerate() {
                first.add(number).write(place(node.id())?);
            }
            slice::from_raw_parts(first, count)
        };
        Ok(Pmap::with_views(entries, table))
    }

    /// Virtual CPU `number` of `vm`, which has yet to be reset.
    fn place_vcpu(
        &self,
        vm: &'static ResidentVm,
        number: u16,
        near: NodeId,
    ) -> Result<*mut Resident, NoMemory> {
        let slot = vm.slot;
        let node = self.node_of_sibling(near, number);
        let bytes = (CONTEXT_ALIGNMENT + mem::size_of::<Resident>()) as u64;
        let pages = self.service_pages(slot.id, node, bytes)?;
        let aligned = (pages.first.0 + 1).next_multiple_of(CONTEXT_ALIGNMENT as u64 / PAGE_SIZE);
        let behind_first = ((aligned - pages.first.0) * PAGE_SIZE) as usize;
        // SAFETY: pages that were just allocated for this virtual machine, zeroed, at least `CONTEXT_ALIGNMENT` bytes before what
        // `Resident` needs; `behind_first` is between a page and that. A page of zeros is a valid `SpecialPage`.
        let (place, special_page) = unsafe {
            let place = RealMemory::bytes(pages).as_mut_ptr().add(behind_first);
            (
                place.cast::<Resident>(),
                &*place.offset(SPECIAL_PAGE_OFFSET).cast::<SpecialPage>(),
            )
        };
        // SAFETY: the pages are large enough, aligned, zeroed and nobody else's. Every field is
        // written before a reference to it is made, but for the second-level TLB: no stack has
        // room for it, and zeros are a valid one, which `reset` empties.
        unsafe {
            let vcpu = &raw mut (*place).vcpu;
            (&raw mut (*vcpu).context).write(GuestContext::new());
            (&raw mut (*vcpu).special).write(special_page);
            (&raw mut (*vcpu).registers).write(Registers::default());
            (&raw mut (*vcpu).identity).write(self.identity);
            (&raw mut (*vcpu).tlb).write(VirtualTlb::new());
            (&raw mut (*vcpu).fpu).write(FpuRegisters::ZERO);
            (&raw mut (*vcpu).counters).write(VcpuCounters::default());
            (&raw mut (*vcpu).number).write(number.into());
            (&raw mut (*vcpu).supervisor).write(None);
            (&raw mut (*place).vm).write(vm);
            (&raw mut (*place).pmap).write(vm.pmap.looked_at_by(number.into()));
            (&raw mut (*place).looks_from).write(NodeId(0));
            (&raw mut (*place).id).write(slot.vcpu(number));
            (&raw mut (*place).shared).write(&vm.shared[usize::from(number)]);
            (&raw mut (*place).special_page).write(MachinePage(aligned - 1));
            (&raw mut (*place).node).write(node);
            (&raw mut (*place).residence).write(Residence::new());
            (&raw mut (*place).wants).write(None);
            (&raw mut (*place).debt).write(Debt::new(self.numa.latency));
        }
        Ok(place)
    }

    /// The node for the memory of virtual CPU `number` of a virtual machine at `near`: siblings
    /// are spread over the CPUs, the nearest first.
    fn node_of_sibling(&self, near: NodeId, number: u16) -> NodeId {
        let cpus = self.layout.cpus();
        let at = |far: u8| {
            let nodes = cpus.iter().map(|cpu| NodeId(cpu.node as u8));
            nodes.filter(move |node| node.0.abs_diff(near.0) == far)
        };
        let nearest_first = (0..CPUS_MAX as u8).flat_map(at);
        let place = usize::from(number) % cpus.len().max(1);
        nearest_first.take(place + 1).last().unwrap_or(near)
    }

    /// Gives all of the guest-physical memory machine pages, which it was promised.
    fn back_all(&self, vm: &ResidentVm, node: NodeId) -> Result<(), NoMemory> {
        self.back(vm, (GuestPage(0), vm.pmap.pages()), node)?;
        vm.pmap.build_linear_table();
        Ok(())
    }

    /// Gives guest pages, the first and how many, machine pages.
    fn back(&self, vm: &ResidentVm, range: (GuestPage, u64), node: NodeId) -> Result<(), NoMemory> {
        let id = vm.slot.id;
        self.machine
            .back(id, range, node, &RealMemory, |first, run| {
                for (guest, page) in (first.0..).map(GuestPage).zip(run.pages()) {
                    vm.pmap.back(guest, page);
                }
                self.gained(vm, run.count);
            })
    }

    /// Gives guest page `page` a machine page if it has none, and without `overcommit` the 2 MiB around it
    /// too if they have none either: they are promised, and make a large page of the linear windows.
    /// Under the backing lock, if the virtual machine runs.
    ///
    /// # Errors
    /// The machine has no free memory.
    pub fn populate(&self, vm: &ResidentVm, node: NodeId, page: GuestPage) -> Result<(), NoMemory> {
        const PAGES: u64 = LINEAR_PIECE / PAGE_SIZE;
        if vm.pmap.machine_page(page).is_some() {
            return Ok(());
        }
        let first = GuestPage(page.0 & !(PAGES - 1));
        let is_backed = |offset| vm.pmap.machine_page(GuestPage(first.0 + offset)).is_some();
        let range = if self.overcommit || (0..PAGES).any(is_backed) {
            (page, 1)
        } else {
            (first, PAGES)
        };
        self.back(vm, range, node)?;
        vm.pmap.build_linear_piece(first);
        Ok(())
    }
}

impl VcpuShared {
    const fn new() -> Self {
        Self {
            messages: AtomicU64::new(0),
            shootdown: ShootdownBox::new(),
        }
    }
}

impl ResidentVm {
    /// One of its virtual CPUs; `None` if it has not so many. Who may touch it: see [`Resident`].
    pub fn vcpu(&self, number: u16) -> Option<*mut Resident> {
        let vcpu = self.vcpus.get(usize::from(number))?.load(Ordering::Relaxed);
        (!vcpu.is_null()).then_some(vcpu)
    }

    /// Pages that `node` has found hot.
    pub fn hot_for(&self, node: NodeId) -> Option<&Mutex<HotPages>> {
        self.hot.get(usize::from(node.0))
    }

    /// One of `nodes` looks at `page`, which is hot: the first whose list has room.
    pub fn add_hot(&self, page: GuestPage, nodes: [NodeId; 2]) {
        let mut lists = nodes.into_iter().filter_map(|node| self.hot_for(node));
        // If none has, it is told again when it has been missed on as often again.
        let _ = lists.any(|list| list.lock().add(page));
    }

    /// What siblings write for virtual CPU `number`.
    pub fn shared(&self, number: u16) -> Option<&VcpuShared> {
        self.shared.get(usize::from(number))
    }
}

impl Resident {
    /// The state that `docs/virtual-machine.md` promises at an ELF guest's entry, at `pc` with
    /// `argument` in `$a0`. It keeps what it has counted.
    #[cold]
    #[inline(never)]
    pub fn reset(&mut self, pc: u64, argument: u64, now: u64) {
        const A0: usize = 4;
        const A1: usize = 5;
        let memory = self.vm.pmap.pages() * PAGE_SIZE;
        let vcpu = &mut self.vcpu;
        vcpu.clear();
        vcpu.reset(pc, now);
        (vcpu.context.linear_base, vcpu.context.linear_count) = self.pmap.linear_table();
        vcpu.context.csseg_count = CSSEG_WINDOW_SIZE.min(memory) / LINEAR_PIECE;
        vcpu.context.gpr[A0] = argument;
        vcpu.context.gpr[A1] = BOOT_MAGIC;
        self.shared.messages.store(0, Ordering::Relaxed);
        let _ = self.shared.shootdown.take();
        self.wants = None;
    }

    /// It will run on a CPU of `node`: that node's replicas are its own from now on. The real TLB holds
    /// nothing of it.
    pub fn look_from(&mut self, node: NodeId) {
        if self.looks_from == node {
            return;
        }
        self.looks_from = node;
        self.pmap = self.pmap.seen_from(node);
        (self.vcpu.context.linear_base, _) = self.pmap.linear_table();
        self.vcpu.l2.clear();
    }
}
