//! The real disk as QEMU is told of it.

use super::qemu::option_path;
use serde::Deserialize;
use std::fs;
use std::path::{Path, PathBuf};

/// What is behind the board's virtio disk.
#[derive(Clone, Debug)]
pub enum Drive {
    /// A file.
    File(PathBuf),
    /// A file of which some requests fail, as QEMU's `blkdebug` reads in the second file.
    Faulty(PathBuf, PathBuf),
    /// A server of network block devices, at this socket.
    Server(PathBuf),
}

/// Requests of the real disk that fail.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiskFault {
    /// Which.
    pub fails: Request,
    /// The sector of the real disk that they touch; of a flush none.
    pub sector: Option<u64>,
    /// The host's error number.
    pub errno: u32,
}

/// What is asked of a disk.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Request {
    /// Sectors into memory.
    Read,
    /// Memory into sectors.
    Write,
    /// What was written becomes durable.
    Flush,
}

impl DiskFault {
    /// Writes `faults` to `path`, for QEMU's `blkdebug`.
    pub fn write(faults: &[Self], path: &Path) -> std::io::Result<()> {
        let mut text = String::new();
        for fault in faults {
            let (event, kind) = match fault.fails {
                Request::Read => ("read_aio", "read"),
                Request::Write => ("write_aio", "write"),
                Request::Flush => ("flush_to_disk", "flush"),
            };
            text += &format!("[inject-error]\nevent = \"{event}\"\niotype = \"{kind}\"\n");
            text += &format!("errno = \"{}\"\n", fault.errno);
            if let Some(sector) = fault.sector {
                text += &format!("sector = \"{sector}\"\n");
            }
        }
        fs::write(path, text)
    }
}

impl Drive {
    /// QEMU's arguments.
    pub fn arguments(&self) -> Vec<String> {
        let source = match self {
            Self::File(path) => format!("file={}", option_path(path)),
            Self::Faulty(path, faults) => format!(
                "file.driver=blkdebug,file.config={},file.image.driver=file,file.image.filename={}",
                option_path(faults),
                option_path(path)
            ),
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
