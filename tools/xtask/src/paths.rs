//! Where things are: the repository, what is built, and the user's cache.

use std::env;
use std::path::{Path, PathBuf};

/// The repository's top folder.
pub fn root() -> PathBuf {
    let here = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    here.ancestors()
        .nth(2)
        .map_or_else(|| here.clone(), Path::to_path_buf)
}

/// Where everything built goes: cargo's own target folder.
pub fn target() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => root().join(folder),
        None => root().join("target"),
    }
}

/// Logs of build steps.
pub fn logs() -> PathBuf {
    target().join("log")
}

/// Where guest builds and source packages are kept across clones of this repository.
pub fn cache() -> PathBuf {
    let folder = |name| {
        env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    folder("XDG_CACHE_HOME")
        .or_else(|| folder("HOME").map(|home| home.join(".cache")))
        .map_or_else(|| target().join("cache"), |cache| cache.join("disco"))
}

/// `path` as a person in the current folder would write it.
pub fn shown(path: &Path) -> String {
    let here = env::current_dir().unwrap_or_default();
    path.strip_prefix(&here)
        .unwrap_or(path)
        .display()
        .to_string()
}
