//! Misses of this CPU's guests, some of them counted: the source `sampled`.
//!
//! At times the vectors are made to find nothing (`vm/sample.rs`), and the next miss comes here. A context
//! that is prepared so has another handler than usual, so that no other way into the monitor has to
//! look. What was counted is added up at the next sample, and the pages that it made hot are
//! looked at, on the time of the guest whose pages they are (`hot.rs`).

use super::cpu::Cpu;
use super::resident::Resident;
use crate::address::GuestPage;
use crate::machine::NodeId;
use crate::numa::counters::add;
use crate::numa::source::{Hot, Records, Samples};
use crate::numa::{Counters, Looks, Pace, PageRecord, Sample, Settings, Source};
use crate::schedule::VcpuId;
use crate::vm::exception::code;
use crate::vm::hardware::Hardware;
use crate::vm::sample::Hidden;
use crate::vm::trap::Trap;
use disco_arch::point::pass;
use disco_arch::trap::{Entry, GuestContext};
use disco_magic::point;

/// Of so many samples with an empty TLB one is of the next instruction's page.
const FETCHES: u32 = 4;
/// A sample is tried so often before it is given up for this time: traps come first.
const TRIES: u32 = 4;

/// A page that is mapped read-only until it is written to or the next sample is due.
#[derive(Clone, Copy, Debug)]
struct Watched {
    vcpu: VcpuId,
    page: GuestPage,
}

/// What a sample has seen of a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Seen {
    /// A miss of a load, or of a fetch.
    Load,
    /// A miss of a store.
    Store,
    /// The first store after a load that was seen.
    StoreAfterLoad,
}

/// What a CPU has counted and will.
#[derive(Debug)]
pub(super) struct Sampler {
    /// See [`Sampler::due`].
    due: u64,
    pace: Pace,
    /// What the vectors do not know at present.
    hidden: Option<Hidden>,
    watched: Option<Watched>,
    /// With an empty TLB.
    emptied: u32,
    tries: u32,
    samples: Samples,
    lost: u64,
    /// At what has become hot.
    looks: Looks,
}

impl Sampler {
    pub(super) fn new(settings: &Settings, hz: u64) -> Self {
        Self {
            due: match settings.counters {
                Counters::Sampled => 0,
                Counters::Magic if settings.policy => 0,
                Counters::Magic | Counters::Off => u64::MAX,
            },
            pace: Pace::new(settings, hz),
            hidden: None,
            watched: None,
            emptied: 0,
            tries: 0,
            samples: Samples::new(),
            lost: 0,
            looks: Looks::new(hz),
        }
    }

    /// When the next sample is due, in ticks; `u64::MAX` for never.
    pub(super) const fn due(&self) -> u64 {
        self.due
    }

    /// Another virtual CPU is loaded: its TLB has been empty.
    pub(super) fn forget_watched(&mut self) {
        self.watched = None;
    }
}

impl Cpu {
    /// Adds up what was sampled, looks at pages that are hot, and lets the next miss be sampled. What the
    /// loaded virtual CPU goes on with; `None` if it needs something first.
    #[inline(never)]
    pub(super) fn sample_next(&mut self) -> Option<*mut GuestContext> {
        pass::<{ point::SAMPLE }>();
        // SAFETY: what is loaded is this CPU's.
        let resident = unsafe { self.loaded.as_mut()? };
        if resident.wants.is_some() {
            return None;
        }
        if self.monitor.numa.counters == Counters::Magic {
            let waited = self.look_at_magic(resident);
            let now = self.now();
            self.sampler.due = self.sampler.looks.looked(now, waited);
            self.update_due();
            return None;
        }
        self.look_at_samples(resident);
        let now = self.now();
        let counters = &resident.vcpu.context.counters;
        let refills = counters.l2_hits + counters.linear_hits;
        let (wait, has_few) = self.sampler.pace.next(resident.id, refills);
        self.sampler.due = now.saturating_add(wait);
        self.sampler.tries = 0;
        self.update_due();
        self.prepare(resident, now);
        if has_few {
            self.empty_tlb(resident);
        }
        self.sampler.watched = None;
        self.sampler.hidden = resident.vcpu.hide();
        if self.sampler.hidden.is_some() {
            use_sampling_handler(&mut resident.vcpu.context);
        }
        Some(&raw mut resident.vcpu.context)
    }

