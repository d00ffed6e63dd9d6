//! The command line.

use crate::paths;
use crate::run::magic::Magic;
use crate::run::network::Forward;
use anyhow::Result;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Builds, runs and tests Disco, a virtual machine monitor on QEMU's Malta board.
///
/// Every command first builds what it needs, and installs what the machine lacks.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
pub struct Cli {
    /// Install nothing: only print the command that would.
    #[arg(long, global = true)]
    pub no_install: bool,
    #[command(subcommand)]
    pub action: Action,
}

/// What to do.
#[derive(Subcommand)]
pub enum Action {
    /// Say what is there and what is not.
    #[command(after_help = "Example:\n  cargo xtask doctor")]
    Doctor(DoctorArgs),
    /// Build the monitor and the guests.
    #[command(after_help = "Example:\n  cargo xtask build monitor")]
    Build(BuildArgs),
    /// Write the flash image, and beside it the payload with the guests and the real disk.
    #[command(after_help = FLASH_EXAMPLE)]
    Flash(FlashArgs),
    /// Boot a machine: two Linux virtual machines unless --machine says otherwise.
    #[command(after_help = RUN_EXAMPLES)]
    Run(RunArgs),
    /// Run the tests: host tests, then boot tests under QEMU.
    #[command(after_help = TEST_EXAMPLES)]
    Test(TestArgs),
    /// Run the same Linux natively and as a guest, and compare; or see what sharing saves, or what memory that moves does.
    #[command(after_help = BENCH_EXAMPLES)]
    Bench(BenchArgs),
    /// Run small programs natively and as a guest, and compare what they saw.
    #[command(after_help = CONFORMANCE_EXAMPLES)]
    Conformance(ConformanceArgs),
    /// Run random programs natively and as a guest, and compare everything that they leave.
    #[command(subcommand)]
    Fuzz(FuzzAction),
    /// Check for as long as you like.
    #[command(subcommand)]
    Soak(SoakAction),
    /// Write a page that shows where memory was in a run, who used it, and how it moved.
    #[command(after_help = NUMA_REPORT_EXAMPLES)]
    NumaReport(NumaReportArgs),
    /// Print what the monitor's parts take, by section and module, and check that each node's copy is at most 128 KiB.
    #[command(after_help = "Example:\n  cargo xtask sizes")]
    Sizes,
    /// Format all code.
    #[command(after_help = "Example:\n  cargo xtask fmt")]
    Fmt,
    /// Check format and clippy's complaints.
    #[command(after_help = "Example:\n  cargo xtask lint")]
    Lint,
}

const FLASH_EXAMPLE: &str = "\
Example:
  cargo xtask flash --machine ci/machines/eight.toml --output eight.flash";

const RUN_EXAMPLES: &str = "\
At the monitor's prompt, `help` lists its commands and `poweroff` ends the run.
Input from a pipe is kept until the guests' shells are ready, and its end does not end the run.

What virtual machines write to disks that keep it stays in target/disk from one run to the next, until the
description's disks or an image of theirs change.

Examples:
  cargo xtask run
  cargo xtask run --forward 8080:alpha:80
  cargo xtask run --machine ci/machines/eight.toml --events events.jsonl
  cargo xtask run --magic --magic-with l2=4M:4 -- -icount shift=0,sleep=off
  printf 'vm list\\npoweroff\\n' | cargo xtask run
  cargo xtask run -- -d guest_errors -D qemu.log";

const TEST_EXAMPLES: &str = "\
Examples:
  cargo xtask test
  cargo xtask test --list
  cargo xtask test disco-kernel::vm wrong-
  cargo xtask test --big-endian disco-flash";

const FUZZ_EXAMPLES: &str = "\
A difference is cut down to the instructions that show it, and printed with the command that
repeats it. After each few thousand programs a second virtual machine and the monitor's own check
say that nothing else was touched.

Examples:
  cargo xtask fuzz cpu --programs 20000
  cargo xtask fuzz cpu --seed 7 --minutes 60
  cargo xtask fuzz cpu --seed 7 --program 1234
  cargo xtask fuzz cpu --self-test";

const BENCH_EXAMPLES: &str = "\
Without WHAT, the same Linux with the same user land runs on the bare board and as the monitor's only guest, both with
counted instructions, where a nanosecond is an instruction and a second run gives the same figures. Once more they run
beside a plugin that tells where instructions go. target/bench/report.html shows all of it beside the paper's figures.
docs/benchmarks.md says what is counted. A ratio over what is to be reached is told, and is no failure; a slowdown that --compare finds is one,
with exit status 1.

