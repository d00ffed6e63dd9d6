//! `cargo xtask soak moves`: pages of running Linux virtual machines move between nodes as fast as they
//! can, while their processes verify checksums of what they have written, and send it to each other.

use crate::bench::watched::Watched;
use crate::build::guests;
use crate::build::monitor::Image;
use crate::cli::MovesArgs;
use crate::description::Machine;
use crate::setup::{Installer, Need};
use anyhow::{bail, ensure, Context, Result};
use regex::Regex;
use std::fmt::{self, Display, Formatter};
use std::io::{stdout, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

/// The machine: CPUs that run in parallel, and fewer of them than virtual CPUs, so that those move, too.
const MACHINE: &str = r#"
[hardware]
cpus = 4
nodes = 4
memory = "512M"
[[disk]]
name = "root"
image = "linux-root"
mode = "cow"
[[vm]]
name = "alpha"
guest = "linux"
memory = "128M"
cpus = 4
net = true
disks = ["root"]
cmdline = "quiet"
[[vm]]
name = "beta"
guest = "linux"
memory = "96M"
cpus = 2
net = true
disks = ["root"]
cmdline = "quiet"
"#;

/// What each virtual machine's processes do, by its name: kinds of `round` below.
const WORKERS: [(&str, &[&str]); 2] = [
    ("alpha", &["copy", "pipe", "fork", "copy"]),
    ("beta", &["fetch", "copy", "pipe"]),
];

/// What the shells of the guests are told: `work NUMBER KIND` does rounds until /tmp/go is gone. A round
/// whose checksum is wrong is told in /tmp/bad; /tmp/rounds-NUMBER has a line for each.
const SCRIPT: [&str; 9] = [
    "cd /tmp; head -c 600000 /bin/busybox | tr -d '\\200-\\377' > text; right=$(md5sum < text); : > /tmp/go",
    "right() { [ \"$1\" = \"$right\" ] || echo \"$2: $1 instead of $right\" >> /tmp/bad; }",
    "copy() { cat /tmp/text > a; cp a b; cat b > a; right \"$(md5sum < a)\" copy; }",
    "pipe() { right \"$(tr '\\000-\\177' '\\200-\\377' < /tmp/text | cat | tr '\\200-\\377' '\\000-\\177' | md5sum)\" pipe; }",
    "fork() { n=0; while [ $n -lt 20 ]; do n=$(expr $n + 1); done; right \"$(sh -c 'cat /tmp/text | md5sum')\" fork; }",
    "fetch() { right \"$(wget -q -O - http://alpha/text | md5sum)\" fetch; }",
    "work() { mkdir -p /tmp/w$1; cd /tmp/w$1; while [ -e /tmp/go ]; do $2; echo >> /tmp/rounds-$1; done; }",
    "mkdir -p /tmp/www; cp /tmp/text /tmp/www/; httpd -h /tmp/www",
    "rounds() { for f in /tmp/rounds-*; do wc -l < $f; done; }",
];

/// Every so often each process has to have got on.
const STEP: Duration = Duration::from_secs(20);
/// Seconds for start and end, on a busy computer.
const ASIDE: u64 = 900;
/// Minutes in which a monitor that moves pages wrongly has to be caught.
const SELF_TEST_MINUTES: f64 = 3.0;

/// A monitor that moves pages wrongly: its number in `kernel/src/vm/defect.rs`, and what it does.
const SEEDED: [(u64, &str); 2] = [
    (
        22,
        "copies a page before those who use it have forgotten it",
    ),
    (23, "leaves replicas in use when the page is written"),
];

/// How a run ended.
struct Soaked {
    moves: [u64; 3],
    rounds: u64,
    workers: usize,
    checks: u64,
    /// What went wrong.
    wrong: Vec<String>,
}

impl Display for Soaked {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let [migrations, replicas, collapses] = self.moves;
        write!(
            out,
            "{} moves ({migrations} migrations, {replicas} replicas, {collapses} collapses) under {} rounds of {} \
             processes in {} virtual machines; {} invariants checked",
            self.moves.iter().sum::<u64>(),
            self.rounds,
            self.workers,
            WORKERS.len(),
            self.checks,
        )
    }
}

