//! No machine page is left for a virtual CPU: it is paused, and goes on when there is one.
//!
//! That happens with `overcommit` alone; else each virtual machine has been promised its memory. What
//! it wanted is tried again when pages were freed, and now and then, for pages that were freed by
//! somebody who does not tell.

use super::cpu::{Cpu, POSTED_MEMORY};
use super::resident::Resident;
use super::Monitor;
use crate::address::GuestPage;
use crate::clock::count_hz;
use crate::events::Event;
use crate::machine::NodeId;
use core::sync::atomic::{AtomicU32, Ordering};
use disco_arch::cp0;

/// A paused virtual CPU looks so many times a second for a page that nobody has told of.
const LOOKS_PER_SECOND: u64 = 20;

/// Pages that are taken from the disk cache at once.
const CACHE_PAGES: usize = 32;

/// Pages for messages: a list of them, and some that wait.
const MESSAGE_PAGES: u64 = 128;

/// Count when the disk cache had nothing to give to messages the last time.
static IN_VAIN: AtomicU32 = AtomicU32::new(0);

/// What a virtual CPU needs before it goes on.
#[derive(Clone, Copy, Debug)]
pub enum Want {
    /// A machine page behind a guest page.
    Page(GuestPage),
    /// One that is the virtual machine's own.
    Own(GuestPage),
    /// A page for the monitor's work on its behalf.
    Spare,
}

impl Cpu {
    /// Tries again to give the loaded virtual CPU what it wants; whether it has it.
    #[cold]
    #[inline(never)]
    pub(super) fn is_satisfied(&mut self, resident: &mut Resident) -> bool {
        let Some(want) = resident.wants.take() else {
            return true;
        };
        // Before it is tried: who frees a page afterwards tells this one.
        self.monitor.short.insert(resident.id);
        // What can be read again from the real disk goes first.
        if self.monitor.machine.spare() == 0 {
            self.monitor.shrink_cache(self.shared.node, CACHE_PAGES);
        }
        // What is still wanted is noted again.
        match want {
            Want::Page(page) => drop(self.guest_memory(resident).populate(page)),
            Want::Own(page) => drop(self.guest_memory(resident).own(page)),
            Want::Spare if self.monitor.machine.spare() == 0 => resident.wants = Some(want),
            Want::Spare => {}
        }
        if resident.wants.is_some() {
            return false;
        }
        let bit = 1 << resident.vcpu.number;
        let vm = resident.vm;
        let before = vm.paused.fetch_and(!bit, Ordering::AcqRel);
        if before == bit {
            let now = self.now();
            self.monitor.event(Event::VmResumed, now, Some(vm.slot));
            let text = format_args!("{} goes on", vm.slot.name);
            self.monitor.console.lock().notice(text);
            self.monitor.console_changed();
        }
        true
    }

    /// Lets the loaded virtual CPU wait, which wants what there is not. A turn is due.
    #[cold]
    #[inline(never)]
    pub(super) fn pause(&mut self, resident: &mut Resident) {
        let now = self.now();
        let vm = resident.vm;
        let bit = 1 << resident.vcpu.number;
        if vm.paused.fetch_or(bit, Ordering::AcqRel) == 0 {
            self.monitor.event(Event::VmPaused, now, Some(vm.slot));
            let text = format_args!(
                "{} is paused: the machine has no free memory; end another virtual machine, or this one",
                vm.slot.name
            );
            self.monitor.console.lock().notice(text);
            self.monitor.console_changed();
        }
        // Whatever is posted would end the wait.
        match self.monitor.scheduler.take_posted(resident.id) {
            0 => {}
            posted => self.take_lines(resident, posted),
        }
        let again = now.saturating_add(count_hz() / LOOKS_PER_SECOND);
        // If it does not wait, the turn sees why.
        let _ = self.queue.wait(self.monitor.scheduler, now, again);
    }
}

impl Monitor {
    /// Sees to it that there are pages for messages, in place of some of the disk cache if need be. Before
    /// anything is locked.
    pub(super) fn spare_for_messages(&'static self, node: NodeId) {
        if self.machine.spare() >= MESSAGE_PAGES {
            return;
        }
        // A search in vain takes long: not for each message.
        let now = cp0::count();
        let since = now.wrapping_sub(IN_VAIN.load(Ordering::Relaxed));
        if u64::from(since) >= count_hz() / LOOKS_PER_SECOND
            && !self.shrink_cache(node, MESSAGE_PAGES as usize)
        {
            IN_VAIN.store(now, Ordering::Relaxed);
        }
    }

    /// Pages were freed: who is paused looks again.
    pub(super) fn memory_freed(&self) {
        if !self.short.is_empty() {
            for vcpu in self.short.take().iter() {
                self.post(vcpu, POSTED_MEMORY);
            }
        }
    }
}
