//! One CPU of the machine: from a guest's trap to the next guest's entry.
//!
//! The monitor runs with interrupts off; they are taken while a guest runs, or end the idle
//! loop's `wait`. Everything in [`Cpu`] is this CPU's own, in its node's memory; what others may
//! read of it is in [`CpuShared`].

mod interrupts;
mod shared;
mod start;

pub use interrupts::{POSTED_DISK, POSTED_INPUT, POSTED_IPI, POSTED_MEMORY, POSTED_NET};
pub use shared::{CpuShared, NOBODY};
pub use start::NodeCode;

use super::calls::Done;
use super::device;
use super::light;
use super::real::RealCpu;
use super::resident::Resident;
use super::sample::Sampler;
use super::shake;
use super::slot::{Ending, Message, VmSlot};
use super::Monitor;
use crate::clock::Clock;
use crate::schedule::{self, CpuId, RunQueue, VcpuId, VcpuSet};
use crate::vm::exception::NoVector;
use crate::vm::hardware::Hardware;
use crate::vm::trap::Outcome;
use core::fmt::Write;
use core::ptr;
use core::sync::atomic::Ordering;
use disco_arch::board::interrupts as board;
use disco_arch::cp0;
use disco_arch::point::pass;
use disco_arch::trap::{self, Entry, GuestContext};
use disco_magic::point;

/// Room that a [`Cpu`] needs, in bytes; the firmware sets as much aside.
pub const BLOCK_LEN: u64 = 16 << 10;
const _: () = assert!(core::mem::size_of::<Cpu>() as u64 <= BLOCK_LEN);
// `fpu::load` finds the context through KScratch4.
const _: () = assert!(core::mem::offset_of!(Cpu, idle) == 0);

/// A CPU's own state.
#[repr(C)]
pub struct Cpu {
    /// What the vectors save into while nothing runs; also holds what every context needs.
    idle: GuestContext,
    /// The monitor's shared part.
    pub monitor: &'static Monitor,
    /// What this CPU lets others read.
    pub shared: &'static CpuShared,
    /// Its number.
    pub id: CpuId,
    /// Its run queue.
    pub queue: RunQueue,
    /// The virtual CPU whose state is in the real one: TLB, FPU, UserLocal. Null if none.
    pub(super) loaded: *mut Resident,
    clock: Clock,
    /// When the next turn is due.
    pub(super) until: u64,
    /// When the next turn or sample is, or a look at what the loaded virtual CPU owes.
    due: u64,
    /// When that is looked at, if it pays for its remote misses.
    pub(super) debt_due: u64,
    /// What it has counted of its guests' misses.
    pub(super) sampler: Sampler,
    /// What Compare was set for.
    timer: u64,
    /// Until when what the TLB hides stays.
    hidden_until: u64,
    /// When the console wants service, on CPU 0.
    pub(super) console_due: u64,
    /// Virtual CPUs that a turn has switched off.
    ended: VcpuSet,
    /// For `numa shake`: the last random number.
    pub(super) random: u64,
}

