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
use crate::numa::source::{add_up, Samples};
use crate::numa::{Counters, Sample, Settings, Since, Source};
use crate::schedule::VcpuId;
use crate::vm::exception::code;
use crate::vm::hardware::Hardware;
use crate::vm::sample::Hidden;
use crate::vm::trap::Trap;
use disco_arch::trap::{Entry, GuestContext};

/// Refills between two samples, as far as the limits of time let it come to so many: while pages are moved for
/// samples, and while those that are hot stay where they are.
const REFILLS_LEAST: u64 = 32;
/// See [`REFILLS_LEAST`].
const REFILLS_MOST: u64 = 512;
/// With fewer than one in so many of that the guest uses what is in the TLB: that is emptied for the next sample.
const FEW: u64 = 8;
/// Of so many samples with an empty TLB one is of the next instruction's page.
const FETCHES: u32 = 4;
/// A sample is tried so often before it is given up for this time: traps come first.
const TRIES: u32 = 4;
/// Parts of a second between samples: at least, and at most.
const LEAST_HZ: u64 = 1000;
const MOST_HZ: u64 = 8000;
/// Hot pages that are looked at for one sample.
const HOT: usize = 4;

/// A page that is mapped read-only until it is written to or the next sample is due.
#[derive(Clone, Copy, Debug)]
struct Watched {
    vcpu: VcpuId,
    page: GuestPage,
}

/// What a CPU has counted and will.
#[derive(Debug)]
pub(super) struct Sampler {
    /// See [`Sampler::due`].
    due: u64,
    /// Refills from one to the next that are aimed at.
    refills: u64,
    /// From one to the next, in ticks.
    period: u64,
    /// The shortest and the longest.
    periods: (u64, u64),
    /// What the vectors do not know at present.
    hidden: Option<Hidden>,
    watched: Option<Watched>,
    /// Whose refills were counted last, and how many it had.
    counted: Option<(VcpuId, u64)>,
    /// With an empty TLB.
    emptied: u32,
    tries: u32,
    samples: Samples,
    lost: u64,
}

impl Sampler {
    pub(super) fn new(settings: &Settings, hz: u64) -> Self {
        let (shortest, longest) = (hz / MOST_HZ, hz / LEAST_HZ);
        Self {
            due: match settings.counters {
                Counters::Sampled | Counters::Magic => 0,
                Counters::Off => u64::MAX,
            },
            refills: REFILLS_LEAST,
            period: longest,
            periods: (shortest, longest),
            hidden: None,
            watched: None,
            counted: None,
            emptied: 0,
            tries: 0,
            samples: Samples::new(),
            lost: 0,
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

    /// The sample at tick `now` is taken: when the next one is due, given how many refills `vcpu` has had so far.
    /// Whether it has had few.
    fn go_on(&mut self, now: u64, vcpu: VcpuId, refills: u64) -> bool {
        let (shortest, longest) = self.periods;
        let before = self.counted.replace((vcpu, refills));
        let had = match before {
            Some((before, counted)) if before == vcpu => refills.saturating_sub(counted),
            _ => self.refills,
        };
        if had > 2 * self.refills {
            self.period = (self.period / 2).max(shortest);
        } else if had < self.refills / 2 {
            self.period = (self.period * 2).min(longest);
        }
        self.due = now.saturating_add(self.period);
        self.tries = 0;
        had < self.refills / FEW
    }

    /// A page that samples made hot was moved or not: samples are taken where they are of use.
    fn learn(&mut self, was_moved: bool) {
        self.refills = if was_moved {
            (self.refills / 2).max(REFILLS_LEAST)
        } else {
            (self.refills * 2).min(REFILLS_MOST)
        };
    }
}

impl Cpu {
    /// Adds up what was sampled, looks at pages that are hot, and lets the next miss be sampled. What the
    /// loaded virtual CPU goes on with; `None` if it needs something first.
    #[inline(never)]
    pub(super) fn sample_next(&mut self) -> Option<*mut GuestContext> {
        // SAFETY: what is loaded is this CPU's.
        let resident = unsafe { self.loaded.as_mut()? };
        if resident.wants.is_some() {
            return None;
        }
        if self.monitor.numa.counters == Counters::Magic {
            self.look_at_magic(resident);
            self.sampler.due = self.now().saturating_add(self.sampler.period);
            self.update_due();
            return None;
        }
        self.look_at_samples(resident);
        let now = self.now();
        let counters = &resident.vcpu.context.counters;
        let refills = counters.l2_hits + counters.linear_hits;
        let has_few = self.sampler.go_on(now, resident.id, refills);
        self.update_due();
        self.prepare(resident, now);
        if has_few {
            self.empty_tlb(resident);
        }
        self.sampler.watched = None;
        self.sampler.hidden = resident.vcpu.hide();
        if self.sampler.hidden.is_some() {
            resident.vcpu.context.handler = handle_sampled as *const () as u64;
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
        resident.vcpu.context.handler = self.usual_handler();
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
            resident.vcpu.context.handler = handle_sampled as *const () as u64;
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
        self.note(resident, page, trap.is_store());
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
            self.note(resident, page, true);
        }
    }

    fn note(&mut self, resident: &mut Resident, page: GuestPage, write: bool) {
        let (vm, node) = (resident.vm, self.shared.node);
        let Some(machine) = vm.pmap.machine_page(page) else {
            return;
        };
        let place = self.place_of(resident, page);
        self.shared.numa.sampled(place == Some(node));
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
        let (reads, writes) = if write { (0, weight) } else { (weight, 0) };
        self.sampler.samples.note(Sample {
            page: machine,
            node,
            reads,
            writes,
            since: Since::Last,
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

    /// Adds samples to the directory, and looks at pages of the loaded virtual machine that are hot.
    fn look_at_samples(&mut self, resident: &mut Resident) {
        let settings = &self.monitor.numa;
        let now = settings.interval(self.now());
        let (machine, vm) = (&self.monitor.machine, resident.vm.slot.id);
        let mut hot: [Option<GuestPage>; HOT] = [None; HOT];
        let mut places = hot.iter_mut();
        add_up(
            &mut self.sampler.samples,
            usize::MAX,
            (now, settings.thresholds.trigger),
            |page| machine.record(page),
            |sample| match sample.user {
                // Another virtual machine's is told again when it has been missed on as often again.
                Some((of, page)) if of == vm => {
                    if let Some(place) = places.next() {
                        *place = Some(page);
                    }
                }
                _ => {}
            },
        );
        let lost = self.sampler.samples.lost();
        add(&self.shared.numa.lost, lost - self.sampler.lost);
        self.sampler.lost = lost;
        for page in hot.into_iter().flatten() {
            let was_moved = self.look_at_page(resident, page);
            self.sampler.learn(was_moved);
        }
    }
}

/// Where the vectors call the monitor from a context that was prepared for a sample.
extern "C" fn handle_sampled(_context: *mut GuestContext, entry: u64) -> *mut GuestContext {
    // SAFETY: the only reference on this CPU: traps do not nest.
    unsafe { Cpu::here() }.sampled_trap(super::cpu::entry_of(entry))
}
