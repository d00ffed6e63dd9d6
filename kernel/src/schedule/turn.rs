//! A scheduling point: mail, deadlines, who runs next, who is given away.

use super::{CpuId, RunQueue, Scheduler, VcpuId, POSTED_STOP};

/// What a turn needs of the CPU it is taken on.
pub trait Local {
    /// Interrupts another CPU (or this one). Everything written before is visible to it when
    /// it takes the interrupt.
    fn interrupt(&mut self, cpu: CpuId);
    /// `vcpu` leaves this CPU: everything of it that is still in registers (FPU, TLB) goes to
    /// memory or away. Afterwards another CPU may run it.
    fn leave(&mut self, vcpu: VcpuId);
    /// `vcpu` is off now, as was asked for.
    fn stopped(&mut self, vcpu: VcpuId);
}

/// What a turn decided.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Turn {
    /// Who runs; `None`: the CPU idles until an interrupt.
    pub run: Option<VcpuId>,
    /// When the next turn is due at the latest, in ticks; `u64::MAX` for never.
    pub until: u64,
}

impl RunQueue {
    /// Takes a turn at `now`: after an inter-processor interrupt was acknowledged, when the
    /// time of the last turn has come, and when the current virtual CPU waits or yields.
    pub fn turn(&mut self, scheduler: &Scheduler, now: u64, local: &mut impl Local) -> Turn {
        self.counters.turns += 1;
        self.charge(scheduler, now);
        if let Some(mailbox) = scheduler.mailbox(self.cpu) {
            for vcpu in mailbox.inbox.take().iter() {
                self.look_at(scheduler, vcpu, now, local);
            }
        }
        self.wake_late(now);
        if self.current.is_none() {
            self.pick(now);
        }
        self.feed_idle(scheduler, now, local);
        self.pick(now);
        self.balance(scheduler, now, local);
        Turn {
            run: self.current,
            until: match self.current {
                // What it runs is counted.
                Some(_) => self
                    .next_event()
                    .min(now.saturating_add(10 * self.times.period)),
                None => self.next_event(),
            },
        }
    }

    /// Does what an inbox bit asks for.
    fn look_at(&mut self, scheduler: &Scheduler, vcpu: VcpuId, now: u64, local: &mut impl Local) {
        match scheduler.home(vcpu) {
            // Switched off since: the bit is from its life before.
            None => return,
            Some(home) if home != self.cpu => {
                self.counters.forwarded += 1;
                if let Some(home) = scheduler.remind(vcpu) {
                    local.interrupt(home);
                }
                return;
            }
            Some(_) => {}
        }
        if self.state(vcpu).is_none() {
            self.arrive(scheduler, vcpu, now);
        }
        let posted = scheduler.posted(vcpu);
        if posted & POSTED_STOP != 0 {
            self.forget(vcpu);
            local.leave(vcpu);
            scheduler.switch_off(vcpu, self.cpu);
            local.stopped(vcpu);
        } else if posted != 0 {
            self.wake(vcpu, now);
        }
    }
}
