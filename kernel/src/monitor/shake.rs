//! The command `numa shake`: random pages of all virtual machines move as fast as they can, to find out
//! whether a guest ever notices. Each CPU moves pages of the virtual machine that runs on it.

use super::cpu::Cpu;
use super::moves::{Batch, Goal};
use super::resident::Resident;
use crate::address::GuestPage;
use crate::clock::count_hz;
use crate::machine::NodeId;
use crate::numa::NodeSet;
use crate::vm::pmap::{Pmap, LINEAR_PAGES};
use core::sync::atomic::{AtomicU64, Ordering};

/// Pages that a CPU moves in a row.
const AT_ONCE: usize = 12;
/// A CPU moves some so many times a second.
const STEPS_PER_SECOND: u64 = 500;
/// Pages that are looked at for one that is in use.
const REACH: usize = 64;
/// Of so many steps one moves all of a large page of the linear windows.
const WHOLE: u64 = 64;
/// The longest that it goes on, in seconds.
const SECONDS_MAX: u64 = 24 * 60 * 60;

/// When it ends, in ticks.
static END: AtomicU64 = AtomicU64::new(0);

/// Whether pages are to be moved at tick `now`.
pub fn is_on(now: u64) -> bool {
    now < END.load(Ordering::Relaxed)
}

impl Cpu {
    /// The command `numa shake`.
    pub(super) fn numa_shake(&mut self, seconds: u64) {
        if self.monitor.machine.nodes().count() < 2 {
            return self
                .answer(&mut |out| writeln!(out, "the machine has one node: nothing can move"));
        }
        let seconds = seconds.min(SECONDS_MAX);
        let end = self.now().saturating_add(seconds * count_hz());
        END.store(end, Ordering::Relaxed);
        let [migrations, replications, collapses] = self.moves_so_far();
        self.answer(&mut |out| {
            writeln!(
                out,
                "pages move for {seconds} s; so far: {migrations} migrations, {replications} replicas, \
                 {collapses} collapses"
            )
        });
    }

    /// Migrations, replicas made, and pages that lost theirs, of all CPUs.
    fn moves_so_far(&self) -> [u64; 3] {
        let cpus = self.monitor.cpus.iter().flatten();
        let nodes = || self.monitor.machine.nodes().map(|node| node.id());
        let moves = cpus.flat_map(|cpu| nodes().filter_map(|node| cpu.numa.moves(node)));
        moves.fold([0; 3], |[migrations, replications, collapses], moves| {
            [
                migrations + moves.migrations.load(Ordering::Relaxed),
                replications + moves.replications.load(Ordering::Relaxed),
                collapses + moves.collapses.load(Ordering::Relaxed),
            ]
        })
    }

    /// Moves some pages of the virtual machine that `resident` belongs to; until when it may run before
    /// the next.
    #[cold]
    pub(super) fn shake(&mut self, resident: &mut Resident) -> u64 {
        let begin = self.now();
        let nodes = self.monitor.machine.nodes().count() as u64;
        let mut wanted = [(GuestPage(0), Goal::Alone); AT_ONCE];
        for (page, goal) in &mut wanted {
            *page = self.random_page(&resident.pmap);
            let random = self.random();
            *goal = match random % 8 {
                0..4 => Goal::Node(NodeId((random / 8 % nodes) as u8)),
                4..7 => Goal::Replicas(NodeSet::from_bits(
                    (random / 8) as u16 & ((1 << nodes) - 1) as u16,
                )),
                _ => Goal::Alone,
            };
        }
        let is_whole = self.random().is_multiple_of(WHOLE);
        let counted = &mut |_, moved| self.count_move(moved);
        let mut memory = self.guest_memory(resident);
        let mut batch = Batch::new();
        for wanted in wanted {
            // What cannot be moved is as it was.
            let _ = memory.begin(&mut batch, wanted, counted);
        }
        if let (Some((page, _)), true) = (wanted.first(), is_whole) {
            // All of a large page to one node, where it becomes one again.
            let first = page.0 & !(LINEAR_PAGES - 1);
            for page in (first..first + LINEAR_PAGES).map(GuestPage) {
                let _ = memory.begin(&mut batch, (page, Goal::Node(self.shared.node)), counted);
            }
        }
        memory.finish(&mut batch, counted);
        if let (Some((page, _)), true) = (wanted.first(), is_whole) {
            memory.gather(*page);
        }
        drop(memory);
        let end = self.now();
        crate::numa::counters::add(&self.shared.numa.spent, end.saturating_sub(begin));
        end.saturating_add(count_hz() / STEPS_PER_SECOND)
    }

    /// Any page; or, half of the time, one that a virtual CPU has mapped, if there is one within reach: to move that
    /// takes longer, as it has to be asked.
    fn random_page(&mut self, pmap: &Pmap) -> GuestPage {
        let first = self.random() % pmap.pages().max(1);
        if self.random().is_multiple_of(2) {
            return GuestPage(first);
        }
        let mut reach = (first..pmap.pages()).map(GuestPage).take(REACH);
        reach
            .find(|page| pmap.is_used(*page))
            .unwrap_or(GuestPage(first))
    }

    /// The next of a series of 32-bit numbers of no order: Vigna's xorshift64*, whose upper half it is.
    fn random(&mut self) -> u64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32
    }
}
