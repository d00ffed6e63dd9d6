//! Emulated latency: a virtual CPU waits for what its remote misses would have cost it, in real time and
//! in small portions between two entries of its guest (`numa/latency.rs`).
//!
//! While it waits it is the one that runs on its CPU, and pays with its own CPU time. It is not in its guest: nobody
//! waits for it who wants a translation forgotten. What interrupts the CPU is served, and another virtual
//! CPU may have its turn in between.

use super::cpu::Cpu;
use super::device;
use super::resident::Resident;
use crate::clock::{nanoseconds, ticks_of_ns};
use crate::numa::latency::{BETWEEN_NS, LOOK_NS};
use disco_arch::cpu;

impl Resident {
    /// Misses of its TLB that were served without its guest.
    fn refills(&self) -> u64 {
        let fast = &self.vcpu.context.counters;
        let slow = &self.vcpu.counters;
        let by_vectors = fast.l2_hits.wrapping_add(fast.linear_hits);
        by_vectors
            .wrapping_add(slow.vtlb_hits)
            .wrapping_add(slow.walks)
            .wrapping_add(slow.linear_pages)
    }
}

impl Cpu {
    /// Whether the loaded virtual CPU, which pays for its remote misses, has to wait before its guest goes on.
    #[inline(never)]
    pub(super) fn has_to_wait(&mut self, resident: &mut Resident) -> bool {
        if resident.debt.portion_ns() > 0 {
            return true;
        }
        let now = self.now();
        if now < self.debt_due {
            return false;
        }
        let refills = resident.refills();
        resident.debt.charge(refills);
        resident.debt.begin_portion();
        // After a portion it is set anew.
        self.debt_due = now.saturating_add(ticks_of_ns(LOOK_NS));
        self.update_due();
        resident.debt.portion_ns() > 0
    }

    /// Lets the loaded virtual CPU wait until its portion is over or something interrupts it. Whether a
    /// turn is due.
    #[inline(never)]
    pub(super) fn stall(&mut self, resident: &mut Resident) -> bool {
        let begin = self.now();
        let portion_ns = resident.debt.portion_ns();
        let end = begin.saturating_add(ticks_of_ns(portion_ns));
        let due = end.min(self.until).min(self.console_due);
        let called = self.id.0 == 0 && (self.console_pending() || device::attention_wanted());
        if begin < due && !called && !self.has_mail() {
            self.set_timer(due, begin);
            cpu::wait();
        }
        let turn = self.interrupts() || self.has_mail();
        let now = self.now();
        let waited_ns = nanoseconds(now.saturating_sub(begin));
        resident.debt.pay(if now < end {
            waited_ns
        } else {
            waited_ns.max(portion_ns)
        });
        if resident.debt.portion_ns() == 0 {
            self.debt_due = now.saturating_add(ticks_of_ns(BETWEEN_NS));
            self.update_due();
        }
        turn
    }
}
