//! Virtual machines on a subnet, and lists as they write them.

use crate::address::GuestPhysical;
use crate::machine::shared::GuestPages;
use crate::machine::simulation::{SimulatedGuest, SimulatedMemory};
use crate::machine::VmId;
use crate::net::link::{Frame, Link, LinkFull};
use crate::net::place::{Place, Used, ANSWER};
use crate::net::port::Port;
use crate::net::queue::Queue;
use crate::net::send::send;
use crate::net::switch::{Subnet, Woken};
use crate::net::Refused;
use disco_abi::{net_link_address, Segment, NET_PAGES, PAGE_SIZE};
use std::collections::VecDeque;

/// Pages of each simulated virtual machine.
pub const GUEST_PAGES: u64 = 48;
pub const GUEST_BYTES: u64 = GUEST_PAGES * PAGE_SIZE;

/// A real card.
#[derive(Default)]
pub struct Card {
    pub sent: Vec<Vec<u8>>,
    pub came: VecDeque<Vec<u8>>,
    pub is_full: bool,
}

impl Link for Card {
    fn send(&mut self, frame: &[u8]) -> Result<(), LinkFull> {
        if self.is_full {
            return Err(LinkFull);
        }
        self.sent.push(frame.to_vec());
        Ok(())
    }

    fn receive(&mut self, frame: &mut Frame) -> Option<usize> {
        let came = self.came.pop_front()?;
        frame[..came.len()].copy_from_slice(&came);
        Some(came.len())
    }
}

pub struct Net<'a> {
    pub memory: &'a SimulatedMemory,
    pub guests: Vec<SimulatedGuest<'a>>,
    pub subnet: Subnet<'static>,
    pub card: Option<Card>,
    /// Those whose queue was empty before the last sending.
    pub woken: u64,
}

impl<'a> Net<'a> {
    /// `vms` virtual machines that run, with queues of `messages` messages.
    pub fn new(memory: &'a SimulatedMemory, vms: usize, messages: usize) -> Self {
        let ring = || Box::leak((0..messages).map(|_| None).collect());
        let ports = (0..vms).map(|_| Port::new(Some(Queue::new(ring()))));
        let mut subnet = Subnet::new(Box::leak(ports.collect()));
        let guest = |_| SimulatedGuest::new(memory, GUEST_PAGES as usize);
        (0..vms).for_each(|vm| subnet.open(VmId(vm as u16)));
        Self {
            memory,
            guests: (0..vms).map(guest).collect(),
            subnet,
            card: None,
            woken: 0,
        }
    }

    /// The call `NetSend`, and who is woken.
    pub fn send(&mut self, vm: usize, list: &[u8]) -> (u64, Option<Refused>) {
        let Self {
            memory,
            guests,
            subnet,
            card,
            woken,
        } = self;
        let from = VmId(vm as u16);
        *woken = 0;
        let deliver = &mut |message| match message {
            None => {
                subnet.dropped(from);
                Ok(())
            }
            Some(message) => {
                let link = card.as_mut().map(|card| card as &mut dyn Link);
                let Woken(more) = subnet.send(from, message, link, *memory)?;
                *woken |= more;
                Ok(())
            }
        };
        send(list, GUEST_BYTES, &mut guests[vm], *memory, deliver)
    }

    /// The call `NetReceive` for one place: what it says, and the message's bytes.
    pub fn receive(&mut self, vm: usize, slot: &[u8]) -> Result<Option<(Vec<u8>, Used)>, Refused> {
        let place = Place::new(slot, GUEST_BYTES)?;
        let taken = self.subnet.take(VmId(vm as u16), &place, self.memory);
        let Some((message, plan, used)) = taken else {
            return Ok(None);
        };
        let guest = &mut self.guests[vm];
        place
            .fill(&message, plan, guest, self.memory)
            .expect("memory");
        guest.settle();
        let answer = used.answer(message.checksum);
        message.release(self.memory);
        assert_eq!(answer[..8], (used.head as u64).to_be_bytes());
        let mut bytes = self.load(vm, word(slot, 0), used.head);
        for (page, &used) in used.pages.iter().enumerate().filter(|(_, &used)| used > 0) {
            bytes.extend(self.load(vm, word(slot, 2 + page), used));
        }
        Ok(Some((bytes, used)))
    }

    pub fn load(&self, vm: usize, address: u64, bytes: usize) -> Vec<u8> {
        let mut loaded = vec![0; bytes];
        self.guests[vm].load(GuestPhysical(address), &mut loaded);
        loaded
    }

    pub fn store(&mut self, vm: usize, address: u64, bytes: &[u8]) {
        self.guests[vm].store(GuestPhysical(address), bytes);
    }

    /// Stores a header from `from` to `to` at `address` of `from`.
    pub fn header(&mut self, from: usize, to: u64, address: u64) {
        let header = header(to, net_link_address(from as u64));
        self.store(from, address, &header);
    }

    /// Ends a virtual machine and starts it again.
    pub fn reboot(&mut self, vm: usize) {
        self.subnet.close(VmId(vm as u16), self.memory);
        self.guests[vm] = SimulatedGuest::new(self.memory, GUEST_PAGES as usize);
        self.subnet.open(VmId(vm as u16));
    }

    /// Ends all: no page is in use any more.
    pub fn end(mut self) {
        for vm in 0..self.guests.len() {
            self.subnet.close(VmId(vm as u16), self.memory);
        }
        assert_eq!(self.subnet.pages().count(), 0);
        let memory = self.memory;
        drop(self);
        assert_eq!(memory.used(), 0, "pages are lost");
    }
}

fn word(slot: &[u8], number: usize) -> u64 {
    u64::from_be_bytes(slot[8 * number..][..8].try_into().unwrap())
}

/// 14 bytes that begin a frame.
pub fn header(to: u64, from: u64) -> [u8; 14] {
    let mut header = [8; 14];
    header[..6].copy_from_slice(&to.to_be_bytes()[2..]);
    header[6..12].copy_from_slice(&from.to_be_bytes()[2..]);
    header
}

/// A list with these messages.
pub fn list(messages: &[(Vec<Segment>, u64)]) -> Vec<u8> {
    let mut words = Vec::new();
    for (fragments, checksum) in messages {
        words.extend([fragments.len() as u64, *checksum]);
        words.extend(fragments.iter().flat_map(|one| [one.address, one.bytes]));
    }
    words.into_iter().flat_map(u64::to_be_bytes).collect()
}

/// A list with one message.
pub fn one(fragments: &[(u64, u64)]) -> Vec<u8> {
    let fragments = fragments
        .iter()
        .map(|&(address, bytes)| Segment { address, bytes });
    list(&[(fragments.collect(), 0)])
}

/// A slot with this head, address and bytes, and these pages.
pub fn slot((head, bytes): (u64, u64), pages: &[u64]) -> Vec<u8> {
    let mut words = vec![head, bytes];
    words.extend(pages.iter().map(|page| page * PAGE_SIZE));
    words.resize(2 + NET_PAGES, u64::MAX);
    let bytes: Vec<u8> = words.into_iter().flat_map(u64::to_be_bytes).collect();
    assert_eq!(bytes.len(), ANSWER);
    bytes
}
