//! A program: units of a few items, and the words they become in a slot.
//!
//! A unit is entered at its start and nowhere else; behind an exception the program goes on with
//! the next unit. So a unit may rely on what its own instructions did before, and units can be taken
//! out of a program one by one.

use crate::isa::{self, rs, rt, DAHI, DATI, LUI, ORI};
use disco_abi::HYPCALL;
use disco_executor_layout as layout;

/// Names of address spaces that the code is seen in, by [`layout::CODE_BASES`].
pub const CODE_BASES: [u64; layout::CODE_BASE_COUNT] =
    [0x1_2000_0000, 0xffff_ffff_d000_0000, 0x4000_8000_0000_0000];

/// A value that a program loads into a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// Just so.
    Const(u64),
    /// EntryLo of a page of the slot, for pages of `bytes`.
    Lo {
        /// Offset in the slot.
        offset: u64,
        /// Bytes of a page.
        bytes: u64,
        /// Everything but the page number.
        flags: u64,
    },
    /// One of the EntryLo of a large page. The page that holds the slot may be either half.
    LargeLo {
        /// EntryLo1, not EntryLo0.
        odd: bool,
        /// Bytes of a page.
        bytes: u64,
        /// Everything but the page number, of the half with the slot.
        flags: u64,
        /// The other half.
        other: u64,
    },
    /// The address of a place in the slot, seen through large pages: as far behind `base` as the place
    /// is behind physical address 0, whatever the size of the pages.
    At {
        /// Virtual address of the window.
        base: u64,
        /// Offset in the slot.
        offset: u64,
    },
    /// EntryHi of a large page.
    Hi {
        /// Virtual address of the window, and the ASID.
        base: u64,
        /// Bytes of a page.
        bytes: u64,
    },
    /// The address of a unit, counted from the next one, with the code seen at `base`.
    Unit {
        /// Virtual address of the code.
        base: u64,
        /// How many units ahead of the next.
        ahead: u8,
    },
    /// The address of an item of this unit, with the code seen at `base`.
    Item {
        /// Virtual address of the code.
        base: u64,
        /// The item's number.
        item: u8,
    },
}

/// What a unit is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item {
    /// An instruction.
    Word(u32),
    /// A monitor call; natively this instruction has its place.
    Call(u32),
    /// Instructions that load a value.
    Load(u8, Value),
    /// A branch to a unit ahead: the word, its offset's bits, and how many units ahead of the next.
    Branch(u32, u8, u8),
    /// Puts the number of this word into `$27`: where the program goes on if it loses its way.
    Mark,
}

/// A few items that belong together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unit {
    /// What it is about, for reports.
    pub name: &'static str,
    /// Its items.
    pub items: Vec<Item>,
    /// Items that are a waiting loop, from the first to the one behind: an interrupt ends it.
    pub waits: Option<(usize, usize)>,
}

/// A program with its state at the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Units.
    pub units: Vec<Unit>,
    /// General registers.
    pub gpr: [u64; 32],
    /// Floating-point registers and FCSR.
    pub fpr: [u64; 33],
    /// CP0 registers, in the order of [`layout::START_REGISTERS`].
    pub cp0: [u64; layout::START_REGISTERS.len()],
    /// Status.
    pub status: u64,
    /// TLB entries: EntryHi, EntryLo0, EntryLo1, PageMask.
    pub tlb: Vec<[Value; 4]>,
    /// Where in [`CODE_BASES`] it begins.
    pub start: usize,
    /// Bytes in the pages of data: a seed.
    pub data: u64,
}

/// The last unit of every program, which ends it.
const END: [u32; 3] = [isa::NOP, 0x0000_7fcd, isa::NOP];

/// Physical address of a slot.
pub const fn slot_address(slot: u64) -> u64 {
    layout::SLOTS_AT + slot * layout::SLOT
}

