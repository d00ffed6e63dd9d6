//! Writes the real disk's file.

use super::layout::{disk_guid, uuid, Layout, Partition};
use super::progress::Copying;
use anyhow::{ensure, Context, Result};
use disco_flash::PARTITION_FILE;
use gpt::disk::LogicalBlockSize;
use gpt::mbr::ProtectiveMBR;
use gpt::partition_types::{OperatingSystem, Type};
use gpt::GptConfig;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

/// Bytes of a sector.
const SECTOR: u64 = disco_abi::SECTOR;
/// Bytes that are copied at once; of these, what is all zeros is left out of the file.
const PIECE: usize = 256 << 10;

/// Makes the file at `path`: what was there before is gone. It takes no more room on the host than
/// the images' content.
pub fn write(layout: &Layout, path: &Path) -> Result<()> {
    let mut file = File::options()
        .create(true)
        .truncate(true)
        .read(true)
        .write(true)
        .open(path)
        .with_context(|| format!("cannot write {}", path.display()))?;
    fill(layout, &mut file).with_context(|| format!("cannot write {}", path.display()))
}

/// Writes the guests' files to a disk that is there, as they are now. What virtual machines have written stays.
pub fn refresh(layout: &Layout, path: &Path) -> Result<()> {
    let parts = layout.partitions.iter();
    for part in parts.filter(|part| part.kind == PARTITION_FILE) {
        let Some(image) = &part.image else { continue };
        let write = || -> Result<()> {
            let content = fs::read(image)?;
            ensure!(
                content.len() as u64 <= part.length,
                "has become larger meanwhile: try again"
            );
            let mut disk = File::options().write(true).open(path)?;
            disk.seek(SeekFrom::Start(part.offset))?;
            Ok(disk.write_all(&content)?)
        };
        write()
            .with_context(|| format!("cannot write {} to {}", image.display(), path.display()))?;
    }
    Ok(())
}

fn fill(layout: &Layout, file: &mut File) -> Result<()> {
    file.set_len(layout.length)?;
    write_table(layout, file)?;
    let all = layout
        .partitions
        .iter()
        .filter(|part| part.image.is_some())
        .map(|part| part.length);
    let mut copying = Copying::new("disk: copy images", all.sum());
    for part in &layout.partitions {
        if let Some(image) = &part.image {
            copy(image, part, file, &mut copying)
                .with_context(|| format!("image {}", image.display()))?;
        }
    }
    Ok(())
}

/// The table, its copy at the end, and a master boot record that says so to old tools.
fn write_table(layout: &Layout, file: &mut File) -> Result<()> {
    let last = u32::try_from(layout.length / SECTOR - 1).unwrap_or(u32::MAX);
    ProtectiveMBR::with_lb_size(last).overwrite_lba0(file)?;
    let mut table = GptConfig::new()
        .writable(true)
        .logical_block_size(LogicalBlockSize::Lb512)
        .create_from_device(file, Some(uuid(&disk_guid(layout))))?;
    let mut entries = BTreeMap::new();
    for (number, part) in (1..).zip(&layout.partitions) {
        entries.insert(number, entry(part));
    }
    table.update_partitions(entries)?;
    table.write()?;
    Ok(())
}

fn entry(part: &Partition) -> gpt::partition::Partition {
    gpt::partition::Partition {
        part_type_guid: Type {
            guid: uuid(&part.kind),
            os: OperatingSystem::Custom("Disco".to_owned()),
        },
        part_guid: uuid(&part.guid),
        first_lba: part.offset / SECTOR,
        last_lba: (part.offset + part.length) / SECTOR - 1,
        flags: 0,
        name: part.name.clone(),
    }
}

fn copy(image: &Path, part: &Partition, to: &mut File, copying: &mut Copying) -> Result<()> {
    let mut from = File::open(image)?;
    let mut piece = vec![0; PIECE];
    let mut done = 0;
    loop {
        let length = read_up_to(&mut from, &mut piece)?;
        if length == 0 {
            return Ok(());
        }
        ensure!(
            done + length as u64 <= part.length,
            "has become larger meanwhile: try again"
        );
        if piece[..length].iter().any(|&byte| byte != 0) {
            to.seek(SeekFrom::Start(part.offset + done))?;
            to.write_all(&piece[..length])?;
        }
        done += length as u64;
        copying.advance(length as u64);
    }
}

/// Reads until the piece is full or the file ends.
fn read_up_to(from: &mut File, piece: &mut [u8]) -> Result<usize> {
    let mut length = 0;
    while length < piece.len() {
        match from.read(&mut piece[length..])? {
            0 => break,
            more => length += more,
        }
    }
    Ok(length)
}
