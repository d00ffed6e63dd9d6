//! What a run of the benchmark against the board has measured, as the file of `--json` has it.

use super::breakdown::figures::Split;
use super::machines::Machines;
use super::rows::{Group, Row};
use super::scaling::figures::Scaling;
use super::sides::{Figure, Measured};
use crate::build::monitor::Image;
use crate::paths;
use crate::run::qemu;
use crate::setup::version_of;
use anyhow::{bail, ensure, Context, Result};
use regex::bytes::Regex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Version of the file's form: another one when a field changes its meaning or goes.
pub const VERSION: u32 = 1;

/// All that a run has measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// [`VERSION`].
    pub version: u32,
    /// What the figures depend on.
    pub conditions: Conditions,
    /// Both sides of each row.
    pub rows: Vec<Both>,
    /// Where their instructions go.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub breakdown: Vec<Split>,
    /// The same work on eight CPUs as 1, 2, 4 and 8 virtual machines.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scaling: Vec<Scaling>,
    /// Several machines as as many QEMUs and under one monitor: figures of the computer that ran them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub machines: Vec<Machines>,
}

/// What the figures depend on, but for those of `machines`; the computer that runs it is not among it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conditions {
    /// What QEMU calls itself.
    pub qemu: String,
    /// Both kernels' version.
    pub linux: String,
    /// The repository's commit, with `-dirty` behind it if something was changed; `None` outside of a repository.
    pub commit: Option<String>,
    /// SHA-256 of the monitor as it is in the flash.
    pub monitor_sha256: String,
    /// SHA-256 of the user land of both sides.
    pub user_land_sha256: String,
}

/// A row, measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Both {
    /// Its name.
    pub name: String,
    /// What it does.
    pub about: String,
    /// What it is one of.
    pub group: Group,
    /// Nanoseconds of virtual time on the bare board, which are instructions.
    pub native_ns: u64,
    /// The same as a guest.
    pub guest_ns: u64,
    /// How often it was done in that time, if that is counted.
    pub repetitions: Option<u64>,
    /// What the guest takes for what the board takes 1 for.
    pub ratio: f64,
    /// The paper's ratio.
    pub paper: Option<f64>,
    /// Where the paper says so.
    pub paper_source: Option<String>,
    /// The ratio to reach.
    pub reach: Option<f64>,
}

impl Both {
    fn of(row: &Row, native: Figure, guest: Figure) -> Result<Self> {
        ensure!(
            native.repetitions == guest.repetitions,
            "{}: the native side has done it {} times and the guest {} times",
            row.name,
            shown(native.repetitions),
            shown(guest.repetitions)
        );
        Ok(Self {
            name: row.name.to_owned(),
            about: row.about.to_owned(),
            group: row.group,
            native_ns: native.ns,
            guest_ns: guest.ns,
            repetitions: native.repetitions,
            ratio: guest.ns as f64 / native.ns as f64,
            paper: row.paper.map(|(paper, _)| paper),
            paper_source: row.paper.map(|(_, source)| source.to_owned()),
            reach: row.reach,
        })
    }

    /// Nanoseconds of one repetition.
    pub fn each(&self, ns: u64) -> f64 {
        ns as f64 / self.repetitions.unwrap_or(1).max(1) as f64
    }

    /// Whether what is to be reached is; nothing has to be without a goal.
    pub fn verdict(&self) -> &'static str {
        match self.reach {
            Some(reach) if self.ratio > reach => "over",
            Some(_) => "met",
            None => "",
        }
    }
}

fn shown(repetitions: Option<u64>) -> String {
    repetitions.map_or_else(
        || "an unknown number of".to_owned(),
        |count| count.to_string(),
    )
}

