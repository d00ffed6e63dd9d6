//! `cargo xtask test`: host tests, the conformance suite, then boot tests, then one line that says
//! how many passed.

mod boot;
mod host;
mod http;
mod manifest;
mod steps;

use crate::build::images::BuiltImage;
use crate::build::{guests, linux, monitor};
use crate::description::Machine;
use crate::process::last_lines;
use crate::setup::{self, Need};
use crate::{conformance, paths};
use anyhow::Result;
pub use host::RANDOM_SEED;
use manifest::Test;
use std::collections::BTreeSet;
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

/// Which tests to run.
pub struct Selection {
    /// Those whose names contain one of these; all if there is none.
    pub filters: Vec<String>,
    /// Only host tests on big-endian MIPS.
    pub big_endian: bool,
}

impl Selection {
    fn has(&self, name: &str) -> bool {
        let filters = &self.filters;
        filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str()))
    }

    /// Whether host tests run here. Whoever names other tests in full need not wait for them to
    /// compile.
    fn on_host(&self, boot: &[Test]) -> bool {
        let other = |filter: &String| {
            filter.starts_with(host::BIG_ENDIAN)
                || CONFORMANCE.iter().any(|group| filter == group.name)
                || boot.iter().any(|test| test.name == *filter)
        };
        !self.big_endian && (self.filters.is_empty() || !self.filters.iter().all(other))
    }

    fn conformance(&self) -> impl Iterator<Item = &'static Group> + '_ {
        CONFORMANCE
            .iter()
            .filter(|group| !self.big_endian && self.has(group.name))
    }

    /// Whether they run on big-endian MIPS: if nothing is left out, or if it is asked for.
    fn on_mips(&self) -> bool {
        let named = |filter: &String| filter.starts_with(host::BIG_ENDIAN);
        self.big_endian || self.filters.is_empty() || self.filters.iter().any(named)
    }
}

