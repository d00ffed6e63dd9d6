//! `cargo xtask bench reads`: a virtual machine reads a file of 16 MiB from the real disk, then a second one
//! the same file, whose pages are in memory. Instructions are counted, as the board's benchmark does.

use super::keep;
use super::watched::Watched;
use super::COUNTED;
use crate::build::guests;
use crate::build::monitor::Image;
use crate::description::Machine;
use crate::setup::toolchain::Toolchain;
use anyhow::{Context, Result};
use regex::Regex;
use serde_json::json;
use std::path::Path;

/// The second read may take so much of the instructions of the first.
const GOAL: f64 = 1.0 / 3.0;
/// Seconds that all may take.
const LIMIT: u64 = 600;
/// What reads, each a file of its own. `cat` leaves the pages where they are; `dd` has the kernel copy them into
/// its memory, which takes as much whoever has read them before, so that it has no goal.
const READERS: [Reader; 2] = [
    Reader {
        name: "cat",
        file: "/mnt/large1",
        line: "cat {} > /dev/null",
        goal: Some(GOAL),
    },
    Reader {
        name: "dd bs=1M",
        file: "/mnt/large2",
        line: "dd if={} of=/dev/null bs=1M",
        goal: None,
    },
];
/// A file as long to type of which there is nothing to read.
const NOTHING: &str = "/dev/./null";
const VMS: [&str; 2] = ["first", "second"];

/// A program that reads.
struct Reader {
    name: &'static str,
    file: &'static str,
    /// Its command line, with `{}` for the file.
    line: &'static str,
    goal: Option<f64>,
}

/// Instructions that the two virtual machines took.
struct Row {
    name: &'static str,
    goal: Option<f64>,
    instructions: [u64; 2],
}

impl Row {
    fn ratio(&self) -> f64 {
        self.instructions[1] as f64 / self.instructions[0] as f64
    }

    fn is_met(&self) -> bool {
        self.goal.is_none_or(|goal| self.ratio() <= goal)
    }
}

/// Measures all and prints it; `json` keeps the figures. Ends with whether the goal is met.
pub fn run(json: Option<&Path>, toolchain: &Toolchain) -> Result<bool> {
    let monitor = Image::build(toolchain)?;
    let machine = machine()?;
    guests::build_for(&machine, toolchain)?;
    eprintln!("reads: measuring ...");
    let rows = Watched::run(&monitor, &machine, ("reads", LIMIT), COUNTED, |watched| {
        watched.shells(&machine)?;
        measure(watched)
    })?;
    print!("{}", table(&rows));
    let figures: Vec<_> = rows
        .iter()
        .map(|row| json!({ "name": row.name, "instructions": row.instructions, "ratio": row.ratio() }))
        .collect();
    keep(json, "reads", figures)?;
    Ok(rows.iter().all(Row::is_met))
}

fn machine() -> Result<Machine> {
    let mut text = "[hardware]\ncpus = 1\nnodes = 1\nmemory = \"512M\"\n\
         [[disk]]\nname = \"root\"\nimage = \"linux-root\"\nmode = \"cow\"\n\
         [[disk]]\nname = \"files\"\nimage = \"sharing\"\nmode = \"cow\"\n"
        .to_owned();
    for name in VMS {
        text += &format!(
            "[[vm]]\nname = \"{name}\"\nguest = \"linux\"\nmemory = \"96M\"\n\
             disks = [\"root\", \"files\"]\ncmdline = \"quiet\"\n"
        );
    }
    Ok(Machine::parse(
        "the machine of bench reads",
        Path::new(""),
        &text,
    )?)
}

fn measure(watched: &mut Watched) -> Result<Vec<Row>> {
    for vm in VMS {
        // The programs themselves are in memory from here on.
        let warm = "dd if=/mnt/files/1 of=/dev/null bs=1M; cat /mnt/files/1 > /dev/null";
        watched.at(
            vm,
            &format!("mount -t ext4 -o ro /dev/vdb /mnt; {warm}; sleep 1"),
        )?;
    }
    let mut rows = Vec::new();
    for Reader {
        name,
        file,
        line,
        goal,
    } in READERS
    {
        let mut instructions = [0; VMS.len()];
        for (vm, taken) in VMS.into_iter().zip(&mut instructions) {
            // The console, the shell and the start of the program have their part in it, too.
            let nothing = instructions_of(watched, vm, &line.replace("{}", NOTHING))?;
            *taken =
                instructions_of(watched, vm, &line.replace("{}", file))?.saturating_sub(nothing);
        }
        rows.push(Row {
            name,
            goal,
            instructions,
        });
    }
    Ok(rows)
}

/// Instructions that virtual machine `vm` and the monitor for it take for a line of its shell.
fn instructions_of(watched: &mut Watched, vm: &str, line: &str) -> Result<u64> {
    let before = ran(watched, vm)?;
    watched.at(vm, line)?;
    Ok(ran(watched, vm)? - before)
}

/// The CPU time of virtual machine `vm`: a nanosecond is an instruction.
fn ran(watched: &mut Watched, vm: &str) -> Result<u64> {
    let answer = watched.ask("vm list --json", r#""vm":"second".*\n"#)?;
    let regex = Regex::new(&format!(r#""vm":"{vm}",.*"cpu_ns":(\d+)"#))?;
    let found = regex
        .captures(&answer)
        .with_context(|| format!("vm list does not tell of {vm}"))?;
    Ok(found[1].parse()?)
}

fn table(rows: &[Row]) -> String {
    const MILLION: f64 = 1e6;
    let mut text = format!(
        "{:<12}{:>16}{:>17}{:>8}   {}\n",
        "16 MiB by", "first, million", "second, million", "ratio", "goal"
    );
    for row in rows {
        let [first, second] = row.instructions.map(|count| count as f64 / MILLION);
        let goal = match row.goal {
            Some(goal) if row.is_met() => format!("{goal:.3} met"),
            Some(goal) => format!("{goal:.3} not met"),
            None => "-".to_owned(),
        };
        text += &format!(
            "{:<12}{first:>16.2}{second:>17.2}{:>8.3}   {goal}\n",
            row.name,
            row.ratio()
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{table, Row, GOAL};

    #[test]
    fn what_misses_the_goal_says_so() {
        let row = |second, goal| Row {
            name: "cat",
            goal,
            instructions: [30_000_000, second],
        };
        let rows = [
            row(9_000_000, Some(GOAL)),
            row(11_000_000, Some(GOAL)),
            row(11_000_000, None),
        ];
        assert_eq!(rows.each_ref().map(Row::is_met), [true, false, true]);
        let text = table(&rows);
        assert!(text.contains("30.00             9.00   0.300   0.333 met\n"));
        assert!(text.contains("30.00            11.00   0.367   0.333 not met\n"));
        assert!(text.contains("30.00            11.00   0.367   -\n"));
    }
}
