//! The audit behind the command `check`: each CPU checks what it owns, when it is asked to.

use super::cpu::Cpu;
use super::resident::{Resident, ResidentVm};
use super::slot::{Message, VmSlot};
use crate::address::MachinePage;
use crate::machine::{Audit, Machine, Owner};
use crate::vm::mapping::linear_offset;
use crate::vm::pmap::Backing;
use crate::vm::vtlb::{ASID_MASK, LO_D, LO_V};
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicU32, Ordering};
use disco_arch::board::interrupts;
use disco_arch::lock::Mutex;
use disco_arch::tlb;

/// A CPU's audit: asked for by CPU 0, done by its CPU.
#[derive(Debug)]
pub struct AuditBox {
    asked: AtomicU32,
    done: AtomicU32,
    /// Guards the last result. Innermost.
    result: Mutex<AuditResult>,
}

/// What an audit found.
#[derive(Clone, Copy, Debug)]
pub struct AuditResult {
    /// Checks made.
    pub checks: u64,
    /// Checks that did not hold.
    pub failed: u64,
    /// The first of them.
    pub first: Message,
}

impl AuditResult {
    /// Nothing checked.
    pub const EMPTY: Self = Self {
        checks: 0,
        failed: 0,
        first: Message::EMPTY,
    };

    /// Adds what `audit` found.
    pub fn add<F: Copy + fmt::Display>(&mut self, audit: &Audit<F>) {
        self.checks += audit.checks();
        self.failed += audit.failed();
        if self.first.bytes().is_empty() {
            if let Some(failure) = audit.failures().next() {
                let _ = write!(self.first, "{failure}");
            }
        }
    }
}

impl AuditBox {
    /// Nothing was asked.
    pub const fn new() -> Self {
        Self {
            asked: AtomicU32::new(0),
            done: AtomicU32::new(0),
            result: Mutex::new(AuditResult::EMPTY),
        }
    }

    /// Asks for an audit; the caller interrupts the CPU.
    pub fn ask(&self) {
        self.asked.fetch_add(1, Ordering::AcqRel);
    }

    /// The result, once it is there.
    pub fn result(&self) -> Option<AuditResult> {
        let there = self.done.load(Ordering::Acquire) == self.asked.load(Ordering::Acquire);
        there.then(|| *self.result.lock())
    }
}

impl Default for AuditBox {
    fn default() -> Self {
        Self::new()
    }
}

/// What can be wrong with a virtual machine's tables.
#[derive(Clone, Copy, Debug)]
enum Failure {
    /// A page of the pmap is not the virtual machine's.
    Owner(u64, MachinePage),
    /// The second-level TLB maps a page that is not what the pmap says, or is writable and should not.
    L2Page(u64, MachinePage),
    /// A mapping that no backmap finds.
    Backmap(u64),
    /// The real TLB maps a page that is not the virtual machine's, or is writable and should not.
    TlbOwner(u64, MachinePage),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Owner(guest, page) => {
                write!(
                    f,
                    "pmap: guest page {guest:#x} has another's machine page {:#x}",
                    page.0
                )
            }
            Self::L2Page(tag, page) => {
                write!(
                    f,
                    "second-level TLB: {tag:#x} maps machine page {:#x}, which the pmap does not",
                    page.0
                )
            }
            Self::Backmap(tag) => write!(f, "no backmap finds the mapping {tag:#x}"),
            Self::TlbOwner(hi, page) => {
                write!(f, "TLB: {hi:#x} maps another's machine page {:#x}", page.0)
            }
        }
    }
}

/// Machine page of an EntryLo.
const fn page_of(lo: u64) -> MachinePage {
    MachinePage((lo & 0x3fff_ffff) >> 8)
}

/// Whether an EntryLo allows stores.
const fn is_writable(lo: u64) -> bool {
    lo & LO_D != 0
}

impl ResidentVm {
    fn audit(&self, machine: &Machine, audit: &mut Audit<Failure>) {
        let vm = self.slot.id;
        for (guest, backing) in self.pmap.iter() {
            let (page, owner) = match backing {
                Backing::Own(page) | Backing::Replicated(page) => {
                    (page, Owner::Guest { vm, page: guest })
                }
                Backing::Shared(page) => (page, Owner::Shared),
                // Whoever moves one holds the memory that is audited here until it is there.
                Backing::Moving(page) => (page, Owner::Free),
                Backing::Nothing => continue,
            };
            let right = machine.owner(page) == Some(owner);
            audit.check(right, || Failure::Owner(guest.0, page));
            for node in self.pmap.replicas(guest).iter() {
                let right = self.pmap.replica(guest, node).is_some_and(|page| {
                    let owner = Owner::Replica { vm, page: guest };
                    let of_node = machine.node(node).and_then(|node| node.owner(page));
                    of_node == Some(owner)
                });
                audit.check(right, || Failure::Owner(guest.0, page));
            }
        }
    }
}

