//! What the exact model says of a machine that was divided.

use super::machine::MISS_NS;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::ops::Add;

/// Where the time of a mode goes, all CPUs together, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// Instructions.
    pub run_ns: u64,
    /// Waiting for the second level, and for memory of the own node.
    pub local_stall_ns: u64,
    /// Waiting for another node's memory or cache.
    pub remote_stall_ns: u64,
}

impl Add for Times {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            run_ns: self.run_ns + other.run_ns,
            local_stall_ns: self.local_stall_ns + other.local_stall_ns,
            remote_stall_ns: self.remote_stall_ns + other.remote_stall_ns,
        }
    }
}

/// A machine of eight CPUs, divided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scaling {
    /// Virtual machines.
    pub vms: usize,
    /// Virtual CPUs of each.
    pub cpus: usize,
    /// Simulated time from the common beginning to the last one's end, in nanoseconds.
    pub elapsed_ns: u64,
    /// Programs.
    pub user: Times,
    /// Their kernels.
    pub kernel: Times,
    /// The monitor, with what it moves.
    pub monitor: Times,
    /// CPUs that had nothing to do while others had, as many as there are virtual CPUs.
    pub idle_ns: u64,
}

impl Scaling {
    /// Of `vms` virtual machines of `cpus` CPUs, which have these windows. All begin at the same time: the longest window is
    /// the whole.
    pub fn of(
        (vms, cpus): (usize, usize),
        windows: impl Iterator<Item = usize>,
        report: &Value,
    ) -> Result<Self> {
        let all = report["windows"].as_array().context("windows")?;
        let window = |number: usize| {
            let found = all.iter().find(|window| window["window"] == number);
            found.with_context(|| format!("a virtual machine has not marked window {number}"))
        };
        let windows = windows.map(window).collect::<Result<Vec<_>>>()?;
        let elapsed = |window: &Value| window["elapsed_ns"].as_u64().unwrap_or_default();
        let whole = windows.into_iter().max_by_key(|window| elapsed(window));
        let whole = whole.context("no virtual machine")?;
        let times =
            |mode: &'static str| times(&whole["modes"][mode], &report["machine"]).context(mode);
        let cpu_times = whole["cpus"].as_array().context("cpus")?.iter();
        let busy = cpu_times.filter_map(|cpu| cpu["busy_ns"].as_u64()).sum();
        Ok(Self {
            vms,
            cpus,
            elapsed_ns: elapsed(whole),
            user: times("user")?,
            kernel: times("guest_kernel")?,
            monitor: times("monitor")? + times("moving")?,
            idle_ns: (elapsed(whole) * (vms * cpus) as u64).saturating_sub(busy),
        })
    }

    /// What it takes for what `one` takes 1 for.
    pub fn ratio(&self, one: &Self) -> f64 {
        self.elapsed_ns as f64 / one.elapsed_ns.max(1) as f64
    }
}

fn times(mode: &Value, machine: &Value) -> Option<Times> {
    let count = |what: &str| mode[what].as_u64();
    let local =
        MISS_NS[0] * count("local_misses")? + machine["l2_ns"].as_u64()? * count("l2_hits")?;
    let stall_ns = count("stall_ns")?;
    Some(Times {
        run_ns: count("instructions")? * machine["instruction_ns"].as_u64()?,
        local_stall_ns: local.min(stall_ns),
        remote_stall_ns: stall_ns.saturating_sub(local),
    })
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use serde_json::json;

    fn report() -> Value {
        let mode = |instructions: u64, hits: u64, local: u64, remote: u64| {
            json!({
                "instructions": instructions, "local_misses": local, "remote_misses": remote, "owned_misses": 0,
                "l2_hits": hits, "stall_ns": 50 * hits + 300 * local + 900 * remote,
            })
        };
        let window = |number: u64, elapsed_ns: u64| {
            json!({
                "window": number, "elapsed_ns": elapsed_ns,
                "cpus": [{ "busy_ns": elapsed_ns }, { "busy_ns": 1000 }, { "busy_ns": 0 }],
                "modes": {
                    "user": mode(100, 2, 3, 4), "guest_kernel": mode(50, 0, 1, 0), "monitor": mode(10, 0, 0, 1),
                    "moving": mode(20, 0, 1, 0),
                },
            })
        };
        json!({
            "machine": { "instruction_ns": 5, "l2_ns": 50 },
            "windows": [window(1, 90_000), window(11, 8000), window(12, 9000)],
        })
    }

    #[test]
    fn the_longest_window_is_the_whole() {
        let scaling = Scaling::of((2, 1), 11..=12, &report()).unwrap();
        assert_eq!(scaling.elapsed_ns, 9000);
        let user = Times {
            run_ns: 500,
            local_stall_ns: 1000,
            remote_stall_ns: 3600,
        };
        assert_eq!(scaling.user, user);
        let monitor = Times {
            run_ns: 150,
            local_stall_ns: 300,
            remote_stall_ns: 900,
        };
        assert_eq!(scaling.monitor, monitor);
        // Two CPUs for 9000 ns, of which one was busy and the other for 1000.
        assert_eq!(scaling.idle_ns, 8000);
        let one = Scaling::of((1, 2), 11..=11, &report()).unwrap();
        assert_eq!(scaling.ratio(&one), 1.125);
    }

    #[test]
    fn a_virtual_machine_without_a_window_is_told() {
        let error = Scaling::of((3, 1), 11..=13, &report()).unwrap_err();
        assert!(error.to_string().contains("window 13"), "{error}");
    }
}
