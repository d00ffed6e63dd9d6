//! The figures of a program as a table, like the paper's figure 8.

use super::cost::Cost;
use super::figures::Figures;
use super::goals::Verdict;
use super::programs::{Program, MEMBERS};
use std::fmt::Write;

/// The program's rows, one for each memory, the first of them without a policy; and what is to be said of them.
pub fn of(
    program: Program,
    rows: &[Figures],
    costs: &[(&str, Cost)],
    verdicts: &[Verdict],
) -> String {
    let mut text = format!("{}\n", program.about());
    let names = [
        [
            "", "local", "time", "", "guest", "monitor", "idle", "misses", "moved", "replicas",
        ],
        [
            "",
            "%",
            "ms",
            "",
            "run + stall",
            "run + stall",
            "",
            "M",
            "pages",
            "",
        ],
    ];
    for (names, last) in names.into_iter().zip(["local", "% by tenth of the work"]) {
        line(&mut text, names.map(str::to_owned), last);
    }
    let none = rows.first().map_or(1, |row| row.elapsed_ns).max(1) as f64;
    for row in rows {
        // Hundredths of the time that all members have without policy.
        let part = |ns: u64| ns as f64 * 100.0 / none / MEMBERS as f64;
        let both = |run: u64, stall: u64| format!("{:.1} + {:.1}", part(run), part(stall));
        let replicas = match row.moves.collapses {
            0 => row.moves.replications.to_string(),
            collapses => format!("{} - {collapses}", row.moves.replications),
        };
        let cells = [
            row.memory.to_owned(),
            format!("{:.1}", row.local_share * 100.0),
            format!("{:.1}", row.elapsed_ns as f64 / 1e6),
            format!("{:.1}", row.elapsed_ns as f64 * 100.0 / none),
            both(row.guest.instructions_ns, row.guest.stall_ns),
            both(row.monitor.instructions_ns, row.monitor.stall_ns),
            format!("{:.1}", part(row.idle_ns)),
            format!("{:.2}", row.misses as f64 / 1e6),
            row.moves.migrations.to_string(),
            replicas,
        ];
        let tenths = row.local_share_of_parts.iter();
        let tenths = tenths.map(|share| format!("{:.0}", share * 100.0));
        line(&mut text, cells, &tenths.collect::<Vec<_>>().join(" "));
    }
    for (memory, cost) in costs {
        let _ = writeln!(text, "  {memory}: {cost}");
    }
    for row in rows {
        let percent = row.monitor_local_share * 100.0;
        let _ = writeln!(
            text,
            "  {}: {percent:.1} % of the monitor's own misses local",
            row.memory
        );
    }
    for verdict in verdicts {
        let _ = writeln!(text, "  {verdict}");
    }
    text
}

fn line(text: &mut String, cells: [String; 10], last: &str) {
    const WIDTHS: [usize; 9] = [7, 9, 7, 15, 14, 6, 8, 7, 14];
    let [first, others @ ..] = cells;
    let _ = write!(text, "  {first:<16}");
    for (cell, width) in others.iter().zip(WIDTHS) {
        let _ = write!(text, "{cell:>width$}");
    }
    let _ = writeln!(text, "  {last}");
}
