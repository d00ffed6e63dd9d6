//! Finds a compiler for the board: one that comes with the standard library's source of exactly
//! its own version, since `core` and `alloc` are compiled with it.

use crate::{paths, process};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A compiler, the cargo that goes with it, and where it was found.
#[derive(Clone, Debug)]
pub struct Toolchain {
    /// The compiler.
    pub rustc: PathBuf,
    /// Its cargo.
    pub cargo: PathBuf,
    /// The folder that holds both in `bin`.
    pub sysroot: PathBuf,
    /// What `rustc --version` prints.
    pub version: String,
}

/// The oldest compiler whose target files read as ours is written, as (major, minor).
const OLDEST: (u32, u32) = (1, 95);

impl Toolchain {
    /// The first usable one: rustup's default, rustup's others, then the distribution's.
    pub fn find() -> Option<Self> {
        candidates().iter().find_map(|sysroot| Self::at(sysroot))
    }

    /// Its cargo, which compiles the standard library from its source, in the project's folder.
    pub fn cargo_with_source(&self) -> Command {
        let mut command = process::clean_command(&self.cargo);
        command
            .current_dir(paths::root())
            .env("RUSTC", &self.rustc)
            .env("RUSTC_BOOTSTRAP", "1");
        command
    }

    fn at(sysroot: &Path) -> Option<Self> {
        let library = sysroot.join("lib/rustlib/src/rust/library/core/Cargo.toml");
        let (rustc, cargo) = (sysroot.join("bin/rustc"), sysroot.join("bin/cargo"));
        if !(library.exists() && rustc.exists() && cargo.exists()) {
            return None;
        }
        let output = process::clean_command(&rustc)
            .arg("--version")
            .output()
            .ok()?;
        let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        (version_number(&version)? >= OLDEST).then_some(Self {
            rustc,
            cargo,
            sysroot: sysroot.to_path_buf(),
            version,
        })
    }
}

/// Every folder that may hold a toolchain, the preferred one first.
fn candidates() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let default = crate::process::clean_command("rustc")
        .args(["--print", "sysroot"])
        .output();
    if let Ok(output) = default {
        found.push(PathBuf::from(
            String::from_utf8_lossy(&output.stdout).trim(),
        ));
    }
    let rustup = env::var_os("RUSTUP_HOME").map(PathBuf::from);
    let rustup =
        rustup.or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".rustup")));
    let toolchains = rustup.and_then(|rustup| fs::read_dir(rustup.join("toolchains")).ok());
    let mut others: Vec<_> = toolchains
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    // Stable releases before nightlies, newest first.
    others.sort();
    others.reverse();
    found.extend(others);
    found.push(PathBuf::from("/usr"));
    found
}

/// (1, 96) of "rustc 1.96.0 (…)".
fn version_number(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split_whitespace().nth(1)?.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::version_number;

    #[test]
    fn version_of_a_release_and_of_a_nightly() {
        assert_eq!(
            version_number("rustc 1.96.0 (ac68faa20 2026-05-25)"),
            Some((1, 96))
        );
        assert_eq!(
            version_number("rustc 1.97.0-nightly (0123 2026-06-01)"),
            Some((1, 97))
        );
        assert_eq!(version_number("something else"), None);
    }
}
