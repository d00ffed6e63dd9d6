//! The memory of a virtual machine that runs: its pages come and go, and are shared with others.

use super::cpu::Cpu;
use super::real::{self, RealCpu, RealMemory};
use super::resident::{Resident, ResidentVm};
use super::shortage::Want;
use super::siblings::await_siblings;
use super::Monitor;
use crate::address::{GuestPage, GuestPhysical, MachinePage};
use crate::machine::shared::{GuestPages, PageRef, SharedMemory};
use crate::machine::{DirtyPages, MachineMemory, NoMemory, NodeId, Owner, PageRange, RunSize};
use crate::vm::defect::{seeded, Defect};
use crate::vm::pmap::Backing;
use crate::vm::revoke::PageSet;
use crate::vm::shootdown::ShootdownBox;
use crate::vm::vcpu::Vcpu;
use core::sync::atomic::Ordering;
use disco_arch::lock::MutexGuard;
use disco_arch::point::pass;
use disco_magic::point;

/// Machine pages that are kept back until no TLB maps them; with more, they forget earlier.
const OLD_MAX: usize = 32;

/// Pages with several users, of a node and nearby.
#[derive(Clone, Copy)]
pub struct SharedPages {
    /// The monitor.
    pub monitor: &'static Monitor,
    /// Where new ones are taken.
    pub node: NodeId,
}

impl SharedMemory for SharedPages {
    fn allocate(&self) -> Result<PageRef, NoMemory> {
        let machine = &self.monitor.machine;
        let page = machine.allocate_spare(self.node, RunSize::ONE)?;
        machine.share_new(page).ok_or(NoMemory)
    }

    fn spare(&self) -> u64 {
        self.monitor.machine.spare()
    }

    fn share(&self, page: &PageRef) -> PageRef {
        self.monitor.machine.share(page)
    }

    fn release(&self, page: PageRef) {
        self.monitor.machine.release(page);
        self.monitor.memory_freed();
    }

    fn users(&self, page: &PageRef) -> u32 {
        self.monitor.machine.users(page)
    }

    fn read(&self, page: &PageRef, offset: usize, bytes: &mut [u8]) {
        real::read(page.page(), offset, bytes);
    }

    fn write(&self, page: &PageRef, offset: usize, bytes: &[u8]) {
        real::write(page.page(), offset, bytes);
    }

    fn copy(&self, from: (&PageRef, usize), to: (&PageRef, usize), bytes: usize) {
        real::copy((from.0.page(), from.1), (to.0.page(), to.1), bytes);
    }
}

/// What was behind a guest page, until no TLB maps it any more.
enum Old {
    Own(DirtyPages),
    Shared(PageRef),
}

/// The memory of a virtual machine, held by a CPU that runs one of its virtual CPUs, for a call or
/// a fault of that one, or by one that keeps it where it is by its slot's state. Others who change its pmap
/// wait meanwhile. At its end at the latest everything is settled.
pub struct GuestMemory<'a> {
    pub(super) monitor: &'static Monitor,
    node: NodeId,
    pub(super) vm: &'static ResidentVm,
    /// The virtual CPU that it is held for.
    held_for: Option<HeldFor<'a>>,
    _backing: MutexGuard<'static, ()>,
    /// Pages that TLBs may map as they were before.
    changed: PageSet,
    /// Virtual CPUs whose TLBs may, a bit each.
    users: u16,
    /// Of this virtual CPU the real TLB alone may, not the second level.
    known: bool,
    old: [Option<Old>; OLD_MAX],
    old_count: usize,
}

/// The virtual CPU that is loaded here.
struct HeldFor<'a> {
    vcpu: &'a mut Vcpu<'static>,
    /// What it did not get.
    wants: &'a mut Option<Want>,
}

impl<'a> HeldFor<'a> {
    fn of(resident: &'a mut Resident) -> Self {
        Self {
            vcpu: &mut resident.vcpu,
            wants: &mut resident.wants,
        }
    }
}

