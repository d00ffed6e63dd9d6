//! The TLB: where programs map what, and how they change it.
//!
//! Each *window* is a part of an address space with an index of its own, so that entries never
//! overlap; four of them have a second index for an entry of another ASID while neither is global.

use super::{Builder, Generator};
use crate::isa::*;
use crate::program::{Unit, Value, CODE_BASES};
use crate::random::Random;
use disco_executor_layout as layout;

/// Which page sizes a program may use: the monitor serves all pages in parts of the same size, which
/// changes for good with the first page of 4 KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sizes {
    /// All.
    All,
    /// 16 KiB and more.
    NoSmall,
}

/// EntryLo: global.
const G: u64 = 1;
const V: u64 = 2;
const D: u64 = 4;
const XI: u64 = 1 << 62;
const RI: u64 = 1 << 63;
/// EntryHi.EHINV.
const EHINV: u64 = 1 << 10;
/// A page number where no memory is, neither on the board nor in a virtual machine. Such a page is never
/// writable.
const NOWHERE: u64 = 0x10_0000 << 6;

/// What is in a window.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The program's code, always mapped, for every ASID.
    Code,
    /// Pages of 4 and 16 KiB.
    Small,
    /// Larger pages. They show more than the slot; only addresses as [`Value::At`] has them are used.
    Large,
}

/// The part of an address space that an index is for.
struct Place {
    base: u64,
    index: u8,
    /// Index for the other ASID; 0 for none.
    other: u8,
    kind: Kind,
}

const PLACES: [Place; 8] = [
    Place {
        base: CODE_BASES[0],
        index: 0,
        other: 0,
        kind: Kind::Code,
    },
    Place {
        base: 0x2000_0000,
        index: 1,
        other: 12,
        kind: Kind::Large,
    },
    Place {
        base: CODE_BASES[1],
        index: 2,
        other: 0,
        kind: Kind::Code,
    },
    Place {
        base: CODE_BASES[2],
        index: 3,
        other: 0,
        kind: Kind::Code,
    },
    Place {
        base: 0x4000_8000_4000_0000,
        index: 4,
        other: 8,
        kind: Kind::Large,
    },
    Place {
        base: 0xffff_ffff_d800_0000,
        index: 5,
        other: 9,
        kind: Kind::Small,
    },
    Place {
        base: 0xffff_c000_0000,
        index: 6,
        other: 10,
        kind: Kind::Small,
    },
    Place {
        base: 0x4000_0000,
        index: 7,
        other: 11,
        kind: Kind::Small,
    },
];
/// The window of the entry that `tlbwr` writes.
const LAST: Place = Place {
    base: 0x2000_0000_0000,
    index: 15,
    other: 0,
    kind: Kind::Small,
};
/// Indices that have an entry at the start.
const ENTRIES: usize = 13;

/// An entry that a program writes.
#[derive(Clone, Copy, Debug)]
struct Entry {
    base: u64,
    bytes: u64,
    hi: Value,
    lo: [Value; 2],
}

impl Entry {
    const fn page_mask(&self) -> u64 {
        (self.bytes - 1) << 1 & 0x1fff_e000
    }
}

/// What is mapped where.
pub(crate) struct Windows {
    /// ASIDs: the program's own, and another.
    pub(crate) asid: [u64; 2],
    /// Monitor calls come. They are not the same words of code in both places, so that no data
    /// address shows code, in whatever order entries are written.
    pub(crate) calls: bool,
    sizes: Sizes,
    entries: Vec<(u8, Option<Entry>)>,
}

impl Windows {
    /// Entries for a new program.
    pub(crate) fn new(random: &mut Random, sizes: Sizes) -> Self {
        // Not 0, which EntryHi has after `tlbr` of an entry that maps nothing.
        let own = 1 + random.below(0x3ff);
        let other = own ^ (1 + random.below(0x3ff));
        let mut windows = Self {
            asid: [own, other],
            calls: random.one_in(2),
            sizes,
            entries: Vec::new(),
        };
        for place in &PLACES {
            windows.renew(random, place);
        }
        windows
    }

    /// Other entries in a window, for both its indices.
    fn renew(&mut self, random: &mut Random, place: &Place) -> Vec<(u8, Option<Entry>)> {
        let global = place.kind == Kind::Code || random.one_in(3);
        let mut new = vec![(
            place.index,
            Some(self.entry(random, place, global, self.asid[0])),
        )];
        if place.other != 0 {
            let entry = (!global).then(|| self.entry(random, place, false, self.asid[1]));
            new.push((place.other, entry));
        }
        for &(index, entry) in &new {
            self.entries.retain(|(other, _)| *other != index);
            self.entries.push((index, entry));
        }
        new
    }

