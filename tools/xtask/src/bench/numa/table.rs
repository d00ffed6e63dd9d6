//! The figures of all programs as a table, like the paper's figure 8.

use super::figures::Figures;
use super::programs::{Program, MEMBERS};
use std::fmt::Write;

/// The program's rows: one for each memory, the first of them without a policy.
pub fn of(program: Program, rows: &[Figures]) -> String {
    let mut text = format!(
        "{}\n  {:<16}{:>7}{:>9}{:>7}   {:>16}{:>16}{:>6}{:>9}   local share by tenth\n",
        program.about(),
        "",
        "local",
        "time",
        "",
        "guest",
        "monitor",
        "idle",
        "misses",
    );
    let _ = writeln!(
        text,
        "  {:<16}{:>7}{:>9}{:>7}   {:>16}{:>16}{:>6}{:>9}",
        "", "%", "ms", "", "run + stall", "run + stall", "", "M"
    );
    let none = rows.first().map_or(1, |row| row.elapsed_ns).max(1) as f64;
    for row in rows {
        // Shares of the time of all members, in hundredths of the time without policy.
        let part = |ns: u64| ns as f64 * 100.0 / none / MEMBERS as f64;
        let both = |run: u64, stall: u64| format!("{:.1} + {:.1}", part(run), part(stall));
        let tenths = row
            .local_share_of_parts
            .iter()
            .map(|share| format!("{:3.0}", share * 100.0));
        let _ = writeln!(
            text,
            "  {:<16}{:>7.1}{:>9.1}{:>7.1}   {:>16}{:>16}{:>6.1}{:>9.2}   {}",
            row.memory,
            row.local_share * 100.0,
            row.elapsed_ns as f64 / 1e6,
            row.elapsed_ns as f64 * 100.0 / none,
            both(row.guest.instructions_ns, row.guest.stall_ns),
            both(row.monitor.instructions_ns, row.monitor.stall_ns),
            part(row.idle_ns),
            row.misses as f64 / 1e6,
            tenths.collect::<Vec<_>>().join(" "),
        );
    }
    text
}
