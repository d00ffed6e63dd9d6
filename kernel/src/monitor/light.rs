//! The light way: misses, and monitor calls about the TLB, of which the usual way's saving of all registers and its look at
//! what else is due would be most of the work.
//!
//! To everybody else the CPU is in its guest meanwhile, as it is while the vectors serve a miss: whoever wants a
//! translation forgotten interrupts it and waits, and the interrupt is taken before the guest's next instruction.
//! Nothing on this way waits, takes a lock, or needs another virtual CPU.

use super::cpu::Cpu;
use crate::vm::exception::{code, Exception};
use crate::vm::mapping::Fault;
use crate::vm::plain::Plain;
use disco_arch::cp0;
use disco_arch::trap::{Entry, GuestContext, Light};

/// Address of the light way's function, of this node's copy.
pub(super) fn address() -> u64 {
    serve as *const () as u64
}

/// Where the vectors call it, for a virtual CPU that is loaded. Whether it is served; if not, nothing has changed that
/// the usual way would not do as well.
extern "C" fn serve(_context: *mut GuestContext, kind: u64) -> u64 {
    // SAFETY: the only reference on this CPU: traps do not nest.
    u64::from(unsafe { Cpu::here() }.serve_light(kind))
}

impl Cpu {
    fn serve_light(&mut self, kind: u64) -> bool {
        // SAFETY: only a loaded virtual CPU has a light way, and it is this CPU's.
        let resident = unsafe { &mut *self.loaded };
        let mut hardware = self.hardware();
        let (vcpu, pmap) = (&mut resident.vcpu, &resident.pmap);
        let pc = cp0::epc();
        if pc & 3 != 0 || vcpu.supervisor.is_some() {
            return false;
        }
        if kind == Light::Call as u64 {
            if !vcpu.light_call(cp0::bad_instr(), pmap, &mut hardware) {
                return false;
            }
            vcpu.context.pc = pc.wrapping_add(4);
            return true;
        }
        let address = cp0::bad_vaddr();
        let code = cp0::cause().exception_code() as u8;
        let is_refill = kind == Light::Refill as u64;
        let plain = if is_refill {
            vcpu.plain_refill(address, code == code::TLBS, pmap, &mut hardware)
        } else {
            vcpu.plain_fault(address, code, pmap, &mut hardware)
        };
        if plain == Plain::Served {
            vcpu.counters.traps += 1;
            return true;
        }
        let entry = if is_refill {
            Entry::Refill
        } else {
            Entry::General
        };
        let trap = hardware.trap(entry, vcpu.runs_user_mode());
        let fault = match (plain, entry) {
            (Plain::Raise(code), _) if vcpu.plain_raise(code, &trap) => Fault::Served,
            (Plain::Raise(code), _) => Fault::Raise(Exception::at(code, address)),
            (_, Entry::Refill) => vcpu.refill(address, &trap, pmap, &mut hardware),
            _ => vcpu.tlb_fault(address, &trap, pmap, &mut hardware),
        };
        match fault {
            Fault::Served => {
                vcpu.counters.traps += 1;
                true
            }
            Fault::Raise(exception) => {
                let raised = vcpu.raise(exception, &trap).is_ok();
                if raised {
                    vcpu.counters.traps += 1;
                    let changed = vcpu.prepare_resume();
                    debug_assert!(!changed, "a guest's supervisor mode has no light way");
                }
                raised
            }
            Fault::Unbacked(_) | Fault::Unshare(_) => false,
        }
    }
}
