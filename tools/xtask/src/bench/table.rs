//! The benchmark against the board as a table for people.

use super::record::{Both, Record};
use super::rows::Group;
use std::fmt::Write;

/// The table: virtual seconds, or nanoseconds of a repetition where those are counted.
pub fn of(record: &Record) -> String {
    if record.rows.is_empty() {
        return String::new();
    }
    let mut text = format!(
        "{:<45}{:>12}{:>12}{:>8}{:>8}{:>8}\n",
        "", "native", "guest", "ratio", "paper", "reach"
    );
    for group in Group::ALL {
        let mut rows = record
            .rows
            .iter()
            .filter(|row| row.group == group)
            .peekable();
        if rows.peek().is_some() {
            let _ = writeln!(text, "{}", group.title());
        }
        rows.for_each(|row| line(&mut text, row));
    }
    let goals = record.rows.iter().filter(|row| row.reach.is_some());
    let over: Vec<&str> = goals
        .clone()
        .filter(|row| row.verdict() == "over")
        .map(|row| &*row.name)
        .collect();
    let reached = goals.count() - over.len();
    let _ = write!(text, "{reached} goals met");
    if !over.is_empty() {
        let _ = write!(text, ", {} not: {}", over.len(), over.join(", "));
    }
    text + "\n"
}

fn line(text: &mut String, row: &Both) {
    let ratio = |ratio: Option<f64>| ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}"));
    let about = format!("  {:<12}{}", row.name, row.about);
    let line = format!(
        "{about:<45}{:>12}{:>12}{:>8.3}{:>8}{:>8} {}",
        time(row, row.native_ns),
        time(row, row.guest_ns),
        row.ratio,
        ratio(row.paper),
        ratio(row.reach),
        row.verdict()
    );
    let _ = writeln!(text, "{}", line.trim_end());
}

/// A side's time, in a unit that suits both sides.
pub fn time(row: &Both, ns: u64) -> String {
    if row.repetitions.is_none() {
        return format!("{:.4} s", ns as f64 / 1e9);
    }
    let each = row.each(ns);
    match row.each(row.native_ns) {
        native if native < 1e4 => format!("{each:.1} ns"),
        native if native < 1e7 => format!("{:.2} µs", each / 1e3),
        _ => format!("{:.2} ms", each / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::of;
    use crate::bench::record::tests::record;

    #[test]
    fn ratios_and_whether_they_are_reached_are_told() {
        let mut record = record(2, 3);
        record
            .rows
            .retain(|row| ["boot", "pipes", "dd", "loop"].contains(&&*row.name));
        record.rows[1].paper = Some(1.6);
        let text = of(&record);
        let line = |name: &str| {
            let found = text.lines().find(|line| line.contains(name));
            found.unwrap_or_default().to_owned()
        };
        assert!(
            line("pipes").ends_with("2.0000 s    3.0000 s   1.500    1.60    2.00 met"),
            "{text}"
        );
        assert!(
            line("  dd ").contains("  2000.00 µs  3000.00 µs "),
            "{text}"
        );
        assert!(line("loop").ends_with("1.02 over"), "{text}");
        assert!(text.ends_with("2 goals met, 2 not: boot, loop\n"), "{text}");
    }
}
