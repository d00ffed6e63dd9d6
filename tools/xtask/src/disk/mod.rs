//! The real disk: a file with a GPT, whose partitions hold the virtual disks and the logs of the
//! virtual machines.

mod keep;
mod layout;
mod progress;
mod write;

pub use keep::{DiskFile, Keep};
pub use layout::{file_guid, log_guid, partition_guid, Layout, Partition};

use std::path::{Path, PathBuf};

/// Where the real disk of the flash image at `image` lies, unless it has been given another place.
pub fn path_beside(image: &Path) -> PathBuf {
    with_suffix(image, ".disk")
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
