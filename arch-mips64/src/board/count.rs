//! One Count for all CPUs.
//!
//! QEMU's board sets the Count of a CPU that is started to 1 (target/mips/cpu.c,
//! `mips_cpu_reset`), so each lags behind the first by the time at which it was started. Virtual
//! CPUs move between CPUs, and a guest's Count must not step when they do. So each CPU sets its
//! Count by CPU 0's, over the one clock that all of them see: the counter of the interrupt
//! controller, which runs until [`super::interrupts::bring_up_ends`].

/// Count of a CPU and the interrupt controller's counter at the same moment.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// Count.
    pub count: u32,
    /// The counter's low half.
    pub counter: u32,
}

impl Reading {
    /// What Count is when the counter stands at `counter`, which is not before this reading, if
    /// it goes on as fast as from `earlier` to this reading.
    pub fn count_at(self, earlier: Self, counter: u32) -> u32 {
        let ticks = self.count.wrapping_sub(earlier.count);
        let counted = self.counter.wrapping_sub(earlier.counter);
        let passed = counter.wrapping_sub(self.counter);
        let more = u64::from(passed) * u64::from(ticks) / u64::from(counted.max(1));
        self.count.wrapping_add(more as u32)
    }
}

#[cfg(target_os = "none")]
pub use here::follow;

#[cfg(target_os = "none")]
mod here {
    use super::super::gic;
    use super::Reading;
    use crate::cp0;

    /// Readings of which the closest is taken: the host may stop a CPU in the middle of one.
    const TRIES: u32 = 16;
    /// How near to CPU 0's Count another has to be, in ticks.
    const NEAR: u32 = 64;

    impl Reading {
        /// This CPU's, now. Only where there is an interrupt controller.
        pub fn take() -> Self {
            let mut shortest = u32::MAX;
            let mut reading = Self {
                count: 0,
                counter: 0,
            };
            for _ in 0..TRIES {
                let before = cp0::count();
                let counter = gic::counter();
                let took = cp0::count().wrapping_sub(before);
                if took < shortest {
                    shortest = took;
                    reading = Self {
                        count: before.wrapping_add(took / 2),
                        counter,
                    };
                }
            }
            reading
        }
    }

    /// Sets this CPU's Count by two readings of CPU 0, `earlier` and `later`.
    pub fn follow(earlier: Reading, later: Reading) {
        for _ in 0..TRIES {
            let own = Reading::take();
            let right = later.count_at(earlier, own.counter);
            let behind = right.wrapping_sub(own.count);
            if behind.min(behind.wrapping_neg()) <= NEAR {
                return;
            }
            // SAFETY: no timer of this CPU is set yet.
            unsafe { cp0::set_count(cp0::count().wrapping_add(behind)) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Reading;

    #[test]
    fn the_speed_between_two_readings_goes_on() {
        let reading = |count, counter| Reading { count, counter };
        // 5 ticks to 3 counts, over the end of both registers.
        let earlier = reading(u32::MAX - 49, u32::MAX - 29);
        let later = reading(50, 30);
        assert_eq!(later.count_at(earlier, 30), 50);
        assert_eq!(later.count_at(earlier, 60), 100);
        assert_eq!(later.count_at(later, 30), 50);
    }
}
