//! Runs the tests that need no machine: those of the crates that compile for the host, there and
//! once more on big-endian MIPS under QEMU's user emulation, as the board's CPU has it.

use super::Selection;
use crate::build::mips_linux;
use crate::children::{limited, Guarded};
use crate::paths;
use crate::process::{self, last_lines};
use crate::setup::toolchain::Toolchain;
use anyhow::{bail, Context, Result};
use serde_json::Value;
use std::collections::BTreeSet;
use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long the tests of one crate may take.
const LIMIT: Duration = Duration::from_secs(300);
/// The crates whose tests run big-endian too: all that compile for the host but the tools, which
/// never run elsewhere; what these and the machine agree on does.
const BIG_ENDIAN_PACKAGES: &[&str] = &[
    "disco-abi",
    "disco-arch",
    "disco-executor-layout",
    "disco-flash",
    "disco-kernel",
    "disco-magic",
    "disco-numa-work",
];
/// Names of tests on big-endian MIPS begin so.
pub const BIG_ENDIAN: &str = "big-endian";

/// The compiled tests of one crate.
pub struct Suite {
    /// The crate's name, behind [`BIG_ENDIAN`] where they run big-endian.
    pub name: String,
    /// What stands before the program to run it.
    emulator: &'static [&'static str],
    program: PathBuf,
    folder: PathBuf,
    /// Names of its tests, without the suite's.
    pub tests: Vec<String>,
}

/// How a suite's tests ended.
pub struct Outcome {
    /// How many passed.
    pub passed: usize,
    /// Names of those that did not.
    pub failed: Vec<String>,
    /// The log.
    pub log: PathBuf,
}

/// Compiles the tests of every host crate.
pub fn build() -> Result<Vec<Suite>> {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(paths::root()).arg("test");
    compile(command, "host tests: compile", "host-tests", None)
}

/// Compiles the same tests, but the tools', for big-endian MIPS.
pub fn build_big_endian(toolchain: &Toolchain) -> Result<Vec<Suite>> {
    let mut command = mips_linux::cargo(toolchain, "test");
    for package in BIG_ENDIAN_PACKAGES {
        command.args(["--package", package]);
    }
    let title = "big-endian host tests: compile";
    compile(command, title, "big-endian-tests", Some(BIG_ENDIAN))
}

fn compile(
    mut command: Command,
    title: &str,
    log: &str,
    place: Option<&'static str>,
) -> Result<Vec<Suite>> {
    command.args(["--no-run", "--lib", "--bins", "--tests"]);
    command.arg("--message-format=json-render-diagnostics");
    let messages = paths::logs().join(format!("{log}.json"));
    fs::create_dir_all(paths::logs())?;
    process::run_step_to(title, log, &mut command, Some(&messages))?;
    let messages = fs::read_to_string(&messages)?;
    let mut suites: Vec<Suite> = messages
        .lines()
        .filter_map(|line| suite(line, place))
        .collect();
    for suite in &mut suites {
        suite.tests = suite.list()?;
    }
    suites.retain(|suite| !suite.tests.is_empty());
    suites.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(suites)
}

/// The suite that one of cargo's messages announces, if it does.
fn suite(line: &str, place: Option<&str>) -> Option<Suite> {
    let message: Value = serde_json::from_str(line).ok()?;
    if message["reason"] != "compiler-artifact" || message["profile"]["test"] != true {
        return None;
    }
    let folder = Path::new(message["manifest_path"].as_str()?)
        .parent()?
        .to_path_buf();
    let package = message["target"]["name"].as_str()?.replace('_', "-");
    Some(Suite {
        name: place.map_or_else(|| package.clone(), |place| format!("{place}::{package}")),
        emulator: place.map_or(&[], |_| mips_linux::EMULATOR),
        program: message["executable"].as_str()?.into(),
        folder,
        tests: Vec::new(),
    })
}

/// Where property tests take the seed of their random cases from. A run of all tests repeats
/// exactly; `cargo test` and `cargo xtask soak properties` take other cases each time.
pub const RANDOM_SEED: &str = "PROPTEST_RNG_SEED";
/// They do not keep the cases that failed, as a seed repeats them.
const KEEP_NOTHING: &str = "PROPTEST_DISABLE_FAILURE_PERSISTENCE";

