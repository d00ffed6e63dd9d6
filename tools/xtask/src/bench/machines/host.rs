//! What programs take of the host.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::fs;
use std::ops::AddAssign;

/// What programs have taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Bytes of memory that they have, each its own count of what they share.
    pub rss_bytes: u64,
    /// The same, with what several share divided among them.
    pub pss_bytes: u64,
    /// CPU time, of all CPUs and threads.
    pub cpu_ms: u64,
    /// Time from the first one's start.
    pub wall_ms: u64,
}

impl Usage {
    /// Of a running process; not its time since the start.
    pub fn of(process: u32) -> Result<Self> {
        let read = |name: &str| {
            let path = format!("/proc/{process}/{name}");
            fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
        };
        let ticks_per_second = rustix::param::clock_ticks_per_second();
        Self::read(&read("smaps_rollup")?, &read("stat")?, ticks_per_second)
            .with_context(|| format!("/proc/{process} is not as expected"))
    }

    fn read(memory: &str, stat: &str, ticks_per_second: u64) -> Option<Self> {
        let bytes = |name: &str| {
            let line = memory.lines().find_map(|line| line.strip_prefix(name))?;
            let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
            Some(kib << 10)
        };
        // The program's name may contain anything; two fields behind it are the 14th and 15th.
        let (_, fields) = stat.rsplit_once(')')?;
        let mut times = fields.split_whitespace().skip(11);
        let user: u64 = times.next()?.parse().ok()?;
        let system: u64 = times.next()?.parse().ok()?;
        Some(Self {
            rss_bytes: bytes("Rss:")?,
            pss_bytes: bytes("Pss:")?,
            cpu_ms: (user + system) * 1000 / ticks_per_second.max(1),
            wall_ms: 0,
        })
    }
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.rss_bytes += other.rss_bytes;
        self.pss_bytes += other.pss_bytes;
        self.cpu_ms += other.cpu_ms;
        self.wall_ms = self.wall_ms.max(other.wall_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::Usage;

    #[test]
    fn a_process_is_read() {
        let memory =
            "1-2 ---p 0 0 [rollup]\nRss:             2048 kB\nPss:  1024 kB\nPss_Anon: 7 kB\n";
        let stat = "12 (a) b) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20";
        let usage = Usage::read(memory, stat, 100).unwrap();
        assert_eq!((usage.rss_bytes, usage.pss_bytes), (2 << 20, 1 << 20));
        assert_eq!(usage.cpu_ms, 2000);
        assert!(Usage::read("Rss: 1 kB\n", stat, 100).is_none());
    }

    #[test]
    fn this_process_has_memory() {
        let usage = Usage::of(std::process::id()).unwrap();
        assert!(usage.pss_bytes > 0 && usage.rss_bytes >= usage.pss_bytes);
    }
}
