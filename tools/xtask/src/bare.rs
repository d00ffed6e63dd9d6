//! Programs of the bare runtime (`guests/bare`): built once, linked for the board and for a virtual
//! machine, and started in either place.

use crate::build::{guests, monitor};
use crate::description::{Guest, Load, Machine, Numa, Vm};
use crate::flash::Flash;
use crate::run::qemu::{self, Board};
use crate::run::session::Session;
use crate::setup::toolchain::Toolchain;
use crate::{paths, process};
use anyhow::Result;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Bytes of physical memory that a program has in either place.
pub const MEMORY: u64 = 64 << 20;
/// Bytes of RAM of the machine that a virtual machine with [`MEMORY`] runs on.
const MACHINE_MEMORY: u64 = 128 << 20;
/// Name of the virtual machine.
const VM: &str = "bare";

/// Where a program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// On the board, without a monitor.
    Native,
    /// In a virtual machine.
    Guest,
}

impl Place {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Native, Self::Guest];

    /// Its name, also in the names of files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Guest => "guest",
        }
    }

    /// `place_base` and `place_kind` of the linker script.
    const fn symbols(self) -> (u64, u32) {
        match self {
            Self::Native => (0xffff_ffff_8000_0000, 1),
            Self::Guest => (disco_abi::CSSEG_WINDOW, 2),
        }
    }
}

/// A program that was built and linked for both places.
pub struct Program {
    package: String,
    /// The monitor that the guest runs on.
    monitor: monitor::Image,
}

impl Program {
    /// Builds the static library of `package` and links it for each place; `monitor` is what the
    /// guest will run on.
    pub fn build(package: &str, monitor: monitor::Image, toolchain: &Toolchain) -> Result<Self> {
        let mut command = monitor::cargo(toolchain, "build");
        command.args(["--package", package]);
        process::run_step(&format!("{package}: compile"), package, &mut command)?;
        let program = Self {
            package: package.to_owned(),
            monitor,
        };
        for place in Place::ALL {
            program.link(place)?;
        }
        Ok(program)
    }

    /// The ELF file for a place.
    pub fn elf(&self, place: Place) -> PathBuf {
        guests::ready_folder().join(format!("{}-{}.elf", self.package, place.name()))
    }

    fn link(&self, place: Place) -> Result<()> {
        let (base, kind) = place.symbols();
        let archive = format!("lib{}.a", self.package.replace('-', "_"));
        fs::create_dir_all(guests::ready_folder())?;
        let mut command = process::clean_command("ld.lld");
        command
            .args(["-m", "elf64btsmip", "--no-pie", "--gc-sections"])
            .arg(format!("--defsym=place_base={base:#x}"))
            .arg(format!("--defsym=place_kind={kind}"))
            .arg("--script")
            .arg(paths::root().join("guests/bare/place.ld"))
            .arg(monitor::output_folder().join(archive))
            .arg("-o")
            .arg(self.elf(place));
        let title = format!("{}: link for {}", self.package, place.name());
        let log = format!("{}-{}", self.package, place.name());
        process::run_step(&title, &log, &mut command)
    }

    /// Starts the program in a place for at most `seconds`, with `command_line` (at most 255
    /// bytes). Files of the run begin with `files`; QEMU gets `extra` arguments.
    pub fn start(
        &self,
        place: Place,
        command_line: &str,
        seconds: u64,
        files: &Path,
        extra: &[String],
    ) -> Result<Session> {
        let events = files.with_extension("events");
        let command = match place {
            Place::Native => self.native(command_line, extra),
            Place::Guest => self.guest(command_line, files, &events, extra)?.command(),
        };
        Session::start(&command, &events, seconds, files)
    }

    /// QEMU's board with the program as its kernel.
    fn native(&self, command_line: &str, extra: &[String]) -> Command {
        let mut command = Command::new(qemu::PROGRAM);
        command
            .args(["-M", "malta", "-cpu", "I6400"])
            .args(["-m", &format!("{}M", MEMORY >> 20)])
            .args(["-display", "none", "-nodefaults", "-no-reboot"])
            .args(["-chardev", "stdio,id=console,signal=off"])
            .args(["-serial", "chardev:console"])
            .arg("-kernel")
            .arg(self.elf(Place::Native))
            .args(["-append", command_line])
            .args(extra);
        command
    }

    /// The board with the monitor, and the program in the only virtual machine, whose console is
    /// attached.
    fn guest(
        &self,
        command_line: &str,
        files: &Path,
        events: &Path,
        extra: &[String],
    ) -> Result<Board> {
        let machine = Machine {
            cpus: 1,
            nodes: 1,
            memory: MACHINE_MEMORY,
            overcommit: false,
            numa: Numa::default(),
            magic: false,
            console: Some(0),
            disks: Vec::new(),
            vms: vec![Vm {
                name: VM.to_owned(),
                guest: Guest::Elf(self.elf(Place::Guest)),
                cpus: 1,
                memory: MEMORY,
                command_line: command_line.to_owned(),
                initrd: None,
                load: Load::Memory,
                autostart: true,
                disks: Vec::new(),
                net: false,
            }],
        };
        let (description, payload) = machine.encode()?;
        let flash = files.with_extension("flash");
        Flash::assemble(&self.monitor, &description, payload.bytes)?.write(&flash)?;
        Board::of_image(&flash, events.to_path_buf(), extra.to_vec())
    }
}
