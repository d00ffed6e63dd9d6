//! What a stay in the monitor was for, from the points that it passed.

use disco_abi::Call;
use disco_arch::instruction::{Cp0Register, Instruction, Privileged, Width};
use disco_breakdown::report::StayReport;
use std::collections::BTreeSet;

/// Registers of CP0 by number and select, as the manuals call them.
const REGISTERS: &[(u8, u8, &str)] = &[
    (0, 0, "Index"),
    (2, 0, "EntryLo0"),
    (3, 0, "EntryLo1"),
    (4, 0, "Context"),
    (4, 2, "UserLocal"),
    (5, 0, "PageMask"),
    (5, 1, "PageGrain"),
    (5, 5, "PWBase"),
    (5, 6, "PWField"),
    (5, 7, "PWSize"),
    (6, 0, "Wired"),
    (6, 6, "PWCtl"),
    (7, 0, "HWREna"),
    (8, 0, "BadVAddr"),
    (9, 0, "Count"),
    (10, 0, "EntryHi"),
    (11, 0, "Compare"),
    (12, 0, "Status"),
    (12, 1, "IntCtl"),
    (13, 0, "Cause"),
    (14, 0, "EPC"),
    (15, 0, "PRId"),
    (15, 1, "EBase"),
    (16, 0, "Config"),
    (16, 1, "Config1"),
    (16, 2, "Config2"),
    (16, 3, "Config3"),
    (16, 4, "Config4"),
    (16, 5, "Config5"),
    (20, 0, "XContext"),
    (30, 0, "ErrorEPC"),
];

/// The cause of a stay, for people; equal for equal causes.
pub fn of(stay: &StayReport) -> String {
    let points: BTreeSet<&str> = stay.points.iter().map(String::as_str).collect();
    let passed = |point| points.contains(point);
    let word = Instruction(stay.instruction);
    if passed("second_level") {
        return "second-level TLB".to_owned();
    }
    if passed("large_page") {
        return "linear window, large page".to_owned();
    }
    if passed("system_call") {
        return "system call to the guest".to_owned();
    }
    if passed("eret") {
        return "privileged: eret".to_owned();
    }
    if passed("call") {
        let call = Call::from_number(stay.call);
        return call.map_or_else(
            || format!("call: number {}", stay.call),
            |call| format!("call: {call:?}"),
        );
    }
    if passed("privileged") {
        return format!("privileged: {}", privileged(word));
    }
    if passed("interrupt") {
        let of = ["board", "timer", "ipi"];
        let which = of.into_iter().find(|&which| passed(which));
        let which = which.unwrap_or("others");
        return if passed("deliver") {
            format!("interrupt: {which}, for the guest")
        } else {
            format!("interrupt: {which}")
        };
    }
    let miss = [
        ("reflect_refill", "miss: reflected"),
        ("populate", "miss: first touch of a page"),
        ("unshare", "miss: copy on write"),
        ("window_page", "linear window, small page"),
        ("virtual_tlb", "miss: virtual TLB"),
    ];
    if let Some((_, cause)) = miss.into_iter().find(|(point, _)| passed(point)) {
        return cause.to_owned();
    }
    if passed("tlb_fault") {
        let reflected = passed("reflect");
        let cause = match (reflected, passed("walk")) {
            (true, _) => "page fault: reflected",
            (false, true) => "page fault: walk",
            (false, false) => "page fault: TLB",
        };
        return cause.to_owned();
    }
    if passed("walk") {
        let cause = if passed("reflect") {
            "page fault: found by a walk, reflected"
        } else {
            "miss: walk"
        };
        return cause.to_owned();
    }
    if passed("fpu") {
        return "FPU enabled".to_owned();
    }
    if passed("rdhwr") {
        return "rdhwr".to_owned();
    }
    if passed("reflect") {
        return format!("exception: {}", exception(stay.instruction));
    }
    "others".to_owned()
}

