//! Sends the messages of a guest's list.

use super::list::MessageList;
use super::message::Message;
use super::Refused;
use crate::machine::shared::{GuestPages, SharedMemory};

/// Messages that are built before the guest's pages are settled once for all of them.
const BATCH: usize = 16;

/// Sends the messages of `list`, from a guest with so many bytes of memory, one after the other
/// with `deliver`; one that no memory was left for is `None`. Returns how many were taken and why
/// the next one was not.
pub fn send(
    list: &[u8],
    guest_memory: u64,
    guest: &mut dyn GuestPages,
    memory: &dyn SharedMemory,
    deliver: &mut dyn FnMut(Option<Message>) -> Result<(), Refused>,
) -> (u64, Option<Refused>) {
    let mut list = MessageList::new(list, guest_memory);
    let mut taken = 0;
    loop {
        let mut batch = [const { None }; BATCH];
        let mut built = 0;
        let mut refused = None;
        for place in &mut batch {
            match list.next() {
                Some(Ok(claim)) => *place = Message::build(&claim, guest, memory).ok(),
                Some(Err(error)) => {
                    refused = Some(error);
                    break;
                }
                None => break,
            }
            built += 1;
        }
        if built == 0 {
            return (taken, refused);
        }
        // Only from here on no virtual CPU of the guest can change what was lent, so nothing of a
        // message is looked at before.
        guest.settle();
        let mut sending = true;
        for message in batch.into_iter().take(built) {
            if !sending {
                message.into_iter().for_each(|rest| rest.release(memory));
                continue;
            }
            match deliver(message) {
                Ok(()) => taken += 1,
                Err(error) => {
                    refused = Some(error);
                    sending = false;
                }
            }
        }
        if refused.is_some() {
            return (taken, refused);
        }
    }
}
