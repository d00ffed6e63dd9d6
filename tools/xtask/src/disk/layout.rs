//! Which partitions a machine's real disk has, and where.

use crate::build::cache::Key;
use crate::build::guests::{self, GuestFile};
use crate::description::{Disk, Image, Machine, DISK_STEP};
use anyhow::{ensure, Context, Result};
use disco_abi::DiskMode;
use disco_flash::{Guid, PARTITION_FILE, PARTITION_IMAGE, PARTITION_LOG};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::PathBuf;
use uuid::Uuid;

/// Partitions begin at multiples of this many bytes, as other tools have it; the first one leaves so
/// much to the table, and the last one as much to its copy.
pub const ALIGN: u64 = 1 << 20;
/// The partition of a guest's file has a multiple of this many bytes, so that the next build of the guest
/// mostly fits as well.
const FILE_STEP: u64 = 4 << 20;
/// Letters of a partition's name in a GPT.
const NAME_LETTERS: usize = 36;

/// One partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// A name for people who look at the disk with other tools.
    pub name: String,
    /// What it is: [`PARTITION_IMAGE`], [`PARTITION_LOG`] or [`PARTITION_FILE`].
    pub kind: Guid,
    /// Its own name, by which the monitor finds it.
    pub guid: Guid,
    /// Its first byte on the real disk.
    pub offset: u64,
    /// Its bytes.
    pub length: u64,
    /// The file that is on it at first; zeros without one, and behind it.
    pub image: Option<PathBuf>,
}

/// The whole disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Its partitions, in order.
    pub partitions: Vec<Partition>,
    /// Its bytes.
    pub length: u64,
}

/// The partition of a disk, by the disk's name.
pub fn partition_guid(disk: &str) -> Guid {
    derived("disk", &[disk])
}

/// The partition of the log that a virtual machine has for a disk.
pub fn log_guid(disk: &str, vm: &str) -> Guid {
    derived("log", &[disk, vm])
}

/// The partition of a guest's file, by the file's name.
pub fn file_guid(name: &str) -> Guid {
    derived("file", &[name])
}

/// The disk as a whole.
pub fn disk_guid(layout: &Layout) -> Guid {
    let names: Vec<_> = layout.partitions.iter().map(|part| &*part.name).collect();
    derived("real", &names)
}

/// A GUID that only these names have, the same each time (RFC 9562, version 8), in a GPT's order.
fn derived(kind: &str, names: &[&str]) -> Guid {
    let mut hash = Sha256::new_with_prefix("disco");
    for part in [kind].iter().chain(names) {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.finalize()[..16]);
    uuid::Builder::from_custom_bytes(bytes)
        .into_uuid()
        .to_bytes_le()
}

/// A GUID out of a GPT's byte order.
pub fn uuid(guid: &Guid) -> Uuid {
    Uuid::from_bytes_le(*guid)
}

impl Layout {
    /// The layout of this machine's disk, or `None` if it has none. Its images are built.
    pub fn of(machine: &Machine) -> Result<Option<Self>> {
        let files = machine.stored()?;
        if machine.disks.is_empty() && files.is_empty() {
            return Ok(None);
        }
        let mut layout = Self {
            partitions: Vec::new(),
            length: ALIGN,
        };
        for (index, disk) in machine.disks.iter().enumerate() {
            let image = disk.image.as_ref().map(image_path);
            layout.add(
                disk.name.clone(),
                PARTITION_IMAGE,
                partition_guid(&disk.name),
                disk_bytes(disk)?,
                image,
            );
            if disk.mode == DiskMode::CowPersistent {
                let users = machine.vms.iter().filter(|vm| vm.disks.contains(&index));
                for vm in users {
                    let name = format!("{}: {}", disk.name, vm.name);
                    let guid = log_guid(&disk.name, &vm.name);
                    layout.add(name, PARTITION_LOG, guid, disk.log, None);
                }
            }
        }
        for file in files {
            let length = (file.content.len() as u64).next_multiple_of(FILE_STEP);
            layout.add(
                format!("file: {}", file.name),
                PARTITION_FILE,
                file_guid(&file.name),
                length,
                Some(provide(&file)?),
            );
        }
        layout.length += ALIGN;
        Ok(Some(layout))
    }