impl Cpu {
    /// The memory of the virtual machine whose virtual CPU `resident` is loaded here. Nobody may hold
    /// it on this CPU already.
    pub(super) fn guest_memory<'a>(&self, resident: &'a mut Resident) -> GuestMemory<'a> {
        let vm = resident.vm;
        GuestMemory::hold(self, vm, Some(HeldFor::of(resident)))
    }

    /// The same, unless another CPU holds it.
    pub(super) fn try_guest_memory<'a>(
        &self,
        resident: &'a mut Resident,
    ) -> Option<GuestMemory<'a>> {
        let vm = resident.vm;
        let backing = vm.backing.try_lock()?;
        let held_for = Some(HeldFor::of(resident));
        Some(GuestMemory::of(self, vm, (backing, held_for)))
    }

    /// The memory of a virtual machine whose slot's state is held, on behalf of none of its virtual CPUs.
    pub(super) fn memory_of(&self, vm: &'static ResidentVm) -> GuestMemory<'static> {
        GuestMemory::hold(self, vm, None)
    }

    /// Pages with several users, taken near this CPU.
    pub(super) fn shared_pages(&self) -> SharedPages {
        self.monitor.shared_pages(self.shared.node)
    }
}

impl Monitor {
    /// Pages with several users, taken near `node`.
    pub(super) fn shared_pages(&'static self, node: NodeId) -> SharedPages {
        SharedPages {
            monitor: self,
            node,
        }
    }
}

impl<'a> GuestMemory<'a> {
    fn hold(cpu: &Cpu, vm: &'static ResidentVm, held_for: Option<HeldFor<'a>>) -> Self {
        Self::of(cpu, vm, (vm.backing.lock(), held_for))
    }

    fn of(
        cpu: &Cpu,
        vm: &'static ResidentVm,
        (backing, held_for): (MutexGuard<'static, ()>, Option<HeldFor<'a>>),
    ) -> Self {
        Self {
            monitor: cpu.monitor,
            node: cpu.shared.node,
            vm,
            held_for,
            _backing: backing,
            changed: PageSet::EMPTY,
            users: 0,
            known: true,
            old: [const { None }; OLD_MAX],
            old_count: 0,
        }
    }
}