    fn entry(&self, random: &mut Random, place: &Place, global: bool, asid: u64) -> Entry {
        let base = place.base;
        if place.kind == Kind::Large {
            return Self::large(random, base, global, asid);
        }
        let bytes = match self.sizes {
            Sizes::All if random.one_in(2) => 0x1000,
            _ => 0x4000,
        };
        let even = if place.kind == Kind::Code {
            Value::Lo {
                offset: layout::CODE_PAGE,
                bytes,
                flags: V | G | random.below(8) << 3,
            }
        } else {
            self.half(random, bytes, global)
        };
        // With G in one half alone the entry is not global.
        let even = match even {
            Value::Lo {
                offset,
                bytes,
                flags,
            } if !global && random.one_in(8) => Value::Lo {
                offset,
                bytes,
                flags: flags | G,
            },
            _ => even,
        };
        let odd = self.half(random, bytes, global);
        Entry {
            base,
            bytes,
            hi: Value::Const(base | asid),
            lo: [even, odd],
        }
    }

    /// An entry of large pages.
    fn large(random: &mut Random, base: u64, global: bool, asid: u64) -> Entry {
        // 64 KiB to 256 MiB. QEMU throws an entry's translations away 4 KiB by 4 KiB: an entry of the
        // largest pages costs it as much as ten programs, so they are rare.
        let size = match random.below(1024) {
            0 => 6,
            1..=2 => 5,
            3..=10 => 4,
            11..=50 => 3,
            51..=300 => 2,
            301..=600 => 1,
            _ => 0,
        };
        let bytes = 0x1_0000 << (2 * size);
        let g = if global { G } else { 0 };
        let flags = g | Self::rights(random) | XI | random.below(8) << 3;
        let other = match random.below(3) {
            0 => g | V | XI | NOWHERE & !(((bytes >> 12) - 1) << 6),
            _ => g | D,
        };
        let lo = [false, true].map(|odd| Value::LargeLo {
            odd,
            bytes,
            flags,
            other,
        });
        let hi = Value::Hi {
            base: base | asid,
            bytes,
        };
        Entry {
            base,
            bytes,
            hi,
            lo,
        }
    }

    /// V, D and RI of data. RI only where nothing is stored or fetched (`super`).
    fn rights(random: &mut Random) -> u64 {
        let v = if random.one_in(6) { 0 } else { V };
        v | match random.below(8) {
            0 => RI,
            1 | 2 => 0,
            _ => D,
        }
    }

    /// One page of a pair of small ones.
    fn half(&self, random: &mut Random, bytes: u64, global: bool) -> Value {
        let g = if global { G } else { 0 };
        let flags = g | random.below(8) << 3;
        let rights = Self::rights(random);
        match random.below(12) {
            0 if rights & RI != 0 => Value::Const(NOWHERE | flags | rights | XI),
            0 => Value::Const(NOWHERE | flags | rights & V),
            // Code is never writable: the emulator would have to notice.
            1 | 2 if !self.calls => {
                let xi = if random.one_in(3) { XI } else { 0 };
                Value::Lo {
                    offset: layout::CODE_PAGE,
                    bytes,
                    flags: flags | rights & V | xi,
                }
            }
            // Data is never code.
            _ => {
                let page = random.below(8) * 0x1000;
                Value::Lo {
                    offset: layout::DATA_PAGE + page,
                    bytes,
                    flags: flags | rights | XI,
                }
            }
        }
    }

    /// The entries at the start, for indices 0 and up.
    pub(crate) fn entries(&self) -> Vec<[Value; 4]> {
        let mut list = vec![
            [
                Value::Const(EHINV),
                Value::Const(0),
                Value::Const(0),
                Value::Const(0)
            ];
            ENTRIES
        ];
        for (index, entry) in &self.entries {
            if let Some(entry) = entry {
                list[usize::from(*index)] = [
                    entry.hi,
                    entry.lo[0],
                    entry.lo[1],
                    Value::Const(entry.page_mask()),
                ];
            }
        }
        // The executor puts the ASID in use into the entry that it writes again: none here.
        list[0][0] = Value::Const(CODE_BASES[0]);
        list
    }

    /// A page size that there is, as PageMask.
    pub(crate) fn page_mask(&self, random: &mut Random) -> u64 {
        let least = u64::from(self.sizes == Sizes::NoSmall);
        (0x1000_u64 << (2 * (least + random.below(9 - least)))).wrapping_sub(1) << 1 & 0x1fff_e000
    }

