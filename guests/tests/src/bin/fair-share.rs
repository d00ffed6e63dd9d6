//! Computes for a while, says how far it came, `rounds` times, and computes on.
#![no_std]
#![no_main]

use disco_test_guests::abi::BootInfo;
use disco_test_guests::time::{count, since, ticks};
use disco_test_guests::{done, option, println, text};

disco_test_guests::guest!(run);

/// Steps between two looks at the time.
const STEPS: u64 = 2000;

fn run(boot: &'static BootInfo) {
    let milliseconds = option(boot, "milliseconds", 5000);
    // Until the others run, too.
    compute_for(boot, 1000);
    for _ in 0..option(boot, "rounds", 1) {
        let steps = compute_for(boot, milliseconds);
        println!("{} computed {steps} steps", text(&boot.name));
    }
    done();
    loop {
        compute_for(boot, 1000);
    }
}

/// Computes for so many milliseconds of Count: how many thousand steps.
fn compute_for(boot: &BootInfo, milliseconds: u64) -> u64 {
    let start = count();
    let limit = ticks(boot, milliseconds * 1000);
    let mut rounds = 0;
    let mut state = 1u64;
    while since(start) < limit {
        for _ in 0..STEPS {
            state = core::hint::black_box(state.wrapping_mul(6_364_136_223_846_793_005) + 1 & !0);
        }
        rounds += 1;
    }
    rounds * STEPS / 1000
}