impl GuestMemory<'_> {
    /// The machine page behind `at`, which gets one if it has none.
    pub(super) fn populate(&mut self, at: GuestPage) -> Result<MachinePage, NoMemory> {
        pass::<{ point::POPULATE }>();
        let (monitor, vm, node) = (self.monitor, self.vm, self.node);
        self.with_room(Want::Page(at), || monitor.populate(vm, node, at))?;
        self.vm.pmap.machine_page(at).ok_or(NoMemory)
    }

    /// What takes a page: again, if that fails and pages are kept back that need not be. If there is
    /// none, the virtual CPU is noted to want it.
    fn with_room<T>(
        &mut self,
        want: Want,
        take: impl Fn() -> Result<T, NoMemory>,
    ) -> Result<T, NoMemory> {
        let taken = take().or_else(|NoMemory| {
            self.settle();
            take()
        });
        if let (Err(_), Some(held_for)) = (&taken, &mut self.held_for) {
            *held_for.wants = Some(want);
        }
        taken
    }

    /// The machine page behind `at`, which becomes the virtual machine's own.
    pub(super) fn own(&mut self, at: GuestPage) -> Result<MachinePage, NoMemory> {
        self.collapse(at);
        match self.vm.pmap.backing(at) {
            Backing::Nothing => self.populate(at),
            Backing::Own(page) | Backing::Replicated(page) => Ok(page),
            Backing::Shared(page) => self.unshare(at, page),
            // Who moves one holds this memory until it is there.
            Backing::Moving(_) => Err(NoMemory),
        }
    }

    /// `at` loses its replicas: nobody reads one any more when this returns, and a page of the virtual machine's
    /// own can be written to.
    pub(super) fn collapse(&mut self, at: GuestPage) {
        let had_replicas = !self.vm.pmap.replicas(at).is_empty();
        if had_replicas && !seeded(Defect::StaleReplicas) {
            self.give_up_replicas(at);
            // Before anybody can write to the page: who did would read a replica where that is still mapped.
            self.settle();
        }
        if let Backing::Replicated(page) = self.vm.pmap.backing(at) {
            // More is allowed than before: no TLB need forget anything.
            self.vm.pmap.exchange(at, Backing::Own(page));
            self.vm.pmap.build_linear_piece(at);
        }
    }

    /// Takes the replicas of `at` out of all views. They are free when no TLB maps them.
    #[inline(never)]
    fn give_up_replicas(&mut self, at: GuestPage) {
        while let Some(page) = self.give_up_any_replica(at) {
            // It was one, as the view said.
            let machine = &self.monitor.machine;
            if let Ok(page) = machine.take_replica(page, self.vm.slot.id, at) {
                self.keep(Old::Own(page));
            }
        }
    }

    fn give_up_any_replica(&mut self, at: GuestPage) -> Option<MachinePage> {
        let pmap = &self.vm.pmap;
        let was_large = pmap.is_large(at);
        let page = pmap.give_up_any_replica(at)?;
        pmap.build_linear_piece(at);
        self.note_change(at, was_large);
        Some(page)
    }

    /// Copy on write: `at`, which is the shared `page`, becomes the virtual machine's own.
    fn unshare(&mut self, at: GuestPage, page: MachinePage) -> Result<MachinePage, NoMemory> {
        pass::<{ point::UNSHARE }>();
        if self.changed.contains(at) {
            // Lent a moment ago: siblings may still write to it.
            self.settle();
        }
        let machine = &self.monitor.machine;
        let vm = self.vm.slot.id;
        // The reference that the pmap's entry is.
        match machine.own(PageRef::counted(page), vm, at) {
            Ok(page) => {
                // More is allowed than before: no TLB need forget anything.
                self.vm.pmap.exchange(at, Backing::Own(page));
                self.vm.pmap.build_linear_piece(at);
                self.monitor.gained(self.vm, 1);
                Ok(page)
            }
            Err(reference) => {
                let node = self.node;
                let new = self.with_room(Want::Own(at), || machine.allocate(node, RunSize::ONE))?;
                // Nobody may have the new page in one place, and write to it, and the old one in another.
                self.begin_move(at);
                self.settle();
                let new = machine.give_copy(new, page, vm, at, &RealMemory);
                real::publish_page(new);
                self.monitor.gained(self.vm, 1);
                self.vm.pmap.exchange(at, Backing::Own(new));
                self.vm.pmap.build_linear_piece(at);
                self.keep(Old::Shared(reference));
                Ok(new)
            }
        }
    }

    /// Takes away what is behind `at`: it reads as zeros.
    pub(super) fn free(&mut self, at: GuestPage) {
        self.replace(at, Backing::Nothing);
    }

    /// Makes `at` zeros.
    pub(super) fn clear(&mut self, at: GuestPage) {
        self.collapse(at);
        match self.vm.pmap.backing(at) {
            Backing::Nothing => {}
            Backing::Own(page) | Backing::Replicated(page) => {
                RealMemory.zero(PageRange::new(page, 1));
            }
            Backing::Shared(_) | Backing::Moving(_) => self.free(at),
        }
    }

    /// Copies a page.
    pub(super) fn copy_page(&mut self, to: GuestPage, from: GuestPage) -> Result<(), NoMemory> {
        let to = self.own(to)?;
        let from = self.populate(from)?;
        RealMemory.copy(PageRange::new(from, 1), to);
        Ok(())
    }

    /// Puts something that is not its own behind `at`; what was there is given away when no TLB maps it.
    fn replace(&mut self, at: GuestPage, backing: Backing) {
        self.give_up_replicas(at);
        match self.exchange(at, backing) {
            Backing::Nothing => {}
            Backing::Shared(page) => self.keep(Old::Shared(PageRef::counted(page))),
            Backing::Own(page) | Backing::Replicated(page) | Backing::Moving(page) => {
                if self.take_away(at, page) {
                    self.monitor.lost(self.vm, 1);
                }
            }
        }
    }

    /// `page`, which was behind `at` and the virtual machine's own, will be free; whether it was.
    pub(super) fn take_away(&mut self, at: GuestPage, page: MachinePage) -> bool {
        let owner = Owner::Guest {
            vm: self.vm.slot.id,
            page: at,
        };
        let page = PageRange::new(page, 1);
        // It was the virtual machine's, as its pmap said.
        let taken = self.monitor.machine.take_back(page, owner);
        let was_own = taken.is_ok();
        if let Ok(page) = taken {
            self.keep(Old::Own(page));
        }
        was_own
    }

    fn exchange(&mut self, at: GuestPage, backing: Backing) -> Backing {
        let pmap = &self.vm.pmap;
        let was_large = pmap.is_large(at);
        let old = pmap.exchange(at, backing);
        pmap.build_linear_piece(at);
        if old != Backing::Nothing {
            self.note_change(at, was_large);
        }
        old
    }

    /// `at` begins to move: nobody maps it again before it is said where it is, and who has mapped it forgets it with the
    /// next [`GuestPages::settle`].
    pub(super) fn begin_move(&mut self, at: GuestPage) {
        let pmap = &self.vm.pmap;
        let was_large = pmap.is_large(at);
        pmap.begin_move(at);
        pmap.build_linear_piece(at);
        self.note_change(at, was_large);
    }

    /// TLBs may map `at` as it was before, also in a large page of the windows if it `was_large`.
    fn note_change(&mut self, at: GuestPage, was_large: bool) {
        let pmap = &self.vm.pmap;
        self.changed.add(at);
        self.users |= pmap.take_users(at, was_large);
        let in_windows = was_large || pmap.has_window_misses(at);
        if in_windows {
            self.changed.add_windows();
        }
        if let Some(HeldFor { vcpu, .. }) = &mut self.held_for {
            self.known &= vcpu.revoke_soon(at, in_windows, pmap);
        }
    }

    fn keep(&mut self, old: Old) {
        let last = self.old.get_mut(self.old_count.wrapping_sub(1));
        let old = match (last, old) {
            (Some(Some(Old::Own(pages))), Old::Own(more)) => {
                match self.monitor.machine.join(pages, more) {
                    Ok(()) => return,
                    Err(more) => Old::Own(more),
                }
            }
            (_, old) => old,
        };
        if self.old_count == OLD_MAX {
            self.settle();
        }
        self.old[self.old_count] = Some(old);
        self.old_count += 1;
    }

    /// Reads bytes of a page.
    pub(super) fn read_bytes(
        &mut self,
        from: GuestPhysical,
        bytes: &mut [u8],
    ) -> Result<(), NoMemory> {
        let page = self.populate(from.page())?;
        real::read(page, from.offset_in_page() as usize, bytes);
        Ok(())
    }

    /// Writes bytes of a page.
    pub(super) fn write_bytes(&mut self, to: GuestPhysical, bytes: &[u8]) -> Result<(), NoMemory> {
        let page = self.own(to.page())?;
        real::write(page, to.offset_in_page() as usize, bytes);
        Ok(())
    }
}

