//! Software interrupts come and go with Cause, to the vector that Cause.IV chooses.
#![no_std]
#![no_main]

use disco_test_guests::abi::BootInfo;
use disco_test_guests::cp0::{self, line, reg, CAUSE_IV, STATUS_IE};
use disco_test_guests::exception::{self, code, Frame, VECTOR_GENERAL, VECTOR_INTERRUPT};
use disco_test_guests::Variable;

disco_test_guests::guest!(run);

const LINES: u64 = line(0) | line(1);

static TAKEN: Variable<u64> = Variable::new(0);
static WAITING: Variable<u64> = Variable::new(0);
static VECTOR: Variable<u64> = Variable::new(0);

fn take(frame: &mut Frame) -> bool {
    if frame.code() != code::INT {
        return false;
    }
    TAKEN.set(TAKEN.get() + 1);
    WAITING.set(frame.cause & 0xff00);
    VECTOR.set(frame.vector);
    reg::CAUSE.write(reg::CAUSE.read() & !LINES);
    true
}

fn raise(lines: u64) {
    reg::CAUSE.write(reg::CAUSE.read() | lines);
}

fn run(_: &'static BootInfo) {
    exception::handle(take);
    cp0::set_status(STATUS_IE | LINES);
    let mut taken = 0;
    for (iv, vector) in [
        (0, VECTOR_GENERAL),
        (CAUSE_IV, VECTOR_INTERRUPT),
        (0, VECTOR_GENERAL),
    ] {
        reg::CAUSE.write(iv);
        assert_eq!(reg::CAUSE.read() & CAUSE_IV, iv);
        for lines in [line(0), line(1), LINES] {
            raise(lines);
            taken += 1;
            assert_eq!(TAKEN.get(), taken, "one interrupt for {lines:#x}, at once");
            assert_eq!(WAITING.get(), lines, "Cause.IP");
            assert_eq!(VECTOR.get(), vector, "vector");
            assert_eq!(reg::CAUSE.read() & 0xff00, 0, "cleared by the handler");
        }
    }
    // Hardware lines cannot be raised by software.
    cp0::set_status(0xff00);
    raise(0xfc00);
    assert_eq!(TAKEN.get(), taken);
    assert_eq!(reg::CAUSE.read() & 0xfc00, 0);
    // Raised and taken back while masked: nothing comes.
    cp0::clear_status(STATUS_IE);
    raise(line(0));
    assert_eq!(reg::CAUSE.read() & 0xff00, line(0));
    reg::CAUSE.write(reg::CAUSE.read() & !line(0));
    cp0::set_status(STATUS_IE);
    assert_eq!(TAKEN.get(), taken, "taken back");
}
