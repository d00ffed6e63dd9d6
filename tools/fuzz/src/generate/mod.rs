//! Makes programs.
//!
//! What is left out, and why; everything else that a program can do is meant to come:
//!
//! | left out | reason |
//! |---|---|
//! | refills that depend on Random: `tlbwr` with Wired below 15 | which entry is replaced, and how long QEMU goes on using a replaced one, differs between any two runs |
//! | kseg0, kseg1, xkphys, kseg3, xkseg in kernel mode; the windows and the special page; KSU = 1 | they mean something else in a virtual machine (docs/virtual-machine.md) |
//! | Config1 to Config5, EBase, Random, LLAddr, PW*, SegCtl, Watch*, Perf*, Debug, TagLo and so on | hidden or different by design, by the same document; EBase is the executor's |
//! | BEV, clearing KX, SX, UX, IntCtl.VS | boot vectors, 32-bit addresses and vectored interrupts are not there, by the same document |
//! | PageMask with a page size that there is not | undefined by the architecture |
//! | `jalr` that links the register it jumps through | unpredictable by the architecture, since it cannot be done again |
//! | entries that overlap | undefined by the architecture |
//! | `sdbbp` | enters debug mode natively; Config5.SBRI reserves it in user mode alone |
//! | RI on a page that is writable or executable | QEMU lets a page be read that was stored to or fetched from before, until its own TLB forgets |
//! | jumps to addresses that are not aligned | QEMU sets BadVAddr when it translates such an address, not when it comes there again |
//! | stores where no memory is | one that crosses into such a page has written its first bytes natively, and nothing in a virtual machine: the monitor knows before |
//! | accesses behind `tlbr`, before EntryHi is written | `tlbr` of an entry that maps nothing makes the ASID 0, and QEMU goes on with what it has translated for the ASID before |
//! | monitor calls that change the virtual CPU, or what a program sees | not there natively |
//! | `deret`, `dvp`, `evp`, MSA | not there natively, or hidden |
//! | `ginvt`; `eret` to an odd address | they end QEMU 7.2 |
//! | Count but with Cause.DC, outside marked waiting loops | it is a clock |
//! | `mtc0` to Status, `ei`, `di` in delay and forbidden slots | QEMU looks for interrupts only where it leaves its translated code, which it does behind these but not in slots |
//! | changing the mapping of the running code, but in the slot of `jr` | QEMU goes on with code that it has translated (the architecture wants a hazard barrier) |

mod arithmetic;
mod branches;
mod calls;
mod control;
mod faults;
mod float;
mod interrupts;
mod memory;
mod tlb;

use crate::isa::NOP;
use crate::program::{Item, Program, Unit, Value};
use crate::random::Random;
use disco_executor_layout as layout;
pub use tlb::Sizes;
use tlb::Windows;

/// Units of a program.
const UNITS: std::ops::Range<u64> = 14..40;
/// A program has at most so many words, and the end.
const WORDS: usize = layout::WORDS - 80;

/// Status bits that are always set in programs: 64-bit addresses.
pub(crate) const STATUS_64: u64 = 0xe0;
/// Status.CU1.
pub(crate) const STATUS_CU1: u64 = 1 << 29;
/// Status.CU0, which has no effect.
pub(crate) const STATUS_CU0: u64 = 1 << 28;
/// Status.KSU of user mode.
pub(crate) const STATUS_USER: u64 = 0x10;
/// Status.ERL.
pub(crate) const STATUS_ERL: u64 = 4;
/// Status.EXL.
pub(crate) const STATUS_EXL: u64 = 2;
/// Status.IE.
pub(crate) const STATUS_IE: u64 = 1;
/// Cause.DC.
pub(crate) const CAUSE_DC: u64 = 1 << 27;
/// Cause.IV.
pub(crate) const CAUSE_IV: u64 = 1 << 23;

/// Makes one program.
pub(crate) struct Generator {
    pub(crate) random: Random,
    pub(crate) windows: Windows,
}

/// A unit under construction.
pub(crate) struct Builder(Unit);