impl GuestMemory<'_> {
    /// Virtual CPUs that may have mapped one of `changed` forget it: nobody's TLB has it when this returns.
    fn shoot_down(&mut self, changed: &PageSet) {
        let vm = self.vm;
        let all = ((1u32 << vm.slot.vcpu_count()) - 1) as u16;
        let own = |held_for: &HeldFor<'_>| 1 << held_for.vcpu.number;
        let own = self.held_for.as_ref().map_or(0, own);
        let siblings = core::mem::take(&mut self.users) & all & !own;
        let ask = |_, shootdown: &ShootdownBox| shootdown.ask_pages(changed);
        let waiting = self.monitor.ask_siblings(vm, siblings, ask);
        let is_known = core::mem::replace(&mut self.known, true);
        if let Some(HeldFor { vcpu, .. }) = &mut self.held_for {
            // SAFETY: interrupts are off, and no other handle is in use here.
            let mut hardware = unsafe { RealCpu::here() };
            if is_known {
                vcpu.revoke_rest(changed, &vm.pmap, &mut hardware);
            } else {
                vcpu.revoke(changed, &vm.pmap, &mut hardware);
            }
        }
        await_siblings(vm, waiting);
        if all == own {
            for page in changed.known() {
                vm.pmap.forget_mappings(page);
            }
        }
    }
}

