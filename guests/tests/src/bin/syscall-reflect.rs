//! System calls and breakpoints of both modes reach the guest, also from delay slots.
#![no_std]
#![no_main]

use disco_test_guests::abi::BootInfo;
use disco_test_guests::exception::{code, Frame, VECTOR_GENERAL};
use disco_test_guests::execute::{code_address, kernel, map_user_code, user, Registers, USER_CODE};
use disco_test_guests::instruction::*;
use disco_test_guests::registers::*;

disco_test_guests::guest!(run);

fn numbered() -> Registers {
    let mut registers = Registers::new();
    for (index, value) in registers.0.iter_mut().enumerate() {
        *value = 0x1111_0000_0000_0000 | index as u64;
    }
    registers
}

fn check(frame: &Frame, word: u32, exception: u64, place: u64) {
    assert_eq!(frame.code(), exception, "code of {word:#x}");
    assert_eq!(frame.epc, place, "EPC of {word:#x}");
    assert!(!frame.in_delay_slot());
    assert_eq!(frame.bad_instr, u64::from(word), "BadInstr");
    assert_eq!(frame.vector, VECTOR_GENERAL);
}

fn check_slot(frame: &Frame, words: [u32; 2], exception: u64, place: u64) {
    assert_eq!(frame.code(), exception, "code of {:#x} in a slot", words[1]);
    assert_eq!(frame.epc, place, "EPC is the branch's");
    assert!(frame.in_delay_slot(), "BD");
    assert_eq!(frame.bad_instr, u64::from(words[1]), "BadInstr");
    assert_eq!(frame.bad_instr_p as u32, words[0], "BadInstrP");
}

fn run(_: &'static BootInfo) {
    map_user_code();
    for (word, exception) in [(SYSCALL, code::SYS), (BREAK, code::BP)] {
        for _ in 0..3 {
            let mut registers = numbered();
            let frame = user(&[NOP, word], &mut registers);
            check(&frame, word, exception, USER_CODE + 4);
            for index in (1..32).filter(|index| ![S0, 26, 27].contains(index)) {
                assert_eq!(registers.get(index), numbered().get(index), "${index}");
            }
        }
        let frame = kernel(&[NOP, NOP, word], &mut numbered()).expect("an exception");
        check(&frame, word, exception, code_address() + 8);

        for branch in [
            beq(ZERO, ZERO, 2),
            beq(A0, A1, 2),
            bne(A0, A1, 2),
            bal(2),
            jr(A0),
        ] {
            let words = [NOP, branch, word, NOP];
            let frame = user(&words, &mut numbered());
            check_slot(&frame, [branch, word], exception, USER_CODE + 4);
            let frame = kernel(&words, &mut numbered()).expect("an exception");
            check_slot(&frame, [branch, word], exception, code_address() + 4);
        }
    }
}
