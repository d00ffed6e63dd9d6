//! The distribution's source packages.

use crate::{paths, process};
use anyhow::{bail, Context, Result};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Names another source tarball of Linux than the distribution's.
pub const LINUX_VARIABLE: &str = "DISCO_LINUX_SOURCE";

/// The tarball of Linux's source: the one named in the environment, or the newest installed.
pub fn linux() -> Option<PathBuf> {
    if let Some(path) = env::var_os(LINUX_VARIABLE) {
        return Some(PathBuf::from(path)).filter(|path| path.is_file());
    }
    let version = |path: &Path| -> Option<(u32, u32)> {
        let name = path.file_name()?.to_str()?;
        let (major, minor) = name
            .strip_prefix("linux-source-")?
            .strip_suffix(".tar.xz")?
            .split_once('.')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    };
    files(Path::new("/usr/src"))
        .into_iter()
        .filter(|path| version(path).is_some())
        .max_by_key(|path| version(path))
}

/// The tarball of busybox's source, if it was fetched before.
pub fn busybox() -> Option<PathBuf> {
    package("busybox")
}

/// The tarball of a package's source, if it was fetched before.
pub fn package(name: &str) -> Option<PathBuf> {
    let tarball = |path: &PathBuf| {
        let file = path.file_name().and_then(|file| file.to_str());
        let version = file.and_then(|file| file.strip_prefix(name)?.strip_prefix('_'));
        version.is_some_and(|rest| rest.contains(".orig.tar.") && has_archive_suffix(rest))
    };
    files(&folder()).into_iter().filter(tarball).max()
}

/// Whether this is the name of an archive, not of its signature or of what is not whole yet.
fn has_archive_suffix(name: &str) -> bool {
    [".gz", ".bz2", ".xz"]
        .iter()
        .any(|suffix| name.ends_with(suffix))
}

/// Fetches the sources of `packages` into the cache, as far as they are not there.
///
/// Most machines have no `deb-src` lines. Ours are made from the machine's own `deb` lines in a
/// private folder, with private package lists, so that the system's stay as they are; this
/// needs no root.
pub fn fetch(packages: &[&str]) -> Result<()> {
    let mut missing = packages.to_vec();
    missing.retain(|name| package(name).is_none());
    if missing.is_empty() {
        return Ok(());
    }
    let work = folder().join(format!("apt-{}", std::process::id()));
    let result = fetch_to(&missing, &work);
    let _ = fs::remove_dir_all(&work);
    result
}

fn fetch_to(packages: &[&str], work: &Path) -> Result<()> {
    for name in [
        "sources",
        "lists/partial",
        "cache/archives/partial",
        "fetched",
    ] {
        fs::create_dir_all(work.join(name))?;
    }
    write_sources(&work.join("sources"))?;
    let options = [
        ("Dir::Etc::SourceList", "/dev/null".into()),
        ("Dir::Etc::SourceParts", work.join("sources")),
        ("Dir::State::Lists", work.join("lists")),
        ("Dir::Cache", work.join("cache")),
    ];
    let apt_get = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        for (option, path) in &options {
            command
                .arg("-o")
                .arg(format!("{option}={}", path.display()));
        }
        command
            .args(["-o", "APT::Sandbox::User="])
            .args(arguments)
            .current_dir(work.join("fetched"));
        command
    };
    process::run_step(
        "source packages: list",
        "apt-source-list",
        &mut apt_get(&["update"]),
    )?;
    let mut download = apt_get(&["source", "--download-only", "--tar-only"]);
    let what = packages.join(", ");
    process::run_step(
        &format!("{what}: fetch source"),
        "apt-source",
        download.args(packages),
    )?;
    for path in files(&work.join("fetched")) {
        if let Some(name) = path.file_name() {
            fs::rename(&path, folder().join(name))?;
        }
    }
    if let Some(missing) = packages.iter().find(|name| package(name).is_none()) {
        bail!(
            "apt-get source {missing} brought no source; see {}",
            paths::shown(&paths::logs().join("apt-source.log"))
        );
    }
    Ok(())
}

fn folder() -> PathBuf {
    paths::cache().join("source")
}

/// The machine's package sources with `deb` turned into `deb-src`.
fn write_sources(folder: &Path) -> Result<()> {
    let mut originals = files(Path::new("/etc/apt/sources.list.d"));
    originals.push("/etc/apt/sources.list".into());
    for path in originals {
        let (Some(name), Ok(text)) = (path.file_name(), fs::read_to_string(&path)) else {
            continue;
        };
        let text = match path.extension().and_then(|extension| extension.to_str()) {
            Some("sources") => source_stanzas(&text),
            Some("list") => source_lines(&text),
            _ => continue,
        };
        fs::write(folder.join(name), text)
            .with_context(|| format!("sources made from {}", path.display()))?;
    }
    Ok(())
}

/// A deb822 file with every stanza's type turned into `deb-src`.
fn source_stanzas(text: &str) -> String {
    text.lines()
        .map(|line| {
            if line.starts_with("Types:") {
                "Types: deb-src\n".to_owned()
            } else {
                format!("{line}\n")
            }
        })
        .collect()
}

/// A one-line-style file with its `deb` lines turned into `deb-src` lines.
fn source_lines(text: &str) -> String {
    text.lines()
        .filter_map(|line| line.trim_start().strip_prefix("deb "))
        .map(|rest| format!("deb-src {rest}\n"))
        .collect()
}

/// The files of a folder; none if it cannot be read.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.path())
        .filter(|path| path.is_file())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{source_lines, source_stanzas};

    #[test]
    fn both_styles_turn_into_source_lines() {
        let stanza = "Types: deb\nURIs: http://mirror\nSuites: stable\n";
        assert_eq!(
            source_stanzas(stanza),
            "Types: deb-src\nURIs: http://mirror\nSuites: stable\n"
        );
        let lines = "# comment\ndeb [signed-by=/k] http://mirror stable main\ndeb-src http://mirror stable main\n";
        assert_eq!(
            source_lines(lines),
            "deb-src [signed-by=/k] http://mirror stable main\n"
        );
    }
}
