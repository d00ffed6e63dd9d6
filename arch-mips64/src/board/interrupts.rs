//! Who interrupts whom on which line of the CPU.

use super::{gic, i8259, pci};
use crate::cp0::Cause;
use core::sync::atomic::{AtomicBool, Ordering};

/// Line of COM1 and of PCI devices, what is behind the i8259, on CPU 0 only.
pub const BOARD_LINE: Cause = Cause::IP2;
/// Line of the interrupt controller behind [`BOARD_LINE`] on which every PCI device asks.
pub const PCI_LINE: u32 = i8259::PCI;
/// Line on which other CPUs call.
pub const IPI_LINE: Cause = Cause::IP3;
/// Line of Count and Compare.
pub const TIMER_LINE: Cause = Cause::IP7;

/// GIC pin of a Cause.IP bit: pin 0 is IP2.
const fn pin(line: Cause) -> u32 {
    line.bits().trailing_zeros() - Cause::IP2.bits().trailing_zeros()
}

static HAVE_GIC: AtomicBool = AtomicBool::new(false);

/// Sets the controllers up so that COM1 reaches CPU 0. Once, on CPU 0, before the others run;
/// with 2 CPUs and more, after [`super::cps::init`].
#[link_section = ".text.once"]
#[inline(never)]
pub fn init(cpus: usize) {
    i8259::init();
    i8259::unmask(i8259::COM1);
    if cpus > 1 {
        gic::route(gic::I8259, 0, pin(BOARD_LINE));
        HAVE_GIC.store(true, Ordering::Relaxed);
    }
}

/// Lets PCI devices interrupt on [`BOARD_LINE`], too. Once, on CPU 0.
pub fn open_pci() {
    pci::route_interrupts();
    i8259::unmask(i8259::PCI);
}

/// PCI devices interrupt no more. On CPU 0.
pub fn close_pci() {
    i8259::mask(i8259::PCI);
}

/// Who asks for service on [`BOARD_LINE`].
#[derive(Clone, Copy, Debug)]
pub struct BoardRequests {
    /// COM1.
    pub com1: bool,
    /// Some PCI device.
    pub pci: bool,
}

/// Who does now.
pub fn board_requests() -> BoardRequests {
    let requested = i8259::requested();
    let line = |line: u32| requested >> line & 1 != 0;
    BoardRequests {
        com1: line(i8259::COM1),
        pci: line(i8259::PCI),
    }
}

/// Every CPU has been started: the interrupt controller's counter stops.
#[link_section = ".text.once"]
#[inline(never)]
pub fn bring_up_ends() {
    if HAVE_GIC.load(Ordering::Relaxed) {
        gic::stop_counter();
    }
}

/// Lets CPU `cpu` be called. Each CPU for itself, before it enables interrupts.
pub fn init_cpu(cpu: usize) {
    if HAVE_GIC.load(Ordering::Relaxed) {
        gic::clear(ipi(cpu));
        gic::route(ipi(cpu), cpu, pin(IPI_LINE));
    }
}

fn ipi(cpu: usize) -> u32 {
    gic::IPI + cpu as u32
}

/// Raises [`IPI_LINE`] on CPU `cpu` until it calls [`clear_ipi`]. Everything stored before is
/// visible to it afterwards. On a machine of one CPU there is nobody to call, and nothing happens.
pub fn send_ipi(cpu: usize) {
    if HAVE_GIC.load(Ordering::Relaxed) {
        core::sync::atomic::fence(Ordering::SeqCst);
        gic::raise(ipi(cpu));
    }
}

/// Lowers [`IPI_LINE`] on CPU `cpu`, the one that runs this. Look for what was asked afterwards,
/// not before, or a request that comes between is lost.
pub fn clear_ipi(cpu: usize) {
    if HAVE_GIC.load(Ordering::Relaxed) {
        gic::clear(ipi(cpu));
        core::sync::atomic::fence(Ordering::SeqCst);
    }
}
