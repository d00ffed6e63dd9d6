//! The plugin that counts, built and told of the monitor.

use crate::build::monitor;
use crate::run::qemu::option_path;
use crate::{paths, process};
use anyhow::{ensure, Context, Result};
use disco_breakdown::report::Report;
use disco_magic::point;
use object::{Object, ObjectSection};
use std::env;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The plugin.
pub struct Plugin(PathBuf);

impl Plugin {
    /// Builds it.
    pub fn build() -> Result<Self> {
        const PACKAGE: &str = "disco-breakdown-plugin";
        let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.current_dir(paths::root());
        command.args(["build", "--profile", "plugin", "--package", PACKAGE]);
        process::run_step("breakdown: compile", "breakdown-plugin", &mut command)?;
        let library = paths::target().join("plugin/libdisco_breakdown_plugin.so");
        Ok(Self(library))
    }

    /// QEMU's arguments for a board without a monitor.
    pub fn native_arguments(&self, report: &Path) -> Vec<String> {
        self.arguments(report, &[])
    }

    /// The same for a machine with this much memory and a monitor, whose points `points` has.
    pub fn guest_arguments(&self, report: &Path, points: &Path, memory: u64) -> Vec<String> {
        let options = [
            format!("points={}", option_path(points)),
            "ram=memfd:memory-backend-memfd".to_owned(),
            format!("memory={memory}"),
        ];
        let ram = [
            "-object".to_owned(),
            format!("memory-backend-memfd,id=ram,size={memory}"),
            "-machine".to_owned(),
            "memory-backend=ram".to_owned(),
        ];
        let plugin = self.arguments(report, &options);
        ram.into_iter().chain(plugin).collect()
    }

    fn arguments(&self, report: &Path, options: &[String]) -> Vec<String> {
        // That of an earlier run is none of this one.
        let _ = fs::remove_file(report);
        let plugin = [
            option_path(&self.0),
            format!("report={}", option_path(report)),
        ];
        let plugin: Vec<_> = plugin.iter().chain(options).map(String::as_str).collect();
        vec!["-plugin".to_owned(), plugin.join(",")]
    }
}

/// What it has written.
pub fn read(report: &Path) -> Result<Report> {
    let text = fs::read(report).with_context(|| {
        let file = paths::shown(report);
        format!("the plugin has left no report in {file}: it writes it when a window ends")
    })?;
    serde_json::from_slice(&text).with_context(|| paths::shown(report))
}

/// Writes the points of the monitor that was built last, as the plugin reads them.
pub fn write_points(path: &Path) -> Result<()> {
    let elf = monitor::file();
    let data = fs::read(&elf).with_context(|| format!("cannot read {}", elf.display()))?;
    let text = points(&data).with_context(|| paths::shown(&elf))?;
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

fn points(elf: &[u8]) -> Result<String> {
    let file = object::File::parse(elf).context("not an ELF file")?;
    let section = file
        .section_by_name(point::SECTION)
        .with_context(|| format!("there is no section {}", point::SECTION))?;
    let data = section.data()?;
    ensure!(
        !data.is_empty() && data.len() % point::RECORD_BYTES == 0,
        "{} has {} bytes, which are no whole records",
        point::SECTION,
        data.len()
    );
    let mut text = String::new();
    for record in data.chunks_exact(point::RECORD_BYTES) {
        let (address, number) = record.split_at(point::RECORD_BYTES / 2);
        let word = |bytes: &[u8]| {
            bytes
                .iter()
                .fold(0, |word, byte| word << 8 | u64::from(*byte))
        };
        // Code that was left out of the image has address 0.
        if word(address) != 0 {
            let _ = writeln!(text, "{:x} {:x}", word(address), word(number));
        }
    }
    Ok(text)
}
