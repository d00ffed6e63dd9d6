//! Shows a difference to a person.

use super::Found;
use disco_executor_layout::TRACE_FIELDS;
use disco_fuzz::isa::disassemble;
use disco_fuzz::outcome::Outcome;
use disco_fuzz::program::{Program, Value, CODE_BASES};

/// Differences, and exceptions, that are printed at most: the first is mostly the cause of the others.
const SHOWN: usize = 16;

/// Prints everything about a difference.
pub fn print(seed: u64, found: &Found) {
    let Found {
        number,
        smallest,
        outcomes,
        why,
    } = found;
    println!("DIFFERENCE in program {number} of seed {seed}");
    println!("  again: cargo xtask fuzz cpu --seed {seed} --program {number}");
    if !why.is_empty() {
        println!("  {why}");
    }
    println!("\nwhat is left of the program:");
    start(smallest);
    listing(smallest);
    if let Some((native, guest)) = outcomes {
        println!("\nwhere they differ:");
        let differences = native.differences(guest);
        for difference in differences.iter().take(SHOWN) {
            println!("  {difference}");
        }
        if differences.len() > SHOWN {
            println!("  and {} more", differences.len() - SHOWN);
        }
        println!("\nexceptions natively:");
        trace(native);
        println!("exceptions in the virtual machine:");
        trace(guest);
    }
}

fn start(program: &Program) {
    println!(
        "  Status {:#010x}, EntryHi {:#x}, at {:#x}",
        program.status,
        program.cp0[program.cp0.len() - 1],
        CODE_BASES[program.start]
    );
    for (index, entry) in program.tlb.iter().enumerate() {
        if entry[0] != Value::Const(1 << 10) {
            println!("  TLB entry {index}: {}", entry.map(shown).join(" "));
        }
    }
    let registers = program
        .gpr
        .iter()
        .enumerate()
        .filter(|(_, &value)| value != 0);
    for (number, value) in registers {
        println!("  ${number} = {value:#x}");
    }
}

fn shown(value: Value) -> String {
    match value {
        Value::Const(value) => format!("{value:#x}"),
        Value::LargeLo {
            odd,
            bytes,
            flags,
            other,
        } => format!(
            "[{} half of large pages, {} KiB: {flags:#x} with the slot, else {other:#x}]",
            if odd { "odd" } else { "even" },
            bytes >> 10
        ),
        Value::Hi { base, bytes } => format!(
            "[{base:#x} + the slot's place, in pairs of {} KiB]",
            bytes >> 10
        ),
        Value::Lo {
            offset,
            bytes,
            flags,
        } => format!(
            "[page {offset:#x} of the slot, {} KiB, {flags:#x}]",
            bytes >> 10
        ),
        other => format!("{other:?}"),
    }
}

fn listing(program: &Program) {
    let code = program.code(0, true);
    let name = |word: usize| {
        let unit = code.starts.iter().position(|&start| start == word)?;
        Some(program.units.get(unit).map_or("end", |unit| unit.name))
    };
    for (number, &word) in code.words.iter().enumerate() {
        if let Some(name) = name(number) {
            println!("  # {name}");
        }
        let address = CODE_BASES[0] + 4 * number as u64;
        println!("  {address:#x}: {word:08x}  {}", disassemble(word, address));
    }
}

fn trace(outcome: &Outcome) {
    let trace = outcome.trace();
    if trace.len() > SHOWN {
        println!("  (the first {SHOWN} of {})", trace.len());
    }
    for (number, entry) in trace.iter().take(SHOWN).enumerate() {
        let fields = TRACE_FIELDS.iter().zip(entry);
        let text: Vec<String> = fields
            .map(|(name, value)| format!("{name} {value:#x}"))
            .collect();
        println!("  {number}: {}", text.join(", "));
    }
}
