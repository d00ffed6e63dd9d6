//! A virtual machine in memory: its virtual CPU and its tables, built and torn down.

use super::real::{self, RealMemory};
use super::slot::{Message, VmSlot};
use super::Monitor;
use crate::address::{GuestPage, GuestPhysical, MachinePage};
use crate::clock::count_hz;
use crate::machine::{NoMemory, NodeId, PageRange, RunSize, VmId};
use crate::vm::hardware::FpuRegisters;
use crate::vm::l2tlb::Granule;
use crate::vm::loader::{self, GuestMemory, Image, LoadError};
use crate::vm::pmap::{Pmap, PmapEntry, LINEAR_PIECE};
use crate::vm::special::SpecialPage;
use crate::vm::vcpu::{Registers, Vcpu, VcpuCounters};
use crate::vm::vtlb::VirtualTlb;
use core::{fmt, mem, slice};
use disco_abi::{BOOT_INFO_GUEST_PHYSICAL, BOOT_MAGIC, CSSEG_WINDOW, CSSEG_WINDOW_SIZE, PAGE_SIZE};
use disco_arch::trap::{GuestContext, LinearEntry};
use disco_flash::{text, NONE};

/// A running virtual machine. It lies in memory of the node where it was started; its home CPU
/// owns it.
#[repr(C)]
pub struct Resident {
    /// The virtual CPU: first, so that the vectors' context has this structure's address.
    pub vcpu: Vcpu<'static>,
    /// The physical-to-machine map.
    pub pmap: Pmap<'static>,
    /// Its slot.
    pub slot: &'static VmSlot,
    /// The page behind the special page.
    pub special_page: MachinePage,
    /// Why it ends, once that is known; else it was asked to.
    pub ending: Option<(&'static str, Message)>,
    /// It starts again when it has ended.
    pub restart: bool,
}

// The vectors look for the second-level TLB behind the context, at a multiple of 16 KiB.
const _: () = assert!(mem::offset_of!(Resident, vcpu) == 0 && PAGE_SIZE.is_multiple_of(16 << 10));

/// Why a virtual machine could not be started.
#[derive(Clone, Copy, Debug)]
pub enum StartError {
    /// The machine has not enough free memory.
    NoMemory,
    /// Its guest cannot be loaded.
    Load(LoadError),
}

impl From<NoMemory> for StartError {
    fn from(_: NoMemory) -> Self {
        Self::NoMemory
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoMemory => f.write_str(
                "the machine has not enough free memory; stop another virtual machine first",
            ),
            Self::Load(error) => error.fmt(f),
        }
    }
}

/// Bytes of the pmap and of the linear table of a virtual machine with so many bytes of memory.
const fn table_bytes(memory: u64) -> (u64, u64) {
    let pages = memory / PAGE_SIZE;
    let pieces = memory / LINEAR_PIECE;
    (
        pages * mem::size_of::<PmapEntry>() as u64,
        pieces * mem::size_of::<LinearEntry>() as u64,
    )
}

impl Monitor {
    /// Zeroed pages for the monitor's own use on behalf of `vm`: at least `bytes`.
    fn service_pages(&self, vm: VmId, node: NodeId, bytes: u64) -> Result<PageRange, NoMemory> {
        let size = RunSize::at_least(bytes.div_ceil(PAGE_SIZE)).ok_or(NoMemory)?;
        let pages = self.machine.allocate(node, size)?.zero(&RealMemory);
        Ok(self.machine.give_to_service(pages, vm))
    }