impl GuestPages for GuestMemory<'_> {
    fn map(&mut self, at: GuestPage, page: PageRef) {
        if at.0 < self.vm.pmap.pages() {
            self.replace(at, Backing::Shared(page.page()));
        } else {
            self.monitor.machine.release(page);
        }
    }

    fn lend(&mut self, at: GuestPage) -> Result<PageRef, NoMemory> {
        self.populate(at)?;
        let machine = &self.monitor.machine;
        match self.vm.pmap.backing(at) {
            Backing::Nothing | Backing::Moving(_) => Err(NoMemory),
            Backing::Shared(page) => Ok(machine.share(&PageRef::counted(page))),
            // With replicas: they hold the same.
            Backing::Own(page) | Backing::Replicated(page) => {
                self.give_up_replicas(at);
                self.monitor.promise(self.vm, 1)?;
                let lent = machine.share_guest(page, self.vm.slot.id, at);
                // It was the virtual machine's, as its pmap said.
                let lent = lent.map_err(|_| NoMemory)?;
                self.exchange(at, Backing::Shared(page));
                Ok(lent)
            }
        }
    }

    fn settle(&mut self) {
        if !self.changed.is_empty() {
            let changed = self.changed;
            self.changed.clear();
            self.shoot_down(&changed);
        }
        for old in self.old.iter_mut().take(self.old_count) {
            match old.take() {
                Some(Old::Own(page)) => self.monitor.machine.free(page),
                Some(Old::Shared(page)) => self.monitor.machine.release(page),
                None => {}
            }
        }
        if core::mem::take(&mut self.old_count) != 0 {
            self.monitor.memory_freed();
        }
    }

    fn read(
        &mut self,
        from: GuestPhysical,
        to: (&PageRef, usize),
        bytes: usize,
    ) -> Result<(), NoMemory> {
        let page = self.populate(from.page())?;
        let from = (page, from.offset_in_page() as usize);
        real::copy(from, (to.0.page(), to.1), bytes);
        Ok(())
    }

    fn write(
        &mut self,
        from: (&PageRef, usize),
        to: GuestPhysical,
        bytes: usize,
    ) -> Result<(), NoMemory> {
        let page = self.own(to.page())?;
        let to = (page, to.offset_in_page() as usize);
        real::copy((from.0.page(), from.1), to, bytes);
        Ok(())
    }
}

impl Drop for GuestMemory<'_> {
    fn drop(&mut self) {
        self.settle();
    }
}

impl Monitor {
    /// Promises `pages` more to `vm`, unless nothing is promised at all.
    pub(super) fn promise(&self, vm: &ResidentVm, pages: u64) -> Result<(), NoMemory> {
        if !self.overcommit {
            self.machine.promise(pages)?;
            vm.promised.fetch_add(pages, Ordering::Relaxed);
        }
        Ok(())
    }

    /// `vm` has got `pages` of its own that were promised.
    pub(super) fn gained(&self, vm: &ResidentVm, pages: u64) {
        if !self.overcommit {
            vm.promised.fetch_sub(pages, Ordering::Relaxed);
            self.machine.fulfil(pages);
        }
    }

    /// `vm` gives away `pages` of its own, which will be free: it can have others.
    fn lost(&self, vm: &ResidentVm, pages: u64) {
        if !self.overcommit {
            vm.promised.fetch_add(pages, Ordering::Relaxed);
            self.machine.promise_before_free(pages);
        }
    }
}
