//! The virtual trap architecture: what an exception does to the guest's registers.

use super::defect::{seeded, Defect};
use super::trap::Trap;
use super::vcpu::Vcpu;
use super::vtlb::{EHINV, VPN2_MASK};
use disco_arch::cp0::{Cause, Status};
use disco_arch::point::pass;
use disco_magic::point;

/// Codes of Cause.ExcCode.
pub mod code {
    /// Interrupt.
    pub const INT: u8 = 0;
    /// Store to a page that is not writable.
    pub const MOD: u8 = 1;
    /// TLB miss or invalid entry, load or fetch.
    pub const TLBL: u8 = 2;
    /// TLB miss or invalid entry, store.
    pub const TLBS: u8 = 3;
    /// Address error, load or fetch.
    pub const ADEL: u8 = 4;
    /// Address error, store.
    pub const ADES: u8 = 5;
    /// Bus error, fetch.
    pub const IBE: u8 = 6;
    /// Bus error, load or store.
    pub const DBE: u8 = 7;
    /// System call.
    pub const SYS: u8 = 8;
    /// Breakpoint.
    pub const BP: u8 = 9;
    /// Reserved instruction.
    pub const RI: u8 = 10;
    /// Coprocessor unusable.
    pub const CPU: u8 = 11;
    /// Read inhibited.
    pub const TLBRI: u8 = 19;
    /// Execution inhibited.
    pub const TLBXI: u8 = 20;
    /// MSA disabled.
    pub const MSADIS: u8 = 21;
}

/// An exception for the guest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Exception {
    /// [`code`].
    pub code: u8,
    /// Cause.CE.
    pub coprocessor: u8,
    /// Goes to the refill vector, unless EXL is set.
    pub refill: bool,
    /// BadVAddr, for address errors and exceptions of the TLB.
    pub address: Option<u64>,
}

impl Exception {
    /// One without further circumstances.
    pub const fn plain(code: u8) -> Self {
        Self {
            code,
            coprocessor: 0,
            refill: false,
            address: None,
        }
    }

    /// One with a bad address.
    pub const fn at(code: u8, address: u64) -> Self {
        Self {
            address: Some(address),
            ..Self::plain(code)
        }
    }

    const fn is_of_tlb(&self) -> bool {
        matches!(
            self.code,
            code::MOD | code::TLBL | code::TLBS | code::TLBRI | code::TLBXI
        )
    }
}

/// The guest's exception vector raises an exception by its mere address: it would do so for ever.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoVector {
    /// The vector's address.
    pub vector: u64,
    /// The exception that went there.
    pub code: u8,
}