impl Cpu {
    /// This CPU's own state.
    ///
    /// # Safety
    /// After [`Cpu::init`], and while no other reference to it is in use on this CPU.
    pub(super) unsafe fn here() -> &'static mut Self {
        // SAFETY: KScratch4 holds what `init` put there; the rest is the caller's promise.
        unsafe { &mut *(cp0::kscratch4() as *mut Self) }
    }

    /// Begins to run guests.
    ///
    /// # Safety
    /// As for [`Cpu::here`]; on the stack that traps use, whose contents are given up.
    pub unsafe fn enter_first(place: *mut Self) -> ! {
        // SAFETY: the caller's promise.
        let context = unsafe { (*place).next(true) };
        // SAFETY: `next` returns a context that is filled for this CPU.
        unsafe { trap::enter(context) }
    }

    /// Ticks since reset.
    #[inline(never)]
    pub fn now(&mut self) -> u64 {
        self.clock.now(cp0::count())
    }

    pub(super) fn hardware(&self) -> RealCpu {
        // SAFETY: interrupts are off in the monitor; callers drop the handle before they ask
        // for another.
        unsafe { RealCpu::here() }
    }

    /// Lets traps of a virtual CPU go where they go as a rule.
    pub(super) fn use_usual_handler(&self, context: &mut GuestContext) {
        context.handler = self.idle.handler;
        context.light = light::address();
    }

    /// A sample, a look at what is owed or the end of the turn is due at another time than before.
    pub(super) fn update_due(&mut self) {
        self.due = self.until.min(self.sampler.due()).min(self.debt_due);
    }

    /// A trap of the loaded virtual CPU.
    pub(super) fn trap(&mut self, entry: Entry) -> *mut GuestContext {
        // SAFETY: traps come from the loaded virtual CPU, which is this CPU's.
        let resident = unsafe { &mut *self.loaded };
        resident.shared.shootdown.leave();
        let now = self.clock.now(cp0::count());
        let mut hardware = self.hardware();
        let user = resident.vcpu.runs_user_mode();
        let trap = hardware.trap(entry, user);
        let outcome = resident
            .vcpu
            .handle_trap(&trap, now, &resident.pmap, &mut hardware);
        let turn = match outcome {
            Outcome::Resume if self.is_quiet(now) => {
                self.prepare(resident, now);
                return &raw mut resident.vcpu.context;
            }
            Outcome::Resume => false,
            Outcome::Interrupt => self.interrupts(),
            Outcome::Wait => self.wait(resident, now),
            Outcome::Call { call, arguments } => {
                let done = self.monitor_call(resident, call, arguments);
                if matches!(done, Done::Again) {
                    resident.vcpu.context.pc = trap.epc;
                }
                self.call_done(resident, done)
            }
            Outcome::Populate(page) => {
                // If there is none, that is noted.
                let _ = self.guest_memory(resident).populate(page);
                false
            }
            Outcome::Unshare(page) => {
                self.unshare(resident, page);
                false
            }
            Outcome::NoVector(no_vector) => self.end_for(resident.vm.slot, no_vector),
        };
        self.next(turn)
    }

    /// Whether at tick `now` nothing is due but to go on. The usual end of a trap.
    pub(super) fn is_quiet(&self, now: u64) -> bool {
        let called = || self.console_pending() || device::attention_wanted();
        now < self.due && now < self.console_due && !(self.id.0 == 0 && called())
    }

    fn call_done(&mut self, resident: &mut Resident, done: Done) -> bool {
        match done {
            Done::Value(value) => {
                resident.vcpu.set_gpr(2, value);
                // For a sibling that lives here.
                self.has_mail()
            }
            Done::Yield => {
                resident.vcpu.set_gpr(2, 0);
                let now = self.now();
                self.queue.yield_now(self.monitor.scheduler, now)
            }
            Done::Ends {
                reason,
                message,
                restart,
            } => self.end(resident.vm.slot, reason, message, restart),
            Done::Off => true,
            // `next` sees what it wants.
            Done::Again => false,
        }
    }

    /// The virtual CPU has executed `wait`; whether it gives the CPU up.
    fn wait(&mut self, resident: &mut Resident, now: u64) -> bool {
        let vcpu = &mut resident.vcpu;
        vcpu.update_lines(now);
        if vcpu.has_interrupt() {
            return false;
        }
        let deadline = vcpu.next_timer();
        self.queue.wait(self.monitor.scheduler, now, deadline)
    }

    /// Ends the virtual machine of `slot`, of which a virtual CPU runs here: in the turn that
    /// follows, which is due now.
    #[cold]
    #[inline(never)]
    fn end(&self, slot: &VmSlot, reason: &'static str, message: Message, restart: bool) -> bool {
        let ending = Ending {
            reason,
            message,
            restart,
        };
        self.monitor.stop(slot, ending)
    }

    /// The same for an exception that comes again at its own vector.
    #[cold]
    #[inline(never)]
    fn end_for(&self, slot: &VmSlot, no_vector: NoVector) -> bool {
        let mut message = Message::EMPTY;
        let NoVector { vector, code } = no_vector;
        let _ = write!(message, "exception {code} at its own vector {vector:#x}");
        self.end(slot, "fault", message, false)
    }

    /// Decides who goes on, and prepares it. `turn`: another one may have to run.
    pub(super) fn next(&mut self, mut turn: bool) -> *mut GuestContext {
        loop {
            let now = self.now();
            if self.id.0 == 0 {
                if self.console_told() {
                    self.console_due = now;
                }
                if device::attention_wanted() {
                    self.serve_devices();
                    turn = true;
                }
            }
            if now >= self.console_due {
                pass::<{ point::CONSOLE }>();
                self.serve_console(now);
                self.discount_since(now);
                turn = true;
            }
            if turn || now >= self.due || self.loaded.is_null() {
                let is_turn = turn || now >= self.until || self.loaded.is_null();
                match is_turn.then(|| self.turn()) {
                    None => {}
                    Some(Some(vcpu)) => self.load(vcpu),
                    Some(None) => {
                        self.idle();
                        turn = true;
                        continue;
                    }
                }
            }
            // SAFETY: `load` found it, and it stays until this CPU tears it down.
            let resident = unsafe { &mut *self.loaded };
            if resident.debt.is_on() && self.has_to_wait(resident) {
                turn = self.stall(resident);
                continue;
            }
            if now >= self.sampler.due() {
                if let Some(context) = self.sample_next() {
                    return context;
                }
            }
            if resident.wants.is_some() && !self.is_satisfied(resident) {
                self.pause(resident);
                turn = true;
                continue;
            }
            if turn && shake::is_on(now) {
                self.until = self.until.min(self.shake(resident));
            }
            let now = self.now();
            self.prepare(resident, now);
            return &raw mut resident.vcpu.context;
        }
    }

    /// Brings the loaded virtual CPU to the point of going on at tick `now`.
    pub(super) fn prepare(&mut self, resident: &mut Resident, now: u64) {
        if resident.shared.shootdown.enter() {
            pass::<{ point::SHOOTDOWN }>();
            self.shoot_down(resident);
        }
        match self.monitor.scheduler.take_posted(resident.id) {
            0 => {}
            posted => self.take_lines(resident, posted),
        }
        let vcpu = &mut resident.vcpu;
        vcpu.update_lines(now);
        vcpu.deliver_interrupt();
        vcpu.refuse_odd_pc();
        if vcpu.prepare_resume() {
            let supervisor = vcpu.supervisor.is_some();
            let mut hardware = self.hardware();
            hardware.tlb_flush();
            if supervisor {
                hardware.unmap_special_page();
            } else {
                hardware.map_special_page(resident.special_page);
            }
        }
        let vcpu = &mut resident.vcpu;
        let due = self.due.min(vcpu.next_timer()).min(self.console_due);
        if due != self.timer {
            self.set_timer(due, now);
        }
    }

    /// Takes scheduling turns until nothing has ended in one; who runs.
    fn turn(&mut self) -> Option<VcpuId> {
        pass::<{ point::TURN }>();
        loop {
            let now = self.now();
            let mut local = Local {
                monitor: self.monitor,
                loaded: &mut self.loaded,
                ended: &mut self.ended,
            };
            let turn = self.queue.turn(self.monitor.scheduler, now, &mut local);
            self.until = turn.until;
            self.update_due();
            self.shared
                .switches
                .store(self.queue.counters().switches, Ordering::Relaxed);
            let ended = core::mem::replace(&mut self.ended, VcpuSet::EMPTY);
            for vcpu in ended.iter() {
                let others = self.queue.contenders(self.monitor.scheduler, now);
                let monitor = self.monitor;
                monitor.finish(vcpu, others, &mut || self.now());
            }
            if !ended.is_empty() {
                self.discount_since(now);
            }
            self.answer_audit();
            if ended.is_empty() {
                return turn.run;
            }
        }
    }

    /// What this CPU did since tick `begin` was not for the virtual CPU that runs on it.
    fn discount_since(&mut self, begin: u64) {
        let ticks = self.now().saturating_sub(begin);
        self.queue.discount(ticks);
    }

    /// Puts `vcpu` into the real CPU, in the place of what was there.
    fn load(&mut self, vcpu: VcpuId) {
        let next = self.monitor.resident(vcpu);
        if next == self.loaded {
            return;
        }
        pass::<{ point::LOAD }>();
        unload(&mut self.loaded);
        self.shared
            .running
            .store(u32::from(vcpu.0), Ordering::Relaxed);
        // SAFETY: the scheduler gave this CPU the virtual CPU: nobody else uses it.
        let Some(resident) = (unsafe { next.as_mut() }) else {
            panic!(
                "virtual CPU {} runs, and its virtual machine does not",
                vcpu.0
            );
        };
        self.loaded = next;
        if resident.debt.is_on() {
            // What it has to pay is looked at before it goes on.
            self.debt_due = 0;
            self.update_due();
        }
        resident.look_from(self.shared.node);
        let mut hardware = self.hardware();
        if resident.vcpu.supervisor.is_none() {
            hardware.map_special_page(resident.special_page);
        }
        let context = &mut resident.vcpu.context;
        context.stack = self.idle.stack;
        self.use_usual_handler(context);
        context.fault_handler = self.idle.fault_handler;
        context.monitor_status = self.idle.monitor_status;
        context.base_status = self.idle.base_status;
        context.keep_link = 0;
        self.sampler.forget_watched();
        hardware.set_user_local(resident.vcpu.special.user_local());
        resident.vcpu.update_hwrena(&mut hardware);
    }
}

