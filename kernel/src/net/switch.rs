//! The switch: who gets a message.

use super::address::{Header, LinkAddress};
use super::checksum;
use super::link::{Frame, Link};
use super::message::Message;
use super::place::{Place, Plan, Used};
use super::port::{Counters, Port};
use super::queue::Queue;
use super::Refused;
use crate::machine::shared::{PageRef, SharedMemory};
use crate::machine::VmId;
use disco_abi::{NET_MESSAGE_MIN, NET_OUTSIDE_MAX};

/// Virtual machines whose queue is not empty any more: a bit each. Their line is to be posted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Woken(pub u64);

impl Woken {
    /// Their numbers.
    pub fn vms(self) -> impl Iterator<Item = VmId> {
        (0..u64::BITS as u16)
            .filter(move |vm| self.0 >> vm & 1 != 0)
            .map(VmId)
    }
}

/// The virtual subnet: a switch with a port for each virtual machine, and the gateway, which is a
/// bridge to the network of the real card.
#[derive(Debug)]
pub struct Subnet<'a> {
    /// By number of the virtual machine.
    ports: &'a mut [Port<'a>],
    /// What came from outside (sent) and what left (received).
    outside: Counters,
}

impl<'a> Subnet<'a> {
    /// A subnet of these virtual machines, by number.
    pub fn new(ports: &'a mut [Port<'a>]) -> Self {
        Self {
            ports,
            outside: Counters::default(),
        }
    }

    fn port(&mut self, vm: VmId) -> Option<&mut Port<'a>> {
        self.ports.get_mut(usize::from(vm.0))
    }

    /// Whether the virtual machine is on the subnet.
    pub fn has(&self, vm: VmId) -> bool {
        let port = self.ports.get(usize::from(vm.0));
        port.is_some_and(|port| port.queue.is_some())
    }

    /// A virtual machine starts: what is sent to it from now on is kept.
    pub fn open(&mut self, vm: VmId) {
        if let Some(port) = self.port(vm) {
            port.up = true;
            port.told = 0;
        }
    }

    /// A virtual machine has ended: gives up all that waits for it.
    pub fn close(&mut self, vm: VmId, memory: &dyn SharedMemory) {
        if let Some(port) = self.port(vm) {
            port.up = false;
            if let Some(queue) = &mut port.queue {
                queue.clear(memory);
            }
        }
    }

    /// Whether messages wait for `vm`.
    pub fn is_waiting(&self, vm: VmId) -> bool {
        let port = self.ports.get(usize::from(vm.0));
        let queue = port.and_then(|port| port.queue.as_ref());
        queue.is_some_and(|queue| !queue.is_empty())
    }

    /// Whether `refused` is told for the first time since `vm` started.
    pub fn tells(&mut self, vm: VmId, refused: Refused) -> bool {
        let bit = 1 << refused as u8;
        self.port(vm).is_some_and(|port| {
            let first = port.told & bit == 0;
            port.told |= bit;
            first
        })
    }

    /// What `vm` sent and received.
    pub fn counters(&self, vm: VmId) -> Counters {
        let port = self.ports.get(usize::from(vm.0));
        port.map_or_else(Counters::default, |port| port.counters)
    }

    /// What came from outside (sent) and what left (received).
    pub const fn outside(&self) -> Counters {
        self.outside
    }

    /// The pages of all messages that wait.
    pub fn pages(&self) -> impl Iterator<Item = &PageRef> {
        let queues = self.ports.iter().filter_map(|port| port.queue.as_ref());
        queues.flat_map(Queue::pages)
    }

    /// `vm` could not send a message: there was no memory for it.
    pub fn dropped(&mut self, vm: VmId) {
        if let Some(port) = self.port(vm) {
            port.counters.sent.dropped += 1;
        }
    }

    /// A message that `vm` has taken could not be put into its memory: there was none for it.
    pub fn lost(&mut self, vm: VmId) {
        if let Some(port) = self.port(vm) {
            port.counters.received.dropped += 1;
        }
    }

    /// Gives a message of `from` to whom it is for; `link` is the real card, if there is one.
    ///
    /// # Errors
    /// It is not taken, see [`Refused`].
    pub fn send(
        &mut self,
        from: VmId,
        message: Message,
        link: Option<&mut dyn Link>,
        memory: &dyn SharedMemory,
    ) -> Result<Woken, Refused> {
        let outside = match self.leaves(from, &message, link.is_some(), memory) {
            Ok(outside) => outside,
            Err(refused) => {
                message.release(memory);
                return Err(refused);
            }
        };
        if let Some(port) = self.port(from) {
            let lent = message.lent();
            let copied = (message.length() as u64).saturating_sub(lent * disco_abi::PAGE_SIZE);
            port.counters.sent.count(message.length(), lent, copied);
        }
        if let Some(link) = link.filter(|_| outside) {
            self.send_outside(&message, link, memory);
        }
        let to = message.header(memory).destination;
        Ok(self.give(message, to, Some(from), memory))
    }

    /// Whether a message of `from` leaves the subnet (too).
    fn leaves(
        &self,
        from: VmId,
        message: &Message,
        link: bool,
        memory: &dyn SharedMemory,
    ) -> Result<bool, Refused> {
        let Header {
            destination,
            source,
        } = message.header(memory);
        let short = message.length() as u64 <= NET_OUTSIDE_MAX;
        if source != LinkAddress::of(from) {
            Err(Refused::NotYours)
        } else if destination.is_group() {
            Ok(link && short)
        } else if destination.vm().is_some_and(|vm| self.has(vm)) {
            Ok(false)
        } else if !link || destination.vm().is_some() {
            // Nobody outside has an address of ours.
            Err(Refused::NoReceiver)
        } else if !short {
            Err(Refused::TooLong)
        } else {
            Ok(true)
        }
    }

    fn send_outside(&mut self, message: &Message, link: &mut dyn Link, memory: &dyn SharedMemory) {
        let mut frame: Frame = [0; NET_OUTSIDE_MAX as usize];
        let Some(frame) = frame.get_mut(..message.length()) else {
            return;
        };
        message.read(frame, memory);
        checksum::complete(frame, message.checksum);
        let left = &mut self.outside.received;
        match link.send(frame) {
            Ok(()) => left.count(frame.len(), 0, frame.len() as u64),
            Err(_) => left.dropped += 1,
        }
    }

    /// A frame has come from outside.
    pub fn receive_outside(&mut self, frame: &[u8], memory: &dyn SharedMemory) -> Woken {
        let in_bounds = (NET_MESSAGE_MIN..=NET_OUTSIDE_MAX).contains(&(frame.len() as u64));
        let Some(header) = frame.first_chunk().filter(|_| in_bounds) else {
            self.outside.sent.dropped += 1;
            return Woken::default();
        };
        let Header {
            destination,
            source,
        } = Header::new(*header);
        let has = |vm| self.has(vm);
        // Who is here does not send from there.
        let wanted = destination.is_group() || destination.vm().is_some_and(has);
        if !wanted || source.vm().is_some_and(has) {
            return Woken::default();
        }
        let Ok(message) = Message::of_frame(frame, memory) else {
            self.outside.sent.dropped += 1;
            return Woken::default();
        };
        let bytes = frame.len();
        self.outside.sent.count(bytes, 0, bytes as u64);
        self.give(message, destination, None, memory)
    }

    /// Puts `message` into the queues of those that have the address `to`, but for `from`.
    fn give(
        &mut self,
        message: Message,
        to: LinkAddress,
        from: Option<VmId>,
        memory: &dyn SharedMemory,
    ) -> Woken {
        let mut woken = Woken::default();
        if !to.is_group() {
            match to.vm().and_then(|vm| Some((vm, self.port(vm)?))) {
                Some((vm, port)) => woken.0 |= u64::from(port.receive(message, memory)) << vm.0,
                None => message.release(memory),
            }
            return woken;
        }
        for (port, vm) in self.ports.iter_mut().zip(0..) {
            if port.up && port.queue.is_some() && Some(VmId(vm)) != from {
                let first = port.receive(message.share(memory), memory);
                woken.0 |= u64::from(first) << vm;
            }
        }
        message.release(memory);
        woken
    }

    /// Takes the first message for `vm` that fits into `place`, and how it does; `None` if none waits.
    /// Those before it are dropped, as a card drops what is longer than its buffers: or whoever sends long
    /// messages could stop a guest from receiving any.
    pub fn take(
        &mut self,
        vm: VmId,
        place: &Place,
        memory: &dyn SharedMemory,
    ) -> Option<(Message, Plan, Used)> {
        let port = self.port(vm)?;
        let received = &mut port.counters.received;
        loop {
            let message = port.queue.as_mut()?.pop()?;
            if let Some((plan, used)) = place.plan(&message) {
                received.count(message.length(), used.mapped, used.copied);
                return Some((message, plan, used));
            }
            received.dropped += 1;
            message.release(memory);
        }
    }
}
