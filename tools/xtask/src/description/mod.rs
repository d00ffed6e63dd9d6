//! The machine description: a TOML file that says what hardware QEMU shall have and which
//! virtual machines run on it.

mod check;
mod encode;
mod error;
mod numa;
mod read;
pub mod size;
#[cfg(test)]
mod tests;

pub use error::Wrong;
pub use numa::Numa;

use crate::build::guests::{self, GuestFile};
use crate::build::images::BuiltImage;
use disco_abi::{DiskMode, PAGE_SIZE};
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

/// Bytes of RAM that a machine may have: what the board's memory map holds.
pub const MEMORY: RangeInclusive<u64> = 64 << 20..=2 << 30;
/// Guest memory comes in pieces of this many bytes.
pub const VM_MEMORY_STEP: u64 = 2 << 20;
/// Disks, and logs of theirs, have a multiple of this many bytes: a page.
pub const DISK_STEP: u64 = PAGE_SIZE;
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
    /// Latencies between nodes, for the models of the memory system.
    pub numa: Numa,
    /// Whether it is to run on the exact model, which needs some memory.
    pub magic: bool,
    /// The virtual disks.
    pub disks: Vec<Disk>,
    /// The virtual machines.
    pub vms: Vec<Vm>,
}

/// A virtual disk.
#[derive(Clone, Debug)]
pub struct Disk {
    /// Its name, unique among disks.
    pub name: String,
    /// What becomes of writes to it.
    pub mode: DiskMode,
    /// What is on it at first; nothing but zeros without one.
    pub image: Option<Image>,
    /// Its bytes, a multiple of [`DISK_STEP`]; as many as the image needs if it is not said.
    pub size: Option<u64>,
    /// Most bytes of machine memory for what one virtual machine has written to it.
    pub private: u64,
    /// Bytes of the log of each virtual machine, if its writes are logged.
    pub log: u64,
}

/// What is on a disk at first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Image {
    /// One that xtask builds.
    Built(BuiltImage),
    /// A file that was there before.
    File(PathBuf),
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
    /// Where its kernel and its ramdisk lie.
    pub load: Load,
    /// Whether it is started at boot.
    pub autostart: bool,
    /// Its disks, as indices of [`Machine::disks`], in the order in which it counts them.
    pub disks: Vec<usize>,
    /// Whether it is on the virtual subnet.
    pub net: bool,
}

/// Where the monitor finds a guest's kernel and ramdisk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// In the machine's memory, where QEMU puts them.
    Memory,
    /// In partitions of the real disk.
    Disk,
}

/// Where Linux finds its root file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root {
    /// In the initial ramdisk.
    Ramdisk,
    /// On its first disk.
    Disk,
    /// The same, which takes no writes.
    ReadOnlyDisk,
}

/// Where a Linux with these disks of `all` finds its root file system: on the first, if that has an
/// image and no ramdisk was given.
fn root_of(all: &[Disk], own: &[usize], ramdisk: bool) -> Root {
    match own.first().map(|&index| &all[index]) {
        Some(disk) if !ramdisk && disk.image.is_some() => match disk.mode {
            DiskMode::ReadOnly => Root::ReadOnlyDisk,
            _ => Root::Disk,
        },
        _ => Root::Ramdisk,
    }
}

/// What runs in a virtual machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Guest {
    /// Linux with busybox, built by xtask.
    Linux,
    /// A test guest, or a program of `bench numa`, by its name.
    Own(String),
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

    /// Where this virtual machine's Linux finds its root file system.
    pub fn root_of(&self, vm: &Vm) -> Root {
        root_of(&self.disks, &vm.disks, vm.initrd.is_some())
    }

    /// The kernel of a virtual machine's guest, and its ramdisk if it has one.
    pub fn files_of(&self, vm: &Vm) -> anyhow::Result<(GuestFile, Option<GuestFile>)> {
        let initrd = guests::initrd(&vm.guest, vm.initrd.as_deref(), self.root_of(vm))?;
        Ok((guests::kernel(&vm.guest)?, initrd))
    }

    /// The guests' files that lie on the real disk, each once. They are built.
    pub fn stored(&self) -> anyhow::Result<Vec<GuestFile>> {
        let mut stored: Vec<GuestFile> = Vec::new();
        for vm in self.vms.iter().filter(|vm| vm.load == Load::Disk) {
            let (kernel, initrd) = self.files_of(vm)?;
            for file in [Some(kernel), initrd].into_iter().flatten() {
                if stored.iter().all(|other| other.name != file.name) {
                    stored.push(file);
                }
            }
        }
        Ok(stored)
    }

    /// Whether a virtual machine runs Linux.
    pub fn has_linux(&self) -> bool {
        self.vms.iter().any(|vm| vm.guest == Guest::Linux)
    }

    /// Whether Linux or a part of it has to be built.
    pub fn builds_linux(&self) -> bool {
        self.has_linux() || !self.built_images().is_empty()
    }

    /// The images on disks that xtask builds, each once.
    pub fn built_images(&self) -> BTreeSet<BuiltImage> {
        let images = self.disks.iter().filter_map(|disk| match &disk.image {
            Some(Image::Built(image)) => Some(*image),
            _ => None,
        });
        images.collect()
    }

    /// Names of the guests that are built here.
    pub fn own_guests(&self) -> impl Iterator<Item = &str> {
        self.vms.iter().filter_map(|vm| match &vm.guest {
            Guest::Own(name) => Some(name.as_str()),
            _ => None,
        })
    }
}
