//! Several virtual CPUs. The runtime's exception handler is the first one's alone: siblings take
//! no exceptions.

use crate::calls::call;
use crate::cp0;
use crate::place::physical_address;
use core::arch::global_asm;
use core::sync::atomic::{AtomicU64, Ordering};
use disco_abi::{Call, CallError, ShootdownKeys, LINE_IPI, VCPUS_PER_VM};

/// Cause.IP and Status.IM of messages.
pub const MESSAGES: u64 = 1 << (8 + LINE_IPI);
/// Bytes of a sibling's stack.
const STACK: usize = 16 << 10;

/// What a sibling begins with; the assembly reads it.
#[repr(C)]
struct Start {
    stack: AtomicU64,
    function: AtomicU64,
    argument: AtomicU64,
}

static STARTS: [Start; VCPUS_PER_VM] = [const {
    Start {
        stack: AtomicU64::new(0),
        function: AtomicU64::new(0),
        argument: AtomicU64::new(0),
    }
}; VCPUS_PER_VM];

global_asm!(
    r#"
    .set push
    .set noreorder
    .set noat
    .option pic0
    .text
    # $a0: the sibling's Start. The registers of its entry are kept in $s0 to $s2.
sibling_entry:
    move $16, $4
    move $17, $5
    move $18, $29
    ld $29, 0($4)
    lui $28, %hi(_gp)
    daddiu $28, $28, %lo(_gp)
    ld $25, 8($4)
    jalr $25
    ld $4, 16($4)
    li $2, {stop}
1:  .word {hypcall}
    b 1b
    nop
    .section .bss.sibling_stacks, "aw", @nobits
    .balign 16
sibling_stacks:
    .space {stacks}
    .text
    .set pop
    "#,
    stop = const Call::CpuStop as u64,
    hypcall = const disco_abi::HYPCALL,
    stacks = const VCPUS_PER_VM * STACK,
);

extern "C" {
    fn sibling_entry();
    static sibling_stacks: u8;
}

/// Starts virtual CPU `number`, which executes `function` with `argument` and then stops.
pub fn start(number: u64, function: extern "C" fn(u64), argument: u64) -> Result<u64, CallError> {
    let start = &STARTS[number as usize % VCPUS_PER_VM];
    let stacks = (&raw const sibling_stacks).addr();
    let top = stacks + (number as usize % VCPUS_PER_VM + 1) * STACK;
    start.stack.store(top as u64, Ordering::Relaxed);
    start
        .function
        .store(function as usize as u64, Ordering::Relaxed);
    start.argument.store(argument, Ordering::Release);
    let pc = sibling_entry as *const () as usize as u64;
    let start = core::ptr::from_ref(start).addr() as u64;
    call(Call::CpuStart, [number, pc, start, 0])
}

/// Whether virtual CPU `number` is on.
pub fn is_on(number: u64) -> bool {
    call(Call::CpuState, [number, 0, 0, 0]) == Ok(1)
}

/// Waits until the siblings below `count` have stopped, giving the CPU away meanwhile.
pub fn join(count: u64) {
    for number in 1..count {
        while is_on(number) {
            let _ = call(Call::Yield, [0; 4]);
        }
    }
}

/// Sends `messages` to the virtual CPUs of `mask`.
pub fn send(mask: u64, messages: u64) -> Result<u64, CallError> {
    call(Call::IpiSend, [mask, messages, 0, 0])
}

/// Takes the messages for this virtual CPU.
pub fn take() -> u64 {
    call(Call::IpiTake, [0; 4]).expect("messages")
}

/// Whether there are messages, as Cause says.
pub fn waiting() -> bool {
    cp0::reg::CAUSE.read() & MESSAGES != 0
}

/// Shoots `bytes` at their keys down in the virtual CPUs of `mask`.
pub fn shootdown(mask: u64, keys: ShootdownKeys, bytes: u64) -> Result<u64, CallError> {
    let address = physical_address(&raw const keys);
    call(Call::Shootdown, [mask, address, bytes, 0])
}
