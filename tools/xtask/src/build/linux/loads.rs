//! The loads of the benchmark: programs from the distribution's sources with what they work on, and the disks that hold
//! them (`guests/linux/bench/loads`).

use super::super::cache::{self, Key};
use super::port::{compiler_version, Port};
use crate::process;
use crate::setup::{source, version_of};
use anyhow::{Context, Result};
use std::path::PathBuf;
use std::process::Command;
use std::thread;

/// A load.
struct Load {
    /// Its name: that of its folder, and what the benchmark's user land calls it.
    name: &'static str,
    /// Source packages, after the variables in which `build.sh` is told of their tarballs.
    sources: &'static [(&'static str, &'static str)],
}

/// All loads.
const ALL: &[Load] = &[
    Load {
        name: "pmake",
        sources: &[
            ("LUA_TARBALL", "lua5.4"),
            ("MAKE_TARBALL", "make-dfsg"),
            ("MUSL_TARBALL", "musl"),
            ("PCC_TARBALL", "pcc"),
            ("ZLIB_TARBALL", "zlib"),
        ],
    },
    Load {
        name: "engineering",
        sources: &[],
    },
    Load {
        name: "raytrace",
        sources: &[("TACHYON_TARBALL", "tachyon")],
    },
    Load {
        name: "database",
        sources: &[("SQLITE_TARBALL", "sqlite3")],
    },
];

/// The source packages of all.
pub fn packages() -> impl Iterator<Item = &'static str> {
    let sources = ALL.iter().flat_map(|load| load.sources);
    sources.map(|&(_, package)| package)
}

/// Builds a load: its folder.
pub fn folder(name: &str) -> Result<PathBuf> {
    let load = ALL.iter().find(|load| load.name == name);
    load.with_context(|| format!("there is no load {name}"))?
        .build()
}

/// Builds a load, and an archive for an initial ramdisk with a disk that holds it.
pub fn disk(name: &str) -> Result<PathBuf> {
    let load = folder(name)?;
    let script = scripts().join("disk.sh");
    let kind = format!("disk-{name}");
    let key = Key::new(&kind).tree(&script)?.tree(&load)?;
    let disk = cache::folder(&kind, key, |out| {
        let mut command = Command::new("sh");
        command.arg(&script).arg(out).arg(&load);
        process::run_step(&format!("{name}: disk"), &kind, &mut command)
    })?;
    Ok(disk.join("disk.cpio"))
}

/// Where the scripts of all loads are.
fn scripts() -> PathBuf {
    Port::bench().part("loads")
}

impl Load {
    /// Builds it: its folder.
    fn build(&self) -> Result<PathBuf> {
        let folder = scripts();
        let script = folder.join("build.sh");
        let kind = format!("load-{}", self.name);
        let mut key = Key::new(&kind)
            .text(&compiler_version()?)
            .tree(&script)?
            .tree(&folder.join(self.name))?
            .tree(&Port::bench().part("measure"))?;
        // Its simulator is the host's.
        if self.sources.is_empty() {
            key = key.text(&version_of("verilator").context("no verilator")?);
        }
        let mut tarballs = Vec::new();
        for (variable, package) in self.sources {
            let tarball = source::package(package);
            let tarball = tarball.with_context(|| format!("the source of {package} is missing"))?;
            key = key.tree(&tarball)?;
            tarballs.push((variable, tarball));
        }
        let built = cache::folder(&kind, key, |out| {
            let jobs = thread::available_parallelism().map_or(1, |count| count.get());
            let mut command = Command::new("sh");
            command.arg(&script).arg(self.name).arg(out);
            command.arg(jobs.to_string()).envs(tarballs);
            // Cargo's variables for its own make must not reach others.
            command
                .env_remove("MAKEFLAGS")
                .env_remove("CARGO_MAKEFLAGS");
            process::run_step(&format!("{}: build", self.name), &kind, &mut command)?;
            let _ = std::fs::remove_dir_all(out.join("work"));
            Ok(())
        })?;
        Ok(built.join(self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_load_has_a_folder() {
        let folder = scripts();
        for load in ALL {
            assert!(
                folder.join(load.name).join("build.sh").is_file(),
                "{}",
                load.name
            );
        }
    }
}
