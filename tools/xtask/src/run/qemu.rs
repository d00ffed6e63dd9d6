//! The command line of QEMU's Malta board with our flash.

use super::drive::Drive;
use super::magic::Magic;
use super::network::{self, Forward};
use crate::flash::Hardware;
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The emulator.
pub const PROGRAM: &str = "qemu-system-mips64";

/// One start of the board.
pub struct Board {
    /// CPUs, memory and where the payload goes.
    pub hardware: Hardware,
    /// The flash image; it is not changed.
    pub flash: PathBuf,
    /// The payload's file, if there is one.
    pub payload: Option<PathBuf>,
    /// The file that takes the monitor's events.
    pub events: PathBuf,
    /// The real disk, if there is one.
    pub disk: Option<Drive>,
    /// Arguments for the exact model of the memory system, if it is to run beside.
    magic: Vec<String>,
    /// Arguments for the network card.
    network: Vec<String>,
    /// Further arguments.
    pub extra: Vec<String>,
}

impl Board {
    /// The board for an image: what the image's own description says, believed as far as it can
    /// be a board at all.
    pub fn of_image(flash: &Path, events: PathBuf, extra: Vec<String>) -> Result<Self> {
        let image = fs::read(flash).with_context(|| format!("cannot read {}", flash.display()))?;
        let hardware = Hardware::of_image(&image).unwrap_or(Hardware::FALLBACK);
        let payload = crate::flash::payload_path(flash);
        let payload = hardware.payload_address.map(|_| payload).filter(|payload| {
            let there = payload.is_file();
            if !there {
                eprintln!(
                    "xtask: {} is missing: the guests' files are not loaded",
                    payload.display()
                );
            }
            there
        });
        Ok(Self {
            disk: None,
            magic: Vec::new(),
            network: network::arguments(&hardware, &[])?,
            hardware,
            flash: flash.to_path_buf(),
            payload,
            events,
            extra,
        })
    }

    /// Makes ports of this computer lead to virtual machines.
    pub fn forward(&mut self, forwards: &[Forward]) -> Result<()> {
        self.network = network::arguments(&self.hardware, forwards)?;
        Ok(())
    }

    /// Lets the exact model run beside.
    pub fn model(&mut self, magic: &Magic) -> Result<()> {
        self.magic = magic.arguments(&self.hardware)?;
        Ok(())
    }

    /// QEMU with its console on standard input and output.
    pub fn command(&self) -> Command {
        // Parallel CPUs and counted instructions exclude each other.
        let counted = self.extra.iter().any(|argument| argument == "-icount");
        let threads = if counted { "single" } else { "multi" };
        let mut command = Command::new(PROGRAM);
        command
            .args(["-M", "malta", "-cpu", "I6400"])
            .args(["-accel", &format!("tcg,thread={threads}")])
            .args(["-smp", &self.hardware.cpus.to_string()])
            .args(["-m", &format!("{}M", self.hardware.memory >> 20)])
            .args(["-display", "none", "-nodefaults", "-no-reboot"])
            .arg("-drive")
            .arg(format!(
                "if=pflash,format=raw,readonly=on,file={}",
                option_path(&self.flash)
            ))
            .args([
                "-chardev",
                "stdio,id=console,signal=off",
                "-serial",
                "chardev:console",
            ])
            .args(["-serial", &format!("file:{}", self.events.display())]);
        if let (Some(payload), Some(address)) = (&self.payload, self.hardware.payload_address) {
            let file = option_path(payload);
            command
                .arg("-device")
                .arg(format!("loader,file={file},addr={address:#x},force-raw=on"));
        }
        if let Some(disk) = &self.disk {
            command.args(disk.arguments());
        }
        command
            .args(&self.magic)
            .args(&self.network)
            .args(&self.extra);
        command
    }
}

/// A path inside one of QEMU's option lists, where a comma is doubled.
pub fn option_path(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}
