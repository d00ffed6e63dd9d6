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

    /// Whether there is room for `message`.
    pub const fn has_room(&self, message: &Message) -> bool {
        self.count < self.ring.len() && self.pages + message.page_count() <= QUEUE_PAGES
    }

    /// Puts `message` behind the others, or gives it back if there is no room for it.
    pub fn push(&mut self, message: Message) -> Option<Message> {
        if !self.has_room(&message) {
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
