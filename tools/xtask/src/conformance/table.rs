//! The table of allowed differences.

use crate::paths;
use anyhow::{ensure, Context, Result};
use serde::Deserialize;
use std::fs;

/// Where it is.
const FILE: &str = "ci/conformance/allowed.toml";
/// The most entries it may have.
const MAX: usize = 40;
/// How a key that a record has not is written.
pub const ABSENT: &str = "absent";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[serde(default)]
    allowed: Vec<Allowed>,
}

/// One line of one program that may differ, and only so.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allowed {
    /// The program.
    pub program: String,
    /// The line's key.
    pub key: String,
    /// Its value on the board; where versions of QEMU differ, each, with [`OR`] between.
    pub native: String,
    /// Its value in the virtual machine, likewise, in the same order.
    pub guest: String,
    /// Why.
    pub reason: String,
}

/// Stands between the values of different versions of QEMU.
const OR: &str = " or ";

impl Allowed {
    /// Whether this is about that line of that program, with these values.
    pub fn covers(&self, program: &str, key: &str, native: &str, guest: &str) -> bool {
        let mut values = self.native.split(OR).zip(self.guest.split(OR));
        self.program == program && self.key == key && values.any(|values| values == (native, guest))
    }
}

/// Reads and checks the table.
pub fn load() -> Result<Vec<Allowed>> {
    let text = fs::read_to_string(paths::root().join(FILE)).with_context(|| FILE)?;
    let table: Table = toml::from_str(&text).with_context(|| FILE)?;
    let length = table.allowed.len();
    ensure!(
        length <= MAX,
        "{FILE} has {length} entries, and {MAX} are the most"
    );
    for entry in &table.allowed {
        let words = [&entry.program, &entry.key, &entry.native, &entry.guest];
        let versions = |text: &str| text.split(OR).count();
        let plain = versions(&entry.native) == versions(&entry.guest);
        let plain = plain
            && words
                .iter()
                .all(|text| !text.is_empty() && !text.contains(['*', '?']));
        ensure!(
            plain && entry.native != entry.guest && entry.reason.len() > 10,
            "{FILE}: {} {}: an entry names its program, key and two different values in full, and \
             says why",
            entry.program,
            entry.key
        );
    }
    Ok(table.allowed)
}
