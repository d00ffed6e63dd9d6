//! Both sides of each row, by where instructions go.

use super::causes;
use anyhow::{Context, Result};
use disco_breakdown::report::{Report, WindowReport};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One thing that the monitor does for a guest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cause {
    /// What it is.
    pub name: String,
    /// How often the monitor was entered for it.
    pub entries: u64,
    /// Instructions of all of them.
    pub instructions: u64,
}

/// A side of a row. All are instructions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Side {
    /// Programs.
    pub user: u64,
    /// Their kernel.
    pub kernel: u64,
    /// The monitor; nothing on the bare board.
    pub monitor: u64,
    /// The monitor with nothing to run; nothing on the bare board, whose kernel waits.
    pub idle: u64,
    /// What the monitor was entered for, the most instructions first; nothing on the bare board.
    pub causes: Vec<Cause>,
}

impl Side {
    /// All but waiting.
    pub fn busy(&self) -> u64 {
        self.user + self.kernel + self.monitor
    }
}

/// A row of the benchmark.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Split {
    /// Its name.
    pub name: String,
    /// On the bare board.
    pub native: Side,
    /// As a guest.
    pub guest: Side,
}

impl Split {
    /// What the guest takes for what the board takes 1 for.
    pub fn ratio(&self) -> f64 {
        self.guest.busy() as f64 / self.native.busy().max(1) as f64
    }
}

/// The splits of `rows`, each a window of both reports.
pub fn of(rows: &[(u8, String)], native: &Report, guest: &Report) -> Result<Vec<Split>> {
    let row = |(number, name): &(u8, String)| {
        let window = |side: &str, report: &'_ Report| {
            let mut windows = report.windows.iter();
            let found = windows.find(|window| window.window == *number).cloned();
            found.with_context(|| format!("the {side} side did not measure {name}"))
        };
        Ok(Split {
            name: name.clone(),
            native: bare(&window("native", native)?),
            guest: side(&window("guest", guest)?),
        })
    };
    rows.iter().map(row).collect()
}

fn instructions(window: &WindowReport, mode: &str) -> u64 {
    window.modes.get(mode).copied().unwrap_or_default()
}

/// The bare board's: its kernel is where the monitor is otherwise.
fn bare(window: &WindowReport) -> Side {
    Side {
        user: instructions(window, "user"),
        kernel: instructions(window, "monitor"),
        ..Side::default()
    }
}

fn side(window: &WindowReport) -> Side {
    let mut sums: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for stay in &window.stays {
        let sum = sums.entry(causes::of(stay)).or_default();
        sum.0 += stay.entries;
        sum.1 += stay.instructions;
    }
    let causes = sums
        .into_iter()
        .map(|(name, (entries, instructions))| Cause {
            name,
            entries,
            instructions,
        });
    let mut causes: Vec<_> = causes.collect();
    causes.sort_by_key(|cause| std::cmp::Reverse(cause.instructions));
    Side {
        user: instructions(window, "user"),
        kernel: instructions(window, "guest_kernel"),
        monitor: instructions(window, "monitor"),
        idle: instructions(window, "idle"),
        causes,
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use disco_breakdown::report::StayReport;

    fn window(number: u8, modes: [u64; 3], stays: Vec<StayReport>) -> Report {
        let names = ["user", "guest_kernel", "monitor"].map(str::to_owned);
        Report {
            windows: vec![WindowReport {
                window: number,
                times: 1,
                modes: names.into_iter().zip(modes).collect(),
                stays,
            }],
        }
    }

    /// A row of the benchmark.
    pub fn row() -> Split {
        let stay = |points: &[&str], entries, instructions| StayReport {
            points: points.iter().map(|&point| point.to_owned()).collect(),
            entries,
            instructions,
            ..StayReport::default()
        };
        let stays = vec![
            stay(&["refill", "save", "walk"], 2, 100),
            stay(&["refill", "second_level"], 10, 300),
            stay(&["refill", "save", "walk", "deliver"], 1, 50),
        ];
        let native = window(1, [500, 0, 500], Vec::new());
        let guest = window(1, [500, 600, 450], stays);
        let rows = of(&[(1, "pipes".to_owned())], &native, &guest).unwrap();
        rows.into_iter().next().unwrap()
    }

    #[test]
    fn stays_of_one_cause_are_one_row() {
        let row = row();
        assert_eq!((row.native.kernel, row.native.monitor), (500, 0));
        let causes: Vec<_> = row.guest.causes.iter().map(|cause| &*cause.name).collect();
        assert_eq!(causes, ["second-level TLB", "miss: walk"]);
        assert_eq!(row.guest.causes[1].entries, 3);
        assert_eq!(row.guest.causes[1].instructions, 150);
        assert_eq!(row.ratio(), 1.55);
    }

    #[test]
    fn a_row_without_a_window_is_told() {
        let report = window(1, [1, 1, 1], Vec::new());
        let error = of(&[(2, "dd".to_owned())], &report, &report).unwrap_err();
        assert!(error.to_string().contains("did not measure dd"), "{error}");
    }
}
