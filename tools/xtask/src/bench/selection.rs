//! `--only`: what of the benchmark against the board is wanted.

use super::rows::{Group, Row, ALL};
use anyhow::{bail, Result};

/// Something that is measured apart from the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Both sides' time.
    Rows,
    /// Where both sides' instructions go.
    Breakdown,
    /// The same work on eight CPUs as 1, 2, 4 and 8 virtual machines.
    Scaling,
    /// Several machines as as many QEMUs, and under one monitor.
    Machines,
}

impl Part {
    /// All, in the order in which they are measured.
    pub const ALL: [Self; 4] = [Self::Rows, Self::Breakdown, Self::Scaling, Self::Machines];

    fn name(self) -> &'static str {
        match self {
            Self::Rows => "rows",
            Self::Breakdown => "breakdown",
            Self::Scaling => "scaling",
            Self::Machines => "machines",
        }
    }
}

/// What is wanted.
#[derive(Debug)]
pub struct Selection {
    /// Rows, in the table's order.
    pub rows: Vec<Row>,
    /// What is measured, of those rows if it is of rows.
    pub parts: Vec<Part>,
}

impl Selection {
    /// What has these names, which are of rows, groups of rows and parts; all without a name. Names of rows alone want their
    /// times, those of parts alone all rows.
    pub fn of(names: &[String]) -> Result<Self> {
        let mut rows: Vec<&str> = Vec::new();
        let mut parts = Vec::new();
        for name in names {
            let named = |row: &&Row| row.name == name || row.group.name() == name;
            let before = rows.len();
            rows.extend(ALL.iter().filter(named).map(|row| row.name));
            let part = Part::ALL.into_iter().find(|part| part.name() == name);
            parts.extend(part);
            if part.is_none() && rows.len() == before {
                bail!(
                    "--only {name}: there is nothing of this name; there are {}",
                    known()
                );
            }
        }
        let all = |part: &Part| {
            names.is_empty() || parts.contains(part) || !rows.is_empty() && *part == Part::Rows
        };
        let parts = Part::ALL.into_iter().filter(all).collect();
        let wanted = |row: &&Row| rows.is_empty() || rows.contains(&row.name);
        Ok(Self {
            rows: ALL.iter().filter(wanted).copied().collect(),
            parts,
        })
    }

    /// Whether a part is wanted.
    pub fn has(&self, part: Part) -> bool {
        self.parts.contains(&part)
    }
}

/// All names.
fn known() -> String {
    let list = |names: Vec<&str>| names.join(", ");
    format!(
        "the rows {}; the groups of rows {}; the parts {}",
        list(ALL.iter().map(|row| row.name).collect()),
        list(Group::ALL.iter().map(|group| group.name()).collect()),
        list(Part::ALL.iter().map(|part| part.name()).collect())
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(names: &[&str]) -> Result<Selection> {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        Selection::of(&names)
    }

    fn rows(selection: &Selection) -> Vec<&str> {
        selection.rows.iter().map(|row| row.name).collect()
    }

    #[test]
    fn without_a_name_everything_is_wanted() {
        let selection = of(&[]).unwrap();
        assert_eq!(selection.rows.len(), ALL.len());
        assert_eq!(selection.parts, Part::ALL);
    }

    #[test]
    fn rows_can_be_wanted_in_any_order() {
        let selection = of(&["loop", "boot", "loop"]).unwrap();
        assert_eq!(rows(&selection), ["boot", "loop"]);
        assert_eq!(selection.parts, [Part::Rows]);
    }

    #[test]
    fn a_group_is_its_rows() {
        let selection = of(&["shell", "null"]).unwrap();
        assert_eq!(rows(&selection), ["null", "pipes", "dd", "loop"]);
    }

    #[test]
    fn a_part_alone_is_of_all_rows_and_with_rows_of_those() {
        let selection = of(&["breakdown"]).unwrap();
        assert_eq!(selection.rows.len(), ALL.len());
        assert_eq!(selection.parts, [Part::Breakdown]);
        let selection = of(&["breakdown", "null"]).unwrap();
        assert_eq!(rows(&selection), ["null"]);
        assert_eq!(selection.parts, [Part::Rows, Part::Breakdown]);
    }

    #[test]
    fn a_name_of_nothing_is_told_with_all_that_there_are() {
        let error = of(&["boots"]).unwrap_err().to_string();
        for text in [
            "--only boots",
            "boot, null",
            "micro, shell",
            "rows, breakdown",
        ] {
            assert!(error.contains(text), "{error}");
        }
    }

    #[test]
    fn no_name_is_of_two_things_but_the_boot_alone() {
        let mut names: Vec<&str> = ALL.iter().map(|row| row.name).collect();
        names.extend(Part::ALL.iter().map(|part| part.name()));
        let groups = Group::ALL.iter().map(|group| group.name());
        names.extend(groups.filter(|&name| name != "boot"));
        names.sort_unstable();
        assert!(names.is_sorted_by(|one, next| one < next), "{names:?}");
    }
}
