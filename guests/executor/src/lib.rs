//! The executor of random programs.
//!
//! It takes batches of programs from the host (`layout`), runs each from the same beginning, and
//! leaves in its slot what it did: every exception, and all state at the end. Programs see the same
//! virtual and physical addresses on the board and in a virtual machine; only this program lies
//! elsewhere.
#![no_std]
#![feature(asm_experimental_arch)]

mod program;
mod witness;

use disco_bare::cp0::reg;
use disco_bare::tlb::{self, Entry};
use disco_bare::{place, program};
use disco_executor_layout as layout;

program!(serve);

/// `break 0x3ff`: what is behind a program's words.
const FILLER: u32 = 0x0000_ffcd;

/// A 64-bit word of physical memory.
fn word(physical: u64) -> *mut u64 {
    (place::base() + physical) as usize as *mut u64
}

fn load(physical: u64) -> u64 {
    // SAFETY: everything asked for is in the slots or the mailbox, which nothing else uses; the
    // host may write it meanwhile: volatile.
    unsafe { word(physical).read_volatile() }
}

fn store(physical: u64, value: u64) {
    // SAFETY: as in `load`.
    unsafe { word(physical).write_volatile(value) }
}

/// Serves the host for ever, or is a witness for ever, as the command line says.
fn serve() {
    if place::word("role") == Some("witness") {
        witness::watch();
    }
    if place::is_native() {
        mask_interrupts();
    }
    reg::EBASE.write(program::vectors());
    for slot in 0..layout::SLOTS {
        prepare_slot(slot);
    }
    let mailbox = layout::MAILBOX_AT;
    store(mailbox + layout::MAIL_ASKED, 0);
    store(mailbox + layout::MAIL_DONE, 0);
    store(mailbox, layout::MAILBOX_MAGIC);
    let mut done = 0;
    loop {
        while load(mailbox + layout::MAIL_ASKED) == done {}
        done += 1;
        let batch = mailbox + layout::MAIL_BATCH + (done & 1) * 16;
        let (first, count) = (load(batch), load(batch + 8));
        for slot in first..first + count {
            store(mailbox + layout::MAIL_RUNNING, slot);
            run_slot(slot % layout::SLOTS);
        }
        store(mailbox + layout::MAIL_DONE, done);
    }
}

/// Silences the board's interrupts, which a virtual machine has not: the i8259's, and the GIC's timer,
/// which would strike when its counter comes round after 43 s. The host starts the board with two
/// CPUs, so that there is a GIC.
fn mask_interrupts() {
    let kseg1 = |physical: u64| (0xffff_ffff_a000_0000 | physical) as usize;
    // SAFETY: registers of the board in kseg1, which nothing else uses: the i8259s' masks behind the
    // PCI bus, the GCR that places the GIC, and the GIC's configuration, whose bit 28 stops the counter.
    unsafe {
        (kseg1(0x1800_0021) as *mut u8).write_volatile(0xff);
        (kseg1(0x1800_00a1) as *mut u8).write_volatile(0xff);
        (kseg1(0x1fbf_8080) as *mut u64).write_volatile(0x1bdc_0001);
        (kseg1(0x1bdc_0000) as *mut u32).write_volatile(1 << 28);
    }
}

fn slot_address(slot: u64) -> u64 {
    layout::SLOTS_AT + slot * layout::SLOT
}

fn prepare_slot(slot: u64) {
    let start = slot_address(slot);
    let filler = u64::from(FILLER) << 32 | u64::from(FILLER);
    for offset in (0..layout::PAGE).step_by(8) {
        store(start + layout::CODE_PAGE + offset, filler);
    }
    show_in_many_places(start);
    let control = start + layout::CONTROL_PAGE;
    store(control + 8, slot);
    store(control, layout::SLOT_MAGIC);
}

/// Maps a slot in so many places that the monitor stops to record them: the first few times it uses
/// LL and SC, which breaks a pair of the program's. It may, but the board would not.
fn show_in_many_places(start: u64) {
    for window in 1..=4 {
        for page in [0, 2] {
            let flags = tlb::LO_V | tlb::LO_D;
            let entry = Entry {
                hi: window << 32 | page << 14,
                lo0: tlb::lo(start + page * layout::PAGE, flags),
                lo1: tlb::lo(start + (page + 1) * layout::PAGE, flags),
                page_mask: tlb::MASK_16K,
            };
            tlb::write_indexed(0, &entry);
        }
    }
}

fn run_slot(slot: u64) {
    let start = slot_address(slot);
    let control = start + layout::CONTROL_PAGE;
    // The emulator notices that code changes by the stores of the CPU alone: the host must not
    // write it in its place.
    for offset in (0..4 * layout::WORDS as u64).step_by(8) {
        store(
            start + layout::CODE_PAGE + offset,
            load(control + layout::CODE + offset),
        );
    }
    program::run(word(control));
}
