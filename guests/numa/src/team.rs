//! Virtual CPUs that compute together. Who has nothing to do waits, and is woken by a message: that
//! costs no time, on the board or in the exact model.

use crate::{arena, marker};
use core::sync::atomic::{AtomicU64, Ordering};
use disco_test_guests::abi::{BootInfo, Call, VCPUS_PER_VM};
use disco_test_guests::calls::call;
use disco_test_guests::cp0;
use disco_test_guests::siblings::{join, send, start, take, MESSAGES};
use disco_test_guests::{option, println};

/// The team's members: how many, and which of the virtual CPUs they are.
#[derive(Clone, Copy)]
pub struct Team {
    /// Members, numbered from 0.
    pub members: u64,
    /// Virtual CPUs from one member to the next: the others stay off.
    stride: u64,
}

/// What members do, as addresses: before all begin, and then.
static PREPARE: AtomicU64 = AtomicU64::new(0);
static WORK: AtomicU64 = AtomicU64::new(0);
static STRIDE: AtomicU64 = AtomicU64::new(1);
static READY: AtomicU64 = AtomicU64::new(0);
static BEGUN: AtomicU64 = AtomicU64::new(0);
static DONE: AtomicU64 = AtomicU64::new(0);

impl Team {
    /// The team that the command line asks for: `members=N`, spread evenly over the virtual CPUs.
    pub fn of(boot: &'static BootInfo) -> Self {
        let members = option(boot, "members", boot.vcpus);
        assert!((1..=VCPUS_PER_VM as u64).contains(&members) && boot.vcpus % members == 0);
        let stride = boot.vcpus / members;
        Self { members, stride }
    }

    /// Has every member do `work`, which is told the member's number; returns when all have. The window of
    /// measurement begins when all are ready and ends when the last one has ended.
    pub fn work(&self, work: fn(u64)) {
        self.prepare_and_work(|_| {}, work);
    }

    /// The same, after every member has done `prepare`.
    pub fn prepare_and_work(&self, prepare: fn(u64), work: fn(u64)) {
        PREPARE.store(prepare as usize as u64, Ordering::Relaxed);
        WORK.store(work as usize as u64, Ordering::Relaxed);
        STRIDE.store(self.stride, Ordering::Relaxed);
        cp0::set_status(MESSAGES);
        for member in 1..self.members {
            assert_eq!(start(member * self.stride, serve, member), Ok(0));
        }
        prepare(0);
        while READY.load(Ordering::Acquire) < self.members - 1 {
            let _ = call(Call::Yield, [0; 4]);
        }
        marker::begin();
        BEGUN.store(1, Ordering::Release);
        let others = (1..self.members).fold(0, |mask, member| mask | 1 << (member * self.stride));
        assert_eq!(send(others, 1), Ok(0));
        work(0);
        DONE.fetch_add(1, Ordering::AcqRel);
        wait_until(|| DONE.load(Ordering::Acquire) == self.members);
        marker::end();
        join((self.members - 1) * self.stride + 1);
    }
}

/// What a member other than the first does.
extern "C" fn serve(member: u64) {
    arena::map();
    cp0::set_status(MESSAGES);
    // SAFETY: `Team::prepare_and_work` has stored functions of this type, before it started this virtual CPU.
    let [prepare, work]: [fn(u64); 2] = [&PREPARE, &WORK]
        .map(|word| unsafe { core::mem::transmute(word.load(Ordering::Relaxed) as usize) });
    prepare(member);
    READY.fetch_add(1, Ordering::AcqRel);
    wait_until(|| BEGUN.load(Ordering::Acquire) != 0);
    work(member);
    DONE.fetch_add(1, Ordering::AcqRel);
    assert_eq!(send(1, 1), Ok(0));
}

/// To be called at the end of the program: with `stay=1` on the command line the model writes its report, and the program
/// stays, so that its pages can be looked at. Nothing is executed any more.
pub fn stay(boot: &BootInfo) {
    if option(boot, "stay", 0) == 0 {
        return;
    }
    marker::report();
    println!("the work is done");
    loop {
        cp0::wait();
        // A message that came for nothing, and would end the next wait at once.
        take();
    }
}

/// Waits for messages until `done`. They stay pending until they are taken, with interrupts off, so none is
/// slept over.
fn wait_until(done: impl Fn() -> bool) {
    while !done() {
        cp0::wait();
        take();
    }
}
