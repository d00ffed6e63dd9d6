//! `wait` gives the CPU away until an interrupt comes, and not much longer.
#![no_std]
#![no_main]

use disco_test_guests::abi::BootInfo;
use disco_test_guests::cp0::{self, reg};
use disco_test_guests::exception::{self, code, Frame};
use disco_test_guests::time::{count, since, strike_in, ticks, wait_until, TIMER};
use disco_test_guests::Variable;

disco_test_guests::guest!(run);

static STRUCK: Variable<u64> = Variable::new(0);

fn tick(frame: &mut Frame) -> bool {
    if frame.code() != code::INT {
        return false;
    }
    reg::COMPARE.write(reg::COMPARE.read());
    STRUCK.set(STRUCK.get() + 1);
    true
}

fn run(boot: &'static BootInfo) {
    exception::handle(tick);
    cp0::set_status(TIMER);
    let mut waits = 0;
    let mut late = 0;
    for round in 1..=20 {
        let start = count();
        strike_in(ticks(boot, 30_000));
        waits += wait_until(|| STRUCK.get() >= round);
        let passed = since(start);
        assert!(
            passed >= ticks(boot, 30_000),
            "round {round}: {passed} ticks are too few"
        );
        late += u64::from(passed > ticks(boot, 130_000));
    }
    assert!(waits <= 60, "{waits} returns of wait for 20 interrupts");
    assert!(late <= 10, "{late} of 20 waits took 100 ms too long");
}
