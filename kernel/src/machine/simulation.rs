//! Shared pages and a virtual machine's memory as bytes, for host tests.

use super::shared::{GuestPages, PageRef, SharedMemory};
use super::NoMemory;
use crate::address::{GuestPage, GuestPhysical, MachinePage};
use disco_abi::PAGE_SIZE;
use std::cell::RefCell;
use std::collections::BTreeMap;

const PAGE: usize = PAGE_SIZE as usize;

struct Page {
    users: u32,
    bytes: Vec<u8>,
}

/// So many pages and no more. Every misuse of a reference is a panic.
pub struct SimulatedMemory {
    most: usize,
    pages: RefCell<BTreeMap<MachinePage, Page>>,
    next: RefCell<u64>,
}

impl SimulatedMemory {
    /// Memory of `most` pages.
    pub fn new(most: usize) -> Self {
        Self {
            most,
            pages: RefCell::default(),
            next: RefCell::new(0x20000),
        }
    }

    /// Pages in use.
    pub fn used(&self) -> usize {
        self.pages.borrow().len()
    }

    /// The bytes of a page.
    pub fn bytes(&self, page: MachinePage) -> Vec<u8> {
        self.pages.borrow()[&page].bytes.clone()
    }

    /// Device access to bytes of a page: even while others use it.
    pub fn device_write(&self, page: MachinePage, offset: usize, bytes: &[u8]) {
        let mut pages = self.pages.borrow_mut();
        let page = pages.get_mut(&page).expect("a page in use");
        page.bytes[offset..offset + bytes.len()].copy_from_slice(bytes);
    }
}

impl SharedMemory for SimulatedMemory {
    fn allocate(&self) -> Result<PageRef, NoMemory> {
        let mut pages = self.pages.borrow_mut();
        if pages.len() >= self.most {
            return Err(NoMemory);
        }
        let mut next = self.next.borrow_mut();
        let page = MachinePage(*next);
        *next += 1;
        let bytes = vec![0xa5; PAGE];
        pages.insert(page, Page { users: 1, bytes });
        Ok(PageRef::counted(page))
    }

    fn spare(&self) -> u64 {
        (self.most - self.pages.borrow().len()) as u64
    }

    fn share(&self, page: &PageRef) -> PageRef {
        let mut pages = self.pages.borrow_mut();
        pages.get_mut(&page.page()).expect("a page in use").users += 1;
        PageRef::counted(page.page())
    }

    fn release(&self, page: PageRef) {
        let mut pages = self.pages.borrow_mut();
        let entry = pages.get_mut(&page.page()).expect("a page in use");
        entry.users -= 1;
        if entry.users == 0 {
            pages.remove(&page.page());
        }
    }

    fn users(&self, page: &PageRef) -> u32 {
        self.pages.borrow()[&page.page()].users
    }

    fn read(&self, page: &PageRef, offset: usize, bytes: &mut [u8]) {
        let pages = self.pages.borrow();
        bytes.copy_from_slice(&pages[&page.page()].bytes[offset..offset + bytes.len()]);
    }

    fn write(&self, page: &PageRef, offset: usize, bytes: &[u8]) {
        assert_eq!(self.users(page), 1, "write to a page with several users");
        self.device_write(page.page(), offset, bytes);
    }

    fn copy(&self, from: (&PageRef, usize), to: (&PageRef, usize), bytes: usize) {
        let mut buffer = vec![0; bytes];
        self.read(from.0, from.1, &mut buffer);
        self.write(to.0, to.1, &buffer);
    }
}

/// A virtual machine's memory. The guest itself writes with [`SimulatedGuest::store`].
pub struct SimulatedGuest<'a> {
    memory: &'a SimulatedMemory,
    pages: Vec<Option<PageRef>>,
    unsettled: bool,
}

impl<'a> SimulatedGuest<'a> {
    /// `pages` guest pages, none of which has a machine page yet.
    pub fn new(memory: &'a SimulatedMemory, pages: usize) -> Self {
        Self {
            memory,
            pages: (0..pages).map(|_| None).collect(),
            unsettled: false,
        }
    }

