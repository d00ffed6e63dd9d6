//! Who is given away, and to whom.
//!
//! A CPU with more than one to run gives ready ones to idle CPUs. To a CPU that has less to do,
//! on average over some 0.1 s, it gives the one that has been with it longest: with three
//! virtual CPUs on two CPUs, each has one for itself a third of the time.

use core::sync::atomic::{AtomicU64, Ordering};

use super::place::distance;
use super::post::Mailbox;
use super::queue::RunQueue;
use super::ready::Waiter;
use super::{CpuId, Local, Scheduler, VcpuId};

/// One runnable virtual CPU, as an average.
const ONE: u64 = 1 << 20;
/// How much more a CPU must have to do than the one that it gives work to.
const CLEARLY_MORE: u64 = ONE / 2;

/// The average `before`, `passed` ticks later with `runnable` ones all the time; it goes back
/// `1 << memory` ticks.
fn follow(before: u64, runnable: u64, passed: u64, memory: u32) -> u64 {
    let difference = (runnable * ONE) as i64 - before as i64;
    let change = match passed >> memory {
        0 => (difference * passed as i64) >> memory,
        _ => difference,
    };
    before.wrapping_add_signed(change)
}

/// Whether by `now` a `pause` has passed since `last`.
fn over(last: &AtomicU64, pause: u64, now: u64) -> bool {
    now >= last.load(Ordering::Relaxed).saturating_add(pause)
}

impl Mailbox {
    fn runnable(&self) -> u64 {
        u64::from(self.runnable.load(Ordering::Relaxed))
    }

    /// The average by `now`: its CPU takes no turns while nothing changes.
    fn average(&self, now: u64, memory: u32) -> u64 {
        let passed = now.saturating_sub(self.averaged.load(Ordering::Relaxed));
        let average = self.average.load(Ordering::Relaxed);
        follow(average, self.runnable(), passed, memory)
    }
}

impl RunQueue {
    /// Brings the average number of runnable ones up to `now`; they were the same since the
    /// last time.
    pub(super) fn average_load(&mut self, now: u64) {
        let passed = now.saturating_sub(self.averaged);
        self.averaged = self.averaged.max(now);
        self.average = follow(self.average, self.runnable(), passed, self.times.memory);
    }

    /// How long one is ready before it may go to an idle CPU of this node, and of another one,
    /// where its memory does not follow: who runs for a moment only shall drive nobody away.
    fn patience_to_move(&self) -> (u64, u64) {
        (self.times.moment(), self.times.least)
    }

    /// Gives to idle CPUs what they should rather run. Of all that are ready one goes that has
    /// woken or has run least: who computes stays.
    pub(super) fn feed_idle(&mut self, scheduler: &Scheduler, now: u64, local: &mut impl Local) {
        let Some(mailbox) = scheduler.mailbox(self.cpu) else {
            return;
        };
        let (near, far) = self.patience_to_move();
        while let Some(&Waiter { since, .. }) = self.ready.iter().next() {
            let reach = match now.saturating_sub(since) {
                waited if waited >= far => u8::MAX,
                waited if waited >= near => 0,
                _ => return,
            };
            let Some(target) = scheduler.claim_idle(self.cpu, mailbox.node, reach) else {
                return;
            };
            let Some(vcpu) = self.spare(scheduler, target) else {
                return;
            };
            self.give(scheduler, vcpu, target, local);
        }
    }

    /// Who goes to `target`, which is idle.
    fn spare(&self, scheduler: &Scheduler, target: CpuId) -> Option<VcpuId> {
        let node = scheduler.mailbox(target)?.node;
        let key = |vcpu, ran: bool| {
            let away = distance(scheduler.memory_in(vcpu), node);
            let alone = usize::MAX - scheduler.siblings_on(vcpu, self.cpu);
            ((away, alone, ran), self.virtual_time(vcpu), vcpu)
        };
        let mut least = self.current.map(|current| key(current, true));
        for waiter in self.ready.iter() {
            let key = key(waiter.vcpu, !waiter.woken);
            least = Some(least.map_or(key, |least| least.min(key)));
        }
        least.map(|(_, _, vcpu)| vcpu)
    }

