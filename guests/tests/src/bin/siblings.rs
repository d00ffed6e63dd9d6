//! Virtual CPUs start, stop and start again; they share memory, and LL/SC between them is atomic.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};
use disco_test_guests::abi::{BootInfo, Call, CallError, BOOT_MAGIC};
use disco_test_guests::calls::call;
use disco_test_guests::cp0::reg;
use disco_test_guests::option;
use disco_test_guests::siblings::{is_on, join, start};

disco_test_guests::guest!(run);

static SEEN: [AtomicU64; 6] = [const { AtomicU64::new(0) }; 6];
static SUM: AtomicU64 = AtomicU64::new(0);
static GO: AtomicU64 = AtomicU64::new(0);

fn run(boot: &'static BootInfo) {
    let count = option(boot, "cpus", 4);
    assert_eq!(boot.vcpus, count, "virtual CPUs in the boot information");
    assert_eq!(reg::EBASE.read() & 0x3ff, 0, "CPUNum of the first");
    errors(count);
    entry_state(count);
    for _ in 0..20 {
        all_add(count);
    }
    leave_one_running(count);
}

fn errors(count: u64) {
    for number in [count, 16, 17, 64, u64::MAX] {
        for one in [Call::CpuStart, Call::CpuState] {
            let answer = call(one, [number, 0, 0, 0]);
            assert_eq!(answer, Err(CallError::BadArgument), "{one:?} of {number}");
        }
    }
    let again = call(Call::CpuStart, [0; 4]);
    assert_eq!(again, Err(CallError::WrongState), "the one that calls");
    let last = call(Call::CpuStop, [0; 4]);
    assert_eq!(last, Err(CallError::WrongState), "the last one that is on");
    assert!(is_on(0) && !(1..count).any(is_on));
}

/// Notes what it began with: `$a0`, `$a1` and `$sp` are where the entry has kept them.
extern "C" fn note(number: u64) {
    let (a1, sp): (u64, u64);
    // SAFETY: registers are read.
    unsafe { asm!("move {0}, $17", "move {1}, $18", out(reg) a1, out(reg) sp) };
    let values = [
        a1,
        sp,
        reg::STATUS.read(),
        reg::EBASE.read(),
        reg::WIRED.read() | reg::HWRENA.read() | reg::COMPARE.read(),
        number,
    ];
    for (place, value) in SEEN.iter().zip(values) {
        place.store(value, Ordering::Release);
    }
}

fn entry_state(count: u64) {
    let status = reg::STATUS.read();
    for number in 1..count {
        assert_eq!(start(number, note, number), Ok(0));
        join(count);
        let seen = SEEN.each_ref().map(|word| word.load(Ordering::Acquire));
        assert_eq!((seen[0], seen[1]), (BOOT_MAGIC, 0), "$a1 and $sp");
        assert_eq!(seen[2], status, "Status as the first one's");
        assert_eq!(seen[3], 0xffff_ffff_c000_0000 | number, "EBase");
        assert_eq!(seen[4], 0, "Wired, HWREna, Compare");
        assert_eq!(seen[5], number, "the argument");
    }
}

const ADDS: u64 = 2_000;

extern "C" fn add(number: u64) {
    while GO.load(Ordering::Acquire) == 0 {}
    for _ in 0..ADDS {
        SUM.fetch_add(number, Ordering::Relaxed);
    }
}

fn all_add(count: u64) {
    SUM.store(0, Ordering::Relaxed);
    GO.store(0, Ordering::Relaxed);
    for number in 1..count {
        assert_eq!(start(number, add, number), Ok(0));
        assert!(is_on(number));
        let again = call(Call::CpuStart, [number, 0, 0, 0]);
        assert_eq!(again, Err(CallError::WrongState), "{number} is on");
    }
    GO.store(1, Ordering::Release);
    join(count);
    let all: u64 = (1..count).sum();
    assert_eq!(SUM.load(Ordering::Relaxed), ADDS * all);
}

extern "C" fn forever(_: u64) {
    loop {
        SUM.fetch_add(1, Ordering::Relaxed);
    }
}

/// The virtual machine ends while siblings run.
fn leave_one_running(count: u64) {
    let before = SUM.load(Ordering::Relaxed);
    for number in 1..count {
        assert_eq!(start(number, forever, 0), Ok(0));
    }
    while SUM.load(Ordering::Relaxed) < before + 1000 {
        let _ = call(Call::Yield, [0; 4]);
    }
}
