//! Finds what the machine lacks, and installs it.

mod apt;
mod need;
pub mod source;
pub mod toolchain;

pub use need::{in_path, version_of, Need};

use crate::build::linux::loads;
use crate::paths;
use anyhow::{bail, Context, Result};
use toolchain::Toolchain;

/// Provides what commands need, or says what a person has to do.
#[derive(Clone, Copy, Debug)]
pub struct Installer {
    /// Whether packages may be installed.
    pub install: bool,
}

impl Installer {
    /// Makes sure that everything in `needs` is there.
    pub fn prepare(&self, needs: &[Need]) -> Result<()> {
        self.install_missing(needs)?;
        let mut packages = Vec::new();
        if needs.contains(&Need::BusyboxSource) {
            packages.push("busybox");
        }
        if needs.contains(&Need::LoadSources) {
            packages.extend(loads::packages());
        }
        source::fetch(&packages).context("fetching sources")
    }

    /// The same, for needs that contain [`Need::MONITOR`]: returns the compiler for the board.
    pub fn provide(&self, needs: &[Need]) -> Result<Toolchain> {
        self.prepare(needs)?;
        Toolchain::find().context(
            "no compiler with its library's source: install rustc-web, cargo-web and rust-web-src, \
             or give a rustup toolchain its source with rustup component add rust-src",
        )
    }

    fn install_missing(&self, needs: &[Need]) -> Result<()> {
        let missing: Vec<Need> = needs
            .iter()
            .copied()
            .filter(|need| need.found().is_none())
            .collect();
        let packages = packages(&missing);
        if packages.is_empty() {
            return Ok(());
        }
        for need in missing.iter().filter(|need| !need.packages().is_empty()) {
            eprintln!(
                "missing: {} ({}): {}",
                need.name(),
                need.purpose(),
                need.packages().join(" ")
            );
        }
        if !self.install {
            bail!(
                "nothing was installed, as --no-install says; run: {}",
                apt::command_text(&packages)
            );
        }
        apt::install(&packages)?;
        let still: Vec<_> = missing
            .iter()
            .filter(|need| need.found().is_none() && !need.packages().is_empty())
            .collect();
        if let Some(need) = still.first() {
            bail!(
                "{} is still missing after the installation of {}; see {}",
                need.name(),
                need.packages().join(" "),
                paths::shown(&paths::logs().join("apt-install.log"))
            );
        }
        Ok(())
    }
}

fn packages(needs: &[Need]) -> Vec<&'static str> {
    let mut packages: Vec<_> = needs
        .iter()
        .flat_map(|need| need.packages())
        .copied()
        .collect();
    packages.sort_unstable();
    packages.dedup();
    packages
}
