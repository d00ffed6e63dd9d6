//! What a program left in a place, and where two places disagree.

use disco_executor_layout as layout;
use std::fmt;

/// The register that counts the turns of a loop that waits for the timer. What is behind the loop
/// clears it.
pub const WAITING: u8 = 25;
/// Field of the trace that holds Cause.
const CAUSE: usize = 2;
/// Cause.ExcCode.
const EXCEPTION_CODE: u64 = 0x7c;

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

    /// Whether the program was ended by an interrupt, since its trace was full: how far a loop that
    /// waited for it had come is a matter of time.
    fn ended_waiting(&self) -> bool {
        let last = layout::TRACE + (layout::TRACE_MAX - 1) * layout::TRACE_ENTRY;
        self.exceptions() == layout::TRACE_MAX
            && self.word(last + 8 * CAUSE as u64) & EXCEPTION_CODE == 0
    }

    fn compared(&self) -> [&[u8]; 5] {
        let trace_end = layout::TRACE + self.exceptions() * layout::TRACE_ENTRY;
        let turns = (layout::END_GPR + 8 * u64::from(WAITING)) as usize;
        let behind = turns + 8;
        let from = if self.ended_waiting() { behind } else { turns };
        [
            &self.control[layout::END_GPR as usize..turns],
            &self.control[from..behind],
            &self.control[behind..layout::TRACE_COUNT as usize + 8],
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
        for number in
            (0..32).filter(|&number| number != u64::from(WAITING) || !self.ended_waiting())
        {
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

    /// Cause of an interrupt of the timer.
    const INTERRUPT: u64 = 0x5080_8000;

    /// An outcome of so many exceptions with this Cause, and these turns of a waiting loop.
    fn ended(exceptions: u64, cause: u64, turns: u64) -> Outcome {
        let mut control = vec![0; layout::PAGE as usize];
        let mut put = |offset: u64, value: u64| {
            control[offset as usize..][..8].copy_from_slice(&value.to_be_bytes());
        };
        put(
            layout::TRACE_COUNT,
            layout::TRACE + exceptions * layout::TRACE_ENTRY,
        );
        for number in 0..exceptions {
            put(
                layout::TRACE + number * layout::TRACE_ENTRY + 8 * CAUSE as u64,
                cause,
            );
        }
        put(layout::END_GPR + 8 * u64::from(WAITING), turns);
        Outcome::new(Vec::new(), control)
    }

    #[test]
    fn turns_of_a_waiting_loop_count_unless_the_interrupt_was_the_last_exception() {
        assert_eq!(layout::TRACE_FIELDS[CAUSE], "Cause");
        let full = layout::TRACE_MAX;
        for (exceptions, cause, agree) in [
            (full, INTERRUPT, true),
            (full, INTERRUPT | 0x20, false),
            (full - 1, INTERRUPT, false),
        ] {
            let (one, other) = (ended(exceptions, cause, 5), ended(exceptions, cause, 6));
            assert!(one.agrees(&one));
            assert_eq!(one.agrees(&other), agree);
            assert_eq!(one.differences(&other).is_empty(), agree);
        }
        assert!(!ended(full, INTERRUPT, 5).agrees(&ended(full, INTERRUPT | 0x100, 5)));
    }
}
