//! What a program left in a place, and where two places disagree.

use disco_executor_layout as layout;
use std::fmt;

/// The bytes of a slot that a program leaves its results in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The control page.
    control: Vec<u8>,
    /// The pages of data.
    data: Vec<u8>,
}

/// One thing that is not the same in both places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What it is, for instance `exception 3: Cause`.
    pub what: String,
    /// What it is natively.
    pub native: u64,
    /// What it is in the virtual machine.
    pub guest: u64,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            what,
            native,
            guest,
        } = self;
        write!(f, "{what:<28} native {native:#018x}   guest {guest:#018x}")
    }
}

/// An exception that a program took, for reports.
pub type Entry = [u64; layout::TRACE_FIELDS.len()];

impl Outcome {
    /// From the bytes of a slot: its data and its control page.
    pub fn new(data: Vec<u8>, control: Vec<u8>) -> Self {
        Self { control, data }
    }

    fn word(&self, offset: u64) -> u64 {
        let bytes = &self.control[offset as usize..][..8];
        bytes
            .iter()
            .fold(0, |value, &byte| value << 8 | u64::from(byte))
    }

    /// How many exceptions it took.
    pub fn exceptions(&self) -> u64 {
        let bytes = self.word(layout::TRACE_COUNT).saturating_sub(layout::TRACE);
        (bytes / layout::TRACE_ENTRY).min(layout::TRACE_MAX)
    }

    /// The exceptions.
    pub fn trace(&self) -> Vec<Entry> {
        (0..self.exceptions())
            .map(|number| {
                let start = layout::TRACE + number * layout::TRACE_ENTRY;
                let mut entry = [0; layout::TRACE_FIELDS.len()];
                for (field, value) in entry.iter_mut().enumerate() {
                    *value = self.word(start + 8 * field as u64);
                }
                entry
            })
            .collect()
    }

    fn compared(&self) -> [&[u8]; 3] {
        let trace_end = layout::TRACE + self.exceptions() * layout::TRACE_ENTRY;
        [
            &self.control[layout::END_GPR as usize..layout::TRACE_COUNT as usize + 8],
            &self.control[layout::TRACE as usize..trace_end as usize],
            &self.data,
        ]
    }

    /// Whether both are the same.
    pub fn agrees(&self, other: &Self) -> bool {
        self.compared() == other.compared()
    }

    /// Where `self`, the native one, and `guest` differ, in the order in which it came about.
    pub fn differences(&self, guest: &Self) -> Vec<Difference> {
        let mut list = Vec::new();
        let mut compare = |what: String, native: u64, guest: u64| {
            if native != guest {
                list.push(Difference {
                    what,
                    native,
                    guest,
                });
            }
        };
        let (one, other) = (self.trace(), guest.trace());
        for (number, (one, other)) in one.iter().zip(&other).enumerate() {
            for (field, name) in layout::TRACE_FIELDS.iter().enumerate() {
                compare(
                    format!("exception {number}: {name}"),
                    one[field],
                    other[field],
                );
            }
        }
        compare(
            "exceptions".to_owned(),
            one.len() as u64,
            other.len() as u64,
        );
        let mut word = |what: String, offset: u64| {
            compare(what, self.word(offset), guest.word(offset));
        };
        for number in 0..32 {
            word(format!("${number}"), layout::END_GPR + 8 * number);
        }
        for number in 0..32 {
            word(format!("$f{number}"), layout::END_FPR + 8 * number);
        }
        word("FCSR".to_owned(), layout::END_FPR + 8 * 32);
        for (place, (.., name)) in layout::END_REGISTERS.iter().enumerate() {
            word((*name).to_owned(), layout::END_CP0 + 8 * place as u64);
        }
        for index in 0..16 {
            for (field, name) in ["EntryHi", "EntryLo0", "EntryLo1", "PageMask"]
                .iter()
                .enumerate()
            {
                let place = layout::END_TLB + 32 * index + 8 * field as u64;
                word(format!("TLB entry {index}: {name}"), place);
            }
        }
        for (number, (one, other)) in self.data.chunks(8).zip(guest.data.chunks(8)).enumerate() {
            let value = |bytes: &[u8]| {
                bytes
                    .iter()
                    .fold(0, |value, &byte| value << 8 | u64::from(byte))
            };
            compare(
                format!("data at {:#x}", 8 * number),
                value(one),
                value(other),
            );
        }
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome() -> Outcome {
        let mut control = vec![0; layout::PAGE as usize];
        let count = layout::TRACE + 2 * layout::TRACE_ENTRY;
        control[layout::TRACE_COUNT as usize..][..8].copy_from_slice(&count.to_be_bytes());
        Outcome::new(vec![0; layout::DATA as usize], control)
    }

    #[test]
    fn every_compared_byte_makes_a_difference() {
        let one = outcome();
        assert_eq!(one.exceptions(), 2);
        assert!(one.agrees(&one.clone()) && one.differences(&one).is_empty());
        let places = [
            (layout::END_GPR + 8 * 5, "$5"),
            (layout::END_FPR + 8 * 31, "$f31"),
            (layout::END_CP0 + 8, "Cause"),
            (layout::END_TLB + 32 * 15 + 24, "TLB entry 15: PageMask"),
            (
                layout::TRACE + layout::TRACE_ENTRY + 8,
                "exception 1: Status",
            ),
        ];
        for (place, name) in places {
            let mut other = one.clone();
            other.control[place as usize] = 1;
            assert!(!one.agrees(&other));
            let differences = one.differences(&other);
            assert_eq!(differences.len(), 1, "{name}");
            assert_eq!(differences[0].what, name);
        }
        let mut other = one.clone();
        other.data[17] = 1;
        assert!(!one.agrees(&other));
        assert_eq!(one.differences(&other)[0].what, "data at 0x10");
    }

    #[test]
    fn what_is_behind_the_trace_does_not_count() {
        let one = outcome();
        let mut other = one.clone();
        other.control[(layout::TRACE + 2 * layout::TRACE_ENTRY) as usize] = 1;
        assert!(one.agrees(&other));
    }
}
