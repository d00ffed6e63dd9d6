//! Pages with several users in the memmap: who counts, and who takes the page when he is alone.
//!
//! The owner word says [`Owner::Shared`], the second word how many users there are. A user holds
//! a [`PageRef`] (a virtual machine's is its pmap's entry). Only who has a reference makes another,
//! so the one user of a page stays alone, and takes it without a lock.

use super::shared::PageRef;
use super::{Audit, DirtyPages, Machine, MachineFailure, MachineMemory, Owner, PageRange};
use super::{MemMap, VmId, WrongOwner};
use crate::address::{GuestPage, MachinePage};
use core::sync::atomic::Ordering;

impl Machine {
    fn memmap_of(&self, page: MachinePage) -> Option<&'static MemMap> {
        Some(self.node_of(page)?.memmap())
    }

    /// Makes `page` shared, with `users` users.
    fn make_shared(&self, page: MachinePage, from: Owner, users: u32) -> Result<(), WrongOwner> {
        let nowhere = WrongOwner { page, found: None };
        let memmap = self.memmap_of(page).ok_or(nowhere)?;
        memmap.change(page, from, Owner::Shared)?;
        if let Some(count) = memmap.users(page) {
            count.store(users, Ordering::Release);
        }
        Ok(())
    }

    /// Takes `page` from its one user.
    fn end_sharing(&self, page: PageRef, to: Owner) -> Result<MachinePage, PageRef> {
        let at = page.page();
        let Some((memmap, users)) = self
            .memmap_of(at)
            .and_then(|memmap| Some((memmap, memmap.users(at)?)))
        else {
            return Err(page);
        };
        let alone = users.compare_exchange(1, 0, Ordering::AcqRel, Ordering::Acquire);
        match alone {
            // Shared since before there was a reference: the change cannot fail.
            Ok(_) if memmap.change(at, Owner::Shared, to).is_ok() => Ok(at),
            _ => Err(page),
        }
    }

    /// A page from the allocator for shared use: the caller is its first user.
    pub fn share_new(&self, pages: DirtyPages) -> Option<PageRef> {
        let PageRange { first, count } = pages.range();
        if count != 1 || self.make_shared(first, Owner::InTransit, 1).is_err() {
            self.free(pages);
            return None;
        }
        Some(PageRef::counted(first))
    }

    /// Makes a page of the payload shared: the payload stays one of its users for ever.
    ///
    /// # Errors
    /// It is not the payload's; nothing has changed.
    pub fn share_payload(&self, page: MachinePage) -> Result<(), WrongOwner> {
        self.make_shared(page, Owner::Payload, 1)
    }

    /// Makes page `guest` of `vm`, which is `page`, shared: the virtual machine is one user, the
    /// caller the other.
    ///
    /// # Errors
    /// It is not that guest's; nothing has changed.
    pub fn share_guest(
        &self,
        page: MachinePage,
        vm: VmId,
        guest: GuestPage,
    ) -> Result<PageRef, WrongOwner> {
        self.make_shared(page, Owner::Guest { vm, page: guest }, 2)?;
        Ok(PageRef::counted(page))
    }

    /// One more use of a page.
    pub fn share(&self, page: &PageRef) -> PageRef {
        let at = page.page();
        if let Some(users) = self.memmap_of(at).and_then(|memmap| memmap.users(at)) {
            // Every reference takes more memory than a bit of the count: it does not overflow.
            users.fetch_add(1, Ordering::Relaxed);
        }
        PageRef::counted(at)
    }

    /// Ends a use; the last one frees the page.
    pub fn release(&self, page: PageRef) {
        let at = page.page();
        let Some(users) = self.memmap_of(at).and_then(|memmap| memmap.users(at)) else {
            return;
        };
        if users.fetch_sub(1, Ordering::AcqRel) == 1 {
            if let Ok(pages) = self.take_back(PageRange::new(at, 1), Owner::Shared) {
                self.free(pages);
            }
        }
    }

    /// How many use a page.
    pub fn users(&self, page: &PageRef) -> u32 {
        self.users_of(page.page())
    }

    /// How many use a page that may be shared; 0 if it is not.
    #[link_section = ".text.once"]
    #[inline(never)]
    pub fn users_of(&self, page: MachinePage) -> u32 {
        let users = self.memmap_of(page).and_then(|memmap| memmap.users(page));
        users.map_or(0, |users| users.load(Ordering::Acquire))
    }

    /// The page, if the caller is its one user; what is in it stays.
    ///
    /// # Errors
    /// The reference, if there are others.
    pub fn take_sole(&self, page: PageRef) -> Result<DirtyPages, PageRef> {
        let page = self.end_sharing(page, Owner::InTransit)?;
        Ok(DirtyPages::new(PageRange::new(page, 1)))
    }

    /// Makes a shared page the own page `guest` of `vm`, whose pmap is its one user; what is in it
    /// stays.
    ///
    /// # Errors
    /// The reference, if there are other users.
    pub fn own(&self, page: PageRef, vm: VmId, guest: GuestPage) -> Result<MachinePage, PageRef> {
        self.end_sharing(page, Owner::Guest { vm, page: guest })
    }

    /// Makes a page from the allocator the own page `guest` of `vm`, with a copy of what is in `from`,
    /// which that guest page has been so far.
    pub fn give_copy(
        &self,
        pages: DirtyPages,
        from: MachinePage,
        vm: VmId,
        guest: GuestPage,
        memory: &impl MachineMemory,
    ) -> MachinePage {
        self.give_copy_to(pages, from, Owner::Guest { vm, page: guest }, memory)
    }

    /// Makes a page from the allocator `owner`'s, with a copy of what is in `from`.
    pub(super) fn give_copy_to(
        &self,
        pages: DirtyPages,
        from: MachinePage,
        owner: Owner,
        memory: &impl MachineMemory,
    ) -> MachinePage {
        let range = pages.range();
        memory.copy(PageRange::new(from, 1), range.first);
        if let Some(memmap) = self.memmap_of(range.first) {
            // Only the token stands for a page in transit, and it ends here.
            let _ = memmap.change_run(range, Owner::InTransit, owner);
        }
        range.first
    }

    /// An audit of users begins: none is found yet.
    pub fn audit_users_begin(&self) {
        for node in self.nodes() {
            for page in node.range().pages() {
                if let Some(found) = node.memmap().found(page) {
                    found.store(0, Ordering::Relaxed);
                }
            }
        }
    }

    /// The audit has found a user of `page`; how many it had found before.
    pub fn audit_user(&self, page: MachinePage) -> u32 {
        let found = self.memmap_of(page).and_then(|memmap| memmap.found(page));
        found.map_or(0, |found| found.fetch_add(1, Ordering::Relaxed))
    }

    /// All users have been found: there must be as many as each page counts.
    pub fn audit_users_end(&self, audit: &mut Audit<MachineFailure>) {
        for node in self.nodes() {
            let memmap = node.memmap();
            for page in node.range().pages() {
                let (Some(users), Some(found)) = (memmap.users(page), memmap.found(page)) else {
                    continue;
                };
                let users = users.load(Ordering::Relaxed);
                let found = found.load(Ordering::Relaxed);
                if users != 0 || found != 0 {
                    audit.check(users == found, || MachineFailure::Users(page, users, found));
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "sharing_tests.rs"]
mod tests;
