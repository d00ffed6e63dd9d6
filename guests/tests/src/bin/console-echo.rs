//! What is typed reaches the guest, announced by the console's interrupt line.
#![no_std]
#![no_main]

use disco_test_guests::abi::{BootInfo, LINE_CONSOLE};
use disco_test_guests::cp0::{self, line};
use disco_test_guests::exception::{self, code, Frame};
use disco_test_guests::time::wait_until;
use disco_test_guests::{console, println, Variable};

disco_test_guests::guest!(run);

static INTERRUPTS: Variable<u64> = Variable::new(0);

/// The line stays raised while there is input: the mask is closed instead.
fn note(frame: &mut Frame) -> bool {
    frame.status &= !line(LINE_CONSOLE);
    INTERRUPTS.set(INTERRUPTS.get() + 1);
    frame.code() == code::INT && frame.cause & line(LINE_CONSOLE) != 0
}

fn run(_: &'static BootInfo) {
    exception::handle(note);
    println!("type");
    let mut text = [0; 80];
    let mut length = 0;
    loop {
        let byte = next_byte();
        if byte != b'\r' && byte != b'\n' {
            text[length] = byte;
            length = (length + 1) % text.len();
            continue;
        }
        let typed = core::str::from_utf8(&text[..length]).expect("UTF-8");
        println!("got <{typed}>");
        if typed == "quit" {
            return;
        }
        length = 0;
    }
}

/// Waits for the console's interrupt where there is no input.
fn next_byte() -> u8 {
    let mut byte = [0];
    while console::read(&mut byte) == 0 {
        let before = INTERRUPTS.get();
        cp0::set_status(line(LINE_CONSOLE));
        wait_until(|| INTERRUPTS.get() != before);
    }
    byte[0]
}
