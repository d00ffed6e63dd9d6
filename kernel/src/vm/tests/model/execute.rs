//! Instructions: II, one section each, and page, "Monitor calls".

use super::address::Place;
use super::branch::{self, Branch};
use super::exception::{Raised, BP, RESERVED, SYS};
use super::registers::*;
use super::{Access, Choices, Event, Mode, Model};
use disco_abi::{Call, ABI_VERSION};

/// Coprocessor 1 in the opcode.
pub const COP1: u32 = 0x11;

fn returns_or_waits(word: u32) -> bool {
    word >> 25 == 0x21 && (matches!(word & 0x1ff_ffff, 0x18 | 0x58) || word & 0x3f == 0x20)
}

impl Model {
    pub(super) fn instruction(
        &mut self,
        branch: Option<u32>,
        word: u32,
        choices: &mut Choices,
    ) -> Result<Event, Raised> {
        self.translate(self.pc, Access::Fetch, choices)?;
        let Some(first) = branch else {
            return match branch::decode(word, self.pc, &self.gpr, &self.fpr) {
                // Behind it comes what the next step says.
                Some(taken) if taken.compact => self.leave(taken),
                _ => self
                    .execute(word, self.pc + 4, choices)
                    .map_err(|r| r.by(word, None)),
            };
        };
        if first >> 26 == COP1 {
            self.fpu_usable().map_err(|raised| raised.by(first, None))?;
        }
        let decoded = branch::decode(first, self.pc, &self.gpr, &self.fpr).expect("a branch");
        if decoded.compact && decoded.target.is_some() {
            return self.leave(decoded);
        }
        if let Some((register, value)) = decoded.link {
            self.set_gpr(register, value);
        }
        let in_slot = |raised: Raised| raised.by(word, Some(first));
        self.translate(self.pc + 4, Access::Fetch, choices)
            .map_err(in_slot)?;
        if returns_or_waits(word) {
            // II, ERET, ERETNC and WAIT: not in a delay or forbidden slot.
            let raised = self.cp0_usable().and(Err(Raised::plain(RESERVED)));
            return raised.map_err(in_slot);
        }
        let next = decoded.target.unwrap_or(self.pc + 8);
        self.execute(word, next, choices).map_err(in_slot)
    }

    /// A compact branch on its own.
    fn leave(&mut self, branch: Branch) -> Result<Event, Raised> {
        if let Some((register, value)) = branch.link {
            self.set_gpr(register, value);
        }
        self.pc = branch.target.unwrap_or(self.pc + 4);
        Ok(Event::None)
    }

    /// Executes what is no branch. Execution goes on at `next`.
    fn execute(&mut self, word: u32, next: u64, choices: &mut Choices) -> Result<Event, Raised> {
        let (rs, rt) = ((word >> 21 & 31) as usize, (word >> 16 & 31) as usize);
        let offset16 = word as u16 as i16 as i64 as u64;
        let offset9 = ((word as i32) << 16 >> 23) as i64 as u64;
        let mut event = Event::None;
        let mut next = next;
        match (word >> 26, word & 0x3f) {
            (0x00, 0x0c) => return Err(Raised::plain(SYS)),
            (0x00, 0x0d) => return Err(Raised::plain(BP)),
            // SDBBP with SBRI.
            (0x00, 0x0e) => return Err(Raised::plain(RESERVED)),
            (0x00, _) => {}
            (0x10, _) => {
                self.cp0_usable()?;
                event = self.coprocessor_0(word, &mut next, choices)?;
            }
            (COP1, _) => self.fpu_usable()?,
            // LD and SD.
            (0x37, _) => self.load(rt, self.gpr[rs].wrapping_add(offset16), choices)?,
            (0x3f, _) => {
                let address = self.gpr[rs].wrapping_add(offset16);
                self.translate(address, Access::Store, choices)?;
                self.store(self.gpr[rt]);
            }
            // LLD and SCD.
            (0x1f, 0x37) => {
                self.load(rt, self.gpr[rs].wrapping_add(offset9), choices)?;
                self.link = true;
            }
            (0x1f, 0x27) => {
                let address = self.gpr[rs].wrapping_add(offset9);
                self.translate(address, Access::Store, choices)?;
                if self.link {
                    self.store(self.gpr[rt]);
                }
                self.set_gpr(rt, u64::from(self.link));
                self.link = false;
            }
            // CACHE: nothing to do.
            (0x1f, 0x25) => self.cp0_usable()?,
            (0x1f, 0x3b) => {
                let value = self.hardware_register(word >> 11 & 31)?;
                self.set_gpr(rt, value);
            }
            _ => return Err(Raised::plain(RESERVED)),
        }
        self.pc = next;
        Ok(event)
    }

