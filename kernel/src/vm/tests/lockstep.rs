//! The emulator and the model, side by side: the same steps, the same state after each.
//!
//! Where the architecture leaves something open, every answer is tried; the emulator has to agree
//! with one, and the model goes on with that one.

use super::guest::{Guest, CODE, PAGES};
use super::model::registers::*;
use super::model::{Choices, Event, Model};
use super::processor::Processor;
use super::steps::{self, Step};
use crate::vm::hardware::Hardware;
use disco_abi::PAGE_SIZE;
use proptest::prelude::*;

/// Everything of either side that a guest can see.
#[derive(Clone, PartialEq, Eq)]
struct Visible {
    event: Event,
    pc: u64,
    gpr: [u64; 32],
    link: bool,
    registers: Vec<(Register, u64)>,
    tlb: Vec<(u64, [u64; 2], u64)>,
    places: Vec<super::model::Place>,
}

fn all_registers() -> impl Iterator<Item = Register> {
    (0..32).flat_map(|number| (0..8).map(move |select| (number, select)))
}

impl Visible {
    fn of_model(model: &Model, event: Event) -> Self {
        Self {
            event,
            pc: model.pc,
            gpr: model.gpr,
            link: model.link,
            registers: all_registers()
                .map(|register| (register, model.read(register)))
                .collect(),
            tlb: model
                .tlb
                .iter()
                .map(|entry| (entry.hi, entry.lo, entry.mask))
                .collect(),
            places: model.places.clone(),
        }
    }

    fn of_emulator(processor: &Processor, event: Event) -> Self {
        let guest = &processor.guest;
        let read = |(number, select)| guest.peek_cp0(number as u8, select as u8);
        Self {
            event,
            pc: processor.pc(),
            gpr: guest.vcpu.context.gpr,
            link: processor.link,
            registers: all_registers()
                .map(|register| (register, read(register)))
                .collect(),
            tlb: guest
                .vcpu
                .tlb
                .iter()
                .map(|(_, entry)| (entry.hi, [entry.lo0, entry.lo1], entry.page_mask))
                .collect(),
            places: processor.places.clone(),
        }
    }

    /// Where they differ, a line each.
    fn differences(&self, emulator: &Self) -> String {
        let mut text = String::new();
        let mut line = |what: String, model: String, emulator: String| {
            if model != emulator {
                text += &format!("  {what}: model {model}, emulator {emulator}\n");
            }
        };
        let debug = |event: &dyn std::fmt::Debug| format!("{event:x?}");
        line("event".into(), debug(&self.event), debug(&emulator.event));
        line("pc".into(), debug(&self.pc), debug(&emulator.pc));
        line("LLbit".into(), debug(&self.link), debug(&emulator.link));
        line(
            "accesses".into(),
            debug(&self.places),
            debug(&emulator.places),
        );
        for (number, (model, emulator)) in self.gpr.iter().zip(&emulator.gpr).enumerate() {
            line(format!("${number}"), debug(model), debug(emulator));
        }
        for (model, emulator) in self.registers.iter().zip(&emulator.registers) {
            line(
                format!("CP0 {:?}", model.0),
                debug(&model.1),
                debug(&emulator.1),
            );
        }
        for (index, (model, emulator)) in self.tlb.iter().zip(&emulator.tlb).enumerate() {
            line(format!("TLB entry {index}"), debug(model), debug(emulator));
        }
        text
    }
}

/// Both sides.
pub struct Lockstep {
    processor: Processor,
    model: Model,
}

impl Lockstep {
    pub fn new() -> Self {
        let mut guest = Guest::new();
        guest.vcpu.special.set_status(0x0400_00e0);
        let mut model = Model::new(CODE, PAGES * PAGE_SIZE);
        for (register, value) in model.fpr.iter_mut().enumerate() {
            *value = register as u64;
        }
        guest.vcpu.fpu.fpr = model.fpr;
        guest.machine.fpu.fpr = model.fpr;
        Self {
            processor: Processor::new(guest),
            model,
        }
    }

    /// Takes a step on both sides; whether the guest goes on.
    pub fn step(&mut self, step: &Step) -> bool {
        match *step {
            Step::Execute {
                ref values,
                branch,
                word,
            } => {
                for &(register, value) in values {
                    self.model.set_gpr(register, value);
                    self.processor.guest.vcpu.context.gpr[register] = value;
                }
                return self.execute(branch, word);
            }
            Step::Time(ticks) => {
                self.model.pass(ticks);
                let guest = &mut self.processor.guest;
                guest.now += ticks;
                guest.machine.count = guest.machine.count.wrapping_add(ticks as u32);
                guest.resume();
            }
            Step::Line(line, raised) => {
                self.model.set_line(line, raised);
                self.processor.guest.vcpu.set_line(line, raised);
                self.processor.guest.resume();
            }
            Step::Memory(physical, value) => {
                self.model.memory.insert(physical, value);
                self.processor.guest.store(physical, value);
            }
        }
        self.model.places.clear();
        self.processor.places.clear();
        let model = Visible::of_model(&self.model, Event::None);
        let emulator = Visible::of_emulator(&self.processor, Event::None);
        assert!(
            model == emulator,
            "after {step:x?}:\n{}",
            model.differences(&emulator)
        );
        true
    }

    fn execute(&mut self, branch: Option<u32>, word: u32) -> bool {
        let event = self.processor.step(branch, word);
        let emulator = Visible::of_emulator(&self.processor, event);
        let mut choices = Choices::default();
        let mut first = None;
        loop {
            let mut model = self.model.clone();
            let event = model.step(branch, word, &mut choices);
            let visible = Visible::of_model(&model, event);
            if visible == emulator {
                self.model = model;
                break;
            }
            let differences = visible.differences(&emulator);
            let first = first.get_or_insert(differences);
            if !choices.advance() {
                panic!(
                    "{word:#010x} behind {branch:x?} at {:#x}:\n{first}\
                     (the first of all allowed ends; registers before: {:x?})",
                    self.model.pc, self.model.registers
                );
            }
        }
        self.audit();
        !matches!(event, Event::NoVector(_))
    }

    /// What holds besides: the special page shows the registers, the monitor's tables are sound.
    fn audit(&self) {
        let guest = &self.processor.guest;
        if self.processor.trapped {
            let held = self.model.interrupt_waits() && !self.model.interrupted;
            assert_eq!(guest.vcpu.special.pending() != 0, held, "pending");
        }
        for (slot, word) in guest.vcpu.special.memory().iter().enumerate() {
            let Some(register) = in_slot(slot as u64 * 8) else {
                continue;
            };
            let word = word.load(std::sync::atomic::Ordering::Relaxed);
            assert_eq!(word, self.model.read(register), "slot of {register:?}");
        }
        guest.audit();
    }

    fn memory_agrees(&self) {
        for (&physical, &value) in &self.model.memory {
            let machine = self.processor.guest.machine_address(physical);
            assert_eq!(
                self.processor.guest.machine.load(machine),
                value,
                "{physical:#x}"
            );
        }
    }
}

fn run(steps: &[Step]) {
    let mut lockstep = Lockstep::new();
    for step in steps {
        if !lockstep.step(step) {
            break;
        }
    }
    lockstep.memory_agrees();
}

proptest! {
    #[test]
    fn anything(steps in steps::sequence(1..40)) {
        run(&steps);
    }
}