impl Builder {
    pub(crate) fn new(name: &'static str) -> Self {
        Self(Unit {
            name,
            ..Unit::default()
        })
    }
    pub(crate) fn word(&mut self, word: u32) -> &mut Self {
        self.0.items.push(Item::Word(word));
        self
    }
    pub(crate) fn load(&mut self, register: u8, value: Value) -> &mut Self {
        self.0.items.push(Item::Load(register, value));
        self
    }
    pub(crate) fn constant(&mut self, register: u8, value: u64) -> &mut Self {
        self.load(register, Value::Const(value))
    }
    pub(crate) fn branch(&mut self, word: u32, bits: u8, ahead: u8) -> &mut Self {
        self.0.items.push(Item::Branch(word, bits, ahead));
        self
    }
    /// A monitor call; natively `instead` has its place.
    pub(crate) fn call(&mut self, instead: u32) -> &mut Self {
        self.0.items.push(Item::Call(instead));
        self
    }
    pub(crate) fn mark(&mut self) -> &mut Self {
        self.0.items.push(Item::Mark);
        self
    }
    /// The number of the next item.
    pub(crate) fn next_item(&self) -> usize {
        self.0.items.len()
    }
    pub(crate) fn waits(&mut self, from: usize, to: usize) {
        self.0.waits = Some((from, to));
    }
    pub(crate) fn unit(self) -> Unit {
        self.0
    }
}

/// Program `number` of `seed`. It has pages of 4 KiB only if `sizes` says so.
pub fn program(seed: u64, number: u64, sizes: Sizes) -> Program {
    let mut random = Random::new(seed, number);
    let windows = Windows::new(&mut random, sizes);
    let mut generator = Generator { random, windows };
    let start = generator.start();
    let count = UNITS.start + generator.random.below(UNITS.end - UNITS.start);
    let mut units = Vec::new();
    let mut words = 0;
    while (units.len() as u64) < count && words < WORDS {
        let new = generator.units();
        words += new.iter().map(Unit::length).sum::<usize>();
        units.extend(new);
    }
    Program { units, ..start }
}

impl Generator {
    /// A general register that programs use.
    pub(crate) fn register(&mut self) -> u8 {
        let number = self.random.below(29) as u8 + 1;
        if number >= 26 {
            number + 2
        } else {
            number
        }
    }

    /// One of those, and not this one.
    pub(crate) fn other_than(&mut self, not: u8) -> u8 {
        loop {
            let register = self.register();
            if register != not {
                return register;
            }
        }
    }

    /// One of those, or `$0`.
    pub(crate) fn source(&mut self) -> u8 {
        if self.random.one_in(16) {
            0
        } else {
            self.register()
        }
    }

    /// Several different registers.
    pub(crate) fn registers<const N: usize>(&mut self) -> [u8; N] {
        let mut chosen = [0; N];
        for place in 0..N {
            chosen[place] = loop {
                let register = self.register();
                if !chosen[..place].contains(&register) {
                    break register;
                }
            };
        }
        chosen
    }

    /// The state at the start.
    fn start(&mut self) -> Program {
        let mut gpr = [0; 32];
        gpr.fill_with(|| self.random.value());
        gpr[0] = 0;
        let mut fpr = [0; 33];
        fpr.fill_with(|| self.random.value());
        // FCSR: rounding mode, flags, and no cause bit, which would trap at once.
        let enables = if self.random.one_in(4) { 0xf80 } else { 0 };
        fpr[32] = self.random.bits() & (0x7f | enables) | 3 << 18;
        let user = self.random.one_in(8);
        let status = self.status() & !STATUS_USER | if user { STATUS_USER } else { 0 };
        let cause = CAUSE_DC | self.random.bits() & (CAUSE_IV | 0x300);
        let asid = self.windows.asid[0];
        let mut cp0 = [0; layout::START_REGISTERS.len()];
        for (value, &(number, select, ..)) in cp0.iter_mut().zip(&layout::START_REGISTERS) {
            *value = match (number, select) {
                (13, 0) => cause,
                (10, 0) => self.random.bits() & 0xffff_e000 | asid,
                (5, 0) => self.windows.page_mask(&mut self.random),
                (6, 0) => self.random.below(15),
                _ => self.random.value(),
            };
        }
        let start = if user {
            0
        } else {
            self.random.pick(&[0, 0, 0, 1, 2])
        };
        Program {
            units: Vec::new(),
            gpr,
            fpr,
            cp0,
            status: status | STATUS_EXL,
            tlb: self.windows.entries(),
            start,
            data: self.random.bits(),
        }
    }

