//! Linux and its user land, built by `guests/linux/build.sh` and cached.

use super::guests::ready_folder;
use anyhow::{bail, Result};
use std::path::PathBuf;

/// Every Linux guest's own command line.
pub const COMMAND_LINE: &str = "console=hvc0";

/// The kernel for a virtual machine.
pub fn kernel_path() -> PathBuf {
    ready_folder().join("linux")
}

/// The user land.
pub fn initramfs_path() -> PathBuf {
    ready_folder().join("initramfs")
}

/// Builds kernel and user land for a virtual machine.
pub fn build_guest() -> Result<()> {
    if kernel_path().exists() && initramfs_path().exists() {
        return Ok(());
    }
    bail!("building Linux is not there yet")
}
