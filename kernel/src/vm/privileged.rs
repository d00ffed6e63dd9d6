//! Privileged instructions of a guest kernel, emulated.

use super::defect::{seeded, Defect};
use super::exception::{code, Exception};
use super::hardware::Hardware;
use super::pmap::Pmap;
use super::trap::{Outcome, Trap};
use super::vcpu::Vcpu;
use super::vtlb::{TlbEntry, ASID_MASK, EHINV, LO_G, TLB_ENTRIES, VPN2_MASK};
use disco_abi::{Call, CallError, HYPCALL};
use disco_arch::cp0::Status;
use disco_arch::instruction::{Instruction, Privileged, Width};
use disco_arch::point::pass;
use disco_magic::point;

/// Index.P: the probe found nothing.
const PROBE_FAILED: u32 = 1 << 31;

/// What the monitor has to do after an instruction.
pub(super) enum Effect {
    /// Go on behind the instruction.
    Next,
    /// Go on where the context's `pc` says.
    Jump,
    /// Something outside the virtual CPU; go on behind the instruction.
    Outside(Outcome),
    /// Not an instruction of this CPU in this mode.
    Raise(Exception),
}

impl Vcpu<'_> {
    /// Executes the privileged instruction `trap` stopped at.
    pub(super) fn privileged(
        &mut self,
        trap: &Trap,
        now: u64,
        pmap: &Pmap,
        hardware: &mut impl Hardware,
    ) -> Effect {
        let Some(instruction) = Instruction(trap.bad_instr).privileged() else {
            return Effect::Raise(Exception::plain(code::RI));
        };
        pass::<{ point::PRIVILEGED }>();
        match instruction {
            // No extended physical addresses; no debug mode and no sibling processors, as on a
            // core without them.
            Privileged::MoveFrom {
                width: Width::High, ..
            }
            | Privileged::MoveTo {
                width: Width::High, ..
            }
            | Privileged::Deret
            | Privileged::OtherProcessors(_) => Effect::Raise(Exception::plain(code::RI)),
            Privileged::MoveFrom {
                rt,
                register,
                width,
            } => {
                self.counters.moves += 1;
                let value = self.read_cp0(register, width, hardware);
                self.set_gpr(rt, value);
                Effect::Next
            }
            Privileged::MoveTo {
                rt,
                register,
                width,
            } => {
                self.counters.moves += 1;
                let value = self.gpr(rt);
                self.write_cp0(register, width, value, now, hardware);
                Effect::Next
            }
            // Release 6: reserved in delay and forbidden slots.
            Privileged::Eret | Privileged::EretKeepLink | Privileged::Wait
                if trap.in_delay_slot() =>
            {
                Effect::Raise(Exception::plain(code::RI))
            }
            Privileged::Eret => {
                self.context.keep_link = 0;
                self.exception_return()
            }
            Privileged::EretKeepLink => self.exception_return(),
            Privileged::Hypcall => self.monitor_call(pmap, hardware),
            Privileged::Wait => {
                self.counters.waits += 1;
                Effect::Outside(Outcome::Wait)
            }
            Privileged::DisableInterrupts(rt) => self.change_ie(rt, false),
            Privileged::EnableInterrupts(rt) => self.change_ie(rt, true),
            Privileged::Cache => {
                self.counters.others += 1;
                Effect::Next
            }
            _ => {
                self.counters.tlb_instructions += 1;
                self.tlb_instruction(instruction, pmap, hardware);
                Effect::Next
            }
        }
    }

    /// A general register.
    pub fn gpr(&self, number: u8) -> u64 {
        match number & 31 {
            0 => 0,
            number => self.context.gpr[usize::from(number)],
        }
    }

    /// Writes a general register; `$0` stays 0.
    pub fn set_gpr(&mut self, number: u8, value: u64) {
        if number & 31 != 0 {
            self.context.gpr[usize::from(number & 31)] = value;
        }
    }

    fn change_ie(&mut self, rt: u8, enable: bool) -> Effect {
        self.counters.others += 1;
        let status = self.status_read();
        let ie = Status::IE.bits();
        self.special
            .set_status(if enable { status | ie } else { status & !ie });
        self.set_gpr(rt, status as i32 as i64 as u64);
        Effect::Next
    }

    fn exception_return(&mut self) -> Effect {
        self.counters.erets += 1;
        let status = Status::from_bits_retain(self.special.status());
        let (pc, level) = if status.contains(Status::ERL) && !seeded(Defect::ErrorLevel) {
            (self.special.error_epc(), Status::ERL)
        } else {
            (self.special.epc(), Status::EXL)
        };
        self.context.pc = pc;
        self.special.set_status((status & !level).bits());
        Effect::Jump
    }

    fn tlb_instruction(
        &mut self,
        instruction: Privileged,
        pmap: &Pmap,
        hardware: &mut impl Hardware,
    ) {
        let special = self.special;
        let index = (special.index() & !PROBE_FAILED) % TLB_ENTRIES as u32;
        match instruction {
            Privileged::TlbProbe => {
                let found = self.probe(special.entry_hi() & VPN2_MASK | self.asid(), hardware);
                let failed = if seeded(Defect::ProbeFailed) {
                    0
                } else {
                    PROBE_FAILED
                };
                special.set_index(found.unwrap_or(failed | special.index()));
            }
            Privileged::TlbRead => {
                let entry = self.tlb.entry(index);
                self.set_entry_hi(entry.hi);
                special.set_entry_lo0(entry.lo0);
                special.set_entry_lo1(entry.lo1);
                special.set_page_mask(entry.page_mask);
            }
            Privileged::TlbWriteIndexed => {
                let entry = self.entry_from_registers();
                self.write_tlb(index, entry, false, pmap, hardware);
            }
            Privileged::TlbWriteRandom => {
                let entry = self.entry_from_registers();
                let index = self.tlb.next_random();
                self.write_tlb(index, entry, true, pmap, hardware);
            }
            Privileged::TlbInvalidate => self.invalidate_asid(self.asid(), hardware),
            Privileged::TlbInvalidateFlush => {
                for index in 0..TLB_ENTRIES as u32 {
                    self.tlb.write(index, TlbEntry::INVALID);
                }
                self.flush_all(hardware);
            }
            _ => {}
        }
    }

    /// The entry that `tlbwi` and `tlbwr` write. The guest may have put anything into the special
    /// page; what the hardware would not keep is dropped.
    fn entry_from_registers(&self) -> TlbEntry {
        let special = self.special;
        if special.entry_hi() & EHINV != 0 {
            return TlbEntry::INVALID;
        }
        let hi = special.entry_hi() & VPN2_MASK | self.asid();
        let (lo0, lo1) = (special.entry_lo0(), special.entry_lo1());
        // The G bit of one half alone makes the entry global.
        let global = if seeded(Defect::Global) {
            (lo0 | lo1) & LO_G
        } else {
            0
        };
        // The largest pages are a size too small.
        let page_mask = special.page_mask() >> if seeded(Defect::PageMask) { 2 } else { 0 };
        entry_as_kept(hi, lo0 | global, lo1 | global, page_mask)
    }

    /// Forgets every entry of `asid` that is not global, as `tlbinv` does.
    pub fn invalidate_asid(&mut self, asid: u64, hardware: &mut impl Hardware) {
        for index in 0..TLB_ENTRIES as u32 {
            let entry = self.tlb.entry(index);
            if !entry.is_global() && (entry.hi ^ asid) & ASID_MASK == 0 {
                self.tlb.write(index, TlbEntry::INVALID);
            }
        }
        self.l2.remove_where(
            |tag, _| !super::l2tlb::is_kernel_address(tag) && (tag ^ asid) & ASID_MASK == 0,
            |_| (),
        );
        hardware.tlb_flush();
    }

    fn monitor_call(&mut self, pmap: &Pmap, hardware: &mut impl Hardware) -> Effect {
        self.counters.calls += 1;
        pass::<{ point::CALL }>();
        let Some(call) = Call::from_number(self.gpr(2)) else {
            self.set_gpr(2, CallError::NoSuchCall as i64 as u64);
            return Effect::Next;
        };
        let [_, _, _, _, a0, a1, a2, a3, ..] = self.context.gpr;
        let arguments = [a0, a1, a2, a3];
        match call {
            Call::TlbFlushAll => self.flush_all(hardware),
            Call::TlbFlushPage => self.flush_page(arguments[0], hardware),
            Call::TlbInsert => self.insert_call(arguments, pmap, hardware),
            Call::Context => {
                self.set_entry_hi(arguments[0] & (VPN2_MASK | EHINV | ASID_MASK));
                self.registers.pw_base = arguments[1];
                self.special.set_user_local(arguments[2]);
                hardware.set_user_local(arguments[2]);
            }
            Call::Version => {
                self.set_gpr(2, disco_abi::ABI_VERSION);
                return Effect::Next;
            }
            Call::Deliver => {}
            _ => return Effect::Outside(Outcome::Call { call, arguments }),
        }
        self.set_gpr(2, 0);
        Effect::Next
    }

    /// Executes `word`, an instruction of the guest's kernel in no delay slot, if it is a monitor call that concerns
    /// nothing but the TLB and what goes with it; whether it was. The guest goes on behind it.
    pub fn light_call(&mut self, word: u32, pmap: &Pmap, hardware: &mut impl Hardware) -> bool {
        if word != HYPCALL {
            return false;
        }
        let call = self.gpr(2);
        if call == Call::TlbInsert as u64 && self.plain_insert(pmap, hardware) {
            self.counters.traps += 1;
            self.counters.calls += 1;
            pass::<{ point::CALL }>();
            self.set_gpr(2, 0);
            return true;
        }
        let is_light = matches!(
            Call::from_number(call),
            Some(Call::TlbInsert | Call::TlbFlushPage | Call::TlbFlushAll | Call::Context)
        );
        if !is_light {
            return false;
        }
        self.counters.traps += 1;
        matches!(self.monitor_call(pmap, hardware), Effect::Next)
    }

    /// The monitor call `TlbInsert`.
    #[cold]
    #[inline(never)]
    fn insert_call(
        &mut self,
        [hi, lo0, lo1, page_mask]: [u64; 4],
        pmap: &Pmap,
        hardware: &mut impl Hardware,
    ) {
        let entry = entry_as_kept(hi & (VPN2_MASK | ASID_MASK), lo0, lo1, page_mask);
        match self.tlb.find(entry.hi, entry.hi) {
            Some((index, _)) => self.write_tlb(index, entry, false, pmap, hardware),
            None => {
                let index = self.tlb.next_random();
                self.insert_hidden(index, entry, pmap, hardware);
            }
        }
    }
}

/// An entry as the TLB keeps it: page numbers without the bits that the page's size covers, and
/// one G bit for both pages.
const fn entry_as_kept(hi: u64, lo0: u64, lo1: u64, page_mask: u64) -> TlbEntry {
    let page_mask = super::cp0::legal_page_mask(page_mask);
    let kept = 0xc000_0000_3fff_fffe & !(page_mask >> 13 << 6);
    let global = lo0 & lo1 & LO_G;
    TlbEntry {
        hi,
        lo0: lo0 & kept | global,
        lo1: lo1 & kept | global,
        page_mask,
    }
}
