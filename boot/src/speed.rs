//! How fast Count runs: versions of QEMU differ. 7.2 rounds a tick of the board's 160 MHz to 6 ns,
//! later ones do not (target/mips, `mips_cp0_period_set` and `count_clock`).

use disco_arch::board::pit;
use disco_arch::cp0;

/// Picoseconds of a tick that are known to be possible.
const KNOWN: [u64; 2] = [6_000, 6_250];
/// A measurement may be off by so many picoseconds, a part in a hundred.
const OFF: u64 = 60;
/// Steps of the interval timer that a measurement takes: 5 ms.
const STEPS: u16 = 6_000;
/// Measurements, in case the host stops this CPU in the middle of one.
const TRIES: u32 = 50;

/// Picoseconds of a tick of Count; the first that is known if no measurement fits one.
#[link_section = ".init.text"]
#[inline(never)]
pub fn tick_ps() -> u64 {
    pit::start();
    for _ in 0..TRIES {
        let measured = measure();
        for known in KNOWN {
            if measured.abs_diff(known) <= OFF {
                return known;
            }
        }
    }
    KNOWN[0]
}

#[link_section = ".init.text"]
#[inline(never)]
fn measure() -> u64 {
    let from = pit::value();
    let begin = cp0::count();
    loop {
        let steps = from.wrapping_sub(pit::value());
        let ticks = cp0::count().wrapping_sub(begin);
        if steps >= STEPS {
            return u64::from(steps) * pit::STEP_PS / u64::from(ticks.max(1));
        }
    }
}
