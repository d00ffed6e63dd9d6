//! Guests: which there are, how they are built, and where their files are then.

use super::images::BuiltImage;
use super::monitor;
use crate::description::{Guest, Machine, Root};
use crate::payload::loadable_part;
use crate::setup::toolchain::Toolchain;
use crate::{paths, process};
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// The package of the test guests.
const TEST_PACKAGE: &str = "disco-test-guests";

/// The programs of `bench numa`.
const NUMA_FOLDER: &str = "guests/numa/src/bin";

/// The folder with what is ready to be put into a payload.
pub fn ready_folder() -> PathBuf {
    paths::target().join("guests")
}

/// Names of the guests that are built here: each is a binary of the package `guests/tests` or `guests/numa`.
pub fn own_names() -> Vec<String> {
    let mut names = names_in("guests/tests/src/bin");
    names.extend(names_in(NUMA_FOLDER));
    names
}

/// Names of the binaries whose sources are in `folder`.
fn names_in(folder: &str) -> Vec<String> {
    let Ok(files) = fs::read_dir(paths::root().join(folder)) else {
        return Vec::new();
    };
    let mut names: Vec<String> = files
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs") || path.is_dir())
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    names
}

/// Compiles all test guests.
pub fn build_tests(toolchain: &Toolchain) -> Result<()> {
    let mut command = monitor::cargo(toolchain, "build");
    command.args(["--package", TEST_PACKAGE, "--bins"]);
    process::run_step("test guests: compile", "test-guests", &mut command)
}

/// Compiles the guests of `cargo xtask bench numa`: binaries in [`monitor::output_folder`].
pub fn build_numa(toolchain: &Toolchain) -> Result<()> {
    let mut command = monitor::cargo(toolchain, "build");
    command.args(["--package", "disco-numa-guests", "--bins"]);
    process::run_step("numa guests: compile", "numa-guests", &mut command)
}

/// Compiles those of our own guests that are among `names`.
pub fn build_own<'a>(names: impl Iterator<Item = &'a str>, toolchain: &Toolchain) -> Result<()> {
    let numa = names_in(NUMA_FOLDER);
    let is_numa = |name: &str| numa.iter().any(|other| other == name);
    let (wants_numa, wants_tests): (Vec<_>, Vec<_>) = names.partition(|name| is_numa(name));
    if !wants_tests.is_empty() {
        build_tests(toolchain)?;
    }
    if !wants_numa.is_empty() {
        build_numa(toolchain)?;
    }
    Ok(())
}

/// Builds the guests and the images on disks that a machine needs.
pub fn build_for(machine: &Machine, toolchain: &Toolchain) -> Result<()> {
    build_own(machine.own_guests(), toolchain)?;
    if machine.has_linux() {
        super::linux::build_guest()?;
    }
    machine
        .built_images()
        .into_iter()
        .try_for_each(BuiltImage::build)
}

/// The command line that a guest gets in any case.
pub fn own_command_line(guest: &Guest, root: Root) -> &'static str {
    match (guest, root) {
        (Guest::Linux, Root::Ramdisk) => super::linux::COMMAND_LINE,
        (Guest::Linux, Root::Disk) => super::linux::DISK_COMMAND_LINE,
        (Guest::Linux, Root::ReadOnlyDisk) => super::linux::READ_ONLY_DISK_COMMAND_LINE,
        (Guest::Own(_) | Guest::Elf(_), _) => "",
    }
}

/// A file that a guest is loaded from.
#[derive(Clone, Debug)]
pub struct GuestFile {
    /// Its name for messages; another content has another name.
    pub name: String,
    /// Its bytes.
    pub content: Vec<u8>,
}

/// A guest's kernel.
pub fn kernel(guest: &Guest) -> Result<GuestFile> {
    let (name, path) = match guest {
        Guest::Linux => ("linux".to_owned(), super::linux::kernel_path()),
        Guest::Own(name) => (name.clone(), monitor::output_folder().join(name)),
        Guest::Elf(path) => (path.display().to_string(), path.clone()),
    };
    let elf = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let content = loadable_part(&elf).with_context(|| format!("{}", path.display()))?;
    Ok(GuestFile { name, content })
}

/// A guest's initial ramdisk, if it has one.
pub fn initrd(guest: &Guest, given: Option<&Path>, root: Root) -> Result<Option<GuestFile>> {
    let (name, path) = match (given, guest, root) {
        (Some(path), _, _) => (path.display().to_string(), path.to_path_buf()),
        (None, Guest::Linux, Root::Ramdisk) => {
            ("initramfs".to_owned(), super::linux::initramfs_path())
        }
        (None, _, _) => return Ok(None),
    };
    let content = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(Some(GuestFile { name, content }))
}
