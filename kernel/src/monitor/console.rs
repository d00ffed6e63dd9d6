//! The serial line and its service. CPU 0 takes its interrupts; whoever writes also sends.

use super::cpu::{Cpu, POSTED_INPUT};
use super::slot::VmSlot;
use super::Monitor;
use crate::clock::{nanoseconds, TICKS_PER_MS};
use crate::console::mux::View;
use crate::console::Mux;
use core::sync::atomic::{AtomicBool, Ordering};
use disco_arch::board::interrupts;
use disco_arch::board::uart::Uart;

/// How often the console is served while something is going on there.
const BUSY: u64 = 10 * TICKS_PER_MS;
/// How soon it is served again after a command.
const AFTER_COMMAND: u64 = TICKS_PER_MS;
/// Bytes received at a time.
const RECEIVE_MAX: usize = 256;
/// Bytes sent at a time, so that the lock is held for a bounded time.
const SEND_MAX: usize = 512;

/// Something changed on the console that CPU 0 has not seen.
static CHANGED: AtomicBool = AtomicBool::new(false);

/// Sends what waits, as far as the line takes it now.
#[inline(never)]
fn send(console: &mut Mux) {
    let uart = Uart::com1();
    for _ in 0..SEND_MAX {
        let mut byte = [0];
        if !uart.can_send() || console.uart_take(&mut byte) == 0 {
            return;
        }
        uart.send(byte[0]);
    }
}

impl Monitor {
    /// Tells CPU 0 that there is something for it to do on the console.
    pub fn console_changed(&self) {
        CHANGED.store(true, Ordering::Release);
        interrupts::send_ipi(0);
    }
}

impl Cpu {
    /// A guest's output; returns how many bytes were taken.
    pub(super) fn console_write(&mut self, slot: &VmSlot, bytes: &[u8]) -> usize {
        let mut console = self.monitor.console.lock();
        let taken = console.guest_write(slot.id.0.into(), bytes);
        send(&mut console);
        let more = console.has_output();
        drop(console);
        if more && self.id.0 != 0 {
            if !CHANGED.load(Ordering::Relaxed) {
                self.monitor.console_changed();
            }
        } else if more {
            self.console_due = self.console_due.min(self.now() + BUSY);
        }
        taken
    }

    /// Input for a guest: how many bytes were put into `buffer`, and whether there are more.
    pub(super) fn console_read(&mut self, slot: &VmSlot, buffer: &mut [u8]) -> (usize, bool) {
        let vm = slot.id.0.into();
        let mut console = self.monitor.console.lock();
        let count = console.guest_read(vm, buffer);
        let more = console.guest_input_waiting(vm);
        drop(console);
        if count > 0 {
            // Room for more input.
            if self.id.0 == 0 {
                self.console_due = 0;
            } else {
                self.monitor.console_changed();
            }
        }
        (count, more)
    }

    /// Whether CPU 0 is being told that something changed.
    pub(super) fn console_pending(&self) -> bool {
        CHANGED.load(Ordering::Relaxed)
    }

    /// Whether CPU 0 was told that something changed; it is told only once.
    pub(super) fn console_told(&self) -> bool {
        self.console_pending() && CHANGED.swap(false, Ordering::AcqRel)
    }

    /// Receives, executes a command, and sends. On CPU 0, at tick `now`. One command at a time:
    /// an endless pipe of them must not keep the CPU from its virtual machines.
    #[cold]
    #[inline(never)]
    pub(super) fn serve_console(&mut self, now: u64) {
        let monitor = self.monitor;
        let uart = Uart::com1();
        let mut console = monitor.console.lock();
        console.tick(nanoseconds(now));
        for _ in 0..RECEIVE_MAX {
            let byte = if console.can_receive() {
                uart.receive()
            } else {
                None
            };
            let Some(byte) = byte else { break };
            console.uart_received(byte);
        }
        send(&mut console);
        let command = console.take_command();
        let wanted = console.can_receive();
        let attached = match console.view() {
            View::Attached(vm) if console.guest_input_waiting(vm) => Some(vm),
            _ => None,
        };
        let busy = console.has_output() || !wanted || console.view() != View::Lines;
        drop(console);
        if let Some(slot) = attached.and_then(|vm| monitor.slots.get(vm)) {
            monitor.post(slot.vcpu(0), POSTED_INPUT);
        }
        if let Some(command) = command {
            self.execute(command);
            self.console_due = self.now() + AFTER_COMMAND;
            return;
        }
        uart.set_receive_interrupt(wanted);
        let console_due = if busy { now + BUSY } else { u64::MAX };
        self.console_due = console_due.min(self.watch_memory(now));
    }

    /// Lets `write` write the next row of the answer to a command, if it is still to be written
    /// and there is room for it, see `mux/answer.rs`.
    #[inline(never)]
    pub(super) fn answer(
        &mut self,
        write: &mut dyn FnMut(&mut dyn core::fmt::Write) -> core::fmt::Result,
    ) {
        let mut console = self.monitor.console.lock();
        send(&mut console);
        if let Some(mut terminal) = console.answer() {
            // A terminal takes everything.
            let _ = write(&mut terminal);
        }
    }
}
