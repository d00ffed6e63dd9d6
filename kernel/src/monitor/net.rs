//! The virtual subnet's calls, and its command.

use super::calls::{Done, GuestRange};
use super::cpu::Cpu;
use super::resident::{Resident, ResidentVm};
use super::slot::VmSlot;
use super::Carver;
use crate::console::command::Format;
use crate::console::report::{NetRow, Row};
use crate::net::message::Message;
use crate::net::port::Port;
use crate::net::queue::{Queue, QUEUE_MESSAGES};
use crate::net::switch::Subnet;
use core::slice;
use disco_abi::{
    net_address, net_link_address, CallError, NetInfo, NetPeer, NAME_MAX, NET_GATEWAY,
    NET_NAME_SERVER, NET_PREFIX,
};

/// The subnet of the virtual machines of `slots`, with its queues.
#[link_section = ".init.text"]
pub(super) fn make_subnet(slots: &'static [VmSlot], carver: &mut Carver) -> Subnet<'static> {
    let ports = carver.take::<Port<'static>>(0, slots.len());
    for (number, slot) in slots.iter().enumerate() {
        let queue = is_connected(slot).then(|| {
            let ring = carver.take::<Option<Message>>(0, QUEUE_MESSAGES);
            for place in 0..QUEUE_MESSAGES {
                // SAFETY: `take` returned room for as many.
                unsafe { ring.add(place).write(None) };
            }
            // SAFETY: all were written, and nobody else has them.
            Queue::new(unsafe { slice::from_raw_parts_mut(ring, QUEUE_MESSAGES) })
        });
        // SAFETY: `take` returned room for one of each slot.
        unsafe { ports.add(number).write(Port::new(queue)) };
    }
    // SAFETY: all were written, and nobody else has them.
    Subnet::new(unsafe { slice::from_raw_parts_mut(ports, slots.len()) })
}

/// Whether the description puts it on the subnet.
fn is_connected(slot: &VmSlot) -> bool {
    slot.described.net.get() != 0
}

/// The numbers as a guest reads them from a structure.
fn words<const N: usize>(numbers: [u64; N]) -> [[u8; 8]; N] {
    numbers.map(u64::to_be_bytes)
}

impl Cpu {
    /// The call `NetInfo`.
    pub(super) fn net_info(
        &self,
        resident: &mut Resident,
        address: u64,
    ) -> Result<Done, CallError> {
        let vm = resident.vm;
        on_subnet(vm)?;
        let number = vm.slot.id.0.into();
        let info = words([
            net_link_address(number),
            net_address(number),
            NET_PREFIX,
            NET_GATEWAY,
            NET_NAME_SERVER,
        ]);
        const BYTES: usize = size_of::<NetInfo>();
        let range = GuestRange::check(&vm.pmap, address, BYTES as u64, BYTES)?;
        range.write(self.guest_memory(resident), info.as_flattened())?;
        Ok(Done::Value(0))
    }

    /// The call `NetPeer`.
    pub(super) fn net_peer(
        &self,
        resident: &mut Resident,
        number: u64,
        address: u64,
    ) -> Result<Done, CallError> {
        let vm = resident.vm;
        on_subnet(vm)?;
        const BYTES: usize = size_of::<NetPeer>();
        let range = GuestRange::check(&vm.pmap, address, BYTES as u64, BYTES)?;
        let mut connected = self.monitor.slots.iter().filter(|slot| is_connected(slot));
        let peer = usize::try_from(number)
            .ok()
            .and_then(|at| connected.nth(at));
        let Some(peer) = peer else {
            return Ok(Done::Value(0));
        };
        let number = peer.id.0.into();
        let mut answer = [0; BYTES];
        let fields = words([net_link_address(number), net_address(number)]);
        let (numbers, name) = answer.split_at_mut(BYTES - (NAME_MAX + 1));
        numbers.copy_from_slice(fields.as_flattened());
        for (to, from) in name.iter_mut().zip(peer.name.bytes()) {
            *to = from;
        }
        range.write(self.guest_memory(resident), &answer)?;
        Ok(Done::Value(1))
    }

    /// The command `net`.
    pub(super) fn net(&mut self, format: Format) {
        let monitor = self.monitor;
        self.answer(&mut |out| NetRow::write_head(out, format));
        let connected = monitor.slots.iter().filter(|slot| is_connected(slot));
        for slot in connected.map(Some).chain([None]) {
            let counters = match slot {
                Some(slot) => monitor.subnet.lock().counters(slot.id),
                None => monitor.subnet.lock().outside(),
            };
            for (direction, traffic) in [("sent", counters.sent), ("received", counters.received)] {
                let vm = slot.map(|slot| slot.name);
                let row = NetRow {
                    vm,
                    direction,
                    traffic,
                };
                self.answer(&mut |out| row.write_row(out, format));
            }
        }
    }
}

/// Refuses one that is not on the subnet.
fn on_subnet(vm: &ResidentVm) -> Result<(), CallError> {
    if is_connected(vm.slot) {
        Ok(())
    } else {
        Err(CallError::NoDevice)
    }
}
