//! Exceptions and interrupts: III, "Exceptions".

use super::registers::*;
use super::{Access, Event, Model};

pub const INT: u32 = 0;
pub const TLBL: u32 = 2;
pub const TLBS: u32 = 3;
pub const ADEL: u32 = 4;
pub const ADES: u32 = 5;
pub const IBE: u32 = 6;
pub const DBE: u32 = 7;
pub const SYS: u32 = 8;
pub const BP: u32 = 9;
pub const RESERVED: u32 = 10;
pub const CPU: u32 = 11;
pub const TLBXI: u32 = 20;

/// An exception on its way.
#[derive(Clone, Copy, Debug)]
pub struct Raised {
    code: u32,
    coprocessor: u64,
    address: Option<u64>,
    refill: bool,
    /// Raised before the address was looked at.
    misaligned: bool,
    /// The instruction could not be fetched: its word is not known.
    fetch: bool,
    /// The branch before the instruction.
    branch: Option<u32>,
    /// The instruction.
    word: u32,
}

impl Raised {
    pub fn plain(code: u32) -> Self {
        Self {
            code,
            coprocessor: 0,
            address: None,
            refill: false,
            misaligned: false,
            fetch: false,
            branch: None,
            word: 0,
        }
    }

    pub fn unusable(coprocessor: u64) -> Self {
        Self {
            coprocessor,
            ..Self::plain(CPU)
        }
    }

    pub fn fetch_or_not(code: u32, address: u64, access: Access) -> Self {
        Self {
            address: Some(address),
            fetch: access == Access::Fetch,
            ..Self::plain(code)
        }
    }

    /// A fetch at an address that is no multiple of 4.
    pub fn misaligned(address: u64) -> Self {
        Self {
            misaligned: true,
            ..Self::fetch_or_not(ADEL, address, Access::Fetch)
        }
    }

    pub fn refill(address: u64, access: Access) -> Self {
        let code = match access {
            Access::Store => TLBS,
            _ => TLBL,
        };
        Self {
            refill: true,
            ..Self::fetch_or_not(code, address, access)
        }
    }

    pub fn bus_error(code: u32) -> Self {
        Self {
            fetch: code == IBE,
            ..Self::plain(code)
        }
    }

    /// Of the instruction `word`, behind `branch`.
    pub fn by(self, word: u32, branch: Option<u32>) -> Self {
        Self {
            word,
            branch,
            ..self
        }
    }
}

impl Model {
    /// III, "General Exception Processing", with the registers that its causes set.
    pub fn exception(&mut self, raised: Raised) -> Event {
        let nested = self.read(STATUS) & EXL != 0;
        if nested && raised.fetch && raised.branch.is_none() && self.is_vector(self.pc) {
            return Event::NoVector(self.pc);
        }
        if let Some(address) = raised.address {
            self.registers.set(BAD_VADDR, address);
            // Address errors, too, as QEMU's I6400 has it.
            if !raised.misaligned {
                self.set_fault_page(address);
            }
        }
        let mut cause = self.read(CAUSE) & (IV | DC | IP | TI | CE);
        cause |= u64::from(raised.code) << 2;
        if raised.code == CPU {
            cause = cause & !CE | raised.coprocessor << 28;
        }
        if nested {
            cause |= self.read(CAUSE) & BD;
        } else {
            self.registers.set(EPC, self.pc);
            if raised.branch.is_some() {
                cause |= BD;
            }
            // III, "BadInstr Register": not of bus errors, nor what could not be fetched.
            if !raised.fetch && !matches!(raised.code, INT | DBE) {
                self.registers.set(BAD_INSTR, u64::from(raised.word));
                if let Some(branch) = raised.branch {
                    self.registers.set(BAD_INSTR_P, u64::from(branch));
                }
            }
        }
        self.registers.set(CAUSE, cause);
        let offset = match raised.code {
            _ if nested => 0x180,
            // III, "TLB Refill": of 32-bit addressing, or of 64-bit.
            _ if raised.refill => {
                let status = self.read(STATUS);
                let wide = match raised.address.unwrap_or(0) >> 62 {
                    0 => status & UX != 0,
                    3 => status & KX != 0,
                    _ => true,
                };
                if wide {
                    0x080
                } else {
                    0x000
                }
            }
            INT if cause & IV != 0 => 0x200,
            _ => 0x180,
        };
        self.pc = self.vectors() + offset;
        self.registers.set(STATUS, self.read(STATUS) | EXL);
        Event::None
    }

    /// III, "Context Register", "XContext Register" and "EntryHi Register".
    fn set_fault_page(&mut self, address: u64) {
        let vpn2 = (address & VPN2) >> 13;
        let context = self.read(CONTEXT) & !0x7f_ffff | (vpn2 & 0x7_ffff) << 4;
        let xcontext = self.read(XCONTEXT) & !0x1ff_ffff_ffff | address >> 62 << 39 | vpn2 << 4;
        self.registers.set(CONTEXT, context);
        self.registers.set(XCONTEXT, xcontext);
        let hi = address & (R | VPN2) | self.read(ENTRY_HI) & (EHINV | ASID);
        self.registers.set(ENTRY_HI, hi);
    }

    /// III, "Exception Vector Locations".
    fn vectors(&self) -> u64 {
        if self.read(STATUS) & BEV != 0 {
            0xffff_ffff_bfc0_0200
        } else {
            self.read(EBASE) & !0xfff
        }
    }

    fn is_vector(&self, address: u64) -> bool {
        [0, 0x080, 0x180, 0x200]
            .iter()
            .any(|offset| self.vectors() + offset == address)
    }

    /// III, "Interrupts": before the next instruction, if one waits and may come.
    pub fn take_interrupt(&mut self) {
        let status = self.read(STATUS);
        self.interrupted = self.interrupt_waits() && status & (IE | EXL | ERL) == IE;
        if self.interrupted {
            self.exception(Raised::plain(INT));
        }
    }

    /// An interrupt waits that IM lets through.
    pub fn interrupt_waits(&self) -> bool {
        self.read(CAUSE) & self.read(STATUS) & IP != 0
    }

    /// The address error of fetching at an address that is no multiple of 4.
    pub fn refuse_misaligned(&mut self) {
        if self.pc & 3 != 0 {
            self.exception(Raised::misaligned(self.pc));
        }
    }

    /// II, ERET and ERETNC.
    pub fn exception_return(&mut self) {
        let status = self.read(STATUS);
        let (pc, level) = if status & ERL != 0 {
            (self.read(ERROR_EPC), ERL)
        } else {
            (self.read(EPC), EXL)
        };
        self.pc = pc;
        self.registers.set(STATUS, status & !level);
    }
}
