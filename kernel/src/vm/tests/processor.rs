//! The board's CPU as a guest's instructions meet it: user or supervisor mode, the real TLB, traps
//! into the monitor, and what the CPU does by itself.
//!
//! What traps was seen on the board; branches, which the CPU executes itself, are the model's.

use super::assembly;
use super::guest::{Change, Guest};
use super::machine::{self, Miss, SPECIAL_MACHINE};
use super::model::branch::{self, Branch};
use super::model::{Access, Event, Place};
use crate::address::{GuestPage, MachineAddress};
use crate::vm::exception::code;
use crate::vm::hardware::Hardware;
use crate::vm::pmap::Backing;
use crate::vm::sample::Hidden;
use crate::vm::trap::{Outcome, Trap};
use crate::vm::vtlb::{ASID_MASK, VPN2_MASK};
use disco_abi::PAGE_SIZE;
use disco_arch::trap::Entry;
use std::sync::atomic::Ordering;

/// Status: user mode, floating point.
const USER: u64 = 0x10;
const CU1: u64 = 1 << 29;
const BD: u32 = 1 << 31;
/// An instruction is tried so often before the test fails.
const PATIENCE: u32 = 12;

/// The CPU with a guest on it.
pub struct Processor {
    pub guest: Guest,
    pub link: bool,
    /// Where the last instruction's accesses went.
    pub places: Vec<Place>,
    /// The monitor was entered in the last instruction.
    pub trapped: bool,
    /// The next refill is sampled.
    hidden: Option<Hidden>,
    /// Pages whose refills were sampled, and whether the next write of each is an exception.
    pub samples: Vec<(GuestPage, bool)>,
}

/// A trap that ended an instruction.
enum Stop {
    /// The monitor has served it: the same instruction once more.
    Again,
    /// It is done, in the guest's eyes.
    Done(Event),
}

/// The instruction that runs, and the branch before it.
#[derive(Clone, Copy)]
struct Running {
    word: u32,
    branch: Option<u32>,
}

impl Processor {
    pub fn new(mut guest: Guest) -> Self {
        guest.resume();
        Self {
            guest,
            link: false,
            places: Vec::new(),
            trapped: false,
            hidden: None,
            samples: Vec::new(),
        }
    }

    /// Lets the next refill be sampled, of all that the guest uses if `flush`.
    pub fn sample_next(&mut self, flush: bool) {
        let guest = &mut self.guest;
        if flush {
            let pc = guest.vcpu.context.pc;
            let (pmap, machine) = (&guest.pmap, &mut guest.machine);
            guest.vcpu.flush_all_but(pc, pmap, machine);
        }
        self.hidden = guest.vcpu.hide();
    }

    /// The monitor is entered: the vectors find everything again. Whether they did not.
    pub fn show(&mut self) -> bool {
        let hidden = self.hidden.take();
        hidden.map(|hidden| self.guest.vcpu.show(hidden)).is_some()
    }

    /// Counts a miss, if it can be told what for, and lets the guest try again.
    fn sample(&mut self, trap: &Trap) -> bool {
        let guest = &mut self.guest;
        let Some(page) = guest.vcpu.page_at(trap.bad_vaddr, &guest.pmap) else {
            return false;
        };
        let watched = guest.vcpu.serve_read_only(trap, &mut guest.machine);
        self.samples.push((page, watched));
        true
    }

    pub fn pc(&self) -> u64 {
        self.guest.vcpu.context.pc
    }

    /// Executes the instruction at the program counter, or a branch and `word` behind it.
    pub fn step(&mut self, branch: Option<u32>, word: u32) -> Event {
        let running = Running { word, branch };
        self.trapped = false;
        for _ in 0..PATIENCE {
            self.places.clear();
            let event = match self.attempt(running) {
                Ok(()) => Event::None,
                Err(Stop::Done(event)) => event,
                Err(Stop::Again) => continue,
            };
            // The hardware's address error; the monitor has raised that of an odd address.
            if self.pc() & 3 != 0 && !matches!(event, Event::NoVector(_)) {
                let alone = Running {
                    branch: None,
                    ..running
                };
                let _ = self.fetch(self.pc(), alone);
            }
            return event;
        }
        panic!("{word:#x} at {:#x} traps for ever", self.pc());
    }

    fn attempt(&mut self, running: Running) -> Result<(), Stop> {
        let pc = self.pc();
        let alone = Running {
            branch: None,
            ..running
        };
        self.fetch(pc, alone)?;
        let Some(first) = running.branch else {
            if let Some(taken) = self.branch(running.word, pc).filter(|it| it.compact) {
                self.leave(taken, pc);
                return Ok(());
            }
            self.execute(alone)?;
            self.guest.vcpu.context.pc = pc + 4;
            return Ok(());
        };
        if first >> 26 == 0x11 {
            self.floating_point(Running {
                word: first,
                branch: None,
            })?;
        }
        let decoded = self.branch(first, pc).expect("a branch");
        if decoded.compact && decoded.target.is_some() {
            self.leave(decoded, pc);
            return Ok(());
        }
        self.link(decoded);
        self.fetch(pc + 4, running)?;
        self.execute(running)?;
        self.guest.vcpu.context.pc = decoded.target.unwrap_or(pc + 8);
        Ok(())
    }

