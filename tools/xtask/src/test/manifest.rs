//! The boot tests, as `ci/manifest.toml` lists them.

use crate::description::Machine;
use crate::paths;
use crate::run::drive::DiskFault;
use anyhow::{ensure, Context, Result};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use toml::{Table, Value};

/// The virtual machine that a test's `guest` runs in.
const TEST_VM: &str = "test";

/// The whole file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    #[serde(default)]
    test: Vec<Test>,
}

/// One test.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Test {
    /// Its name, unique.
    pub name: String,
    /// What it shows, in one line.
    pub about: String,
    /// A test guest, in one virtual machine `test` whose verdict counts.
    pub guest: Option<String>,
    /// A machine description, relative to the repository; with `xtask`, what is built beforehand.
    pub machine: Option<PathBuf>,
    /// The description's `[hardware]`.
    pub hardware: Option<Table>,
    /// The description's `[numa]`.
    pub numa: Option<Table>,
    /// The description's `[[disk]]`s.
    #[serde(default)]
    pub disk: Vec<Table>,
    /// The description's `[[vm]]`s.
    pub vm: Option<Vec<Table>>,
    /// Ports of virtual machines that lead out, as `vm:port`.
    #[serde(default)]
    pub forward: Vec<String>,
    /// Arguments of `cargo xtask`: the test runs that instead of a machine.
    pub xtask: Option<Vec<String>>,
    /// What it reads from a pipe; nothing unless said otherwise.
    #[serde(default)]
    pub input: String,
    /// What its output has to match.
    pub says: Option<String>,
    /// Its exit status; 0 unless said otherwise.
    #[serde(default)]
    pub status: i32,
    /// Virtual machines that have to give the verdict "pass" after the steps.
    pub verdict: Option<Vec<String>>,
    /// What happens, in order.
    #[serde(default)]
    pub steps: Vec<Step>,
    /// The exact model runs beside, and the machine is off after the steps: between how many percent of
    /// a mode's misses are local.
    #[serde(default)]
    pub magic: BTreeMap<String, [f64; 2]>,
    /// What the page has to match that `numa-report` makes of the run, after the steps.
    #[serde(default)]
    pub report: Vec<String>,
    /// What the console must not show.
    pub never: Option<String>,
    /// Bytes of the flash image that are inverted before the start.
    #[serde(default)]
    pub damage: Vec<usize>,
    /// Bytes of the payload that are inverted before the start.
    #[serde(default)]
    pub damage_payload: Vec<usize>,
    /// Bytes of the real disk that are inverted before the start; negative ones count from its end.
    #[serde(default)]
    pub damage_disk: Vec<i64>,
    /// Requests of the real disk that fail.
    #[serde(default)]
    pub disk_errors: Vec<DiskFault>,
    /// Seconds that the whole test may take.
    #[serde(default = "default_timeout")]
    pub timeout: u64,
    /// Further arguments for QEMU.
    #[serde(default)]
    pub qemu: Vec<String>,
    /// Whether it needs the host for itself.
    #[serde(default)]
    pub alone: bool,
}

