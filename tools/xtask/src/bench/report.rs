//! The comparison as a table and as JSON.

use super::sides::Figures;
use super::{Phase, PHASES};
use anyhow::{Context, Result};
use serde_json::{json, Value};
use std::fmt::Write;

/// Both sides of one phase, in nanoseconds of virtual time.
struct Row {
    phase: Phase,
    native: u64,
    guest: u64,
}

impl Row {
    fn ratio(&self) -> f64 {
        self.guest as f64 / self.native as f64
    }

    fn verdict(&self) -> &'static str {
        match self.phase.goal {
            Some(goal) if self.ratio() > goal => "over",
            Some(_) => "met",
            None => "",
        }
    }
}

/// The whole comparison.
pub struct Report(Vec<Row>);

impl Report {
    /// Puts the two sides together; each has to have every phase.
    pub fn new(native: &Figures, guest: &Figures) -> Result<Self> {
        let rows = PHASES.iter().map(|&phase| {
            let of = |side: &str, figures: &Figures| {
                let figure = figures
                    .get(phase.name)
                    .copied()
                    .filter(|&figure| figure > 0);
                figure.with_context(|| format!("the {side} side did not measure {}", phase.name))
            };
            Ok(Row {
                phase,
                native: of("native", native)?,
                guest: of("guest", guest)?,
            })
        });
        Ok(Self(rows.collect::<Result<_>>()?))
    }

    /// For people, in virtual seconds.
    pub fn table(&self) -> String {
        let mut text = format!(
            "{:<28}{:>10}{:>10}{:>8}{:>8}\n",
            "", "native s", "guest s", "ratio", "goal"
        );
        for row in &self.0 {
            let goal = row
                .phase
                .goal
                .map_or_else(String::new, |goal| format!("{goal:.2}"));
            let seconds = |nanoseconds: u64| nanoseconds as f64 / 1e9;
            let _ = writeln!(
                text,
                "{:<28}{:>10.3}{:>10.3}{:>8.3}{goal:>8} {}",
                row.phase.about,
                seconds(row.native),
                seconds(row.guest),
                row.ratio(),
                row.verdict()
            );
        }
        text
    }

    /// For programs, in virtual nanoseconds.
    pub fn json(&self) -> Vec<Value> {
        let row = |row: &Row| {
            json!({
                "name": row.phase.name, "about": row.phase.about, "native_ns": row.native,
                "guest_ns": row.guest, "ratio": row.ratio(), "goal": row.phase.goal,
            })
        };
        self.0.iter().map(row).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Report;
    use crate::bench::sides::Figures;

    fn side(factor: u64) -> Figures {
        ["boot", "pipes", "dd", "loop"]
            .iter()
            .map(|name| (name.to_string(), factor * 1_000_000_000))
            .collect()
    }

    #[test]
    fn a_ratio_over_its_goal_is_told() {
        let table = Report::new(&side(2), &side(3)).unwrap().table();
        assert!(table.contains("1.500    2.00 met"));
        assert!(table.contains("1.500    1.02 over"));
    }

    #[test]
    fn a_missing_figure_is_an_error() {
        let mut guest = side(1);
        guest.remove("dd");
        assert!(Report::new(&side(1), &guest).is_err());
    }
}
