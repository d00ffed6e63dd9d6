//! The page-table walker: III, "Hardware Page Table Walking", and page, "Page-table walker".

use super::registers::*;
use super::tlb::Entry;
use super::Model;

/// PWCtl.
const ENABLE: u64 = 1 << 31;
const SUPERVISOR: u64 = 1 << 27;
const USER: u64 = 1 << 26;
/// PWSize: 64-bit pointers.
const PS: u64 = 1 << 30;

fn field(value: u64, lowest: u32) -> u64 {
    value >> lowest & 63
}

impl Model {
    /// The entry that the tables hold for `address`, if there is a walk and it gets through.
    pub fn walk(&self, address: u64) -> Option<Entry> {
        let control = self.read(PW_CTL);
        let segment = match address >> 62 {
            0 => USER,
            1 => SUPERVISOR,
            _ => return None,
        };
        if control & ENABLE == 0 || control & segment == 0 || self.read(PW_SIZE) & PS == 0 {
            return None;
        }
        let (indices, sizes) = (self.read(PW_FIELD), self.read(PW_SIZE));
        // Base, global, upper and middle directory: each at its field's lowest bit.
        let mut table = self.read(PW_BASE);
        for level in [32, 24, 18, 12] {
            let bits = field(sizes, level);
            if bits != 0 {
                let index = address >> field(indices, level) & ((1 << bits) - 1);
                table = self.table_word(table, index)?;
            }
        }
        let (shift, rotate) = (field(indices, 6), field(indices, 0));
        if !(12..=28).contains(&shift) || shift % 2 != 0 || rotate < 2 {
            return None;
        }
        let index = address >> shift & ((1 << field(sizes, 6)) - 1);
        let pair = [index & !1, index | 1].map(|index| self.table_word(table, index));
        // PTEI: that bit of the table's entry becomes G, the two below it XI and RI.
        let lo = |word: u64| (word >> (rotate - 2)).rotate_right(2) & 0xc000_0000_3fff_ffff;
        let mask = ((2 << shift) - 1) & !0x1fff;
        let hi = address & (R | VPN2) & !mask | self.asid();
        Some(Entry::from_registers(
            hi,
            [lo(pair[0]?), lo(pair[1]?)],
            mask,
        ))
    }

    /// Word `index` of a table, which has to be in a linear window and in memory.
    fn table_word(&self, table: u64, index: u64) -> Option<u64> {
        let address = table.wrapping_add(index * 8);
        let physical = self.window(address)?;
        (address & 7 == 0 && physical < self.memory_size)
            .then(|| self.memory.get(&physical).copied().unwrap_or(0))
    }
}
