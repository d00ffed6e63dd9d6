//! Linux on the bare board, without a monitor: what a virtual machine is compared with.

use super::qemu::PROGRAM;
use std::path::Path;
use std::process::Command;

/// This native kernel with this user land, one CPU and `memory` as QEMU writes it; its console is
/// on standard input and output.
pub fn command(kernel: &Path, initramfs: &Path, memory: &str, command_line: &str) -> Command {
    let mut command = Command::new(PROGRAM);
    command
        .args(["-M", "malta", "-cpu", "I6400", "-smp", "1", "-m", memory])
        .args(["-display", "none", "-nodefaults", "-no-reboot"])
        .args(["-serial", "stdio"])
        .arg("-kernel")
        .arg(kernel)
        .arg("-initrd")
        .arg(initramfs)
        .args([
            "-append",
            &format!("console=ttyS0 rdinit=/init {command_line}"),
        ]);
    command
}
