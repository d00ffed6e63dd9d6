//! Monitor calls with wrong numbers, addresses and lengths give their errors and do nothing else.
#![no_std]
#![no_main]

use disco_test_guests::abi::{BootInfo, Call, CallError, CSSEG_WINDOW};
use disco_test_guests::calls::{call, raw};
use disco_test_guests::execute::{kernel, Registers};
use disco_test_guests::instruction::HYPCALL;
use disco_test_guests::place::physical_address;
use disco_test_guests::registers::{S0, V0};
use disco_test_guests::{access, FREE_MEMORY};

disco_test_guests::guest!(run);

fn run(boot: &'static BootInfo) {
    unknown_numbers();
    ranges(boot.memory);
    bad_arguments(boot.memory);
    no_subnet();
    only_the_result_changes();
}

fn unknown_numbers() {
    let last = Call::ALL
        .iter()
        .map(|&call| call as u64)
        .max()
        .expect("calls");
    for number in [
        last + 1,
        last + 2,
        0xff,
        1 << 31,
        u32::MAX.into(),
        1 << 32,
        u64::MAX,
        1 << 63,
    ] {
        assert_eq!(
            raw(number, [0; 4]),
            CallError::NoSuchCall as i64,
            "call {number:#x}"
        );
    }
}

fn ranges(memory: u64) {
    let bad = [
        (memory, 1),
        (memory - 4, 8),
        (0, memory + 1),
        (0, u64::MAX),
        (u64::MAX, 1),
        (u64::MAX - 3, 8),
        (u64::MAX, u64::MAX),
        (1 << 63, 1 << 63),
        (CSSEG_WINDOW + FREE_MEMORY, 4),
        (FREE_MEMORY, 1 << 63),
        (FREE_MEMORY | 1 << 40, 4),
    ];
    access::set_physical(FREE_MEMORY, 0x1122_3344_5566_7788);
    access::set_physical(memory - 8, 0x1122_3344_5566_7788);
    for (address, length) in bad {
        for number in [Call::ConsoleWrite, Call::ConsoleRead] {
            let result = call(number, [address, length, 0, 0]);
            assert_eq!(
                result,
                Err(CallError::BadAddress),
                "{number:?} {address:#x}, {length:#x}"
            );
        }
    }
    assert_eq!(access::physical(FREE_MEMORY), 0x1122_3344_5566_7788);
    assert_eq!(access::physical(memory - 8), 0x1122_3344_5566_7788);
    assert_eq!(
        call(Call::ConsoleWrite, [memory - 1, 0, 0, 0]),
        Ok(0),
        "nothing to write"
    );
    assert_eq!(
        call(Call::ConsoleRead, [FREE_MEMORY, 8, 0, 0]),
        Ok(0),
        "nothing to read"
    );
}

fn bad_arguments(memory: u64) {
    let text = physical_address("text".as_ptr());
    for number in [Call::Shutdown, Call::TestVerdict] {
        for value in [3, 99, u64::MAX, 1 << 32] {
            let result = call(number, [value, text, 4, 0]);
            assert_eq!(result, Err(CallError::BadArgument), "{number:?} {value:#x}");
        }
        for (address, length) in [(memory, 1), (u64::MAX, 2), (memory - 1, 2)] {
            let result = call(number, [1, address, length, 0]);
            assert_eq!(
                result,
                Err(CallError::BadAddress),
                "{number:?} {address:#x}"
            );
        }
    }
}

/// The description does not put it on the subnet.
fn no_subnet() {
    for number in [
        Call::NetInfo,
        Call::NetPeer,
        Call::NetSend,
        Call::NetReceive,
    ] {
        for arguments in [[0; 4], [FREE_MEMORY, 32, 0, 0], [u64::MAX; 4]] {
            assert_eq!(
                call(number, arguments),
                Err(CallError::NoDevice),
                "{number:?}"
            );
        }
    }
}

fn only_the_result_changes() {
    for (number, result) in [(Call::Version as u64, 1), (0x1234, -1i64 as u64)] {
        let mut registers = Registers::new();
        for (index, value) in registers.0.iter_mut().enumerate() {
            *value = 0x0101_0101_0101_0101 * index as u64;
        }
        registers.0[V0 as usize] = number;
        let before = registers;
        assert!(kernel(&[HYPCALL], &mut registers).is_none());
        assert_eq!(registers.get(V0), result);
        // The way back, and what the library's own handler uses.
        for index in (1..32).filter(|index| ![V0, S0, 26, 27].contains(index)) {
            assert_eq!(registers.get(index), before.get(index), "${index}");
        }
    }
}
