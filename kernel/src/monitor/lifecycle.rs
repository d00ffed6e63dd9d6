//! Virtual machines start and end.

use super::device::want_attention;
use super::resident::StartError;
use super::slot::{Ending, Message, Running, VmSlot, VmState};
use super::Monitor;
use crate::events::Event;
use crate::machine::NodeId;
use crate::schedule::{CpuId, VcpuId};
use core::fmt::Write;
use core::ptr;
use core::sync::atomic::Ordering;
use disco_abi::PAGE_SIZE;
use disco_arch::board::interrupts;

impl Monitor {
    /// Starts every virtual machine that the description says is started at boot, on CPU 0. `now`
    /// tells ticks.
    #[cold]
    #[inline(never)]
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
                self.notice_not_started(slot, &error);
            }
        }
    }

    /// Starts a virtual machine that does not run; `now` in ticks. One whose guest lies on the real disk
    /// starts when that has been read.
    ///
    /// # Errors
    /// It cannot be built; the slot says so too. One that runs already is left alone.
    #[cold]
    #[inline(never)]
    pub fn start(&'static self, slot: &'static VmSlot, now: u64) -> Result<(), StartError> {
        let mut state = slot.state.lock();
        self.start_at(slot, &mut state, (now, 0), &mut || now)
    }

    /// The same under its state; it begins to run at the tick that `begins` tells when it is built. For `others` see
    /// [`Monitor::finish`].
    fn start_at(
        &'static self,
        slot: &'static VmSlot,
        state: &mut VmState,
        (now, others): (u64, u64),
        begins: &mut dyn FnMut() -> u64,
    ) -> Result<(), StartError> {
        if state.is_on() {
            return Ok(());
        }
        let started = match self.fetch(slot) {
            Ok(true) => {
                *state = VmState::Loading {
                    others,
                    ending: None,
                };
                return Ok(());
            }
            Ok(false) => self.launch(slot, state, now, begins),
            Err(error) => Err(error),
        };
        started.inspect_err(|error| self.not_started(slot, state, error, now))
    }

    /// Why a virtual machine does not start, which is left in its slot, and told.
    pub(super) fn not_started(
        &self,
        slot: &VmSlot,
        state: &mut VmState,
        error: &StartError,
        now: u64,
    ) {
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
    }

    /// The same for people, where no command waits for an answer.
    pub(super) fn notice_not_started(&self, slot: &VmSlot, error: &StartError) {
        let mut console = self.console.lock();
        console.notice(format_args!("{}: {error}", slot.name));
        drop(console);
        self.console_changed();
    }

    /// Starts a virtual machine whose guest is in memory, under its slot's state; it begins to run at the tick
    /// that `begins` tells when it is built.
    ///
    /// # Errors
    /// It cannot be built.
    pub(super) fn launch(
        &'static self,
        slot: &'static VmSlot,
        state: &mut VmState,
        now: u64,
        begins: &mut dyn FnMut() -> u64,
    ) -> Result<(), StartError> {
        let node = self.scheduler.least_loaded_node().unwrap_or(NodeId(0));
        self.make_room(slot, node);
        let resident = self.build(slot, node, now)?;
        // Its guest was read from there, and is where it belongs now.
        self.disk_vm_ended(slot);
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

    /// Takes pages from the disk cache that a virtual machine needs to start, as far as there are any.
    fn make_room(&'static self, slot: &VmSlot, node: NodeId) {
        /// What its tables take, and with `overcommit` the start of its guest.
        const BESIDE: u64 = 256;
        const AT_ONCE: u64 = 512;
        let memory = slot.described.memory.get() / PAGE_SIZE;
        let wanted = BESIDE + if self.overcommit { 0 } else { memory };
        loop {
            let missing = wanted.saturating_sub(self.machine.spare());
            if missing == 0 || !self.shrink_cache(node, missing.min(AT_ONCE) as usize) {
                return;
            }
        }
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
    /// first counts, but one after which it stays off rather than one after which it starts again.
    pub fn stop(&self, slot: &VmSlot, ending: Ending) -> bool {
        let mut state = slot.state.lock();
        let running = match &mut *state {
            VmState::Running(running) => running,
            VmState::Loading {
                ending: already, ..
            } => {
                replace(already, ending);
                want_attention();
                return true;
            }
            _ => return false,
        };
        replace(&mut running.ending, ending);
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
    #[cold]
    #[inline(never)]
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
        // SAFETY: it stays where it is until its pages are freed here.
        let resident = unsafe { slot.resident().as_ref() };
        slot.set_resident(ptr::null_mut());
        self.disconnect(slot.id);
        if let Some(vm) = resident {
            self.clear_away(vm);
        }
        self.disk_vm_ended(slot);
        // In one go, so that nobody finds it off who wants it to stay so.
        self.has_ended(slot, &mut state, &ending, now);
        if ending.restart {
            let mut begins = || {
                let end = clock();
                end + (end - now) * others
            };
            if let Err(error) = self.start_at(slot, &mut state, (now, others), &mut begins) {
                self.notice_not_started(slot, &error);
            }
        }
    }

    /// Notes and tells why a virtual machine has ended.
    pub(super) fn has_ended(&self, slot: &VmSlot, state: &mut VmState, ending: &Ending, now: u64) {
        let Ending {
            reason,
            message,
            restart,
        } = *ending;
        *state = VmState::Stopped { reason, message };
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
        self.console_changed();
    }
}

/// See [`Monitor::stop`].
fn replace(ending: &mut Option<Ending>, by: Ending) {
    if ending.is_none_or(|ending| ending.restart && !by.restart) {
        *ending = Some(by);
    }
}