impl Resident {
    fn audit(&self, machine: &Machine, loaded: bool, audit: &mut Audit<Failure>) {
        let vm = self.vm.slot.id;
        let pmap = &self.pmap;
        for (tag, lo, guest) in self.vcpu.l2.halves() {
            let page = page_of(lo.into());
            let backing = guest.map(|guest| pmap.backing(guest));
            let seen = guest.and_then(|guest| pmap.entry_lo(guest)).map(u64::from);
            let is_behind = seen.is_some_and(|lo| page_of(lo) == page);
            // A replica that was made since it was mapped is not used yet.
            let right = match backing {
                Some(Backing::Own(own)) => own == page,
                Some(Backing::Shared(first) | Backing::Replicated(first)) => {
                    (is_behind || first == page) && !is_writable(lo.into())
                }
                _ => false,
            };
            audit.check(right, || Failure::L2Page(tag, page));
            let linear = linear_offset(tag & !ASID_MASK).is_some();
            let found = guest.is_some_and(|guest| pmap.is_recorded(guest, tag));
            audit.check(linear || found, || Failure::Backmap(tag));
        }
        let allowed = |page, lo| match machine.owner(page) {
            Some(Owner::Guest { vm: owner, .. }) => owner == vm,
            Some(Owner::Replica { vm: owner, .. }) => owner == vm && !is_writable(lo),
            Some(Owner::Shared) => !is_writable(lo),
            _ => false,
        };
        if loaded {
            // Entry 0 is the special page's.
            for entry in (1..tlb::entries()).map(tlb::read) {
                for lo in [entry.lo0, entry.lo1] {
                    if entry.hi & tlb::ENTRY_HI_INVALID == 0 && lo & LO_V != 0 {
                        let page = page_of(lo);
                        audit.check(allowed(page, lo), || Failure::TlbOwner(entry.hi, page));
                    }
                }
            }
        }
    }
}

impl Cpu {
    /// Audits what this CPU owns, if it was asked to since the last time.
    #[cold]
    #[inline(never)]
    pub(super) fn answer_audit(&self) {
        let place = &self.shared.audit;
        let asked = place.asked.load(Ordering::Acquire);
        if place.done.load(Ordering::Relaxed) == asked {
            return;
        }
        let mut result = AuditResult::EMPTY;
        let mut queue = Audit::new();
        self.queue.audit(self.monitor.scheduler, &mut queue);
        result.add(&queue);
        for slot in self.monitor.slots {
            result.add(&self.audit_vm(slot));
        }
        *place.result.lock() = result;
        place.done.store(asked, Ordering::Release);
    }

    /// Audits those virtual CPUs of `slot` whose home is this CPU, and with the first that is on
    /// what all share.
    fn audit_vm(&self, slot: &'static VmSlot) -> Audit<Failure> {
        let mut audit = Audit::new();
        let mut first = true;
        for vcpu in slot.vcpus() {
            let Some(home) = self.monitor.scheduler.home(vcpu) else {
                continue;
            };
            // The home first: while it is this CPU, nobody takes the virtual machine away.
            if home == self.id {
                let resident = self.monitor.resident(vcpu);
                // SAFETY: null, or its home is this CPU, which does nothing else with it now.
                if let Some(vcpu) = unsafe { resident.as_ref() } {
                    // Whoever changes the pmap holds it until all have been asked to forget.
                    let _backing = vcpu.vm.backing.lock();
                    if first {
                        vcpu.vm.audit(&self.monitor.machine, &mut audit);
                    }
                    if !vcpu.shared.shootdown.is_asked() {
                        vcpu.audit(&self.monitor.machine, resident == self.loaded, &mut audit);
                    }
                }
            }
            first = false;
        }
        audit
    }

    /// Audits what the CPUs own: all do their part.
    pub(super) fn check_cpus(&mut self) -> AuditResult {
        let mut total = AuditResult::EMPTY;
        let cpus = self.monitor.layout.cpus().len();
        let others = || self.monitor.cpus[..cpus].iter().copied().flatten();
        for (number, cpu) in others().enumerate() {
            cpu.audit.ask();
            interrupts::send_ipi(number);
        }
        self.answer_audit();
        for cpu in others() {
            let result = loop {
                match cpu.audit.result() {
                    Some(result) => break result,
                    None => core::hint::spin_loop(),
                }
            };
            total.checks += result.checks;
            total.failed += result.failed;
            if total.first.bytes().is_empty() {
                total.first = result.first;
            }
        }
        total
    }
}
