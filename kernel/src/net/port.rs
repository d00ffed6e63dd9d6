//! A virtual machine's connection to the subnet.

use super::message::Message;
use super::queue::Queue;
use crate::machine::shared::SharedMemory;

/// What went one way.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Traffic {
    /// Messages.
    pub messages: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Pages that were mapped in place of a copy.
    pub remapped: u64,
    /// Bytes that were copied.
    pub copied: u64,
    /// Messages that there was no room or no memory for.
    pub dropped: u64,
}

impl Traffic {
    /// Counts a message.
    pub(super) fn count(&mut self, bytes: usize, remapped: u64, copied: u64) {
        self.messages += 1;
        self.bytes += bytes as u64;
        self.remapped += remapped;
        self.copied += copied;
    }
}

/// Traffic in both directions.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    /// What it sent.
    pub sent: Traffic,
    /// What was for it.
    pub received: Traffic,
}

/// A virtual machine's connection.
#[derive(Debug)]
pub struct Port<'a> {
    /// Its messages; of one that is not on the subnet, nothing.
    pub(super) queue: Option<Queue<'a>>,
    /// Whether it runs.
    pub(super) up: bool,
    /// Kinds of [`Refused`] that have been told, a bit each.
    pub(super) told: u8,
    pub(super) counters: Counters,
}

impl<'a> Port<'a> {
    /// Of a virtual machine that does not run; with a queue if it is on the subnet.
    pub const fn new(queue: Option<Queue<'a>>) -> Self {
        const NONE: Traffic = Traffic {
            messages: 0,
            bytes: 0,
            remapped: 0,
            copied: 0,
            dropped: 0,
        };
        Self {
            queue,
            up: false,
            told: 0,
            counters: Counters {
                sent: NONE,
                received: NONE,
            },
        }
    }

    /// Puts `message` into its queue; whether that was empty before.
    pub(super) fn receive(&mut self, message: Message, memory: &dyn SharedMemory) -> bool {
        let refused = match &mut self.queue {
            Some(queue) if self.up => {
                let first = queue.is_empty();
                match queue.push(message, memory.spare()) {
                    None => return first,
                    Some(message) => message,
                }
            }
            _ => message,
        };
        self.counters.received.dropped += 1;
        refused.release(memory);
        false
    }
}
