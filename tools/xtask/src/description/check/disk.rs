//! Checks the virtual disks of the description, and which virtual machine has which.

use super::{Checked, Checker};
use crate::build::images::BuiltImage;
use crate::description::read::{RawDisk, RawVm};
use crate::description::size::show;
use crate::description::{Disk, Image, Vm, DISK_STEP};
use disco_abi::DiskMode;
use disco_flash::{DISKS_MAX, MOUNTS_MAX};
use std::path::PathBuf;
use toml::Spanned;

/// Most bytes of a disk, and of a log.
const LARGEST: u64 = 64 << 30;
/// Most partitions of the real disk: what its table of the usual size holds.
const PARTITIONS_MAX: usize = 128;
/// Least bytes of a log: it has two halves, and each has to hold its own heads and some blocks.
const LOG_MIN: u64 = 1 << 20;
/// A disk's quota of machine memory, and the size of a log, where the description says nothing.
const PRIVATE: u64 = 32 << 20;
const LOG: u64 = 64 << 20;

/// What a description calls the modes.
const MODES: &[(&str, DiskMode)] = &[
    ("cow", DiskMode::Cow),
    ("cow-persistent", DiskMode::CowPersistent),
    ("exclusive", DiskMode::Exclusive),
    ("shared", DiskMode::Shared),
    ("read-only", DiskMode::ReadOnly),
];