/// Takes what is in the real CPU out of it.
fn unload(loaded: &mut *mut Resident) {
    let previous = core::mem::replace(loaded, ptr::null_mut());
    if previous.is_null() {
        return;
    }
    // SAFETY: what is loaded is this CPU's, and interrupts are off.
    let (resident, mut hardware) = unsafe { (&mut *previous, RealCpu::here()) };
    resident.vcpu.release_fpu(&mut hardware);
    hardware.unmap_special_page();
    hardware.tlb_flush();
}

/// What a scheduling turn needs of its CPU.
struct Local<'a> {
    monitor: &'static Monitor,
    loaded: &'a mut *mut Resident,
    ended: &'a mut VcpuSet,
}

impl schedule::Local for Local<'_> {
    fn interrupt(&mut self, cpu: CpuId) {
        board::send_ipi(usize::from(cpu.0));
    }

    fn leave(&mut self, vcpu: VcpuId) {
        if self.monitor.resident(vcpu) == *self.loaded {
            unload(self.loaded);
        }
    }

    fn stopped(&mut self, vcpu: VcpuId) {
        self.ended.insert(vcpu);
    }
}

/// The vectors' number of a way into the monitor.
pub(super) const fn entry_of(number: u64) -> Entry {
    match number {
        0 => Entry::Refill,
        2 => Entry::Interrupt,
        _ => Entry::General,
    }
}
