//! Images on disks that are built here: which there are, and where their files are then.

use super::linux;
use anyhow::Result;
use std::path::PathBuf;

/// An image that a description names instead of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BuiltImage {
    /// The root file system of Linux.
    LinuxRoot,
    /// A file system with the program that writes records until the power is cut.
    Records,
    /// A file system with files to be read by many, and the workload that does.
    Sharing,
}

impl BuiltImage {
    /// All of them.
    pub const ALL: &'static [Self] = &[Self::LinuxRoot, Self::Records, Self::Sharing];

    /// What a description calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::LinuxRoot => "linux-root",
            Self::Records => "records",
            Self::Sharing => "sharing",
        }
    }

    /// The image of this name.
    pub fn named(name: &str) -> Option<Self> {
        let mut all = Self::ALL.iter().copied();
        all.find(|image| image.name() == name)
    }

    /// Builds it.
    pub fn build(self) -> Result<()> {
        match self {
            Self::LinuxRoot => linux::build_root(),
            Self::Records | Self::Sharing => linux::build_disk(self.name()),
        }
    }

    /// Where it is when it is built.
    pub fn path(self) -> PathBuf {
        match self {
            Self::LinuxRoot => linux::root_path(),
            Self::Records | Self::Sharing => linux::disk_path(self.name()),
        }
    }
}
