//! Messages between virtual CPUs: none is lost, and they interrupt.
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU64, Ordering};
use disco_test_guests::abi::{BootInfo, Call, CallError};
use disco_test_guests::calls::call;
use disco_test_guests::cp0::{self, STATUS_IE};
use disco_test_guests::exception::{self, code, Frame};
use disco_test_guests::siblings::{join, send, start, take, waiting, MESSAGES};
use disco_test_guests::time::wait_until;
use disco_test_guests::{option, Variable};

disco_test_guests::guest!(run);

/// Messages that the first virtual CPU's handler has taken, or-ed, and how often it was called.
static TAKEN: Variable<u64> = Variable::new(0);
static INTERRUPTS: Variable<u64> = Variable::new(0);
static READY: AtomicU64 = AtomicU64::new(0);
static ROUNDS: AtomicU64 = AtomicU64::new(0);

fn handle(frame: &mut Frame) -> bool {
    if frame.code() != code::INT {
        return false;
    }
    assert_eq!(frame.cause & MESSAGES, MESSAGES, "Cause {:#x}", frame.cause);
    TAKEN.set(TAKEN.get() | take());
    INTERRUPTS.set(INTERRUPTS.get() + 1);
    true
}

fn run(boot: &'static BootInfo) {
    let count = option(boot, "cpus", 4);
    let rounds = option(boot, "rounds", 300);
    exception::handle(handle);
    errors(count);
    to_itself();
    to_one_that_is_off();
    ping_pong(count, rounds);
    from_all(count);
}

fn errors(count: u64) {
    for (mask, messages) in [(1 << count, 1), (u64::MAX, 1), (1, 1 << 63), (1 << 63, 0)] {
        assert_eq!(send(mask, messages), Err(CallError::BadArgument));
    }
    assert_eq!(send(0, 5), Ok(0), "nobody");
    assert_eq!(take(), 0);
    assert!(!waiting());
}

fn to_itself() {
    assert_eq!(send(1, 0x11), Ok(0));
    assert_eq!(send(1, 0x14), Ok(0));
    assert!(waiting());
    assert_eq!(INTERRUPTS.get(), 0, "IM and IE hold it back");
    cp0::set_status(MESSAGES | STATUS_IE);
    assert_eq!((TAKEN.get(), INTERRUPTS.get()), (0x15, 1));
    assert!(!waiting(), "taking lowers the line");
}

extern "C" fn nothing(_: u64) {
    READY.store(1 + u64::from(waiting()), Ordering::Release);
}

/// What was sent before it started is not for it.
fn to_one_that_is_off() {
    assert_eq!(send(2, 1), Ok(0));
    assert_eq!(start(1, nothing, 0), Ok(0));
    join(2);
    assert_eq!(READY.load(Ordering::Acquire), 1, "no message waits");
}

/// Answers each message 1 with its own bit, until message 2.
extern "C" fn answer(number: u64) {
    READY.fetch_add(1, Ordering::AcqRel);
    cp0::set_status(MESSAGES);
    loop {
        // It goes on for a message, though IE is clear.
        cp0::wait();
        let messages = take();
        if messages & 1 != 0 {
            ROUNDS.fetch_add(1, Ordering::Relaxed);
            let _ = send(1, 1 << (8 + number));
        }
        if messages & 2 != 0 {
            return;
        }
    }
}

fn ping_pong(count: u64, rounds: u64) {
    READY.store(0, Ordering::Release);
    for number in 1..count {
        assert_eq!(start(number, answer, number), Ok(0));
    }
    while READY.load(Ordering::Acquire) != count - 1 {
        let _ = call(Call::Yield, [0; 4]);
    }
    let all = (2 << (8 + count - 1)) - (2 << 8);
    for round in 1..=rounds {
        TAKEN.set(0);
        assert_eq!(send((1 << count) - 2, 1), Ok(0));
        wait_until(|| TAKEN.get() == all);
        assert_eq!(ROUNDS.load(Ordering::Relaxed), round * (count - 1));
    }
    assert_eq!(send((1 << count) - 2, 2), Ok(0));
    join(count);
}

extern "C" fn flood(number: u64) {
    for round in 0..200 {
        let _ = send(1, 1 << (8 + number) | round & 1);
    }
    let _ = send(1, 1 << (32 + number));
}

fn from_all(count: u64) {
    TAKEN.set(0);
    for number in 1..count {
        assert_eq!(start(number, flood, number), Ok(0));
    }
    let last = (2 << (32 + count - 1)) - (2 << 32);
    wait_until(|| TAKEN.get() & last == last);
    assert_eq!(TAKEN.get() >> 8 & 0xff, (last >> 32) & 0xff);
    join(count);
}