/// Runs it; a wrong checksum or invariant shows in the status.
pub fn run(args: &MovesArgs, installer: &Installer) -> Result<ExitCode> {
    let mut needs = vec![Need::Emulator];
    needs.extend(Need::MONITOR);
    needs.extend(Need::LINUX);
    let toolchain = installer.provide(&needs)?;
    let machine = Machine::parse("the machine of soak moves", Path::new(""), MACHINE)?;
    guests::build_for(&machine, &toolchain)?;
    if args.self_test {
        return self_test(&Image::build_with_defects(&toolchain)?, &machine);
    }
    let soaked = soak(&Image::build(&toolchain)?, &machine, args.minutes)?;
    println!("{soaked}");
    for wrong in &soaked.wrong {
        println!("WRONG: {wrong}");
    }
    ensure!(
        soaked.moves.iter().all(|&count| count > 0),
        "pages did not move in all three ways"
    );
    Ok(if soaked.wrong.is_empty() {
        println!("no wrong checksum, nobody stands still, no invariant broken");
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Runs monitors that move pages wrongly, each of which has to be caught.
fn self_test(monitor: &Image, machine: &Machine) -> Result<ExitCode> {
    let mut missed = 0;
    for (number, what) in SEEDED {
        let mut monitor = monitor.clone();
        monitor.seed(number)?;
        let caught = match soak(&monitor, machine, SELF_TEST_MINUTES) {
            Ok(soaked) => soaked.wrong.first().cloned(),
            // Its guests' kernels are at its mercy, too.
            Err(error) => Some(format!("{error:#}")),
        };
        match caught {
            Some(wrong) => println!("a monitor that {what} was caught: {wrong}"),
            None => {
                println!("MISSED: a monitor that {what} passed {SELF_TEST_MINUTES} minutes");
                missed += 1;
            }
        }
    }
    println!(
        "{} of {} defects found",
        SEEDED.len() - missed,
        SEEDED.len()
    );
    Ok(ExitCode::from(u8::from(missed != 0)))
}

fn soak(monitor: &Image, machine: &Machine, minutes: f64) -> Result<Soaked> {
    let length = Duration::from_secs_f64(minutes * 60.0);
    let limit = 2 * length.as_secs() + ASIDE;
    Watched::run(monitor, machine, ("moves", limit), &[], |watched| {
        watched.shells(machine)?;
        for (vm, workers) in WORKERS {
            for line in SCRIPT {
                watched.at(vm, line)?;
            }
            for (number, kind) in workers.iter().enumerate() {
                watched.at(vm, &format!("work {number} {kind} &"))?;
            }
        }
        let seconds = length.as_secs() + 1;
        watched.ask(&format!("numa shake {seconds}"), r"so far: .* collapses")?;
        let mut soaked = Soaked {
            moves: [0; 3],
            rounds: 0,
            workers: WORKERS.iter().map(|(_, workers)| workers.len()).sum(),
            checks: 0,
            wrong: Vec::new(),
        };
        watch(watched, length, &mut soaked)?;
        stop(watched, &mut soaked)?;
        Ok(soaked)
    })
}

/// Watches processes get on for `length`, or until something is wrong.
fn watch(watched: &mut Watched, length: Duration, soaked: &mut Soaked) -> Result<()> {
    let end = Instant::now() + length;
    let mut before = rounds(watched)?;
    while soaked.wrong.is_empty() && Instant::now() < end {
        thread::sleep(STEP.min(end.saturating_duration_since(Instant::now())));
        let mut now = rounds(watched)?;
        // A busy computer may need longer for a round.
        for _ in 0..10 {
            if now
                .iter()
                .zip(&before)
                .all(|(now, before)| now.1 > before.1)
            {
                break;
            }
            thread::sleep(STEP);
            now = rounds(watched)?;
        }
        let all = now.iter().zip(&before);
        for ((worker, now), _) in all.filter(|(now, before)| now.1 <= before.1) {
            soaked
                .wrong
                .push(format!("{worker} stands still at round {now}"));
        }
        check(watched, soaked)?;
        soaked.rounds = now.iter().map(|(_, rounds)| rounds).sum();
        if stdout().is_terminal() {
            let left = end.saturating_duration_since(Instant::now()).as_secs();
            print!("\r{} rounds, {left} s left ", soaked.rounds);
            stdout().flush()?;
        }
        before = now;
    }
    if stdout().is_terminal() {
        println!();
    }
    Ok(())
}

/// Rounds of each process so far, with its name.
fn rounds(watched: &mut Watched) -> Result<Vec<(String, u64)>> {
    let line = Regex::new(r"(?m)^(\d+)$")?;
    let mut all = Vec::new();
    for (vm, workers) in WORKERS {
        let shown = watched.at(vm, "rounds")?.replace('\r', "");
        let counts: Vec<u64> = line
            .captures_iter(&shown)
            .map(|found| found[1].parse())
            .collect::<Result<_, _>>()?;
        // A process makes its file with its first round.
        for (number, kind) in workers.iter().enumerate() {
            let count = counts
                .get(number)
                .copied()
                .filter(|_| counts.len() == workers.len());
            all.push((format!("{kind} {number} of {vm}"), count.unwrap_or(0)));
        }
    }
    Ok(all)
}

/// Has the monitor check its invariants, and asks for wrong checksums.
fn check(watched: &mut Watched, soaked: &mut Soaked) -> Result<()> {
    let answer = watched.ask("check", r"\d+ +\d+  shared pages")?;
    let row = Regex::new(r"(\d+) +(\d+)  (memmap|run queues|shared pages)")?;
    for found in row.captures_iter(&answer) {
        soaked.checks += found[1].parse::<u64>()?;
        if &found[2] != "0" {
            soaked.wrong.push(format!(
                "{} of {} checks failed: {}",
                &found[2], &found[1], &found[3]
            ));
        }
    }
    for (vm, _) in WORKERS {
        let bad = watched.at(vm, "cat /tmp/bad 2>/dev/null")?;
        let wrong = bad.lines().filter(|line| line.contains(" instead of "));
        soaked
            .wrong
            .extend(wrong.map(|line| format!("{vm}: {}", line.trim())));
    }
    Ok(())
}

/// Ends everything, and reads how many pages were moved.
fn stop(watched: &mut Watched, soaked: &mut Soaked) -> Result<()> {
    for (vm, _) in WORKERS {
        watched.at(vm, "rm /tmp/go")?;
    }
    let answer = watched.ask("numa shake 0", r"so far: .* collapses")?;
    let counts = Regex::new(r"so far: (\d+) migrations, (\d+) replicas, (\d+) collapses")?;
    let Some(found) = counts.captures(&answer) else {
        bail!("the monitor did not say how many pages it has moved");
    };
    for (moves, number) in soaked.moves.iter_mut().zip(1..) {
        *moves = found[number].parse().context("a number of moves")?;
    }
    check(watched, soaked)
}
