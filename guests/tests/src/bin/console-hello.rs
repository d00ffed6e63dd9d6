//! What a guest prints appears on the console, whole and in order.
#![no_std]
#![no_main]

use disco_test_guests::abi::BootInfo;
use disco_test_guests::println;

disco_test_guests::guest!(run);

fn run(_: &'static BootInfo) {
    println!("hello from a guest");
    for line in 0..200 {
        println!("line {line} of 200 {:=>60}", line);
    }
    println!("that was all");
}