/// Its name, with that of the register it moves.
fn privileged(word: Instruction) -> String {
    let moved = |name: &str, register: Cp0Register, width: Width| {
        let double = if width == Width::Double { "d" } else { "" };
        format!("{double}{name} {}", name_of(register))
    };
    match word.privileged() {
        Some(Privileged::MoveFrom {
            register, width, ..
        }) => moved("mfc0", register, width),
        Some(Privileged::MoveTo {
            register, width, ..
        }) => moved("mtc0", register, width),
        Some(Privileged::TlbRead) => "tlbr".to_owned(),
        Some(Privileged::TlbWriteIndexed) => "tlbwi".to_owned(),
        Some(Privileged::TlbWriteRandom) => "tlbwr".to_owned(),
        Some(Privileged::TlbProbe) => "tlbp".to_owned(),
        Some(Privileged::TlbInvalidate) => "tlbinv".to_owned(),
        Some(Privileged::TlbInvalidateFlush) => "tlbinvf".to_owned(),
        Some(Privileged::Eret) => "eret, slow".to_owned(),
        Some(Privileged::EretKeepLink) => "eretnc, slow".to_owned(),
        Some(Privileged::Deret) => "deret".to_owned(),
        Some(Privileged::Wait) => "wait".to_owned(),
        Some(Privileged::DisableInterrupts(_)) => "di".to_owned(),
        Some(Privileged::EnableInterrupts(_)) => "ei".to_owned(),
        Some(Privileged::OtherProcessors(_)) => "dvp, evp".to_owned(),
        Some(Privileged::Cache) => "cache".to_owned(),
        Some(Privileged::Hypcall) => "hypcall".to_owned(),
        None => format!("{:#010x}", word.0),
    }
}

fn name_of(Cp0Register { number, select }: Cp0Register) -> String {
    let is_it = |of: &&(u8, u8, &str)| (of.0, of.1) == (number, select);
    match REGISTERS.iter().find(is_it) {
        Some((_, _, name)) => (*name).to_owned(),
        None => format!("${number}, {select}"),
    }
}

/// What raised an exception, by the instruction's opcode.
fn exception(word: u32) -> &'static str {
    match (word >> 26, word & 0x3f) {
        (0, 0x0c) => "system call, slow",
        (0, 0x0d) => "breakpoint",
        (0, 0x30..=0x36) => "trap",
        (0x11 | 0x31 | 0x35 | 0x39 | 0x3d, _) => "FPU",
        (0x1f, 0x3b) => "rdhwr",
        _ => "others",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause(points: &[&str], instruction: u32, call: u64) -> String {
        of(&StayReport {
            points: points.iter().map(|&point| point.to_owned()).collect(),
            instruction,
            call,
            entries: 1,
            instructions: 1,
        })
    }

    #[test]
    fn causes_of_stays() {
        for (points, instruction, call, expected) in [
            (&["refill", "second_level"][..], 0, 0, "second-level TLB"),
            (&["refill", "save", "walk"], 0, 0, "miss: walk"),
            (
                &["general", "save", "privileged"],
                0x4086_5800,
                0,
                "privileged: mtc0 Compare",
            ),
            (
                &["general", "save", "privileged", "call"],
                0x4200_0028,
                11,
                "call: Context",
            ),
            (
                &["general", "save", "tlb_fault", "reflect"],
                0,
                0,
                "page fault: reflected",
            ),
            (
                &["general", "save", "tlb_fault", "walk"],
                0,
                0,
                "page fault: walk",
            ),
            (
                &["interrupt", "save", "timer", "turn", "deliver"],
                0,
                0,
                "interrupt: timer, for the guest",
            ),
            (&["general", "save", "fpu"], 0, 0, "FPU enabled"),
            (
                &["general", "save", "reflect"],
                0x0000_000d,
                0,
                "exception: breakpoint",
            ),
            (&["general", "save"], 0, 0, "others"),
        ] {
            assert_eq!(cause(points, instruction, call), expected);
        }
    }
}
