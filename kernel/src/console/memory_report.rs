//! The answers about memory by virtual machine, by kind, and by page.

use super::report::{Column, Row, Value};
use core::fmt::Result;

const fn column(title: &'static str, key: &'static str, width: usize, left: bool) -> Column {
    Column {
        title,
        key,
        width,
        left,
    }
}

/// A virtual machine's memory in `mem`, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct VmMemoryRow<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its guest-physical memory.
    pub virtual_memory: u64,
    /// Machine memory that is its alone.
    pub own: u64,
    /// Guest-physical memory that is on pages which others may use too.
    pub shared: u64,
    /// Its own memory that it does not have at present, and can always have.
    pub promised: u64,
}

impl Row for VmMemoryRow<'_> {
    const COLUMNS: &'static [Column] = {
        static TABLE: [Column; 5] = [
            column("VM", "vm", 12, true),
            column("VIRTUAL", "virtual_bytes", 10, false),
            column("OWN", "own_bytes", 11, false),
            column("SHARED", "shared_bytes", 11, false),
            column("PROMISED", "promised_bytes", 11, false),
        ];
        &TABLE
    };

    fn values(&self, write: &mut dyn FnMut(&[Value<'_>]) -> Result) -> Result {
        write(&[
            Value::Word(self.name),
            Value::Bytes(self.virtual_memory),
            Value::Bytes(self.own),
            Value::Bytes(self.shared),
            Value::Bytes(self.promised),
        ])
    }
}

/// Machine memory of one kind in `mem`, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct KindRow<'a> {
    /// What it is used for.
    pub kind: &'a str,
    /// How much.
    pub bytes: u64,
}

impl Row for KindRow<'_> {
    const COLUMNS: &'static [Column] = {
        static TABLE: [Column; 2] = [
            column("MEMORY", "kind", 28, true),
            column("BYTES", "bytes", 11, false),
        ];
        &TABLE
    };

    fn values(&self, write: &mut dyn FnMut(&[Value<'_>]) -> Result) -> Result {
        write(&[Value::Word(self.kind), Value::Bytes(self.bytes)])
    }
}

/// A user of a machine page in `mem page`, or the guest page of `vm page`.
#[derive(Clone, Copy, Debug)]
pub struct PageRow<'a> {
    /// The page's machine address, if there is a page.
    pub machine: Option<u64>,
    /// Its node.
    pub node: Option<u64>,
    /// Whose it is.
    pub owner: &'a str,
    /// How many use it.
    pub users: u64,
    /// Who, if not a virtual machine.
    pub user: Option<&'a str>,
    /// The virtual machine that uses it, and the page's guest-physical address there.
    pub guest: Option<(&'a str, u64)>,
}

impl Row for PageRow<'_> {
    const COLUMNS: &'static [Column] = {
        static TABLE: [Column; 7] = [
            column("PAGE", "page", 12, false),
            column("NODE", "node", 4, false),
            column("USERS", "users", 5, false),
            column("OWNER", "owner", 14, true),
            column("USED BY", "user", 14, true),
            column("VM", "vm", 12, true),
            column("GUEST-PHYSICAL", "guest_physical", 14, false),
        ];
        &TABLE
    };

    fn values(&self, write: &mut dyn FnMut(&[Value<'_>]) -> Result) -> Result {
        let (vm, address) = match self.guest {
            Some((vm, address)) => (Value::Word(vm), Value::Address(address)),
            None => (Value::Nothing, Value::Nothing),
        };
        write(&[
            self.machine.map_or(Value::Nothing, Value::Address),
            self.node.map_or(Value::Nothing, Value::Count),
            Value::Count(self.users),
            Value::Word(self.owner),
            self.user.map_or(Value::Nothing, Value::Word),
            vm,
            address,
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::command::Format;

    fn json<R: Row>(row: &R) -> serde_json::Value {
        let mut text = String::new();
        row.write_row(&mut text, Format::Json).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn rows_have_their_units_in_their_keys() {
        let vm = VmMemoryRow {
            name: "alpha",
            virtual_memory: 64 << 20,
            own: 3 << 14,
            shared: 1 << 14,
            promised: 0,
        };
        assert_eq!(json(&vm)["own_bytes"], 3 << 14);
        let mut text = String::new();
        vm.write_row(&mut text, Format::Text).unwrap();
        let words: Vec<&str> = text.split_whitespace().collect();
        assert_eq!(words.join(" "), "alpha 64 MiB 48 KiB 16 KiB 0 MiB");
        let kind = KindRow {
            kind: "free",
            bytes: 5,
        };
        assert_eq!(json(&kind)["kind"], "free");
    }

    #[test]
    fn a_page_without_users_has_nulls() {
        let row = PageRow {
            machine: Some(0x8123_4000),
            node: Some(1),
            owner: "free",
            users: 0,
            user: None,
            guest: None,
        };
        let value = json(&row);
        assert_eq!(value["page"], "0x81234000");
        assert!(value["vm"].is_null() && value["user"].is_null());
        let guest = PageRow {
            guest: Some(("alpha", 0x4000)),
            user: Some("guest memory"),
            ..row
        };
        assert_eq!(json(&guest)["guest_physical"], "0x4000");
    }
}
