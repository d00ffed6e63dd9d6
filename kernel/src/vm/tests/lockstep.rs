//! The emulator and the model, side by side: the same steps, the same state after each.
//!
//! Where the architecture leaves something open, every answer is tried, and the emulator has to
//! agree with one. Those that agree differ in hidden TLB entries alone: the model goes on with the
//! hidden entries of them all.

use super::guest::{Guest, CODE, PAGES};
use super::model::registers::*;
use super::model::{Choices, Event, Model};
use super::processor::Processor;
use super::steps::{tasks, Step};
use crate::vm::hardware::Hardware;
use crate::vm::shootdown::Request;
use disco_abi::PAGE_SIZE;
use proptest::prelude::*;

/// Takes a step.
fn take(model: &mut Model, step: &Step, choices: &mut Choices) -> Event {
    model.places.clear();
    match *step {
        Step::Execute {
            ref values,
            branch,
            word,
        } => {
            for &(register, value) in values {
                model.set_gpr(register, value);
            }
            return model.step(branch, word, choices);
        }
        Step::Time(ticks) => model.pass(ticks),
        Step::Line(line, raised) => model.set_line(line, raised),
        Step::Shootdown(key, bytes) => model.shoot_down(key, bytes),
        Step::Backing(..) => {}
        Step::Memory(physical, value) => {
            model.memory.insert(physical, value);
        }
    }
    Event::None
}

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

impl Visible {
    fn of_model(model: &Model, event: Event) -> Self {
        Self {
            event,
            pc: model.pc,
            gpr: model.gpr,
            link: model.link,
            registers: existing()
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
            registers: existing()
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
    /// Steps so far, of those that are sampled.
    sampled: Option<u32>,
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
            sampled: None,
        }
    }

    /// The same, where refills are sampled all the time.
    fn sampled() -> Self {
        Self {
            sampled: Some(0),
            ..Self::new()
        }
    }

    /// Takes a step on both sides; whether the guest goes on.
    pub fn step(&mut self, step: &Step) -> bool {
        self.processor.places.clear();
        self.processor.trapped = true;
        self.processor.show();
        if let Some(steps) = &mut self.sampled {
            *steps += 1;
            match *steps % 8 {
                1 | 5 => self.processor.sample_next(false),
                3 => self.processor.sample_next(true),
                _ => {}
            }
        }
        let is_execute = matches!(step, Step::Execute { .. });
        if !is_execute {
            self.processor.show();
        }
        let guest = &mut self.processor.guest;
        let event = match *step {
            Step::Execute {
                ref values,
                branch,
                word,
            } => {
                for &(register, value) in values {
                    guest.set_gpr(register, value);
                }
                self.processor.step(branch, word)
            }
            Step::Time(ticks) => {
                guest.pass(ticks);
                Event::None
            }
            Step::Line(line, raised) => {
                guest.vcpu.set_line(line, raised);
                guest.resume();
                Event::None
            }
            Step::Shootdown(key, bytes) => {
                let request = Request { key, bytes };
                guest.vcpu.shoot_down(request, &mut guest.machine);
                guest.resume();
                Event::None
            }
            Step::Backing(first, count, change) => {
                guest.change(first, count, change);
                self.processor.trapped = false;
                Event::None
            }
            Step::Memory(physical, value) => {
                guest.store(physical, value);
                self.processor.trapped = false;
                Event::None
            }
        };
        self.processor.show();
        let emulator = Visible::of_emulator(&self.processor, event);
        let mut allowed: Option<Model> = None;
        let mut differences = None;
        let mut choices = Choices::default();
        loop {
            let mut model = self.model.clone();
            let event = take(&mut model, step, &mut choices);
            let visible = Visible::of_model(&model, event);
            if visible != emulator {
                differences.get_or_insert_with(|| visible.differences(&emulator));
            } else if let Some(allowed) = &mut allowed {
                allowed.hide_all(&model);
            } else {
                allowed = Some(model);
            }
            if !choices.advance() {
                break;
            }
        }
        self.model = allowed.unwrap_or_else(|| {
            panic!(
                "{step:?} at {:#x}:\n{}(from the first of all allowed ends; registers before: {:x?})",
                self.model.pc,
                differences.unwrap_or_default(),
                self.model.registers
            )
        });
        self.audit();
        !matches!(event, Event::NoVector(_))
    }

    /// What holds besides: the special page shows the registers, the monitor's tables are sound.
    fn audit(&self) {
        let (guest, model) = (&self.processor.guest, &self.model);
        if self.processor.trapped {
            let held = model.interrupt_waits() && !model.interrupted;
            assert_eq!(guest.vcpu.special.pending() != 0, held, "pending");
        }
        for (slot, word) in guest.vcpu.special.memory().iter().enumerate() {
            let Some(register) = in_slot(slot as u64 * 8) else {
                continue;
            };
            let word = word.load(std::sync::atomic::Ordering::Relaxed);
            assert_eq!(word, model.read(register), "slot of {register:?}");
        }
        guest.audit();
    }

    /// What is too much for every step: memory, and registers that there are not.
    fn agree_at_the_end(&self) {
        for register in (0..32).flat_map(|number| (0..8).map(move |select| (number, select))) {
            let (number, select) = (register.0 as u8, register.1 as u8);
            let value = self.processor.guest.peek_cp0(number, select);
            assert_eq!(value, self.model.read(register), "{register:?}");
        }
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
    run_on(&mut lockstep, steps);
    lockstep.agree_at_the_end();
}

/// Takes steps; whether the guest goes on.
fn run_on(lockstep: &mut Lockstep, steps: &[Step]) -> bool {
    steps.iter().all(|step| lockstep.step(step))
}

proptest! {
    #[test]
    fn anything(steps in tasks::anything()) {
        run(&steps);
    }

    #[test]
    fn slots_of_branches(steps in tasks::slots()) {
        run(&steps);
    }

    #[test]
    fn translations(steps in tasks::translations()) {
        run(&steps);
    }

    #[test]
    fn whatever_is_sampled(steps in prop_oneof![tasks::anything(), tasks::translations()]) {
        let mut lockstep = Lockstep::sampled();
        run_on(&mut lockstep, &steps);
        lockstep.agree_at_the_end();
    }

    #[test]
    fn nothing_outlives_the_overwriting_of_every_index(
        steps in tasks::translations(),
        accesses in tasks::accesses(),
    ) {
        let mut lockstep = Lockstep::new();
        if run_on(&mut lockstep, &steps) && run_on(&mut lockstep, &tasks::overwrite_every_entry()) {
            prop_assert!(lockstep.model.hidden.is_empty());
            run_on(&mut lockstep, &accesses);
        }
    }
}
