//! `--compare`: whether the guest has become slower since figures were kept.

use super::record::{Both, Record};
use std::fmt::{self, Display};

/// By how much a figure may be worse than it was, in per cent.
const WORSE: f64 = 2.0;

/// How a row differs from what it was.
#[derive(Debug, PartialEq)]
struct Change<'a> {
    name: &'a str,
    /// The guest's nanoseconds, of a repetition if they are counted, then and now.
    guest: [f64; 2],
    /// Both sides' ratio, then and now.
    ratio: [f64; 2],
}

impl<'a> Change<'a> {
    fn of(then: &Both, now: &'a Both) -> Self {
        let guest = |row: &Both| row.each(row.guest_ns);
        Self {
            name: &now.name,
            guest: [guest(then), guest(now)],
            ratio: [then.ratio, now.ratio],
        }
    }

    /// The larger of both differences in per cent of what it was.
    fn worst(&self) -> f64 {
        percent(self.guest).max(percent(self.ratio))
    }

    /// The smaller.
    fn best(&self) -> f64 {
        percent(self.guest).min(percent(self.ratio))
    }
}

fn percent([then, now]: [f64; 2]) -> f64 {
    (now / then - 1.0) * 100.0
}

impl Display for Change<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [guest, guest_now] = self.guest;
        let [ratio, ratio_now] = self.ratio;
        write!(
            f,
            "{:<11} guest {guest:.0} to {guest_now:.0} ns ({:+.2} %), ratio {ratio:.3} to {ratio_now:.3} ({:+.2} %)",
            self.name,
            percent(self.guest),
            percent(self.ratio)
        )
    }
}

/// A run beside an earlier one.
#[derive(Debug)]
pub struct Comparison<'a> {
    differences: Vec<(&'static str, &'a str, &'a str)>,
    changes: Vec<Change<'a>>,
    /// Rows of the earlier run alone.
    gone: Vec<&'a str>,
    /// Rows of this run alone.
    new: Vec<&'a str>,
}

impl<'a> Comparison<'a> {
    /// What has become of the rows of `then`; of those alone that were asked for, if only `some` were.
    pub fn of(then: &'a Record, now: &'a Record, some: bool) -> Self {
        let find = |record: &'a Record, name: &str| record.rows.iter().find(|row| row.name == name);
        let pairs = now.rows.iter().map(|row| (find(then, &row.name), row));
        let is_gone = |row: &&Both| !some && find(now, &row.name).is_none();
        let gone = then.rows.iter().filter(is_gone).map(|row| &*row.name);
        Self {
            differences: now.conditions.differences(&then.conditions),
            changes: pairs
                .clone()
                .filter_map(|(then, now)| Some(Change::of(then?, now)))
                .collect(),
            gone: gone.collect(),
            new: pairs
                .filter(|(then, _)| then.is_none())
                .map(|(_, now)| &*now.name)
                .collect(),
        }
    }

    /// Whether no row is worse by more than it may be.
    pub fn is_met(&self) -> bool {
        !self.changes.iter().any(|change| is_worse(change.worst()))
    }
}

/// Whether so many per cent are too many. A figure that cannot be compared is worse.
fn is_worse(percent: f64) -> bool {
    !matches!(percent.partial_cmp(&WORSE), Some(order) if order.is_le())
}

