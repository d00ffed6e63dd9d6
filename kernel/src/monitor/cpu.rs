//! One CPU of the machine: from a guest's trap to the next guest's entry.
//!
//! The monitor runs with interrupts off; they are taken while a guest runs, or end the idle
//! loop's `wait`. Everything in [`Cpu`] is this CPU's own, in its node's memory; what others may
//! read of it is in [`CpuShared`].

use super::calls::Done;
use super::device;
use super::light;
use super::real::{self, RealCpu};
use super::resident::Resident;
use super::sample::Sampler;
use super::shake;
use super::slot::{Ending, Message, VmSlot};
use super::Monitor;
use crate::clock::{self, count_hz, Clock, LOOK_AT_CLOCK};
use crate::machine::NodeId;
use crate::numa::NumaCounters;
use crate::schedule::{self, CpuId, RunQueue, Times, VcpuId, VcpuSet};
use crate::vm::exception::NoVector;
use crate::vm::hardware::Hardware;
use crate::vm::trap::Outcome;
use core::fmt::Write;
use core::ptr;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use disco_abi::{LINE_CONSOLE, LINE_DISK, LINE_IPI, LINE_NET};
use disco_arch::board::{interrupts, XKPHYS_CACHED};
use disco_arch::cp0::{self, Cause, Status};
use disco_arch::cpu;
use disco_arch::point::pass;
use disco_arch::trap::{self, Entry, GuestContext};
use disco_magic::{marker, point};

/// Room that a [`Cpu`] needs, in bytes; the firmware sets as much aside.
pub const BLOCK_LEN: u64 = 16 << 10;
const _: () = assert!(core::mem::size_of::<Cpu>() as u64 <= BLOCK_LEN);
// `fpu::load` finds the context through KScratch4.
const _: () = assert!(core::mem::offset_of!(Cpu, idle) == 0);
/// No virtual CPU, in [`CpuShared::running`].
pub const NOBODY: u32 = u32::MAX;
/// Lines that interrupt the monitor.
const LINES: u32 = Cause::IP2.bits() | Cause::IP3.bits() | Cause::IP7.bits();
/// A timer is not set nearer than this, in ticks, so that it is not missed.
const SOONEST: u64 = 32;
/// Posted bits: console input waits, or does no more; messages of siblings wait.
pub const POSTED_INPUT: u64 = 1 << LINE_CONSOLE;
/// See [`POSTED_INPUT`].
pub const POSTED_IPI: u64 = 1 << LINE_IPI;
/// Posted bit: messages of the subnet wait, or do no more.
pub const POSTED_NET: u64 = 1 << LINE_NET;
/// Posted bit: commands of disks have ended, or were all taken.
pub const POSTED_DISK: u64 = 1 << LINE_DISK;

/// What a CPU lets the others read, and where they ask it for things.
#[derive(Debug)]
#[repr(align(64))]
pub struct CpuShared {
    /// Its node.
    pub node: NodeId,
    /// Machine address of the code it runs, from its program counter.
    pub code: AtomicU64,
    /// The virtual CPU it runs, or [`NOBODY`].
    pub running: AtomicU32,
    /// Ticks without anything to run, up to when that last ended.
    pub idle: AtomicU64,
    /// Since when there is nothing to run, in ticks; 0 while there is.
    pub idle_since: AtomicU64,
    /// Switches between virtual CPUs.
    pub switches: AtomicU64,
    /// Interrupts by line: the board's, other CPUs', the timer's.
    pub interrupts: [AtomicU64; 3],
    /// An audit that was asked for and not done, see `check.rs`.
    pub audit: super::check::AuditBox,
    /// What it has counted of misses and moves.
    pub numa: NumaCounters,
}

impl CpuShared {
    /// Of a CPU of `node` that has not started.
    pub const fn new(node: NodeId) -> Self {
        Self {
            node,
            code: AtomicU64::new(0),
            running: AtomicU32::new(NOBODY),
            idle: AtomicU64::new(0),
            idle_since: AtomicU64::new(0),
            switches: AtomicU64::new(0),
            interrupts: [const { AtomicU64::new(0) }; 3],
            audit: super::check::AuditBox::new(),
            numa: NumaCounters::new(),
        }
    }
}

/// Posted bit: pages were freed. No interrupt line.
pub const POSTED_MEMORY: u64 = 1 << 32;

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
    /// When the console wants service, on CPU 0.
    pub(super) console_due: u64,
    /// Virtual CPUs that a turn has switched off.
    ended: VcpuSet,
    /// For `numa shake`: the last random number.
    pub(super) random: u64,
}

/// Where a CPU's own copy of the code is, for code that exists once.
#[derive(Clone, Copy, Debug)]
pub struct NodeCode {
    /// The exception vectors.
    pub vectors: u64,
    /// The code that asked.
    pub here: u64,
    handler: u64,
    fault_handler: u64,
}

