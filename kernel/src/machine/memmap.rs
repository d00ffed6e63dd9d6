//! The memmap: who owns each page of machine memory.
//!
//! One entry of 16 bytes for every 16 KiB page (0.1 % of memory), kept per node in that
//! node's own memory. The entry is the lock of its page: an owner changes only by a
//! compare-and-exchange of the whole owner word from what it is known to be, so of two CPUs
//! that want the same page one fails and learns who has it.
//!
//! The second word is for pages with several users ([`Owner::Shared`]): how many there are, and, while
//! an audit counts, how many it has found. It is 0 while a page has one owner, and
//! [`super::Machine::audit`] checks that: who makes a page shared changes the owner first, who takes
//! it for himself, last.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::{PageRange, VmId};
use crate::address::{GuestPage, MachinePage};

/// Who owns a page of machine memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Owner {
    /// The monitor: its image, its tables, and what firmware has reserved.
    Monitor,
    /// Nobody; the allocator may give it out.
    Free,
    /// A token ([`super::DirtyPages`] or [`super::ZeroedPages`]) between two owners.
    InTransit,
    /// The payload: guest kernels and initial ramdisks as they were loaded.
    Payload,
    /// The monitor on behalf of a virtual machine (pmap, virtual CPUs, console ring); given
    /// back with it.
    Service {
        /// The virtual machine.
        vm: VmId,
    },
    /// A virtual machine, as its guest-physical memory.
    Guest {
        /// The virtual machine.
        vm: VmId,
        /// Which of its pages, below 2^44.
        page: GuestPage,
    },
    /// A virtual machine, as a copy for the page's node of one of its guest pages.
    Replica {
        /// The virtual machine.
        vm: VmId,
        /// Which of its pages, below 2^44.
        page: GuestPage,
    },
    /// Those who hold a [`super::shared::PageRef`] on it, together.
    Shared,
}

// Layout of the owner word: kind in bits 0..4, virtual machine in 4..20, guest page in 20..64.
const KIND_BITS: u32 = 4;
const PAGE_AT: u32 = KIND_BITS + u16::BITS;
const MONITOR: u64 = 0;
const FREE: u64 = 1;
const IN_TRANSIT: u64 = 2;
const PAYLOAD: u64 = 3;
const SERVICE: u64 = 4;
const GUEST: u64 = 5;
const SHARED: u64 = 6;
const REPLICA: u64 = 7;

impl Owner {
    /// What kind of owner, in a word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Monitor => "the monitor's",
            Self::Free => "free",
            Self::InTransit => "in transit",
            Self::Payload => "the payload's",
            Self::Service { .. } => "the monitor's for a virtual machine",
            Self::Guest { .. } => "a virtual machine's",
            Self::Replica { .. } => "a replica",
            Self::Shared => "shared",
        }
    }

    /// The virtual machine that the page is used for, if any.
    pub const fn vm(self) -> Option<VmId> {
        match self {
            Self::Service { vm } | Self::Guest { vm, .. } | Self::Replica { vm, .. } => Some(vm),
            _ => None,
        }
    }

    /// Owner of the page `offset` pages behind one that this owner has, in one run of pages.
    const fn nth(self, offset: u64) -> Self {
        match self {
            Self::Guest { vm, page } => Self::Guest {
                vm,
                page: GuestPage(page.0 + offset),
            },
            other => other,
        }
    }

    const fn encode(self) -> u64 {
        match self {
            Self::Monitor => MONITOR,
            Self::Free => FREE,
            Self::InTransit => IN_TRANSIT,
            Self::Payload => PAYLOAD,
            Self::Service { vm } => SERVICE | (vm.0 as u64) << KIND_BITS,
            Self::Guest { vm, page } => GUEST | (vm.0 as u64) << KIND_BITS | page.0 << PAGE_AT,
            Self::Replica { vm, page } => REPLICA | (vm.0 as u64) << KIND_BITS | page.0 << PAGE_AT,
            Self::Shared => SHARED,
        }
    }

    const fn decode(word: u64) -> Option<Self> {
        let vm = VmId((word >> KIND_BITS) as u16);
        Some(match word & ((1 << KIND_BITS) - 1) {
            MONITOR => Self::Monitor,
            FREE => Self::Free,
            IN_TRANSIT => Self::InTransit,
            PAYLOAD => Self::Payload,
            SERVICE => Self::Service { vm },
            GUEST => Self::Guest {
                vm,
                page: GuestPage(word >> PAGE_AT),
            },
            REPLICA => Self::Replica {
                vm,
                page: GuestPage(word >> PAGE_AT),
            },
            SHARED => Self::Shared,
            _ => return None,
        })
    }
}

