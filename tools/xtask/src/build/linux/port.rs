//! The folder with the port, `guests/linux`, and what `build.sh` makes of it.

use super::super::cache::{self, Key};
use super::header::Header;
use crate::setup::source;
use crate::{paths, process};
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

/// The cross compiler.
const COMPILER: &str = "mipsisa64r6-linux-gnuabi64-gcc";

/// A folder with the parts of the port. What comes out of `build.sh` lies in the cache under a key of the
/// parts that went into it: two folders that have the same have one build.
pub struct Port(PathBuf);

impl Port {
    /// The port.
    pub fn ordinary() -> Self {
        Self(paths::root().join("guests/linux"))
    }

    /// The same with the options of the benchmark.
    pub fn bench() -> Self {
        Self(paths::root().join("guests/linux/bench"))
    }

    /// A part of it.
    pub fn part(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Builds the kernel for a virtual machine.
    pub fn guest_kernel(&self) -> Result<PathBuf> {
        let header = Header::write()?;
        let parts = ["common.config", "guest.config", "files", "patches"];
        let key = self.linux_key("linux-guest", &parts)?.text(&header.text);
        let kernel = cache::folder("linux-guest", key, |folder| {
            let environment = [
                ("LINUX_TARBALL", &linux_source()?),
                ("HEADER_DIR", &header.folder),
            ];
            self.build("linux-guest", folder, &environment)
        })?;
        Ok(kernel.join("vmlinux"))
    }

    /// Builds the kernel for the bare board.
    pub fn native_kernel(&self) -> Result<PathBuf> {
        let key = self.linux_key("linux-native", &["common.config", "native.config"])?;
        let kernel = cache::folder("linux-native", key, |folder| {
            let environment = [("LINUX_TARBALL", &linux_source()?)];
            self.build("linux-native", folder, &environment)
        })?;
        Ok(kernel.join("vmlinux"))
    }

    /// Builds the conformance program.
    pub fn conformance(&self) -> Result<PathBuf> {
        let key = self.key("conformance", &["conformance"])?;
        let folder = cache::folder("conformance", key, |folder| {
            self.build("conformance", folder, &[])
        })?;
        Ok(folder.join("conformance"))
    }

    /// Builds the user land as an initial ramdisk: busybox, and another program if one is given.
    pub fn initramfs(&self, conformance: Option<&Path>) -> Result<PathBuf> {
        let program = self.busybox()?;
        let mut key = self
            .linux_key("initramfs", &["initramfs"])?
            .tree(&program)?;
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
            self.build("initramfs", folder, &environment)
        })?;
        Ok(initramfs.join("initramfs.cpio"))
    }

    /// Builds the user land as the image of a root disk.
    pub fn root(&self) -> Result<PathBuf> {
        let program = self.busybox()?;
        let key = self.key("root", &["initramfs"])?.tree(&program)?;
        let root = cache::folder("root", key, |folder| {
            self.build("root", folder, &[("BUSYBOX", &program)])
        })?;
        Ok(root.join("root.ext4"))
    }

    /// Builds an archive that is appended to an initial ramdisk, with the script of a folder of its own, which is given
    /// `content`.
    pub fn archive(&self, name: &str, content: &[PathBuf]) -> Result<PathBuf> {
        Ok(self.own_build(name, content)?.join(format!("{name}.cpio")))
    }

    /// The image of the disk `name`. The script is its own: what belongs to `build.sh` builds Linux anew.
    pub fn disk(&self, name: &str) -> Result<PathBuf> {
        Ok(self.own_build(name, &[])?.join(format!("{name}.ext4")))
    }

    /// What the script of the folder `name` makes of `content`.
    fn own_build(&self, name: &str, content: &[PathBuf]) -> Result<PathBuf> {
        let own = self.part(name);
        // What the benchmark's programs share lies beside them.
        let shared = self.part("measure");
        let key = Key::new(name).text(&compiler_version()?);
        let key = key.tree(&own)?.tree(&shared)?;
        let key = content.iter().try_fold(key, |key, path| key.tree(path))?;
        cache::folder(name, key, |folder| {
            let mut command = Command::new("sh");
            command.arg(own.join("build.sh")).arg(folder).args(content);
            process::run_step(&format!("{name}: build"), name, &mut command)
        })
    }

    fn busybox(&self) -> Result<PathBuf> {
        let source = source::busybox().context("busybox's source is missing")?;
        let key = self.key("busybox", &["busybox.config"])?.tree(&source)?;
        let folder = cache::folder("busybox", key, |folder| {
            self.build("busybox", folder, &[("BUSYBOX_TARBALL", &source)])
        })?;
        Ok(folder.join("busybox"))
    }

    /// The key of a build from these parts.
    fn key(&self, target: &str, parts: &[&str]) -> Result<Key> {
        let key = Key::new(target).text(&compiler_version()?);
        let key = key.tree(&self.part("build.sh"))?;
        parts
            .iter()
            .try_fold(key, |key, part| key.text(part).tree(&self.part(part)))
    }

    /// The same, with Linux's source. The tarball has 130 MB: its package's version and its length
    /// stand for its content.
    fn linux_key(&self, target: &str, parts: &[&str]) -> Result<Key> {
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
        Ok(self.key(target, parts)?.text(&text))
    }

    fn build(&self, target: &str, folder: &Path, environment: &[(&str, &PathBuf)]) -> Result<()> {
        let jobs = thread::available_parallelism().map_or(1, |count| count.get());
        let mut command = Command::new("sh");
        command
            .arg(self.part("build.sh"))
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
}

fn linux_source() -> Result<PathBuf> {
    source::linux().context("Linux's source is missing")
}

/// What the cross compiler says of itself.
pub fn compiler_version() -> Result<String> {
    let compiler = Command::new(COMPILER)
        .arg("--version")
        .output()
        .context("no cross compiler")?;
    Ok(String::from_utf8_lossy(&compiler.stdout).into_owned())
}
