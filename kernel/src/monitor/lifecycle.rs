//! Virtual machines start and end.

use super::resident::StartError;
use super::slot::{Message, VmSlot, VmState};
use super::Monitor;
use crate::events::Event;
use crate::machine::NodeId;
use crate::schedule::{CpuId, VcpuId};
use core::fmt::Write;
use core::ptr;
use core::sync::atomic::Ordering;
use disco_arch::board::interrupts;

impl Monitor {
    /// Starts every virtual machine that the description says is started at boot, on CPU 0. `now`
    /// tells ticks.
    pub fn start_all(&'static self, mut now: impl FnMut() -> u64) {
        let machine = self.description.machine;
        let event = Event::Boot {
            cpus: machine.cpus.get().into(),
            nodes: machine.nodes.get().into(),
            memory: machine.memory.get(),
        };
        self.event(event, now(), None);
        for slot in self
            .slots
            .iter()
            .filter(|slot| slot.described.autostart.get() != 0)
        {
            if let Err(error) = self.start(slot, now()) {
                self.console
                    .lock()
                    .notice(format_args!("{}: {error}", slot.name));
            }
        }
    }

    /// Starts a virtual machine that does not run; `now` in ticks.
    ///
    /// # Errors
    /// It cannot be built; the slot says so too. One that runs already is left alone.
    pub fn start(&'static self, slot: &'static VmSlot, now: u64) -> Result<(), StartError> {
        let node = self.scheduler.least_loaded_node().unwrap_or(NodeId(0));
        let mut state = slot.state.lock();
        if matches!(*state, VmState::Running) {
            return Ok(());
        }
        let resident = match self.build(slot, node, now) {
            Ok(resident) => resident,
            Err(error) => {
                let mut message = Message::EMPTY;
                let _ = write!(message, "{error}");
                *state = VmState::Stopped {
                    reason: "not started",
                    message,
                };
                let event = Event::VmStopped {
                    reason: "not started",
                    message: message.bytes(),
                };
                self.event(event, now, Some(slot));
                return Err(error);
            }
        };
        slot.set_resident(resident);
        slot.starts.fetch_add(1, Ordering::Relaxed);
        *state = VmState::Running;
        self.event(Event::VmStarted, now, Some(slot));
        let cpu = self.scheduler.place(node).unwrap_or(CpuId(0));
        if self.scheduler.start(slot.vcpu(), cpu) {
            interrupts::send_ipi(usize::from(cpu.0));
        }
        Ok(())
    }

    /// Asks for a running virtual machine to be ended; whether it runs.
    pub fn stop(&self, slot: &VmSlot) -> bool {
        match self.scheduler.stop(slot.vcpu()) {
            Some(cpu) => {
                interrupts::send_ipi(usize::from(cpu.0));
                true
            }
            None => false,
        }
    }

    /// Clears away a virtual machine whose virtual CPU is off, on the CPU that was its home.
    pub fn finish(&'static self, vcpu: VcpuId, now: u64) {
        let Some(slot) = self.slots.get(usize::from(vcpu.0)) else {
            return;
        };
        let mut state = slot.state.lock();
        let resident = slot.resident();
        if resident.is_null() {
            return;
        }
        // SAFETY: the scheduler has switched it off here, and `state` keeps readers away.
        let (ending, restart) = unsafe { ((*resident).ending, (*resident).restart) };
        let (reason, message) = ending.unwrap_or(("stopped", Message::EMPTY));
        slot.set_resident(ptr::null_mut());
        self.machine.reclaim(slot.id);
        *state = VmState::Stopped { reason, message };
        drop(state);
        let number = usize::from(slot.id.0);
        let event = Event::VmStopped {
            reason,
            message: message.bytes(),
        };
        self.event(event, now, Some(slot));
        let mut console = self.console.lock();
        if restart {
            console.guest_restarts(number);
        } else {
            console.guest_ended(number);
        }
        if message.bytes().is_empty() {
            console.notice(format_args!("{} has ended: {reason}", slot.name));
        } else {
            let text = crate::console::report::Harmless(message.bytes());
            console.notice(format_args!("{} has ended: {reason}: {text}", slot.name));
        }
        drop(console);
        if restart {
            if let Err(error) = self.start(slot, now) {
                self.console
                    .lock()
                    .notice(format_args!("{}: {error}", slot.name));
            }
        }
        self.console_changed();
    }
}
