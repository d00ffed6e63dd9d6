//! Exceptions: recorded, skipped, left, or handled by a test's own function.

use crate::Variable;

/// Codes of Cause.ExcCode.
pub mod code {
    /// Interrupt.
    pub const INT: u64 = 0;
    /// TLB modified.
    pub const MOD: u64 = 1;
    /// TLB miss or invalid, load or fetch.
    pub const TLBL: u64 = 2;
    /// TLB miss or invalid, store.
    pub const TLBS: u64 = 3;
    /// Address error, load or fetch.
    pub const ADEL: u64 = 4;
    /// Address error, store.
    pub const ADES: u64 = 5;
    /// Bus error, fetch.
    pub const IBE: u64 = 6;
    /// Bus error, load or store.
    pub const DBE: u64 = 7;
    /// System call.
    pub const SYS: u64 = 8;
    /// Breakpoint.
    pub const BP: u64 = 9;
    /// Reserved instruction.
    pub const RI: u64 = 10;
    /// Coprocessor unusable.
    pub const CPU: u64 = 11;
    /// Floating-point exception.
    pub const FPE: u64 = 15;
    /// TLB read inhibited.
    pub const TLBRI: u64 = 19;
    /// TLB execution inhibited.
    pub const TLBXI: u64 = 20;
}

/// Offset of the refill vector.
pub const VECTOR_REFILL: u64 = 0x080;
/// Offset of the general vector.
pub const VECTOR_GENERAL: u64 = 0x180;
/// Offset of the interrupt vector while Cause.IV is set.
pub const VECTOR_INTERRUPT: u64 = 0x200;

/// Registers at an exception. What a handler changes holds afterwards.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    /// General registers, but `$k0` and `$k1`.
    pub gpr: [u64; 32],
    /// EPC.
    pub epc: u64,
    /// Status, with EXL.
    pub status: u64,
    /// Cause.
    pub cause: u64,
    /// BadVAddr.
    pub bad_vaddr: u64,
    /// BadInstr.
    pub bad_instr: u64,
    /// BadInstrP.
    pub bad_instr_p: u64,
    /// EntryHi.
    pub entry_hi: u64,
    /// Context.
    pub context: u64,
    /// XContext.
    pub xcontext: u64,
    /// ErrorEPC.
    pub error_epc: u64,
    /// Offset of the vector that it came to.
    pub vector: u64,
}

impl Frame {
    /// Cause.ExcCode.
    pub const fn code(&self) -> u64 {
        self.cause >> 2 & 31
    }

    /// Cause.CE.
    pub const fn coprocessor(&self) -> u64 {
        self.cause >> 28 & 3
    }

    /// Cause.BD.
    pub const fn in_delay_slot(&self) -> bool {
        self.cause >> 31 & 1 != 0
    }

    /// Goes on at `address` in kernel mode.
    pub(crate) const fn leave_to(&mut self, address: u64) {
        self.epc = address;
        self.status = self.status & !(STATUS_KSU | STATUS_ERL) | STATUS_EXL;
    }
}

/// What becomes of an exception that the test's own handler does not take.
#[derive(Clone, Copy)]
enum Plan {
    /// It was not expected.
    Fail,
    /// Keep it and go on behind the instruction.
    Skip,
    /// Keep it and go on at this address in kernel mode.
    Leave(u64),
}

/// A test's own handler: whether the exception was its own, and the program goes on as it left
/// the frame.
pub type Handler = fn(&mut Frame) -> bool;

static HANDLER: Variable<Option<Handler>> = Variable::new(None);
static PLAN: Variable<Plan> = Variable::new(Plan::Fail);
static KEPT: Variable<Option<Frame>> = Variable::new(None);
static BUSY: Variable<bool> = Variable::new(false);

const STATUS_KSU: u64 = 0x18;
const STATUS_ERL: u64 = 0x04;
const STATUS_EXL: u64 = 0x02;

#[no_mangle]
extern "C" fn bare_handle_exception(frame: &mut Frame) {
    if BUSY.get() {
        unexpected(frame);
    }
    BUSY.set(true);
    let taken = HANDLER.get().is_some_and(|handler| handler(frame));
    if !taken {
        follow_plan(frame);
    }
    BUSY.set(false);
}

fn follow_plan(frame: &mut Frame) {
    match PLAN.get() {
        Plan::Fail => unexpected(frame),
        Plan::Skip => {
            keep(frame);
            assert!(
                !frame.in_delay_slot(),
                "cannot skip an exception in a delay slot"
            );
            frame.epc += 4;
        }
        Plan::Leave(address) => {
            keep(frame);
            frame.leave_to(address);
        }
    }
}

fn keep(frame: &Frame) {
    if KEPT.get().is_some() {
        unexpected(frame);
    }
    KEPT.set(Some(*frame));
}

/// Fails the test.
fn unexpected(frame: &Frame) -> ! {
    panic!(
        "unexpected exception {} at {:#x}: Cause {:#x}, BadVAddr {:#x}, BadInstr {:#x}",
        frame.code(),
        frame.epc,
        frame.cause,
        frame.bad_vaddr,
        frame.bad_instr
    )
}

fn with_plan(plan: Plan, body: impl FnOnce()) -> Option<Frame> {
    KEPT.set(None);
    let before = PLAN.get();
    PLAN.set(plan);
    body();
    PLAN.set(before);
    KEPT.get()
}

/// Runs `body`; the exception it raises, if any, whose instruction is skipped. A second one fails
/// the test.
pub fn catch(body: impl FnOnce()) -> Option<Frame> {
    with_plan(Plan::Skip, body)
}

/// Runs `body`; the exception it raises, if any, goes on at `address` in kernel mode.
pub(crate) fn catch_at(address: u64, body: impl FnOnce()) -> Option<Frame> {
    with_plan(Plan::Leave(address), body)
}

/// Whether an exception would be kept now, and not fail the test.
pub fn is_expected() -> bool {
    !matches!(PLAN.get(), Plan::Fail) && KEPT.get().is_none()
}

/// Offers every exception to `handler` first from now on.
pub fn handle(handler: Handler) {
    HANDLER.set(Some(handler));
}
