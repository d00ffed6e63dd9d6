//! Every virtual CPU makes random calls with random arguments: they start and stop each other, shoot
//! translations down, send messages, end the virtual machine. What becomes of this one counts for
//! nothing; the monitor and others must not notice.
#![no_std]
#![no_main]

use disco_test_guests::abi::{BootInfo, Call, SHOOTDOWN_ALL};
use disco_test_guests::calls::raw;
use disco_test_guests::option;
use disco_test_guests::random::Random;
use disco_test_guests::siblings::start;

disco_test_guests::guest!(run, without verdict);

fn run(boot: &'static BootInfo) {
    let seed = option(boot, "seed", 1) ^ disco_test_guests::calls::wall_clock();
    let mut random = Random::new(seed);
    let steps = option(boot, "steps", 3000);
    for _ in 0..steps {
        step(&mut random, boot.vcpus);
    }
}

extern "C" fn sibling(seed: u64) {
    let mut random = Random::quietly(seed);
    for _ in 0..random.next() % 4000 {
        step(&mut random, 16);
    }
}

/// A number that is often a good one.
fn number(random: &mut Random) -> u64 {
    match random.next() % 8 {
        0..5 => random.next() % 4,
        5 => random.next() % 70,
        6 => u64::MAX - random.next() % 3,
        _ => random.next(),
    }
}

fn step(random: &mut Random, vcpus: u64) {
    let call = Call::ALL[random.next() as usize % Call::ALL.len()];
    match call {
        Call::CpuStart => {
            let _ = start(random.next() % vcpus.max(1), sibling, random.next());
        }
        // Once in a while.
        Call::Shutdown if !random.next().is_multiple_of(200) => {}
        Call::CpuStop if !random.next().is_multiple_of(50) => {}
        Call::ConsoleWrite | Call::TestVerdict | Call::ShellReady => {}
        // Memory that nobody needs.
        Call::ConsoleRead => {
            let place = 8 << 20;
            raw(
                call as u64,
                [place + random.next() % (8 << 20), number(random), 0, 0],
            );
        }
        Call::Shutdown => {
            raw(
                call as u64,
                [random.next() % 4, number(random), number(random), 0],
            );
        }
        Call::Shootdown => {
            let mask = random.next() % (2 << vcpus.min(16));
            let bytes = match random.next() % 4 {
                0 => 0,
                1 => SHOOTDOWN_ALL,
                2 => random.next() % (1 << 22),
                _ => random.next(),
            };
            raw(call as u64, [mask, random.next() % (17 << 20), bytes, 0]);
        }
        Call::IpiSend => {
            raw(
                call as u64,
                [
                    random.next() % (2 << vcpus.min(16)),
                    random.next() >> 1,
                    0,
                    0,
                ],
            );
        }
        // A translation of the guest's own is never used.
        _ => {
            let arguments = [0; 4].map(|_: u64| number(random));
            raw(call as u64, arguments);
        }
    }
}
