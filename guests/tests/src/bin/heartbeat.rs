//! Prints numbered lines, some a second: the witness that a virtual machine goes on.
#![no_std]
#![no_main]

use disco_test_guests::abi::BootInfo;
use disco_test_guests::cp0::{self, reg};
use disco_test_guests::exception::{self, code, Frame};
use disco_test_guests::time::{strike_in, ticks, wait_until, TIMER};
use disco_test_guests::{option, println, Variable};

disco_test_guests::guest!(run);

static BEATS: Variable<u64> = Variable::new(0);

fn tick(frame: &mut Frame) -> bool {
    reg::COMPARE.write(reg::COMPARE.read());
    BEATS.set(BEATS.get() + 1);
    frame.code() == code::INT
}

/// `beats=N`: ends after so many; `every=N` milliseconds.
fn run(boot: &'static BootInfo) {
    let beats = option(boot, "beats", u64::MAX);
    let every = ticks(boot, option(boot, "every", 100) * 1000);
    exception::handle(tick);
    cp0::set_status(TIMER);
    for beat in 1..=beats {
        strike_in(every);
        wait_until(|| BEATS.get() >= beat);
        println!("beat {beat} {:=>60}", "");
    }
}
