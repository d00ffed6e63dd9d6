//! Misses as the exact model counts them: the source `magic`, as FLASH's node controllers were one.
//!
//! The CPU that looks next takes the pages that have become hot out of the model's region, whosever they are,
//! and leaves each with its virtual machine (`hot.rs`).

use super::cpu::Cpu;
use super::hot::with_memory;
use super::resident::Resident;
use super::Monitor;
use crate::address::MachinePage;
use crate::machine::{Node, NodeId, Owner};
use crate::numa::source::{Exact, Records};
use crate::numa::{Settings, Source};
use core::slice;
use core::sync::atomic::AtomicU32;
use disco_arch::board::XKPHYS_CACHED;
use disco_arch::lock::Mutex;
use disco_flash::Description;
use disco_magic::Region;

/// The model's counts.
pub(super) struct MagicSource {
    region: Region<'static>,
    /// Guards the taking of hot pages: innermost but for a slot's state, which is not waited for under it.
    hot: Mutex<Exact<Region<'static>>>,
}

/// Pages that are taken at a time.
const AT_ONCE: usize = 32;

/// The region that the description names.
///
/// # Panics
/// Nobody counts there.
pub(super) fn open(described: &Description, settings: &Settings) -> MagicSource {
    let start = (XKPHYS_CACHED | described.magic_address.get()) as *const AtomicU32;
    let count = described.magic_len.get() as usize / size_of::<AtomicU32>();
    // SAFETY: RAM of the machine that is no node's, as the description was checked to say; the model writes
    // words of it, as others do.
    let words = unsafe { slice::from_raw_parts(start, count) };
    let region = Region::open(words);
    let Some((region, source)) = region.and_then(|region| Some((region, Exact::magic(region)?)))
    else {
        panic!("counters = \"magic\", and no exact model counts: run the machine with --magic, or say \"sampled\"");
    };
    region.set_threshold(settings.thresholds.trigger.into());
    let hot = Mutex::new(source);
    MagicSource { region, hot }
}

impl Monitor {
    /// The counts of a page, if the model has any, begin anew.
    pub(super) fn forget_counts(&self, page: MachinePage) {
        if let (Some(source), Ok(page)) = (&self.magic, u32::try_from(page.0)) {
            source.region.forget(page);
        }
    }

    /// Takes what has become hot out of the region, and leaves it with the virtual machines; not if another CPU does. What
    /// there is no room for elsewhere is looked at on node `here`.
    fn take_hot(&self, now: u64, here: NodeId) {
        let Some(MagicSource { region, hot }) = &self.magic else {
            return;
        };
        let Some(mut source) = hot.try_lock() else {
            return;
        };
        let now = self.numa.interval(now);
        if region.epoch() != u32::from(now.0) {
            region.set_epoch(now.0.into());
        }
        let records = Records {
            now,
            trigger: self.numa.thresholds.trigger,
            of: &|page| self.machine.record(self.copied_from(page)),
        };
        source.add_up(AT_ONCE, &records, &mut |hot| {
            let home = self.machine.node_of(hot.page).map(Node::id);
            if home != Some(hot.node) {
                self.leave_hot_page(hot.page, [hot.node, here]);
            }
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
}

impl Cpu {
    /// Takes hot pages, and looks at those of the loaded virtual machine; how many waited.
    #[link_section = ".text.once"]
    #[inline(never)]
    pub(super) fn look_at_magic(&mut self, resident: &mut Resident) -> usize {
        if !self.monitor.numa.policy {
            return 0;
        }
        let here = self.shared.node;
        let vm = resident.vm;
        let waiting = || vm.hot_for(here).map_or(0, |list| list.lock().len());
        if waiting() == 0 {
            let now = self.now();
            self.monitor.take_hot(now, here);
        }
        let waited = waiting();
        self.look_at_hot(resident);
        waited
    }
}
