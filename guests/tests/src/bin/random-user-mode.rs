//! Executes random instruction words in user mode; this kernel sees exceptions and nothing else.
#![no_std]
#![no_main]

use disco_test_guests::abi::{BootInfo, CSSEG_WINDOW};
use disco_test_guests::cp0::{reg, STATUS_CU1, STATUS_EXL, STATUS_IE, STATUS_KSU_USER};
use disco_test_guests::exception;
use disco_test_guests::execute::{map_user_code, user};
use disco_test_guests::option;
use disco_test_guests::random::{watchdog, Random};
use disco_test_guests::time::{strike_in, ticks, TIMER};

disco_test_guests::guest!(run);

/// `seed=N`, `rounds=N`.
fn run(boot: &'static BootInfo) {
    let mut random = Random::new(option(boot, "seed", 0));
    exception::handle(watchdog);
    let kernel_status = reg::STATUS.read() & !STATUS_IE;
    for round in 0..option(boot, "rounds", 1000) {
        let (words, mut registers) = random.round();
        map_user_code();
        strike_in(ticks(boot, 20_000));
        let cu1 = if round % 2 == 0 { STATUS_CU1 } else { 0 };
        // EXL keeps interrupts off until user mode is entered.
        let status = kernel_status | STATUS_IE | TIMER | cu1 | STATUS_EXL;
        reg::STATUS.write(status);
        let frame = user(&words, &mut registers);
        reg::STATUS.write(kernel_status);
        let expected = status | STATUS_KSU_USER;
        assert_eq!(frame.status, expected, "Status after round {round}");
        assert_eq!(
            reg::EBASE.read() & !0xfff,
            CSSEG_WINDOW,
            "EBase after round {round}"
        );
    }
}
