//! A logic simulator, as engineers run many of at once: gates of three inputs, 64 patterns at a time in the
//! bits of a word.

use crate::{mix, Random};

/// A gate.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Gate {
    /// What it puts out, for each pattern.
    value: u64,
    /// How many patterns have changed so far.
    toggles: u32,
    /// Bit `a + 2 b + 4 c` is what it puts out for inputs a, b and c.
    table: u32,
    /// Numbers of the gates that its inputs come from.
    inputs: [u32; 3],
    /// Round to 32 bytes: four to a line of 128.
    reserved: u32,
}

/// Of a thousand inputs, how many come from anywhere; the others come from nearby, as in a real circuit.
const FAR: u32 = 120;
/// How far away the others are at most.
const NEAR: u32 = 1024;

/// Makes a circuit of `seed`.
pub fn build(gates: &mut [Gate], seed: u64) {
    let count = gates.len() as u32;
    let mut random = Random::new(seed);
    for (number, gate) in (0..count).zip(gates) {
        let inputs = [(); 3].map(|()| match random.below(1000) {
            0..FAR => random.below(count),
            _ => (number + count - NEAR + random.below(2 * NEAR)) % count,
        });
        *gate = Gate {
            value: random.draw(),
            toggles: 0,
            table: random.below(256),
            inputs,
            reserved: 0,
        };
    }
}

/// One clock cycle: each gate in its turn.
pub fn cycle(gates: &mut [Gate]) {
    for number in 0..gates.len() {
        let gate = gates[number];
        let [a, b, c] = gate.inputs.map(|input| gates[input as usize].value);
        let value = look_up(gate.table, a, b, c);
        let gate = &mut gates[number];
        gate.toggles = gate.toggles.wrapping_add((value ^ gate.value).count_ones());
        gate.value = value;
    }
}

/// The table's output for each pattern: a tree of multiplexers.
fn look_up(table: u32, a: u64, b: u64, c: u64) -> u64 {
    let bit = |row: u32| 0u64.wrapping_sub(u64::from(table >> row & 1));
    let by_a = |row: u32| bit(row) ^ (bit(row) ^ bit(row + 1)) & a;
    let by_b = |row: u32| by_a(row) ^ (by_a(row) ^ by_a(row + 2)) & b;
    by_b(0) ^ (by_b(0) ^ by_b(4)) & c
}

/// What the circuit has come to.
pub fn checksum(gates: &[Gate]) -> u64 {
    let add = |sum, gate: &Gate| mix(mix(sum, gate.value), gate.toggles.into());
    gates.iter().fold(0, add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_is_a_quarter_of_a_line() {
        assert_eq!(size_of::<Gate>(), 32);
    }

    #[test]
    fn tables_are_looked_up_bit_by_bit() {
        let mut random = Random::new(3);
        for table in 0..256 {
            let [a, b, c] = [(); 3].map(|()| random.draw());
            let value = look_up(table, a, b, c);
            for pattern in 0..64 {
                let input = |word: u64| (word >> pattern & 1) as u32;
                let row = input(a) + 2 * input(b) + 4 * input(c);
                assert_eq!(value >> pattern & 1, u64::from(table >> row & 1));
            }
        }
    }

    #[test]
    fn a_circuit_keeps_changing_and_depends_on_its_seed() {
        let run = |seed, cycles| {
            let mut gates = vec![Gate::default(); 8192];
            build(&mut gates, seed);
            (0..cycles).for_each(|_| cycle(&mut gates));
            checksum(&gates)
        };
        assert_eq!(run(1, 20), run(1, 20));
        assert_ne!(run(1, 20), run(2, 20));
        assert_ne!(run(1, 20), run(1, 21));
    }
}
