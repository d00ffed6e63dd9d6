//! The machine description: a TOML file that says what hardware QEMU shall have and which
//! virtual machines run on it.

mod check;
mod encode;
mod error;
mod read;
pub mod size;
#[cfg(test)]
mod tests;

pub use error::Wrong;

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

/// Bytes of RAM that a machine may have: what the board's memory map holds.
pub const MEMORY: RangeInclusive<u64> = 64 << 20..=2 << 30;
/// Guest memory comes in pieces of this many bytes.
pub const VM_MEMORY_STEP: u64 = 2 << 20;
/// What runs without `--machine`.
const DEFAULT: &str = include_str!("default.toml");

/// A machine that passed every check.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Physical CPUs.
    pub cpus: u32,
    /// Nodes that CPUs and memory are divided into.
    pub nodes: u32,
    /// Bytes of RAM.
    pub memory: u64,
    /// Whether the virtual machines may have more memory together than the machine.
    pub overcommit: bool,
    /// Index of the virtual machine whose console is attached at boot.
    pub console: Option<usize>,
    /// The virtual machines.
    pub vms: Vec<Vm>,
}

/// A virtual machine.
#[derive(Clone, Debug)]
pub struct Vm {
    /// Its name, unique.
    pub name: String,
    /// What runs in it.
    pub guest: Guest,
    /// Virtual CPUs.
    pub cpus: u32,
    /// Bytes of guest-physical memory.
    pub memory: u64,
    /// Added to the guest's own command line.
    pub command_line: String,
    /// An initial ramdisk in place of the guest's own.
    pub initrd: Option<PathBuf>,
    /// Whether it is started at boot.
    pub autostart: bool,
}

/// What runs in a virtual machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Guest {
    /// Linux with busybox, built by xtask.
    Linux,
    /// One of the test guests, by its name.
    Test(String),
    /// An ELF file that was there before.
    Elf(PathBuf),
}

impl Machine {
    /// Reads and checks the description in `file`, or the default one.
    pub fn load(file: Option<&Path>) -> Result<Self, Wrong> {
        let Some(path) = file else {
            return Self::parse("the default machine", Path::new(""), DEFAULT);
        };
        let text =
            std::fs::read_to_string(path).map_err(|error| Wrong::unreadable(path, &error))?;
        let folder = path.parent().unwrap_or_else(|| Path::new(""));
        Self::parse(&path.display().to_string(), folder, &text)
    }

    /// Reads and checks a description; `file` names it in errors, and paths in it are relative
    /// to `folder`.
    pub fn parse(file: &str, folder: &Path, text: &str) -> Result<Self, Wrong> {
        let raw = read::read(file, text)?;
        check::check(raw, file, folder, text)
    }

    /// Whether a virtual machine runs Linux.
    pub fn has_linux(&self) -> bool {
        self.vms.iter().any(|vm| vm.guest == Guest::Linux)
    }

    /// Whether a virtual machine runs a test guest.
    pub fn has_test_guest(&self) -> bool {
        self.vms.iter().any(|vm| matches!(vm.guest, Guest::Test(_)))
    }
}
