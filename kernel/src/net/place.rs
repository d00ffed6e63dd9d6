//! Places that a virtual machine has for messages, and how a message goes into one.

use super::list::{check, number};
use super::message::Message;
use super::Refused;
use crate::address::{GuestPage, GuestPhysical};
use crate::machine::shared::{GuestPages, PageRef, SharedMemory};
use crate::machine::NoMemory;
use core::mem::{offset_of, size_of};
use disco_abi::{NetSlot, NET_PAGES, PAGE_SIZE};

const PAGE: usize = PAGE_SIZE as usize;
/// Where the monitor's answer begins in a [`NetSlot`].
pub const ANSWER: usize = offset_of!(NetSlot, head_used);
/// Its length.
pub const ANSWER_BYTES: usize = size_of::<NetSlot>() - ANSWER;

/// A place for one message: checked.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    head: GuestPhysical,
    head_bytes: usize,
    pages: [GuestPage; NET_PAGES],
    page_count: usize,
}

/// How much of a place a message has used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Used {
    /// Bytes in the head.
    pub head: usize,
    /// Bytes in each page.
    pub pages: [usize; NET_PAGES],
    /// Pages that were mapped.
    pub mapped: u64,
    /// Bytes that were copied.
    pub copied: u64,
}

/// How a message goes into a place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Plan {
    /// Whole pages of the message become pages of the guest.
    Map,
    /// All is copied, packed: there are not pages enough for the other way.
    Pack,
}

