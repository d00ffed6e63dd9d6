//! `cargo xtask soak properties`: the host tests again and again, each round with other random cases.

use crate::cli::PropertiesArgs;
use crate::paths;
use crate::process::last_lines;
use crate::setup::Installer;
use crate::test::{self, Selection};
use anyhow::{ensure, Result};
use std::process::ExitCode;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Lines of a failed suite's log that are shown.
const LINES: usize = 40;

/// Runs the selected tests until one fails, or all rounds are done.
pub fn run(args: &PropertiesArgs, installer: &Installer) -> Result<ExitCode> {
    let selection = Selection {
        filters: args.filters.clone(),
        big_endian: args.big_endian,
    };
    let suites = test::host_suites(&selection, installer)?;
    let count: usize = suites.iter().map(|(_, tests)| tests.len()).sum();
    ensure!(
        count > 0,
        "no host test matches {}: see cargo xtask test --list",
        args.filters.join(" ")
    );
    let clock = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let first = args.seed.unwrap_or(clock.as_secs());
    for round in 0..args.rounds {
        let seed = first.wrapping_add(round);
        let started = Instant::now();
        for (suite, tests) in &suites {
            let outcome = suite.run(tests, Some(seed))?;
            for test in &outcome.failed {
                println!(
                    "FAIL {name} with seed {seed}\n  again: {seed_of}={seed} cargo xtask test {name}",
                    name = suite.full_name(test),
                    seed_of = test::RANDOM_SEED,
                );
            }
            if !outcome.failed.is_empty() {
                let log = paths::shown(&outcome.log);
                println!(
                    "  last lines of {log}:\n{}",
                    last_lines(&outcome.log, LINES)
                );
                return Ok(ExitCode::FAILURE);
            }
        }
        let seconds = started.elapsed().as_secs_f64();
        println!("ok   seed {seed}: {count} host tests ({seconds:.1} s)");
    }
    println!("{} rounds of {count} host tests, none failed", args.rounds);
    Ok(ExitCode::SUCCESS)
}