impl Record {
    /// Puts both sides of `rows` together; each side has to have measured every row.
    pub fn new(
        rows: &[Row],
        native: &Measured,
        guest: &Measured,
        conditions: Conditions,
    ) -> Result<Self> {
        let missing = |side: &Measured| {
            let names = rows.iter().map(|row| row.name);
            let missing: Vec<&str> = names.filter(|name| side.figure(name).is_none()).collect();
            missing.join(", ")
        };
        for (name, side) in [("native", native), ("guest", guest)] {
            let missing = missing(side);
            ensure!(
                missing.is_empty(),
                "the {name} side did not measure {missing}"
            );
        }
        let both = |row: &Row| {
            let (native, guest) = native.figure(row.name).zip(guest.figure(row.name))?;
            Some(Both::of(row, native, guest))
        };
        Ok(Self {
            version: VERSION,
            conditions,
            rows: rows.iter().filter_map(both).collect::<Result<_>>()?,
            breakdown: Vec::new(),
            scaling: Vec::new(),
            machines: Vec::new(),
        })
    }

    /// Reads what [`Self::write`] has written.
    pub fn read(path: &Path) -> Result<Self> {
        let name = paths::shown(path);
        let text = fs::read_to_string(path).with_context(|| {
            format!("cannot read {name}; `cargo xtask bench --json {name}` writes it")
        })?;
        Self::parse(&text).with_context(|| name)
    }

    fn parse(text: &str) -> Result<Self> {
        #[derive(Deserialize)]
        struct Versioned {
            version: Option<u32>,
        }
        let advice = "write it anew with `cargo xtask bench --json FILE`";
        let Versioned { version } =
            serde_json::from_str(text).with_context(|| format!("no figures; {advice}"))?;
        match version {
            Some(VERSION) => {}
            Some(other) => bail!("its form has version {other}, and this is {VERSION}; {advice}"),
            None => bail!("it is not of the benchmark against the board, or too old; {advice}"),
        }
        serde_json::from_str(text).with_context(|| format!("not as it was written; {advice}"))
    }

    /// Writes it for [`Self::read`] and other programs.
    pub fn write(&self, path: &Path) -> Result<()> {
        fs::write(path, self.text()?).with_context(|| format!("cannot write {}", path.display()))
    }

    /// As it is in the file.
    pub fn text(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }
}

impl Conditions {
    /// Of this monitor with this user land and these kernels, the board's and the guest's.
    pub fn of(image: &Image, user_land: &Path, kernels: [&Path; 2]) -> Result<Self> {
        let [native, guest] = kernels.map(linux_version);
        let (native, guest) = (native?, guest?);
        ensure!(
            native == guest,
            "the native side runs Linux {native}, the guest {guest}"
        );
        let land =
            fs::read(user_land).with_context(|| format!("cannot read {}", user_land.display()))?;
        Ok(Self {
            qemu: version_of(qemu::PROGRAM).unwrap_or_default(),
            linux: native,
            commit: commit(),
            monitor_sha256: sha256(&[&image.reset, &image.bytes]),
            user_land_sha256: sha256(&[&land]),
        })
    }

    /// What is not the same in `other`: its name, there and here.
    pub fn differences<'a>(&'a self, other: &'a Self) -> Vec<(&'static str, &'a str, &'a str)> {
        let of = |conditions: &'a Self| {
            [
                ("QEMU", &*conditions.qemu),
                ("Linux", &*conditions.linux),
                ("commit", conditions.commit.as_deref().unwrap_or("unknown")),
                ("monitor", &*conditions.monitor_sha256),
                ("user land", &*conditions.user_land_sha256),
            ]
        };
        let pairs = of(other).into_iter().zip(of(self));
        pairs
            .filter(|((_, there), (_, here))| there != here)
            .map(|((name, there), (_, here))| (name, there, here))
            .collect()
    }
}

/// What a kernel calls itself when it boots.
fn linux_version(kernel: &Path) -> Result<String> {
    let bytes = fs::read(kernel).with_context(|| format!("cannot read {}", kernel.display()))?;
    let banner = Regex::new(r"Linux version ([0-9][^ ]*) ")?;
    let found = banner.captures(&bytes);
    let found = found.with_context(|| format!("{} is no Linux", kernel.display()))?;
    Ok(String::from_utf8_lossy(&found[1]).into_owned())
}

