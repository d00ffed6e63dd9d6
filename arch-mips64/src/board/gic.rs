//! The global interrupt controller of the coherent-processing system (2 CPUs and more).

use super::registers::Registers;

/// Physical address at which [`super::cps::init`] puts it.
pub const BASE: u64 = 0x1bdc_0000;

/// Configuration of the shared section.
const SHARED_CONFIG: u64 = 0x000;
/// Shared configuration: the counter stands still.
const COUNT_STOP: u32 = 1 << 28;
/// The counter's low half.
const COUNTER: u64 = 0x010;
/// Polarity, one bit an interrupt: 1 is active high.
const POLARITY: u64 = 0x100;
/// Write edge: sets (bit 31) or clears the pending bit of an interrupt by number.
const WRITE_EDGE: u64 = 0x280;
/// Write edge: set, not clear.
const SET: u32 = 1 << 31;
/// Takes an interrupt's mask away, one bit an interrupt.
const SET_MASK: u64 = 0x380;
/// Pin of the CPU for an interrupt, one word each.
const MAP_PIN: u64 = 0x500;
/// Map: to an interrupt pin.
const TO_PIN: u32 = 1 << 31;
/// CPU of an interrupt, 32 bytes each.
const MAP_CPU: u64 = 0x2000;

/// Shared interrupt of the i8259 pair.
pub const I8259: u32 = 3;
/// First shared interrupt that is free to be one between CPUs.
pub const IPI: u32 = 64;

fn registers() -> Registers {
    // SAFETY: `cps::init` has mapped the controller here before any other function is called.
    unsafe { Registers::at(BASE) }
}

/// The counter's low half: 10 ns a count, from the machine's reset on.
pub fn counter() -> u32 {
    registers().read32(COUNTER)
}

/// Stops the counter: nobody uses it, and QEMU does not get on with it under `-icount`.
pub fn stop_counter() {
    let config = registers().read32(SHARED_CONFIG);
    registers().write32(SHARED_CONFIG, config | COUNT_STOP);
}

/// Sends shared interrupt `interrupt`, active high, to `pin` (Cause.IP bit less 2) of `cpu`.
pub fn route(interrupt: u32, cpu: usize, pin: u32) {
    let registers = registers();
    let word = u64::from(interrupt / 32) * 4;
    let bit = 1 << (interrupt % 32);
    let polarity = registers.read32(POLARITY + word);
    registers.write32(POLARITY + word, polarity | bit);
    registers.write32(MAP_PIN + 4 * u64::from(interrupt), TO_PIN | pin);
    registers.write32(MAP_CPU + 32 * u64::from(interrupt), 1 << cpu);
    registers.write32(SET_MASK + word, bit);
}

/// Makes shared interrupt `interrupt` pending.
pub fn raise(interrupt: u32) {
    registers().write32(WRITE_EDGE, SET | interrupt);
}

/// Makes shared interrupt `interrupt` not pending.
pub fn clear(interrupt: u32) {
    registers().write32(WRITE_EDGE, interrupt);
}
