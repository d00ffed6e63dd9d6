//! Who uses pages with several users: for `mem`, `mem page`, `vm page` and `check`.

use super::check::AuditResult;
use super::cpu::Cpu;
use super::resident::ResidentVm;
use super::slot::{VmSlot, VmState};
use super::Monitor;
use crate::address::{GuestPage, GuestPhysical, MachineAddress, MachinePage};
use crate::console::command::Format;
use crate::console::memory_report::{KindRow, PageRow, VmMemoryRow};
use crate::console::report::Row;
use crate::disk::{Disks, Use};
use crate::machine::{Audit, Node, NodeId, Owner, Usage};
use crate::net::switch::Subnet;
use crate::vm::pmap::Backing;
use core::sync::atomic::Ordering;
use disco_abi::PAGE_SIZE;
use disco_arch::lock::MutexGuard;
use disco_flash::VMS_MAX;

/// Users of one page that are found in one pass.
const USERS_AT_ONCE: usize = 16;

/// A user of a shared page.
#[derive(Clone, Copy)]
enum User {
    /// A message on the subnet.
    Message,
    /// The payload, for ever.
    Payload,
    /// The virtual disks.
    Disk(Use),
    /// A virtual machine, as its guest-physical memory.
    Guest(&'static VmSlot, GuestPage),
}

impl User {
    /// What kind.
    const fn word(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Payload => "payload",
            Self::Disk(Use::Cache) => "disk cache",
            Self::Disk(Use::Private) => "private sectors",
            Self::Disk(Use::UnderWay) => "disk command",
            Self::Guest(..) => "guest memory",
        }
    }
}

/// Kinds of shared memory in `mem`. A page of several kinds counts for the first.
const KINDS: [&str; 6] = [
    "shared: disk cache",
    "shared: private sectors",
    "shared: disk commands",
    "shared: messages",
    "shared: kernels and ramdisks",
    "shared: among guests",
];

