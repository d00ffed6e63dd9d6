//! Independent jobs, as many as virtual CPUs: each simulates a circuit of its own. The first virtual CPU has
//! made all the circuits, so they are all in its node.
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
use disco_numa_guests::arena::Arena;
use disco_numa_guests::marker;
use disco_numa_guests::team::{stay, Team};
use disco_numa_work::netlist::{self, Gate};
use disco_test_guests::abi::{BootInfo, VCPUS_PER_VM};
use disco_test_guests::{option, println};

disco_test_guests::guest!(run);

/// Each member's circuit.
static CIRCUITS: [AtomicPtr<Gate>; VCPUS_PER_VM] =
    [const { AtomicPtr::new(core::ptr::null_mut()) }; VCPUS_PER_VM];
static GATES: AtomicU64 = AtomicU64::new(0);
static CYCLES: AtomicU64 = AtomicU64::new(0);

/// The circuit of a member.
///
/// # Safety
/// While nobody else uses it.
unsafe fn circuit(member: u64) -> &'static mut [Gate] {
    let gates = GATES.load(Ordering::Relaxed) as usize;
    let start = CIRCUITS[member as usize].load(Ordering::Acquire);
    // SAFETY: `run` has taken as many gates for this member from the arena, for good; the rest is the caller's promise.
    unsafe { core::slice::from_raw_parts_mut(start, gates) }
}

fn simulate(member: u64) {
    // SAFETY: each member has its own, and the first one looks at them when all have ended.
    let gates = unsafe { circuit(member) };
    let cycles = CYCLES.load(Ordering::Relaxed);
    for done in 1..=cycles {
        netlist::cycle(gates);
        if member == 0 {
            marker::progress(done, cycles);
        }
    }
}

fn run(boot: &'static BootInfo) {
    let team = Team::of(boot);
    // SAFETY: once.
    let mut arena = unsafe { Arena::new(boot) };
    let gates = option(boot, "gates", 16 << 10);
    GATES.store(gates, Ordering::Relaxed);
    CYCLES.store(option(boot, "cycles", 4), Ordering::Relaxed);
    for member in 0..team.members {
        let circuit: &mut [Gate] = arena.take(gates as usize);
        netlist::build(circuit, member);
        CIRCUITS[member as usize].store(circuit.as_mut_ptr(), Ordering::Release);
    }
    team.work(simulate);
    // SAFETY: all have ended.
    let sums = (0..team.members).map(|member| netlist::checksum(unsafe { circuit(member) }));
    let sum = sums.fold(0, disco_numa_work::mix);
    println!("{} circuits of {gates} gates: {sum:#x}", team.members);
    assert_eq!(sum, option(boot, "sum", sum), "the checksum");
    stay(boot);
}