/// A piece of a message, and where it goes.
enum Piece<'a> {
    /// So many bytes, from here in a page of the message, to this guest address.
    Copy((&'a PageRef, usize), GuestPhysical, usize),
    /// This page becomes this guest page.
    Map(&'a PageRef, GuestPage),
}

impl Place {
    /// The place that a [`NetSlot`] describes, in a guest with so many bytes of memory.
    ///
    /// # Errors
    /// Parts of it lie outside of memory, are not whole pages, or overlap.
    pub fn new(mut slot: &[u8], memory: u64) -> Result<Self, Refused> {
        let mut field = || number(&mut slot).ok_or(Refused::Argument);
        let (head, head_bytes) = (field()?, field()?);
        let mut place = Self {
            head: match head_bytes {
                0 => GuestPhysical(0),
                _ => check(head, head_bytes, memory)?,
            },
            // No message fills more than that.
            head_bytes: head_bytes.min(u32::MAX.into()) as usize,
            pages: [GuestPage(0); NET_PAGES],
            page_count: 0,
        };
        for _ in 0..NET_PAGES {
            let address = match field()? {
                u64::MAX => break,
                address => check(address, PAGE_SIZE, memory)?,
            };
            let page = address.page();
            if address.offset_in_page() != 0 || place.has(page) {
                return Err(Refused::Argument);
            }
            if let Some(to) = place.pages.get_mut(place.page_count) {
                *to = page;
                place.page_count += 1;
            }
        }
        Ok(place)
    }

    /// Whether `page` is used already.
    fn has(&self, page: GuestPage) -> bool {
        let head = self.head.0..self.head.0 + self.head_bytes as u64;
        let address = page.address().0;
        let in_head = !head.is_empty() && address < head.end && head.start < address + PAGE_SIZE;
        in_head || self.pages().contains(&page)
    }

    fn pages(&self) -> &[GuestPage] {
        self.pages.get(..self.page_count).unwrap_or(&[])
    }

    /// How `message` goes into this place, if it does.
    pub fn plan(&self, message: &Message) -> Option<(Plan, Used)> {
        let fits = |plan| {
            let used = self.lay_out(message, plan, &mut |_| Ok(()));
            used.ok().map(|used| (plan, used))
        };
        fits(Plan::Map).or_else(|| fits(Plan::Pack))
    }

    /// Puts `message` into this place as planned. Translations of the guest are to be settled then.
    ///
    /// # Errors
    /// The guest has no machine page for a part of it, and there is none.
    pub fn fill(
        &self,
        message: &Message,
        plan: Plan,
        guest: &mut dyn GuestPages,
        memory: &dyn SharedMemory,
    ) -> Result<(), NoMemory> {
        let put = &mut |piece: Piece<'_>| {
            match piece {
                Piece::Map(page, at) => guest.map(at, memory.share(page)),
                Piece::Copy(from, to, bytes) => guest.write(from, to, bytes)?,
            }
            Ok(())
        };
        self.lay_out(message, plan, put).map(|_| ())
    }

    /// Calls `put` with each piece of the message.
    fn lay_out(
        &self,
        message: &Message,
        plan: Plan,
        put: &mut dyn FnMut(Piece<'_>) -> Result<(), NoMemory>,
    ) -> Result<Used, NoMemory> {
        let mut cursor = Cursor {
            place: self,
            used: Used::default(),
            next: 0,
            room: 0,
            head_room: self.head_bytes,
        };
        for (part, page) in message.parts() {
            if plan == Plan::Map && part.is_whole_page() {
                put(Piece::Map(page, cursor.whole_page()?))?;
                continue;
            }
            let mut done = 0;
            while done < part.length() {
                let (to, bytes) = cursor.room_for(part.length() - done)?;
                put(Piece::Copy((page, part.offset() + done), to, bytes))?;
                done += bytes;
            }
        }
        Ok(cursor.used)
    }
}

/// How far a place has been filled.
struct Cursor<'a> {
    place: &'a Place,
    used: Used,
    /// The next page to use.
    next: usize,
    /// Bytes free in the page before it.
    room: usize,
    /// Bytes free in the head.
    head_room: usize,
}

impl Cursor<'_> {
    /// A page for a page that is mapped.
    fn whole_page(&mut self) -> Result<GuestPage, NoMemory> {
        let page = self.open()?;
        self.head_room = 0;
        self.room = 0;
        self.used.mapped += 1;
        self.count(PAGE);
        Ok(page)
    }

    fn open(&mut self) -> Result<GuestPage, NoMemory> {
        let page = *self.place.pages().get(self.next).ok_or(NoMemory)?;
        self.next += 1;
        Ok(page)
    }

    /// Where up to `bytes` bytes go next, within a guest page.
    fn room_for(&mut self, bytes: usize) -> Result<(GuestPhysical, usize), NoMemory> {
        if self.head_room > 0 {
            let at = GuestPhysical(self.place.head.0 + self.used.head as u64);
            let in_page = (PAGE_SIZE - at.offset_in_page()) as usize;
            let bytes = bytes.min(self.head_room).min(in_page);
            self.head_room -= bytes;
            self.used.head += bytes;
            self.used.copied += bytes as u64;
            return Ok((at, bytes));
        }
        if self.room == 0 {
            self.open()?;
            self.room = PAGE;
        }
        let last = self.next.checked_sub(1);
        let page = last
            .and_then(|last| self.place.pages().get(last))
            .ok_or(NoMemory)?;
        let at = GuestPhysical(page.address().0 + (PAGE - self.room) as u64);
        let bytes = bytes.min(self.room);
        self.room -= bytes;
        self.used.copied += bytes as u64;
        self.count(bytes);
        Ok((at, bytes))
    }

    /// Counts bytes in the page that was opened last.
    fn count(&mut self, bytes: usize) {
        let last = self.next.checked_sub(1);
        if let Some(used) = last.and_then(|last| self.used.pages.get_mut(last)) {
            *used += bytes;
        }
    }
}

impl Used {
    /// The monitor's answer in a [`NetSlot`], with the message's checksum.
    pub fn answer(&self, checksum: u64) -> [u8; ANSWER_BYTES] {
        let mut answer = [0; ANSWER_BYTES];
        let (words, _) = answer.as_chunks_mut::<8>();
        let pages = self.pages.iter().map(|&bytes| bytes as u64);
        let fields = core::iter::once(self.head as u64)
            .chain(pages)
            .chain([checksum]);
        for (word, field) in words.iter_mut().zip(fields) {
            *word = field.to_be_bytes();
        }
        answer
    }
}

const _: () = assert!(ANSWER == 8 * (2 + NET_PAGES) && ANSWER_BYTES == 8 * (2 + NET_PAGES));