/// Everything that refers to shared pages, held: no reference comes or goes. Locks are taken in
/// their order, and all backings, by number.
struct Held {
    subnet: MutexGuard<'static, Subnet<'static>>,
    disks: MutexGuard<'static, Disks>,
    _backings: [Option<MutexGuard<'static, ()>>; VMS_MAX],
    residents: [Option<&'static ResidentVm>; VMS_MAX],
    // Last: they keep the virtual machines where they are.
    _states: [Option<MutexGuard<'static, VmState>>; VMS_MAX],
}

impl Monitor {
    #[inline(never)]
    fn hold_users(&'static self) -> Held {
        let mut states = [const { None }; VMS_MAX];
        let mut residents = [None; VMS_MAX];
        for (number, slot) in self.slots.iter().enumerate().take(VMS_MAX) {
            states[number] = Some(slot.state.lock());
            // SAFETY: null, or it stays where it is while its slot's state is held, which outlives
            // this reference in `Held`.
            residents[number] = unsafe { slot.resident().as_ref() };
        }
        let disks = self.disks.lock();
        let backings =
            residents.map(|vm: Option<&'static ResidentVm>| vm.map(|vm| vm.backing.lock()));
        let subnet = self.subnet.lock();
        Held {
            subnet,
            disks,
            _backings: backings,
            residents,
            _states: states,
        }
    }

    /// Calls `each` with every reference to a shared page. Whoever holds such references in a place of
    /// its own adds it here and to [`Held`].
    fn each_user(&self, held: &Held, mut each: impl FnMut(User, MachinePage)) {
        held.disks
            .uses(&mut |kind, page| each(User::Disk(kind), page));
        for page in held.subnet.pages() {
            each(User::Message, page.page());
        }
        for page in self.payload_pages().pages() {
            if self.machine.owner(page) == Some(Owner::Shared) {
                each(User::Payload, page);
            }
        }
        for vm in held.residents.iter().flatten() {
            for (guest, backing) in vm.pmap.iter() {
                if let Backing::Shared(page) = backing {
                    each(User::Guest(vm.slot, guest), page);
                }
            }
        }
    }

    /// Audits that each shared page has as many users as it counts.
    pub(super) fn check_users(&'static self) -> AuditResult {
        let held = self.hold_users();
        self.machine.audit_users_begin();
        self.each_user(&held, |_, page| {
            self.machine.audit_user(page);
        });
        let mut audit = Audit::new();
        self.machine.audit_users_end(&mut audit);
        let mut result = AuditResult::EMPTY;
        result.add(&audit);
        result
    }

    /// Shared machine pages by kind.
    fn shared_by_kind(&'static self) -> [u64; KINDS.len()] {
        let held = self.hold_users();
        let mut pages = [0; KINDS.len()];
        self.machine.audit_users_begin();
        self.each_user(&held, |user, page| {
            if self.machine.audit_user(page) == 0 {
                pages[match user {
                    User::Disk(Use::Cache) => 0,
                    User::Disk(Use::Private) => 1,
                    User::Disk(Use::UnderWay) => 2,
                    User::Message => 3,
                    User::Payload => 4,
                    User::Guest(..) => 5,
                }] += 1;
            }
        });
        pages
    }

    /// Users of `page` behind the first `skip`, as many as one pass finds.
    fn users_of(&'static self, page: MachinePage, skip: usize) -> [Option<User>; USERS_AT_ONCE] {
        let held = self.hold_users();
        let mut found = [None; USERS_AT_ONCE];
        let mut number = 0;
        self.each_user(&held, |user, used| {
            if used == page {
                if let Some(place) =
                    usize::checked_sub(number, skip).and_then(|at| found.get_mut(at))
                {
                    *place = Some(user);
                }
                number += 1;
            }
        });
        found
    }

    fn vm_memory(&self, slot: &'static VmSlot) -> Option<VmMemoryRow<'static>> {
        let (mut own, mut shared, mut promised) = (0, 0, 0);
        self.with_resident(slot, |vm| {
            for (_, backing) in vm.pmap.iter() {
                match backing {
                    Backing::Own(_) | Backing::Replicated(_) | Backing::Moving(_) => {
                        own += PAGE_SIZE
                    }
                    _ => shared += PAGE_SIZE,
                }
            }
            promised = vm.promised.load(Ordering::Relaxed) * PAGE_SIZE;
        })?;
        Some(VmMemoryRow {
            name: slot.name,
            virtual_memory: slot.described.memory.get(),
            own,
            shared,
            promised,
        })
    }
}

impl Cpu {
    /// The part of `mem` about virtual machines and kinds of memory.
    pub(super) fn mem_by_use(&mut self, format: Format) {
        let monitor = self.monitor;
        self.answer(&mut |out| VmMemoryRow::write_head(out, format));
        for row in monitor
            .slots
            .iter()
            .filter_map(|slot| monitor.vm_memory(slot))
        {
            self.answer(&mut |out| row.write_row(out, format));
        }
        let mut all = Usage::default();
        for node in monitor.machine.nodes() {
            let usage = node.usage();
            all.free += usage.free;
            all.guest += usage.guest;
            all.replica += usage.replica;
        }
        let shared = KINDS.into_iter().zip(monitor.shared_by_kind());
        let others = [
            ("guests' own", all.guest),
            ("replicas", all.replica),
            ("free", all.free),
            (
                "free and promised",
                monitor.machine.promised().min(all.free),
            ),
        ];
        self.answer(&mut |out| KindRow::write_head(out, format));
        for (kind, pages) in shared.chain(others) {
            let bytes = pages * PAGE_SIZE;
            self.answer(&mut |out| KindRow { kind, bytes }.write_row(out, format));
        }
    }

    /// The command `mem page`.
    pub(super) fn mem_page(&mut self, address: u64, format: Format) {
        let monitor = self.monitor;
        let page = MachineAddress(address).page();
        let Some(node) = monitor.machine.node_of(page) else {
            self.answer(&mut |out| {
                writeln!(
                    out,
                    "{address:#x} is no machine address of memory; `mem` shows how much there is"
                )
            });
            return;
        };
        let owner = node.owner(page);
        let row = PageRow {
            machine: Some(page.address().0),
            node: Some(node.id().0.into()),
            owner: owner.map_or("damaged", Owner::word),
            users: monitor.machine.users_of(page).into(),
            user: None,
            guest: None,
        };
        self.answer(&mut |out| PageRow::write_head(out, format));
        let name = |vm: usize| monitor.slots.get(vm).map(|slot| slot.name);
        let alone = match owner {
            Some(Owner::Shared) => None,
            Some(Owner::Guest { vm, page } | Owner::Replica { vm, page }) => {
                let guest = name(vm.0.into()).map(|name| (name, page.address().0));
                Some(PageRow { guest, ..row })
            }
            // Its tables, for instance.
            Some(Owner::Service { vm }) => Some(PageRow {
                user: name(vm.0.into()),
                ..row
            }),
            _ => Some(row),
        };
        if let Some(row) = alone {
            self.answer(&mut |out| row.write_row(out, format));
            return;
        }
        for pass in 0.. {
            let users = monitor.users_of(page, pass * USERS_AT_ONCE);
            for user in users.iter().flatten() {
                let guest = match user {
                    User::Guest(slot, page) => Some((slot.name, page.address().0)),
                    User::Message | User::Payload | User::Disk(_) => None,
                };
                let user = Some(user.word());
                let row = PageRow { user, guest, ..row };
                self.answer(&mut |out| row.write_row(out, format));
            }
            if users.iter().any(Option::is_none) {
                return;
            }
        }
    }

    /// The command `vm page`.
    pub(super) fn vm_page(&mut self, slot: &'static VmSlot, address: u64, format: Format) {
        let monitor = self.monitor;
        let guest = GuestPhysical(address).page();
        let backing = monitor.with_resident(slot, |vm| {
            (guest.0 < vm.pmap.pages()).then(|| vm.pmap.backing(guest))
        });
        let backing = match backing {
            None => {
                self.answer(&mut |out| writeln!(out, "{} does not run", slot.name));
                return;
            }
            Some(None) => {
                let memory = slot.described.memory.get();
                self.answer(&mut |out| {
                    writeln!(
                        out,
                        "{address:#x} is beyond the memory of {}, {memory:#x} bytes",
                        slot.name
                    )
                });
                return;
            }
            Some(Some(backing)) => backing,
        };
        let replica = |node: NodeId| {
            let replica = |vm: &ResidentVm| vm.pmap.replica(guest, node);
            monitor.with_resident(slot, replica).flatten()
        };
        let machine = backing.page();
        let node = machine.and_then(|page| monitor.machine.node_of(page));
        let row = PageRow {
            machine: machine.map(|page| page.address().0),
            node: node.map(|node| node.id().0.into()),
            owner: match backing {
                Backing::Nothing => "no page yet",
                Backing::Own(_) => "own",
                Backing::Replicated(_) => "replicated",
                Backing::Moving(_) => "moving",
                Backing::Shared(_) => "shared",
            },
            users: machine.map_or(0, |page| monitor.machine.users_of(page).into()),
            user: None,
            guest: Some((slot.name, guest.address().0)),
        };
        self.answer(&mut |out| PageRow::write_head(out, format));
        self.answer(&mut |out| row.write_row(out, format));
        for node in monitor.machine.nodes().map(Node::id) {
            let Some(page) = replica(node) else {
                continue;
            };
            let row = PageRow {
                machine: Some(page.address().0),
                node: Some(node.0.into()),
                owner: "replica",
                users: 0,
                ..row
            };
            self.answer(&mut |out| row.write_row(out, format));
        }
    }
}
