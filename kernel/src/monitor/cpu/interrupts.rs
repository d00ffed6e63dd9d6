//! What interrupts a CPU: its timer, the other CPUs, the board; and waiting for it with nothing to run.

use super::super::device;
use super::super::resident::Resident;
use super::{unload, Cpu, NOBODY};
use crate::clock::{self, ticks_of_ns, LOOK_AT_CLOCK};
use core::sync::atomic::Ordering;
use disco_abi::{LINE_CONSOLE, LINE_DISK, LINE_IPI, LINE_NET};
use disco_arch::board::interrupts;
use disco_arch::cp0;
use disco_arch::cpu;
use disco_arch::point::pass;
use disco_arch::tlb;
use disco_arch::trap;
use disco_magic::{marker, point};

/// A timer is not set nearer than this, in ticks, so that it is not missed.
const SOONEST: u64 = 32;

/// How long entries stay hidden behind the TLB at least, in nanoseconds: those that were hidden first are of less use with time, and
/// those that still are of use come back at a miss each. Less than 10 ms, which are between two interrupts of most guests' timers.
const HIDDEN_NS: u64 = 8_000_000;

/// Posted bits: console input waits, or does no more; messages of siblings wait.
pub const POSTED_INPUT: u64 = 1 << LINE_CONSOLE;
/// See [`POSTED_INPUT`].
pub const POSTED_IPI: u64 = 1 << LINE_IPI;
/// Posted bit: messages of the subnet wait, or do no more.
pub const POSTED_NET: u64 = 1 << LINE_NET;
/// Posted bit: commands of disks have ended, or were all taken.
pub const POSTED_DISK: u64 = 1 << LINE_DISK;
/// Posted bit: pages were freed. No interrupt line.
pub const POSTED_MEMORY: u64 = 1 << 32;

impl Cpu {
    /// Serves the real CPU's interrupts; whether a turn is due.
    pub(in crate::monitor) fn interrupts(&mut self) -> bool {
        let lines = cp0::cause();
        let mut turn = false;
        // Only this CPU writes them; and an addition with LL and SC would break a guest's pair.
        let count = |line: usize| {
            let counter = &self.shared.interrupts[line];
            counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        };
        if lines.contains(interrupts::IPI_LINE) {
            pass::<{ point::IPI }>();
            count(1);
            interrupts::clear_ipi(usize::from(self.id.0));
            turn = true;
        }
        if lines.contains(interrupts::TIMER_LINE) {
            pass::<{ point::TIMER }>();
            count(2);
            self.timer = 0;
            let now = self.now();
            if now >= self.hidden_until {
                tlb::forget_hidden();
                self.hidden_until = now.saturating_add(ticks_of_ns(HIDDEN_NS));
            }
            self.set_timer(now.saturating_add(LOOK_AT_CLOCK), now);
            clock::seen(now);
            if self.id.0 == 0 {
                self.monitor.look_at_devices(now);
            }
            turn |= now >= self.until;
        }
        if lines.contains(interrupts::BOARD_LINE) {
            pass::<{ point::BOARD }>();
            count(0);
            let requests = interrupts::board_requests();
            if requests.com1 {
                self.console_due = 0;
            }
            if requests.pci {
                self.serve_devices();
            }
            turn = true;
        }
        turn
    }

    /// Serves the real devices on CPU 0, and starts virtual machines whose guests have come from there.
    #[cold]
    #[inline(never)]
    pub(super) fn serve_devices(&mut self) {
        pass::<{ point::DEVICES }>();
        let now = self.now();
        self.monitor.serve_devices(now);
        if self.monitor.loading.load(Ordering::Relaxed) != 0 {
            self.monitor.loads_go_on(&mut || self.now());
        }
    }

    /// A virtual CPU has taken from what `line` tells of; `more` waits. The line is the first virtual
    /// CPU's.
    pub(in crate::monitor) fn line_taken(&self, resident: &mut Resident, line: u32, more: bool) {
        let first = resident.vm.slot.vcpu(0);
        if resident.id == first {
            resident.vcpu.set_line(line, more);
        } else if !more {
            self.monitor.post(first, 1 << line);
        }
    }

    /// Takes posted lines into the virtual CPU. What they stand for may have been taken already.
    pub(in crate::monitor) fn take_lines(&self, resident: &mut Resident, posted: u64) {
        if posted & POSTED_INPUT != 0 {
            let vm = resident.vm.slot.id.0.into();
            let waits = self.monitor.console.lock().guest_input_waiting(vm);
            resident.vcpu.set_line(LINE_CONSOLE, waits);
        }
        if posted & POSTED_IPI != 0 {
            let messages = resident.shared.messages.load(Ordering::Acquire);
            resident.vcpu.set_line(LINE_IPI, messages != 0);
        }
        if posted & POSTED_DISK != 0 {
            let vm = resident.vm.slot.id.0.into();
            let waits = self.monitor.disks.lock().has_ended(vm);
            resident.vcpu.set_line(LINE_DISK, waits);
        }
        if posted & POSTED_NET != 0 {
            let waits = self.monitor.subnet.lock().is_waiting(resident.vm.slot.id);
            resident.vcpu.set_line(LINE_NET, waits);
        }
    }

    /// Whether a turn is due for mail. On a machine of one CPU, mail that this CPU sent to itself
    /// comes without an interrupt.
    pub(in crate::monitor) fn has_mail(&self) -> bool {
        let mailbox = self.monitor.scheduler.mailbox(self.id);
        mailbox.is_some_and(|mail| mail.has_mail())
    }

    /// Waits for an interrupt with nothing to run.
    pub(super) fn idle(&mut self) {
        pass::<{ point::IDLE }>();
        cpu::mark::<{ marker::IDLE }>();
        let shared = self.shared;
        shared.running.store(NOBODY, Ordering::Relaxed);
        unload(&mut self.loaded);
        // SAFETY: the idle context is this CPU's own and lives for ever.
        unsafe { trap::set_context(&raw mut self.idle) };
        let begin = self.now();
        shared.idle_since.store(begin, Ordering::Relaxed);
        // On a machine of one CPU nobody is interrupted for it.
        if self.id.0 == 0 && self.console_told() {
            self.console_due = begin;
        }
        let called = self.id.0 == 0 && device::attention_wanted();
        let due = self
            .until
            .min(self.console_due)
            .min(begin.saturating_add(LOOK_AT_CLOCK));
        self.set_timer(due, begin);
        if begin < due && !called && !self.has_mail() {
            cpu::wait();
        }
        cpu::mark::<{ marker::BUSY }>();
        self.interrupts();
        let ticks = self.now().saturating_sub(begin);
        shared.idle_since.store(0, Ordering::Relaxed);
        shared.idle.fetch_add(ticks, Ordering::Relaxed);
    }

    /// Sets Compare so that the timer interrupts at tick `due`, or soon if that is past.
    pub(in crate::monitor) fn set_timer(&mut self, due: u64, now: u64) {
        self.timer = due;
        let mut at = due.min(now.saturating_add(LOOK_AT_CLOCK));
        // A busy host may take longer than any distance that is fixed.
        let mut distance = SOONEST;
        loop {
            at = at.max(self.now().saturating_add(distance));
            distance *= 2;
            // SAFETY: the timer's line is the monitor's.
            unsafe { cp0::set_compare(at as u32) };
            if self.now() < at {
                return;
            }
        }
    }
}