impl Checker<'_> {
    /// Checks all `[[disk]]`s.
    pub(super) fn disks(&self, raw: &[Spanned<RawDisk>]) -> Checked<Vec<Disk>> {
        if let Some(extra) = raw.get(DISKS_MAX) {
            return self.wrong(extra, format!("too many disks: there can be {DISKS_MAX}"));
        }
        let mut disks: Vec<Disk> = Vec::new();
        for table in raw {
            let disk = self.disk(table)?;
            if disks.iter().any(|other| other.name == disk.name) {
                let message = format!(
                    "there is a disk `{}` already: each needs its own name",
                    disk.name
                );
                return self.wrong(&table.get_ref().name, message);
            }
            disks.push(disk);
        }
        Ok(disks)
    }

    fn disk(&self, table: &Spanned<RawDisk>) -> Checked<Disk> {
        let raw = table.get_ref();
        let name = self.name(&raw.name)?;
        let mode = self.mode(&raw.mode)?;
        let image = raw
            .image
            .as_ref()
            .map(|value| self.image(value))
            .transpose()?;
        let size = self.disk_size(raw.size.as_ref(), image.as_ref())?;
        if image.is_none() && size.is_none() {
            let message = format!("disk `{name}` needs an image, or a size to be empty");
            return self.wrong(table, message);
        }
        let private_kept = matches!(mode, DiskMode::Cow | DiskMode::CowPersistent);
        Ok(Disk {
            private: self.quota(
                "private",
                raw.private.as_ref(),
                private_kept.then_some((DISK_STEP, PRIVATE)),
                "it is what a virtual machine's own writes to a `cow` or `cow-persistent` disk may take",
            )?,
            log: self.quota(
                "log",
                raw.log.as_ref(),
                (mode == DiskMode::CowPersistent).then_some((LOG_MIN, LOG)),
                "only writes to a `cow-persistent` disk are logged",
            )?,
            name,
            mode,
            image,
            size,
        })
    }

    fn mode(&self, value: &Spanned<String>) -> Checked<DiskMode> {
        let text = value.get_ref();
        match MODES.iter().find(|(name, _)| name == text) {
            Some((_, mode)) => Ok(*mode),
            None => {
                let names: Vec<_> = MODES.iter().map(|(name, _)| *name).collect();
                let message = format!(
                    "there is no mode `{text}`: a disk is one of {}",
                    names.join(", ")
                );
                self.wrong(value, message)
            }
        }
    }

    fn image(&self, value: &Spanned<String>) -> Checked<Image> {
        let text = value.get_ref();
        if let Some(image) = BuiltImage::named(text) {
            return Ok(Image::Built(image));
        }
        let built: Vec<_> = BuiltImage::ALL.iter().map(|image| image.name()).collect();
        if !text.contains(['/', '.']) {
            let message = format!(
                "there is no image `{text}`: an image is one that is built here ({}), or a path to a file, \
                 with a / or a . in it",
                built.join(", ")
            );
            return self.wrong(value, message);
        }
        let path: PathBuf = self.folder.join(text).components().collect();
        match std::fs::metadata(&path) {
            Ok(file) if !file.is_file() => {
                self.wrong(value, format!("{}: no file", path.display()))
            }
            Ok(file) if file.len() == 0 => self.wrong(
                value,
                format!(
                    "{}: is empty; an empty disk has a size and no image",
                    path.display()
                ),
            ),
            Ok(_) => Ok(Image::File(path)),
            Err(error) => self.wrong(value, format!("{}: {error}", path.display())),
        }
    }

    fn disk_size(
        &self,
        value: Option<&Spanned<String>>,
        image: Option<&Image>,
    ) -> Checked<Option<u64>> {
        let Some(value) = value else {
            return Ok(None);
        };
        let size = self.stepped("size", value, DISK_STEP)?;
        if let Some(Image::File(path)) = image {
            let needed = std::fs::metadata(path).map_or(0, |file| file.len());
            if needed > size {
                let message = format!(
                    "size = \"{}\": the image has {needed} bytes, more than that; without a size the disk is \
                     as large as its image",
                    value.get_ref()
                );
                return self.wrong(value, message);
            }
        }
        Ok(Some(size))
    }

    /// A key that only some modes have: its least value and what it is if it is left out.
    fn quota(
        &self,
        key: &str,
        value: Option<&Spanned<String>>,
        used: Option<(u64, u64)>,
        purpose: &str,
    ) -> Checked<u64> {
        match (value, used) {
            (None, None) => Ok(0),
            (None, Some((_, default))) => Ok(default),
            (Some(value), None) => self.wrong(
                value,
                format!("this disk's mode has no `{key}`: {purpose}; leave it out"),
            ),
            (Some(value), Some((least, _))) => self.stepped(key, value, least),
        }
    }

    fn stepped(&self, key: &str, value: &Spanned<String>, least: u64) -> Checked<u64> {
        let size = self.size(value)?;
        if !size.is_multiple_of(DISK_STEP) || !(least..=LARGEST).contains(&size) {
            let message = format!(
                "{key} = \"{}\": must be a multiple of {}, {} to {}",
                value.get_ref(),
                show(DISK_STEP),
                show(least),
                show(LARGEST)
            );
            return self.wrong(value, message);
        }
        Ok(size)
    }

    /// The disks of one virtual machine.
    pub(super) fn disks_of(&self, raw: &RawVm, disks: &[Disk]) -> Checked<Vec<usize>> {
        let mut mounted = Vec::new();
        for value in &raw.disks {
            let name = value.get_ref();
            let Some(index) = disks.iter().position(|disk| disk.name == *name) else {
                let names: Vec<_> = disks.iter().map(|disk| disk.name.as_str()).collect();
                let message = if names.is_empty() {
                    format!("there is no disk `{name}`: there is no [[disk]] at all")
                } else {
                    format!("there is no disk `{name}`, only: {}", names.join(", "))
                };
                return self.wrong(value, message);
            };
            if mounted.contains(&index) {
                let message =
                    format!("disk `{name}` stands here twice: a virtual machine has it once");
                return self.wrong(value, message);
            }
            mounted.push(index);
        }
        Ok(mounted)
    }

    /// Counts what the flash and the real disk's table have room for.
    pub(super) fn mounts_together(
        &self,
        vms: &[Vm],
        disks: &[Disk],
        raw: &[Spanned<RawVm>],
    ) -> Checked<()> {
        let mut mounts = 0;
        let mut partitions = disks.len();
        for (vm, raw) in vms.iter().zip(raw) {
            mounts += vm.disks.len();
            let logged = |&&index: &&usize| disks[index].mode == DiskMode::CowPersistent;
            partitions += vm.disks.iter().filter(logged).count();
            if mounts > MOUNTS_MAX {
                let message = format!(
                    "the virtual machines up to `{}` have {mounts} disks together, a disk of two counted twice: \
                     there can be {MOUNTS_MAX}",
                    vm.name
                );
                return self.wrong(raw, message);
            }
            if partitions > PARTITIONS_MAX {
                let message = format!(
                    "the disks, and the logs of the virtual machines up to `{}`, take {partitions} partitions: \
                     the real disk can have {PARTITIONS_MAX}",
                    vm.name
                );
                return self.wrong(raw, message);
            }
        }
        Ok(())
    }
}
