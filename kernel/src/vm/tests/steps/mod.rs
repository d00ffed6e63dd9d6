//! Steps for emulator and model: instructions, time, interrupt lines, and whole tasks of several.

mod branches;
mod instructions;
pub mod tasks;
mod values;

use super::guest::{dmtc0, Change};
use super::model::registers::Register;
use std::fmt::{self, Debug, Formatter};

/// One step.
#[derive(Clone)]
pub enum Step {
    /// Puts values into general registers, then executes `word`, or `branch` and `word` behind it.
    Execute {
        values: Vec<(usize, u64)>,
        branch: Option<u32>,
        word: u32,
    },
    /// Count goes on.
    Time(u64),
    /// A device raises or lowers its line.
    Line(u32, bool),
    /// A sibling wants so many bytes from a key on forgotten.
    Shootdown(u64, u64),
    /// A 64-bit word of guest-physical memory.
    Memory(u64, u64),
    /// Something else comes behind guest pages, the first and how many: nothing that the guest sees.
    Backing(u64, u64, Change),
}

impl Debug for Step {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        match self {
            Self::Execute {
                values,
                branch,
                word,
            } => {
                for (register, value) in values {
                    write!(f, "${register} = {value:#x}; ")?;
                }
                if let Some(branch) = branch {
                    write!(f, "{branch:#010x} and ")?;
                }
                write!(f, "{word:#010x}")
            }
            Self::Time(ticks) => write!(f, "{ticks} ticks"),
            Self::Line(line, raised) => write!(f, "line {line} raised: {raised}"),
            Self::Shootdown(key, bytes) => write!(f, "shootdown {key:#x}, {bytes:#x} bytes"),
            Self::Backing(first, count, change) => {
                write!(f, "{change:?} {count} pages from {first:#x}")
            }
            Self::Memory(physical, value) => write!(f, "memory {physical:#x} = {value:#x}"),
        }
    }
}

/// The register that holds what is moved to CP0.
const RT: u32 = 8;

fn execute(word: u32) -> Step {
    Step::Execute {
        values: Vec::new(),
        branch: None,
        word,
    }
}

/// `dmtc0` of a value.
fn write(register: Register, value: u64) -> Step {
    Step::Execute {
        values: vec![(RT as usize, value)],
        branch: None,
        word: dmtc0(RT, register.0 as u32, register.1 as u32),
    }
}
