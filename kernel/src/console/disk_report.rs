//! The answer to the command `disk`.

use super::report::{number, word, Column, Row, Value};
use core::fmt::Result;

/// A virtual disk in `disk`, or a virtual machine that has it.
#[derive(Clone, Copy, Debug)]
pub struct DiskRow<'a> {
    /// The disk's name.
    pub disk: &'a str,
    /// The virtual machine; nothing for the disk as a whole.
    pub vm: Option<&'a str>,
    /// What becomes of writes.
    pub mode: &'a str,
    /// Of a disk `ready` or `damaged`; of a virtual machine's `open`, `closed` or `damaged`.
    pub state: &'a str,
    /// Length in sectors.
    pub sectors: u64,
    /// Pages of the global disk cache.
    pub cached: Option<u64>,
    /// Thousandths of the blocks read that were in memory.
    pub hits: Option<u64>,
    /// Sectors that were written by virtual machines for themselves.
    pub private: u64,
}

impl Row for DiskRow<'_> {
    const COLUMNS: &'static [Column] = {
        static TABLE: [Column; 8] = [
            word("DISK", "disk", 12),
            word("VM", "vm", 12),
            word("MODE", "mode", 14),
            word("STATE", "state", 7),
            number("SECTORS", "sectors", 10),
            number("CACHED", "cached_pages", 8),
            number("HITS", "hits_permille", 6),
            number("PRIVATE", "private_sectors", 9),
        ];
        &TABLE
    };

    fn values(&self, write: &mut dyn FnMut(&[Value<'_>]) -> Result) -> Result {
        write(&[
            Value::Word(self.disk),
            self.vm.map_or(Value::Nothing, Value::Word),
            Value::Word(self.mode),
            Value::Word(self.state),
            Value::Count(self.sectors),
            self.cached.map_or(Value::Nothing, Value::Count),
            self.hits.map_or(Value::Nothing, Value::Share),
            Value::Count(self.private),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::command::Format;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_row_is_one_object(
            numbers in prop::array::uniform4(any::<u64>()),
            vm in prop::option::of("[a-z]{1,31}"),
        ) {
            let [sectors, cached, hits, private] = numbers;
            let row = DiskRow {
                disk: "root",
                vm: vm.as_deref(),
                mode: "cow",
                state: "ready",
                sectors,
                cached: Some(cached),
                hits: Some(hits),
                private,
            };
            let mut text = String::new();
            row.write_row(&mut text, Format::Json).unwrap();
            let object: serde_json::Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(object["private_sectors"].as_u64(), Some(private));
            prop_assert_eq!(object["cached_pages"].as_u64(), Some(cached));
            prop_assert_eq!(object["vm"].as_str(), vm.as_deref());
        }
    }
}
