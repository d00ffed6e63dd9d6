//! Virtual machines start and end.

use super::resident::StartError;
use super::slot::{Ending, Message, Running, VmSlot, VmState};
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
        self.report_partitions(now());
        self.recover_logs(now());
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
        self.start_at(slot, now, &mut || now)
    }

    /// The same; it begins to run at the tick that `begins` tells when it is built.
    fn start_at(
        &'static self,
        slot: &'static VmSlot,
        now: u64,
        begins: &mut dyn FnMut() -> u64,
    ) -> Result<(), StartError> {
        let node = self.scheduler.least_loaded_node().unwrap_or(NodeId(0));
        let mut state = slot.state.lock();
        if matches!(*state, VmState::Running(_)) {
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
        slot.set_resident(ptr::from_ref(resident).cast_mut());
        slot.starts.fetch_add(1, Ordering::Relaxed);
        *state = VmState::Running(Running {
            on: 1,
            ending: None,
        });
        self.subnet.lock().open(slot.id);
        self.event(Event::VmStarted, now, Some(slot));
        for vcpu in slot.vcpus() {
            self.scheduler.forget_run(vcpu);
        }
        self.start_vcpu(slot, 0, node, begins());
        Ok(())
    }

    /// Starts virtual CPU `number` of `slot`, which has been reset, on a CPU of `node` or nearby,
    /// to run from tick `begins` on; whether it was off. Under the slot's state.
    pub(super) fn start_vcpu(&self, slot: &VmSlot, number: u16, node: NodeId, begins: u64) -> bool {
        let vcpu = slot.vcpu(number);
        let cpu = self.scheduler.place(vcpu, node).unwrap_or(CpuId(0));
        let started = self.scheduler.start(vcpu, cpu, begins);
        if started {
            interrupts::send_ipi(usize::from(cpu.0));
        }
        started
    }

    /// Asks for a running virtual machine to be ended; whether it runs. Of several reasons the
    /// first counts.
    pub fn stop(&self, slot: &VmSlot, ending: Ending) -> bool {
        let mut state = slot.state.lock();
        let VmState::Running(running) = &mut *state else {
            return false;
        };
        running.ending.get_or_insert(ending);
        for vcpu in slot.vcpus() {
            if let Some(cpu) = self.scheduler.stop(vcpu) {
                interrupts::send_ipi(usize::from(cpu.0));
            }
        }
        true
    }

    /// Virtual CPU `vcpu` is off, says the CPU that was its home. The last one of a virtual
    /// machine that ends clears it away, and builds it anew if it restarts.
    ///
    /// `others` want that CPU, too, and `clock` tells ticks: what is done here takes the CPU's
    /// time from them. So one that restarts begins only when each of them may have run for as
    /// long; or a reboot in a loop would get more than its share.
    pub fn finish(&'static self, vcpu: VcpuId, others: u64, clock: &mut dyn FnMut() -> u64) {
        let now = clock();
        let Some((slot, _)) = self.slot_of(vcpu) else {
            return;
        };
        let mut state = slot.state.lock();
        let VmState::Running(Running {
            ending: Some(ending),
            ..
        }) = *state
        else {
            return;
        };
        if slot.vcpus().any(|vcpu| self.scheduler.home(vcpu).is_some()) {
            return;
        }
        let Ending {
            reason,
            message,
            restart,
        } = ending;
        // SAFETY: it stays where it is until its pages are freed here.
        let resident = unsafe { slot.resident().as_ref() };
        slot.set_resident(ptr::null_mut());
        self.disconnect(slot.id);
        if let Some(vm) = resident {
            self.clear_away(vm);
        }
        self.disk_vm_ended(slot);
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
            let mut begins = || {
                let end = clock();
                end + (end - now) * others
            };
            if let Err(error) = self.start_at(slot, now, &mut begins) {
                self.console
                    .lock()
                    .notice(format_args!("{}: {error}", slot.name));
            }
        }
        self.console_changed();
    }
}