impl NodeCode {
    /// That of who asks, in code that is replicated.
    #[inline(always)]
    pub fn own() -> Self {
        Self {
            vectors: trap::vectors_address(),
            here: cpu::program_counter(),
            handler: handle as *const () as u64,
            fault_handler: monitor_fault as *const () as u64,
        }
    }
}

impl Cpu {
    /// Prepares `place` for CPU `number`, which runs this and will run `code`.
    ///
    /// # Safety
    /// `place` is this CPU's alone; `stack` is the end of the stack that its traps use.
    #[link_section = ".text.once"]
    #[inline(never)]
    pub(super) unsafe fn init(
        place: *mut Self,
        monitor: &'static Monitor,
        (number, stack): (usize, u64),
        code: &NodeCode,
    ) {
        let Some(shared) = monitor.cpus.get(number).copied().flatten() else {
            panic!("CPU {number} is not prepared");
        };
        let monitor_status = Status::KX | Status::SX | Status::UX;
        let fixed = Status::from_bits_retain(real::fixed_status());
        let lines = Status::from_bits_retain(LINES);
        let mut idle = GuestContext::new();
        idle.stack = stack;
        idle.handler = code.handler;
        idle.fault_handler = code.fault_handler;
        idle.monitor_status = u64::from((monitor_status | fixed | lines).bits());
        idle.base_status = idle.monitor_status | u64::from((Status::IE | Status::EXL).bits());
        // SAFETY: the caller's promise.
        unsafe {
            place.write(Self {
                idle,
                monitor,
                shared,
                id: CpuId(number as u8),
                queue: RunQueue::new(CpuId(number as u8), Times::at(count_hz())),
                loaded: ptr::null_mut(),
                clock: Clock::default(),
                until: 0,
                due: 0,
                debt_due: u64::MAX,
                sampler: Sampler::new(&monitor.numa, count_hz()),
                timer: 0,
                console_due: if number == 0 { 0 } else { u64::MAX },
                ended: VcpuSet::EMPTY,
                random: number as u64 + 1,
            });
            cp0::set_kscratch4(place as u64);
            trap::set_context(&raw mut (*place).idle);
            cpu::leave_boot_vectors();
            cp0::set_status(monitor_status | fixed | lines);
        }
        let code = code.here & !XKPHYS_CACHED;
        shared.code.store(code, Ordering::Relaxed);
    }

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

    /// Serves the real CPU's interrupts; whether a turn is due.
    pub(super) fn interrupts(&mut self) -> bool {
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
    fn serve_devices(&mut self) {
        pass::<{ point::DEVICES }>();
        let now = self.now();
        self.monitor.serve_devices(now);
        if self.monitor.loading.load(Ordering::Relaxed) != 0 {
            self.monitor.loads_go_on(&mut || self.now());
        }
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

    /// A virtual CPU has taken from what `line` tells of; `more` waits. The line is the first virtual
    /// CPU's.
    pub(super) fn line_taken(&self, resident: &mut Resident, line: u32, more: bool) {
        let first = resident.vm.slot.vcpu(0);
        if resident.id == first {
            resident.vcpu.set_line(line, more);
        } else if !more {
            self.monitor.post(first, 1 << line);
        }
    }

    /// Takes posted lines into the virtual CPU. What they stand for may have been taken already.
    pub(super) fn take_lines(&self, resident: &mut Resident, posted: u64) {
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

    /// Whether a turn is due for mail. On a machine of one CPU, mail that this CPU sent to itself
    /// comes without an interrupt.
    pub(super) fn has_mail(&self) -> bool {
        let mailbox = self.monitor.scheduler.mailbox(self.id);
        mailbox.is_some_and(|mail| mail.has_mail())
    }

    /// Waits for an interrupt with nothing to run.
    fn idle(&mut self) {
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
    pub(super) fn set_timer(&mut self, due: u64, now: u64) {
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
        interrupts::send_ipi(usize::from(cpu.0));
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

/// Where the vectors call the monitor.
extern "C" fn handle(_context: *mut GuestContext, entry: u64) -> *mut GuestContext {
    // SAFETY: the only reference on this CPU: traps do not nest.
    unsafe { Cpu::here() }.trap(entry_of(entry))
}

/// The vectors' number of a way into the monitor.
pub(super) const fn entry_of(number: u64) -> Entry {
    match number {
        0 => Entry::Refill,
        2 => Entry::Interrupt,
        _ => Entry::General,
    }
}

/// Where the vectors go for an exception of the monitor itself.
extern "C" fn monitor_fault(context: *mut GuestContext) -> ! {
    // SAFETY: the vectors pass the context they saved into.
    let gpr = unsafe { &(*context).gpr };
    panic!(
        "exception {} in the monitor at {:#x}, address {:#x}, $ra {:#x}, $sp {:#x}",
        cp0::cause().exception_code(),
        cp0::epc(),
        cp0::bad_vaddr(),
        gpr[31],
        gpr[29],
    );
}
