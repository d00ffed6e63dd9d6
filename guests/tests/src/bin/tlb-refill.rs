//! The guest's own refill handler maps pages of several sizes, for two ASIDs and for all.
#![no_std]
#![no_main]

use disco_test_guests::abi::{BootInfo, CSSEG_WINDOW, XSSEG_MAPPED};
use disco_test_guests::cp0::{self, reg};
use disco_test_guests::exception::{self, code, Frame, VECTOR_REFILL};
use disco_test_guests::execute::{code_address, user, Registers, USER_CODE};
use disco_test_guests::instruction::{ld, sd};
use disco_test_guests::registers::{A0, V0};
use disco_test_guests::tlb::*;
use disco_test_guests::{access, Variable, FREE_MEMORY};

disco_test_guests::guest!(run);

/// A pair of pages in the guest's table.
struct Pair {
    address: u64,
    /// `None`: for all.
    asid: Option<u64>,
    physical: [u64; 2],
    mask: u64,
}

const fn pair(address: u64, asid: Option<u64>, physical: [u64; 2], mask: u64) -> Pair {
    Pair {
        address,
        asid,
        physical,
        mask,
    }
}

const F: u64 = FREE_MEMORY;

static TABLE: [Pair; 8] = [
    pair(0x10_0000, Some(1), [F, F + 0x5000], MASK_4K),
    pair(0x10_0000, Some(2), [F + 0x2000, F + 0x1000], MASK_4K),
    pair(0x20_0000, Some(1), [F + 0x8000, F + 0x1_8000], MASK_16K),
    pair(0x20_0000, Some(2), [F + 0x1_0000, F + 0xc000], MASK_16K),
    pair(0x60_0000, None, [F + 0x2_0000, F + 0x5_0000], MASK_64K),
    pair(
        0x20_0000_0000,
        Some(1),
        [F + 0x10_0000, F + 0x30_0000],
        MASK_1M,
    ),
    pair(
        0x20_0000_0000,
        Some(2),
        [F + 0x30_0000, F + 0x20_0000],
        MASK_1M,
    ),
    pair(
        XSSEG_MAPPED + 0x8000,
        None,
        [F + 0x6_0000, F + 0x7_0000],
        MASK_16K,
    ),
];

static REFILLS: Variable<u64> = Variable::new(0);

fn run(_: &'static BootInfo) {
    for page in (F..F + 0x40_0000).step_by(0x1000) {
        access::set_physical(page, page);
        access::set_physical(page + 0xff8, page | 1);
    }
    exception::handle(refill);
    check_all();
    let first = REFILLS.get();
    assert!(first >= TABLE.len() as u64, "{first} refills");
    check_all();
    // Forgotten entries come back through the handler, all of them.
    cp0::tlbinvf();
    let before = REFILLS.get();
    check_all();
    assert!(
        REFILLS.get() - before >= TABLE.len() as u64,
        "refills after tlbinvf"
    );
    exception_registers();
}

/// Both pages of every pair, from kernel and from user mode, for both ASIDs in turn.
fn check_all() {
    for asid in [1, 2, 1] {
        set_asid(asid);
        for pair in TABLE
            .iter()
            .filter(|pair| pair.asid.is_none_or(|wanted| wanted == asid))
        {
            let bytes = (pair.mask | 0x1fff).div_ceil(2);
            for (half, physical) in pair.physical.into_iter().enumerate() {
                let address = pair.address + half as u64 * bytes;
                for offset in [0, bytes - 0x1000] {
                    check(address + offset, physical + offset);
                }
            }
        }
    }
}

fn check(address: u64, physical: u64) {
    let asid = reg::ENTRY_HI.read() & 0x3ff;
    assert_eq!(
        access::load(address).ok(),
        Some(physical),
        "{address:#x} for ASID {asid}"
    );
    access::store(address + 8, address).expect("a store");
    assert_eq!(
        access::physical(physical + 8),
        address,
        "store to {address:#x}"
    );
    if address >> 62 == 0 {
        let words = [ld(V0, 0xff8, A0), sd(A0, 16, A0)];
        let mut registers = Registers::with(&[(A0, address)]);
        let frame = user(&words, &mut registers);
        assert_eq!(frame.code(), code::SYS, "user access to {address:#x}");
        assert_eq!(registers.get(V0), physical | 1, "{address:#x} in user mode");
        assert_eq!(
            access::physical(physical + 16),
            address,
            "user store to {address:#x}"
        );
    }
}

fn refill(frame: &mut Frame) -> bool {
    if frame.vector != VECTOR_REFILL {
        return false;
    }
    let address = frame.bad_vaddr;
    let asid = reg::ENTRY_HI.read() & 0x3ff;
    let code_pair = pair(
        USER_CODE,
        None,
        [0, 0x4000].map(|o| code_address() - CSSEG_WINDOW + o),
        MASK_16K,
    );
    let found = TABLE.iter().chain([&code_pair]).find(|pair| {
        (address ^ pair.address) & !(pair.mask | 0x1fff) == 0
            && pair.asid.is_none_or(|wanted| wanted == asid)
    });
    let Some(pair) = found else { return false };
    let flags = LO_V | LO_D | if pair.asid.is_none() { LO_G } else { 0 };
    reg::ENTRY_LO0.write(lo(pair.physical[0], flags));
    reg::ENTRY_LO1.write(lo(pair.physical[1], flags));
    reg::PAGE_MASK.write(pair.mask);
    cp0::tlbwr();
    REFILLS.set(REFILLS.get() + 1);
    true
}

/// What the refill handler finds in CP0.
fn exception_registers() {
    set_asid(0x155);
    for address in [0x7654_3210_1230u64 & !7, XSSEG_MAPPED + 0x7654_3210_0008] {
        reg::CONTEXT.write(0x7fff_ffff_ff80_0000);
        let frame = access::load(address).expect_err("a miss");
        assert_eq!((frame.code(), frame.vector), (code::TLBL, VECTOR_REFILL));
        let frame = access::store(address, 0).expect_err("a miss");
        assert_eq!((frame.code(), frame.vector), (code::TLBS, VECTOR_REFILL));
        assert_eq!(frame.bad_vaddr, address);
        assert_eq!(reg::BAD_VADDR.read(), address);
        let page = address & 0xc000_ffff_ffff_e000;
        assert_eq!(reg::ENTRY_HI.read(), page | 0x155, "EntryHi");
        let context = 0x7fff_ffff_ff80_0000 | address >> 9 & 0x7f_fff0;
        assert_eq!(reg::CONTEXT.read(), context, "Context");
        let xcontext = address >> 62 << 39 | (address >> 13 & ((1 << 35) - 1)) << 4;
        assert_eq!(reg::XCONTEXT.read() & ((1 << 41) - 1), xcontext, "XContext");
    }
    set_asid(0);
}
