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
#[derive(Clone, Debug, Default, Serialize)]
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
    /// What of that it has moved pages for: copied them, and had them forgotten where they were.
    pub moving: Times,
    /// CPUs of the team that had nothing to run, together.
    pub idle_ns: u64,
    /// Pages that any CPU missed on.
    pub pages_missed_on: u64,
    /// What the monitor has moved.
    pub moves: Moves,
}

/// What the monitor has moved.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Moves {
    /// Pages that were migrated.
    pub migrations: u64,
    /// Replicas.
    pub replications: u64,
    /// Times that a page lost its replicas to a write.
    pub collapses: u64,
    /// CPUs that forgot where pages were, since others moved them, each time that they did.
    pub shootdowns: u64,
    /// Time of the board's clock for all that, in nanoseconds: other CPUs' instructions pass meanwhile.
    pub spent_ns: u64,
}

impl Moves {
    /// Of the answer to `numa --json`: the nodes.
    fn of(nodes: &Value) -> Self {
        let nodes = nodes.as_array().map_or(&[][..], Vec::as_slice);
        let sum = |field: &str| nodes.iter().filter_map(|node| node[field].as_u64()).sum();
        Self {
            migrations: sum("migrations"),
            replications: sum("replications"),
            collapses: sum("collapses"),
            shootdowns: sum("shootdowns"),
            spent_ns: sum("spent_ns"),
        }
    }
}

impl Figures {
    /// Of the windows of the model's report, and what the monitor says of its nodes.
    pub fn of(
        program: &'static str,
        memory: &'static str,
        (report, nodes): &(Value, Value),
    ) -> Result<Self> {
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
            monitor: times(&["monitor", "moving"]),
            moving: times(&["moving"]),
            idle_ns: cpus
                .iter()
                .filter(computes)
                .map(|cpu| number(&cpu["idle_ns"]))
                .sum(),
            pages_missed_on: number(&all["pages_missed_on"]),
            moves: Moves::of(nodes),
        })
    }
}