    /// Empties the TLB, but for the page of the next instruction, most times.
    fn empty_tlb(&mut self, resident: &mut Resident) {
        let mut hardware = self.hardware();
        self.sampler.emptied = self.sampler.emptied.wrapping_add(1);
        if self.sampler.emptied.is_multiple_of(FETCHES) {
            return hardware.tlb_flush();
        }
        let pc = resident.vcpu.context.pc;
        let (vcpu, pmap) = (&mut resident.vcpu, &resident.pmap);
        vcpu.flush_all_but(pc, pmap, &mut hardware);
    }

    /// A trap of a context that was prepared for a sample, or has a page that is watched.
    fn sampled_trap(&mut self, entry: Entry) -> *mut GuestContext {
        // SAFETY: traps come from the loaded virtual CPU, which is this CPU's.
        let resident = unsafe { &mut *self.loaded };
        self.use_usual_handler(&mut resident.vcpu.context);
        let hidden = self.sampler.hidden.take();
        let was_hidden = hidden.is_some();
        if let Some(hidden) = hidden {
            resident.vcpu.show(hidden);
        }
        let trap = self.hardware().trap(entry, false);
        let is_sample = was_hidden && entry == Entry::Refill && trap.epc & 3 == 0;
        let counted = is_sample && self.count_miss(resident, &trap);
        if entry == Entry::General && trap.code() == code::MOD {
            self.count_write(resident, &trap);
        }
        if self.sampler.watched.is_some() {
            use_sampling_handler(&mut resident.vcpu.context);
        }
        if !counted {
            if was_hidden && !is_sample && self.sampler.tries < TRIES {
                self.sampler.tries += 1;
                self.sampler.due = 0;
                self.update_due();
            }
            let loaded = self.loaded;
            let context = self.trap(entry);
            if is_sample && loaded == self.loaded {
                // What the monitor has found by now, in the guest's page tables for instance, and has mapped.
                self.note_miss(resident, &trap);
            }
            return context;
        }
        // The guest tries again, and the vectors find it.
        resident.shared.shootdown.leave();
        resident.vcpu.counters.traps += 1;
        resident.vcpu.context.pc = trap.epc;
        resident.vcpu.context.keep_link = 1;
        let now = self.now();
        if self.is_quiet(now) {
            self.prepare(resident, now);
            return &raw mut resident.vcpu.context;
        }
        self.next(false)
    }

    /// Counts the miss of `trap`, if it can be told which page it is for, which it says.
    fn note_miss(&mut self, resident: &mut Resident, trap: &Trap) -> Option<GuestPage> {
        let page = resident.vcpu.page_at(trap.bad_vaddr, &resident.pmap)?;
        let seen = if trap.is_store() {
            Seen::Store
        } else {
            Seen::Load
        };
        self.note(resident, page, seen);
        Some(page)
    }

    /// The same where nothing maps the page yet: a write that follows will be counted, too.
    fn count_miss(&mut self, resident: &mut Resident, trap: &Trap) -> bool {
        let Some(page) = self.note_miss(resident, trap) else {
            return false;
        };
        let mut hardware = self.hardware();
        if resident.vcpu.serve_read_only(trap, &mut hardware) {
            let vcpu = resident.id;
            self.sampler.watched = Some(Watched { vcpu, page });
        }
        true
    }

    /// Counts a write to the page that is watched.
    fn count_write(&mut self, resident: &mut Resident, trap: &Trap) {
        let Some(Watched { vcpu, page }) = self.sampler.watched else {
            return;
        };
        let written = resident.vcpu.page_at(trap.bad_vaddr, &resident.pmap);
        if vcpu == resident.id && written == Some(page) {
            self.sampler.watched = None;
            self.note(resident, page, Seen::StoreAfterLoad);
        }
    }

