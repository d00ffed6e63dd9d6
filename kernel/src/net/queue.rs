//! Messages that wait for a virtual machine.

use super::message::Message;
use crate::machine::shared::{PageRef, SharedMemory};

/// Most messages that wait for a virtual machine.
pub const QUEUE_MESSAGES: usize = 128;
/// Most pages that they hold, 8 MiB. One that several hold counts for each.
pub const QUEUE_PAGES: usize = 512;

/// A ring of messages, bounded also in pages.
#[derive(Debug, Default)]
pub struct Queue<'a> {
    ring: &'a mut [Option<Message>],
    first: usize,
    count: usize,
    pages: usize,
}

impl<'a> Queue<'a> {
    /// An empty queue for as many messages as `ring` has places, all `None`.
    pub const fn new(ring: &'a mut [Option<Message>]) -> Self {
        Self {
            ring,
            first: 0,
            count: 0,
            pages: 0,
        }
    }

    /// Whether none waits.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether there is room for `message` while memory has so many pages to spare. A queue does not get
    /// more than is left for others, so that one that is not emptied takes nobody's messages away; a first
    /// message has room in any case.
    fn has_room(&self, message: &Message, spare: u64) -> bool {
        let most = QUEUE_PAGES.min(usize::try_from(spare).unwrap_or(usize::MAX));
        self.count < self.ring.len()
            && (self.count == 0 || self.pages + message.page_count() <= most)
    }

    /// Puts `message` behind the others, or gives it back if there is no room for it, with so many pages to
    /// spare.
    pub fn push(&mut self, message: Message, spare: u64) -> Option<Message> {
        if !self.has_room(&message, spare) {
            return Some(message);
        }
        let place = (self.first + self.count) % self.ring.len();
        let Some(place) = self.ring.get_mut(place) else {
            return Some(message);
        };
        self.count += 1;
        self.pages += message.page_count();
        *place = Some(message);
        None
    }

    /// Takes the first message.
    pub fn pop(&mut self) -> Option<Message> {
        let message = self.ring.get_mut(self.first)?.take()?;
        self.first = (self.first + 1) % self.ring.len();
        self.count -= 1;
        self.pages -= message.page_count();
        Some(message)
    }

    /// Gives all messages up.
    pub fn clear(&mut self, memory: &dyn SharedMemory) {
        while let Some(message) = self.pop() {
            message.release(memory);
        }
    }

    /// The pages of all messages.
    pub fn pages(&self) -> impl Iterator<Item = &PageRef> {
        self.ring.iter().flatten().flat_map(Message::pages)
    }
}
