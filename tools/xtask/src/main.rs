//! `cargo xtask`: builds, runs and tests Disco.

mod build;
mod description;
mod flash;
mod paths;
mod payload;
mod process;
mod run;
mod setup;

use anyhow::{ensure, Context, Result};
use clap::{Args, Parser, Subcommand};
use description::Machine;
use setup::toolchain::Toolchain;
use std::path::PathBuf;
use std::process::ExitCode;

/// Builds, runs and tests Disco, a virtual machine monitor on QEMU's Malta board.
///
/// Every command first builds what it needs, and installs what the machine lacks.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
struct Cli {
    #[command(subcommand)]
    command: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Build the monitor and the guests.
    #[command(after_help = "Example:\n  cargo xtask build monitor")]
    Build(BuildArgs),
    /// Write the flash image, and the payload with the guests beside it.
    #[command(
        after_help = "Example:\n  cargo xtask flash --machine ci/machines/eight.toml --output eight.flash"
    )]
    Flash(FlashArgs),
    /// Boot a machine: two Linux virtual machines unless --machine says otherwise.
    #[command(
        after_help = "Examples:\n  cargo xtask run\n  cargo xtask run --machine ci/machines/eight.toml --events events.jsonl\n  printf 'vm list\\npoweroff\\n' | cargo xtask run\n  cargo xtask run -- -d guest_errors -D qemu.log"
    )]
    Run(RunArgs),
    /// Print what the monitor's parts take, and check its size.
    #[command(after_help = "Example:\n  cargo xtask sizes")]
    Sizes,
}

#[derive(Args)]
struct BuildArgs {
    /// What to build: monitor, guests (the test guests) or linux; all three if none is named.
    #[arg(value_parser = ["monitor", "guests", "linux"])]
    what: Vec<String>,
}

#[derive(Args)]
struct FlashArgs {
    /// The machine description, a TOML file.
    #[arg(long, value_name = "FILE")]
    machine: Option<PathBuf>,
    /// Where the image goes; the payload goes to FILE.payload.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Args)]
struct RunArgs {
    /// The machine description, a TOML file.
    #[arg(long, value_name = "FILE", conflicts_with = "image")]
    machine: Option<PathBuf>,
    /// Boot this flash image (and FILE.payload) instead of building one.
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
    /// Where the monitor's events go, one JSON object a line.
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,
    /// Further arguments for QEMU.
    #[arg(last = true, value_name = "ARGS")]
    qemu: Vec<String>,
}

fn main() -> ExitCode {
    match act(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn toolchain() -> Result<Toolchain> {
    Toolchain::find().context("no compiler with the standard library's source")
}

fn act(action: Action) -> Result<()> {
    match action {
        Action::Build(args) => build(&args),
        Action::Flash(args) => {
            let machine = Machine::load(args.machine.as_deref())?;
            let output = args
                .output
                .unwrap_or_else(|| paths::target().join("disco.flash"));
            run::build_flash(&machine, &toolchain()?, &output)?;
            println!("{}", paths::shown(&output));
            Ok(())
        }
        Action::Run(args) => {
            if let Some(image) = args.image {
                return run::run(&image, args.events, args.qemu);
            }
            let machine = Machine::load(args.machine.as_deref())?;
            let image = run::OwnImage::new();
            run::build_flash(&machine, &toolchain()?, image.path())?;
            run::run(image.path(), args.events, args.qemu)
        }
        Action::Sizes => sizes(),
    }
}

fn build(args: &BuildArgs) -> Result<()> {
    let wanted = |name| args.what.is_empty() || args.what.iter().any(|what| what == name);
    if wanted("monitor") {
        monitor_elf()?;
    }
    if wanted("guests") {
        build::guests::build_tests(&toolchain()?)?;
    }
    if wanted("linux") {
        build::linux::build_guest()?;
    }
    Ok(())
}

fn monitor_elf() -> Result<PathBuf> {
    build::monitor::build(&toolchain()?)
}

fn sizes() -> Result<()> {
    let elf = std::fs::read(monitor_elf()?)?;
    let sections = build::monitor::section_sizes(&elf)?;
    for section in &sections {
        println!("{:>10}  {}", section.size, section.name);
    }
    let code: u64 = sections
        .iter()
        .filter(|section| section.is_code())
        .map(|section| section.size)
        .sum();
    let budget = build::monitor::CODE_BUDGET;
    println!("{code:>10}  code and constants, of {budget}");
    ensure!(
        code <= budget,
        "the monitor's code and constants are {} bytes over budget",
        code - budget
    );
    Ok(())
}
