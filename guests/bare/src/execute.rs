//! Runs code that a test puts together from instruction words, in kernel or in user mode.

use crate::cp0::{self, reg};
use crate::exception::{catch_at, Frame};
use crate::instruction::{jr, NOP, SYSCALL};
use crate::place::physical_address;
use crate::registers::S0;
use crate::tlb::{self, Entry, LO_D, LO_V};
use core::sync::atomic::{AtomicU32, Ordering};

/// The register that holds the way back of code in kernel mode.
pub(crate) const RETURN_REGISTER: usize = S0 as usize;
/// Where code in user mode runs.
pub const USER_CODE: u64 = 0x40_0000;
/// Bytes that a pair of 16 KiB pages maps.
const PAIR: usize = 32 << 10;

/// General registers before and after; `$k0` and `$k1` are not kept, `$16` in kernel mode is the
/// way back.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Registers(pub [u64; 32]);

impl Registers {
    /// All 0.
    pub const fn new() -> Self {
        Self([0; 32])
    }

    /// With these values.
    pub fn with(values: &[(u32, u64)]) -> Self {
        let mut registers = Self::new();
        for &(number, value) in values {
            registers.0[number as usize] = value;
        }
        registers
    }

    /// One of them.
    pub const fn get(&self, number: u32) -> u64 {
        self.0[number as usize]
    }
}

impl Default for Registers {
    fn default() -> Self {
        Self::new()
    }
}

/// A whole pair of pages, so that user mode sees nothing else.
#[repr(C, align(32768))]
struct Code([AtomicU32; PAIR / 4]);

static CODE: Code = Code([const { AtomicU32::new(0) }; PAIR / 4]);

extern "C" {
    fn bare_execute(start: u64, registers: *mut Registers, status: u64);
    static bare_execute_return: u8;
}

/// Address of the code in kernel mode.
pub fn code_address() -> u64 {
    CODE.0.as_ptr().addr() as u64
}

/// Puts `words` and then `end` where the code is.
pub fn put(words: &[u32], end: &[u32]) {
    assert!(words.len() + end.len() <= CODE.0.len(), "too much code");
    for (place, &word) in CODE.0.iter().zip(words.iter().chain(end)) {
        place.store(word, Ordering::Relaxed);
    }
}

/// Goes to `start` with `mode` added to Status, until code in kernel mode comes back by the return
/// register, or a handler or an exception that none takes [`leave`]s it; that exception.
pub fn run(start: u64, registers: &mut Registers, mode: u64) -> Option<Frame> {
    let status = reg::STATUS.read() & !cp0::STATUS_KSU_USER;
    catch_at(return_address(), || {
        // SAFETY: `registers` outlives the call. The words only touch what their test means them
        // to; `bare_execute` keeps the registers that the compiler counts on.
        unsafe { bare_execute(start, registers, status | mode | cp0::STATUS_EXL) }
    })
}

fn return_address() -> u64 {
    (&raw const bare_execute_return).addr() as u64
}

/// For a handler: ends what [`run`] began when the handler returns.
pub fn leave(frame: &mut Frame) {
    frame.leave_to(return_address());
}

/// Runs `words` in kernel mode; the exception that ended them before their end, if any.
pub fn kernel(words: &[u32], registers: &mut Registers) -> Option<Frame> {
    put(words, &[jr(S0), NOP]);
    run(code_address(), registers, 0)
}

/// Runs `words` in user mode, at [`USER_CODE`], until an exception: `syscall` at their end, or
/// one before.
pub fn user(words: &[u32], registers: &mut Registers) -> Frame {
    put(words, &[SYSCALL, NOP]);
    user_at(USER_CODE, registers)
}

/// Goes to `start` in user mode until an exception.
pub fn user_at(start: u64, registers: &mut Registers) -> Frame {
    run(start, registers, cp0::STATUS_KSU_USER).expect("user mode ended without exception")
}

/// Maps the code for user mode with TLB entry 0, for the current ASID.
pub fn map_user_code() {
    let physical = physical_address(CODE.0.as_ptr());
    tlb::write_indexed(0, &user_entry(USER_CODE, physical));
}

/// An entry for a pair of 16 KiB pages, readable and writable, for the current ASID.
pub fn user_entry(address: u64, physical: u64) -> Entry {
    let asid = reg::ENTRY_HI.read() & 0x3ff;
    Entry {
        hi: address | asid,
        lo0: tlb::lo(physical, LO_V | LO_D),
        lo1: tlb::lo(physical + (16 << 10), LO_V | LO_D),
        page_mask: tlb::MASK_16K,
    }
}