/// A page does not belong to whom the caller thought.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WrongOwner {
    /// The page.
    pub page: MachinePage,
    /// Whose it is; `None` if it is no page of a node.
    pub found: Option<Owner>,
}

impl core::fmt::Display for WrongOwner {
    #[cold]
    #[inline(never)]
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let page = self.page.0;
        match self.found {
            Some(owner) => write!(f, "machine page {page:#x} is {}", owner.word()),
            None => write!(f, "machine page {page:#x} is in no node"),
        }
    }
}

/// The memmap's record of one page. All zeros is a page of the monitor.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Entry {
    owner: AtomicU64,
    /// How many use a shared page. 0 for every other page.
    users: AtomicU32,
    /// How many of them an audit has found.
    found: AtomicU32,
}

static_assertions::const_assert_eq!(core::mem::size_of::<Entry>(), 16);

/// The entries of one node's pages.
#[derive(Debug)]
pub struct MemMap {
    range: PageRange,
    entries: &'static [Entry],
}

impl MemMap {
    /// Covers as many pages of `range` as `entries` has room for; all begin as the monitor's.
    pub(super) fn new(range: PageRange, entries: &'static mut [Entry]) -> Self {
        for entry in entries.iter_mut() {
            *entry = Entry::default();
        }
        let count = range.count.min(entries.len() as u64);
        Self {
            range: PageRange::new(range.first, count),
            entries,
        }
    }

    /// The pages it covers.
    pub const fn range(&self) -> PageRange {
        self.range
    }

    fn entry(&self, page: MachinePage) -> Option<&Entry> {
        let index = page.0.checked_sub(self.range.first.0)?;
        self.entries.get(usize::try_from(index).ok()?)
    }

    /// Whose `page` is: `None` if it is of another node, or its entry is damaged.
    pub fn owner(&self, page: MachinePage) -> Option<Owner> {
        Owner::decode(self.entry(page)?.owner.load(Ordering::Acquire))
    }

    /// Whether the entry of `page` holds an owner, and users only if it is shared.
    pub(super) fn is_sound(&self, page: MachinePage) -> bool {
        let Some(entry) = self.entry(page) else {
            return false;
        };
        // The two words are read one after the other, and the page may change hands in between.
        loop {
            let owner = entry.owner.load(Ordering::Acquire);
            let users = entry.users.load(Ordering::Acquire);
            let sound = Owner::decode(owner).is_some() && (users == 0 || owner == SHARED);
            if sound || owner == entry.owner.load(Ordering::Acquire) {
                return sound;
            }
        }
    }

    /// How many use a shared page, if it is of this node.
    pub(super) fn users(&self, page: MachinePage) -> Option<&AtomicU32> {
        Some(&self.entry(page)?.users)
    }

    /// How many of its users an audit has found.
    pub(super) fn found(&self, page: MachinePage) -> Option<&AtomicU32> {
        Some(&self.entry(page)?.found)
    }

    /// Changes the owner of `page` from `from` to `to`.
    pub(super) fn change(
        &self,
        page: MachinePage,
        from: Owner,
        to: Owner,
    ) -> Result<(), WrongOwner> {
        let Some(entry) = self.entry(page) else {
            return Err(WrongOwner { page, found: None });
        };
        entry
            .owner
            .compare_exchange(
                from.encode(),
                to.encode(),
                Ordering::AcqRel,
                Ordering::Acquire,
            )
            .map(|_| ())
            .map_err(|word| WrongOwner {
                page,
                found: Owner::decode(word),
            })
    }