    /// The machine page behind a guest page.
    pub fn machine_page(&self, at: GuestPage) -> Option<MachinePage> {
        self.pages[at.0 as usize].as_ref().map(PageRef::page)
    }

    /// The guest reads its memory.
    pub fn load(&self, mut at: GuestPhysical, bytes: &mut [u8]) {
        assert!(!self.unsettled, "the guest goes on with old translations");
        for part in parts_of(at, bytes) {
            match &self.pages[at.page().0 as usize] {
                Some(page) => self.memory.read(page, at.offset_in_page() as usize, part),
                None => part.fill(0),
            }
            at.0 += part.len() as u64;
        }
    }

    /// The guest writes its memory: a copy-on-write fault where others use the page.
    pub fn store(&mut self, mut at: GuestPhysical, bytes: &[u8]) {
        assert!(!self.unsettled, "the guest goes on with old translations");
        let mut bytes = bytes.to_vec();
        for part in parts_of(at, &mut bytes) {
            self.own(at.page()).expect("memory for the guest");
            let page = self.pages[at.page().0 as usize].as_ref().unwrap();
            self.memory.write(page, at.offset_in_page() as usize, part);
            at.0 += part.len() as u64;
        }
    }

    fn own(&mut self, at: GuestPage) -> Result<(), NoMemory> {
        let place = &mut self.pages[at.0 as usize];
        if place
            .as_ref()
            .is_some_and(|page| self.memory.users(page) == 1)
        {
            return Ok(());
        }
        let new = self.memory.allocate()?;
        match place.take() {
            Some(old) => {
                self.memory.copy((&old, 0), (&new, 0), PAGE);
                self.memory.release(old);
            }
            None => self.memory.write(&new, 0, &[0; PAGE]),
        }
        *place = Some(new);
        Ok(())
    }
}

/// The parts of `bytes` that lie within a page each, where they begin at `at`.
fn parts_of(at: GuestPhysical, bytes: &mut [u8]) -> impl Iterator<Item = &mut [u8]> {
    let first = bytes.len().min(PAGE - at.offset_in_page() as usize);
    let (first, rest) = bytes.split_at_mut(first);
    core::iter::once(first).chain(rest.chunks_mut(PAGE))
}

impl Drop for SimulatedGuest<'_> {
    fn drop(&mut self) {
        for page in self.pages.drain(..).flatten() {
            self.memory.release(page);
        }
    }
}

impl GuestPages for SimulatedGuest<'_> {
    fn map(&mut self, at: GuestPage, page: PageRef) {
        self.unsettled = true;
        if let Some(old) = self.pages[at.0 as usize].replace(page) {
            self.memory.release(old);
        }
    }

    fn lend(&mut self, at: GuestPage) -> Result<PageRef, NoMemory> {
        if self.pages[at.0 as usize].is_none() {
            self.own(at)?;
        }
        self.unsettled = true;
        let page = self.pages[at.0 as usize].as_ref().unwrap();
        Ok(self.memory.share(page))
    }

    fn settle(&mut self) {
        self.unsettled = false;
    }

    fn read(
        &mut self,
        from: GuestPhysical,
        to: (&PageRef, usize),
        bytes: usize,
    ) -> Result<(), NoMemory> {
        let page = match self.pages[from.page().0 as usize].as_ref() {
            Some(page) => page,
            None => {
                self.memory.write(to.0, to.1, &vec![0; bytes]);
                return Ok(());
            }
        };
        let from = (page, from.offset_in_page() as usize);
        self.memory.copy(from, to, bytes);
        Ok(())
    }

    fn write(
        &mut self,
        from: (&PageRef, usize),
        to: GuestPhysical,
        bytes: usize,
    ) -> Result<(), NoMemory> {
        self.own(to.page())?;
        let page = self.pages[to.page().0 as usize].as_ref().unwrap();
        let to = (page, to.offset_in_page() as usize);
        self.memory.copy(from, to, bytes);
        Ok(())
    }
}
