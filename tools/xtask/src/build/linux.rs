//! Linux and its user land: `guests/linux/build.sh` makes them, the cache keeps them.

use super::cache::{self, Key};
use super::guests::ready_folder;
use crate::setup::source;
use crate::{paths, process};
use anyhow::{Context, Result};
use disco_abi::C_CONSTANTS;
use std::fmt::Write;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

/// The own command line of a Linux guest with a ramdisk.
pub const COMMAND_LINE: &str = "rdinit=/init";
/// That of one with its root file system on its first disk. The kernel mounts it read-only, and the
/// user land read-write, without the times of access, which would be writes already.
pub const DISK_COMMAND_LINE: &str = "root=/dev/vda disco.rw";
/// The same, if the disk takes no writes.
pub const READ_ONLY_DISK_COMMAND_LINE: &str = "root=/dev/vda";
/// The cross compiler.
const COMPILER: &str = "mipsisa64r6-linux-gnuabi64-gcc";

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

/// Builds kernel and user land for a virtual machine.
pub fn build_guest() -> Result<()> {
    let header = Header::write()?;
    let parts = ["common.config", "guest.config", "files", "patches"];
    let key = linux_key("linux-guest", &parts)?.text(&header.text);
    let kernel = cache::folder("linux-guest", key, |folder| {
        build(
            "linux-guest",
            folder,
            &[
                ("LINUX_TARBALL", &linux_source()?),
                ("HEADER_DIR", &header.folder),
            ],
        )
    })?;
    provide(&kernel.join("vmlinux"), &kernel_path())?;
    provide(&build_initramfs()?, &initramfs_path())
}

/// Builds the kernel for the bare board, and the user land.
pub fn build_native() -> Result<()> {
    let key = linux_key("linux-native", &["common.config", "native.config"])?;
    let kernel = cache::folder("linux-native", key, |folder| {
        build(
            "linux-native",
            folder,
            &[("LINUX_TARBALL", &linux_source()?)],
        )
    })?;
    provide(&kernel.join("vmlinux"), &native_kernel_path())?;
    provide(&build_initramfs()?, &initramfs_path())
}

/// Builds the conformance program, both kernels, and the user land with the program.
pub fn build_conformance() -> Result<()> {
    build_guest()?;
    build_native()?;
    let key = key("conformance", &["conformance"])?;
    let folder = cache::folder("conformance", key, |folder| {
        build("conformance", folder, &[])
    })?;
    let initramfs = initramfs_with(Some(&folder.join("conformance")))?;
    provide(&initramfs, &conformance_path())
}

/// Builds the image of a root disk.
pub fn build_root() -> Result<()> {
    let program = build_busybox()?;
    let key = key("root", &["initramfs"])?.tree(&program)?;
    let root = cache::folder("root", key, |folder| {
        build("root", folder, &[("BUSYBOX", &program)])
    })?;
    provide_large(&root.join("root.ext4"), &root_path())
}

/// The image of a disk that the script of one of the port's folders makes.
pub fn disk_path(name: &str) -> PathBuf {
    ready_folder().join(name)
}

/// Builds it. The script is its own: what belongs to `build.sh` builds Linux anew.
pub fn build_disk(name: &str) -> Result<()> {
    let own = port().join(name);
    let key = Key::new(name).text(&compiler_version()?).tree(&own)?;
    let folder = cache::folder(name, key, |folder| {
        let mut command = Command::new("sh");
        command.arg(own.join("build.sh")).arg(folder);
        process::run_step(&format!("{name}: build"), name, &mut command)
    })?;
    provide_large(&folder.join(format!("{name}.ext4")), &disk_path(name))
}

fn build_initramfs() -> Result<PathBuf> {
    initramfs_with(None)
}

/// The user land: busybox, and another program if one is given.
fn initramfs_with(conformance: Option<&Path>) -> Result<PathBuf> {
    let program = build_busybox()?;
    let mut key = linux_key("initramfs", &["initramfs"])?.tree(&program)?;
    if let Some(conformance) = conformance {
        key = key.tree(conformance)?;
    }
    let conformance = conformance.unwrap_or(Path::new("")).to_path_buf();
    let initramfs = cache::folder("initramfs", key, |folder| {
        let environment = [
            ("LINUX_TARBALL", &linux_source()?),
            ("BUSYBOX", &program),
            ("CONFORMANCE", &conformance),
        ];
        build("initramfs", folder, &environment)
    })?;
    Ok(initramfs.join("initramfs.cpio"))
}