fn sha256(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    parts.iter().for_each(|part| hash.update(part));
    let bytes = hash.finalize();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn commit() -> Option<String> {
    let mut command = Command::new("git");
    command.current_dir(paths::root()).args([
        "describe",
        "--always",
        "--dirty",
        "--abbrev=12",
        "--exclude=*",
    ]);
    let output = command
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    let name = String::from_utf8(output.stdout).ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::bench::rows;

    fn side(factor: u64) -> Measured {
        let figure = |row: &Row| {
            let figure = Figure {
                ns: factor * 1_000_000_000,
                repetitions: (row.name == "dd").then_some(1000),
            };
            (row.name.to_owned(), figure)
        };
        Measured {
            figures: rows::ALL.iter().map(figure).collect(),
        }
    }

    /// A record with all rows, in which the guest takes `guest` seconds and the board `native`.
    pub fn record(native: u64, guest: u64) -> Record {
        Record::new(
            rows::ALL,
            &side(native),
            &side(guest),
            Conditions::default(),
        )
        .unwrap()
    }

    #[test]
    fn a_row_has_both_sides_and_their_ratio() {
        let record = record(2, 3);
        let row = record.rows.iter().find(|row| row.name == "dd").unwrap();
        assert_eq!(
            (row.native_ns, row.guest_ns),
            (2_000_000_000, 3_000_000_000)
        );
        assert_eq!((row.ratio, row.each(row.guest_ns)), (1.5, 3_000_000.0));
        assert_eq!(row.verdict(), "met");
        let row = record.rows.iter().find(|row| row.name == "loop").unwrap();
        assert_eq!(row.verdict(), "over");
    }

    #[test]
    fn rows_that_were_asked_for_and_not_measured_are_an_error() {
        let mut guest = side(1);
        guest.figures.remove("dd");
        guest.figures.remove("loop");
        let new = |native: &Measured, guest: &Measured| {
            Record::new(rows::ALL, native, guest, Conditions::default())
        };
        let error = new(&side(1), &guest).unwrap_err().to_string();
        assert_eq!(error, "the guest side did not measure dd, loop");
        let error = new(&guest, &side(1)).unwrap_err().to_string();
        assert_eq!(error, "the native side did not measure dd, loop");
        // Those that were not asked for may be missing.
        let asked: Vec<Row> = rows::ALL
            .iter()
            .copied()
            .filter(|row| row.name == "pipes")
            .collect();
        let record = Record::new(&asked, &side(1), &guest, Conditions::default()).unwrap();
        assert_eq!(record.rows.len(), 1);
    }

    #[test]
    fn sides_that_have_done_different_things_are_an_error() {
        let mut guest = side(1);
        guest.figures.get_mut("dd").unwrap().repetitions = Some(999);
        let error = Record::new(rows::ALL, &side(1), &guest, Conditions::default());
        let error = error.unwrap_err().to_string();
        assert!(
            error.starts_with("dd: ") && error.contains("999"),
            "{error}"
        );
    }

    #[test]
    fn what_is_written_is_read() {
        let record = record(7, 9);
        assert_eq!(Record::parse(&record.text().unwrap()).unwrap(), record);
    }

    #[test]
    fn files_of_another_form_are_refused_with_what_to_do() {
        for (text, what) in [
            ("", "no figures"),
            ("{\"bench\": []}", "too old"),
            ("{\"version\": 77}", "version 77"),
            ("{\"version\": 1}", "not as it was written"),
        ] {
            let error = format!("{:#}", Record::parse(text).unwrap_err());
            assert!(
                error.contains(what) && error.contains("--json FILE"),
                "{error}"
            );
        }
    }

    #[test]
    fn conditions_that_differ_are_named() {
        let one = Conditions {
            qemu: "7".to_owned(),
            commit: Some("abc".to_owned()),
            ..Conditions::default()
        };
        let other = Conditions {
            qemu: "10".to_owned(),
            ..Conditions::default()
        };
        assert_eq!(one.differences(&one), []);
        let expected = [("QEMU", "10", "7"), ("commit", "unknown", "abc")];
        assert_eq!(one.differences(&other), expected);
    }
}
