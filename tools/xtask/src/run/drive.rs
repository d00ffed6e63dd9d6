//! The real disk as QEMU is told of it.

use super::qemu::option_path;
use std::path::PathBuf;

/// What is behind the board's virtio disk.
#[derive(Clone, Debug)]
pub enum Drive {
    /// A file.
    File(PathBuf),
}

impl Drive {
    /// QEMU's arguments.
    pub fn arguments(&self) -> Vec<String> {
        let source = match self {
            Self::File(path) => format!("file={}", option_path(path)),
        };
        let drive = format!("if=none,id=disk0,format=raw,{source}");
        let device = "virtio-blk-pci,drive=disk0,disable-legacy=on";
        ["-drive", &drive, "-device", device]
            .map(str::to_owned)
            .into()
    }
}
