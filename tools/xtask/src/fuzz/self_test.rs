//! `cargo xtask fuzz cpu --self-test`: shows that the comparison can fail. Small defects are seeded into
//! the emulator, one after the other, and each has to be found.

use super::{Campaign, Executor, PACKAGE};
use crate::build::monitor::Image;
use crate::setup::toolchain::Toolchain;
use anyhow::Result;
use std::process::ExitCode;

/// Programs that a defect may take to be found.
const PROGRAMS: u64 = 2000;

/// The defects of `kernel/src/vm/defect.rs`, by their numbers.
const DEFECTS: &[(u64, &str)] = &[
    (1, "BD: Cause.BD stays 0 in delay slots"),
    (
        2,
        "forbidden slot: what is behind an emulated instruction there is skipped",
    ),
    (
        3,
        "delay slot: behind an emulated instruction the branch is not taken",
    ),
    (
        4,
        "LLbit: a trap that the guest does not see breaks its pair",
    ),
    (5, "PageMask: pages are mapped a size too small"),
    (6, "G bit: one half's is enough"),
    (7, "ASID: entries of every ASID match"),
    (8, "XI: is not put into the real TLB"),
    (9, "BadVAddr: its low three bits are lost"),
    (10, "nested EXL: EPC and BD are overwritten"),
    (11, "Compare: a write leaves the timer's interrupt"),
    (12, "nested refill: goes to the refill vector"),
    (13, "D: every page is writable"),
    (14, "tlbp: Index.P is not set"),
    (
        15,
        "Context, XContext, EntryHi: a bit of the address is lost",
    ),
    (16, "BadInstrP: stays as it was"),
    (17, "ERL: eret ignores it"),
    (18, "IM: does not hold interrupts back"),
];

/// Runs programs against each defect.
pub fn run(seed: u64, toolchain: &Toolchain) -> Result<ExitCode> {
    let executor = Executor::build(PACKAGE, Image::build(toolchain)?, toolchain)?;
    let mut monitor = Image::build_with_defects(toolchain)?;
    println!("seed {seed}");
    let mut missed = 0;
    for &(number, what) in DEFECTS {
        monitor.seed(number)?;
        let mut campaign = Campaign::new(&executor, &monitor, seed);
        match campaign.first_difference(PROGRAMS)? {
            Some(program) => println!("found   {what} (program {program})"),
            None => {
                println!("MISSED  {what}");
                missed += 1;
            }
        }
    }
    println!(
        "{} of {} defects found",
        DEFECTS.len() - missed,
        DEFECTS.len()
    );
    Ok(if missed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