impl Vcpu<'_> {
    /// Raises `exception` in the guest at the trap that the real CPU took.
    pub fn raise(&mut self, exception: Exception, trap: &Trap) -> Result<(), NoVector> {
        let status = self.special.status();
        let nested = status & Status::EXL.bits() != 0;
        let fetch = matches!(
            exception.code,
            code::TLBL | code::ADEL | code::IBE | code::TLBXI
        ) && trap.is_fetch(trap.bad_vaddr);
        if nested && fetch && trap.bad_vaddr == trap.epc && self.is_vector(trap.epc) {
            return Err(NoVector {
                vector: trap.epc,
                code: exception.code,
            });
        }
        // A word that could not be fetched is not there to show; a nested exception shows none, and
        // the real CPU none for a bus error.
        if !nested && !fetch && exception.code != code::DBE {
            self.special.set_bad_instr(trap.bad_instr);
            if trap.in_delay_slot() && !seeded(Defect::BadInstrP) {
                self.special.set_bad_instr_p(trap.bad_instr_p);
            }
        }
        if let Some(address) = exception.address {
            self.set_bad_vaddr(address);
            if exception.is_of_tlb() || !trap.is_misaligned(address) {
                self.set_fault_page(address);
            }
        }
        self.enter_vector(exception, trap.epc, trap.in_delay_slot());
        self.counters.exceptions_reflected += 1;
        pass::<{ point::REFLECT }>();
        Ok(())
    }

    /// Interrupts the guest before the instruction at its `pc`, if it lets any through.
    pub fn deliver_interrupt(&mut self) {
        let status = Status::from_bits_retain(self.special.status());
        let waiting = self.has_interrupt();
        let open = status.contains(Status::IE) && !status.intersects(Status::EXL | Status::ERL);
        if waiting && open {
            pass::<{ point::DELIVER }>();
            self.enter_vector(Exception::plain(code::INT), self.context.pc, false);
            self.special.set_pending(0);
            self.counters.interrupts += 1;
        } else {
            self.special.set_pending(u64::from(waiting));
        }
    }

    /// Raises the address error of an odd `pc` here. The real CPU must not see such an address:
    /// `eret` takes bit 0 for an instruction set that there is not, and QEMU ends on it.
    pub fn refuse_odd_pc(&mut self) {
        let pc = self.context.pc;
        if pc & 1 != 0 {
            self.special.set_bad_vaddr(pc);
            self.enter_vector(Exception::at(code::ADEL, pc), pc, false);
            self.counters.exceptions_reflected += 1;
        }
    }

    pub(super) fn set_bad_vaddr(&self, address: u64) {
        let lost = if seeded(Defect::BadVaddr) { 7 } else { 0 };
        self.special.set_bad_vaddr(address & !lost);
    }

    /// Context, XContext and EntryHi for a fault at `address`.
    pub(super) fn set_fault_page(&mut self, address: u64) {
        const CONTEXT_BAD_VPN2: u64 = 0x007f_fff0;
        let special = self.special;
        let address = if seeded(Defect::Context) {
            address & !(1 << 14)
        } else {
            address
        };
        special.set_context(special.context() & !0x7f_ffff | address >> 9 & CONTEXT_BAD_VPN2);
        // 48-bit addresses: BadVPN2 of 35 bits from bit 4, R of 2 bits above it.
        const VPN2: u64 = ((1 << 35) - 1) << 4;
        let xcontext = address >> 9 & VPN2 | (address >> 62) << 39;
        special.set_xcontext(special.xcontext() & !((1 << 41) - 1) | xcontext);
        let asid = self.asid();
        let kept = special.entry_hi() & EHINV | asid;
        special.set_entry_hi(address & VPN2_MASK | kept);
    }

    fn enter_vector(&mut self, exception: Exception, epc: u64, in_delay_slot: bool) {
        let special = self.special;
        let status = Status::from_bits_retain(special.status());
        let nested = status.contains(Status::EXL) && !seeded(Defect::NestedExl);
        if exception.code == code::CPU {
            // It stays until the next of its kind.
            let coprocessor = u32::from(exception.coprocessor) << 28;
            self.change_cause(Cause::CE.bits(), coprocessor);
        }
        let mut cause = self.cause_base() | u32::from(exception.code) << 2;
        if nested {
            cause |= special.cause() & Cause::BD.bits();
        } else {
            special.set_epc(epc);
            if in_delay_slot && !seeded(Defect::CauseBd) {
                cause |= Cause::BD.bits();
            }
        }
        special.set_cause(cause);
        let vectored = self.cause_base() & Cause::IV.bits() != 0;
        let offset = match exception.code {
            _ if exception.refill && (!nested || seeded(Defect::NestedRefill)) => {
                let wide = match exception.address.unwrap_or(0) >> 62 {
                    0 => Status::UX,
                    3 => Status::KX,
                    _ => Status::empty(),
                };
                if status.contains(wide) {
                    0x080
                } else {
                    0x000
                }
            }
            code::INT if vectored => 0x200,
            _ => 0x180,
        };
        special.set_status((status | Status::EXL).bits());
        self.context.pc = self
            .vector_base(status.contains(Status::BEV))
            .wrapping_add(offset);
    }

    /// Whether `address` is where this guest's exceptions go.
    fn is_vector(&self, address: u64) -> bool {
        let bev = self.special.status() & Status::BEV.bits() != 0;
        matches!(
            address.wrapping_sub(self.vector_base(bev)),
            0 | 0x80 | 0x180 | 0x200
        )
    }
}
