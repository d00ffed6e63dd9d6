//! Runs a program's instruction words in a mode and records the exceptions that they raise.

use crate::record::{see, see_address};
use disco_bare::cp0::{self, reg};
use disco_bare::exception::{self, Frame};
use disco_bare::execute::{self, Registers};
use disco_bare::instruction::{jr, NOP};
use disco_bare::registers::S0;
use disco_bare::tlb::{self, Entry, LO_D, LO_G, LO_V};
use disco_bare::{place, Variable};

/// Where code runs in kernel and supervisor mode: mapped by the TLB in both places.
pub const KERNEL_CODE: u64 = 0xffff_ffff_d000_0000;
/// Where code runs in user mode.
pub const USER_CODE: u64 = 0x40_0000;
/// The word that ends code in user and supervisor mode: `break` with a code of its own.
const END: u32 = 0x0d | 0x2aa << 16;
/// Exceptions that are kept.
const KEPT_MAX: usize = 8;
/// Status.KSU: supervisor mode.
pub const STATUS_KSU_SUPERVISOR: u64 = 1 << 3;

/// A mode of the CPU.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// KSU = 0.
    Kernel,
    /// KSU = 1.
    Supervisor,
    /// KSU = 2.
    User,
}

impl Mode {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Kernel, Self::Supervisor, Self::User];

    /// Its name, as part of a program's.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Supervisor => "supervisor",
            Self::User => "user",
        }
    }

    const fn status(self) -> u64 {
        match self {
            Self::Kernel => 0,
            Self::Supervisor => STATUS_KSU_SUPERVISOR,
            Self::User => cp0::STATUS_KSU_USER,
        }
    }

    const fn code(self) -> u64 {
        match self {
            Self::User => USER_CODE,
            _ => KERNEL_CODE,
        }
    }
}

static KEPT: Variable<[Option<Frame>; KEPT_MAX]> = Variable::new([None; KEPT_MAX]);
static COUNT: Variable<usize> = Variable::new(0);
/// Whether an exception is skipped, and does not end the code.
static SKIP: Variable<bool> = Variable::new(false);

fn handle(frame: &mut Frame) -> bool {
    if frame.code() == exception::code::BP && frame.bad_instr as u32 == END {
        execute::leave(frame);
        return true;
    }
    let mut kept = KEPT.get();
    let count = COUNT.get();
    if let Some(place) = kept.get_mut(count) {
        *place = Some(*frame);
        KEPT.set(kept);
        COUNT.set(count + 1);
    }
    if SKIP.get() && !frame.in_delay_slot() && count + 1 < KEPT_MAX {
        frame.epc += 4;
    } else {
        execute::leave(frame);
    }
    true
}

/// Puts everything that a program may have changed back to a state that both places share.
pub fn fresh() {
    exception::handle(handle);
    cp0::clear_status(!0x0400_00e0);
    cp0::set_status(0xe0);
    reg::CAUSE.write(0);
    reg::WIRED.write(0);
    cp0::tlbinvf();
    reg::INDEX.write(0);
    reg::ENTRY_LO0.write(0);
    reg::ENTRY_LO1.write(0);
    reg::PAGE_MASK.write(0);
    reg::ENTRY_HI.write(0);
    reg::CONTEXT.write(0);
    reg::XCONTEXT.write(0);
    reg::USER_LOCAL.write(0);
    reg::HWRENA.write(0);
    reg::EPC.write(0);
    reg::ERROR_EPC.write(0);
    reg::COMPARE.write(reg::COUNT.read().wrapping_sub(1));
    KEPT.set([None; KEPT_MAX]);
    COUNT.set(0);
    SKIP.set(false);
}

/// Maps the code for `mode` with TLB entry 15, for all address spaces.
fn map_code(mode: Mode) {
    let physical = place::physical_address(execute::code_address() as usize as *const u8);
    let lo = |offset| tlb::lo(physical + offset, LO_V | LO_D | LO_G);
    let entry = Entry {
        hi: mode.code(),
        lo0: lo(0),
        lo1: lo(16 << 10),
        page_mask: tlb::MASK_16K,
    };
    let (index, hi) = (reg::INDEX.read(), reg::ENTRY_HI.read());
    tlb::write_indexed(15, &entry);
    reg::INDEX.write(index);
    reg::ENTRY_HI.write(hi);
    reg::ENTRY_LO0.write(0);
    reg::ENTRY_LO1.write(0);
    reg::PAGE_MASK.write(0);
}

/// Runs `words` in `mode` where the TLB maps them, with `status` added to Status, until the first
/// exception or their end.
pub fn mapped(words: &[u32], mode: Mode, registers: &mut Registers, status: u64) {
    map_code(mode);
    let end = match mode {
        Mode::Kernel => jr(S0),
        _ => END,
    };
    execute::put(words, &[end, NOP]);
    execute::run(mode.code(), registers, status | mode.status());
}

/// Runs `words` in kernel mode where the place has them, unmapped.
pub fn unmapped(words: &[u32], registers: &mut Registers) {
    execute::put(words, &[jr(S0), NOP]);
    execute::run(execute::code_address(), registers, 0);
}

/// From now on in this program, exceptions are skipped, and do not end the code.
pub fn skip_exceptions() {
    SKIP.set(true);
}

/// Lines about the exceptions so far.
pub fn see_exceptions() {
    let count = COUNT.get();
    see("exceptions", count);
    for (number, frame) in KEPT.get().iter().flatten().enumerate() {
        see(format_args!("{number}.vector"), frame.vector);
        see(format_args!("{number}.cause"), frame.cause as u32);
        see(format_args!("{number}.status"), frame.status as u32);
        see_address(format_args!("{number}.epc"), frame.epc);
        see_address(format_args!("{number}.badvaddr"), frame.bad_vaddr);
        see(format_args!("{number}.badinstr"), frame.bad_instr as u32);
        see(format_args!("{number}.badinstrp"), frame.bad_instr_p as u32);
        see(format_args!("{number}.entryhi"), frame.entry_hi);
        see(format_args!("{number}.context"), frame.context);
        see(format_args!("{number}.xcontext"), frame.xcontext);
        see(format_args!("{number}.errorepc"), frame.error_epc);
    }
}
