//! Linux and its user land: `guests/linux/build.sh` makes them, the cache keeps them.

mod header;
pub mod loads;
mod port;

use super::guests::ready_folder;
use anyhow::{Context, Result};
use port::Port;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// The own command line of a Linux guest with a ramdisk.
pub const COMMAND_LINE: &str = "rdinit=/init";
/// That of one with its root file system on its first disk. The kernel mounts it read-only, and the
/// user land read-write, without the times of access, which would be writes already.
pub const DISK_COMMAND_LINE: &str = "root=/dev/vda disco.rw";
/// The same, if the disk takes no writes.
pub const READ_ONLY_DISK_COMMAND_LINE: &str = "root=/dev/vda";

/// The kernel for a virtual machine.
pub fn kernel_path() -> PathBuf {
    ready_folder().join("linux")
}

/// The kernel for the bare board.
pub fn native_kernel_path() -> PathBuf {
    ready_folder().join("linux-native")
}

/// The user land.
pub fn initramfs_path() -> PathBuf {
    ready_folder().join("initramfs")
}

/// The image of a root disk.
pub fn root_path() -> PathBuf {
    ready_folder().join("linux-root")
}

/// The user land with the conformance program.
pub fn conformance_path() -> PathBuf {
    ready_folder().join("initramfs-conformance")
}

/// The benchmark's kernel for a virtual machine.
pub fn bench_kernel_path() -> PathBuf {
    ready_folder().join("linux-bench")
}

/// The benchmark's kernel for the bare board.
pub fn bench_native_kernel_path() -> PathBuf {
    ready_folder().join("linux-bench-native")
}

/// The benchmark's user land.
pub fn bench_initramfs_path() -> PathBuf {
    ready_folder().join("initramfs-bench")
}

/// The same with the disk of a load.
pub fn load_initramfs_path(load: &str) -> PathBuf {
    ready_folder().join(format!("initramfs-{load}"))
}

/// The same for machines that work side by side.
pub fn gang_initramfs_path() -> PathBuf {
    ready_folder().join("initramfs-gang")
}

/// The image of a disk that the script of one of the port's folders makes.
pub fn disk_path(name: &str) -> PathBuf {
    ready_folder().join(name)
}

/// Builds kernel and user land for a virtual machine.
pub fn build_guest() -> Result<()> {
    let port = Port::ordinary();
    provide(&port.guest_kernel()?, &kernel_path())?;
    provide(&port.initramfs(None)?, &initramfs_path())
}

/// Builds the kernel for the bare board, and the user land.
pub fn build_native() -> Result<()> {
    let port = Port::ordinary();
    provide(&port.native_kernel()?, &native_kernel_path())?;
    provide(&port.initramfs(None)?, &initramfs_path())
}

/// Builds both kernels of the benchmark, and the user land of both.
pub fn build_bench() -> Result<()> {
    let port = Port::bench();
    provide(&port.guest_kernel()?, &bench_kernel_path())?;
    provide(&port.native_kernel()?, &bench_native_kernel_path())?;
    let archives = [port.initramfs(None)?, port.archive("micro", &[])?];
    provide_joined(&archives, &bench_initramfs_path())
}

/// Builds the user land with the disk of a load, from [`build_bench`]'s.
pub fn build_load(load: &str) -> Result<()> {
    let archives = [bench_initramfs_path(), loads::disk(load)?];
    provide_joined(&archives, &load_initramfs_path(load))
}

/// Builds the user land of machines that work side by side, from [`build_bench`]'s and the load that they work at.
pub fn build_gang() -> Result<()> {
    let gang = Port::bench().archive("gang", &[loads::folder("pmake")?])?;
    let archives = [bench_initramfs_path(), gang];
    provide_joined(&archives, &gang_initramfs_path())
}

/// Builds the conformance program, both kernels, and the user land with the program.
pub fn build_conformance() -> Result<()> {
    build_guest()?;
    build_native()?;
    let port = Port::ordinary();
    let program = port.conformance()?;
    provide(&port.initramfs(Some(&program))?, &conformance_path())
}

/// Builds the image of a root disk.
pub fn build_root() -> Result<()> {
    provide_large(&Port::ordinary().root()?, &root_path())
}

/// Builds the image of the disk `name`.
pub fn build_disk(name: &str) -> Result<()> {
    provide_large(&Port::ordinary().disk(name)?, &disk_path(name))
}

/// Copies a file where payloads are made from, unless the same is there.
fn provide(from: &Path, to: &Path) -> Result<()> {
    provide_joined(&[from.to_path_buf()], to)
}

/// The same with initial ramdisks one behind the other. The kernel unpacks all; what is in several is the last one's.
fn provide_joined(from: &[PathBuf], to: &Path) -> Result<()> {
    fs::create_dir_all(ready_folder())?;
    let mut content = Vec::new();
    for path in from {
        content.resize(content.len().next_multiple_of(512), 0);
        content.extend(fs::read(path).with_context(|| format!("cannot read {}", path.display()))?);
    }
    if fs::read(to).ok().as_ref() != Some(&content) {
        fs::write(to, content).with_context(|| format!("cannot write {}", to.display()))?;
    }
    Ok(())
}

/// The same without a copy.
fn provide_large(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(ready_folder())?;
    if fs::read_link(to).ok().as_deref() != Some(from) {
        let _ = fs::remove_file(to);
        symlink(from, to).with_context(|| format!("cannot make {}", to.display()))?;
    }
    Ok(())
}
