//! The coherent-processing system: exists with 2 CPUs and more, and starts them.

use super::gic;
use super::registers::Registers;

/// Physical address of the coherence manager's registers.
const GCR: u64 = 0x1fbf_8000;
/// Base of the interrupt controller.
const GCR_GIC_BASE: u64 = 0x80;
/// Base of the cluster power controller.
const GCR_CPC_BASE: u64 = 0x88;
/// Either base: enable.
const ENABLE: u64 = 1;
/// Physical address at which the cluster power controller is put.
const CPC: u64 = 0x1bde_0000;
/// Configuration of the core: its number of virtual processors less 1, in 10 bits.
const GCR_CORE_CONFIG: u64 = 0x2010;
/// Virtual processors to start, one bit each.
const CPC_VP_RUN: u64 = 0x2028;

fn gcr() -> Registers {
    // SAFETY: on a machine of 2 CPUs and more the coherence manager answers here.
    unsafe { Registers::at(GCR) }
}

/// CPUs of the machine. Where there is no coherence manager, nothing drives the bus at this
/// address, and the answer is 1.
pub fn cpu_count() -> usize {
    (gcr().read64(GCR_CORE_CONFIG) as usize & 0x3ff) + 1
}

/// Maps the interrupt controller and the power controller. Only with 2 CPUs and more.
pub fn init() {
    gcr().write64(GCR_CPC_BASE, CPC | ENABLE);
    gcr().write64(GCR_GIC_BASE, gic::BASE | ENABLE);
}

/// Starts CPU `cpu`, 1 to 15. It begins at the reset vector, as CPU 0 did.
pub fn start(cpu: usize) {
    // SAFETY: `init` has mapped the power controller here.
    let cpc = unsafe { Registers::at(CPC) };
    cpc.write64(CPC_VP_RUN, 1 << cpu);
}