    fn branch(&self, word: u32, pc: u64) -> Option<Branch> {
        let (gpr, fpr) = (&self.guest.vcpu.context.gpr, &self.guest.machine.fpu.fpr);
        branch::decode(word, pc, gpr, fpr)
    }

    fn link(&mut self, branch: Branch) {
        if let Some((register, value)) = branch.link {
            self.set_gpr(register, value);
        }
    }

    fn leave(&mut self, branch: Branch, pc: u64) {
        self.link(branch);
        self.guest.vcpu.context.pc = branch.target.unwrap_or(pc + 4);
    }

    fn set_gpr(&mut self, number: usize, value: u64) {
        if number != 0 {
            self.guest.vcpu.context.gpr[number] = value;
        }
    }

    fn in_user_mode(&self) -> bool {
        self.guest.vcpu.context.status & USER != 0
    }

    /// Enters the monitor with the instruction's registers.
    fn trap(&mut self, running: Running, trap: Trap) -> Stop {
        self.trapped = true;
        let trap = Trap {
            cause: trap.cause | if running.branch.is_some() { BD } else { 0 },
            bad_instr: running.word,
            bad_instr_p: running.branch.unwrap_or(0x5555_5555),
            user: self.in_user_mode() || self.guest.vcpu.supervisor.is_some(),
            ..trap
        };
        if self.show() && trap.entry == Entry::Refill && trap.epc & 3 == 0 && self.sample(&trap) {
            self.guest.vcpu.context.pc = trap.epc;
            self.guest.vcpu.context.keep_link = 1;
            self.guest.resume();
            return Stop::Again;
        }
        let reflected = self.guest.vcpu.counters.exceptions_reflected;
        let outcome = self.guest.handle(&trap);
        let event = match outcome {
            Outcome::NoVector(no_vector) => return Stop::Done(Event::NoVector(no_vector.vector)),
            Outcome::Resume => Event::None,
            Outcome::Wait => Event::Wait,
            Outcome::Call { call, arguments } => Event::Call(call as u64, arguments),
            Outcome::Unshare(page) => {
                let change = match self.guest.pmap.backing(page) {
                    Backing::Replicated(_) => Change::Collapse,
                    _ => Change::Replace,
                };
                self.guest.change(page.0, 1, change);
                Event::None
            }
            outcome => panic!("{outcome:?}"),
        };
        let exception = self.guest.vcpu.counters.exceptions_reflected != reflected;
        self.guest.resume();
        self.link &= self.guest.vcpu.context.keep_link != 0;
        if self.guest.vcpu.context.fpu_mask != 0 {
            // The FPU holds them: nobody may believe what is here.
            self.guest.vcpu.fpu.fpr = [0x5555_5555; 32];
        }
        let served = match trap.code() {
            code::MOD | code::TLBL | code::TLBS => true,
            code::CPU => trap.cause >> 28 & 3 == 1,
            _ => false,
        };
        if served && !exception {
            return Stop::Again;
        }
        Stop::Done(event)
    }

    fn plain(&mut self, running: Running, code: u8) -> Stop {
        let trap = self.guest.trap(Entry::General, code);
        self.trap(running, trap)
    }

    fn fetch(&mut self, address: u64, running: Running) -> Result<(), Stop> {
        let stale = Running {
            word: 0xaaaa_aaaa,
            ..running
        };
        if address & 3 != 0 {
            return Err(self.bad_address(stale, address, code::ADEL));
        }
        self.translate(address, Access::Fetch, stale).map(|_| ())
    }

    fn bad_address(&mut self, running: Running, address: u64, code: u8) -> Stop {
        let trap = Trap {
            bad_vaddr: address,
            ..self.guest.trap(Entry::General, code)
        };
        self.trap(running, trap)
    }

    /// Machine address of an access.
    fn translate(
        &mut self,
        address: u64,
        access: Access,
        running: Running,
    ) -> Result<MachineAddress, Stop> {
        let user = address < 1 << 48;
        let supervisor = address >> 48 == 0x4000 || address >> 29 == 0x7_ffff_fffe;
        if !(user || supervisor && !self.in_user_mode()) {
            let code = match access {
                Access::Store => code::ADES,
                _ => code::ADEL,
            };
            return Err(self.bad_address(running, address, code));
        }
        let asid = self.guest.vcpu.context.entry_hi & ASID_MASK;
        let kind = match access {
            Access::Load => machine::Access::Load,
            Access::Store => machine::Access::Store,
            Access::Fetch => machine::Access::Fetch,
        };
        match self.guest.machine.translate(address, asid, kind) {
            Ok(machine) => {
                self.places.push(self.place(machine));
                Ok(machine)
            }
            Err(miss) => Err(self.miss(miss, address, kind, running)),
        }
    }