/// Runs the selected tests, or lists them.
pub fn run(selection: &Selection, list: bool, installer: &setup::Installer) -> Result<ExitCode> {
    let manifest = manifest::load()?;
    let boot: Vec<Test> = manifest
        .iter()
        .filter(|test| !selection.big_endian && selection.has(&test.name))
        .cloned()
        .collect();
    if list {
        list_tests(selection, &manifest, &boot, installer)?;
        return Ok(ExitCode::SUCCESS);
    }
    let tally = Tally::default();
    if selection.on_host(&manifest) {
        host_tests("disco-", host::build(), selection, &tally);
    }
    if selection.on_mips() {
        host_tests(host::BIG_ENDIAN, big_endian(installer), selection, &tally);
    }
    for group in selection.conformance() {
        conformance_suite(group, installer, &tally)?;
    }
    if !boot.is_empty() {
        boot_tests(&boot, installer, &tally)?;
    }
    let (passed, failed) = (tally.passed.into_inner(), tally.failed.into_inner());
    if passed + failed == 0 {
        eprintln!(
            "no test matches {}: see cargo xtask test --list",
            selection.filters.join(" ")
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

/// Programs of the conformance suite that are selected together.
struct Group {
    name: &'static str,
    about: &'static str,
    /// What `cargo xtask conformance` calls them.
    filter: &'static str,
    what: &'static str,
}

const CONFORMANCE: &[Group] = &[
    Group {
        name: "conformance",
        about: "programs that see the same natively and as a guest",
        filter: "",
        what: "programs",
    },
    Group {
        name: "conformance-linux",
        about: "programs that print the same on Linux natively and on Linux as a guest",
        filter: conformance::LINUX,
        what: "lines",
    },
];

fn conformance_suite(group: &Group, installer: &setup::Installer, tally: &Tally) -> Result<()> {
    let name = group.name;
    let started = Instant::now();
    let outcome = conformance::suite(group.filter, installer)?;
    let seconds = started.elapsed().as_secs_f64();
    tally.pass(outcome.passed);
    println!(
        "ok   {name}: {} {} ({seconds:.1} s)",
        outcome.passed, group.what
    );
    for (line, why) in &outcome.failed {
        tally.failed.fetch_add(1, Ordering::Relaxed);
        let again = conformance::again(group.filter, line);
        println!("FAIL {name} {line}: {why}\n  again: cargo xtask conformance {again}");
    }
    Ok(())
}

fn big_endian(installer: &setup::Installer) -> Result<Vec<host::Suite>> {
    host::build_big_endian(&installer.provide(Need::BIG_ENDIAN)?)
}

fn list_tests(
    selection: &Selection,
    manifest: &[Test],
    boot: &[Test],
    installer: &setup::Installer,
) -> Result<()> {
    let mut suites = Vec::new();
    if selection.on_host(manifest) {
        suites.extend(host::build()?);
    }
    // The names of all are the host tests' own: not worth a compiler for another target.
    let everything = selection.filters.is_empty() && !selection.big_endian;
    if selection.on_mips() && !everything {
        suites.extend(big_endian(installer)?);
    }
    for suite in &suites {
        for test in suite.selected(selection) {
            println!("{}: host test of {}", suite.full_name(&test), suite.name);
        }
    }
    if everything {
        println!(
            "{}::...: the same on big-endian MIPS; cargo xtask test --big-endian --list names them",
            host::BIG_ENDIAN
        );
    }
    for group in selection.conformance() {
        println!("{}: {}", group.name, group.about);
    }
    for test in boot {
        println!("{}: {}", test.name, test.about);
    }
    Ok(())
}

/// The host tests that are selected: on this computer, or on big-endian MIPS.
///
/// # Errors
/// If they do not compile.
pub fn host_suites(
    selection: &Selection,
    installer: &setup::Installer,
) -> Result<Vec<(host::Suite, Vec<String>)>> {
    let suites = if selection.big_endian {
        big_endian(installer)?
    } else {
        host::build()?
    };
    let selected = suites.into_iter().map(|suite| {
        let tests = suite.selected(selection);
        (suite, tests)
    });
    Ok(selected.filter(|(_, tests)| !tests.is_empty()).collect())
}

/// Runs suites. `all` is a filter that selects them all.
fn host_tests(all: &str, suites: Result<Vec<host::Suite>>, selection: &Selection, tally: &Tally) {
    let suites = match suites {
        Ok(suites) => suites,
        Err(error) => return tally.fail(all, &format!("{error:#}")),
    };
    for suite in &suites {
        let tests = suite.selected(selection);
        if !tests.is_empty() {
            run_suite(suite, &tests, tally);
        }
    }
}

fn run_suite(suite: &host::Suite, tests: &[String], tally: &Tally) {
    match suite.run(tests, None) {
        Err(error) => tests
            .iter()
            .for_each(|test| tally.fail(&suite.full_name(test), &format!("{error:#}"))),
        Ok(outcome) => {
            tally.pass(outcome.passed);
            println!("ok   {}: {} host tests", suite.name, outcome.passed);
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
    if machines.iter().any(Machine::builds_linux) {
        needs.extend(Need::LINUX);
    }
    let toolchain = installer.provide(&needs)?;
    let monitor = monitor::Image::build(&toolchain)?;
    guests::build_own(machines.iter().flat_map(Machine::own_guests), &toolchain)?;
    if machines.iter().any(Machine::has_linux) {
        linux::build_guest()?;
    }
    let images: BTreeSet<_> = machines.iter().flat_map(Machine::built_images).collect();
    images.into_iter().try_for_each(BuiltImage::build)?;
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

#[cfg(test)]
mod tests {
    use super::Selection;

    #[test]
    fn big_endian_tests_run_unless_filters_choose_others() {
        let places = |filters: &[&str], big_endian| {
            let filters = filters.iter().map(|&filter| filter.to_owned()).collect();
            let selection = Selection {
                filters,
                big_endian,
            };
            (selection.on_host(&[]), selection.on_mips())
        };
        assert_eq!(places(&[], false), (true, true));
        assert_eq!(places(&[], true), (false, true));
        assert_eq!(places(&["disco-flash"], false), (true, false));
        assert_eq!(places(&["disco-flash"], true), (false, true));
        assert_eq!(places(&["big-endian::disco-flash"], false), (false, true));
        assert_eq!(places(&["big-endian", "disco-abi"], false), (true, true));
    }
}
