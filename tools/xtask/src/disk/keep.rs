//! Keeps the real disk from one run to the next, since it holds what virtual machines have written.

use super::layout::Layout;
use super::{with_suffix, write};
use crate::build::cache::Key;
use crate::paths;
use anyhow::{bail, Context, Result};
use disco_flash::PARTITION_FILE;
use rustix::fs::{flock, FlockOperation};
use rustix::io::Errno;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// What becomes of a disk that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// It stays if it was made of the same; else it is put aside.
    IfSame,
    /// It is put aside.
    Never,
    /// It is overwritten: nobody wants what is on it.
    Discard,
}

/// The real disk's file, while nobody else may use it.
#[derive(Debug)]
pub struct DiskFile {
    path: PathBuf,
    _lock: File,
}

impl DiskFile {
    /// Provides the disk of this layout at `path`.
    pub fn provide(layout: &Layout, path: &Path, keep: Keep) -> Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let disk = Self::lock(path)?;
        let key_file = with_suffix(path, ".key");
        let key = key_of(layout)?;
        let there = fs::metadata(path).is_ok();
        let same = fs::read_to_string(&key_file).is_ok_and(|known| known == key);
        if there && same && keep == Keep::IfSame {
            write::refresh(layout, path)?;
            return Ok(disk);
        }
        // From here on until the new one is whole, no key belongs to what is there.
        let _ = fs::remove_file(&key_file);
        let making = with_suffix(path, ".making");
        write::write(layout, &making)?;
        if there && keep != Keep::Discard {
            let old = with_suffix(path, ".old");
            fs::rename(path, &old)?;
            let why = if keep == Keep::Never {
                "as was asked for"
            } else {
                "since its description or an image has changed"
            };
            eprintln!(
                "disk: {} is made anew, {why}; what was on it is kept in {}",
                paths::shown(path),
                paths::shown(&old)
            );
        }
        fs::rename(&making, path)?;
        fs::write(&key_file, key)?;
        Ok(disk)
    }

    /// Takes a disk as it is.
    pub fn lock(path: &Path) -> Result<Self> {
        let lock_path = with_suffix(path, ".lock");
        let lock = File::create(&lock_path)
            .with_context(|| format!("cannot write {}", lock_path.display()))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self {
                path: path.to_path_buf(),
                _lock: lock,
            }),
            Err(Errno::WOULDBLOCK) => bail!(
                "{} is in use: another run of this machine has not ended",
                paths::shown(path)
            ),
            Err(error) => Err(error).with_context(|| format!("cannot lock {}", path.display())),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the disk and what is beside it.
    pub fn remove(self) {
        for suffix in ["", ".key", ".lock"] {
            let _ = fs::remove_file(with_suffix(&self.path, suffix));
        }
    }
}

/// What a disk is made of: places and names of its partitions, and the images' content. Guests' files are
/// written each time.
fn key_of(layout: &Layout) -> Result<String> {
    let mut key = Key::new("disk, layout 1");
    for part in &layout.partitions {
        let place = format!(
            "{} {:?} {} {}",
            part.name, part.guid, part.offset, part.length
        );
        key = key.text(&place);
        if let Some(image) = part.image.as_ref().filter(|_| part.kind != PARTITION_FILE) {
            key = key.tree(image)?;
        }
    }
    Ok(key.hex())
}

#[cfg(test)]
mod tests {
    use super::{DiskFile, Keep, Layout};
    use crate::description::Machine;
    use gpt::GptConfig;
    use std::fs;
    use std::io::{Seek, SeekFrom, Write};
    use std::path::{Path, PathBuf};

