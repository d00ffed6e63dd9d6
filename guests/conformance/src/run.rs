//! Runs a program's instruction words in a mode and records the exceptions that they raise.

use crate::record::{see, see_text, Address};
use core::fmt::{self, Display};
use disco_bare::cp0::{self, reg, STATUS_ERL, STATUS_EXL, STATUS_IE};
use disco_bare::exception::{self, Frame};
use disco_bare::execute::{self, Registers};
use disco_bare::instruction::{beq, jr, lw, mfc0, NOP};
use disco_bare::registers::{S0, V0, ZERO};
use disco_bare::tlb::{self, Entry, LO_D, LO_G, LO_V};
use disco_bare::{access, place, Variable, FREE_MEMORY};

/// Where code runs in kernel and supervisor mode: mapped by the TLB in both places.
pub const KERNEL_CODE: u64 = 0xffff_ffff_d000_0000;
/// Where code runs in user mode.
pub const USER_CODE: u64 = 0x40_0000;
/// A pair of pages of 16 KiB for user mode, and the same for the others.
pub const DATA: u64 = 0x80_0000;
/// The same memory for kernel and supervisor mode.
pub const KERNEL_DATA: u64 = 0xffff_ffff_d100_0000;
/// Where it is in physical memory.
pub const DATA_PHYSICAL: u64 = FREE_MEMORY;
/// The word that ends code in user and supervisor mode: `break` with a code of its own.
const END: u32 = 0x0d | 0x2aa << 16;
/// Exceptions that are kept.
const KEPT_MAX: usize = 8;
/// Status at the beginning of every program: 64-bit addresses, kernel mode, interrupts off.
const STATUS: u64 = 0x0400_00e0;
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

    /// Where its code runs.
    pub const fn code(self) -> u64 {
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
/// Whether the next exception goes on at word 4 of the code with EXL still set.
static NEST: Variable<bool> = Variable::new(false);

fn handle(frame: &mut Frame) -> bool {
    if frame.code() == exception::code::BP && frame.bad_instr as u32 == END {
        leave(frame);
        return true;
    }
    let mut kept = KEPT.get();
    let count = COUNT.get();
    if let Some(place) = kept.get_mut(count) {
        *place = Some(*frame);
        KEPT.set(kept);
    }
    COUNT.set(count + 1);
    if NEST.get() {
        // `eret` from ERL leaves EXL set.
        NEST.set(false);
        reg::ERROR_EPC.write(KERNEL_CODE + 16);
        frame.status |= STATUS_ERL | STATUS_EXL;
        return true;
    }
    let interrupt = frame.code() == exception::code::INT;
    if interrupt && SKIP.get() {
        // Once is enough, and the way back is the interrupted instruction.
        frame.status &= !STATUS_IE;
    } else if SKIP.get() && !frame.in_delay_slot() && count + 1 < KEPT_MAX {
        frame.epc += 4;
    } else {
        leave(frame);
    }
    true
}

/// Ends the code, with interrupts off: one may still wait.
fn leave(frame: &mut Frame) {
    frame.status &= !STATUS_IE;
    execute::leave(frame);
}

/// Puts everything that a program may have changed back to a state that both places share.
pub fn fresh() {
    exception::handle(handle);
    cp0::clear_status(!STATUS);
    reg::STATUS.write(STATUS);
    reg::CAUSE.write(0);
    reg::WIRED.write(0);
    reg::HWRENA.write(0);
    known_last_exception();
    cp0::tlbinvf();
    reg::INDEX.write(0);
    reg::ENTRY_LO0.write(0);
    reg::ENTRY_LO1.write(0);
    reg::PAGE_MASK.write(0);
    reg::ENTRY_HI.write(0);
    reg::CONTEXT.write(0);
    reg::XCONTEXT.write(0);
    reg::USER_LOCAL.write(0);
    reg::EPC.write(0);
    reg::ERROR_EPC.write(0);
    reg::COMPARE.write(reg::COUNT.read().wrapping_sub(1));
    forget_exceptions();
    SKIP.set(false);
    NEST.set(false);
}

/// Forgets the exceptions so far.
pub fn forget_exceptions() {
    KEPT.set([None; KEPT_MAX]);
    COUNT.set(0);
}

/// BadVAddr, BadInstr, BadInstrP, Cause.CE and the lower part of Context and XContext cannot be
/// written: exceptions make them the same in both places, one of coprocessor 0 and one at page 0, in
/// a delay slot.
fn known_last_exception() {
    let mut registers = Registers::new();
    mapped(&[mfc0(V0, 15, 0)], Mode::User, &mut registers, 0);
    let words = [beq(ZERO, ZERO, 1), lw(V0, 0, ZERO)];
    mapped(&words, Mode::Kernel, &mut registers, 0);
}

/// Maps the code for `mode` with TLB entry 15, for all address spaces.
pub fn map_code(mode: Mode) {
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

/// Maps the pages of data with TLB entries 13 and 14, with these flags in EntryLo0 and EntryLo1 and
/// `asid`, and fills their first and last words with a pattern.
pub fn data(asid: u64, lo0: u64, lo1: u64) {
    for (index, address) in [(13, DATA), (14, KERNEL_DATA)] {
        let entry = Entry {
            hi: address | asid,
            lo0: tlb::lo(DATA_PHYSICAL, lo0),
            lo1: tlb::lo(DATA_PHYSICAL + (16 << 10), lo1),
            page_mask: tlb::MASK_16K,
        };
        tlb::write_indexed(index, &entry);
    }
    reg::INDEX.write(0);
    reg::ENTRY_LO0.write(0);
    reg::ENTRY_LO1.write(0);
    reg::PAGE_MASK.write(0);
    for offset in (0..64).chain((16 << 10) - 64..(16 << 10) + 64).step_by(8) {
        access::set_physical(DATA_PHYSICAL + offset, 0x8192_a3b4_c5d6_e7f8 ^ offset);
    }
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

/// Sets Status.KX, SX, UX and PX to `bits` for the rest of the program. The program itself is at
/// addresses of 32 bits.
pub fn with_addressing(bits: u64) {
    reg::STATUS.write(reg::STATUS.read() & !0x80_00e0 | bits);
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

/// The next exception in kernel mode does not end the code: it goes on at word 4, with EXL set.
pub fn nest() {
    NEST.set(true);
}

/// The first exception.
pub fn first() -> Frame {
    KEPT.get()[0].expect("an exception")
}

/// How many exceptions there were.
pub fn count() -> usize {
    COUNT.get()
}

/// Lines about the exceptions so far.
pub fn see_exceptions() {
    see("exceptions", COUNT.get());
    for (number, frame) in KEPT.get().iter().flatten().enumerate() {
        see(format_args!("{number}.vector"), frame.vector);
        see(format_args!("{number}.cause"), frame.cause as u32);
        see(format_args!("{number}.status"), frame.status as u32);
        see_text(format_args!("{number}.epc"), Address(frame.epc));
        see(format_args!("{number}.badvaddr"), frame.bad_vaddr);
        see(format_args!("{number}.badinstr"), frame.bad_instr as u32);
        see(format_args!("{number}.badinstrp"), frame.bad_instr_p as u32);
        see(format_args!("{number}.entryhi"), frame.entry_hi);
        see(format_args!("{number}.context"), frame.context);
        see(format_args!("{number}.xcontext"), frame.xcontext);
        see(format_args!("{number}.errorepc"), frame.error_epc);
    }
}

/// The exceptions so far in a few words, for records that compare many at once: a name and the
/// vector's offset.
pub struct Brief;

/// Names of the codes.
const NAMES: [&str; 22] = [
    "Int", "Mod", "TLBL", "TLBS", "AdEL", "AdES", "IBE", "DBE", "Sys", "Bp", "RI", "CpU", "Ov",
    "Tr", "MSAFPE", "FPE", "16", "17", "C2E", "TLBRI", "TLBXI", "MSADis",
];

impl Display for Brief {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if COUNT.get() == 0 {
            return out.write_str("none");
        }
        for (number, frame) in KEPT.get().iter().flatten().enumerate() {
            let space = if number == 0 { "" } else { " " };
            let name = NAMES.get(frame.code() as usize).unwrap_or(&"?");
            write!(out, "{space}{name}@{:x}", frame.vector)?;
            if frame.code() == exception::code::CPU {
                write!(out, "/{}", frame.coprocessor())?;
            }
        }
        Ok(())
    }
}
