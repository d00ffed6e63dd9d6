//! The real disk as QEMU is told of it.

use super::qemu::option_path;
use std::path::PathBuf;

/// What is behind the board's virtio disk.
#[derive(Clone, Debug)]
pub enum Drive {
    /// A file.
    File(PathBuf),
    /// A server of network block devices, at this socket.
    Server(PathBuf),
}

impl Drive {
    /// QEMU's arguments.
    pub fn arguments(&self) -> Vec<String> {
        let source = match self {
            Self::File(path) => format!("file={}", option_path(path)),
            Self::Server(socket) => format!(
                "file.driver=nbd,file.server.type=unix,file.server.path={}",
                option_path(socket)
            ),
        };
        // Errors go to the monitor; QEMU would stop the machine for some. The slot (hexadecimal) is one of
        // those that are free on the board: the same whatever other devices there are.
        let drive = format!(
            "if=none,id=disk,format=raw,cache=writeback,werror=report,rerror=report,{source}"
        );
        let device = "virtio-blk-pci,drive=disk,disable-legacy=on,addr=12";
        ["-drive", &drive, "-device", device]
            .map(str::to_owned)
            .into()
    }
}
