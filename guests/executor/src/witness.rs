//! The witness: a virtual machine beside the one with the programs. It fills its memory with a pattern
//! and looks again and again whether all of it is still there.

use crate::{load, store};
use disco_bare::cp0::{reg, wait};
use disco_bare::{place, FREE_MEMORY};
use disco_executor_layout as layout;

/// Ticks of Count between two rounds: some 50 ms, so that it takes little of the host.
const PAUSE: u64 = 8_000_000;
/// Status: 64-bit addresses, the timer's interrupt for `wait`, none taken.
const STATUS: u64 = 0x80e0;

fn pattern(address: u64, round: u64) -> u64 {
    (address ^ round << 32).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Rounds of looking and writing anew, for ever.
pub fn watch() -> ! {
    let end = place::boot_info().memory;
    let words = || {
        (FREE_MEMORY..end)
            .step_by(8)
            .filter(|&address| address & !(layout::PAGE - 1) != FREE_MEMORY)
    };
    reg::STATUS.write(STATUS);
    words().for_each(|address| store(address, pattern(address, 0)));
    store(FREE_MEMORY + layout::WITNESS_WRONG, 0);
    store(FREE_MEMORY + layout::WITNESS_ROUNDS, 0);
    store(FREE_MEMORY, layout::WITNESS_MAGIC);
    let mut wrong = 0;
    for round in 0.. {
        for address in words() {
            if load(address) != pattern(address, round) {
                wrong += 1;
            }
            store(address, pattern(address, round + 1));
        }
        store(FREE_MEMORY + layout::WITNESS_WRONG, wrong);
        store(FREE_MEMORY + layout::WITNESS_ROUNDS, round + 1);
        reg::COMPARE.write(reg::COUNT.read().wrapping_add(PAUSE));
        wait();
    }
    unreachable!("64 bits of rounds")
}