impl Display for Comparison<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, then, now) in &self.differences {
            writeln!(f, "{name}: then {then}, now {now}")?;
        }
        let worse = |change: &&Change| is_worse(change.worst());
        for change in self.changes.iter().filter(worse) {
            writeln!(f, "worse:  {change}")?;
        }
        let better = |change: &&Change| !worse(change) && change.best() < -WORSE;
        for change in self.changes.iter().filter(better) {
            writeln!(f, "better: {change}")?;
        }
        let alike = |change: &&Change| !worse(change) && !better(change);
        let alike = self.changes.iter().filter(alike).count();
        writeln!(f, "{alike} rows are as they were, within {WORSE} %")?;
        for (what, names) in [("only then", &self.gone), ("only now", &self.new)] {
            if !names.is_empty() {
                writeln!(f, "{what}: {}", names.join(", "))?;
            }
        }
        let slower: Vec<&str> = self
            .changes
            .iter()
            .filter(worse)
            .map(|change| change.name)
            .collect();
        if !slower.is_empty() {
            writeln!(
                f,
                "slower than before by more than {WORSE} %: {}",
                slower.join(", ")
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::record::tests::record;
    use crate::bench::rows;

    /// The record with the figures of a row changed.
    fn with(name: &str, native_ns: u64, guest_ns: u64) -> Record {
        let mut record = record(10, 12);
        let row = record.rows.iter_mut().find(|row| row.name == name).unwrap();
        row.native_ns = native_ns;
        row.guest_ns = guest_ns;
        row.ratio = guest_ns as f64 / native_ns as f64;
        record
    }

    const S: u64 = 1_000_000_000;

    #[test]
    fn the_same_figures_are_no_slowdown() {
        let then = record(10, 12);
        let comparison = Comparison::of(&then, &then, false);
        assert!(comparison.is_met());
        assert_eq!(
            comparison.to_string(),
            format!("{} rows are as they were, within 2 %\n", rows::ALL.len())
        );
    }

    #[test]
    fn a_row_that_is_slower_is_named() {
        let (then, now) = (record(10, 12), with("dd", 10 * S, 12 * S * 103 / 100));
        let comparison = Comparison::of(&then, &now, false);
        assert!(!comparison.is_met());
        let text = comparison.to_string();
        assert!(text.contains("worse:  dd "), "{text}");
        assert!(
            text.contains("(+3.00 %), ratio 1.200 to 1.236 (+3.00 %)"),
            "{text}"
        );
        assert!(
            text.ends_with("slower than before by more than 2 %: dd\n"),
            "{text}"
        );
        let back = Comparison::of(&now, &then, false);
        assert!(back.is_met());
        assert!(back.to_string().contains("better: dd "), "{back}");
    }

    #[test]
    fn two_per_cent_are_allowed() {
        let (then, now) = (record(10, 12), with("dd", 10 * S, 12 * S + 12 * S / 50 - 1));
        assert!(Comparison::of(&then, &now, false).is_met());
    }

    #[test]
    fn a_guest_that_has_not_become_faster_with_the_board_is_worse() {
        let (then, now) = (record(10, 12), with("dd", 9 * S, 12 * S));
        assert!(!Comparison::of(&then, &now, false).is_met());
    }

    #[test]
    fn repetitions_are_compared_one_by_one() {
        let (then, mut now) = (record(10, 12), with("dd", 20 * S, 24 * S));
        let row = now.rows.iter_mut().find(|row| row.name == "dd").unwrap();
        row.repetitions = row.repetitions.map(|count| 2 * count);
        assert!(Comparison::of(&then, &now, false).is_met());
    }

    #[test]
    fn rows_of_one_run_alone_are_told_and_no_slowdown() {
        let (then, mut now) = (record(10, 12), record(10, 12));
        now.rows.retain(|row| row.name != "pipes");
        let comparison = Comparison::of(&then, &now, false);
        assert!(comparison.is_met());
        assert!(comparison.to_string().contains("only then: pipes\n"));
        let comparison = Comparison::of(&now, &then, false);
        assert!(comparison.to_string().contains("only now: pipes\n"));
        // Whoever asked for some knows that the others are not there.
        let comparison = Comparison::of(&then, &now, true);
        assert!(!comparison.to_string().contains("only"), "{comparison}");
    }

    #[test]
    fn other_conditions_are_told() {
        let (then, mut now) = (record(10, 12), record(10, 12));
        now.conditions.linux = "6.12".to_owned();
        let text = Comparison::of(&then, &now, false).to_string();
        assert!(text.starts_with("Linux: then , now 6.12\n"), "{text}");
    }
}
