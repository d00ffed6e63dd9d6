//! Misses as the exact model counts them: the source `magic`, as FLASH's node controllers were one.
//!
//! The CPU that looks next takes the pages that have become hot out of the model's region, whosever they are,
//! and leaves each with its virtual machine; there the virtual machine's own CPUs find it and do what the policy
//! wants, on its time.

use super::cpu::Cpu;
use super::resident::{Resident, ResidentVm};
use super::slot::VmSlot;
use super::Monitor;
use crate::address::{GuestPage, MachinePage};
use crate::machine::Owner;
use crate::numa::source::{add_up, Exact};
use crate::vm::pmap::Backing;
use core::slice;
use core::sync::atomic::AtomicU32;
use disco_arch::board::XKPHYS_CACHED;
use disco_flash::Description;
use disco_magic::Region;
use spin::Mutex;

/// Guards the taking of hot pages: innermost but for a slot's state, which is not waited for under it.
pub(super) type MagicSource = Mutex<Exact<Region<'static>>>;

/// Samples that are taken at a time.
const AT_ONCE: usize = 64;
/// Hot pages that a virtual machine keeps until it has time for them; it is told of others again.
const KEPT: usize = 64;
/// Hot pages that are looked at in a row.
const LOOKED_AT: usize = 8;

/// Hot pages of a virtual machine.
#[derive(Debug)]
pub struct HotPages {
    pages: [GuestPage; KEPT],
    count: usize,
}

impl HotPages {
    /// None.
    pub const fn new() -> Self {
        Self {
            pages: [GuestPage(0); KEPT],
            count: 0,
        }
    }

    fn add(&mut self, page: GuestPage) {
        if let Some(place) = self.pages.get_mut(self.count) {
            *place = page;
            self.count += 1;
        }
    }

    fn take(&mut self) -> Option<GuestPage> {
        self.count = self.count.checked_sub(1)?;
        self.pages.get(self.count).copied()
    }
}

/// The region that the description names.
///
/// # Panics
/// Nobody counts there.
pub(super) fn open(described: &Description) -> MagicSource {
    let start = (XKPHYS_CACHED | described.magic_address.get()) as *const AtomicU32;
    let count = described.magic_len.get() as usize / size_of::<AtomicU32>();
    // SAFETY: RAM of the machine that is no node's, as the description was checked to say; the model writes
    // words of it, as others do.
    let words = unsafe { slice::from_raw_parts(start, count) };
    let Some(source) = Region::open(words).and_then(Exact::magic) else {
        panic!("counters = \"magic\", and no exact model counts: run the machine with --magic, or say \"sampled\"");
    };
    Mutex::new(source)
}

impl Monitor {
    /// Takes what has become hot out of the region, and leaves it with the virtual machines; not if another CPU does.
    fn take_hot(&self, now: u64) {
        let Some(mut source) = self.magic.as_ref().and_then(Mutex::try_lock) else {
            return;
        };
        let now = self.numa.interval(now);
        let trigger = self.numa.thresholds.trigger;
        let region = source.counters();
        if region.epoch() != u32::from(now.0) {
            region.set_threshold(trigger.into());
            region.set_epoch(now.0.into());
        }
        let record = |page| self.machine.record(self.copied_from(page));
        add_up(&mut *source, AT_ONCE, (now, trigger), record, |sample| {
            self.leave_hot(sample.page);
        });
    }

    /// The page that `page` is a replica of, if it is one.
    fn copied_from(&self, page: MachinePage) -> MachinePage {
        let Some(Owner::Replica { vm, page: guest }) = self.machine.owner(page) else {
            return page;
        };
        let original = self
            .slots
            .get(usize::from(vm.0))
            .and_then(|slot| with_memory(slot, |vm| vm.pmap.machine_page(guest)).flatten());
        original.unwrap_or(page)
    }

    /// Leaves a hot page with whom it belongs to, or with all who share it.
    fn leave_hot(&self, page: MachinePage) {
        match self.machine.owner(page) {
            Some(Owner::Guest { vm, page } | Owner::Replica { vm, page }) => {
                if let Some(slot) = self.slots.get(usize::from(vm.0)) {
                    with_memory(slot, |vm| vm.hot.lock().add(page));
                }
            }
            Some(Owner::Shared) => {
                for slot in self.slots {
                    with_memory(slot, |vm| {
                        let shares = |backing| backing == Backing::Shared(page);
                        let found = vm.pmap.iter().find(|(_, backing)| shares(*backing));
                        if let Some((guest, _)) = found {
                            vm.hot.lock().add(guest);
                        }
                    });
                }
            }
            _ => {}
        }
    }
}

/// What `look` finds in a virtual machine that runs; nothing while it starts or ends.
fn with_memory<T>(slot: &VmSlot, look: impl FnOnce(&ResidentVm) -> T) -> Option<T> {
    let _state = slot.state.try_lock()?;
    // SAFETY: null, or under `state` it stays where it is.
    unsafe { slot.resident().as_ref() }.map(look)
}

impl Cpu {
    /// Takes hot pages, and looks at those of the loaded virtual machine.
    pub(super) fn look_at_magic(&mut self, resident: &mut Resident) {
        let now = self.now();
        self.monitor.take_hot(now);
        for _ in 0..LOOKED_AT {
            let page = resident.vm.hot.lock().take();
            let Some(page) = page else {
                return;
            };
            self.look_at_page(resident, page);
        }
    }
}
