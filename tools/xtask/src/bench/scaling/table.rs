//! A machine that was divided, as a table.

use super::figures::{Scaling, Times};
use std::fmt::Write;

/// What eight virtual machines of one CPU may take of the time of one of eight.
pub const REACH: f64 = 1.0;
/// The paper's ratios of 2, 4 and 8 virtual machines to one (Figure 7; native is 100, one is 136).
pub const PAPER: [(usize, f64); 3] = [(2, 0.68), (4, 0.47), (8, 0.44)];

/// For people: simulated milliseconds, and hundredths of the first one's time on all CPUs.
pub fn of(all: &[Scaling]) -> String {
    let Some(one) = all.first() else {
        return String::new();
    };
    let mut text = format!(
        "{:<20}{:>9}{:>8}{:>8}{:>19}{:>19}{:>19}{:>7}\n{:<44}{:>20}{:>19}{:>19}\n",
        "8 CPUs, simulated",
        "ms",
        "ratio",
        "paper",
        "user",
        "kernel",
        "monitor",
        "idle",
        "",
        "run+local+remote",
        "run+local+remote",
        "run+local+remote"
    );
    let whole = one.elapsed_ns as f64 * (one.vms * one.cpus) as f64;
    let part = |ns: u64| ns as f64 * 100.0 / whole;
    let times = |times: Times| {
        let Times {
            run_ns,
            local_stall_ns,
            remote_stall_ns,
        } = times;
        format!(
            "{:.1}+{:.1}+{:.1}",
            part(run_ns),
            part(local_stall_ns),
            part(remote_stall_ns)
        )
    };
    for row in all {
        let paper = PAPER.iter().find(|(vms, _)| *vms == row.vms);
        let paper = paper.map_or_else(String::new, |(_, ratio)| format!("{ratio:.2}"));
        let _ = writeln!(
            text,
            "{:<20}{:>9.2}{:>8.3}{paper:>8}{:>19}{:>19}{:>19}{:>7.1}",
            format!("  {} VMs of {} CPUs", row.vms, row.cpus),
            row.elapsed_ns as f64 / 1e6,
            row.ratio(one),
            times(row.user),
            times(row.kernel),
            times(row.monitor),
            part(row.idle_ns)
        );
    }
    if let Some(last) = all.last() {
        let ratio = last.ratio(one);
        let met = if ratio < REACH { "met" } else { "over" };
        let _ = writeln!(
            text,
            "  {} VMs against {}: {ratio:.3}, to reach: under {REACH:.2}, {met}",
            last.vms, one.vms
        );
    }
    text
}
