//! The monitor's clock: Count without its wrapping.

use core::sync::atomic::{AtomicU64, Ordering};

/// Picoseconds of a tick where nothing else was measured.
const TICK_PS: u64 = 6_000;
/// Ticks of a millisecond, about: for times that nobody counts.
pub const TICKS_PER_MS: u64 = 1_000_000_000 / TICK_PS;
/// A CPU looks at its clock at least so often, in ticks: about 6 s of the 25 s in which Count
/// wraps.
pub const LOOK_AT_CLOCK: u64 = 1 << 30;

/// One CPU's clock. All begin with Count, which is the same on every CPU: bring-up has seen to that
/// (`disco_arch::board::count`).
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    last: u64,
}

impl Clock {
    /// Ticks since the machine was reset, given Count. It never falls: Count as the CPUs see it
    /// may step back a little when QEMU runs them in parallel.
    pub fn now(&mut self, count: u32) -> u64 {
        const STEP_BACK: u32 = 1 << 24;
        let ticks = count.wrapping_sub(self.last as u32);
        if ticks < STEP_BACK.wrapping_neg() {
            self.last += u64::from(ticks);
        }
        self.last
    }
}

/// The time of some CPU's last timer interrupt, in ticks.
static SEEN: AtomicU64 = AtomicU64::new(0);

/// A CPU's timer has interrupted at tick `now`: at least every [`LOOK_AT_CLOCK`].
pub fn seen(now: u64) {
    SEEN.store(now, Ordering::Relaxed);
}

/// Ticks since reset, given Count, where no [`Clock`] can be reached.
pub fn ticks_at(count: u32) -> u64 {
    Clock {
        last: SEEN.load(Ordering::Relaxed),
    }
    .now(count)
}

/// Picoseconds of a tick. Written at boot, before others run.
static TICK: AtomicU64 = AtomicU64::new(TICK_PS);

/// Tells how long a tick of Count is, in picoseconds. Once, at boot.
pub fn set_tick_ps(picoseconds: u64) {
    TICK.store(picoseconds.max(1), Ordering::Relaxed);
}

/// Ticks in nanoseconds.
#[inline(never)]
pub fn nanoseconds(ticks: u64) -> u64 {
    ticks.saturating_mul(TICK.load(Ordering::Relaxed)) / 1000
}

/// Frequency of Count in Hz, to the nearest.
pub fn count_hz() -> u64 {
    let tick = TICK.load(Ordering::Relaxed);
    (1_000_000_000_000 + tick / 2) / tick
}

/// Milliseconds in ticks.
pub fn ticks_of_ms(milliseconds: u64) -> u64 {
    count_hz().saturating_mul(milliseconds) / 1000
}

/// Nanoseconds in ticks.
pub fn ticks_of_ns(nanoseconds: u64) -> u64 {
    nanoseconds.saturating_mul(1000) / TICK.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_known_without_a_clock() {
        seen(0x3_ffff_ff00);
        assert_eq!(ticks_at(0xffff_ff80), 0x3_ffff_ff80);
        assert_eq!(ticks_at(0x20), 0x4_0000_0020);
        assert_eq!(ticks_at(0xffff_fe00), 0x3_ffff_ff00);
    }

    #[test]
    fn counts_on_when_count_wraps() {
        let mut clock = Clock::default();
        assert_eq!(clock.now(5), 5);
        assert_eq!(clock.now(0x8000_0000), 0x8000_0000);
        assert_eq!(clock.now(u32::MAX), 0xffff_ffff);
        assert_eq!(clock.now(3), 0x1_0000_0003);
        assert_eq!(clock.now(3), 0x1_0000_0003);
    }

    #[test]
    fn never_falls() {
        let mut clock = Clock::default();
        assert_eq!(clock.now(1000), 1000);
        assert_eq!(clock.now(998), 1000);
        assert_eq!(clock.now(1001), 1001);
        assert_eq!(clock.now(0xf000_0000), 0xf000_0000);
    }
}
