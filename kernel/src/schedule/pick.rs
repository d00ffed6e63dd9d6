//! Who runs, and for how long.

use super::queue::RunQueue;
use super::ready::Waiter;
use super::{Scheduler, VcpuId};

impl RunQueue {
    /// How many could run here, the one that does included.
    pub(super) fn runnable(&self) -> u64 {
        self.ready.len() as u64 + u64::from(self.current.is_some())
    }

    /// How many want this CPU: those that could run, and those that were started for later than
    /// `now`.
    pub fn contenders(&self, scheduler: &Scheduler, now: u64) -> u64 {
        let later = |vcpu: &VcpuId| scheduler.begins(*vcpu) > now;
        self.runnable() + self.waiting.iter().filter(later).count() as u64
    }

    /// How long one runs while others are ready: its part of the period.
    #[inline(never)]
    pub(super) fn slice(&self) -> u64 {
        let part = self.times.period / self.runnable().max(1);
        part.max(self.times.least)
    }

    fn slice_end(&self) -> u64 {
        self.slice_begin + self.slice_len
    }

    /// The longest slice from `now` on after which the `older` longest ready ones, one after the
    /// other, all begin to run within a round after they became ready. A round is the period, or
    /// longer if there are too many for it.
    #[inline(never)]
    fn room(&self, older: usize, now: u64) -> u64 {
        let slice = self.slice();
        let round = self.times.period.max(slice * self.runnable());
        let mut others = now;
        let room = |waiter: &Waiter| {
            let room = (waiter.since + round).saturating_sub(others);
            others += slice;
            room
        };
        let rooms = self.ready.iter().take(older).map(room);
        rooms.min().unwrap_or(u64::MAX)
    }

    /// Whether there is room for a whole slice.
    fn leaves_time_for(&self, older: usize, now: u64) -> bool {
        self.room(older, now) >= self.slice()
    }

    /// The ready one that has run least, of all or of those that have woken, with its place in
    /// the list; of equal ones the longest ready.
    #[inline(never)]
    fn least(&self, woken_only: bool) -> Option<(usize, &Waiter)> {
        let mut least = None;
        let mut time = u64::MAX;
        for (place, waiter) in self.ready.iter().enumerate() {
            let its = self.virtual_time(waiter.vcpu);
            if its < time && (waiter.woken || !woken_only) {
                (time, least) = (its, Some((place, waiter)));
            }
        }
        least
    }

    /// Who takes the CPU at the end of a slice: the one that has run least, but the longest
    /// ready one if somebody's time would run out. `None`: the current one goes on.
    fn next(&self, now: u64) -> Option<VcpuId> {
        let mine = self.current.map(|current| self.virtual_time(current));
        let goes_on = |waiter: &Waiter| mine.is_some_and(|t| t < self.virtual_time(waiter.vcpu));
        let best = self.least(false).filter(|(_, best)| !goes_on(best));
        let place = best.map_or(self.ready.len(), |(place, _)| place);
        match best {
            _ if !self.leaves_time_for(place, now) => self.ready.iter().next(),
            best => best.map(|(_, best)| best),
        }
        .map(|waiter| waiter.vcpu)
    }

    /// From when on `woken` preempts one that has run up to virtual time `mine`: when that one is
    /// far ahead, and has run at all.
    fn preempts_at(&self, woken: &Waiter, mine: u64) -> u64 {
        let patience = self.virtual_time(woken.vcpu) + self.times.preempt;
        let ahead = self.charged + (patience + 1).saturating_sub(mine);
        ahead.max(self.slice_begin + self.times.moment())
    }

    /// Who takes the CPU in the middle of the slice of one that has run up to virtual time
    /// `mine`: one that has woken and is far behind.
    fn preempting(&self, mine: u64, now: u64) -> Option<VcpuId> {
        let (place, woken) = self.least(true)?;
        // The interrupted one goes on before those that wait.
        let preempts =
            self.preempts_at(woken, mine) <= now && self.leaves_time_for(place, self.slice_end());
        preempts.then_some(woken.vcpu)
    }

    /// Decides who runs from `now` on.
    pub(super) fn pick(&mut self, now: u64) {
        // The others count on what is left of a slice: it grows no longer when they get fewer.
        self.slice_len = self.slice_len.min(self.slice());
        let mine = self.current.map(|current| self.virtual_time(current));
        let expired = self.yields || now >= self.slice_end();
        let next = match mine {
            Some(mine) if !expired => self.preempting(mine, now),
            _ => self.next(now),
        };
        if let Some(next) = next.and_then(|next| self.ready.remove(next)) {
            if let Some(previous) = self.current.replace(next.vcpu) {
                let used = now.saturating_sub(self.slice_begin);
                let left = self.slice_len.saturating_sub(used);
                let interrupted = !expired && left >= self.times.moment();
                self.ready.insert(Waiter {
                    vcpu: previous,
                    woken: false,
                    left: if interrupted { left as u32 } else { 0 },
                    since: if interrupted { self.since } else { now },
                });
            }
            self.since = next.since;
            self.begin_slice(now, u64::from(next.left));
            self.counters.switches += 1;
        } else if expired {
            self.since = now;
            self.begin_slice(now, 0);
        }
    }

    fn begin_slice(&mut self, now: u64, left: u64) {
        self.yields = false;
        self.slice_begin = now;
        // Slices get longer when fewer are left to share the period: some may have waited for it.
        let longest = self.slice().min(self.room(usize::MAX, now));
        let longest = longest.max(self.times.least);
        self.slice_len = match left {
            0 => longest,
            left => left.min(longest),
        };
    }

    /// The current virtual CPU lets all that are ready run once before it goes on. Returns
    /// whether there are any: then the caller takes a turn.
    #[must_use]
    pub fn yield_now(&mut self, scheduler: &Scheduler, now: u64) -> bool {
        let Some(current) = self.current.filter(|_| !self.ready.is_empty()) else {
            return false;
        };
        self.charge(scheduler, now);
        let times = self.ready.iter().map(|w| self.virtual_time(w.vcpu));
        let behind = times.fold(self.virtual_time(current), u64::max);
        self.set_virtual_time(current, behind);
        self.yields = true;
        true
    }

    /// When this CPU must take its next turn, if nothing is posted before: the end of the slice,
    /// the moment from which one that has woken preempts, or a deadline; `u64::MAX` for never.
    pub fn next_event(&self) -> u64 {
        let slots = self.waiting.iter();
        let deadline = slots
            .filter_map(|vcpu| self.slots.get(usize::from(vcpu.0)))
            .fold(u64::MAX, |earliest, slot| earliest.min(slot.deadline));
        let Some(current) = self.current.filter(|_| !self.ready.is_empty()) else {
            return deadline;
        };
        let end = self.slice_end();
        let mine = self.virtual_time(current);
        let woken = self.least(true);
        // One that could preempt by now was refused: it has to wait for the end of the slice.
        let preempts = woken.map_or(end, |(_, woken)| self.preempts_at(woken, mine));
        let preempts = if preempts > self.charged {
            preempts
        } else {
            end
        };
        end.min(preempts).min(self.gives).min(deadline)
    }
}
