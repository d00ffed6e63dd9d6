//! Executes random instruction words, in user mode or, as long as it lives, in kernel mode.
#![no_std]
#![no_main]

use disco_test_guests::abi::{BootInfo, SPECIAL_PAGE, XSSEG_WINDOW};
use disco_test_guests::cp0::{self, reg, STATUS_CU1, STATUS_IE};
use disco_test_guests::exception::{self, code, Frame};
use disco_test_guests::execute::{code_address, kernel, map_user_code, user, Registers, USER_CODE};
use disco_test_guests::instruction::BREAK;
use disco_test_guests::time::{strike_in, ticks, TIMER};
use disco_test_guests::{option, println, Variable};

disco_test_guests::guest!(run);

static EVERY: Variable<u64> = Variable::new(0);
const WORDS: usize = 16;

/// xorshift64: the same words for the same seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A word: half of them of the opcodes that a monitor has to do with.
    fn word(&mut self) -> u32 {
        let word = (self.next() >> 16) as u32;
        let small = word & 0x03ff_ffff;
        match self.next() >> 20 & 15 {
            0 | 1 => 0x10 << 26 | small,                                 // COP0, any
            2 => 0x4000_0000 | word & 0x00bf_f807,                       // mfc0, mtc0, ...
            3 => 0x4200_0000 | word & 0x7f, // tlb*, eret, wait, hypcall
            4 => 0x1f << 26 | small,        // SPECIAL3: cache, rdhwr, ll, sc
            5 => 0x11 << 26 | small,        // COP1
            6 => (4 + (word >> 26 & 3)) << 26 | word & 0x03ff_000f, // branches
            7 => (0x20 + (word >> 26 & 15)) << 26 | small & 0x03ff_00ff, // loads, stores
            8 => 0x01 << 26 | word & 0x03ff_000f, // REGIMM
            _ => word,
        }
    }

    /// A register: anything, or an address where something is.
    fn value(&mut self) -> u64 {
        let value = self.next();
        match self.next() >> 30 & 7 {
            0 => USER_CODE | value & 0x7ff8,
            1 => code_address() | value & 0x7ff8,
            2 => SPECIAL_PAGE | value & 0xf8,
            3 => XSSEG_WINDOW + (value & 0xff_fff8),
            4 => value & 0xff,
            5 => value as i32 as u64,
            _ => value,
        }
    }
}

/// A loop without end is left at the next tick of the timer.
fn watchdog(frame: &mut Frame) -> bool {
    if frame.code() != code::INT {
        return false;
    }
    strike_in(EVERY.get());
    if exception::is_expected() {
        // Not taken: what runs is left, as at any other exception.
        return false;
    }
    frame.status &= !STATUS_IE;
    true
}

/// `seed=N`, `rounds=N`; `kernel=1`: in kernel mode.
fn run(boot: &'static BootInfo) {
    let in_kernel = option(boot, "kernel", 0) != 0;
    let mut random = Random(option(boot, "seed", 1) * 0x9e37_79b9_7f4a_7c15 | 1);
    EVERY.set(ticks(boot, 20_000));
    exception::handle(watchdog);
    println!("random instructions from now on");
    for round in 0..option(boot, "rounds", u64::MAX) {
        let mut words = [0; WORDS + 1];
        words[..WORDS].fill_with(|| random.word());
        words[WORDS] = BREAK;
        let mut registers = Registers::new();
        registers.0.fill_with(|| random.value());
        map_user_code();
        cp0::clear_status(STATUS_IE);
        strike_in(EVERY.get());
        let status = STATUS_IE | TIMER | if round % 2 == 0 { STATUS_CU1 } else { 0 };
        if in_kernel {
            in_kernel_mode(&words, &mut registers, status);
        } else {
            in_user_mode(&words, &mut registers, status);
        }
    }
}

fn in_kernel_mode(words: &[u32], registers: &mut Registers, status: u64) {
    reg::STATUS.write(reg::STATUS.read() | status);
    let _ = kernel(words, registers);
}

/// User mode changes nothing of the guest but its own two pages and registers.
fn in_user_mode(words: &[u32], registers: &mut Registers, status: u64) {
    // With EXL the interrupts are open in user mode only.
    let before = reg::STATUS.read() | status | cp0::STATUS_EXL;
    reg::STATUS.write(before);
    let frame = user(words, registers);
    assert!(frame.code() < 32 && frame.status & cp0::STATUS_KSU_USER != 0);
    let changed = (reg::STATUS.read() ^ before) & !(cp0::STATUS_EXL | STATUS_IE);
    assert_eq!(changed, 0, "user mode changed Status");
    assert_eq!(
        reg::EBASE.read() & !0xfff,
        disco_test_guests::abi::CSSEG_WINDOW
    );
}
