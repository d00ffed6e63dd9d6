//! Machines that work side by side (`guests/linux/bench/gang`): what each is asked for, and whether all came to the same.

use super::sides::FIXED;
use anyhow::{ensure, Result};
use regex::Regex;
use std::collections::BTreeSet;

/// What a machine is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Gang {
    /// Its window.
    pub window: usize,
    /// Jobs, and how many at once.
    pub jobs: usize,
    /// Source files that each job compiles.
    pub files: usize,
    /// Seconds since 1970 when it begins; 0 for now.
    pub start: u64,
}

impl Gang {
    /// On the kernel's command line.
    pub fn request(self) -> String {
        let Self {
            window,
            jobs,
            files,
            start,
        } = self;
        format!("{FIXED} disco.bench={window},{jobs},{files},{start}")
    }
}

/// How many of the machines that print to a console have ended their work.
pub fn ended(console: &str) -> usize {
    console.matches("bench done").count()
}

/// Checks that so many `jobs` have ended on these consoles, and all came to the same sum; the sum.
pub fn check(consoles: &[String], jobs: usize) -> Result<String> {
    let line = Regex::new(r"bench sum ([0-9a-f]{64})")?;
    let sums = || {
        let consoles = consoles.iter();
        consoles.flat_map(|console| line.captures_iter(console).map(|found| found[1].to_owned()))
    };
    let different: BTreeSet<String> = sums().collect();
    let count = sums().count();
    ensure!(
        count == jobs && different.len() == 1,
        "{count} of {jobs} jobs have ended, with {} different results: there has to be 1",
        different.len()
    );
    Ok(different.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_have_to_come_to_the_same() {
        let sum = |digit: &str| format!("[vm-1] bench sum {}\n", digit.repeat(64));
        let consoles = [sum("a") + &sum("a"), sum("a") + "bench done\n"];
        assert_eq!(check(&consoles, 3).unwrap(), "a".repeat(64));
        assert_eq!(ended(&consoles[1]), 1);
        assert!(check(&consoles, 4).is_err());
        let error = check(&[sum("a") + &sum("b")], 2).unwrap_err().to_string();
        assert!(error.contains("2 different results"), "{error}");
    }

    #[test]
    fn a_gang_is_asked_for_on_the_command_line() {
        let gang = Gang {
            window: 11,
            jobs: 2,
            files: 3,
            start: 4,
        };
        assert_eq!(gang.request(), "norandmaps disco.bench=11,2,3,4");
    }
}