    /// A folder that goes with the test.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let name = format!("disco-disk-{name}-{}", std::process::id());
            let folder = std::env::temp_dir().join(name);
            fs::create_dir_all(&folder).unwrap();
            Self(folder)
        }

        fn layout(&self, size: &str) -> Layout {
            let text = format!(
                "[[disk]]\nname = \"root\"\nmode = \"cow-persistent\"\nimage = \"./image\"\nsize = \"{size}\"\n\
                 log = \"2M\"\n\
                 [[vm]]\nname = \"a\"\nguest = \"linux\"\ndisks = [\"root\"]\n"
            );
            let machine = Machine::parse("m.toml", &self.0, &text).unwrap();
            Layout::of(&machine).unwrap().unwrap()
        }

        fn image(&self, bytes: &[u8]) {
            fs::write(self.0.join("image"), bytes).unwrap();
        }

        fn disk(&self) -> PathBuf {
            self.0.join("m.disk")
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn scribble(path: &Path, offset: u64) {
        let mut file = fs::File::options().write(true).open(path).unwrap();
        file.seek(SeekFrom::Start(offset)).unwrap();
        file.write_all(b"scribble").unwrap();
    }

    #[test]
    fn the_table_reads_back_and_holds_the_image() {
        let folder = Folder::new("table");
        folder.image(&[7; 300_000]);
        let layout = folder.layout("512K");
        let disk = DiskFile::provide(&layout, &folder.disk(), Keep::IfSame).unwrap();
        let table = GptConfig::new()
            .only_valid_headers(true)
            .open(disk.path())
            .unwrap();
        let parts: Vec<_> = table.partitions().values().collect();
        assert_eq!(parts.len(), 2);
        for (part, planned) in parts.iter().zip(&layout.partitions) {
            assert_eq!(part.name, planned.name);
            assert_eq!(part.first_lba * 512, planned.offset);
            assert_eq!((part.last_lba + 1) * 512, planned.offset + planned.length);
            assert_eq!(part.part_guid.to_bytes_le(), planned.guid);
            assert_eq!(part.part_type_guid.guid.to_bytes_le(), planned.kind);
        }
        let bytes = fs::read(disk.path()).unwrap();
        assert_eq!(bytes.len() as u64, layout.length);
        let root = &bytes[1 << 20..][..512 << 10];
        assert!(root[..300_000].iter().all(|&byte| byte == 7));
        assert!(root[300_000..].iter().all(|&byte| byte == 0));
        // The log has nothing of a disk before.
        assert!(bytes[2 << 20..4 << 20].iter().all(|&byte| byte == 0));
    }

    #[test]
    fn what_was_written_stays_until_the_disk_is_made_of_something_else() {
        let folder = Folder::new("keep");
        let written = |path: &Path| {
            let bytes = fs::read(path).unwrap();
            bytes.windows(8).any(|window| window == b"scribble")
        };
        folder.image(&[1; 20_000]);
        let provide = |size, keep| {
            let layout = folder.layout(size);
            DiskFile::provide(&layout, &folder.disk(), keep).map(drop)
        };
        let old = folder.0.join("m.disk.old");
        provide("512K", Keep::IfSame).unwrap();
        scribble(&folder.disk(), 2 << 20);
        provide("512K", Keep::IfSame).unwrap();
        assert!(written(&folder.disk()) && !old.exists());
        // Another size.
        provide("528K", Keep::IfSame).unwrap();
        assert!(!written(&folder.disk()) && written(&old));
        // Another content of the image, of the same length.
        fs::remove_file(&old).unwrap();
        folder.image(&[2; 20_000]);
        provide("528K", Keep::IfSame).unwrap();
        assert!(old.exists());
        // If it was asked for.
        scribble(&folder.disk(), 2 << 20);
        provide("528K", Keep::Never).unwrap();
        assert!(!written(&folder.disk()) && written(&old));
        scribble(&folder.disk(), 3 << 20);
        fs::remove_file(&old).unwrap();
        provide("528K", Keep::Discard).unwrap();
        assert!(!written(&folder.disk()) && !old.exists());
    }

    #[test]
    fn two_runs_cannot_have_one_disk() {
        let folder = Folder::new("lock");
        folder.image(&[1; 20_000]);
        let layout = folder.layout("512K");
        let first = DiskFile::provide(&layout, &folder.disk(), Keep::IfSame).unwrap();
        let second = DiskFile::provide(&layout, &folder.disk(), Keep::IfSame);
        assert!(second.unwrap_err().to_string().contains("is in use"));
        first.remove();
        assert!(!folder.disk().exists());
    }
}