Examples:
  cargo xtask bench --json bench.json
  cargo xtask bench --only pipes,dd --only boot
  cargo xtask bench --compare bench.json
  cargo xtask bench --from new.json --compare bench.json
  cargo xtask bench --magic
  cargo xtask bench --breakdown --json breakdown.json
  cargo xtask bench sharing
  cargo xtask bench reads
  cargo xtask bench net --json net.json
  cargo xtask bench numa --json numa.json
  cargo xtask bench numa-counters";

const POWER_CUT_EXAMPLES: &str = "\
A Linux guest appends records with fsync to files on an exclusive and on a cow-persistent disk. At a random
moment QEMU is killed, and of what the real disk was not told to flush some sectors are kept and others lost.
Then every record whose fsync had returned has to be there, and the file systems in order.

Examples:
  cargo xtask soak power-cut --rounds 200
  cargo xtask soak power-cut --seed 7
  cargo xtask soak power-cut --self-test";

const MOVES_EXAMPLES: &str = "\
Two Linux virtual machines of 4 and 2 virtual CPUs copy files, pipe and send them to each other and verify their
checksums, while `numa shake` moves random pages of theirs between four nodes, with replicas and without. Each of
their processes has to get on all the time, and the monitor's invariants are checked with `check`.

Examples:
  cargo xtask soak moves --minutes 10
  cargo xtask soak moves --self-test";

const PROPERTIES_EXAMPLES: &str = "\
`cargo xtask test` draws the same random cases each time. This draws others in each round, and ends with the
first failure, which it says how to repeat. PROPTEST_CASES=N in the environment draws N cases for each test
instead of 256, and fewer where one takes long.

Examples:
  cargo xtask soak properties --rounds 20
  cargo xtask soak properties lockstep --seed 7
  PROPTEST_CASES=5000 cargo xtask soak properties disk:: schedule:: --rounds 3
  cargo xtask soak properties vm:: --big-endian";

const NUMA_REPORT_EXAMPLES: &str = "\
The page needs nothing but itself: open it in a browser. The description of the run's machine has to say
`events_ms = 1000` in its table `[numa]`: the interval of what the page shows.

Examples:
  cargo xtask run --machine ci/machines/numa.toml --events events.jsonl
  cargo xtask numa-report events.jsonl --output numa.html";

const CONFORMANCE_EXAMPLES: &str = "\
The programs are in guests/conformance, the differences that are allowed in
ci/conformance/allowed.toml. FILTER `linux` runs the program of guests/linux/conformance on Linux instead.

Examples:
  cargo xtask conformance
  cargo xtask conformance cp0.12.
  cargo xtask conformance linux";