    fn cp0_usable(&self) -> Result<(), Raised> {
        (self.mode() == Mode::Kernel)
            .then_some(())
            .ok_or(Raised::unusable(0))
    }

    fn fpu_usable(&self) -> Result<(), Raised> {
        let usable = self.read(STATUS) & CU1 != 0;
        usable.then_some(()).ok_or(Raised::unusable(1))
    }

    fn load(&mut self, rt: usize, address: u64, choices: &mut Choices) -> Result<(), Raised> {
        let value = match self.translate(address, Access::Load, choices)? {
            Place::Memory(physical) => self.memory.get(&physical).copied().unwrap_or(0),
            Place::Special(offset) => in_slot(offset).map_or(0, |slot| self.read(slot)),
        };
        self.set_gpr(rt, value);
        Ok(())
    }

    /// Stores where the last translation led.
    fn store(&mut self, value: u64) {
        match self.places.last() {
            Some(&Place::Memory(physical)) => {
                self.memory.insert(physical, value);
            }
            Some(&Place::Special(offset)) => {
                if let Some(slot) = in_slot(offset) {
                    self.registers.set(slot, value);
                }
            }
            None => {}
        }
    }

    fn coprocessor_0(
        &mut self,
        word: u32,
        next: &mut u64,
        choices: &mut Choices,
    ) -> Result<Event, Raised> {
        let rt = (word >> 16 & 31) as usize;
        let register = ((word >> 11 & 31) as usize, (word & 7) as usize);
        let value = self.gpr[rt];
        match (word >> 21 & 31, word & 0x1ff_ffff) {
            (0, _) => self.set_gpr(rt, self.read_word(register)),
            (1, _) => self.set_gpr(rt, self.read(register)),
            (4, _) => self.write_word(register, value),
            (5, _) => self.write(register, value),
            // DI and EI. DVP, EVP, MFHC0 and MTHC0 are reserved.
            (11, _) if register.0 == 12 => {
                let status = self.read(STATUS);
                let enabled = if word & 0x20 != 0 { IE } else { 0 };
                self.registers.set(STATUS, status & !IE | enabled);
                self.set_gpr(rt, status);
            }
            (16.., 0x01) => self.tlbr(),
            (16.., 0x02) => self.tlbwi(),
            (16.., 0x03) => self.tlbinv(),
            (16.., 0x04) => self.invalidate_from(0),
            (16.., 0x06) => self.tlbwr(choices),
            (16.., 0x08) => self.tlbp(choices),
            (16.., 0x18 | 0x58) => {
                self.exception_return();
                *next = self.pc;
                if word & 0x40 == 0 {
                    self.link = false;
                }
            }
            (16.., _) if word & 0x3f == 0x20 => return Ok(Event::Wait),
            (16.., _) if word & 0x3f == 0x28 => return Ok(self.monitor_call(choices)),
            _ => return Err(Raised::plain(RESERVED)),
        }
        Ok(Event::None)
    }

    /// II, RDHWR.
    fn hardware_register(&self, number: u32) -> Result<u64, Raised> {
        let allowed = self.mode() == Mode::Kernel || self.read(HWRENA) >> number & 1 != 0;
        match number {
            _ if !allowed => Err(Raised::plain(RESERVED)),
            0 => Ok(0),
            1 => Ok(32),
            2 => Ok(self.read(COUNT)),
            3 => Ok(2),
            // A performance counter that stands: on the board kernel mode reads it.
            4 => Ok(0),
            5 => Ok(1),
            29 => Ok(self.read(USER_LOCAL)),
            _ => Err(Raised::plain(RESERVED)),
        }
    }

    fn monitor_call(&mut self, choices: &mut Choices) -> Event {
        let number = self.gpr[2];
        let arguments = [4, 5, 6, 7].map(|register| self.gpr[register]);
        let [hi, second, third, mask] = arguments;
        let is = |call: Call| number == call as u64;
        let mut result = 0;
        if is(Call::TlbFlushAll) {
            self.invalidate_from(self.read(WIRED) as usize);
        } else if is(Call::TlbFlushPage) {
            self.flush_page(hi);
        } else if is(Call::TlbInsert) {
            self.insert(hi, [second, third], mask, choices);
        } else if is(Call::Context) {
            self.registers.set(ENTRY_HI, hi & (R | VPN2 | EHINV | ASID));
            self.registers.set(PW_BASE, second);
            self.registers.set(USER_LOCAL, third);
        } else if is(Call::Version) {
            result = ABI_VERSION;
        } else if number >= Call::ALL.len() as u64 {
            // NoSuchCall
            result = u64::MAX;
        } else if !is(Call::Deliver) {
            return Event::Call(number, arguments);
        }
        self.set_gpr(2, result);
        Event::None
    }
}
