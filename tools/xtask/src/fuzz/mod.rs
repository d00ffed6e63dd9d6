//! `cargo xtask fuzz cpu`: random programs natively and as a guest, and what they left compared.

mod pair;
mod report;
mod self_test;
mod side;

use crate::bare::Program as Executor;
use crate::build::monitor;
use crate::cli::FuzzArgs;
use crate::setup::{Installer, Need};
use anyhow::{Context, Result};
use disco_fuzz::generate::{self, Sizes};
use disco_fuzz::program::Program;
use disco_fuzz::shrink::shrink;
use indicatif::{ProgressBar, ProgressStyle};
use pair::{Batch, Outcomes, Pair, Stuck, BATCH};
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// The package of the executor.
const PACKAGE: &str = "disco-executor";
/// Programs between two looks at the witness and the monitor.
const CHECK: u64 = 16 * BATCH as u64;
/// Programs that the same machines run. In the first half there are no pages of 4 KiB: with the first
/// of them the monitor changes the size of all its pages.
const MACHINES: u64 = 8 * CHECK;
/// One of so many programs may differ once and not again: on a busy host it is one of a thousand.
const UNSTEADY: u64 = 200;
/// How often a program that differed is run again, to see whether it does so every time.
const AGAIN: usize = 3;

/// A difference that repeats.
struct Found {
    number: u64,
    smallest: Program,
    outcomes: Option<Outcomes>,
    why: String,
}

/// A program that differed, and what it left.
type Suspect = (u64, Outcomes);

/// Runs programs until there are enough of them, or the time is up, or two places differ.
struct Campaign<'a> {
    executor: &'a Executor,
    monitor: &'a monitor::Image,
    seed: u64,
    pair: Option<Pair>,
    ran: u64,
    exceptions: u64,
    /// Whether a difference is cut down.
    shrinks: bool,
    /// Programs that differed once, and never again, with what differed.
    unsteady: Vec<(u64, String)>,
}

/// Which page sizes program `number` has.
fn sizes(number: u64) -> Sizes {
    if number % MACHINES < MACHINES / 2 {
        Sizes::NoSmall
    } else {
        Sizes::All
    }
}

/// Program `number` of `seed`.
fn program(seed: u64, number: u64) -> Program {
    generate::program(seed, number, sizes(number))
}

impl<'a> Campaign<'a> {
    fn new(executor: &'a Executor, monitor: &'a monitor::Image, seed: u64) -> Self {
        Self {
            executor,
            monitor,
            seed,
            pair: None,
            ran: 0,
            exceptions: 0,
            shrinks: true,
            unsteady: Vec::new(),
        }
    }

    /// The first program of `count` that differs every time it runs.
    fn first_difference(&mut self, count: u64) -> Result<Option<u64>> {
        self.shrinks = false;
        let found = self.run(0, count, None, |_| ())?;
        Ok(found.map(|found| found.number))
    }

    fn pair(&mut self) -> Result<&mut Pair> {
        if self.pair.is_none() {
            self.pair = Some(Pair::start(self.executor, self.monitor, "cpu")?);
        }
        self.pair.as_mut().context("the machines were just started")
    }

    /// Runs programs `first` and up, `count` of them; the first difference.
    fn run(
        &mut self,
        first: u64,
        count: u64,
        until: Option<Instant>,
        mut progress: impl FnMut(&Self),
    ) -> Result<Option<Found>> {
        let end = first.saturating_add(count);
        let mut next = first;
        // The batch under way, by its first number.
        let mut before: Option<u64> = None;
        let mut checked = 0;
        loop {
            let up = until.is_some_and(|until| Instant::now() >= until);
            let border = (next / CHECK + 1) * CHECK;
            let batch: Vec<Program> = if up {
                Vec::new()
            } else {
                (next..end.min(border).min(next + BATCH as u64))
                    .map(|number| program(self.seed, number))
                    .collect()
            };
            let drain = batch.is_empty() || checked >= CHECK;
            let ended = if drain {
                match &mut self.pair {
                    Some(pair) => pair.finish()?,
                    None => None,
                }
            } else {
                self.pair()?.submit(&batch)?
            };
            let mut suspects = Vec::new();
            if let (Some(ended), Some(number)) = (ended, before.take()) {
                match self.judge(number, ended) {
                    Ok(differing) => suspects = differing,
                    Err(stuck) => {
                        if let Some(found) = self.stuck(number, stuck)? {
                            return Ok(Some(found));
                        }
                        // Everything that was under way comes again.
                        next = number;
                        continue;
                    }
                }
                progress(self);
            }
            if !drain {
                before = Some(next);
                next += batch.len() as u64;
                checked += batch.len() as u64;
            }
            if !suspects.is_empty() {
                // The batch under way first: the slots are needed.
                if let (Some(ended), Some(number)) = (self.pair()?.finish()?, before.take()) {
                    match self.judge(number, ended) {
                        Ok(differing) => suspects.extend(differing),
                        Err(stuck) => {
                            if let Some(found) = self.stuck(number, stuck)? {
                                return Ok(Some(found));
                            }
                            next = number;
                        }
                    }
                }
                for suspect in suspects {
                    if let Some(found) = self.confirm(suspect)? {
                        return Ok(Some(found));
                    }
                }
            }
            if !drain {
                continue;
            }
            checked = 0;
            if let Some(pair) = &mut self.pair {
                pair.check().with_context(|| {
                    format!("after the programs up to {next} of seed {}", self.seed)
                })?;
            }
            if batch.is_empty() {
                return Ok(None);
            }
            if next.is_multiple_of(MACHINES) {
                self.pair = None;
            }
        }
    }

