//! A trap of the real CPU while a guest ran, and what becomes of it.

use super::defect::{seeded, Defect};
use super::exception::{code, Exception, NoVector};
use super::hardware::Hardware;
use super::mapping::Fault;
use super::pmap::Pmap;
use super::privileged::Effect;
use super::vcpu::Vcpu;
use crate::address::GuestPage;
use disco_abi::Call;
use disco_arch::cp0::{Cause, Status};
use disco_arch::instruction::Instruction;
use disco_arch::point::pass;
use disco_arch::trap::Entry;
use disco_magic::point;

/// Major opcode of branches on a floating-point register.
const COP1: u32 = 0x11;

/// The real CPU's registers at the trap.
#[derive(Clone, Copy, Debug)]
pub struct Trap {
    /// The vector.
    pub entry: Entry,
    /// Cause.
    pub cause: u32,
    /// EPC.
    pub epc: u64,
    /// BadVAddr.
    pub bad_vaddr: u64,
    /// BadInstr.
    pub bad_instr: u32,
    /// BadInstrP.
    pub bad_instr_p: u32,
    /// The guest ran in user or supervisor mode.
    pub user: bool,
}

impl Trap {
    /// Cause.ExcCode.
    pub const fn code(&self) -> u8 {
        (self.cause >> 2 & 31) as u8
    }
    /// Cause.BD.
    pub const fn in_delay_slot(&self) -> bool {
        self.cause & Cause::BD.bits() != 0
    }
    /// Whether the access to `address` was the fetch of the instruction itself.
    pub const fn is_fetch(&self, address: u64) -> bool {
        address == self.epc || self.in_delay_slot() && address == self.epc.wrapping_add(4)
    }
    /// Whether the access to `address` raised its address error before the TLB was asked: a fetch at
    /// an odd address, or `ll` and `sc` of a word that is not aligned.
    pub const fn is_misaligned(&self, address: u64) -> bool {
        if self.is_fetch(address) {
            return address & 3 != 0;
        }
        let width = match Instruction(self.bad_instr).linked() {
            Some(width) => width,
            None => 1,
        };
        address & (width - 1) != 0
    }
    /// TLBL or TLBS.
    pub const fn miss_code(&self) -> u8 {
        if self.is_store() {
            code::TLBS
        } else {
            code::TLBL
        }
    }
    /// AdEL or AdES.
    pub const fn address_error_code(&self) -> u8 {
        if self.is_store() {
            code::ADES
        } else {
            code::ADEL
        }
    }
    /// Whether the access that the exception is about was a store.
    pub const fn is_store(&self) -> bool {
        matches!(self.code(), code::TLBS | code::MOD | code::ADES)
    }
}

/// What the monitor does next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Run the guest on.
    Resume,
    /// The real CPU has an interrupt.
    Interrupt,
    /// The guest waits for an interrupt.
    Wait,
    /// A monitor call that concerns more than the virtual CPU.
    Call {
        /// Which.
        call: Call,
        /// `$a0` to `$a3`.
        arguments: [u64; 4],
    },
    /// A page of guest-physical memory needs a machine page; then the guest tries again.
    Populate(GuestPage),
    /// The guest stores to a page of guest-physical memory that others may use: it needs one of its
    /// own; then it tries again.
    Unshare(GuestPage),
    /// The guest has no exception vector.
    NoVector(NoVector),
}