/// Arguments of `doctor`.
#[derive(Args)]
pub struct DoctorArgs {
    /// Print one JSON object a line.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `build`.
#[derive(Args)]
pub struct BuildArgs {
    /// What to build; monitor, guests (the test guests) and linux if nothing is named.
    #[arg(value_parser = ["monitor", "guests", "linux", "linux-native"])]
    pub what: Vec<String>,
}

/// Arguments of `flash`.
#[derive(Args)]
pub struct FlashArgs {
    /// The machine description, a TOML file.
    #[arg(long, value_name = "FILE")]
    pub machine: Option<PathBuf>,
    /// Where the image goes; the payload goes to FILE.payload, the real disk to FILE.disk.
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Make the real disk anew, and put the one that is there aside.
    #[arg(long)]
    pub fresh_disk: bool,
    /// Leave room for the counters of the exact model of the memory system, for `run --image FILE --magic`.
    #[arg(long)]
    pub magic: bool,
}

/// Arguments of `run`.
#[derive(Args)]
pub struct RunArgs {
    /// The machine description, a TOML file.
    #[arg(long, value_name = "FILE", conflicts_with = "image")]
    pub machine: Option<PathBuf>,
    /// Boot this flash image (with FILE.payload and FILE.disk) instead of building one.
    #[arg(long, value_name = "FILE")]
    pub image: Option<PathBuf>,
    /// Where the monitor's events go, one JSON object a line.
    #[arg(long, value_name = "FILE")]
    pub events: Option<PathBuf>,
    /// Let a TCP port of this computer (on 127.0.0.1) lead to a port of a virtual machine that has
    /// net = true. May be given several times.
    #[arg(long, value_name = "HOSTPORT:VM:PORT")]
    pub forward: Vec<Forward>,
    /// Make the real disk anew, and put the one of the last run aside.
    #[arg(long, conflicts_with = "image")]
    pub fresh_disk: bool,
    #[command(flatten)]
    pub magic: MagicArgs,
    /// Further arguments for QEMU.
    #[arg(last = true, value_name = "ARGS")]
    pub qemu: Vec<String>,
}

/// What a person wants of the exact model of the memory system.
#[derive(Args)]
pub struct MagicArgs {
    /// Let the exact model of FLASH's memory system run beside: caches, a directory, misses by page and node, and a
    /// simulated time. It slows the run down.
    #[arg(long)]
    pub magic: bool,
    /// Where its report goes, JSON (docs/numa.md); target/magic.json without it.
    #[arg(long, value_name = "FILE", requires = "magic")]
    pub magic_report: Option<PathBuf>,
    /// Another option for it (docs/numa.md), such as l2=4M:4. May be given several times.
    #[arg(long, value_name = "KEY=VALUE", requires = "magic")]
    pub magic_with: Vec<String>,
}

impl MagicArgs {
    /// The model, built, if it is wanted.
    pub fn build(&self) -> Result<Option<Magic>> {
        if !self.magic {
            return Ok(None);
        }
        let report = self.magic_report.clone();
        let report = report.unwrap_or_else(|| paths::target().join("magic.json"));
        Magic::build(report, self.magic_with.clone()).map(Some)
    }
}

/// Arguments of `test`.
#[derive(Args)]
pub struct TestArgs {
    /// Run only tests whose names contain one of these.
    #[arg(value_name = "FILTER")]
    pub filters: Vec<String>,
    /// List the tests instead of running them.
    #[arg(long)]
    pub list: bool,
    /// Run only host tests, compiled for big-endian MIPS, under QEMU's user emulation.
    ///
    /// Without a filter, `test` runs them after the host tests. Filters select them only with
    /// this flag, or if they begin with `big-endian`.
    #[arg(long)]
    pub big_endian: bool,
}

/// Arguments of `numa-report`.
#[derive(Args)]
pub struct NumaReportArgs {
    /// The events of a run: what `run --events FILE` wrote.
    #[arg(value_name = "EVENTS")]
    pub events: PathBuf,
    /// Where the page goes.
    #[arg(long, value_name = "FILE")]
    pub output: PathBuf,
}

/// Arguments of `conformance`.
#[derive(Args)]
pub struct ConformanceArgs {
    /// Run only programs whose names contain this.
    #[arg(value_name = "FILTER", default_value = "", hide_default_value = true)]
    pub filter: String,
}

/// What to feed with random input.
#[derive(Subcommand)]
#[command(after_help = "Example:\n  cargo xtask fuzz cpu --programs 20000")]
pub enum FuzzAction {
    /// The virtual CPU, with random programs.
    #[command(after_help = FUZZ_EXAMPLES)]
    Cpu(FuzzArgs),
}

/// Arguments of `fuzz cpu`.
#[derive(Args)]
pub struct FuzzArgs {
    /// How many programs.
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    pub programs: u64,
    /// The seed; a new one each time without it.
    #[arg(long, value_name = "S")]
    pub seed: Option<u64>,
    /// Go on for so many minutes instead, with as many programs as that takes.
    #[arg(long, value_name = "M", conflicts_with = "programs")]
    pub minutes: Option<u64>,
    /// Seed small defects into the emulator, one by one, and find each of them.
    #[arg(long, conflicts_with_all = ["programs", "minutes", "program"])]
    pub self_test: bool,
    /// Only this program of the seed, by its number.
    #[arg(long, value_name = "K", requires = "seed", conflicts_with_all = ["programs", "minutes"])]
    pub program: Option<u64>,
}

/// What to check for long.
#[derive(Subcommand)]
#[command(
    after_help = "Examples:\n  cargo xtask soak power-cut --rounds 200\n  cargo xtask soak moves --minutes 10\n  cargo xtask soak properties --rounds 20"
)]
pub enum SoakAction {
    /// Disks that keep what is written, with power cuts.
    #[command(after_help = POWER_CUT_EXAMPLES)]
    PowerCut(PowerCutArgs),
    /// Pages of running Linux virtual machines, which move as fast as they can.
    #[command(after_help = MOVES_EXAMPLES)]
    Moves(MovesArgs),
    /// Host tests, with other random cases in each round.
    #[command(after_help = PROPERTIES_EXAMPLES)]
    Properties(PropertiesArgs),
}