impl Suite {
    fn command(&self) -> Command {
        let mut words = self
            .emulator
            .iter()
            .map(OsStr::new)
            .chain([self.program.as_os_str()]);
        let mut command = Command::new(words.next().unwrap_or_default());
        command
            .args(words)
            .current_dir(&self.folder)
            .env("CARGO_MANIFEST_DIR", &self.folder)
            .env(KEEP_NOTHING, "1");
        if env::var_os(RANDOM_SEED).is_none() {
            command.env(RANDOM_SEED, "5");
        }
        command
    }

    fn list(&self) -> Result<Vec<String>> {
        let output = self
            .command()
            .args(["--list", "--format", "terse"])
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(text
            .lines()
            .filter_map(|line| line.strip_suffix(": test"))
            .map(str::to_owned)
            .collect())
    }

    /// The name by which a person selects a test.
    pub fn full_name(&self, test: &str) -> String {
        format!("{}::{test}", self.name)
    }

    /// Those of its tests that are selected.
    pub fn selected(&self, selection: &Selection) -> Vec<String> {
        let selected = |test: &&String| selection.has(&self.full_name(test));
        self.tests.iter().filter(selected).cloned().collect()
    }

    /// Runs some of its tests; with random cases from `seed`, if there is one.
    pub fn run(&self, tests: &[String], seed: Option<u64>) -> Result<Outcome> {
        let log = paths::target()
            .join("test")
            .join(format!("host-{}.log", self.name.replace("::", "-")));
        fs::create_dir_all(paths::target().join("test"))?;
        let output = File::create(&log)?;
        let mut command = self.command();
        if let Some(seed) = seed {
            command.env(RANDOM_SEED, seed.to_string());
        }
        if tests.len() < self.tests.len() {
            command.arg("--exact").args(tests);
        }
        let seconds = LIMIT.as_secs();
        let mut command = limited(&command, seconds);
        command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        let mut program = Guarded::start_group(&mut command)?;
        let started = Instant::now();
        while program.ended()?.is_none() {
            if started.elapsed() > LIMIT {
                bail!(
                    "{}: not done within {seconds} s\n{}",
                    self.name,
                    last_lines(&log, 15)
                );
            }
            thread::sleep(Duration::from_millis(20));
        }
        let text = fs::read_to_string(&log).context("log of host tests")?;
        let passed = passed_tests(&text);
        let failed: Vec<String> = tests
            .iter()
            .filter(|test| !passed.contains(test.as_str()))
            .cloned()
            .collect();
        Ok(Outcome {
            passed: tests.len() - failed.len(),
            failed,
            log,
        })
    }
}

/// Names of the tests that a log calls passed. All others failed: a program that dies says
/// nothing of those it had not come to. Ignored tests count as neither, but we have none.
fn passed_tests(log: &str) -> BTreeSet<&str> {
    log.lines()
        .filter_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... ok"))
        .map(|name| name.strip_suffix(" - should panic").unwrap_or(name))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{passed_tests, BIG_ENDIAN_PACKAGES};
    use crate::paths;
    use std::collections::BTreeSet;
    use std::fs;

    #[test]
    fn every_host_crate_is_tested_big_endian() {
        let read = |path: &str| {
            let text = fs::read_to_string(paths::root().join(path)).unwrap();
            text.parse::<toml::Table>().unwrap()
        };
        let members = read("Cargo.toml")["workspace"]["default-members"].clone();
        let names: BTreeSet<String> = members
            .as_array()
            .unwrap()
            .iter()
            .map(|member| member.as_str().unwrap())
            .filter(|member| !member.starts_with("tools/") || member.ends_with("/layout"))
            .map(|member| read(&format!("{member}/Cargo.toml")))
            .map(|crate_| crate_["package"]["name"].as_str().unwrap().to_owned())
            .collect();
        let tested = BIG_ENDIAN_PACKAGES.iter().map(|&name| name.to_owned());
        assert_eq!(names, tested.collect());
    }

    #[test]
    fn what_is_not_ok_has_not_passed() {
        let log = "test a::b ... ok\ntest c - should panic ... ok\ntest d ... FAILED\ntest e ... ";
        assert_eq!(
            passed_tests(log).into_iter().collect::<Vec<_>>(),
            ["a::b", "c"]
        );
    }
}
