//! CP0 registers: what can be written, and what reads back.

use super::guest::*;
use crate::vm::exception::code;
use disco_arch::trap::Entry;
use proptest::prelude::*;

/// Register, select, bits that can be written.
const WRITABLE: &[(u32, u32, u64)] = &[
    (2, 0, 0xc000_0000_3fff_ffff),
    (3, 0, 0xc000_0000_3fff_ffff),
    (4, 0, !0x7f_ffff),
    (4, 2, u64::MAX),
    (5, 5, u64::MAX),
    (14, 0, u64::MAX),
    (20, 0, !((1 << 41) - 1)),
    (30, 0, u64::MAX),
    (24, 0, u64::MAX),
    (31, 2, u64::MAX),
    (31, 3, u64::MAX),
    (31, 4, u64::MAX),
    (31, 5, u64::MAX),
    (31, 6, u64::MAX),
    (31, 7, u64::MAX),
];

proptest! {
    #[test]
    fn registers_keep_their_writable_bits(value in any::<u64>()) {
        let mut guest = Guest::new();
        for &(number, select, mask) in WRITABLE {
            guest.write_cp0(number, select, value);
            let kept = guest.read_cp0(number, select);
            prop_assert_eq!(kept, value & mask, "register {} select {}", number, select);
        }
    }

    #[test]
    fn words_are_read_sign_extended_and_written_whole(value in any::<u64>()) {
        let mut guest = Guest::new();
        guest.set_gpr(8, value);
        guest.execute(mtc0(8, 14, 0));
        prop_assert_eq!(guest.read_cp0(14, 0), value);
        guest.execute(mfc0(9, 14, 0));
        prop_assert_eq!(guest.gpr(9), value as u32 as i32 as i64 as u64);
    }

    #[test]
    fn entry_lo_as_a_word_has_its_inhibit_bits_on_top(value in any::<u32>()) {
        let mut guest = Guest::new();
        guest.set_gpr(8, u64::from(value));
        guest.execute(mtc0(8, 2, 0));
        let double = u64::from(value & 0x3fff_ffff) | u64::from(value >> 30) << 62;
        prop_assert_eq!(guest.read_cp0(2, 0), double);
        guest.execute(mfc0(9, 2, 0));
        prop_assert_eq!(guest.gpr(9), value as i32 as i64 as u64);
    }

    #[test]
    fn no_register_is_too_strange(number in 0..32u32, select in 0..8u32, value in any::<u64>()) {
        let mut guest = Guest::new();
        guest.write_cp0(number, select, value);
        let read = guest.read_cp0(number, select);
        guest.write_cp0(number, select, read);
        guest.set_gpr(8, value);
        for high in [0x40c8_0000, 0x4048_0000] {
            guest.vcpu.special.set_cause(0);
            guest.execute(high | number << 11 | select);
            let code = guest.vcpu.special.cause() >> 2 & 31;
            prop_assert_eq!(code, u32::from(code::RI), "mthc0, mfhc0");
        }
        prop_assert_eq!(guest.gpr(8), value);
    }

    #[test]
    fn page_mask_is_always_a_page_size(value in any::<u64>()) {
        let mut guest = Guest::new();
        guest.write_cp0(5, 0, value);
        let mask = guest.read_cp0(5, 0);
        let ones = (mask >> 13).trailing_ones();
        prop_assert_eq!(mask, ((1 << ones) - 1) << 13);
        prop_assert!(ones & 1 == 0 && ones <= 16);
        guest.write_cp0(5, 0, mask);
        prop_assert_eq!(guest.read_cp0(5, 0), mask);
    }
}

#[test]
fn status_follows_release_6() {
    let mut guest = Guest::new();
    let read = |guest: &mut Guest, value: u64| {
        guest.write_cp0(12, 0, value);
        guest.read_cp0(12, 0) as u32
    };
    const FR: u32 = 1 << 26;
    assert_eq!(read(&mut guest, 0), FR);
    assert_eq!(
        read(&mut guest, 0xffff_ffff),
        FR | 0x30c0_ffe7,
        "all that can be set"
    );
    assert_eq!(read(&mut guest, 0x10) & 0x18, 0x10, "user");
    assert_eq!(
        read(&mut guest, 0x18) & 0x18,
        0x10,
        "the reserved mode changes nothing"
    );
    assert_eq!(
        read(&mut guest, 1 << 19 | 1 << 20) & (3 << 19),
        0,
        "SR and NMI only clear"
    );
    for (value, kept) in [
        (0xe0, 0xe0),
        (0x60, 0),
        (0xa0, 0x80),
        (0xc0, 0xc0),
        (0x20, 0),
    ] {
        assert_eq!(
            read(&mut guest, value) & 0xe0,
            kept,
            "KX, SX, UX of {value:#x}"
        );
    }
}