/// The program busybox.
fn build_busybox() -> Result<PathBuf> {
    let source = source::busybox().context("busybox's source is missing")?;
    let key = key("busybox", &["busybox.config"])?.tree(&source)?;
    let folder = cache::folder("busybox", key, |folder| {
        build("busybox", folder, &[("BUSYBOX_TARBALL", &source)])
    })?;
    Ok(folder.join("busybox"))
}

fn linux_source() -> Result<PathBuf> {
    source::linux().context("Linux's source is missing")
}

fn port() -> PathBuf {
    paths::root().join("guests/linux")
}

fn compiler_version() -> Result<String> {
    let compiler = Command::new(COMPILER)
        .arg("--version")
        .output()
        .context("no cross compiler")?;
    Ok(String::from_utf8_lossy(&compiler.stdout).into_owned())
}

/// The key of a build from these parts of the port.
fn key(target: &str, parts: &[&str]) -> Result<Key> {
    let key = Key::new(target).text(&compiler_version()?);
    let key = key.tree(&port().join("build.sh"))?;
    parts
        .iter()
        .try_fold(key, |key, part| key.text(part).tree(&port().join(part)))
}

/// The same, with Linux's source. The tarball has 130 MB: its package's version and its length
/// stand for its content.
fn linux_key(target: &str, parts: &[&str]) -> Result<Key> {
    let source = linux_source()?;
    let name = source
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let package = name.trim_end_matches(".tar.xz").to_owned();
    let version = Command::new("dpkg-query")
        .args(["-W", "-f", "${Version}", &package])
        .output();
    let version = version.map(|output| output.stdout).unwrap_or_default();
    let length = fs::metadata(&source)?.len();
    let text = format!("{name} {} {length}", String::from_utf8_lossy(&version));
    Ok(key(target, parts)?.text(&text))
}

fn build(target: &str, folder: &Path, environment: &[(&str, &PathBuf)]) -> Result<()> {
    let jobs = thread::available_parallelism().map_or(1, |count| count.get());
    let mut command = Command::new("sh");
    command
        .arg(port().join("build.sh"))
        .arg(target)
        .arg(folder)
        .arg(jobs.to_string());
    command.envs(environment.iter().copied());
    // Cargo's variables for its own make must not reach Linux's.
    command
        .env_remove("MAKEFLAGS")
        .env_remove("CARGO_MAKEFLAGS");
    process::run_step(&format!("{target}: build"), target, &mut command)?;
    let _ = fs::remove_dir_all(folder.join("work"));
    Ok(())
}

/// Copies a file where payloads are made from, unless the same is there.
fn provide(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(ready_folder())?;
    let content = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
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

/// The guest interface as a C header.
struct Header {
    folder: PathBuf,
    text: String,
}

impl Header {
    fn write() -> Result<Self> {
        let folder = paths::target().join("guests/include");
        fs::create_dir_all(&folder)?;
        let text = header_text();
        fs::write(folder.join("disco.h"), &text)?;
        Ok(Self { folder, text })
    }
}

/// `disco.h`: plain numbers, for C and assembly.
fn header_text() -> String {
    let mut text = String::from(
        "/* The guest interface. Made by xtask from guests/abi: not to be edited. */\n\
         #ifndef DISCO_H\n#define DISCO_H\n\n",
    );
    for (name, value) in C_CONSTANTS {
        let _ = writeln!(text, "#define DISCO_{name} {value:#x}");
    }
    text.push_str("\n#endif\n");
    text
}

#[cfg(test)]
mod tests {
    use super::header_text;

    #[test]
    fn the_header_has_every_constant_once() {
        let text = header_text();
        for (name, value) in disco_abi::C_CONSTANTS {
            assert_eq!(
                text.matches(&format!("#define DISCO_{name} {value:#x}\n"))
                    .count(),
                1,
                "{name}"
            );
        }
    }
}
