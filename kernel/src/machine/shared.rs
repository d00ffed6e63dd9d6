//! Pages with several users: of the global disk cache, of virtual machines that read them from there,
//! of messages under way.
//!
//! Whoever uses such a page holds a [`PageRef`], and nobody writes to it: who wants to, takes a copy,
//! or the page itself if nobody else uses it. The last reference that is released frees the page.

use super::NoMemory;
use crate::address::{GuestPage, GuestPhysical, MachinePage};

/// One use of a page that may have others. Neither `Copy` nor `Clone`: it counts.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a dropped reference is never released"]
pub struct PageRef(MachinePage);

impl PageRef {
    /// A use of `page` that the caller has counted.
    pub const fn counted(page: MachinePage) -> Self {
        Self(page)
    }

    /// Which page.
    pub const fn page(&self) -> MachinePage {
        self.0
    }
}

/// Machine memory for pages with several users. Offsets and lengths stay within the page.
pub trait SharedMemory {
    /// A page with one user, the caller; its contents are unspecified. Refused where memory is short
    /// or promised to virtual machines.
    ///
    /// # Errors
    /// There is none.
    fn allocate(&self) -> Result<PageRef, NoMemory>;
    /// How many more there are for it to give.
    fn spare(&self) -> u64;
    /// One more use of the same page.
    fn share(&self, page: &PageRef) -> PageRef;
    /// Ends a use.
    fn release(&self, page: PageRef);
    /// How many use it.
    fn users(&self, page: &PageRef) -> u32;
    /// Reads bytes.
    fn read(&self, page: &PageRef, offset: usize, bytes: &mut [u8]);
    /// Writes bytes to a page that nobody else uses.
    fn write(&self, page: &PageRef, offset: usize, bytes: &[u8]);
    /// Copies bytes to a page that nobody else uses.
    fn copy(&self, from: (&PageRef, usize), to: (&PageRef, usize), bytes: usize);
}

/// The memory of a virtual machine, for a call of one of its virtual CPUs. Addresses have been checked
/// to lie in guest-physical memory; lengths stay within a page.
pub trait GuestPages {
    /// Makes `page` the guest page `at`, read-only, in place of what was there.
    fn map(&mut self, at: GuestPage, page: PageRef);
    /// A use of the guest page `at`, which is read-only for the guest from [`GuestPages::settle`] on.
    ///
    /// # Errors
    /// It has no machine page, and there is none for it.
    fn lend(&mut self, at: GuestPage) -> Result<PageRef, NoMemory>;
    /// No virtual CPU uses a translation any more that `map` or `lend` has changed. What was lent
    /// can still change before.
    fn settle(&mut self);
    /// Copies from the guest to a page that nobody else uses.
    ///
    /// # Errors
    /// The guest's page has no machine page, and there is none for it.
    fn read(
        &mut self,
        from: GuestPhysical,
        to: (&PageRef, usize),
        bytes: usize,
    ) -> Result<(), NoMemory>;
    /// Copies to the guest.
    ///
    /// # Errors
    /// The guest's page cannot be written to: there is no machine page for it.
    fn write(
        &mut self,
        from: (&PageRef, usize),
        to: GuestPhysical,
        bytes: usize,
    ) -> Result<(), NoMemory>;
}