/// One step of a test.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Step {
    /// Waits until the console, behind what was matched before, matches a regular expression. A
    /// named group keeps its text, and has to match the same text in later steps.
    Expect {
        /// The regular expression.
        expect: String,
    },
    /// Types on the console.
    Send {
        /// What is typed; `\r` is Enter, `\u001d` is Ctrl-].
        send: String,
    },
    /// Waits for an event. Each event meets one step.
    Event {
        /// Its kind.
        event: String,
        /// The virtual machine it is about.
        vm: Option<String>,
        /// A regular expression for its reason.
        reason: Option<String>,
        /// A regular expression for its message.
        message: Option<String>,
        /// The name under which its time is kept.
        keep: Option<String>,
    },
    /// Waits until the machine is off by itself.
    Off {
        /// QEMU's exit status.
        off: i32,
    },
    /// Waits until the machine is off by itself, and starts it again with the disk as it is then.
    Restart {
        /// QEMU's exit status.
        restart: i32,
        /// Bytes of the real disk that are inverted before the start; negative ones count from its end.
        #[serde(default)]
        damage_disk: Vec<i64>,
    },
    /// Asks a server in a virtual machine, through a port of the test's `forward`, until it answers as it
    /// should.
    Get {
        /// Which port, as in `forward`.
        get: String,
        /// The path that is asked for.
        path: String,
        /// A regular expression for the answer, head and body.
        answer: String,
    },
    /// Lets time pass.
    Pause {
        /// Milliseconds.
        pause: u64,
    },
    /// Runs steps several times.
    Repeat {
        /// How often.
        repeat: u32,
        /// The steps.
        steps: Vec<Step>,
    },
    /// Runs steps for one name after the other, which stands where they have `{vm}`.
    Each {
        /// The names.
        each: Vec<String>,
        /// The steps.
        steps: Vec<Step>,
    },
    /// Compares numbers that named groups have kept.
    Share {
        /// The group whose share is meant.
        share: String,
        /// All groups that make the whole.
        of: Vec<String>,
        /// Least and most that it may have, in per cent.
        percent: [f64; 2],
    },
    /// Compares the times of two events.
    Elapsed {
        /// The names under which they were kept, the earlier first.
        elapsed: [String; 2],
        /// Least and most that may lie between them.
        seconds: [f64; 2],
    },
    /// Compares the times of two events with a guest's, which it told before and behind each.
    Agrees {
        /// The names under which the events were kept, the earlier first.
        elapsed: [String; 2],
        /// Groups, seconds of the guest's: what lies between them is less than the events' time.
        least: [String; 2],
        /// Groups, seconds of the guest's: what lies between them is more.
        most: [String; 2],
        /// How far the guest's clock may be wrong.
        percent: f64,
    },
    /// Compares a group with this computer's clock.
    Clock {
        /// The group: seconds since 1970, in UTC.
        clock: String,
        /// Seconds that it may differ.
        within: f64,
    },
}

fn default_timeout() -> u64 {
    60
}

/// Reads `ci/manifest.toml` and checks what can be checked without running anything.
pub fn load() -> Result<Vec<Test>> {
    let path = paths::root().join("ci/manifest.toml");
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    parse(&text).with_context(|| format!("{}", path.display()))
}

fn parse(text: &str) -> Result<Vec<Test>> {
    let manifest: Manifest = toml::from_str(text)?;
    let mut names = BTreeSet::new();
    for test in &manifest.test {
        ensure!(
            names.insert(&test.name),
            "two tests are called `{}`",
            test.name
        );
        test.check()
            .with_context(|| format!("test `{}`", test.name))?;
    }
    Ok(manifest.test)
}

impl Test {
    fn check(&self) -> Result<()> {
        let right = self
            .name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        ensure!(
            right && !self.name.is_empty(),
            "a name consists of a-z, 0-9 and -"
        );
        ensure!(!self.about.trim().is_empty(), "`about` says nothing");
        let inline = self.guest.is_some() || self.vm.is_some() || self.hardware.is_some();
        let file = self.machine.is_some();
        let one = match &self.xtask {
            Some(_) => !inline,
            None => inline != file,
        };
        ensure!(one, "needs one of: guest, vm or hardware; machine; xtask");
        ensure!(
            self.magic.is_empty() || self.xtask.is_none(),
            "`magic` is for a machine; xtask has arguments"
        );
        ensure!(
            self.report.is_empty() || self.xtask.is_none(),
            "`report` is for a machine; xtask has arguments"
        );
        ensure!(
            self.numa.is_none() || inline,
            "`numa` is for a machine that is described here"
        );
        ensure!(
            self.input.is_empty() || self.xtask.is_some(),
            "`input` is for xtask; a machine has steps"
        );
        ensure!(
            self.xtask.is_some() || !self.steps.is_empty() || !self.verdicts().is_empty(),
            "can never fail: it has no steps and no verdict"
        );
        Ok(())
    }

    /// Whether there is a machine that has to be built before the test.
    pub fn has_machine(&self) -> bool {
        self.xtask.is_none() || self.machine.is_some()
    }

