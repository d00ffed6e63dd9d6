//! What the exact model says of a run.

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::Value;

/// The window of the whole computation, and those of its parts in order (`guests/numa/src/marker.rs`).
const ALL: u64 = 0;

/// Times of a mode, all CPUs together, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Times {
    /// Instructions.
    pub instructions_ns: u64,
    /// Stalls.
    pub stall_ns: u64,
}

/// The figures of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// The program.
    pub program: &'static str,
    /// The memory.
    pub memory: &'static str,
    /// Simulated time of the computation, in nanoseconds: the busiest CPU's.
    pub elapsed_ns: u64,
    /// Misses of all CPUs.
    pub misses: u64,
    /// The share of them that are local, 0 to 1.
    pub local_share: f64,
    /// The same for the monitor's own.
    pub monitor_local_share: f64,
    /// The same for all in each part of the computation.
    pub local_share_of_parts: Vec<f64>,
    /// Simulated time of each part, in nanoseconds.
    pub elapsed_ns_of_parts: Vec<u64>,
    /// The guest.
    pub guest: Times,
    /// The monitor.
    pub monitor: Times,
    /// CPUs of the team that had nothing to run, together.
    pub idle_ns: u64,
    /// Pages that any CPU missed on.
    pub pages_missed_on: u64,
}

impl Figures {
    /// Of the windows of a report.
    pub fn of(program: &'static str, memory: &'static str, report: &Value) -> Result<Self> {
        let windows = report["windows"].as_array().context("windows")?;
        let all = windows.iter().find(|window| window["window"] == ALL);
        let all = all.context("the program has not marked its computation")?;
        let number = |value: &Value| value.as_u64().unwrap_or_default();
        let share = |value: &Value| value.as_f64().unwrap_or_default();
        let instruction_ns = number(&report["machine"]["instruction_ns"]);
        let times = |modes: &[&str]| {
            let of = |field: &str| {
                modes
                    .iter()
                    .map(|mode| number(&all["modes"][mode][field]))
                    .sum::<u64>()
            };
            Times {
                instructions_ns: of("instructions") * instruction_ns,
                stall_ns: of("stall_ns"),
            }
        };
        let modes = all["modes"].as_object().context("modes")?;
        let kinds = ["local_misses", "remote_misses", "owned_misses"];
        let misses = modes
            .values()
            .flat_map(|mode| kinds.map(|kind| number(&mode[kind])));
        let parts = || {
            windows
                .iter()
                .filter(|window| number(&window["window"]) > ALL)
        };
        // The others only wait.
        let computes = |cpu: &&Value| number(&cpu["modes"]["guest_kernel"]["instructions"]) > 0;
        let cpus = all["cpus"].as_array().context("cpus")?;
        Ok(Self {
            program,
            memory,
            elapsed_ns: number(&all["elapsed_ns"]),
            misses: misses.sum(),
            local_share: share(&all["local_share"]),
            monitor_local_share: share(&all["local_share_by_mode"]["monitor"]),
            local_share_of_parts: parts().map(|part| share(&part["local_share"])).collect(),
            elapsed_ns_of_parts: parts().map(|part| number(&part["elapsed_ns"])).collect(),
            guest: times(&["user", "guest_kernel"]),
            monitor: times(&["monitor"]),
            idle_ns: cpus
                .iter()
                .filter(computes)
                .map(|cpu| number(&cpu["idle_ns"]))
                .sum(),
            pages_missed_on: number(&all["pages_missed_on"]),
        })
    }
}
