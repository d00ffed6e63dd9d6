//! A CPU before its first guest, and where its vectors call.

use super::super::real;
use super::super::sample::Sampler;
use super::super::Monitor;
use super::{entry_of, Cpu};
use crate::clock::{count_hz, Clock};
use crate::schedule::{CpuId, RunQueue, Times, VcpuSet};
use core::ptr;
use core::sync::atomic::Ordering;
use disco_arch::board::XKPHYS_CACHED;
use disco_arch::cp0::{self, Cause, Status};
use disco_arch::cpu;
use disco_arch::trap::{self, GuestContext};

/// Lines that interrupt the monitor.
const LINES: u32 = Cause::IP2.bits() | Cause::IP3.bits() | Cause::IP7.bits();

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
    pub(in crate::monitor) unsafe fn init(
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
                hidden_until: 0,
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
}

/// Where the vectors call the monitor.
extern "C" fn handle(_context: *mut GuestContext, entry: u64) -> *mut GuestContext {
    // SAFETY: the only reference on this CPU: traps do not nest.
    unsafe { Cpu::here() }.trap(entry_of(entry))
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