    /// Changes the owner of all pages of `range` from `from` to `to`, or of none.
    ///
    /// For [`Owner::Guest`] they are the owners of the first page; the guest pages count up.
    pub(super) fn change_run(
        &self,
        range: PageRange,
        from: Owner,
        to: Owner,
    ) -> Result<(), WrongOwner> {
        for (offset, page) in (0..).zip(range.pages()) {
            let Err(wrong) = self.change(page, from.nth(offset), to.nth(offset)) else {
                continue;
            };
            for (undo, page) in (0..offset).zip(range.pages()) {
                // Nobody else takes a page from `to`, which the caller alone stands for.
                let _ = self.change(page, to.nth(undo), from.nth(undo));
            }
            return Err(wrong);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const VM: VmId = VmId(7);

    fn memmap(pages: usize) -> MemMap {
        let entries: Vec<Entry> = (0..pages).map(|_| Entry::default()).collect();
        MemMap::new(
            PageRange::new(MachinePage(0x20000), pages as u64),
            entries.leak(),
        )
    }

    proptest! {
        #[test]
        fn owners_survive_their_encoding(vm: u16, page in 0u64..1 << 44) {
            let (vm, page) = (VmId(vm), GuestPage(page));
            for owner in [Owner::Service { vm }, Owner::Guest { vm, page }, Owner::Free,
                          Owner::Replica { vm, page }, Owner::Monitor, Owner::InTransit, Owner::Payload, Owner::Shared] {
                prop_assert_eq!(Owner::decode(owner.encode()), Some(owner));
            }
        }
    }

    #[test]
    fn a_run_changes_as_a_whole_or_not_at_all() {
        let memmap = memmap(8);
        let run = |first: u64, count| PageRange::new(MachinePage(0x20000 + first), count);
        let guest = Owner::Guest {
            vm: VM,
            page: GuestPage(100),
        };
        memmap
            .change_run(run(0, 8), Owner::Monitor, Owner::Free)
            .unwrap();
        memmap.change_run(run(2, 3), Owner::Free, guest).unwrap();
        assert_eq!(
            memmap.owner(MachinePage(0x20004)),
            Some(Owner::Guest {
                vm: VM,
                page: GuestPage(102)
            })
        );
        let wrong = memmap
            .change_run(run(0, 8), Owner::Free, Owner::Payload)
            .unwrap_err();
        assert_eq!(wrong.page, MachinePage(0x20002));
        assert_eq!(wrong.found, Some(guest));
        for page in [0, 1, 5, 6, 7] {
            assert_eq!(memmap.owner(MachinePage(0x20000 + page)), Some(Owner::Free));
        }
    }

    #[test]
    fn pages_of_other_nodes_have_no_owner_here() {
        let memmap = memmap(4);
        assert_eq!(memmap.owner(MachinePage(0x1ffff)), None);
        assert_eq!(memmap.owner(MachinePage(0x20004)), None);
        let beyond = PageRange::new(MachinePage(0x20003), 2);
        let wrong = memmap.change_run(beyond, Owner::Monitor, Owner::Free);
        assert_eq!(
            wrong,
            Err(WrongOwner {
                page: MachinePage(0x20004),
                found: None
            })
        );
        assert_eq!(memmap.owner(MachinePage(0x20003)), Some(Owner::Monitor));
    }

    #[test]
    fn of_two_takers_one_wins() {
        let memmap = memmap(256);
        let all = PageRange::new(MachinePage(0x20000), 256);
        memmap.change_run(all, Owner::Monitor, Owner::Free).unwrap();
        let won: Vec<u64> = std::thread::scope(|scope| {
            let takers: Vec<_> = (0..4u16)
                .map(|vm| {
                    let memmap = &memmap;
                    scope.spawn(move || {
                        let to = Owner::Service { vm: VmId(vm) };
                        all.pages()
                            .filter(|&page| memmap.change(page, Owner::Free, to).is_ok())
                            .count() as u64
                    })
                })
                .collect();
            takers.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert_eq!(won.iter().sum::<u64>(), 256);
    }
}
