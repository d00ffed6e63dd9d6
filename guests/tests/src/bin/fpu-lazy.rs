//! Floating-point registers are the virtual CPU's own, though others use the same FPU.
#![no_std]
#![no_main]

use disco_test_guests::abi::{BootInfo, Call};
use disco_test_guests::calls::call;
use disco_test_guests::cp0::{self, STATUS_CU1};
use disco_test_guests::exception::code;
use disco_test_guests::execute::{kernel, map_user_code, user, Registers, USER_CODE};
use disco_test_guests::instruction::*;
use disco_test_guests::option;
use disco_test_guests::registers::*;

disco_test_guests::guest!(run);

const FCSR: u32 = 31;

fn run(boot: &'static BootInfo) {
    map_user_code();
    let seed = option(boot, "seed", 1);
    unusable();
    cp0::set_status(STATUS_CU1);
    let value = |round: u64, fpr: u32| (seed << 48 | round << 8 | u64::from(fpr)) ^ 0x5555 << 32;
    for round in 0..40 {
        // Rounding mode.
        let fcsr = (seed + round) & 3;
        execute(ctc1(A0, FCSR), fcsr);
        for fpr in 0..32 {
            execute(dmtc1(A0, fpr), value(round, fpr));
        }
        assert_eq!(call(Call::Yield, [0; 4]), Ok(0));
        for fpr in 0..32 {
            let found = execute(dmfc1(V0, fpr), 0);
            assert_eq!(found, value(round, fpr), "f{fpr} in round {round}");
        }
        assert_eq!(
            execute(cfc1(V0, FCSR), 0) & 3,
            fcsr,
            "FCSR in round {round}"
        );
        unusable();
        cp0::set_status(STATUS_CU1);
        let mut registers = Registers::new();
        let frame = user(&[dmfc1(V0, 7)], &mut registers);
        assert_eq!(frame.code(), code::SYS, "the FPU in user mode");
        assert_eq!(registers.get(V0), value(round, 7), "f7 in user mode");
        cause_stays();
    }
}

/// Cause bits with their enables stay, though to set them is an exception.
fn cause_stays() {
    // E; V, Z, O, U and I with their enables; all of them.
    for value in [1 << 17, 0x1_0800, 0x8400, 0x4200, 0x2100, 0x1080, 0x3_ff80] {
        let mut registers = Registers::with(&[(A0, value)]);
        let frame = kernel(&[ctc1(A0, FCSR)], &mut registers).expect("an exception");
        assert_eq!(frame.code(), code::FPE, "{value:#x}");
        assert_eq!(call(Call::Yield, [0; 4]), Ok(0));
        let found = execute(cfc1(V0, FCSR), 0) & 0x3_ffff;
        assert_eq!(found, value, "FCSR after another one had the FPU");
        execute(ctc1(A0, FCSR), 0);
    }
}

fn execute(word: u32, a0: u64) -> u64 {
    let mut registers = Registers::with(&[(A0, a0)]);
    let exception = kernel(&[word], &mut registers);
    assert!(exception.is_none(), "{word:#x}: {exception:x?}");
    registers.get(V0)
}

/// With CU1 off the FPU cannot be used.
fn unusable() {
    cp0::clear_status(STATUS_CU1);
    let frame = kernel(&[dmtc1(A0, 3)], &mut Registers::new()).expect("an exception");
    assert_eq!((frame.code(), frame.coprocessor()), (code::CPU, 1));
    let frame = user(&[dmtc1(A0, 3)], &mut Registers::new());
    assert_eq!(
        (frame.code(), frame.coprocessor(), frame.epc),
        (code::CPU, 1, USER_CODE)
    );
}
