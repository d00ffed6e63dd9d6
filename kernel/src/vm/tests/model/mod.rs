//! The virtual CPU a second time, deliberately simple: what a guest sees, in the words of the
//! architecture manual's pseudo-code and of `docs/virtual-machine.md`.
//!
//! Plain loops over plain arrays. It knows of no monitor, no trap and no second TLB, and shares no
//! code with the emulator. "II" and "III" in comments are the volumes II-A (instructions) and III
//! (privileged resources) of *MIPS64 Architecture for Programmers*, release 6, with the section's
//! name; "page" is `docs/virtual-machine.md`. What these leave open is an answer of [`Choices`],
//! and a test tries them all.

mod address;
pub mod branch;
mod choices;
mod exception;
mod execute;
pub mod registers;
mod tlb;
mod walker;

pub use address::Place;
pub use choices::Choices;
pub use tlb::{Entry, Hidden};

use registers::*;
use std::collections::BTreeMap;

/// Entries of the TLB.
pub const ENTRIES: usize = 16;

/// Kinds of access to memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    Load,
    Store,
    Fetch,
}

/// III, "Operating Modes".
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    Kernel,
    Supervisor,
    User,
}

/// What else an instruction does than to change the model.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// Nothing: it is done, or an exception was taken.
    None,
    /// It was `wait`.
    Wait,
    /// A monitor call beyond the CPU: `$v0`, and `$a0` to `$a3`.
    Call(u64, [u64; 4]),
    /// The exception vector raises an exception by its mere address.
    NoVector(u64),
}

/// The machine that a guest sees.
#[derive(Clone, PartialEq, Debug)]
pub struct Model {
    pub pc: u64,
    pub gpr: [u64; 32],
    pub fpr: [u64; 32],
    /// LLbit.
    pub link: bool,
    pub registers: Registers,
    pub tlb: [Entry; ENTRIES],
    /// Entries that left the TLB and may go on to translate (page, "TLB").
    pub hidden: Vec<Hidden>,
    /// Guest-physical memory: bytes, and the 64-bit words that are not 0.
    pub memory_size: u64,
    pub memory: BTreeMap<u64, u64>,
    /// Where this step's accesses went.
    pub places: Vec<Place>,
    /// The walker has put another page in the place of one: the instruction begins again, since it
    /// may have been fetched there.
    remapped: bool,
    /// This step ended with an interrupt.
    pub interrupted: bool,
}

impl Model {
    /// At entry (page, "State at entry"), with so many bytes of memory.
    pub fn new(pc: u64, memory_size: u64) -> Self {
        Self {
            pc,
            gpr: [0; 32],
            fpr: [0; 32],
            link: false,
            registers: Registers::at_entry(),
            tlb: [Entry::INVALID; ENTRIES],
            hidden: Vec::new(),
            memory_size,
            memory: BTreeMap::new(),
            places: Vec::new(),
            remapped: false,
            interrupted: false,
        }
    }

    pub fn set_gpr(&mut self, number: usize, value: u64) {
        if number != 0 {
            self.gpr[number] = value;
        }
    }

    /// III, "Operating Modes".
    pub fn mode(&self) -> Mode {
        let status = self.registers.get(STATUS);
        match (status & KSU) >> 3 {
            _ if status & (EXL | ERL) != 0 => Mode::Kernel,
            0 => Mode::Kernel,
            1 => Mode::Supervisor,
            _ => Mode::User,
        }
    }

    /// Raises or lowers IP2 to IP6.
    pub fn set_line(&mut self, line: u32, raised: bool) {
        let bit = 1 << (8 + line);
        let cause = self.registers.get(CAUSE) & !bit;
        self.registers
            .set(CAUSE, if raised { cause | bit } else { cause });
        self.take_interrupt();
    }

    /// Lets Count go on by `ticks`. III, "Compare Register": the timer strikes when they meet.
    pub fn pass(&mut self, ticks: u64) {
        let cause = self.registers.get(CAUSE);
        if cause & DC == 0 {
            let count = self.registers.get(COUNT) as u32;
            let compare = self.registers.get(COMPARE) as u32;
            let distance = match compare.wrapping_sub(count) {
                0 => 1 << 32,
                distance => u64::from(distance),
            };
            if distance <= ticks {
                self.registers.set(CAUSE, cause | TI | IP7);
            }
            self.registers
                .set(COUNT, u64::from(count.wrapping_add(ticks as u32)));
        }
        self.take_interrupt();
    }

    /// Executes one instruction at the program counter; or, with `branch`, that branch and `word`
    /// behind it.
    pub fn step(&mut self, branch: Option<u32>, word: u32, choices: &mut Choices) -> Event {
        let before = self.clone();
        let mut done = self.instruction(branch, word, choices);
        if self.remapped {
            let after = std::mem::replace(self, before);
            self.tlb = after.tlb;
            self.hidden = after.hidden;
            done = self.instruction(branch, word, choices);
            self.remapped = false;
        }
        let event = done.unwrap_or_else(|raised| self.exception(raised));
        if !matches!(event, Event::NoVector(_)) {
            self.take_interrupt();
            self.refuse_misaligned();
        }
        event
    }
}