impl Value {
    /// The value in `slot`, for all but the addresses of code.
    fn in_slot(self, slot: u64) -> u64 {
        let start = slot_address(slot);
        match self {
            Self::Const(value) => value,
            Self::Lo {
                offset,
                bytes,
                flags,
            } => ((start + offset) & !(bytes - 1)) >> 12 << 6 | flags,
            Self::LargeLo {
                odd,
                bytes,
                flags,
                other,
            } => {
                if (start & bytes != 0) == odd {
                    (start & !(bytes - 1)) >> 12 << 6 | flags
                } else {
                    other
                }
            }
            Self::At { base, offset } => base + start + offset,
            Self::Hi { base, bytes } => base + (start & !(2 * bytes - 1)),
            Self::Unit { base, .. } | Self::Item { base, .. } => base,
        }
    }
}

/// Instructions that load a constant: four, or as few as will do.
fn load(register: u8, value: u64, short: bool) -> Vec<u32> {
    let low = value as i32 as i64 as u64;
    let high = value.wrapping_sub(low) >> 32 & 0xffff;
    let low_and_high = low.wrapping_add((high as i16 as i64 as u64) << 32);
    let top = value.wrapping_sub(low_and_high) >> 48;
    let mut words = Vec::with_capacity(4);
    if short && low & 0xffff == low {
        words.push(ORI.rri(register, 0, low as i32));
    } else {
        words.push(LUI.with(rt(register) | (value >> 16 & 0xffff) as u32));
        words.push(ORI.rri(register, register, (value & 0xffff) as i32));
    }
    if !short || high != 0 {
        words.push(DAHI.with(rs(register) | high as u32));
    }
    if !short || top != 0 {
        words.push(DATI.with(rs(register) | top as u32));
    }
    words
}

impl Item {
    fn length(&self) -> usize {
        match self {
            Self::Load(register, Value::Const(value)) => load(*register, *value, true).len(),
            Self::Load(..) => 4,
            Self::Word(_) | Self::Call(_) | Self::Branch(..) | Self::Mark => 1,
        }
    }
}

/// A program's words and its resume table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code {
    /// The words.
    pub words: Vec<u32>,
    /// For each word how to go on: [`layout::RESUME_WORD`].
    pub resume: Vec<u16>,
    /// For each unit, and the end, the number of its first word.
    pub starts: Vec<usize>,
}

impl Unit {
    /// How many words it has.
    pub fn length(&self) -> usize {
        self.items.iter().map(Item::length).sum()
    }

    /// Numbers of the items' first words from that of the unit on, and that of the end.
    fn places(&self, start: usize) -> Vec<usize> {
        let mut place = start;
        let mut places = vec![place];
        for item in &self.items {
            place += item.length();
            places.push(place);
        }
        places
    }
}

impl Program {
    /// The words in `slot`, natively or as a guest.
    pub fn code(&self, slot: u64, as_guest: bool) -> Code {
        let mut starts = vec![0];
        for unit in &self.units {
            starts.push(starts[starts.len() - 1] + unit.length());
        }
        let end = starts[self.units.len()];
        let mut words = Vec::with_capacity(end + END.len());
        let mut resume = Vec::with_capacity(end + END.len());
        for (number, unit) in self.units.iter().enumerate() {
            let places = unit.places(starts[number]);
            let unit_ahead =
                |ahead: u8| starts[(number + 1 + usize::from(ahead)).min(self.units.len())];
            for item in &unit.items {
                match *item {
                    Item::Word(word) => words.push(word),
                    Item::Call(_) if as_guest => words.push(HYPCALL),
                    Item::Call(instead) => words.push(instead),
                    Item::Mark => words.push(ORI.rri(27, 0, words.len() as i32)),
                    Item::Branch(word, bits, ahead) => {
                        let offset = unit_ahead(ahead) as i64 - words.len() as i64 - 1;
                        words.push(word | offset as u32 & ((1 << bits) - 1));
                    }
                    Item::Load(register, value) => {
                        let place = match value {
                            Value::Unit { ahead, .. } => unit_ahead(ahead),
                            Value::Item { item, .. } => places[usize::from(item)],
                            _ => 0,
                        };
                        let number = value.in_slot(slot) + 4 * place as u64;
                        let short = matches!(value, Value::Const(_));
                        words.extend(load(register, number, short));
                    }
                }
            }
            let next = starts[number + 1] as u16;
            let first = resume.len();
            resume.resize(words.len(), next);
            if let Some((from, to)) = unit.waits {
                let exit = places[to] as u16 | layout::RESUME_INTERRUPT;
                resume[first..][places[from] - first..places[to] - first].fill(exit);
            }
        }
        words.extend(END);
        resume.resize(words.len(), layout::RESUME_END);
        Code {
            words,
            resume,
            starts,
        }
    }

