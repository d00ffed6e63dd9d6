//! Installs packages with apt, as root or through sudo.

use super::need::in_path;
use crate::process::run_step;
use anyhow::{bail, Context, Result};
use std::process::Command;

/// What a person types to install `packages`.
pub fn command_text(packages: &[&str]) -> String {
    let root = rustix::process::geteuid().is_root();
    let sudo = if root || in_path("sudo").is_none() {
        ""
    } else {
        "sudo "
    };
    format!(
        "{sudo}apt-get update && {sudo}apt-get install --yes --no-install-recommends {}",
        packages.join(" ")
    )
}

/// Installs `packages`, or says what to type where we may not.
pub fn install(packages: &[&str]) -> Result<()> {
    let root = rustix::process::geteuid().is_root();
    if !root && !may_sudo() {
        bail!(
            "installing needs root, and there is no sudo; run as root: {}",
            command_text(packages)
        );
    }
    eprintln!("installing: {}", command_text(packages));
    run_step("apt-get update", "apt-update", apt_get(root).arg("update"))?;
    let mut install = apt_get(root);
    install
        .args(["install", "--yes", "--no-install-recommends"])
        .args(packages);
    run_step("apt-get install", "apt-install", &mut install)
        .with_context(|| format!("the command was: {}", command_text(packages)))
}

/// Asks for the password, if sudo wants one, while the person still has the terminal.
fn may_sudo() -> bool {
    in_path("sudo").is_some()
        && Command::new("sudo")
            .arg("-v")
            .status()
            .is_ok_and(|status| status.success())
}

fn apt_get(root: bool) -> Command {
    let mut command = if root {
        Command::new("env")
    } else {
        let mut sudo = Command::new("sudo");
        sudo.args(["-n", "env"]);
        sudo
    };
    command.args([
        "DEBIAN_FRONTEND=noninteractive",
        "apt-get",
        "-o",
        "Dpkg::Use-Pty=0",
    ]);
    command
}
