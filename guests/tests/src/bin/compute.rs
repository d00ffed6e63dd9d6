//! A long computation with a known result, interrupted by its timer all the while.
#![no_std]
#![no_main]

use disco_test_guests::abi::BootInfo;
use disco_test_guests::cp0::{self, reg, STATUS_IE};
use disco_test_guests::exception::{self, code, Frame};
use disco_test_guests::time::{strike_in, ticks, TIMER};
use disco_test_guests::{option, println, Variable};

disco_test_guests::guest!(run);

const FACTOR: u64 = 6_364_136_223_846_793_005;
const ADDEND: u64 = 1_442_695_040_888_963_407;

static INTERRUPTS: Variable<u64> = Variable::new(0);
static EVERY: Variable<u64> = Variable::new(0);

fn tick(frame: &mut Frame) -> bool {
    strike_in(EVERY.get());
    INTERRUPTS.set(INTERRUPTS.get() + 1);
    frame.code() == code::INT
}

fn run(boot: &'static BootInfo) {
    let steps = option(boot, "steps", 20_000_000);
    EVERY.set(ticks(boot, 3000));
    exception::handle(tick);
    cp0::set_status(STATUS_IE | TIMER);
    strike_in(EVERY.get());
    let mut state = 1u64;
    for _ in 0..steps {
        state = core::hint::black_box(state.wrapping_mul(FACTOR).wrapping_add(ADDEND));
    }
    assert_eq!(state, after(steps), "the result of {steps} steps");
    assert!(INTERRUPTS.get() > 0, "no timer interrupt meanwhile");
    println!("computed, with {} interrupts", INTERRUPTS.get());
    cp0::clear_status(STATUS_IE);
    reg::COMPARE.write(0);
}

/// The state after so many steps, by squaring the step.
fn after(mut steps: u64) -> u64 {
    let (mut factor, mut addend) = (FACTOR, ADDEND);
    let mut state = 1u64;
    while steps != 0 {
        if steps & 1 != 0 {
            state = state.wrapping_mul(factor).wrapping_add(addend);
        }
        addend = addend.wrapping_mul(factor.wrapping_add(1));
        factor = factor.wrapping_mul(factor);
        steps >>= 1;
    }
    state
}