    fn note(&mut self, resident: &mut Resident, page: GuestPage, seen: Seen) {
        let (vm, node) = (resident.vm, self.shared.node);
        let Some(machine) = vm.pmap.machine_page(page) else {
            return;
        };
        let place = self.place_of(resident, page);
        self.shared.numa.sampled(place == Some(node));
        if self.monitor.numa.policy {
            let record = self.monitor.machine.record(machine);
            let stays = |record: &PageRecord| record.stays() || record.is_written_by_several();
            let stays = record.is_none_or(stays);
            self.sampler.pace.learn(place != Some(node) && !stays);
        }
        if let Some(place) = place {
            let distances = self.monitor.machine.distances();
            resident.debt.sample(distances.extra_ns(node, place));
            // Without the policy it stays where it was started, as its memory does.
            let most = resident.residence.miss(place);
            if let Some(most) = most.filter(|_| self.monitor.numa.policy) {
                self.monitor.scheduler.set_memory_in(resident.id, most);
            }
        }
        let weight = self.monitor.numa.weight();
        let (reads, writes) = match seen {
            Seen::Load => (weight, 0),
            Seen::Store | Seen::StoreAfterLoad => (0, weight),
        };
        self.sampler.samples.note(Sample {
            page: machine,
            node,
            reads,
            writes,
            follow: seen == Seen::StoreAfterLoad,
            user: Some((vm.slot.id, page)),
        });
    }

    /// The node where this CPU's guests find `page`: the page's, or that of the nearest replica.
    fn place_of(&self, resident: &Resident, page: GuestPage) -> Option<NodeId> {
        let (pmap, node) = (&resident.pmap, self.shared.node);
        let seen = pmap
            .replica(page, node)
            .or_else(|| pmap.machine_page(page))?;
        Some(self.monitor.machine.node_of(seen)?.id())
    }

    /// Adds samples to the directory, leaves pages that are hot with their virtual machines, and looks at those of the loaded
    /// one.
    fn look_at_samples(&mut self, resident: &mut Resident) {
        let monitor = self.monitor;
        let settings = &monitor.numa;
        let now = settings.interval(self.now());
        let vm = resident.vm;
        let may_move = |hot: &Hot| {
            let home = monitor.machine.node_of(hot.page);
            let is_far = home.is_some_and(|home| home.id() != hot.node);
            let record = monitor.machine.record(hot.page);
            is_far && !record.is_none_or(PageRecord::stays)
        };
        let records = Records {
            now,
            trigger: settings.thresholds.trigger,
            of: &|page| monitor.machine.record(page),
        };
        let samples = &mut self.sampler.samples;
        samples.add_up(usize::MAX, &records, &mut |hot| match hot
            .user
            .filter(|_| settings.policy && may_move(hot))
        {
            Some((of, page)) if of == vm.slot.id => {
                if !vm.pmap.replicas(page).contains(hot.node) {
                    vm.add_hot(page, [hot.node; 2]);
                }
            }
            Some(user) => monitor.leave_hot(user, [hot.node; 2]),
            None => {}
        });
        let lost = self.sampler.samples.lost();
        add(&self.shared.numa.lost, lost - self.sampler.lost);
        self.sampler.lost = lost;
        let Some(list) = vm.hot_for(self.shared.node).filter(|_| settings.policy) else {
            return;
        };
        let now = self.now();
        let waiting = list.lock().len();
        if self.sampler.looks.is_due(now, waiting) {
            self.sampler.looks.looked(now, waiting);
            let (looked, moved) = self.look_at_hot(resident);
            self.sampler.pace.learn_of_moves(looked, moved);
        }
    }
}

/// Lets the next trap of `context` come to [`handle_sampled`], whatever it is.
fn use_sampling_handler(context: &mut GuestContext) {
    context.handler = handle_sampled as *const () as u64;
    context.light = 0;
}

/// Where the vectors call the monitor from a context that was prepared for a sample.
extern "C" fn handle_sampled(_context: *mut GuestContext, entry: u64) -> *mut GuestContext {
    // SAFETY: the only reference on this CPU: traps do not nest.
    unsafe { Cpu::here() }.sampled_trap(super::cpu::entry_of(entry))
}
