//! Count can be set and stopped; `rdhwr` and the timer go by the same Count.
#![no_std]
#![no_main]

use disco_test_guests::abi::BootInfo;
use disco_test_guests::cp0::{reg, CAUSE_DC, CAUSE_TI};
use disco_test_guests::execute::{kernel, map_user_code, user, Registers};
use disco_test_guests::instruction::*;
use disco_test_guests::registers::*;
use disco_test_guests::time::{count, since, strike_in, ticks, until};

disco_test_guests::guest!(run);

fn run(boot: &'static BootInfo) {
    map_user_code();
    reg::HWRENA.write(1 << 2);
    // Values far from each other and from what it was; the host may hold us up meanwhile.
    let slack = 10 * boot.count_hz;
    for value in [0x1000_0000u32, 0xf000_0000, 0, 0x7fff_fff0] {
        reg::COUNT.write(value.into());
        let later = since(value);
        assert!(
            later < slack.min(1 << 30),
            "{later} ticks behind {value:#x}"
        );
        let hardware = rdhwr_count(true);
        assert!(
            since(hardware) < 1 << 30 && hardware.wrapping_sub(value) < 1 << 30,
            "rdhwr"
        );
        let hardware = rdhwr_count(false);
        assert!(
            since(hardware) < 1 << 30 && hardware.wrapping_sub(value) < 1 << 30,
            "rdhwr"
        );
        runs(boot);
        strike_in(ticks(boot, 3_000));
        let compare = reg::COMPARE.read() as u32;
        assert!(
            until(boot, 5_000_000, || reg::CAUSE.read() & CAUSE_TI != 0),
            "no timer"
        );
        assert!(
            (count().wrapping_sub(compare) as i32) >= 0,
            "the timer was early"
        );
    }
    stopped(boot);
}

fn rdhwr_count(from_user: bool) -> u32 {
    let mut registers = Registers::new();
    let words = [rdhwr(V0, 2)];
    if from_user {
        user(&words, &mut registers);
    } else {
        kernel(&words, &mut registers);
    }
    registers.get(V0) as u32
}

fn runs(boot: &BootInfo) {
    let start = count();
    assert!(!until(boot, 1_000, || false));
    assert!(since(start) >= ticks(boot, 1_000));
}

fn stopped(boot: &BootInfo) {
    reg::CAUSE.write(CAUSE_DC);
    reg::COUNT.write(0x1234_5678);
    for _ in 0..10_000 {
        assert_eq!(count(), 0x1234_5678, "Count stands still");
    }
    assert_eq!(rdhwr_count(true), 0x1234_5678, "rdhwr stands still");
    reg::COMPARE.write(0x1234_5678 + 100);
    for _ in 0..10_000 {
        assert_eq!(
            reg::CAUSE.read() & CAUSE_TI,
            0,
            "no timer while Count stands still"
        );
    }
    reg::CAUSE.write(0);
    assert!(
        since(0x1234_5678) < 10 * boot.count_hz,
        "Count goes on from where it stood"
    );
    assert!(
        until(boot, 5_000_000, || reg::CAUSE.read() & CAUSE_TI != 0),
        "no timer"
    );
    runs(boot);
}
