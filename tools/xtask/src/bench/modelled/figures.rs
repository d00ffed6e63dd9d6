//! What the exact model says of both sides.

use crate::bench::rows;
use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::Value;

/// Kinds of misses.
const MISSES: [&str; 3] = ["local_misses", "remote_misses", "owned_misses"];

/// Where time goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Times {
    /// Nanoseconds of instructions.
    pub run_ns: u64,
    /// Nanoseconds that the CPU waits for memory and the second level.
    pub stall_ns: u64,
}

/// A side of a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Side {
    /// Simulated time, in nanoseconds.
    pub elapsed_ns: u64,
    /// Programs.
    pub user: Times,
    /// Their kernel.
    pub kernel: Times,
    /// The monitor; nothing on the bare board.
    pub monitor: Times,
    /// Misses of the second level.
    pub misses: u64,
}

/// Both sides of a row.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub about: &'static str,
    /// On the bare board.
    pub native: Side,
    /// As a guest.
    pub guest: Side,
}

impl Row {
    /// What the guest takes for what the board takes 1 for.
    pub fn ratio(&self) -> f64 {
        self.guest.elapsed_ns as f64 / self.native.elapsed_ns.max(1) as f64
    }
}

/// Both sides of `rows`, which are windows 1, 2 and so on of both reports.
pub fn of(rows: &[rows::Row], native: &Value, guest: &Value) -> Result<Vec<Row>> {
    let both = |(number, row): (u64, &rows::Row)| {
        let side = |name: &str, report: &Value, is_native| {
            side(report, number, is_native)
                .with_context(|| format!("the {name} side did not measure {}", row.name))
        };
        Ok(Row {
            name: row.name,
            about: row.about,
            native: side("native", native, true)?,
            guest: side("guest", guest, false)?,
        })
    };
    (1..).zip(rows).map(both).collect()
}

fn side(report: &Value, number: u64, is_native: bool) -> Option<Side> {
    let mut windows = report["windows"].as_array()?.iter();
    let window = windows.find(|window| window["window"] == number)?;
    let instruction_ns = report["machine"]["instruction_ns"].as_u64()?;
    let count = |mode: &str, what: &str| window["modes"][mode][what].as_u64().unwrap_or_default();
    let times = |mode: &str| Times {
        run_ns: count(mode, "instructions") * instruction_ns,
        stall_ns: count(mode, "stall_ns"),
    };
    let both = |one: Times, other: Times| Times {
        run_ns: one.run_ns + other.run_ns,
        stall_ns: one.stall_ns + other.stall_ns,
    };
    // A kernel on the bare machine is where the monitor is otherwise.
    let (kernel, monitor) = if is_native {
        (times("monitor"), Times::default())
    } else {
        let monitor = both(times("monitor"), times("moving"));
        (times("guest_kernel"), monitor)
    };
    let modes = ["user", "guest_kernel", "monitor", "moving"];
    let misses = modes
        .iter()
        .flat_map(|mode| MISSES.map(|kind| count(mode, kind)));
    Some(Side {
        elapsed_ns: window["elapsed_ns"].as_u64()?,
        user: times("user"),
        kernel,
        monitor,
        misses: misses.sum(),
    })
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use serde_json::json;

    fn report(factor: u64) -> Value {
        let mode = |instructions: u64, stall_ns: u64, local: u64| {
            json!({
                "instructions": instructions, "stall_ns": stall_ns,
                "local_misses": local, "remote_misses": 0, "owned_misses": 0,
            })
        };
        json!({
            "machine": { "instruction_ns": 5 },
            "windows": [
                { "window": 2, "elapsed_ns": 1 },
                {
                    "window": 1,
                    "elapsed_ns": 1000 * factor,
                    "modes": {
                        "user": mode(10, 60, 2),
                        "guest_kernel": mode(0, 0, 0),
                        "monitor": mode(20, 30 * factor, factor),
                    },
                },
            ],
        })
    }

    /// A row with these figures of a native side and a guest.
    pub fn row() -> Row {
        let rows = [rows::ALL[1]];
        of(&rows, &report(1), &report(3)).unwrap()[0]
    }

    #[test]
    fn a_kernel_is_in_the_monitors_place_on_the_bare_board() {
        let row = row();
        let times = |run_ns, stall_ns| Times { run_ns, stall_ns };
        assert_eq!(row.native.user, times(50, 60));
        assert_eq!(row.native.kernel, times(100, 30));
        assert_eq!(row.native.monitor, Times::default());
        assert_eq!(row.guest.kernel, Times::default());
        assert_eq!(row.guest.monitor, times(100, 90));
        assert_eq!((row.native.misses, row.guest.misses), (3, 5));
        assert_eq!(row.ratio(), 3.0);
    }

    #[test]
    fn a_row_without_a_window_is_told() {
        let rows = [rows::ALL[1]; 3];
        let error = of(&rows, &report(1), &report(1)).unwrap_err().to_string();
        assert!(error.contains("did not measure"), "{error}");
    }
}
