//! The TOML file as written, with the place of every value.

use super::Wrong;
use serde::Deserialize;
use toml::Spanned;

/// The whole file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawMachine {
    #[serde(default)]
    pub hardware: RawHardware,
    pub numa: Option<RawNuma>,
    #[serde(default)]
    pub disk: Vec<Spanned<RawDisk>>,
    #[serde(default)]
    pub vm: Vec<Spanned<RawVm>>,
}

/// The table `[hardware]`.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub struct RawHardware {
    pub cpus: Option<Spanned<i64>>,
    pub nodes: Option<Spanned<i64>>,
    pub memory: Option<Spanned<String>>,
    pub console: Option<Spanned<String>>,
    #[serde(default)]
    pub overcommit: bool,
}

/// The table `[numa]`.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub struct RawNuma {
    pub local_ns: Option<Spanned<i64>>,
    pub remote_ns: Option<Spanned<i64>>,
    pub distances: Option<RawMatrix>,
    pub events_ms: Option<Spanned<i64>>,
    pub counters: Option<Spanned<String>>,
    pub latency: Option<Spanned<String>>,
    pub policy: Option<Spanned<String>>,
    #[serde(default)]
    pub thresholds: RawThresholds,
}

/// The table `[numa.thresholds]`.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub struct RawThresholds {
    pub interval_ms: Option<Spanned<i64>>,
    pub trigger: Option<Spanned<i64>>,
    pub sharing: Option<Spanned<i64>>,
    pub write: Option<Spanned<i64>>,
    pub moves: Option<Spanned<i64>>,
    pub forgive: Option<Spanned<i64>>,
    pub burst: Option<Spanned<i64>>,
    pub rate: Option<Spanned<i64>>,
}

/// A matrix by rows.
pub type RawMatrix = Spanned<Vec<Spanned<Vec<Spanned<i64>>>>>;

/// A table `[[vm]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawVm {
    pub name: Spanned<String>,
    pub guest: Spanned<String>,
    pub cpus: Option<Spanned<i64>>,
    pub memory: Option<Spanned<String>>,
    pub cmdline: Option<Spanned<String>>,
    pub initrd: Option<Spanned<String>>,
    pub load: Option<Spanned<String>>,
    pub autostart: Option<bool>,
    #[serde(default)]
    pub disks: Vec<Spanned<String>>,
    #[serde(default)]
    pub net: bool,
}

/// A table `[[disk]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawDisk {
    pub name: Spanned<String>,
    pub mode: Spanned<String>,
    pub image: Option<Spanned<String>>,
    pub size: Option<Spanned<String>>,
    pub private: Option<Spanned<String>>,
    pub log: Option<Spanned<String>>,
}

/// Reads the file; what is no TOML, has an unknown key or a value of the wrong kind is an error.
pub fn read(file: &str, text: &str) -> Result<RawMachine, Wrong> {
    toml::from_str(text).map_err(|error| {
        let message = error.message().trim_end().replace('\n', ", ");
        Wrong::at(file, text, error.span().unwrap_or(0..0), message)
    })
}
