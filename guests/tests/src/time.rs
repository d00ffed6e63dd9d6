//! The guest's time: Count, and its timer interrupt.

use crate::cp0::{self, reg, STATUS_IE};
use disco_abi::{BootInfo, LINE_TIMER};

/// Status.IM and Cause.IP of the timer.
pub const TIMER: u64 = 1 << (8 + LINE_TIMER);

/// Ticks of Count in so many microseconds.
pub fn ticks(boot: &BootInfo, microseconds: u64) -> u64 {
    boot.count_hz * microseconds / 1_000_000
}

/// Count, as 32 bits.
pub fn count() -> u32 {
    reg::COUNT.read() as u32
}

/// Ticks of Count from `start` until now.
pub fn since(start: u32) -> u64 {
    u64::from(count().wrapping_sub(start))
}

/// Sets the timer to strike in so many ticks, and acknowledges it. Later if that was past before it was set: a host
/// that is busy may take long from reading Count to setting Compare, which would strike after Count has wrapped.
pub fn strike_in(ticks: u64) {
    let mut distance = ticks;
    loop {
        let start = count();
        reg::COMPARE.write(u64::from(start).wrapping_add(distance));
        if since(start) < distance || reg::CAUSE.read() & TIMER != 0 {
            return;
        }
        distance = distance.saturating_mul(2);
    }
}

/// Lets so many microseconds pass, or fewer if `done` says so; whether it did.
pub fn until(boot: &BootInfo, microseconds: u64, mut done: impl FnMut() -> bool) -> bool {
    let start = count();
    let limit = ticks(boot, microseconds);
    loop {
        if done() {
            return true;
        }
        if since(start) >= limit {
            return false;
        }
    }
}

/// Takes interrupts, giving the CPU away in between, until `done`; how often `wait` returned.
///
/// `done` is asked with interrupts off: one that came between it and `wait` would be slept over.
/// `wait` returns for an interrupt that only IE holds back.
pub fn wait_until(mut done: impl FnMut() -> bool) -> u64 {
    let mut waits = 0;
    loop {
        cp0::clear_status(STATUS_IE);
        if done() {
            cp0::set_status(STATUS_IE);
            return waits;
        }
        cp0::wait();
        waits += 1;
        cp0::set_status(STATUS_IE);
    }
}
