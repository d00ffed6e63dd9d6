//! `cargo xtask test`: host tests, then boot tests, then one line that says how many passed.

mod boot;
mod host;
mod manifest;
mod steps;

use crate::build::{guests, linux, monitor};
use crate::description::Machine;
use crate::paths;
use crate::process::last_lines;
use crate::setup::{self, Need};
use anyhow::Result;
use manifest::Test;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

/// Machines that run at once: they keep two cores busy.
const AT_ONCE: usize = 2;

/// Counts what has ended.
#[derive(Default)]
struct Tally {
    passed: AtomicUsize,
    failed: AtomicUsize,
}

impl Tally {
    fn pass(&self, count: usize) {
        self.passed.fetch_add(count, Ordering::Relaxed);
    }

    fn fail(&self, name: &str, error: &str) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        println!(
            "FAIL {name}: {}\n  again: cargo xtask test {name}",
            error.trim_end()
        );
    }
}

/// Runs the tests whose names contain one of `filters`, or all, or lists them.
pub fn run(filters: &[String], list: bool, installer: &setup::Installer) -> Result<ExitCode> {
    let selected = |name: &str| {
        filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str()))
    };
    let manifest = manifest::load()?;
    let boot: Vec<Test> = manifest
        .iter()
        .filter(|test| selected(&test.name))
        .cloned()
        .collect();
    // Whoever names boot tests in full need not wait for the host tests to compile.
    let named = |filter: &String| manifest.iter().any(|test| test.name == *filter);
    let only_boot = !filters.is_empty() && filters.iter().all(named);
    let tally = Tally::default();
    if !only_boot {
        host_tests(&selected, list, &tally);
    }
    if list {
        for test in &boot {
            println!("{}: {}", test.name, test.about);
        }
        return Ok(ExitCode::SUCCESS);
    }
    if !boot.is_empty() {
        boot_tests(&boot, installer, &tally)?;
    }
    let (passed, failed) = (tally.passed.into_inner(), tally.failed.into_inner());
    if passed + failed == 0 {
        eprintln!(
            "no test matches {}: see cargo xtask test --list",
            filters.join(" ")
        );
    }
    println!("{passed} passed, {failed} failed");
    let success = failed == 0 && passed > 0;
    Ok(if success {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn host_tests(selected: &dyn Fn(&str) -> bool, list: bool, tally: &Tally) {
    let suites = match host::build() {
        Ok(suites) => suites,
        Err(error) => return tally.fail("host-tests", &format!("{error:#}")),
    };
    for suite in &suites {
        let tests: Vec<String> = suite
            .tests
            .iter()
            .filter(|test| selected(&suite.full_name(test)))
            .cloned()
            .collect();
        if list {
            tests.iter().for_each(|test| {
                println!("{}: host test of {}", suite.full_name(test), suite.package)
            });
        } else if !tests.is_empty() {
            run_suite(suite, &tests, tally);
        }
    }
}

fn run_suite(suite: &host::Suite, tests: &[String], tally: &Tally) {
    match suite.run(tests) {
        Err(error) => tests
            .iter()
            .for_each(|test| tally.fail(&suite.full_name(test), &format!("{error:#}"))),
        Ok(outcome) => {
            tally.pass(outcome.passed);
            println!("ok   {}: {} host tests", suite.package, outcome.passed);
            for test in &outcome.failed {
                let log = paths::shown(&outcome.log);
                let error = format!(
                    "expected it to pass\n  last lines of {log}:\n{}",
                    last_lines(&outcome.log, 15)
                );
                tally.fail(&suite.full_name(test), &error);
            }
        }
    }
}

fn boot_tests(tests: &[Test], installer: &setup::Installer, tally: &Tally) -> Result<()> {
    let machines = tests.iter().filter(|test| test.has_machine());
    let machines = machines.map(Test::machine).collect::<Result<Vec<_>>>()?;
    let monitor = if machines.is_empty() {
        None
    } else {
        Some(build_for(&machines, installer)?)
    };
    let (alone, together): (Vec<&Test>, Vec<&Test>) = tests.iter().partition(|test| test.alone);
    run_all(&together, AT_ONCE, monitor.as_ref(), tally);
    run_all(&alone, 1, monitor.as_ref(), tally);
    Ok(())
}

/// Builds what the tests' machines need, and returns the monitor.
fn build_for(machines: &[Machine], installer: &setup::Installer) -> Result<monitor::Image> {
    let mut needs = vec![Need::Emulator];
    needs.extend(Need::MONITOR);
    if machines.iter().any(Machine::has_linux) {
        needs.extend(Need::LINUX);
    }
    let toolchain = installer.provide(&needs)?;
    let monitor = monitor::Image::build(&toolchain)?;
    if machines.iter().any(Machine::has_test_guest) {
        guests::build_tests(&toolchain)?;
    }
    if machines.iter().any(Machine::has_linux) {
        linux::build_guest()?;
    }
    Ok(monitor)
}

fn run_all(tests: &[&Test], at_once: usize, monitor: Option<&monitor::Image>, tally: &Tally) {
    let next = Mutex::new(tests.iter());
    thread::scope(|scope| {
        for _ in 0..at_once.min(tests.len()) {
            scope.spawn(|| loop {
                let test = next.lock().map_or(None, |mut next| next.next());
                let Some(test) = test else { break };
                let started = Instant::now();
                match boot::run(test, monitor) {
                    Ok(()) => {
                        tally.pass(1);
                        println!(
                            "ok   {} ({:.1} s)",
                            test.name,
                            started.elapsed().as_secs_f64()
                        );
                    }
                    Err(error) => tally.fail(&test.name, &format!("{error:#}")),
                }
            });
        }
    });
}