    /// Which programs of a batch differ; or the one that is stuck.
    fn judge(&mut self, first: u64, batch: Batch) -> Result<Vec<Suspect>, Stuck> {
        let outcomes = match batch {
            Batch::Ran(outcomes) => outcomes,
            Batch::Stuck(stuck) => return Err(stuck),
        };
        self.ran += outcomes.len() as u64;
        let mut differing = Vec::new();
        for (number, (native, guest)) in (first..).zip(outcomes) {
            self.exceptions += native.exceptions();
            if !native.agrees(&guest) {
                differing.push((number, (native, guest)));
            }
        }
        Ok(differing)
    }

    fn confirm(&mut self, (number, outcomes): Suspect) -> Result<Option<Found>> {
        let whole = program(self.seed, number);
        for _ in 0..AGAIN {
            if !self.differs(std::slice::from_ref(&whole))?[0] {
                let (native, guest) = outcomes;
                let first = native.differences(&guest).into_iter().next();
                self.unsteady
                    .extend(first.map(|first| (number, first.to_string())));
                return Ok(None);
            }
        }
        let smallest = if self.shrinks {
            shrink(whole, |programs| self.differs(programs))?
        } else {
            whole
        };
        let outcomes = match self.pair()?.run(std::slice::from_ref(&smallest))? {
            Batch::Ran(mut outcomes) => outcomes.pop(),
            Batch::Stuck(_) => None,
        };
        Ok(Some(Found {
            number,
            smallest,
            outcomes,
            why: String::new(),
        }))
    }

    /// Which of these programs leave different things.
    fn differs(&mut self, programs: &[Program]) -> Result<Vec<bool>> {
        let mut verdicts = Vec::new();
        for programs in programs.chunks(BATCH) {
            match self.pair()?.run(programs)? {
                Batch::Ran(outcomes) => {
                    verdicts.extend(outcomes.iter().map(|(native, guest)| !native.agrees(guest)));
                }
                Batch::Stuck(_) => {
                    // Not what is looked for; the machines have to start anew.
                    self.pair = None;
                    verdicts.resize(verdicts.len() + programs.len(), false);
                }
            }
        }
        Ok(verdicts)
    }

    /// A program that a place did not get over: whether it does so again, alone.
    fn stuck(&mut self, first: u64, stuck: Stuck) -> Result<Option<Found>> {
        let number = first + stuck.index as u64;
        let smallest = program(self.seed, number);
        let why = format!("{}: {}", stuck.place.name(), stuck.why);
        self.pair = None;
        let known = self.unsteady.iter().any(|(other, _)| *other == number);
        let again = self.pair()?.run(std::slice::from_ref(&smallest))?;
        if matches!(again, Batch::Ran(_)) && !known {
            self.unsteady.push((number, why));
            return Ok(None);
        }
        self.pair = None;
        Ok(Some(Found {
            number,
            smallest,
            outcomes: None,
            why,
        }))
    }
}

/// `cargo xtask fuzz cpu`.
pub fn cpu(args: &FuzzArgs, installer: &Installer) -> Result<ExitCode> {
    let mut needs = vec![Need::Emulator];
    needs.extend(Need::MONITOR);
    let toolchain = installer.provide(&needs)?;
    let seed = args.seed.unwrap_or_else(fresh_seed);
    if args.self_test {
        return self_test::run(seed, &toolchain);
    }
    let image = monitor::Image::build(&toolchain)?;
    let executor = Executor::build(PACKAGE, image, &toolchain)?;
    let image = monitor::Image::build(&toolchain)?;
    let mut campaign = Campaign::new(&executor, &image, seed);
    let (first, count) = match args.program {
        Some(number) => (number, 1),
        None if args.minutes.is_some() => (0, u64::MAX),
        None => (0, args.programs),
    };
    println!("seed {seed}");
    let started = Instant::now();
    let until = args
        .minutes
        .map(|minutes| started + Duration::from_secs(60 * minutes));
    let bar = progress_bar(count);
    let found = campaign.run(first, count, until, |campaign| {
        bar.set_position(campaign.ran);
    })?;
    bar.finish_and_clear();
    for (number, difference) in &campaign.unsteady {
        println!("program {number} differed once, and not when it ran again: {difference}");
    }
    if let Some(found) = found {
        report::print(seed, &found);
        return Ok(ExitCode::FAILURE);
    }
    let unsteady = campaign.unsteady.len() as u64;
    if unsteady > campaign.ran / UNSTEADY + 10 {
        println!("{unsteady} programs differed once: too many to be chance");
        return Ok(ExitCode::FAILURE);
    }
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "{} programs, {} exceptions, no difference ({:.0} programs a second)",
        campaign.ran,
        campaign.exceptions,
        campaign.ran as f64 / seconds
    );
    Ok(ExitCode::SUCCESS)
}

/// A seed that was not used before.
fn fresh_seed() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(1, |now| now.as_nanos() as u64 >> 10 & 0xffff_ffff)
}

fn progress_bar(count: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(count);
    let style = ProgressStyle::with_template("{wide_bar} {pos} programs, {per_sec}, {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}
