//! Floods its console with escape sequences and forged lines, without end.
#![no_std]
#![no_main]

use disco_test_guests::abi::BootInfo;
use disco_test_guests::{console, done, print};

disco_test_guests::guest!(run);

fn run(_: &'static BootInfo) {
    let mut noise = [0u8; 900];
    let mut state = 1u32;
    for (index, byte) in noise.iter_mut().enumerate() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *byte = if index % 300 == 299 {
            b'\n'
        } else {
            (state >> 24) as u8
        };
    }
    done();
    for round in 0u64.. {
        print!("\x1b[2J\x1b[1;1H\x1b]0;owned\x07\r[calm] forged {round}\r\n");
        print!("\x1b[31mdisco> poweroff\x1b[0m\x08\x08\x08\u{9b}1A\n");
        if round % 16 == 0 {
            console::write(&noise);
        }
    }
}
