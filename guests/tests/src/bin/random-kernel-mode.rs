//! Executes random instruction words in kernel mode for as long as this guest survives them.
//!
//! They may do anything to it, so it gives no verdict: it starts again when it fails. What must
//! hold is that nobody else notices.
#![no_std]
#![no_main]

use disco_test_guests::abi::BootInfo;
use disco_test_guests::cp0::{reg, STATUS_CU1, STATUS_EXL, STATUS_IE};
use disco_test_guests::exception;
use disco_test_guests::execute::{kernel, map_user_code};
use disco_test_guests::random::{watchdog, Random};
use disco_test_guests::time::{strike_in, ticks, TIMER};
use disco_test_guests::{option, println};

disco_test_guests::guest!(run, without verdict);

/// `seed=N`; of the clock without.
fn run(boot: &'static BootInfo) {
    let mut random = Random::new(option(boot, "seed", 0));
    exception::handle(watchdog);
    let base = reg::EBASE.read();
    let clean = reg::STATUS.read() & !STATUS_IE;
    for round in 0u64.. {
        if round % 1000 == 0 {
            println!("round {round}");
        }
        let (words, mut registers) = random.round();
        map_user_code();
        strike_in(ticks(boot, 20_000));
        let cu1 = if round % 2 == 0 { STATUS_CU1 } else { 0 };
        reg::STATUS.write(clean | STATUS_IE | TIMER | cu1 | STATUS_EXL);
        // Whatever it did: what can be repaired is, and the rest fails sooner or later.
        let _ = kernel(&words, &mut registers);
        reg::STATUS.write(clean);
        reg::EBASE.write(base | 1 << 11);
        reg::CAUSE.write(0);
        reg::WIRED.write(0);
    }
}