    /// Shares with CPUs that have less to do, says whether this CPU is idle, and asks for work
    /// if it is idle now.
    pub(super) fn balance(&mut self, scheduler: &Scheduler, now: u64, local: &mut impl Local) {
        let Some(mailbox) = scheduler.mailbox(self.cpu) else {
            return;
        };
        self.gives = u64::MAX;
        match self.ready.iter().next().map(|waiter| waiter.since) {
            Some(since) => {
                let (near, far) = self.patience_to_move();
                let due = [since + near, since + far]
                    .into_iter()
                    .find(|&due| due > now);
                if let Some(due) = due.filter(|_| scheduler.has_idle_beside(self.cpu)) {
                    self.gives = due;
                }
                self.share(scheduler, mailbox, now, local);
            }
            None => self.go_home(scheduler, mailbox, now, local),
        }
        mailbox.average.store(self.average, Ordering::Relaxed);
        mailbox.averaged.store(self.averaged, Ordering::Relaxed);
        let runnable = self.runnable() as u32;
        mailbox.runnable.store(runnable, Ordering::Relaxed);
        if scheduler.advertise(self.cpu, self.current.is_none()) && self.current.is_none() {
            if let Some(crowded) = scheduler.crowded(self.cpu) {
                local.interrupt(crowded);
            }
        }
    }

    /// Gives the current one back to the node where its memory is, if a CPU is idle there.
    fn go_home(
        &mut self,
        scheduler: &Scheduler,
        mailbox: &Mailbox,
        now: u64,
        local: &mut impl Local,
    ) {
        let Some(current) = self.current else {
            return;
        };
        let node = scheduler.memory_in(current);
        if node == mailbox.node || !over(&mailbox.moved_far, 100 * self.times.period, now) {
            return;
        }
        if let Some(target) = scheduler.claim_idle(self.cpu, node, 0) {
            mailbox.moved_far.store(now, Ordering::Relaxed);
            self.give(scheduler, current, target, local);
        }
    }

    /// Gives the one that came here first to a CPU that has clearly less to do. If that one
    /// runs, a later turn finds it ready.
    fn share(
        &mut self,
        scheduler: &Scheduler,
        mailbox: &Mailbox,
        now: u64,
        local: &mut impl Local,
    ) {
        // Only one whose slice has just ended: it has not waited yet.
        let last = self.ready.iter().last().filter(|last| last.since == now);
        let Some(vcpu) = last.map(|last| last.vcpu).filter(|&v| self.came_first(v)) else {
            return;
        };
        let target = scheduler.least(&|cpu, mail| {
            let average = mail.average(now, self.times.memory);
            let less = average + CLEARLY_MORE <= self.average;
            if cpu == self.cpu || !less || !self.may_give(mailbox, mail, now) {
                return None;
            }
            let corrects = self.surplus(mail) > 1;
            let far = if corrects {
                distance(mail.node, mailbox.node)
            } else {
                0
            };
            let quarters = average / (ONE / 4);
            let moved = mail.moved.load(Ordering::Relaxed);
            Some(u64::from(far) << 56 | quarters << 44 | moved >> 8)
        });
        let Some((target, mail)) = target.and_then(|cpu| Some((cpu, scheduler.mailbox(cpu)?)))
        else {
            return;
        };
        // One giver at a time: the others look again in their next turn.
        let moved = mail.moved.load(Ordering::Relaxed);
        let claimed = mail
            .moved
            .compare_exchange(moved, now, Ordering::Relaxed, Ordering::Relaxed);
        if claimed.is_err() {
            return;
        }
        mailbox.moved.store(now, Ordering::Relaxed);
        if mail.node != mailbox.node {
            mail.moved_far.store(now, Ordering::Relaxed);
            mailbox.moved_far.store(now, Ordering::Relaxed);
        }
        self.counters.shared += 1;
        self.give(scheduler, vcpu, target, local);
    }

    /// Whether of all that could run here none came earlier than `vcpu`.
    fn came_first(&self, vcpu: VcpuId) -> bool {
        let first = |other: VcpuId| self.came(vcpu) <= self.came(other);
        self.current.is_none_or(first) && self.ready.iter().all(|waiter| first(waiter.vcpu))
    }

    /// How many more could run here than on the CPU with mailbox `than`.
    fn surplus(&self, than: &Mailbox) -> u64 {
        self.runnable().saturating_sub(than.runnable())
    }

    /// Whether this CPU may give to one with mailbox `to` by now: averages need time to follow,
    /// and a move to another node, away from its memory, costs more.
    fn may_give(&self, here: &Mailbox, to: &Mailbox, now: u64) -> bool {
        let period = self.times.period;
        let surplus = self.surplus(to);
        let near = if surplus > 1 { period } else { 10 * period };
        // Of several the one goes first that has not given for longer.
        let both = |here, to, pause| over(here, pause / 2 * 3, now) && over(to, pause, now);
        surplus > 0
            && both(&here.moved, &to.moved, near)
            && (here.node == to.node || both(&here.moved_far, &to.moved_far, 10 * near))
    }

    fn give(&mut self, scheduler: &Scheduler, vcpu: VcpuId, target: CpuId, local: &mut impl Local) {
        let lag = self.lag(vcpu);
        self.forget(vcpu);
        local.leave(vcpu);
        scheduler.move_home(vcpu, self.cpu, target, lag);
        self.counters.given += 1;
        local.interrupt(target);
    }
}
