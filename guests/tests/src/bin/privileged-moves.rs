//! `mfc0` and `mtc0` of every register keep what the register has, and nothing else.
#![no_std]
#![no_main]

use disco_test_guests::abi::{BootInfo, CSSEG_WINDOW};
use disco_test_guests::cp0::reg;
use disco_test_guests::exception::code;
use disco_test_guests::execute::{kernel, Registers};
use disco_test_guests::instruction::*;
use disco_test_guests::registers::*;

disco_test_guests::guest!(run);

fn execute(words: &[u32], a0: u64) -> u64 {
    let mut registers = Registers::with(&[(A0, a0)]);
    assert!(kernel(words, &mut registers).is_none(), "{words:x?}");
    registers.get(V0)
}

/// Reads a register by 32 bits.
fn word(number: u32, select: u32) -> u64 {
    execute(&[mfc0(V0, number, select)], 0)
}

/// Writes a register by 32 bits.
fn set_word(number: u32, select: u32, value: u64) {
    execute(&[mtc0(A0, number, select)], value);
}

fn run(_: &'static BootInfo) {
    widths();
    entry_lo();
    tlb_registers();
    exception_base();
    fixed();
    missing();
    // $0 stays 0 and a move from it writes 0.
    assert_eq!(
        execute(&[dmfc0(ZERO, 15, 0), daddu(V0, ZERO, ZERO)], 0),
        0,
        "$0"
    );
    reg::KSCRATCH1.write(9);
    execute(&[dmtc0(ZERO, 31, 2)], 0);
    assert_eq!(reg::KSCRATCH1.read(), 0, "dmtc0 of $0");
}

fn widths() {
    let value = 0x1234_5678_9abc_def0;
    for select in 2..8 {
        execute(&[dmtc0(A0, 31, select)], value + u64::from(select));
    }
    for select in 2..8 {
        let kept = value + u64::from(select);
        assert_eq!(
            execute(&[dmfc0(V0, 31, select)], 0),
            kept,
            "KScratch, select {select}"
        );
        assert_eq!(
            word(31, select),
            kept & 0xffff_ffff | 0xffff_ffff << 32,
            "mfc0 extends the sign"
        );
    }
    set_word(14, 0, 0xffff_0000_8000_1234);
    assert_eq!(
        reg::EPC.read(),
        0xffff_0000_8000_1234,
        "mtc0 writes all, as on the board"
    );
    let frame = kernel(&[mfhc0(V0, 14, 0)], &mut Registers::new());
    assert_eq!(frame.expect("an exception").code(), code::RI);
}

fn entry_lo() {
    for number in [2, 3] {
        execute(&[dmtc0(A0, number, 0)], u64::MAX);
        let kept = execute(&[dmfc0(V0, number, 0)], 0);
        assert_eq!(kept >> 62, 3, "RI and XI");
        assert_eq!(kept & 0x3f, 0x3f, "flags");
        assert_eq!(kept >> 36 & 0x3ff_ffff, 0, "page numbers are not that long");
        // By 32 bits RI and XI are in bits 31 and 30.
        assert_eq!(word(number, 0) >> 30 & 3, 3);
        set_word(number, 0, 0x4000_0047);
        assert_eq!(execute(&[dmfc0(V0, number, 0)], 0), 1 << 62 | 0x47);
        set_word(number, 0, 0xffff_ffff_8000_0047);
        assert_eq!(execute(&[dmfc0(V0, number, 0)], 0), 1 << 63 | 0x47);
        assert_eq!(word(number, 0), 0xffff_ffff_8000_0047);
    }
}

fn tlb_registers() {
    for (written, kept) in [
        (0, 0),
        (0x6000, 0x6000),
        (0x1_e000, 0x1_e000),
        (0x1fff_e000, 0x1fff_e000),
    ] {
        reg::PAGE_MASK.write(written);
        assert_eq!(reg::PAGE_MASK.read(), kept, "PageMask {written:#x}");
    }
    reg::PAGE_MASK.write(0xffff_ffff_8000_0000 | 0x1fff | 0x6000);
    assert_eq!(reg::PAGE_MASK.read(), 0x6000, "PageMask's other bits");
    reg::INDEX.write(11);
    reg::INDEX.write(16);
    assert_eq!(
        reg::INDEX.read(),
        11,
        "an index that there is not is ignored"
    );
    reg::WIRED.write(5);
    assert_eq!(reg::WIRED.read() & 0xffff, 5);
    reg::WIRED.write(16);
    assert_eq!(
        reg::WIRED.read() & 0xffff,
        5,
        "as many wired entries as there are is ignored"
    );
    reg::WIRED.write(0);
    reg::ENTRY_HI.write(u64::MAX);
    assert_eq!(
        reg::ENTRY_HI.read(),
        0xc000_ffff_ffff_e7ff,
        "VPN2, R, EHINV and ASID"
    );
    reg::ENTRY_HI.write(0);
    reg::CONTEXT.write(u64::MAX);
    assert_eq!(reg::CONTEXT.read() & 0xf, 0, "Context's low bits");
    assert_eq!(reg::CONTEXT.read() >> 23, u64::MAX >> 23, "PTEBase");
}

fn exception_base() {
    let before = reg::EBASE.read();
    // Without the write gate only bits 29..12 change.
    set_word(15, 1, 0x0012_3000);
    let narrow = reg::EBASE.read() & !0xfff;
    assert_eq!(narrow & 0x3fff_f000, 0x0012_3000);
    assert_eq!(
        narrow & !0x3fff_ffff,
        before & !0x3fff_ffff,
        "bits that the write gate guards"
    );
    reg::EBASE.write(0x4000_0000_0765_4000 | 1 << 11);
    assert_eq!(
        reg::EBASE.read() & !0xfff,
        0x4000_0000_0765_4000,
        "with the write gate"
    );
    reg::EBASE.write(CSSEG_WINDOW | 1 << 11);
    assert_eq!(reg::EBASE.read() & !0xfff, CSSEG_WINDOW);
    assert_eq!(reg::EBASE.read() & 0x3ff, 0, "CPUNum");
}

/// Registers that only read.
fn fixed() {
    for (number, select) in [
        (15, 0),
        (16, 1),
        (16, 2),
        (16, 3),
        (16, 4),
        (8, 0),
        (8, 1),
        (8, 2),
    ] {
        let before = word(number, select);
        set_word(number, select, !before);
        assert_eq!(
            word(number, select),
            before,
            "register {number}, {select} only reads"
        );
    }
    assert_ne!(reg::PRID.read(), 0);
    let config1 = reg::CONFIG1.read();
    assert_eq!(config1 >> 25 & 0x3f, 15, "Config1.MMUSize");
    assert_eq!(config1 & 1, 1, "Config1.FP");
    assert_eq!(reg::CONFIG3.read() >> 24 & 1, 1, "Config3.PW");
    assert_eq!(reg::CONFIG3.read() >> 28 & 1, 0, "Config3.MSAP");
    assert_eq!(reg::CONFIG3.read() >> 23 & 1, 0, "Config3.VZ");
}

/// Registers that there are not read 0 and ignore writes.
fn missing() {
    for (number, select) in [
        (7, 3),
        (10, 4),
        (18, 0),
        (19, 0),
        (21, 0),
        (22, 1),
        (24, 2),
        (25, 5),
    ] {
        execute(&[dmtc0(A0, number, select)], u64::MAX);
        let mut registers = Registers::with(&[(V0, 0x77)]);
        assert!(kernel(&[dmfc0(V0, number, select)], &mut registers).is_none());
        assert_eq!(registers.get(V0), 0, "register {number}, {select}");
    }
}