    /// A Status to go on with in kernel mode: interrupts, FPU.
    pub(crate) fn status(&mut self) -> u64 {
        let any = self.random.bits();
        // IM; IM2 to IM6 have no lines behind them.
        let mut status = STATUS_64 | any & 0xff00;
        if any >> 32 & 3 != 0 {
            status |= STATUS_IE;
        }
        if any >> 34 & 3 != 0 {
            status |= STATUS_CU1;
        }
        if any >> 36 & 3 == 0 {
            status |= STATUS_CU0;
        }
        status
    }

    /// The next unit, or a few that belong together.
    fn units(&mut self) -> Vec<Unit> {
        match self.random.below(100) {
            0..=11 => vec![self.arithmetic()],
            12..=23 => vec![self.memory()],
            24..=37 => vec![self.branch()],
            38..=43 => vec![self.fault()],
            44..=48 => vec![self.read_cp0()],
            49..=54 => vec![self.write_cp0()],
            55..=65 => vec![self.tlb()],
            66..=70 => vec![self.status_change()],
            71..=75 => vec![self.interrupt()],
            76..=78 => vec![self.return_from_exception()],
            79..=82 => vec![self.nested()],
            83..=84 => vec![self.user_mode()],
            85..=87 => vec![self.system_call()],
            88..=90 => self.linked(),
            91..=93 => vec![self.float()],
            94 | 95 if self.windows.calls => vec![self.monitor_call()],
            94 => vec![self.wild_jump()],
            95..=96 => vec![self.elsewhere()],
            97 => vec![self.hardware_register()],
            98 => vec![self.cache()],
            _ if self.random.one_in(3) => vec![self.timer()],
            _ => vec![self.counted_loop()],
        }
    }

    /// A loop with a counter.
    fn counted_loop(&mut self) -> Unit {
        let [counter, value] = self.registers();
        let turns = 1 + self.random.below(6);
        let mut unit = Builder::new("counted loop");
        unit.constant(counter, turns);
        unit.word(crate::isa::DADDU.rrr(value, value, counter));
        let down = crate::isa::DADDIU.rri(counter, counter, -1);
        if self.random.one_in(2) {
            unit.word(down);
            unit.word(crate::isa::BNEZC.with(crate::isa::rs(counter) | -3_i32 as u32 & 0x1f_ffff));
            unit.word(NOP);
        } else {
            unit.word(crate::isa::BGTZ.with(crate::isa::rs(counter) | crate::isa::imm(-2)));
            unit.word(down);
        }
        unit.unit()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_repeats_and_fits() {
        let mut words = 0;
        for number in 0..500 {
            let sizes = if number % 2 == 0 {
                Sizes::All
            } else {
                Sizes::NoSmall
            };
            let one = program(1, number, sizes);
            assert_eq!(one, program(1, number, sizes));
            let code = one.code(number % 256, true);
            assert!(code.words.len() <= layout::WORDS, "{}", code.words.len());
            assert_eq!(code.words.len(), code.resume.len());
            words += code.words.len();
            for slot in [0, 255] {
                assert_eq!(one.code(slot, false).words.len(), code.words.len());
            }
        }
        assert!(words / 500 >= 50, "{words}");
    }

    #[test]
    fn no_data_address_shows_code_that_is_not_the_same_in_both_places() {
        let is_call = |unit: &Unit| unit.items.iter().any(|item| matches!(item, Item::Call(_)));
        let shows_code =
            |value: Value| matches!(value, Value::Lo { offset, .. } if offset == layout::CODE_PAGE);
        let mut calls = 0;
        let mut shown = 0;
        for number in 0..500 {
            let one = program(1, number, Sizes::All);
            let [mut code, mut odd] = [0, 0];
            for [_, lo0, lo1, _] in one.tlb {
                code += usize::from(shows_code(lo0));
                odd += usize::from(shows_code(lo1));
            }
            if one.units.iter().any(is_call) {
                calls += 1;
                assert_eq!(
                    (code, odd),
                    (crate::program::CODE_BASES.len(), 0),
                    "{number}"
                );
            } else {
                shown += odd;
            }
        }
        assert!(calls > 50 && shown > 50, "{calls} {shown}");
    }
}