    /// An ASID: mostly one that entries have.
    pub(crate) fn any_asid(&self, random: &mut Random) -> u64 {
        match random.below(6) {
            0 => random.below(0x400),
            1 | 2 => self.asid[1],
            _ => self.asid[0],
        }
    }

    /// An address in data that an entry maps, whether or not it allows the access.
    pub(crate) fn data_address(&self, random: &mut Random) -> Value {
        let data = |value: &Value| match value {
            Value::Lo { offset, .. } => *offset != layout::CODE_PAGE,
            _ => false,
        };
        let pages: Vec<Value> = self
            .entries
            .iter()
            .filter_map(|(_, entry)| *entry)
            .flat_map(|entry| {
                let small = [0, 1].map(|half| {
                    let base = entry.base + half as u64 * entry.bytes;
                    data(&entry.lo[half])
                        .then_some(Value::Const(base + Self::within(random, entry.bytes)))
                });
                let large = matches!(entry.hi, Value::Hi { .. }).then(|| Value::At {
                    base: entry.base,
                    offset: layout::DATA_PAGE
                        + Self::within(random, layout::DATA).clamp(64, layout::DATA - 256),
                });
                small.into_iter().chain([large])
            })
            .flatten()
            .collect();
        if pages.is_empty() || random.one_in(12) {
            return self.any_address(random);
        }
        random.pick(&pages)
    }

    /// An offset in a page, its borders included.
    fn within(random: &mut Random, bytes: u64) -> u64 {
        match random.below(8) {
            0 => bytes - 8,
            1 => 0x1000 - 4,
            _ => random.below(bytes / 8) * 8,
        }
    }

    /// An address in some window, mapped or not.
    pub(crate) fn any_address(&self, random: &mut Random) -> Value {
        let place = &PLACES[random.below(PLACES.len() as u64) as usize];
        let word = 0x800 + random.below(0x80) * 8;
        match place.kind {
            Kind::Large if random.one_in(3) => {
                // Beside the slot: the other half, or nothing.
                Value::Const(place.base + 0x1000_0000 + random.below(0x100) * 0x10_0000 + word)
            }
            Kind::Large => Value::At {
                base: place.base,
                offset: layout::DATA_PAGE + word,
            },
            // Both halves and a page behind them, and in the first one not where the executor's table
            // finds code.
            _ => Value::Const(place.base + random.below(6) * 0x2000 + word),
        }
    }

    /// A window's half that may show the code.
    pub(crate) fn code_elsewhere(&self, random: &mut Random) -> u64 {
        let halves: Vec<u64> = self
            .entries
            .iter()
            .filter_map(|(_, entry)| *entry)
            .filter(|entry| entry.bytes <= layout::PAGE)
            .flat_map(|entry| {
                [0, 1].map(|half| {
                    let code = matches!(
                        entry.lo[half],
                        Value::Lo {
                            offset: layout::CODE_PAGE,
                            ..
                        }
                    );
                    (code && !CODE_BASES.contains(&entry.base))
                        .then_some(entry.base + half as u64 * entry.bytes)
                })
            })
            .flatten()
            .collect();
        if halves.is_empty() {
            return CODE_BASES[1];
        }
        random.pick(&halves)
    }
}

impl Generator {
    /// A TLB instruction, with what it needs before.
    pub(super) fn tlb(&mut self) -> Unit {
        match self.random.below(12) {
            0..=5 => self.write_window(),
            6..=7 => self.probe(),
            8 => self.read_entry(),
            9 => self.write_random(),
            10 => self.invalidate(),
            _ => self.switch_asid(),
        }
    }

    fn load_entry(
        &mut self,
        unit: &mut Builder,
        registers: [u8; 2],
        index: u8,
        entry: Option<Entry>,
    ) {
        let [one, two] = registers;
        let Some(entry) = entry else {
            unit.constant(one, EHINV).word(DMTC0.cp0(one, 10, 0));
            unit.constant(two, u64::from(index))
                .word(MTC0.cp0(two, 0, 0));
            return;
        };
        unit.load(one, entry.hi);
        unit.word(DMTC0.cp0(one, 10, 0));
        unit.load(one, entry.lo[0]).load(two, entry.lo[1]);
        unit.word(DMTC0.cp0(one, 2, 0)).word(DMTC0.cp0(two, 3, 0));
        unit.constant(one, entry.page_mask())
            .constant(two, u64::from(index));
        unit.word(MTC0.cp0(one, 5, 0)).word(MTC0.cp0(two, 0, 0));
    }