impl Vcpu<'_> {
    /// Handles a trap. `now` is in ticks of the monitor's clock. Afterwards the context's `pc` is
    /// where the guest goes on.
    pub fn handle_trap(
        &mut self,
        trap: &Trap,
        now: u64,
        pmap: &Pmap,
        hardware: &mut impl Hardware,
    ) -> Outcome {
        self.counters.traps += 1;
        self.context.pc = trap.epc;
        self.context.keep_link = u64::from(!seeded(Defect::LinkBroken));
        if trap.entry == Entry::Interrupt {
            return Outcome::Interrupt;
        }
        match trap.code() {
            code::INT => Outcome::Interrupt,
            code::MOD | code::TLBL | code::TLBS => {
                let address = trap.bad_vaddr;
                let fault = match trap.entry {
                    Entry::Refill => self.refill(address, trap, pmap, hardware),
                    _ => self.tlb_fault(address, trap, pmap, hardware),
                };
                match fault {
                    Fault::Served => Outcome::Resume,
                    Fault::Raise(exception) => self.reflect(exception, trap),
                    Fault::Unbacked(page) => Outcome::Populate(page),
                    Fault::Unshare(page) => Outcome::Unshare(page),
                }
            }
            code::CPU => self.coprocessor_unusable(trap, now, pmap, hardware),
            code::RI => self.reserved_instruction(trap, hardware),
            code::MSADIS => self.reflect(Exception::plain(code::RI), trap),
            code::ADEL if trap.epc & 3 != 0 => {
                // A fetch. QEMU sets BadVAddr only the first time that it comes to the address.
                let trap = Trap {
                    bad_vaddr: trap.epc,
                    ..*trap
                };
                self.reflect(Exception::at(code::ADEL, trap.epc), &trap)
            }
            code @ (code::ADEL | code::ADES | code::TLBRI | code::TLBXI) => {
                self.reflect(Exception::at(code, trap.bad_vaddr), trap)
            }
            code => self.reflect(Exception::plain(code), trap),
        }
    }

    fn reflect(&mut self, exception: Exception, trap: &Trap) -> Outcome {
        match self.raise(exception, trap) {
            Ok(()) => Outcome::Resume,
            Err(no_vector) => Outcome::NoVector(no_vector),
        }
    }

    fn coprocessor_unusable(
        &mut self,
        trap: &Trap,
        now: u64,
        pmap: &Pmap,
        hardware: &mut impl Hardware,
    ) -> Outcome {
        let coprocessor = (trap.cause >> 28 & 3) as u8;
        let unusable = Exception {
            coprocessor,
            ..Exception::plain(code::CPU)
        };
        match coprocessor {
            0 if !trap.user => {
                let resume = self.behind(trap, hardware);
                match self.privileged(trap, now, pmap, hardware) {
                    Effect::Next => self.context.pc = resume,
                    Effect::Jump => {}
                    Effect::Outside(outcome) => {
                        self.context.pc = resume;
                        return outcome;
                    }
                    Effect::Raise(exception) => return self.reflect(exception, trap),
                }
                Outcome::Resume
            }
            1 if self.special.status() & Status::CU1.bits() != 0 => {
                pass::<{ point::FPU }>();
                self.acquire_fpu(hardware);
                Outcome::Resume
            }
            _ => self.reflect(unusable, trap),
        }
    }

    /// `rdhwr` of a register that the real CPU may not answer; all else is the guest's.
    fn reserved_instruction(&mut self, trap: &Trap, hardware: &mut impl Hardware) -> Outcome {
        let value = Instruction(trap.bad_instr)
            .rdhwr()
            .and_then(|(rt, number)| {
                Some((
                    rt,
                    self.read_hardware_register(number, trap.user, hardware)?,
                ))
            });
        match value {
            Some((rt, value)) => {
                let resume = self.behind(trap, hardware);
                self.set_gpr(rt, value);
                self.context.pc = resume;
                self.counters.others += 1;
                pass::<{ point::RDHWR }>();
                Outcome::Resume
            }
            None => self.reflect(Exception::plain(code::RI), trap),
        }
    }

    /// Where the guest goes on behind the trapped instruction.
    #[inline]
    fn behind(&mut self, trap: &Trap, hardware: &mut impl Hardware) -> u64 {
        if trap.in_delay_slot() {
            self.behind_branch(trap, hardware)
        } else {
            trap.epc.wrapping_add(4)
        }
    }

    /// Where it goes on behind a delay slot. The branch is worked out now, since the slot may change
    /// the register it tested; and its link register is written, since the slot may read it.
    #[cold]
    #[inline(never)]
    fn behind_branch(&mut self, trap: &Trap, hardware: &mut impl Hardware) -> u64 {
        let branch = Instruction(trap.bad_instr_p);
        if self.context.fpu_mask != 0 && branch.0 >> 26 == COP1 {
            hardware.fpu_save(&mut self.fpu);
        }
        let fpr = &self.fpu.fpr;
        let outcome = branch.after_delay_slot(trap.epc, &self.context.gpr, |number| {
            fpr[usize::from(number & 31)] & 1 != 0
        });
        let behind = trap.epc.wrapping_add(8);
        match outcome {
            Some(outcome) => {
                if let Some(link) = outcome.link {
                    self.set_gpr(link, behind);
                }
                if seeded(Defect::DelaySlot) {
                    return behind;
                }
                outcome.target
            }
            None if seeded(Defect::ForbiddenSlot) => trap.epc.wrapping_add(12),
            None => behind,
        }
    }
}
