//! The ready ones of a CPU, in the order in which they became so.

use super::{VcpuId, VCPUS_MAX};

/// A virtual CPU that could run and does not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiter {
    pub(super) vcpu: VcpuId,
    /// It was woken or came from another CPU, and has not run since: it may preempt.
    pub(super) woken: bool,
    /// What is left of the slice that another one interrupted, in ticks; 0: it gets a new one.
    pub(super) left: u32,
    /// Since when it is ready or, if a slice is left of it, was ready before it, in ticks.
    pub(super) since: u64,
}

/// A queue that members may leave anywhere; the longest ready comes first.
#[derive(Debug)]
pub(super) struct ReadyList {
    waiters: [Waiter; VCPUS_MAX],
    count: usize,
}

impl ReadyList {
    pub(super) const fn new() -> Self {
        let nobody = Waiter {
            vcpu: VcpuId(u16::MAX),
            woken: false,
            left: 0,
            since: 0,
        };
        Self {
            waiters: [nobody; VCPUS_MAX],
            count: 0,
        }
    }

    /// The longest ready first.
    pub(super) fn iter(&self) -> core::slice::Iter<'_, Waiter> {
        self.waiters.get(..self.count).unwrap_or_default().iter()
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) fn contains(&self, vcpu: VcpuId) -> bool {
        self.iter().any(|waiter| waiter.vcpu == vcpu)
    }

    /// Puts one in that is not here.
    pub(super) fn insert(&mut self, waiter: Waiter) {
        let longer = |other: &Waiter| other.since <= waiter.since;
        let at = self.iter().rposition(longer).map_or(0, |last| last + 1);
        if self.count < VCPUS_MAX {
            self.waiters.copy_within(at..self.count, at + 1);
            self.waiters[at] = waiter;
            self.count += 1;
        }
    }

    /// Takes `vcpu` out, wherever it stands.
    #[inline(never)]
    pub(super) fn remove(&mut self, vcpu: VcpuId) -> Option<Waiter> {
        let at = self.iter().position(|waiter| waiter.vcpu == vcpu)?;
        let waiter = self.waiters[at];
        self.waiters.copy_within(at + 1..self.count, at);
        self.count -= 1;
        Some(waiter)
    }
}