    /// The pages of data at the start.
    pub fn data(&self) -> Vec<u8> {
        let mut random = crate::random::Random::new(self.data, 0);
        // A page of random bytes, again and again, each time turned a little.
        let block: Vec<u8> = (0..128).flat_map(|_| random.bits().to_be_bytes()).collect();
        let mut bytes = Vec::with_capacity(layout::DATA as usize);
        while bytes.len() < layout::DATA as usize {
            let turn = bytes.len() / block.len() * 8 % block.len();
            bytes.extend_from_slice(&block[turn..]);
            bytes.extend_from_slice(&block[..turn]);
        }
        bytes
    }

    /// What the host writes into a slot from the control page's [`layout::GPR`] on, up to its end.
    pub fn control(&self, slot: u64, as_guest: bool) -> Vec<u8> {
        let mut page = vec![0; layout::PAGE as usize];
        let mut put = |offset: u64, value: u64| {
            page[offset as usize..][..8].copy_from_slice(&value.to_be_bytes());
        };
        for (number, &value) in self.gpr.iter().enumerate() {
            put(layout::GPR + 8 * number as u64, value);
        }
        put(layout::GPR + 8 * 26, CODE_BASES[self.start]);
        put(layout::GPR + 8 * 27, 0);
        for (number, &value) in self.fpr.iter().enumerate() {
            put(layout::FPR + 8 * number as u64, value);
        }
        for (number, &value) in self.cp0.iter().enumerate() {
            put(layout::CP0 + 8 * number as u64, value);
        }
        put(layout::START_STATUS, self.status);
        put(layout::TLB_COUNT, self.tlb.len() as u64);
        for (index, entry) in self.tlb.iter().enumerate() {
            for (field, value) in entry.iter().enumerate() {
                let place = layout::TLB + 32 * index as u64 + 8 * field as u64;
                put(place, value.in_slot(slot));
            }
        }
        for (number, &base) in CODE_BASES.iter().enumerate() {
            put(layout::CODE_BASES + 8 * number as u64, base);
        }
        let code = self.code(slot, as_guest);
        for (number, word) in code.words.iter().enumerate() {
            page[layout::CODE as usize + 4 * number..][..4].copy_from_slice(&word.to_be_bytes());
        }
        for number in code.words.len()..layout::WORDS {
            page[layout::CODE as usize + 4 * number..][..4].copy_from_slice(&END[1].to_be_bytes());
        }
        for (number, entry) in code.resume.iter().enumerate() {
            page[layout::RESUME as usize + 2 * number..][..2].copy_from_slice(&entry.to_be_bytes());
        }
        for number in code.resume.len()..layout::WORDS {
            page[layout::RESUME as usize + 2 * number..][..2]
                .copy_from_slice(&layout::RESUME_END.to_be_bytes());
        }
        page.drain(..layout::GPR as usize);
        page
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value_of(words: &[u32]) -> u64 {
        words.iter().fold(0, |value: u64, &word| {
            let low = u64::from(word & 0xffff);
            let signed = low as i16 as i64 as u64;
            match word >> 26 {
                0xf => (low << 16) as i32 as i64 as u64,
                0xd => value | low,
                _ if word >> 16 & 31 == 6 => value.wrapping_add(signed << 32),
                _ => value.wrapping_add(signed << 48),
            }
        })
    }

    #[test]
    fn constants_are_loaded_whole() {
        let mut random = crate::random::Random::new(3, 3);
        for _ in 0..10_000 {
            let value = random.value();
            assert_eq!(value_of(&load(3, value, true)), value, "{value:#x}");
            assert_eq!(value_of(&load(3, value, false)), value, "{value:#x}");
            assert_eq!(load(3, value, false).len(), 4);
        }
    }
}
