//! Small programs, one per fact of the CPU, that run natively and as a guest.
//!
//! A program prints a record of what it saw, between `begin NAME` and `end NAME`; the host compares
//! the records of both places.
#![no_std]

mod cp0;
mod entries;
mod floating;
mod interrupts;
mod levels;
mod links;
mod memory;
mod record;
mod run;
mod slots;
mod suite;
mod timer;
mod tlb;
mod traps;
mod user;

use disco_bare::program;
use suite::Suite;

program!(main);

fn main() {
    let mut suite = Suite::new();
    cp0::programs(&mut suite);
    traps::programs(&mut suite);
    slots::programs(&mut suite);
    memory::programs(&mut suite);
    tlb::programs(&mut suite);
    entries::programs(&mut suite);
    levels::programs(&mut suite);
    interrupts::programs(&mut suite);
    timer::programs(&mut suite);
    links::programs(&mut suite);
    floating::programs(&mut suite);
    user::programs(&mut suite);
    suite.done();
}
