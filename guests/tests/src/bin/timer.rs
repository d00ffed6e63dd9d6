//! Count reaching Compare interrupts, when IM, IE, EXL and the special page let it.
#![no_std]
#![no_main]

use disco_test_guests::abi::{BootInfo, Call, SP_PENDING, SP_STATUS};
use disco_test_guests::calls::call;
use disco_test_guests::cp0::{self, reg, CAUSE_TI, STATUS_IE};
use disco_test_guests::exception::{self, code, Frame};
use disco_test_guests::time::{count, strike_in, ticks, until, TIMER};
use disco_test_guests::{special, Variable};

disco_test_guests::guest!(run);

static STRUCK: Variable<u64> = Variable::new(0);
static EARLY: Variable<bool> = Variable::new(false);

const SECOND: u64 = 1_000_000;

/// Counts, and acknowledges by writing Compare.
fn tick(frame: &mut Frame) -> bool {
    if frame.code() != code::INT {
        return false;
    }
    let compare = reg::COMPARE.read() as u32;
    EARLY.set(EARLY.get() || (count().wrapping_sub(compare) as i32) < 0);
    assert_eq!(
        frame.cause & (CAUSE_TI | TIMER),
        CAUSE_TI | TIMER,
        "Cause {:#x}",
        frame.cause
    );
    reg::COMPARE.write(compare.into());
    STRUCK.set(STRUCK.get() + 1);
    true
}

fn run(boot: &'static BootInfo) {
    exception::handle(tick);
    strikes(boot);
    masked(boot);
    by_the_special_page(boot);
    periodic(boot);
    assert!(!EARLY.get(), "an interrupt before Count reached Compare");
}

fn strikes(boot: &BootInfo) {
    cp0::set_status(TIMER | STATUS_IE);
    strike_in(ticks(boot, 20_000));
    assert_eq!(
        reg::CAUSE.read() & (CAUSE_TI | TIMER),
        0,
        "writing Compare acknowledges"
    );
    assert!(
        until(boot, 5 * SECOND, || STRUCK.get() == 1),
        "no interrupt"
    );
    assert_eq!(reg::CAUSE.read() & (CAUSE_TI | TIMER), 0, "acknowledged");
    until(boot, 20_000, || false);
    assert_eq!(STRUCK.get(), 1, "it strikes once");
}

fn masked(boot: &BootInfo) {
    cp0::clear_status(TIMER);
    strike_in(ticks(boot, 2_000));
    let waits = || reg::CAUSE.read() & (CAUSE_TI | TIMER) == CAUSE_TI | TIMER;
    assert!(
        until(boot, 5 * SECOND, waits),
        "Cause shows no timer interrupt"
    );
    assert_eq!(STRUCK.get(), 1, "IM holds it back");
    assert_eq!(special::read(SP_PENDING), 0, "IM does not let it through");
    cp0::set_status(TIMER);
    assert_eq!(STRUCK.get(), 2, "opening IM lets it in at once");
}

/// IE is cleared and set by stores to the special page; the monitor says what waits.
fn by_the_special_page(boot: &BootInfo) {
    let status = special::read(SP_STATUS);
    special::write(SP_STATUS, status & !STATUS_IE);
    strike_in(ticks(boot, 2_000));
    assert!(
        until(boot, 5 * SECOND, || special::read(SP_PENDING) != 0),
        "nothing pending"
    );
    assert_eq!(STRUCK.get(), 2, "IE holds it back");
    special::write(SP_STATUS, status);
    if STRUCK.get() == 2 {
        assert_eq!(call(Call::Deliver, [0; 4]), Ok(0));
    }
    assert_eq!(STRUCK.get(), 3, "Deliver lets it in");
    assert_eq!(special::read(SP_PENDING), 0, "nothing is pending any more");
}

fn periodic(boot: &BootInfo) {
    let start = STRUCK.get();
    let first = count();
    for number in 1..=20 {
        strike_in(ticks(boot, 5_000));
        assert!(
            until(boot, 5 * SECOND, || STRUCK.get() == start + number),
            "tick {number}"
        );
    }
    let passed = u64::from(count().wrapping_sub(first));
    assert!(
        passed >= ticks(boot, 100_000),
        "20 times 5 ms in {passed} ticks"
    );
}
