//! Starts every CPU in its node's copy of the monitor.

use crate::{fatal, image, log};
use core::ptr;
use core::sync::atomic::{AtomicU32, Ordering};
use disco_arch::board::count::{self, Reading};
use disco_arch::board::{cps, interrupts, XKPHYS_CACHED};
use disco_arch::cpu::{self, CpuStart};
use disco_arch::lock::Mutex;
use disco_flash::CPUS_MAX;
use disco_kernel::machine::layout::{MachineLayout, MAILBOX};
use disco_kernel::monitor::cpu::{Cpu, NodeCode};
use disco_kernel::monitor::{self, Handover};
use spin::Once;

/// TLB entries that `tlbwr` never replaces.
const WIRED: u32 = 1;
/// How long CPU 0 waits for another to start, in ticks of Count: 3 seconds.
const PATIENCE: u32 = 500_000_000;

static LAYOUT: Once<MachineLayout> = Once::new();
/// CPUs that have reached [`cpu_main`], one bit each.
static RUNNING: AtomicU32 = AtomicU32::new(0);
/// Two readings of CPU 0's Count, by which the others set theirs.
static COUNT: Mutex<Option<(Reading, Reading)>> = Mutex::new(None);

/// One CPU's entry of the mailbox, as the reset code reads it.
#[repr(C)]
struct Mail {
    code: u64,
    argument: u64,
}

/// Copies the code into every node and starts the CPUs one after the other, this one last.
#[link_section = ".init.text"]
#[inline(never)]
pub fn run(handover: &Handover) -> ! {
    let layout = LAYOUT.call_once(|| handover.layout);
    let earlier = (layout.cpus().len() > 1).then(Reading::take);
    monitor::prepare(handover);
    let mut starts = [CpuStart::default(); CPUS_MAX];
    for (number, node) in layout.nodes().iter().enumerate() {
        let distance = match number {
            0 => 0,
            // SAFETY: this is node 0's copy, and the layout has set the memory aside.
            _ => unsafe { image::copy_code(node.code) },
        };
        for cpu in node.cpus() {
            starts[cpu] = CpuStart {
                stack_top: XKPHYS_CACHED | layout.cpus()[cpu].stack.end.0,
                per_cpu: XKPHYS_CACHED | layout.cpus()[cpu].block.start.0,
                function: image::copied(cpu_main as *const () as u64, distance),
                argument: cpu as u64,
            };
        }
    }
    for (cpu, start) in starts.iter().enumerate().take(layout.cpus().len()).skip(1) {
        *COUNT.lock() = earlier.map(|earlier| (earlier, Reading::take()));
        start_cpu(cpu, start);
    }
    interrupts::bring_up_ends();
    // SAFETY: the stack is CPU 0's own, and `cpu_main` takes a CPU's number.
    unsafe { cpu::enter(&starts[0]) }
}

/// Starts CPU `cpu` and waits until it has taken `start`.
fn start_cpu(cpu: usize, start: &CpuStart) {
    let mailbox = (XKPHYS_CACHED | MAILBOX.0) as *mut Mail;
    let mail = Mail {
        code: cpu::enter_address(),
        argument: ptr::from_ref(start) as u64,
    };
    // SAFETY: the mailbox has an entry for every CPU, and nobody reads this one before the CPU
    // is started.
    unsafe { mailbox.add(cpu).write_volatile(mail) };
    core::sync::atomic::fence(Ordering::SeqCst);
    cps::start(cpu);
    let begin = disco_arch::cp0::count();
    while RUNNING.load(Ordering::Acquire) & 1 << cpu == 0 {
        if disco_arch::cp0::count().wrapping_sub(begin) > PATIENCE {
            fatal!("CPU {cpu} does not start. Has QEMU fewer CPUs (`-smp`) than the description?");
        }
        core::hint::spin_loop();
    }
}

/// Where a CPU begins in its node's code, on its own stack.
extern "C" fn cpu_main(cpu: usize) -> ! {
    let prepared = bring_up(cpu, &NodeCode::own());
    // SAFETY: it was prepared by this CPU just now.
    unsafe { monitor::run(prepared) }
}

/// Brings this CPU up, which will run `code`.
#[link_section = ".text.once"]
#[inline(never)]
fn bring_up(cpu: usize, code: &NodeCode) -> *mut Cpu {
    let Some(layout) = LAYOUT.get() else {
        fatal!("CPU {cpu} has started before the machine was laid out");
    };
    let place = layout.cpus()[cpu];
    let node = place.node;
    // SAFETY: the vectors of the node's copy. They are not used yet.
    unsafe { cpu::init(code.vectors, WIRED) };
    interrupts::init_cpu(cpu);
    if cpu != 0 {
        if let Some((earlier, later)) = *COUNT.lock() {
            count::follow(earlier, later);
        }
    }
    log!(
        "cpu {cpu}: node {node}, code at {:#018x}",
        code.here & !XKPHYS_CACHED
    );
    RUNNING.fetch_or(1 << cpu, Ordering::AcqRel);
    if cpu == 0 {
        let all = (1u32 << layout.cpus().len()) - 1;
        if RUNNING.load(Ordering::Acquire) != all {
            fatal!("not every CPU is running");
        }
    }
    monitor::prepare_cpu(cpu, place.block, place.stack, code)
}
