//! `cargo xtask`: builds, runs and tests Disco.
#![forbid(unsafe_code)]

mod bare;
mod bench;
mod build;
mod children;
mod cli;
mod conformance;
mod description;
mod disk;
mod doctor;
mod flash;
mod fuzz;
mod lint;
mod numa_report;
mod page;
mod paths;
mod payload;
mod process;
mod run;
mod setup;
mod soak;
mod test;

use anyhow::Result;
use build::{guests, linux, monitor};
use clap::Parser;
use cli::{Action, BuildArgs, Cli, FlashArgs, RunArgs};
use description::Machine;
use disk::{DiskFile, Keep};
use setup::{Installer, Need};
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let installer = Installer {
        install: !cli.no_install,
    };
    match children::end_with_us().and_then(|()| act(cli.action, &installer)) {
        Ok(status) => status,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn act(action: Action, installer: &Installer) -> Result<ExitCode> {
    match action {
        Action::Doctor(args) => doctor::run(args.json),
        Action::Build(args) => build(&args, installer)?,
        Action::Flash(args) => write_flash(args, installer)?,
        Action::Run(args) => run(args, installer)?,
        // Its last line is the count: failures were told before, and show in the status.
        Action::Test(args) => {
            let selection = test::Selection {
                filters: args.filters,
                big_endian: args.big_endian,
            };
            return test::run(&selection, args.list, installer);
        }
        Action::Bench(args) => return bench::run(&args, installer),
        Action::Conformance(args) => return conformance::run(&args.filter, installer),
        Action::Fuzz(cli::FuzzAction::Cpu(args)) => return fuzz::cpu(&args, installer),
        Action::Soak(cli::SoakAction::PowerCut(args)) => return soak::power_cut(&args, installer),
        Action::Soak(cli::SoakAction::Moves(args)) => return soak::moves(&args, installer),
        Action::Soak(cli::SoakAction::Properties(args)) => {
            return soak::properties(&args, installer)
        }
        Action::NumaReport(args) => numa_report::run(&args)?,
        Action::Sizes => sizes(installer)?,
        Action::Fmt => lint::format(false)?,
        Action::Lint => lint::lint()?,
    }
    Ok(ExitCode::SUCCESS)
}

fn build(args: &BuildArgs, installer: &Installer) -> Result<()> {
    let wanted = |name| args.what.iter().any(|what| what == name);
    let all = args.what.is_empty();
    if all || wanted("monitor") || wanted("guests") {
        let toolchain = installer.provide(Need::MONITOR)?;
        if all || wanted("monitor") {
            monitor::build(&toolchain)?;
        }
        if all || wanted("guests") {
            guests::build_tests(&toolchain)?;
        }
    }
    if all || wanted("linux") {
        installer.prepare(Need::LINUX)?;
        linux::build_guest()?;
    }
    if wanted("linux-native") {
        installer.prepare(Need::LINUX)?;
        linux::build_native()?;
    }
    Ok(())
}

/// What a machine's image and its run need.
fn needs_of(machine: &Machine) -> Vec<Need> {
    let mut needs = vec![Need::Emulator];
    needs.extend(Need::MONITOR);
    if machine.builds_linux() {
        needs.extend(Need::LINUX);
    }
    needs
}

fn write_flash(args: FlashArgs, installer: &Installer) -> Result<()> {
    let mut machine = Machine::load(args.machine.as_deref())?;
    machine.magic = args.magic;
    machine.check_counters()?;
    let toolchain = installer.provide(&needs_of(&machine))?;
    let output = args
        .output
        .unwrap_or_else(|| paths::target().join("disco.flash"));
    let disk = disk::path_beside(&output);
    run::build(&machine, &toolchain, &output, &disk, keep(args.fresh_disk))?;
    println!("{}", paths::shown(&output));
    Ok(())
}

fn keep(fresh: bool) -> Keep {
    if fresh {
        Keep::Never
    } else {
        Keep::IfSame
    }
}

fn run(args: RunArgs, installer: &Installer) -> Result<()> {
    let mut wishes = run::Wishes {
        magic: None,
        events: args.events,
        forwards: args.forward,
        extra: args.qemu,
    };
    if let Some(image) = args.image {
        installer.prepare(&[Need::Emulator])?;
        wishes.magic = args.magic.build()?;
        let disk = Some(disk::path_beside(&image)).filter(|disk| disk.is_file());
        let disk = disk.map(|disk| DiskFile::lock(&disk)).transpose()?;
        return run::run(&image, disk.as_ref(), wishes);
    }
    let mut machine = Machine::load(args.machine.as_deref())?;
    machine.magic = args.magic.magic;
    machine.check_counters()?;
    run::check_forwards(&machine, &wishes.forwards)?;
    let toolchain = installer.provide(&needs_of(&machine))?;
    wishes.magic = args.magic.build()?;
    let image = run::OwnImage::new();
    let disk = run::disk_path(args.machine.as_deref());
    let keep = keep(args.fresh_disk);
    let disk = run::build(&machine, &toolchain, image.path(), &disk, keep)?;
    run::run(image.path(), disk.as_ref(), wishes)
}

fn sizes(installer: &Installer) -> Result<()> {
    let toolchain = installer.provide(Need::MONITOR)?;
    let elf = std::fs::read(monitor::build(&toolchain)?)?;
    build::sizes::report(&elf)
}