#[test]
fn entry_hi_keeps_its_region_if_the_new_one_is_reserved() {
    let mut guest = Guest::new();
    guest.write_cp0(10, 0, u64::MAX);
    assert_eq!(guest.read_cp0(10, 0), 0xc000_ffff_ffff_e7ff);
    guest.write_cp0(10, 0, 2 << 62 | 0x2000);
    assert_eq!(guest.read_cp0(10, 0), 3 << 62 | 0x2000);
    guest.write_cp0(10, 0, 1 << 62);
    assert_eq!(guest.read_cp0(10, 0), 1 << 62);
    assert_eq!(
        guest.vcpu.context.entry_hi, 0,
        "the CPU gets the ASID alone"
    );
}

#[test]
fn index_and_wired_ignore_what_the_tlb_does_not_have() {
    let mut guest = Guest::new();
    guest.write_cp0(0, 0, 15);
    guest.write_cp0(0, 0, 16);
    assert_eq!(guest.read_cp0(0, 0), 15);
    guest.write_cp0(0, 0, 0x8000_0003);
    assert_eq!(guest.read_cp0(0, 0), 0xffff_ffff_8000_0003);
    guest.write_cp0(6, 0, 4);
    guest.write_cp0(6, 0, 16);
    guest.write_cp0(6, 0, 0x101);
    assert_eq!(guest.read_cp0(6, 0), 4);
}

#[test]
fn ebase_and_its_write_gate() {
    let mut guest = Guest::new();
    guest.vcpu.number = 3;
    guest.write_cp0(15, 1, 0x4000_0000_0012_3fff);
    assert_eq!(guest.read_cp0(15, 1), 0x4000_0000_0012_3803);
    guest.write_cp0(15, 1, 0x1_0000_5000);
    assert_eq!(guest.read_cp0(15, 1), 0x4000_0000_0000_5003);
}

#[test]
fn configuration_is_read_only_and_hides_what_is_not_there() {
    let mut guest = Guest::new();
    for select in 0..6 {
        let before = guest.read_cp0(16, select);
        guest.write_cp0(16, select, !before);
        let changed = (guest.read_cp0(16, select) ^ before) as u32;
        let writable = match select {
            0 => 7,
            5 => 3 << 8,
            _ => 0,
        };
        assert_eq!(changed & !writable, 0, "Config{select}");
    }
    let config3 = guest.read_cp0(16, 3) as u32;
    assert_eq!(config3 & 1 << 24, 1 << 24, "the page-table walker");
    assert_eq!(
        config3 & (1 << 29 | 1 << 28 | 1 << 7 | 1 << 5),
        0,
        "GCRs, MSA, LPA, VInt"
    );
    assert_eq!(guest.read_cp0(16, 5) & (1 << 7 | 1 << 3), 0, "VP, MRP");
}

#[test]
fn rdhwr_obeys_hwrena_in_user_mode_alone() {
    let mut guest = Guest::new();
    guest.vcpu.number = 6;
    guest.machine.count = 1000;
    guest.write_cp0(4, 2, 0x1234_5678_9abc);
    let read = |guest: &mut Guest, number: u32, user| {
        guest
            .vcpu
            .special
            .set_status(1 << 28 | if user { 0x10 } else { 0 });
        guest.set_gpr(9, 0xbad);
        guest.vcpu.context.pc = CODE;
        let trap = crate::vm::trap::Trap {
            bad_instr: 0x7c09_003b | number << 11,
            user,
            ..guest.trap(Entry::General, 10)
        };
        guest.handle(&trap);
        (guest.vcpu.context.pc == CODE + 4).then(|| guest.gpr(9))
    };
    let all = [
        (0, 6),
        (1, 32),
        (2, 1000),
        (3, 2),
        (5, 1),
        (29, 0x1234_5678_9abc),
    ];
    for (number, value) in all {
        guest.write_cp0(7, 0, 0);
        assert_eq!(
            read(&mut guest, number, false),
            Some(value),
            "kernel, {number}"
        );
        assert_eq!(read(&mut guest, number, true), None, "user, off, {number}");
        guest.write_cp0(7, 0, 1 << number);
        assert_eq!(
            read(&mut guest, number, true),
            Some(value),
            "user, on, {number}"
        );
    }
    guest.write_cp0(7, 0, u64::MAX);
    for number in [6, 28, 30, 31] {
        assert_eq!(
            read(&mut guest, number, false),
            None,
            "{number} does not exist"
        );
    }
    assert_eq!(guest.machine.user_local, 0x1234_5678_9abc);
}

#[test]
fn the_real_cpu_answers_for_count_only_while_it_is_right() {
    let mut guest = Guest::new();
    guest.write_cp0(7, 0, 0x2000_000f);
    assert_eq!(guest.machine.hwrena, 0x2000_000e);
    guest.write_cp0(9, 0, 5);
    assert_eq!(guest.machine.hwrena, 0x2000_000a, "Count is not the CPU's");
    guest.write_cp0(9, 0, 0);
    assert_eq!(guest.machine.hwrena, 0x2000_000e);
    guest.write_cp0(13, 0, 1 << 27);
    assert_eq!(guest.machine.hwrena, 0x2000_000a, "Count stands");
}
