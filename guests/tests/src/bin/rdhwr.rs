//! `rdhwr` reads what HWREna lets user mode read, and everything in kernel mode.
#![no_std]
#![no_main]

use disco_test_guests::abi::BootInfo;
use disco_test_guests::cp0::reg;
use disco_test_guests::exception::code;
use disco_test_guests::execute::{kernel, map_user_code, user, Registers, USER_CODE};
use disco_test_guests::instruction::*;
use disco_test_guests::registers::*;
use disco_test_guests::time;

disco_test_guests::guest!(run);

const CPU_NUM: u32 = 0;
const SYNCI_STEP: u32 = 1;
const CC: u32 = 2;
const CC_RES: u32 = 3;
const USER_LOCAL: u32 = 29;

fn run(_: &'static BootInfo) {
    map_user_code();
    reg::USER_LOCAL.write(0x0123_4567_89ab_cdef);
    for enabled in [
        0,
        1 << CPU_NUM,
        1 << USER_LOCAL,
        0xf,
        0x2000_000f,
        1 << CC,
        0,
    ] {
        reg::HWRENA.write(enabled);
        assert_eq!(reg::HWRENA.read(), enabled, "HWREna");
        for register in [CPU_NUM, SYNCI_STEP, CC, CC_RES, USER_LOCAL] {
            in_user_mode(register, enabled >> register & 1 != 0);
            check(
                register,
                in_kernel_mode(register).expect("kernel mode reads all"),
            );
        }
    }
    reg::HWRENA.write(u64::MAX);
    for register in [6, 7, 15, 28, 30, 31] {
        let frame = user(&[rdhwr(V0, register)], &mut Registers::new());
        assert_eq!(frame.code(), code::RI, "register {register} in user mode");
        assert!(
            in_kernel_mode(register).is_none(),
            "register {register} in kernel mode"
        );
    }
    for value in [0, u64::MAX, 0x5555] {
        reg::USER_LOCAL.write(value);
        let mut registers = Registers::new();
        assert_eq!(
            user(&[rdhwr(V1, USER_LOCAL)], &mut registers).code(),
            code::SYS
        );
        assert_eq!(registers.get(V1), value, "UserLocal");
    }
}

fn in_user_mode(register: u32, enabled: bool) {
    let mut registers = Registers::with(&[(V0, 0x77)]);
    let frame = user(&[NOP, rdhwr(V0, register)], &mut registers);
    if enabled {
        assert_eq!(frame.code(), code::SYS, "register {register} is enabled");
        check(register, registers.get(V0));
    } else {
        assert_eq!(frame.code(), code::RI, "register {register} is not enabled");
        assert_eq!((frame.epc, registers.get(V0)), (USER_CODE + 4, 0x77));
    }
}

fn in_kernel_mode(register: u32) -> Option<u64> {
    let mut registers = Registers::new();
    match kernel(&[rdhwr(V0, register)], &mut registers) {
        None => Some(registers.get(V0)),
        Some(frame) => {
            assert_eq!(frame.code(), code::RI);
            None
        }
    }
}

fn check(register: u32, value: u64) {
    match register {
        CPU_NUM => assert_eq!(value, 0, "CPUNum"),
        SYNCI_STEP => assert!(value.is_power_of_two() || value == 0, "SYNCI_Step {value}"),
        CC => {
            let age = time::count().wrapping_sub(value as u32);
            assert!(age < 1 << 30, "CC {value:#x} is {age} ticks old");
            assert_eq!(value, value as i32 as u64, "CC is sign-extended");
        }
        CC_RES => assert!((1..=4).contains(&value), "CCRes {value}"),
        _ => assert_eq!(value, 0x0123_4567_89ab_cdef, "UserLocal"),
    }
}