/// Arguments of `soak moves`.
#[derive(Args)]
pub struct MovesArgs {
    /// How long pages move.
    #[arg(long, value_name = "M", default_value_t = 10.0, value_parser = minutes)]
    pub minutes: f64,
    /// Run monitors that move pages wrongly, and catch each.
    #[arg(long, conflicts_with = "minutes")]
    pub self_test: bool,
}

/// A length of time: half a minute is 0.5.
fn minutes(text: &str) -> Result<f64, String> {
    let minutes = text.parse().map_err(|_| "not a number of minutes")?;
    if (0.1..=1440.0).contains(&minutes) {
        Ok(minutes)
    } else {
        Err("has to be 0.1 to 1440 minutes".to_owned())
    }
}

/// Arguments of `soak properties`.
#[derive(Args)]
pub struct PropertiesArgs {
    /// Only host tests whose names contain one of these.
    #[arg(value_name = "FILTER")]
    pub filters: Vec<String>,
    /// How often the tests run.
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub rounds: u64,
    /// The seed of the first round, and the next of the next; others each time without it.
    #[arg(long, value_name = "S")]
    pub seed: Option<u64>,
    /// Compiled for big-endian MIPS, under QEMU's user emulation.
    #[arg(long)]
    pub big_endian: bool,
}

/// Arguments of `soak power-cut`.
#[derive(Args)]
pub struct PowerCutArgs {
    /// How often the power is cut.
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub rounds: u64,
    /// The seed of what is lost and when; a new one each time without it.
    #[arg(long, value_name = "S")]
    pub seed: Option<u64>,
    /// Run monitors that ignore flushes, of the guest and inside the log, and catch each.
    #[arg(long, conflicts_with = "rounds")]
    pub self_test: bool,
}

/// Benchmarks that have names.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Benchmark {
    /// Memory of 1, 2, 4 and 8 virtual machines that read the same disks.
    Sharing,
    /// A file by TCP from one virtual machine to another: instructions, and pages that were not copied.
    Net,
    /// A second virtual machine reads what the first has read from the real disk.
    Reads,
    /// Programs whose memory lies on another node than they run on, in the exact model of the memory system: with and
    /// without policy, and with uniform memory.
    Numa,
    /// The pages that the monitor finds hot by the misses that it samples, against those of the exact model's counts.
    NumaCounters,
}

/// Arguments of `bench`.
#[derive(Args)]
pub struct BenchArgs {
    /// Another benchmark than the one against the board.
    #[arg(value_name = "WHAT")]
    pub what: Option<Benchmark>,
    /// The one against the board in the exact model of FLASH's memory system: simulated time, with stalls.
    #[arg(long, conflicts_with = "what")]
    pub magic: bool,
    /// Measure only these rows, groups of rows or parts of the one against the board: a name that is none of them has all
    /// listed. May be given several times.
    #[arg(
        long,
        value_name = "NAME[,NAME]",
        value_delimiter = ',',
        conflicts_with = "what"
    )]
    pub only: Vec<String>,
    /// Where the instructions of both sides go: programs, kernel, and the monitor by what it was entered for.
    #[arg(long, conflicts_with_all = ["what", "magic"])]
    pub breakdown: bool,
    /// Keep the figures in this file.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Measure nothing: tell of the figures of the one against the board that --json has kept, and write their page.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["what", "magic", "breakdown", "only", "json"])]
    pub from: Option<PathBuf>,
    /// Compare with what --json has kept, and fail if a figure of the guest or a ratio is more than 2 % worse.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["what", "magic", "breakdown"])]
    pub compare: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::Cli;
    use clap::CommandFactory;

    #[test]
    fn every_command_has_help_with_an_example() {
        let mut command = Cli::command();
        command.build();
        for sub in command
            .get_subcommands()
            .filter(|sub| sub.get_name() != "help")
        {
            assert!(sub.get_about().is_some(), "{}", sub.get_name());
            let help = sub
                .get_after_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            assert!(help.contains("Example"), "{}", sub.get_name());
        }
    }
}