    fn add(&mut self, name: String, kind: Guid, guid: Guid, length: u64, image: Option<PathBuf>) {
        self.partitions.push(Partition {
            name: name.chars().take(NAME_LETTERS).collect(),
            kind,
            guid,
            offset: self.length,
            length,
            image,
        });
        self.length += length.next_multiple_of(ALIGN);
    }
}

/// A guest's file as the disk is to have it, in a file of the host.
fn provide(file: &GuestFile) -> Result<PathBuf> {
    let folder = guests::ready_folder().join("on-disk");
    fs::create_dir_all(&folder)?;
    let path = folder.join(Key::new("file").text(&file.name).hex());
    if fs::read(&path).ok().as_ref() != Some(&file.content) {
        let making = folder.join(format!("{}.{}", file.content.len(), std::process::id()));
        fs::write(&making, &file.content)?;
        fs::rename(&making, &path)?;
    }
    Ok(path)
}

fn image_path(image: &Image) -> PathBuf {
    match image {
        Image::Built(image) => image.path(),
        Image::File(path) => path.clone(),
    }
}

/// Bytes of a disk: what was said, or what its image needs.
fn disk_bytes(disk: &Disk) -> Result<u64> {
    let Some(image) = disk.image.as_ref().map(image_path) else {
        return disk.size.context("a disk without image and size");
    };
    let needed = fs::metadata(&image)
        .with_context(|| format!("cannot read {}", image.display()))?
        .len();
    let size = disk
        .size
        .unwrap_or_else(|| needed.next_multiple_of(DISK_STEP));
    ensure!(
        needed <= size,
        "disk `{}` has size = \"{}\", and its image {} has {needed} bytes: give it more",
        disk.name,
        crate::description::size::show(size),
        image.display()
    );
    Ok(size)
}

#[cfg(test)]
mod tests {
    use super::{disk_guid, log_guid, partition_guid, uuid, Layout, ALIGN};
    use crate::description::Machine;
    use disco_flash::{PARTITION_IMAGE, PARTITION_LOG};
    use std::path::Path;

    /// A disk of each kind, and two virtual machines.
    pub const DISKS: &str = "
        [[disk]]\nname = \"data\"\nmode = \"exclusive\"\nsize = \"48K\"
        [[disk]]\nname = \"home\"\nmode = \"cow-persistent\"\nsize = \"2M\"\nlog = \"3M\"
        [[vm]]\nname = \"a\"\nguest = \"linux\"\ndisks = [\"data\", \"home\"]
        [[vm]]\nname = \"b\"\nguest = \"linux\"\ndisks = [\"home\"]
    ";

    fn layout(text: &str) -> Option<Layout> {
        let machine = Machine::parse("m.toml", Path::new("/nowhere"), text).unwrap();
        Layout::of(&machine).unwrap()
    }

    #[test]
    fn a_partition_for_each_disk_and_log() {
        let layout = layout(DISKS).unwrap();
        let parts: Vec<_> = layout
            .partitions
            .iter()
            .map(|part| (&*part.name, part.kind, part.offset / ALIGN, part.length))
            .collect();
        assert_eq!(
            parts,
            [
                ("data", PARTITION_IMAGE, 1, 48 << 10),
                ("home", PARTITION_IMAGE, 2, 2 << 20),
                ("home: a", PARTITION_LOG, 4, 3 << 20),
                ("home: b", PARTITION_LOG, 7, 3 << 20),
            ]
        );
        assert_eq!(layout.length, 11 * ALIGN);
    }

    #[test]
    fn a_machine_without_disks_has_no_real_disk() {
        assert_eq!(layout(""), None);
    }

    #[test]
    fn names_of_partitions_are_their_own_and_stay() {
        let layout = layout(DISKS).unwrap();
        let mut guids: Vec<_> = layout.partitions.iter().map(|part| part.guid).collect();
        guids.push(disk_guid(&layout));
        guids.push(log_guid("hom", "ea"));
        guids.push(partition_guid("home: a"));
        let count = guids.len();
        guids.sort();
        guids.dedup();
        assert_eq!(guids.len(), count);
        // As it was when disks were first written: a disk of then has to be found.
        let text = uuid(&partition_guid("root")).to_string();
        assert_eq!(text, "9c1d6642-f634-8a2c-a4f9-366600bc81f0");
    }
}