    /// The machine that the test runs on.
    pub fn machine(&self) -> Result<Machine> {
        let mut machine = self.described_machine()?;
        machine.magic = !self.magic.is_empty();
        Ok(machine)
    }

    fn described_machine(&self) -> Result<Machine> {
        if let Some(path) = &self.machine {
            return Ok(Machine::load(Some(&paths::root().join(path)))?);
        }
        let mut hardware = self.hardware.clone().unwrap_or_default();
        hardware
            .entry("memory")
            .or_insert_with(|| Value::from("256M"));
        let mut vms = self.vm.clone().unwrap_or_default();
        if let Some(guest) = &self.guest {
            let mut vm = vms.pop().unwrap_or_default();
            vm.entry("name").or_insert_with(|| Value::from(TEST_VM));
            vm.entry("memory").or_insert_with(|| Value::from("16M"));
            vm.insert("guest".to_owned(), Value::from(guest.as_str()));
            vms.push(vm);
        }
        let mut file = Table::new();
        file.insert("hardware".to_owned(), Value::Table(hardware));
        if let Some(numa) = &self.numa {
            file.insert("numa".to_owned(), Value::Table(numa.clone()));
        }
        let tables =
            |tables: Vec<Table>| Value::Array(tables.into_iter().map(Value::Table).collect());
        file.insert("disk".to_owned(), tables(self.disk.clone()));
        file.insert("vm".to_owned(), tables(vms));
        let text = toml::to_string(&file)?;
        let place = format!("ci/manifest.toml, test `{}`", self.name);
        Ok(Machine::parse(&place, &paths::root(), &text)?)
    }

    /// Names of the virtual machines whose verdict counts.
    pub fn verdicts(&self) -> Vec<String> {
        match (&self.verdict, &self.guest) {
            (Some(names), _) => names.clone(),
            (None, Some(_)) => vec![TEST_VM.to_owned()],
            (None, None) => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{load, parse, Step};

    #[test]
    fn the_manifest_reads() {
        load().unwrap();
    }

    #[test]
    fn steps_of_every_kind() {
        let text = r#"
            [[test]]
            name = "all-steps"
            about = "every kind of step"
            hardware = { cpus = 1 }
            steps = [
                { expect = "x" }, { send = "y\r" }, { event = "vm_stopped", vm = "a", reason = "z" },
                { pause = 10 }, { repeat = 3, steps = [{ send = "\r" }] },
                { share = "a", of = ["a", "b"], percent = [47.0, 53.0] }, { off = 0 },
                { event = "boot", keep = "c" }, { elapsed = ["c", "d"], seconds = [1, 2] },
                { clock = "e", within = 60 }, { each = ["a"], steps = [{ send = "{vm}" }] }, { get = "a:80", path = "/", answer = "x" },
                { elapsed = ["c", "d"], least = ["f", "g"], most = ["h", "i"], percent = 1 },
                { restart = 0, damage_disk = [-1] },
            ]
        "#;
        let tests = parse(text).unwrap();
        assert!(matches!(tests[0].steps[4], Step::Repeat { repeat: 3, .. }));
        assert!(matches!(tests[0].steps[6], Step::Off { off: 0 }));
        assert!(matches!(tests[0].steps[8], Step::Elapsed { .. }));
        assert!(matches!(tests[0].steps[9], Step::Clock { .. }));
        assert!(matches!(tests[0].steps[10], Step::Each { .. }));
        assert!(matches!(tests[0].steps[11], Step::Get { .. }));
        assert!(matches!(tests[0].steps[12], Step::Agrees { .. }));
        assert!(matches!(tests[0].steps[13], Step::Restart { .. }));
    }

    #[test]
    fn tests_that_cannot_fail_are_refused() {
        assert!(parse("[[test]]\nname = 'a'\nabout = 'b'\nhardware = {}").is_err());
        assert!(parse("[[test]]\nname = 'a'\nabout = 'b'\nguest = 'c'\nxtask = []").is_err());
    }
}
