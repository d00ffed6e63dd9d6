//! Every virtual CPU makes random calls with random arguments: they start and stop each other, shoot
//! translations down, send messages to each other and on the subnet, end the virtual machine. What becomes of this one counts for
//! nothing; the monitor and others must not notice.
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU64, Ordering};
use disco_test_guests::abi::{BootInfo, Call, PAGE_SIZE, SHOOTDOWN_ALL};
use disco_test_guests::calls::raw;
use disco_test_guests::option;
use disco_test_guests::place::base;
use disco_test_guests::random::Random;
use disco_test_guests::siblings::start;
use disco_test_guests::subnet;

disco_test_guests::guest!(run, without verdict);

/// 8 MiB that nobody needs.
const UNNEEDED: u64 = 8 << 20;
/// Its link-level address.
static OWN: AtomicU64 = AtomicU64::new(0);

fn run(boot: &'static BootInfo) {
    let seed = option(boot, "seed", 1) ^ disco_test_guests::calls::wall_clock();
    let mut random = Random::new(seed);
    OWN.store(subnet::info().mac, Ordering::Relaxed);
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

/// An address in memory that nobody needs.
fn unneeded(random: &mut Random) -> u64 {
    UNNEEDED + random.next() % (8 << 20)
}

/// Stores words there, for a call to read while siblings store others: their address.
fn words(random: &mut Random, count: u64, word: impl Fn(&mut Random, u64) -> u64) -> u64 {
    let address = UNNEEDED + random.next() % 4 * 4096;
    for at in 0..count {
        let word = word(random, at);
        // SAFETY: memory that nobody needs.
        unsafe { ((base() + address + at * 8) as *mut u64).write_volatile(word) };
    }
    address
}

/// A list for `NetSend`: some heads and fragments, of frames to oneself, to others, to nobody.
fn messages(random: &mut Random) -> u64 {
    let own = OWN.load(Ordering::Relaxed);
    let frame = unneeded(random) & !7;
    let to = [own, own, subnet::BROADCAST, random.next() >> 16][random.next() as usize % 4];
    let from = if random.next().is_multiple_of(8) {
        to
    } else {
        own
    };
    subnet::set_header(frame.min(UNNEEDED + (7 << 20)), to, from, 0x88b5);
    words(random, 75, |random, at| match random.next() % 12 {
        0 => number(random),
        _ if at % 6 == 0 => 2,
        _ if at % 6 == 1 => 0,
        _ if at % 6 == 2 => frame,
        _ if at % 2 == 1 => random.next() % 0x5000,
        1..6 => unneeded(random) & !0x3fff,
        _ => unneeded(random),
    })
}

/// Slots for `NetReceive`.
fn places(random: &mut Random) -> u64 {
    words(random, 60, |random, at| match random.next() % 30 {
        0 => number(random),
        _ if at % 20 == 1 => random.next() % 0x3000,
        _ if at % 20 == 0 => unneeded(random),
        _ => unneeded(random) & !0x3fff,
    })
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
            raw(call as u64, [unneeded(random), number(random), 0, 0]);
        }
        Call::Remap | Call::PageFree | Call::PageZero => {
            // Mostly whole pages; the second address is a number of bytes for the last two.
            let pages = |random: &mut Random| {
                let place = (8 << 20) + random.next() % (8 << 20);
                place & !(PAGE_SIZE - 1) | u64::from(random.next().is_multiple_of(16))
            };
            let bytes = match random.next() % 8 {
                0 => number(random),
                _ => (random.next() % 20) * PAGE_SIZE,
            };
            let first = pages(random);
            let arguments = match call {
                Call::Remap => [first, pages(random), bytes, 0],
                _ => [first, bytes, 0, 0],
            };
            raw(call as u64, arguments);
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
        Call::NetInfo => {
            raw(call as u64, [unneeded(random), 0, 0, 0]);
        }
        Call::NetPeer => {
            raw(call as u64, [number(random), unneeded(random), 0, 0]);
        }
        Call::NetSend => {
            let list = messages(random);
            raw(call as u64, [list, random.next() % 600, 0, 0]);
        }
        Call::NetReceive => {
            let slots = places(random);
            raw(call as u64, [slots, number(random), 0, 0]);
        }
        // A translation of the guest's own is never used.
        _ => {
            let arguments = [0; 4].map(|_: u64| number(random));
            raw(call as u64, arguments);
        }
    }
}
