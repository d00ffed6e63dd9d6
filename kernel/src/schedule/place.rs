//! Which CPU: where a new virtual CPU goes, and who is idle.

use core::sync::atomic::Ordering;

use super::post::Mailbox;
use super::{CpuId, Scheduler, VcpuId, CPUS_MAX};
use crate::machine::NodeId;

/// How far apart two nodes are.
pub(super) fn distance(a: NodeId, b: NodeId) -> u8 {
    a.0.abs_diff(b.0)
}

impl Scheduler {
    /// The known CPU with the least key; those without one do not count.
    #[inline(never)]
    pub(super) fn least(&self, key: &dyn Fn(CpuId, &Mailbox) -> Option<u64>) -> Option<CpuId> {
        let mut least = None;
        for cpu in (0..CPUS_MAX as u8).map(CpuId) {
            let key = self.mailbox(cpu).and_then(|mail| key(cpu, mail));
            let Some(key) = key else {
                continue;
            };
            if least.is_none_or(|(least, _)| key < least) {
                least = Some((key, cpu));
            }
        }
        least.map(|(_, cpu)| cpu)
    }

    /// Where `vcpu` of a virtual machine whose memory is in node `prefer` starts: of the CPUs
    /// nearest to it, one with few of its siblings and few virtual CPUs (`None` if no CPU is
    /// known). Nodes are as far apart as their numbers.
    pub fn place(&self, vcpu: VcpuId, prefer: NodeId) -> Option<CpuId> {
        self.least(&|cpu, mail| {
            let far = u64::from(distance(mail.node, prefer));
            let siblings = self.siblings_on(vcpu, cpu) as u64;
            Some(far << 48 | siblings << 32 | u64::from(mail.homed()))
        })
    }

    /// The node of the CPU that has the fewest virtual CPUs: where a new virtual machine of
    /// one virtual CPU goes if its memory fits.
    pub fn least_loaded_node(&self) -> Option<NodeId> {
        let cpu = self.least(&|_, mail| Some(u64::from(mail.homed())))?;
        self.mailbox(cpu).map(|mail| mail.node)
    }

    /// Whether `cpu` has nothing to run.
    pub fn is_idle(&self, cpu: CpuId) -> bool {
        self.idle.load(Ordering::Acquire) >> cpu.0 & 1 == 1
    }

    /// Tells others whether `cpu` is idle; whether that is news.
    pub(super) fn advertise(&self, cpu: CpuId, idle: bool) -> bool {
        let bit = 1 << cpu.0;
        if self.is_idle(cpu) == idle {
            return false;
        }
        if idle {
            self.idle.fetch_or(bit, Ordering::AcqRel);
        } else {
            self.idle.fetch_and(!bit, Ordering::AcqRel);
        }
        true
    }

    /// Whether a CPU other than `cpu` is idle.
    pub(super) fn has_idle_beside(&self, cpu: CpuId) -> bool {
        self.idle.load(Ordering::Acquire) & !(1 << cpu.0) != 0
    }

    /// Claims an idle CPU other than `cpu`, at most `reach` away from `node`, the nearest first.
    pub(super) fn claim_idle(&self, cpu: CpuId, node: NodeId, reach: u8) -> Option<CpuId> {
        let mut idle = self.idle.load(Ordering::Acquire) & !(1 << cpu.0);
        while idle != 0 {
            let target = self.least(&|other, mail| {
                let far = distance(mail.node, node);
                (idle >> other.0 & 1 == 1 && far <= reach).then_some(u64::from(far))
            })?;
            let bit = 1 << target.0;
            if self.idle.fetch_and(!bit, Ordering::AcqRel) & bit != 0 {
                return Some(target);
            }
            idle &= !bit;
        }
        None
    }

    /// The CPU nearest to `cpu` that has more to run than one: it can give an idle one something.
    pub(super) fn crowded(&self, cpu: CpuId) -> Option<CpuId> {
        let node = self.mailbox(cpu)?.node;
        self.least(&|other, mail| {
            let crowded = other != cpu && mail.runnable.load(Ordering::Relaxed) > 1;
            crowded.then_some(u64::from(distance(mail.node, node)))
        })
    }
}
