//! The architectural page-table walker maps pages from tables in memory without an exception.
#![no_std]
#![no_main]

use disco_test_guests::abi::{BootInfo, Call, CSSEG_WINDOW, XSSEG_MAPPED, XSSEG_WINDOW};
use disco_test_guests::access::{load, physical, set_physical, store};
use disco_test_guests::calls::call;
use disco_test_guests::cp0::reg;
use disco_test_guests::exception::{code, VECTOR_GENERAL, VECTOR_REFILL};
use disco_test_guests::tlb::*;
use disco_test_guests::walker::{
    self, pte, set_directory, ENABLED, MIDDLE, PAGE, SUPERVISOR, USER,
};
use disco_test_guests::FREE_MEMORY;

disco_test_guests::guest!(run);

const TOP: u64 = FREE_MEMORY;
const TABLE: u64 = FREE_MEMORY + 0x4000;
const OTHER_TOP: u64 = FREE_MEMORY + 0x8000;
const OTHER_TABLE: u64 = FREE_MEMORY + 0xc000;
const DATA: u64 = FREE_MEMORY + 0x1_0000;

const BASE: u64 = 0x3_1400_0000;
/// Where the entry of page `number` from [`BASE`] on is.
fn place(table: u64, number: u64) -> u64 {
    walker::place(table, address(number))
}

const fn address(number: u64) -> u64 {
    BASE + (number << PAGE)
}

fn run(_: &'static BootInfo) {
    assert_eq!(reg::CONFIG3.read() >> 24 & 1, 1, "Config3.PW");
    for (number, top, table) in [(0, TOP, TABLE), (1, OTHER_TOP, OTHER_TABLE)] {
        // Pointers into either window are good.
        set_directory(top, BASE, [CSSEG_WINDOW, XSSEG_WINDOW][number] + table);
    }
    for number in 0..8 {
        set_physical(
            place(TABLE, number),
            pte(DATA + number * 0x4000, LO_V | LO_D),
        );
        set_physical(DATA + number * 0x4000, number);
    }
    off();
    walker::describe(CSSEG_WINDOW + TOP);
    off();
    reg::PW_CTL.write(ENABLED | USER);
    assert_eq!(reg::PW_BASE.read(), CSSEG_WINDOW + TOP);
    assert_eq!(reg::PW_CTL.read() & (ENABLED | USER), ENABLED | USER);
    mapped();
    protected();
    changed();
    missing();
    switched();
    supervisor();
}

fn off() {
    let frame = load(address(0)).expect_err("the walker is off");
    assert_eq!((frame.code(), frame.vector), (code::TLBL, VECTOR_REFILL));
}

fn mapped() {
    for number in 0..8 {
        assert_eq!(load(address(number)).ok(), Some(number));
        store(address(number) + 8, !number).expect("a store");
        assert_eq!(physical(DATA + number * 0x4000 + 8), !number);
    }
}

fn protected() {
    set_physical(place(TABLE, 16), pte(DATA, LO_V));
    set_physical(place(TABLE, 18), pte(DATA, LO_V | LO_RI));
    assert_eq!(load(address(16)).ok(), Some(0));
    let frame = store(address(16), 1).expect_err("D = 0");
    assert_eq!((frame.code(), frame.vector), (code::MOD, VECTOR_GENERAL));
    assert_eq!(load(address(18)).expect_err("RI").code(), code::TLBRI);
    // An entry that allows more is seen at once, as real CPUs may.
    set_physical(place(TABLE, 16), pte(DATA, LO_V | LO_D));
    store(address(16), 0).expect("a store where D is now 1");
}

fn changed() {
    set_physical(place(TABLE, 2), pte(DATA + 0x1_4000, LO_V | LO_D));
    assert_eq!(call(Call::TlbFlushPage, [address(2), 0, 0, 0]), Ok(0));
    assert_eq!(load(address(2)).ok(), Some(5), "flushed and walked again");
    set_physical(place(TABLE, 2), pte(DATA + 0x8000, LO_V | LO_D));
    let index = probe(address(2)).expect("a walked entry");
    write_indexed(
        index,
        &Entry {
            hi: 1 << 10,
            lo0: 0,
            lo1: 0,
            page_mask: MASK_16K,
        },
    );
    assert_eq!(
        load(address(2)).ok(),
        Some(2),
        "its entry overwritten, and walked again"
    );
}

fn missing() {
    let frame = load(address(40)).expect_err("V = 0 in the table");
    assert_eq!((frame.code(), frame.vector), (code::TLBL, VECTOR_GENERAL));
    assert_eq!(frame.bad_vaddr, address(40));
    let frame = store(address(40), 1).expect_err("V = 0 in the table");
    assert_eq!((frame.code(), frame.vector), (code::TLBS, VECTOR_GENERAL));
    set_physical(place(TABLE, 40), pte(DATA + 0x4000, LO_V | LO_D));
    assert_eq!(load(address(40)).ok(), Some(1), "now it is there");
    // No directory: pointers that lead nowhere are for the guest's refill handler.
    for pointer in [
        0,
        0xffff_ffff_8000_0000,
        XSSEG_MAPPED,
        CSSEG_WINDOW + 3,
        CSSEG_WINDOW + (255 << 20),
    ] {
        set_physical(TOP + 8, pointer);
        let frame = load(1 << MIDDLE).expect_err("no directory");
        assert_eq!(
            (frame.code(), frame.vector),
            (code::TLBL, VECTOR_REFILL),
            "{pointer:#x}"
        );
    }
}

/// The monitor call `Context` changes ASID and tables at once.
fn switched() {
    for number in 0..8 {
        set_physical(
            place(OTHER_TABLE, number),
            pte(DATA + (7 - number) * 0x4000, LO_V),
        );
    }
    for _ in 0..3 {
        assert_eq!(
            call(Call::Context, [5, CSSEG_WINDOW + OTHER_TOP, 0x55, 0]),
            Ok(0)
        );
        assert_eq!((reg::ENTRY_HI.read(), reg::USER_LOCAL.read()), (5, 0x55));
        for number in 0..8 {
            assert_eq!(
                load(address(number)).ok(),
                Some(7 - number),
                "page {number} of ASID 5"
            );
        }
        assert_eq!(call(Call::Context, [6, CSSEG_WINDOW + TOP, 0x66, 0]), Ok(0));
        for number in 0..8 {
            assert_eq!(
                load(address(number)).ok(),
                Some(number),
                "page {number} of ASID 6"
            );
        }
    }
}

fn supervisor() {
    let address = XSSEG_MAPPED | BASE;
    set_physical(place(TABLE, 20), pte(DATA + 0xc000, LO_V | LO_G));
    set_physical(place(TABLE, 21), pte(DATA + 0x8000, LO_V | LO_G));
    let frame = load(address + (20 << PAGE)).expect_err("PWCtl.XS is off");
    assert_eq!(frame.vector, VECTOR_REFILL);
    reg::PW_CTL.write(ENABLED | SUPERVISOR | USER);
    assert_eq!(load(address + (20 << PAGE)).ok(), Some(3));
    assert_eq!(load(address + (21 << PAGE)).ok(), Some(2));
}
