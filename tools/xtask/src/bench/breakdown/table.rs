//! The breakdown as a table.

use super::figures::Split;
use std::fmt::Write;

/// Causes that take less of a guest's instructions are told together.
const LEAST_SHARE: f64 = 0.001;

/// For people: millions of instructions, and shares of what the guest takes.
pub fn of(splits: &[Split]) -> String {
    let mut text = String::new();
    for split in splits {
        side_by_side(&mut text, split);
    }
    text
}

fn side_by_side(text: &mut String, row: &Split) {
    let _ = writeln!(
        text,
        "{:<38}{:>10}{:>10}{:>10}{:>10}{:>9}",
        row.name, "user", "kernel", "monitor", "all", "ratio"
    );
    for (name, side, ratio) in [
        ("native", &row.native, String::new()),
        ("guest", &row.guest, format!("{:.3}", row.ratio())),
    ] {
        let _ = writeln!(
            text,
            "  {name:<36}{:>10}{:>10}{:>10}{:>10}{ratio:>9}",
            millions(side.user),
            millions(side.kernel),
            millions(side.monitor),
            millions(side.busy()),
        );
    }
    let all = row.guest.busy().max(1) as f64;
    let share = |instructions: u64| instructions as f64 / all;
    let (told, others): (Vec<_>, Vec<_>) = row
        .guest
        .causes
        .iter()
        .partition(|cause| share(cause.instructions) >= LEAST_SHARE);
    let _ = writeln!(
        text,
        "    {:<34}{:>10}{:>10}{:>10}{:>10}",
        "the monitor, by cause", "entries", "mean", "all", "share"
    );
    let mut line = |name: &str, entries: u64, instructions: u64| {
        let mean = instructions as f64 / entries.max(1) as f64;
        let _ = writeln!(
            text,
            "    {name:<34}{entries:>10}{mean:>10.1}{:>10}{:>8.1} %",
            millions(instructions),
            share(instructions) * 100.0
        );
    };
    for cause in told {
        line(&cause.name, cause.entries, cause.instructions);
    }
    if !others.is_empty() {
        let entries = others.iter().map(|cause| cause.entries).sum();
        let instructions = others.iter().map(|cause| cause.instructions).sum();
        line("less than 0.1 % each", entries, instructions);
    }
    text.push('\n');
}

fn millions(instructions: u64) -> String {
    format!("{:.3} M", instructions as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::breakdown::figures::tests::row;

    #[test]
    fn a_row_has_both_sides_and_a_line_for_each_cause() {
        let mut row = row();
        row.guest.user = 2_000_000;
        row.guest.causes[0].instructions = 500_000;
        let text = of(&[row]);
        assert!(text.contains("native"), "{text}");
        assert!(text.contains("second-level TLB"), "{text}");
        assert!(text.contains("50000.0"), "{text}");
        assert!(text.contains("less than 0.1 % each"), "{text}");
    }
}