    /// New entries in a window that is not the code's.
    fn write_window(&mut self) -> Unit {
        let mut unit = Builder::new("tlbwi");
        let place = self.random.pick(&[1, 4, 5, 6, 7]);
        let mut new = self.windows.renew(&mut self.random, &PLACES[place]);
        // First what is not there any more, or a global one would overlap it.
        new.sort_by_key(|(_, entry)| entry.is_some());
        let registers = self.registers();
        for (index, entry) in new {
            self.load_entry(&mut unit, registers, index, entry);
            unit.word(TLBWI.word);
        }
        if !self.random.one_in(4) {
            let [register, _] = registers;
            unit.constant(register, self.windows.asid[0])
                .word(DMTC0.cp0(register, 10, 0));
        }
        unit.unit()
    }

    /// Sets the ASID behind `tlbr`, before anything is accessed (`super`).
    fn own_asid(&self, unit: &mut Builder, register: u8) {
        unit.constant(register, self.windows.asid[0]);
        unit.word(DMTC0.cp0(register, 10, 0));
    }

    fn probe(&mut self) -> Unit {
        let mut unit = Builder::new("tlbp");
        let [one, two] = self.registers();
        let value = self.windows.any_address(&mut self.random);
        let asid = self.windows.any_asid(&mut self.random);
        unit.load(one, value).constant(two, asid);
        unit.word(DSRL.with(rd(one) | rt(one) | sa(13)));
        unit.word(DSLL.with(rd(one) | rt(one) | sa(13)));
        unit.word(OR.rrr(one, one, two)).word(DMTC0.cp0(one, 10, 0));
        unit.word(TLBP.word).word(MFC0.cp0(two, 0, 0));
        if self.random.one_in(2) {
            unit.word(TLBR.word).word(DMFC0.cp0(one, 2, 0));
            self.own_asid(&mut unit, one);
        }
        unit.unit()
    }

    fn read_entry(&mut self) -> Unit {
        let mut unit = Builder::new("tlbr");
        let [one, two] = self.registers();
        let index = self.random.below(16);
        unit.constant(one, index)
            .word(MTC0.cp0(one, 0, 0))
            .word(TLBR.word);
        unit.word(DMFC0.cp0(one, 10, 0)).word(DMFC0.cp0(two, 3, 0));
        self.own_asid(&mut unit, one);
        unit.unit()
    }

    /// `tlbwr` with Wired 15: entry 15, which is emptied first, so that nothing is replaced.
    fn write_random(&mut self) -> Unit {
        let mut unit = Builder::new("tlbwr");
        let registers = self.registers();
        let [one, _] = registers;
        self.load_entry(&mut unit, registers, 15, None);
        unit.word(TLBWI.word);
        unit.constant(one, 15).word(MTC0.cp0(one, 6, 0));
        let global = self.random.one_in(2);
        let asid = self.windows.asid[0];
        let entry = self.windows.entry(&mut self.random, &LAST, global, asid);
        self.load_entry(&mut unit, registers, 3, Some(entry));
        unit.word(TLBWR.word);
        // Seen at once.
        unit.load(one, Value::Const(LAST.base))
            .word(LD.rri(one, one, 16));
        unit.unit()
    }

    /// `tlbinv` for an ASID; `tlbinvf` in the slot of a jump, since the code's entry goes, too.
    fn invalidate(&mut self) -> Unit {
        let mut unit = Builder::new("tlbinv");
        let register = self.register();
        if self.random.one_in(2) {
            let asid = self.windows.any_asid(&mut self.random);
            unit.constant(register, asid)
                .word(DMTC0.cp0(register, 10, 0));
            unit.word(TLBINV.word);
        } else {
            let base = CODE_BASES[0];
            unit.load(register, Value::Unit { base, ahead: 0 });
            unit.word(JR.with(rs(register))).word(TLBINVF.word);
        }
        unit.unit()
    }

    /// Another ASID, and an access with it.
    fn switch_asid(&mut self) -> Unit {
        let mut unit = Builder::new("another ASID");
        let [one, two] = self.registers();
        let asid = self.windows.any_asid(&mut self.random);
        let value = self.windows.data_address(&mut self.random);
        unit.load(two, value);
        unit.constant(one, asid).word(DMTC0.cp0(one, 10, 0));
        unit.word(LD.rri(one, two, 0));
        unit.unit()
    }
}
