//! Builds that take minutes, kept across clones under a key made of what went into them.

use crate::paths;
use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// Collects what goes into a build.
#[derive(Clone)]
pub struct Key(Sha256);

impl Key {
    /// The key of a build of this kind.
    pub fn new(kind: &str) -> Self {
        Self(Sha256::new()).text(kind)
    }

    /// Adds a text.
    pub fn text(mut self, text: &str) -> Self {
        self.0.update((text.len() as u64).to_be_bytes());
        self.0.update(text);
        self
    }

    /// Adds a file, or all files of a folder with their names; what does not exist counts as that.
    pub fn tree(self, path: &Path) -> Result<Self> {
        if path.is_dir() {
            let mut entries: Vec<PathBuf> = fs::read_dir(path)?
                .map(|entry| Ok(entry?.path()))
                .collect::<Result<_>>()?;
            entries.sort();
            return entries.iter().try_fold(self, |key, entry| {
                key.text(&entry.file_name().unwrap_or_default().to_string_lossy())
                    .tree(entry)
            });
        }
        if !path.exists() {
            return Ok(self.text("missing"));
        }
        let mut key = self.text("file");
        let mut read = || -> std::io::Result<()> {
            let mut file = File::open(path)?;
            key.0.update(file.metadata()?.len().to_be_bytes());
            std::io::copy(&mut file, &mut key.0).map(drop)
        };
        read().with_context(|| format!("cannot read {}", path.display()))?;
        Ok(key)
    }

    /// The key as text.
    pub fn hex(self) -> String {
        self.0
            .finalize()
            .iter()
            .take(10)
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

/// The folder that holds the build `kind` of this key. If it is not there, `build` makes it in
/// the folder it is given; a build that fails leaves nothing. Of two that want the same build at
/// once, one waits for the other.
pub fn folder(kind: &str, key: Key, build: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let cache = paths::cache();
    fs::create_dir_all(&cache).with_context(|| format!("cannot make {}", cache.display()))?;
    let name = format!("{kind}-{}", key.hex());
    let ready = cache.join(&name);
    if ready.is_dir() {
        return Ok(ready);
    }
    let lock = File::create(cache.join(format!("{name}.lock")))?;
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive)?;
    if !ready.is_dir() {
        let building = cache.join(format!("{name}.building"));
        let _ = fs::remove_dir_all(&building);
        fs::create_dir_all(&building)?;
        if let Err(error) = build(&building) {
            let _ = fs::remove_dir_all(&building);
            return Err(error);
        }
        fs::rename(&building, &ready)?;
    }
    let _ = fs::remove_file(cache.join(format!("{name}.lock")));
    Ok(ready)
}

#[cfg(test)]
mod tests {
    use super::Key;

    #[test]
    fn keys_tell_inputs_apart() {
        let key = |parts: &[&str]| {
            parts
                .iter()
                .fold(Key::new("k"), |key, part| key.text(part))
                .hex()
        };
        assert_eq!(key(&["a", "b"]), key(&["a", "b"]));
        assert_ne!(key(&["a", "b"]), key(&["ab"]));
        assert_ne!(key(&["a", "b"]), key(&["b", "a"]));
    }
}
