//! The exact model of the memory system beside a run: `--magic`. `docs/numa.md` has the rest.

use super::qemu::{option_path, PROGRAM};
use crate::flash::Hardware;
use crate::setup::version_of;
use crate::{paths, process};
use anyhow::{bail, Context, Result};
use serde_json::Value;
use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// Modes as the report and a person call them.
const MODES: [(&str, &str); 4] = [
    ("user", "user"),
    ("guest_kernel", "guest kernel"),
    ("monitor", "monitor"),
    ("moving", "pages that move"),
];

/// The model of one run.
#[derive(Clone, Debug)]
pub struct Magic {
    plugin: PathBuf,
    /// Where its report goes.
    pub report: PathBuf,
    /// More options for it.
    with: Vec<String>,
}

impl Magic {
    /// Builds the plugin.
    pub fn build(report: PathBuf, with: Vec<String>) -> Result<Self> {
        let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.current_dir(paths::root()).args([
            "build",
            "--profile",
            "plugin",
            "--package",
            "disco-flash-plugin",
        ]);
        process::run_step("exact model: compile", "flash-plugin", &mut command)?;
        // A report of an earlier run is none of this one.
        let _ = fs::remove_file(&report);
        Ok(Self {
            plugin: paths::target().join("plugin/libdisco_flash_plugin.so"),
            report,
            with,
        })
    }

    /// The same for another run, whose report goes to `report`.
    pub fn reporting_to(&self, report: PathBuf) -> Self {
        let _ = fs::remove_file(&report);
        let mut other = self.clone();
        other.report = report;
        other
    }

    /// QEMU's arguments: RAM that can be found in its memory, and the plugin.
    pub fn arguments(&self, hardware: &Hardware) -> Result<Vec<String>> {
        let Some(region) = hardware.magic else {
            bail!(
                "this image has no room for the exact model's counters: write it with `cargo xtask flash --magic`, \
                 or run it without --magic"
            );
        };
        let nodes = hardware.nodes as usize;
        let starts = (0..nodes).map(|node| disco_flash::node_memory(region, nodes, node).start);
        let latency = hardware.latency_ns.iter().flatten();
        let options = vec![
            format!("cpus={}", hardware.cpus),
            format!("nodes={nodes}"),
            format!("starts={}", with_colons(starts)),
            format!("latency={}", with_colons(latency)),
            format!("region={region}"),
        ];
        Ok(self.with_options(hardware.memory, options))
    }

    /// The same for a board of one CPU without a monitor, whose misses take `miss_ns`.
    pub fn native_arguments(&self, memory: u64, miss_ns: u64) -> Vec<String> {
        self.with_options(memory, vec![format!("latency={miss_ns}")])
    }

    fn with_options(&self, memory: u64, options: Vec<String>) -> Vec<String> {
        let mut plugin = vec![
            option_path(&self.plugin),
            "ram=memfd:memory-backend-memfd".to_owned(),
            format!("memory={memory}"),
            format!("report={}", option_path(&self.report)),
        ];
        plugin.extend(options);
        plugin.extend(self.with.iter().map(|option| option.replace(',', ",,")));
        vec![
            "-object".to_owned(),
            format!("memory-backend-memfd,id=ram,size={memory}"),
            "-machine".to_owned(),
            "memory-backend=ram".to_owned(),
            "-plugin".to_owned(),
            plugin.join(","),
        ]
    }

    /// What it has written.
    pub fn read(&self) -> Result<Value> {
        let text = fs::read(&self.report).with_context(|| {
            let file = paths::shown(&self.report);
            format!("the exact model has left no report in {file}: it writes it when QEMU ends by itself")
        })?;
        serde_json::from_slice(&text).with_context(|| paths::shown(&self.report))
    }

    /// A line for a person.
    pub fn summary(&self) -> Result<String> {
        let report = self.read()?;
        let run = &report["run"];
        let misses = |mode: &str| -> u64 {
            let counts = &run["modes"][mode];
            let kinds = ["local_misses", "remote_misses", "owned_misses"];
            kinds.iter().filter_map(|kind| counts[kind].as_u64()).sum()
        };
        let modes = MODES.iter().filter(|(key, _)| misses(key) > 0);
        let modes = modes.map(|(key, name)| {
            let percent = local_percent(&report, key).unwrap_or_default();
            format!("{name} {percent:.1} % of {}", misses(key))
        });
        let modes: Vec<_> = modes.collect();
        Ok(format!(
            "exact model: {:.3} s simulated; misses local: {}; {}",
            run["elapsed_ns"].as_f64().unwrap_or_default() / 1e9,
            modes.join(", "),
            paths::shown(&self.report)
        ))
    }
}

/// The share of a mode's misses that were local, in percent.
pub fn local_percent(report: &Value, mode: &str) -> Option<f64> {
    let share = report["run"]["local_share_by_mode"][mode].as_f64()?;
    Some(share * 100.0)
}

/// What is to be said if QEMU does not tell CPUs apart.
pub const WRONG_CPUS: &str =
    "this QEMU, 10 or later, tells plugins the CPU that translated a block of code instead of the one that executes it when \
     it counts the instructions of several CPUs: the exact model's figures by CPU and node are wrong. Use one CPU, or leave \
     out -icount, or use QEMU 7.2 to 9, such as Debian 12's";

/// Whether QEMU tells plugins which CPU executes, when it counts the instructions of several: from version 10 on
/// the number is a constant in code that all CPUs share, unless they run in parallel (its accel/tcg/plugin-gen.c).
pub fn tells_cpus_apart() -> bool {
    version_of(PROGRAM).is_none_or(|line| major(&line).is_none_or(|major| major < 10))
}

/// The major version in what `qemu-system-… --version` prints first.
fn major(line: &str) -> Option<u32> {
    let (_, version) = line.split_once("version ")?;
    version.split('.').next()?.parse().ok()
}

fn with_colons(values: impl Iterator<Item = impl ToString>) -> String {
    let values: Vec<String> = values.map(|value| value.to_string()).collect();
    values.join(":")
}

#[cfg(test)]
mod tests {
    use super::major;

    #[test]
    fn versions_of_both_distributions_are_read() {
        let of = |line| major(line);
        let old = of("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)");
        let new = of("QEMU emulator version 10.0.13 (Debian 1:10.0.13+ds-0+deb13u1)");
        assert_eq!((old, new, of("something")), (Some(7), Some(10), None));
    }
}
