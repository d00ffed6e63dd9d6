//! The scheduler: which virtual CPU runs on which CPU, and when.
//!
//! Every virtual CPU that is not off has a *home*, one CPU, which alone owns its run state in
//! its [`RunQueue`]. All other CPUs only post to it. There is no lock.
//!
//! # Posting, and why no wake-up is lost
//!
//! [`Scheduler::post`] does, in this order:
//! 1. set bits in the virtual CPU's posted word,
//! 2. read its home,
//! 3. set its bit in the home's inbox;
//!
//! then the caller sends the home an inter-processor interrupt. The home does, in this order:
//! 1. acknowledge the interrupt,
//! 2. empty its inbox ([`RunQueue::turn`]),
//! 3. look at the posted word of each virtual CPU that was in it.
//!
//! A virtual CPU is declared waiting by its home only ([`RunQueue::wait`]), and only if its
//! posted word is 0 then. A bit set after that look has its inbox bit and its interrupt still
//! to come; a bit set before is seen. An inbox bit says no more than "look at this one": to set
//! it twice, or for one that is not here, does no harm. A CPU that finds one whose home is
//! another CPU by now passes the bit on, so a poster that read the home just before it changed
//! is not lost either; an arrival is nothing but an inbox bit for one whose home is here. A CPU
//! idles with its interrupts so set that one that is already pending ends its `wait`
//! instruction.
//!
//! # Moving
//!
//! Idle CPUs advertise themselves in a bitmap. A CPU with more to run than one claims an idle
//! CPU (one of its own node first) at its scheduling points by clearing its bit, and gives a
//! ready virtual CPU away: state to memory ([`Local::leave`]), home changed, inbox bit,
//! interrupt. Nobody else changes a home, so a virtual CPU that wakes returns to the CPU it
//! last ran on. A CPU that becomes idle interrupts one that has more than one to run.
//!
//! Where no CPU is idle, but one has had clearly less to do for a while, it is given the virtual
//! CPU that has been elsewhere for longest (`balance.rs`), one at a time: so N of them that
//! compute on M CPUs all get M / N of a CPU in the long run.
//!
//! # Fairness
//!
//! The virtual CPUs that could run on one CPU share a *period*, each gets an equal slice of it.
//! The one with the least virtual run time is next, but if a ready one would then wait for longer
//! than a period, the longest ready one is (`pick.rs`). So a virtual CPU that loses its CPU while
//! it holds a guest's lock has it back within a period. One that wakes has at most
//! [`Times::credit`] of advantage over those that ran meanwhile, and preempts one that is ahead
//! of it by [`Times::preempt`]. One that yields, as a guest's spinning lock does, goes behind all
//! that are ready.
//!
//! All times are ticks of Count, extended to 64 bits by the caller so that they never wrap.

mod balance;
mod pick;
mod place;
mod post;
mod queue;
mod ready;
mod set;
mod turn;

pub use post::{Mailbox, Scheduler, POSTED_STOP};
pub use queue::{Counters, QueueFailure, RunQueue, State, Times};
pub use set::{AtomicVcpuSet, VcpuSet};
pub use turn::{Local, Turn};

/// Most virtual CPUs of all virtual machines together.
pub const VCPUS_MAX: usize = disco_flash::VCPUS_MAX;
/// Most CPUs.
pub const CPUS_MAX: usize = disco_flash::CPUS_MAX;

/// The number of a virtual CPU among those of all virtual machines, below [`VCPUS_MAX`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct VcpuId(pub u16);

/// The number of a CPU, below [`CPUS_MAX`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct CpuId(pub u8);

#[cfg(test)]
mod fairness;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod workload;