    /// Builds the virtual machine of `slot` with memory of `node` and nearby. `now` in ticks.
    ///
    /// # Errors
    /// Not enough memory, or the guest cannot be loaded; nothing is kept.
    pub fn build(
        &'static self,
        slot: &'static VmSlot,
        node: NodeId,
        now: u64,
    ) -> Result<&'static mut Resident, StartError> {
        let built = self.try_build(slot, node, now);
        if built.is_err() {
            self.machine.reclaim(slot.id);
        }
        built
    }

    fn try_build(
        &'static self,
        slot: &'static VmSlot,
        node: NodeId,
        now: u64,
    ) -> Result<&'static mut Resident, StartError> {
        let vm = slot.id;
        let memory = slot.described.memory.get() & !(LINEAR_PIECE - 1);
        let (pmap_bytes, linear_bytes) = table_bytes(memory);
        let home = self.service_pages(vm, node, mem::size_of::<Resident>() as u64)?;
        let special = self.service_pages(vm, node, PAGE_SIZE)?;
        let entries = self.service_pages(vm, node, pmap_bytes)?;
        let linear = self.service_pages(vm, node, linear_bytes)?;
        // SAFETY: the pages were just allocated for this virtual machine and are zeroed, which
        // is a valid `PmapEntry` and `LinearEntry`; they live until it is torn down.
        let (entries, linear) = unsafe {
            (
                slice::from_raw_parts(
                    RealMemory::bytes(entries).as_ptr().cast::<PmapEntry>(),
                    (memory / PAGE_SIZE) as usize,
                ),
                slice::from_raw_parts(
                    RealMemory::bytes(linear).as_ptr().cast::<LinearEntry>(),
                    (memory / LINEAR_PIECE) as usize,
                ),
            )
        };
        let pmap = Pmap::new(entries, linear);
        if !self.overcommit {
            self.machine.back(
                vm,
                (GuestPage(0), memory / PAGE_SIZE),
                node,
                &RealMemory,
                |first, run| {
                    for (offset, page) in run.pages().enumerate() {
                        pmap.back(GuestPage(first.0 + offset as u64), page);
                    }
                },
            )?;
            pmap.build_linear_table();
        }
        let entry = self.load_guest(slot, node, memory, &pmap)?;
        // SAFETY: as above; a zeroed page is a valid `SpecialPage`.
        let special_page = unsafe { &*RealMemory::bytes(special).as_ptr().cast::<SpecialPage>() };
        let place = {
            // SAFETY: as above.
            unsafe { RealMemory::bytes(home).as_mut_ptr().cast::<Resident>() }
        };
        // SAFETY: the pages are large enough, aligned, zeroed and nobody else's. Every field is
        // written before the reference is made, but for the second-level TLB: no stack has room
        // for it, and zeros are a valid one, which `set_granule` empties.
        let resident = unsafe {
            let vcpu = &raw mut (*place).vcpu;
            (&raw mut (*vcpu).context).write(GuestContext::new());
            (&raw mut (*vcpu).special).write(special_page);
            (&raw mut (*vcpu).registers).write(Registers::default());
            (&raw mut (*vcpu).identity).write(self.identity);
            (&raw mut (*vcpu).tlb).write(VirtualTlb::new());
            (&raw mut (*vcpu).fpu).write(FpuRegisters {
                fpr: [0; 32],
                fcsr: 0,
            });
            (&raw mut (*vcpu).counters).write(VcpuCounters::default());
            (&raw mut (*place).pmap).write(pmap);
            (&raw mut (*place).slot).write(slot);
            (&raw mut (*place).special_page).write(special.first);
            (&raw mut (*place).ending).write(None);
            &mut *place
        };
        resident.vcpu.l2.set_granule(Granule::Page);
        resident.reset(entry, memory, now);
        Ok(resident)
    }

    fn load_guest(
        &'static self,
        slot: &'static VmSlot,
        node: NodeId,
        memory: u64,
        pmap: &Pmap<'static>,
    ) -> Result<u64, StartError> {
        let file = |index: u32| match self.description.files.get(index as usize) {
            Some(file) => {
                let start = file.offset.get() as usize;
                self.payload
                    .get(start..start + file.len.get() as usize)
                    .unwrap_or(&[])
            }
            None => &[],
        };
        let described = slot.described;
        let initrd = described.initrd.get();
        let image = Image {
            name: slot.name,
            kernel: file(described.kernel.get()),
            initrd: if initrd == NONE { &[] } else { file(initrd) },
            command_line: text(&described.command_line),
            vcpus: 1,
            count_hz: count_hz(),
        };
        let mut target = Loading {
            monitor: self,
            vm: slot.id,
            node,
            memory,
            pmap,
            short: false,
        };
        let entry = loader::load(&image, &mut target).map_err(StartError::Load)?;
        if target.short {
            return Err(StartError::NoMemory);
        }
        Ok(entry)
    }

    /// Gives guest page `page` a machine page if it has none, and the 2 MiB around it too.
    ///
    /// # Errors
    /// The machine has no free memory.
    pub fn populate(
        &self,
        vm: VmId,
        node: NodeId,
        page: GuestPage,
        pmap: &Pmap<'static>,
    ) -> Result<(), NoMemory> {
        const PAGES: u64 = LINEAR_PIECE / PAGE_SIZE;
        let first = GuestPage(page.0 & !(PAGES - 1));
        if pmap.machine_page(page).is_some() {
            return Ok(());
        }
        // Memory that ran out before may have left part of the piece backed: that part stays.
        let is_backed = |offset| pmap.machine_page(GuestPage(first.0 + offset)).is_some();
        let range = if (0..PAGES).any(is_backed) {
            (page, 1)
        } else {
            (first, PAGES)
        };
        self.machine
            .back(vm, range, node, &RealMemory, |first, run| {
                for (offset, page) in run.pages().enumerate() {
                    pmap.back(GuestPage(first.0 + offset as u64), page);
                }
            })?;
        pmap.build_linear_piece(first);
        Ok(())
    }
}

impl Resident {
    /// The state that `docs/virtual-machine.md` promises at an ELF guest's entry.
    fn reset(&mut self, entry: u64, memory: u64, now: u64) {
        const A0: usize = 4;
        const A1: usize = 5;
        let vcpu = &mut self.vcpu;
        vcpu.reset(entry, now);
        vcpu.context.special = core::ptr::from_ref(vcpu.special) as u64;
        (vcpu.context.linear_base, vcpu.context.linear_count) = self.pmap.linear_table();
        let reach = CSSEG_WINDOW_SIZE.min(memory) / LINEAR_PIECE;
        vcpu.context.csseg_count = reach;
        vcpu.context.gpr[A0] = CSSEG_WINDOW + BOOT_INFO_GUEST_PHYSICAL;
        vcpu.context.gpr[A1] = BOOT_MAGIC;
    }
}

/// Memory of a virtual machine while its guest is loaded.
struct Loading<'a> {
    monitor: &'static Monitor,
    vm: VmId,
    node: NodeId,
    memory: u64,
    pmap: &'a Pmap<'static>,
    /// A page could not be had.
    short: bool,
}

impl GuestMemory for Loading<'_> {
    fn bytes(&self) -> u64 {
        self.memory
    }

    fn write(&mut self, mut address: GuestPhysical, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = (PAGE_SIZE - address.offset_in_page()) as usize;
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            let page = address.page();
            if self
                .monitor
                .populate(self.vm, self.node, page, self.pmap)
                .is_err()
            {
                self.short = true;
                return;
            }
            if let Some(machine) = self.pmap.machine_page(page) {
                let start = address.offset_in_page() as usize;
                // SAFETY: the page is the virtual machine's, which does not run yet.
                let page = unsafe { RealMemory::bytes(PageRange::new(machine, 1)) };
                page[start..][..now.len()].copy_from_slice(now);
                real::publish(&page[start..][..now.len()]);
            }
            address = GuestPhysical(address.0 + now.len() as u64);
            bytes = later;
        }
    }
}
