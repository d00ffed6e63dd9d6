//! The rows of the benchmark against the board: what is measured, what the paper says, and what is to be reached.

use serde::{Deserialize, Serialize};

/// What a row is one of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Group {
    /// From the clock's calibration to the shell.
    Boot,
    /// One thing that a kernel or the memory does, again and again.
    Micro,
    /// Busybox alone, as in the first figures that were taken of this monitor.
    Shell,
    /// A program with its files on a disk, when all of them are in memory.
    Load,
}

impl Group {
    /// All, in order.
    pub const ALL: [Self; 4] = [Self::Boot, Self::Micro, Self::Shell, Self::Load];

    /// What `--only` calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Boot => "boot",
            Self::Micro => "micro",
            Self::Shell => "shell",
            Self::Load => "loads",
        }
    }

    /// For people.
    pub fn title(self) -> &'static str {
        match self {
            Self::Boot => "boot",
            Self::Micro => "kernel services and memory, a repetition",
            Self::Shell => "shell",
            Self::Load => "loads",
        }
    }
}

/// Something that is measured on both sides.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// What the guest's user land calls it, and `--only`.
    pub name: &'static str,
    /// What it does.
    pub about: &'static str,
    /// What it is one of.
    pub group: Group,
    /// The paper's ratio, and where it says so.
    pub paper: Option<(f64, &'static str)>,
    /// The most that the guest may take for what the board takes 1 for.
    pub reach: Option<f64>,
}

/// The boot, which the kernel times itself: nobody is asked for it.
pub const BOOT: &str = "boot";

/// Where the paper has the slowdown of IRIX's services in pmake.
const TABLE_2: &str = "SOSP'97, Table 2";
/// Where it has that of whole programs.
const FIGURE_5: &str = "SOSP'97, Figure 5";

/// All rows, in the order in which they are measured.
pub const ALL: &[Row] = &[
    Row {
        name: BOOT,
        about: "boot to shell",
        group: Group::Boot,
        paper: None,
        reach: Some(1.15),
    },
    Row {
        name: "null",
        about: "getppid",
        group: Group::Micro,
        paper: None,
        reach: Some(1.5),
    },
    Row {
        name: "read",
        about: "1 byte of the page cache",
        group: Group::Micro,
        paper: Some((1.53, TABLE_2)),
        reach: Some(1.25),
    },
    Row {
        name: "write",
        about: "1 byte of the page cache",
        group: Group::Micro,
        paper: Some((2.14, TABLE_2)),
        reach: Some(1.25),
    },
    Row {
        name: "readblock",
        about: "4 KiB of the page cache",
        group: Group::Micro,
        paper: Some((1.53, TABLE_2)),
        reach: Some(1.25),
    },
    Row {
        name: "writeblock",
        about: "4 KiB of the page cache",
        group: Group::Micro,
        paper: Some((2.14, TABLE_2)),
        reach: Some(1.25),
    },
    Row {
        name: "open",
        about: "open and close",
        group: Group::Micro,
        paper: Some((1.63, TABLE_2)),
        reach: Some(1.25),
    },
    Row {
        name: "stat",
        about: "stat by path",
        group: Group::Micro,
        paper: None,
        reach: None,
    },
    Row {
        name: "signal",
        about: "to itself, with a handler",
        group: Group::Micro,
        paper: None,
        reach: None,
    },
    Row {
        name: "fork",
        about: "fork, exit, wait",
        group: Group::Micro,
        paper: None,
        reach: None,
    },
    Row {
        name: "exec",
        about: "fork, exec, exit, wait",
        group: Group::Micro,
        paper: Some((1.60, "SOSP'97, Table 2, execve")),
        reach: Some(1.35),
    },
    Row {
        name: "pipe",
        about: "a byte to the other of 2",
        group: Group::Micro,
        paper: None,
        reach: None,
    },
    Row {
        name: "switch",
        about: "a byte to the next of 8",
        group: Group::Micro,
        paper: None,
        reach: None,
    },
    Row {
        name: "fault",
        about: "demand-zero fault",
        group: Group::Micro,
        paper: Some((1.42, TABLE_2)),
        reach: Some(1.30),
    },
    Row {
        name: "mmap",
        about: "1 MiB of a file mapped, read",
        group: Group::Micro,
        paper: None,
        reach: None,
    },
    Row {
        name: "fileread",
        about: "1 MiB of the page cache",
        group: Group::Micro,
        paper: None,
        reach: None,
    },
    Row {
        name: "memcpy",
        about: "1 MiB",
        group: Group::Micro,
        paper: None,
        reach: None,
    },
    Row {
        name: "tlb",
        about: "a line of a random page",
        group: Group::Micro,
        paper: Some((1.35, "SOSP'97, Table 2, TLB refill")),
        reach: Some(1.10),
    },
    Row {
        name: "pipes",
        about: "100 x busybox true | cat",
        group: Group::Shell,
        paper: None,
        reach: Some(2.0),
    },
    Row {
        name: "dd",
        about: "100k system calls of dd",
        group: Group::Shell,
        paper: None,
        reach: Some(1.6),
    },
    Row {
        name: "loop",
        about: "shell loop that computes",
        group: Group::Shell,
        paper: None,
        reach: Some(1.02),
    },
    Row {
        name: "pmake",
        about: "GNU make -j2, pcc compiles Lua",
        group: Group::Load,
        paper: Some((1.16, FIGURE_5)),
        reach: Some(1.10),
    },
    Row {
        name: "engineering",
        about: "Verilator, two CPUs of ours",
        group: Group::Load,
        paper: Some((1.06, FIGURE_5)),
        reach: Some(1.03),
    },
    Row {
        name: "raytrace",
        about: "Tachyon, a terrain in two threads",
        group: Group::Load,
        paper: Some((1.03, FIGURE_5)),
        reach: Some(1.01),
    },
    Row {
        name: "database",
        about: "SQLite, decision support",
        group: Group::Load,
        paper: Some((1.16, FIGURE_5)),
        reach: Some(1.05),
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_words_that_a_command_line_takes_and_occur_once() {
        let names: BTreeSet<&str> = ALL.iter().map(|row| row.name).collect();
        assert_eq!(names.len(), ALL.len());
        let plain = |name: &&str| name.bytes().all(|byte| byte.is_ascii_lowercase());
        assert!(names.iter().all(plain), "{names:?}");
    }

    #[test]
    fn rows_of_a_group_are_together() {
        let groups = || ALL.iter().map(|row| row.group);
        assert!(groups().is_sorted());
        assert!(Group::ALL
            .iter()
            .all(|&group| groups().any(|of| of == group)));
    }

    #[test]
    fn goals_are_no_worse_than_the_paper() {
        for row in ALL {
            if let (Some((paper, _)), Some(reach)) = (row.paper, row.reach) {
                assert!(reach < paper, "{}", row.name);
            }
        }
    }
}
