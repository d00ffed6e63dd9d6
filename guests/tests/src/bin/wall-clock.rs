//! The wall clock is today's, never goes back, and goes as fast as Count.
#![no_std]
#![no_main]

use disco_test_guests::abi::BootInfo;
use disco_test_guests::calls::wall_clock;
use disco_test_guests::time::{count, since, until};

disco_test_guests::guest!(run);

const MILLISECOND: u64 = 1_000_000;
/// Years of 365.25 days.
const YEAR: u64 = 31_557_600_000 * MILLISECOND;

fn run(boot: &'static BootInfo) {
    let now = wall_clock();
    let years = 1970 + now / YEAR;
    assert!((2024..2100).contains(&years), "the year is {years}");
    let mut before = now;
    for _ in 0..2000 {
        let next = wall_clock();
        assert!(next >= before, "{next} after {before}");
        before = next;
    }
    let (wall, start) = (wall_clock(), count());
    until(boot, 2_000_000, || false);
    let (ticks, wall) = (since(start), wall_clock() - wall);
    let counted = ticks * 1000 / boot.count_hz * MILLISECOND;
    assert!(
        wall.abs_diff(counted) < 200 * MILLISECOND,
        "{wall} ns by the clock, {counted} by Count"
    );
}
