//! A message under way: its bytes in pages with several users.

use super::address::Header;
use super::list::Claim;
use crate::machine::shared::{GuestPages, PageRef, SharedMemory};
use crate::machine::NoMemory;
use disco_abi::{NET_MESSAGE_MAX, PAGE_SIZE};

const PAGE: usize = PAGE_SIZE as usize;
/// Most pages: each whole page of the guest has its own, all other bytes are packed.
pub const PAGES_MAX: usize = (NET_MESSAGE_MAX / PAGE_SIZE) as usize;
/// Most parts. With n whole pages of the guest there are at most n + 1 pieces between them, which
/// begin one of the other pages at most [`PAGES_MAX`] - n times.
const PARTS_MAX: usize = 2 * PAGES_MAX + 1;

/// Bytes of a message within one of its pages.
#[derive(Clone, Copy, Debug, Default)]
pub struct Part {
    /// Which of the message's pages.
    page: u8,
    /// Where in it.
    offset: u16,
    /// How many.
    length: u16,
}

impl Part {
    /// Where in its page.
    pub const fn offset(self) -> usize {
        self.offset as usize
    }

    /// How many bytes.
    pub const fn length(self) -> usize {
        self.length as usize
    }

    /// Whether it is a page from its first byte to its last.
    pub const fn is_whole_page(self) -> bool {
        self.length() == PAGE
    }
}

/// A message. It holds references, and has to be given up with [`Message::release`].
#[derive(Debug)]
#[must_use = "its pages are never released"]
pub struct Message {
    pages: [Option<PageRef>; PAGES_MAX],
    page_count: u8,
    parts: [Part; PARTS_MAX],
    part_count: u8,
    length: u32,
    /// Pages that the sender has lent.
    lent: u8,
    /// As [`disco_abi::NetMessage::checksum`].
    pub checksum: u64,
}

impl Message {
    const fn empty(checksum: u64) -> Self {
        Self {
            pages: [const { None }; PAGES_MAX],
            page_count: 0,
            parts: [Part {
                page: 0,
                offset: 0,
                length: 0,
            }; PARTS_MAX],
            part_count: 0,
            length: 0,
            lent: 0,
            checksum,
        }
    }

    /// Takes the bytes of `claim` from `guest`: whole pages are lent, so it counts as sent only when the
    /// guest's pages are settled; all else is copied.
    ///
    /// # Errors
    /// There are no pages for it; nothing is kept.
    pub fn build(
        claim: &Claim<'_>,
        guest: &mut dyn GuestPages,
        memory: &dyn SharedMemory,
    ) -> Result<Self, NoMemory> {
        let mut message = Self::empty(claim.checksum);
        match message.fill(claim, guest, memory) {
            Ok(()) => Ok(message),
            Err(NoMemory) => {
                message.release(memory);
                Err(NoMemory)
            }
        }
    }

    fn fill(
        &mut self,
        claim: &Claim<'_>,
        guest: &mut dyn GuestPages,
        memory: &dyn SharedMemory,
    ) -> Result<(), NoMemory> {
        // The page that takes copied bytes, and how many are in it.
        let mut packing = (0, PAGE);
        for (mut from, mut left) in claim.parts() {
            if left == PAGE {
                let page = self.add_page(guest.lend(from.page())?, memory)?;
                self.lent += 1;
                self.add_part(page, 0, PAGE)?;
                continue;
            }
            while left > 0 {
                if packing.1 == PAGE {
                    packing = (self.add_page(memory.allocate()?, memory)?, 0);
                }
                let (page, used) = packing;
                let bytes = left.min(PAGE - used);
                if let Some(to) = self.page(page) {
                    guest.read(from, (to, used), bytes)?;
                }
                self.add_part(page, used, bytes)?;
                packing.1 += bytes;
                from.0 += bytes as u64;
                left -= bytes;
            }
        }
        Ok(())
    }

    /// The message of a frame that came from outside.
    ///
    /// # Errors
    /// There is no page for it.
    pub fn of_frame(frame: &[u8], memory: &dyn SharedMemory) -> Result<Self, NoMemory> {
        let mut message = Self::empty(0);
        let page = memory.allocate()?;
        memory.write(&page, 0, frame);
        let page = message.add_page(page, memory)?;
        message.add_part(page, 0, frame.len())?;
        Ok(message)
    }

    /// That there is room follows from the length, see [`PARTS_MAX`].
    fn add_page(&mut self, page: PageRef, memory: &dyn SharedMemory) -> Result<u8, NoMemory> {
        let number = self.page_count;
        let Some(place) = self.pages.get_mut(usize::from(number)) else {
            memory.release(page);
            return Err(NoMemory);
        };
        *place = Some(page);
        self.page_count += 1;
        Ok(number)
    }

    /// Adds bytes behind all others; to the last part, if they follow there.
    fn add_part(&mut self, page: u8, offset: usize, length: usize) -> Result<(), NoMemory> {
        self.length += length as u32;
        let count = usize::from(self.part_count);
        let last = count
            .checked_sub(1)
            .and_then(|last| self.parts.get_mut(last));
        match last {
            Some(last) if last.page == page && last.offset() + last.length() == offset => {
                last.length += length as u16;
            }
            _ => {
                *self.parts.get_mut(count).ok_or(NoMemory)? = Part {
                    page,
                    offset: offset as u16,
                    length: length as u16,
                };
                self.part_count += 1;
            }
        }
        Ok(())
    }

    fn page(&self, number: u8) -> Option<&PageRef> {
        self.pages.get(usize::from(number))?.as_ref()
    }

    /// Its pages.
    pub fn pages(&self) -> impl Iterator<Item = &PageRef> {
        self.pages.iter().flatten()
    }

    /// How many pages it holds.
    pub const fn page_count(&self) -> usize {
        self.page_count as usize
    }

    /// How many of them the sender has lent.
    pub const fn lent(&self) -> u64 {
        self.lent as u64
    }

    /// Its bytes.
    pub const fn length(&self) -> usize {
        self.length as usize
    }

    /// Its parts in order, each with its page.
    pub fn parts(&self) -> impl Iterator<Item = (Part, &PageRef)> {
        let parts = self.parts.iter().take(usize::from(self.part_count));
        parts.filter_map(|&part| Some((part, self.page(part.page)?)))
    }

    /// Copies its first bytes; as many as there are.
    pub fn read(&self, bytes: &mut [u8], memory: &dyn SharedMemory) {
        let mut rest = bytes;
        for (part, page) in self.parts() {
            let count = part.length().min(rest.len());
            let (to, behind) = rest.split_at_mut(count);
            memory.read(page, part.offset(), to);
            rest = behind;
        }
    }

    /// Its link-level addresses.
    pub fn header(&self, memory: &dyn SharedMemory) -> Header {
        let mut bytes = [0; Header::BYTES];
        self.read(&mut bytes, memory);
        Header::new(bytes)
    }

    /// The same message for one more receiver.
    pub fn share(&self, memory: &dyn SharedMemory) -> Self {
        let mut pages = [const { None }; PAGES_MAX];
        for (to, from) in pages.iter_mut().zip(&self.pages) {
            *to = from.as_ref().map(|page| memory.share(page));
        }
        Self { pages, ..*self }
    }

    /// Gives its pages up.
    pub fn release(self, memory: &dyn SharedMemory) {
        for page in self.pages.into_iter().flatten() {
            memory.release(page);
        }
    }
}
