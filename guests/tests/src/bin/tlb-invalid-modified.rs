//! V, D, RI and XI of an entry raise their exceptions, with all their registers.
#![no_std]
#![no_main]

use disco_test_guests::abi::{BootInfo, XSSEG_MAPPED};
use disco_test_guests::access::{load, store};
use disco_test_guests::cp0::reg;
use disco_test_guests::exception::{code, Frame, VECTOR_GENERAL};
use disco_test_guests::execute::{kernel, map_user_code, user, Registers};
use disco_test_guests::instruction::*;
use disco_test_guests::registers::*;
use disco_test_guests::tlb::*;
use disco_test_guests::{access, FREE_MEMORY};

disco_test_guests::guest!(run);

const ASID: u64 = 0x21;

/// Maps the pair at `address` with these flags in both halves, at entry 1.
fn map(address: u64, flags: u64) {
    let entry = Entry {
        hi: address | ASID,
        lo0: lo(FREE_MEMORY, flags),
        lo1: lo(FREE_MEMORY + 0x4000, flags),
        page_mask: MASK_16K,
    };
    write_indexed(1, &entry);
}

fn check(frame: &Frame, exception: u64, address: u64) {
    assert_eq!(frame.code(), exception, "{address:#x}");
    assert_eq!(
        frame.vector, VECTOR_GENERAL,
        "vector of exception {exception}"
    );
    assert_eq!(
        frame.bad_vaddr, address,
        "BadVAddr of exception {exception}"
    );
    assert_eq!(
        reg::ENTRY_HI.read(),
        address & 0xc000_ffff_ffff_e000 | ASID,
        "EntryHi"
    );
    assert_eq!(
        reg::CONTEXT.read() & 0x7f_fff0,
        address >> 9 & 0x7f_fff0,
        "Context"
    );
    let xcontext = address >> 62 << 39 | (address >> 13 & ((1 << 35) - 1)) << 4;
    assert_eq!(reg::XCONTEXT.read() & ((1 << 41) - 1), xcontext, "XContext");
    set_asid(ASID);
}

fn run(_: &'static BootInfo) {
    set_asid(ASID);
    map_user_code();
    // `jr $16`, for a jump there.
    let back = u64::from(jr(S0)) << 32;
    access::set_physical(FREE_MEMORY + 0x100, back);
    for (base, global) in [(0x55_5540_0000, 0), (XSSEG_MAPPED + 0x7_0000_8000, LO_G)] {
        let address = base + 0x4008;
        for _ in 0..2 {
            invalid(base, address, global);
            modified(base, address, global);
            inhibited(base, address, global);
        }
    }
    from_user_mode();
}

fn invalid(base: u64, address: u64, global: u64) {
    map(base, global);
    check(&load(address).expect_err("V = 0"), code::TLBL, address);
    check(&store(address, 1).expect_err("V = 0"), code::TLBS, address);
    map(base, LO_V | LO_D | global);
    assert!(store(address, 7).is_ok(), "V = 1 after V = 0");
    map(base, global);
    check(
        &load(address).expect_err("V = 0 again"),
        code::TLBL,
        address,
    );
}

fn modified(base: u64, address: u64, global: u64) {
    map(base, LO_V | global);
    access::set_physical(FREE_MEMORY + 0x4008, 0x1234);
    assert_eq!(load(address).ok(), Some(0x1234), "a load where D = 0");
    check(&store(address, 1).expect_err("D = 0"), code::MOD, address);
    assert_eq!(load(address).ok(), Some(0x1234), "the store did not happen");
    map(base, LO_V | LO_D | global);
    store(address, 0x77).expect("a store where D = 1");
    assert_eq!(access::physical(FREE_MEMORY + 0x4008), 0x77);
    map(base, LO_V | global);
    check(
        &store(address, 1).expect_err("D = 0 again"),
        code::MOD,
        address,
    );
}

fn inhibited(base: u64, address: u64, global: u64) {
    map(base, LO_V | LO_D | LO_RI | global);
    check(&load(address).expect_err("RI"), code::TLBRI, address);
    store(address, 1).expect("a store where only loads are inhibited");
    let jump = |flags| {
        map(base, flags);
        kernel(&[jr(A0), NOP], &mut Registers::with(&[(A0, base + 0x100)]))
    };
    assert!(jump(LO_V | global).is_none(), "a jump there");
    let frame = jump(LO_V | LO_XI | global).expect("XI");
    assert_eq!(frame.epc, base + 0x100);
    check(&frame, code::TLBXI, base + 0x100);
    assert!(
        load(address).is_ok(),
        "a load where only execution is inhibited"
    );
}

fn from_user_mode() {
    let address = 0x1234_4008;
    let mut registers = Registers::with(&[(A0, address)]);
    map(0x1234_0000, 0);
    check(&user(&[ld(V0, 0, A0)], &mut registers), code::TLBL, address);
    check(&user(&[sd(V0, 0, A0)], &mut registers), code::TLBS, address);
    map(0x1234_0000, LO_V);
    check(&user(&[sd(V0, 0, A0)], &mut registers), code::MOD, address);
    assert_eq!(user(&[ld(V0, 0, A0)], &mut registers).code(), code::SYS);
}