    fn miss(
        &mut self,
        miss: Miss,
        address: u64,
        access: machine::Access,
        running: Running,
    ) -> Stop {
        let guest = &mut self.guest;
        let entry_hi = address & VPN2_MASK | guest.vcpu.context.entry_hi & ASID_MASK;
        if miss == Miss::Refill
            && assembly::refill(&mut guest.vcpu, entry_hi, &guest.pmap, &mut guest.machine)
        {
            return Stop::Again;
        }
        let (entry, code) = miss.exception(access);
        let trap = Trap {
            bad_vaddr: address,
            ..self.guest.trap(entry, code)
        };
        self.trap(running, trap)
    }

    /// What the guest calls a machine address.
    fn place(&self, machine: MachineAddress) -> Place {
        let offset = machine.0 & (PAGE_SIZE - 1);
        if machine.0 - offset == SPECIAL_MACHINE {
            return Place::Special(offset);
        }
        let backing = machine.page();
        let mut pages = self.guest.pmap.iter();
        let (page, _) = pages
            .find(|(page, _)| self.guest.seen(*page) == Some(backing))
            .unwrap_or_else(|| panic!("{machine:x?} is not the guest's"));
        Place::Memory(page.0 * PAGE_SIZE + offset)
    }

    /// Executes what is no branch, up to the program counter.
    fn execute(&mut self, running: Running) -> Result<(), Stop> {
        let word = running.word;
        let (rs, rt) = ((word >> 21 & 31) as usize, (word >> 16 & 31) as usize);
        let base = self.guest.gpr(rs);
        let offset16 = base.wrapping_add(word as u16 as i16 as u64);
        let offset9 = base.wrapping_add(((word as i32) << 16 >> 23) as u64);
        match (word >> 26, word & 0x3f) {
            (0x00, 0x0c) => return Err(self.plain(running, code::SYS)),
            (0x00, 0x0d) => return Err(self.plain(running, code::BP)),
            (0x00, 0x0e) => return Err(self.plain(running, code::RI)),
            (0x00, _) => {}
            (0x10, _) | (0x1f, 0x25) => return Err(self.plain(running, code::CPU)),
            (0x11, _) => self.floating_point(running)?,
            (0x37, _) => self.load(rt, offset16, running)?,
            (0x3f, _) => {
                let machine = self.translate(offset16, Access::Store, running)?;
                self.store(machine, self.guest.gpr(rt));
            }
            (0x1f, 0x37) => {
                self.load(rt, offset9, running)?;
                self.link = true;
            }
            (0x1f, 0x27) => {
                let machine = self.translate(offset9, Access::Store, running)?;
                if self.link {
                    self.store(machine, self.guest.gpr(rt));
                }
                self.set_gpr(rt, u64::from(self.link));
                self.link = false;
            }
            (0x1f, 0x3b) => {
                let machine = &self.guest.machine;
                let value = match word >> 11 & 31 {
                    number if machine.hwrena >> number & 1 == 0 => None,
                    1 => Some(32),
                    2 => Some(machine.count as i32 as u64),
                    3 => Some(2),
                    29 => Some(machine.user_local),
                    _ => None,
                };
                match value {
                    Some(value) => self.set_gpr(rt, value),
                    None => return Err(self.plain(running, code::RI)),
                }
            }
            (0x1e, _) => return Err(self.plain(running, code::MSADIS)),
            _ => return Err(self.plain(running, code::RI)),
        }
        Ok(())
    }

    fn floating_point(&mut self, running: Running) -> Result<(), Stop> {
        if self.guest.vcpu.context.status & CU1 != 0 {
            return Ok(());
        }
        let trap = self.guest.trap(Entry::General, code::CPU);
        let cause = trap.cause | 1 << 28;
        Err(self.trap(running, Trap { cause, ..trap }))
    }

    fn load(&mut self, rt: usize, address: u64, running: Running) -> Result<(), Stop> {
        let machine = self.translate(address, Access::Load, running)?;
        let value = match self.slot(machine) {
            Some(slot) => self.guest.vcpu.special.memory()[slot].load(Ordering::Relaxed),
            None => self.guest.machine.load(machine),
        };
        self.set_gpr(rt, value);
        Ok(())
    }

    fn store(&mut self, machine: MachineAddress, value: u64) {
        match self.slot(machine) {
            Some(slot) => self.guest.vcpu.special.memory()[slot].store(value, Ordering::Relaxed),
            None => self.guest.machine.store(machine, value),
        }
    }

    fn slot(&self, machine: MachineAddress) -> Option<usize> {
        match self.place(machine) {
            Place::Special(offset) => Some(offset as usize / 8),
            Place::Memory(_) => None,
        }
    }
}
