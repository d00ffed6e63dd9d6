//! When a CPU looks at what has become hot on its node.
//!
//! A look finds everything driven out of the caches, and a move has a part that does not depend on how many are made
//! together: allocation, one shootdown, waiting for the CPUs it interrupts. So a look waits until there are some pages, and looks
//! that find few come at longer and longer intervals.

/// Pages for which a look does not wait. So many and more found in a look: there is more to find.
const SOME: usize = 8;
/// Looks in a second: at most, and at least.
const MOST_HZ: u64 = 1000;
/// See [`MOST_HZ`].
const LEAST_HZ: u64 = 128;

/// The looks of a CPU.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Looks {
    /// Ticks from one to the next.
    wait: u64,
    shortest: u64,
    longest: u64,
    next: u64,
}

impl Looks {
    /// Of a CPU whose clock has `hz` ticks in a second.
    pub const fn new(hz: u64) -> Self {
        let (shortest, longest) = (hz / MOST_HZ, hz / LEAST_HZ);
        Self {
            wait: shortest,
            shortest,
            longest,
            next: 0,
        }
    }

    /// Whether it is time, at tick `now`, for a look at the pages of which so many wait.
    pub const fn is_due(&self, now: u64, waiting: usize) -> bool {
        waiting >= SOME || now >= self.next && waiting > 0
    }

    /// There was a look at tick `now`, for which so many pages waited: when the next one is due.
    pub fn looked(&mut self, now: u64, waited: usize) -> u64 {
        self.wait = if waited >= SOME {
            self.shortest
        } else {
            (self.wait * 2).min(self.longest)
        };
        self.next = now.saturating_add(self.wait);
        self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_that_find_little_come_at_longer_and_longer_intervals() {
        let mut looks = Looks::new(1_024_000);
        assert_eq!(
            [looks.looked(100, SOME), looks.looked(200, 16)],
            [1124, 1224]
        );
        let waits = [0; 5].map(|_| looks.looked(0, SOME - 1));
        assert_eq!(waits, [2048, 4096, 8000, 8000, 8000]);
        assert_eq!(looks.looked(0, SOME), 1024);
        assert_eq!(looks.looked(u64::MAX, 0), u64::MAX);
    }

    #[test]
    fn a_few_pages_wait_and_many_do_not() {
        let mut looks = Looks::new(1_024_000);
        assert!(!looks.is_due(5, 0) && looks.is_due(5, 1));
        let next = looks.looked(5, 1);
        assert!(!looks.is_due(next - 1, SOME - 1) && looks.is_due(next, 1));
        assert!(!looks.is_due(next, 0) && looks.is_due(5, SOME));
    }
}
