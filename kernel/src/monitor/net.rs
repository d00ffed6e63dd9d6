//! The virtual subnet's calls, and its command.

use super::calls::{numbers_and_name, Done, GuestRange};
use super::cpu::{Cpu, POSTED_NET};
use super::device::{Real, RealCard};
use super::resident::{Resident, ResidentVm};
use super::slot::VmSlot;
use super::{Carver, Monitor};
use crate::console::command::Format;
use crate::console::report::{NetRow, Row};
use crate::events::Event;
use crate::machine::{NodeId, VmId};
use crate::net::link::{Frame, Link, LinkFull};
use crate::net::message::Message;
use crate::net::place::{Place, ANSWER, ANSWER_BYTES};
use crate::net::port::Port;
use crate::net::queue::{Queue, QUEUE_MESSAGES};
use crate::net::send::send;
use crate::net::switch::{Subnet, Woken};
use crate::net::Refused;
use core::slice;
use disco_abi::{
    net_address, net_link_address, CallError, NetInfo, NetPeer, NetSlot, LINE_NET, NET_GATEWAY,
    NET_LIST_MAX, NET_NAME_SERVER, NET_PREFIX, NET_SLOTS_MAX, PAGE_SIZE,
};

const LIST: usize = NET_LIST_MAX as usize;
const SLOT: usize = size_of::<NetSlot>();

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

impl Cpu {
    /// The call `NetInfo`.
    #[cold]
    #[inline(never)]
    pub(super) fn net_info(
        &self,
        resident: &mut Resident,
        address: u64,
    ) -> Result<Done, CallError> {
        let vm = resident.vm;
        on_subnet(vm)?;
        let number = vm.slot.id.0.into();
        let info = [
            net_link_address(number),
            net_address(number),
            NET_PREFIX,
            NET_GATEWAY,
            NET_NAME_SERVER,
        ];
        let info = info.map(u64::to_be_bytes);
        const BYTES: usize = size_of::<NetInfo>();
        let range = GuestRange::check(&vm.pmap, address, BYTES as u64, BYTES)?;
        range.write(self.guest_memory(resident), info.as_flattened())?;
        Ok(Done::Value(0))
    }

    /// The call `NetPeer`.
    #[cold]
    #[inline(never)]
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
        let fields = [net_link_address(number), net_address(number)];
        numbers_and_name(&mut answer, fields, peer.name);
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

    /// The call `NetSend`.
    pub(super) fn net_send(
        &mut self,
        resident: &mut Resident,
        address: u64,
        bytes: u64,
    ) -> Result<Done, CallError> {
        let vm = resident.vm;
        on_subnet(vm)?;
        if bytes > NET_LIST_MAX {
            return self.net_refused(vm, Refused::Argument);
        }
        let range = GuestRange::check(&vm.pmap, address, bytes, LIST);
        let Ok(range) = range else {
            return self.net_refused(vm, Refused::Address);
        };
        let mut list = [0; LIST];
        range.read(self.guest_memory(resident), &mut list)?;
        let list = list.get(..bytes as usize).unwrap_or(&[]);
        self.monitor.spare_for_messages(self.shared.node);
        let (monitor, from, shared) = (self.monitor, vm.slot.id, self.shared_pages());
        let mut woken = Woken::default();
        let mut outside = monitor.devices.card.map(Outside);
        let mut guest = self.guest_memory(resident);
        let memory = vm.pmap.pages() * PAGE_SIZE;
        let (taken, refused) = send(list, memory, &mut guest, &shared, &mut |message| {
            let mut subnet = monitor.subnet.lock();
            let Some(message) = message else {
                subnet.dropped(from);
                return Ok(());
            };
            let link = outside.as_mut().map(|outside| outside as &mut dyn Link);
            woken.0 |= subnet.send(from, message, link, &shared)?.0;
            Ok(())
        });
        drop(guest);
        monitor.wake_receivers(woken);
        match refused {
            Some(refused) if taken == 0 => self.net_refused(vm, refused),
            _ => Ok(Done::Value(taken)),
        }
    }

    /// The call `NetReceive`.
    pub(super) fn net_receive(
        &mut self,
        resident: &mut Resident,
        address: u64,
        count: u64,
    ) -> Result<Done, CallError> {
        let vm = resident.vm;
        on_subnet(vm)?;
        if count > NET_SLOTS_MAX as u64 {
            return self.net_refused(vm, Refused::Argument);
        }
        let bytes = count as usize * SLOT;
        let Ok(range) = GuestRange::check(&vm.pmap, address, bytes as u64, bytes) else {
            return self.net_refused(vm, Refused::Address);
        };
        // Before any message is taken that could not be told of.
        range.prepare(self.guest_memory(resident))?;
        let mut slots = [0; NET_SLOTS_MAX * SLOT];
        range.read(self.guest_memory(resident), &mut slots)?;
        let (slots, _) = slots.as_chunks_mut::<SLOT>();
        let slots = slots.get_mut(..count as usize).unwrap_or_default();
        let (filled, refused) = self.fill(resident, slots);
        for (slot, number) in slots.iter().zip(0..filled) {
            let (_, answer) = slot.split_at(ANSWER);
            let at = address + number * SLOT as u64 + ANSWER as u64;
            let range = GuestRange::check(&vm.pmap, at, ANSWER_BYTES as u64, ANSWER_BYTES)?;
            range.write(self.guest_memory(resident), answer)?;
        }
        self.net_taken(resident);
        match refused {
            Some(refused) if filled == 0 => self.net_refused(vm, refused),
            _ => Ok(Done::Value(filled)),
        }
    }

    /// Receives messages into `slots`, and writes the answers into these; how many, and why no more.
    fn fill(
        &mut self,
        resident: &mut Resident,
        slots: &mut [[u8; SLOT]],
    ) -> (u64, Option<Refused>) {
        let (vm, monitor, shared) = (resident.vm, self.monitor, self.shared_pages());
        let mut guest = self.guest_memory(resident);
        let mut filled = 0;
        for slot in slots {
            let place = match Place::new(slot, vm.pmap.pages() * PAGE_SIZE) {
                Ok(place) => place,
                Err(refused) => return (filled, Some(refused)),
            };
            let taken = monitor.subnet.lock().take(vm.slot.id, &place, &shared);
            let Some((message, plan, used)) = taken else {
                break;
            };
            let placed = place.fill(&message, plan, &mut guest, &shared);
            if let Some(answer) = slot.get_mut(ANSWER..) {
                answer.copy_from_slice(&used.answer(message.checksum));
            }
            message.release(&shared);
            if placed.is_err() {
                monitor.subnet.lock().lost(vm.slot.id);
                break;
            }
            filled += 1;
        }
        (filled, None)
    }

    /// A virtual CPU has received: the line of the first one falls if no message waits.
    fn net_taken(&self, resident: &mut Resident) {
        let waits = self.monitor.subnet.lock().is_waiting(resident.vm.slot.id);
        self.line_taken(resident, LINE_NET, waits);
    }

    /// Tells of what was refused, and what the call returns for it.
    #[cold]
    #[inline(never)]
    fn net_refused(&mut self, vm: &ResidentVm, refused: Refused) -> Result<Done, CallError> {
        if self.monitor.subnet.lock().tells(vm.slot.id, refused) {
            let event = Event::NetRefused {
                reason: refused.text(),
            };
            let now = self.now();
            self.monitor.event(event, now, Some(vm.slot));
        }
        Ok(Done::Value(refused.result() as u64))
    }
}

/// The real card; its driver is locked for a frame.
struct Outside(&'static Real<RealCard>);

impl Link for Outside {
    #[link_section = ".text.once"]
    #[inline(never)]
    fn send(&mut self, frame: &[u8]) -> Result<(), LinkFull> {
        self.0.driver.lock().send(frame)
    }

    fn receive(&mut self, frame: &mut Frame) -> Option<usize> {
        self.0.driver.lock().receive(frame)
    }
}

impl Monitor {
    /// A virtual machine has ended: what waits for it is given up.
    #[link_section = ".text.once"]
    #[inline(never)]
    pub(super) fn disconnect(&'static self, vm: VmId) {
        let shared = self.shared_pages(NodeId(0));
        self.subnet.lock().close(vm, &shared);
    }

    /// A frame has come from outside, on CPU 0.
    pub(super) fn frame_came(&'static self, frame: &[u8]) {
        let shared = self.shared_pages(NodeId(0));
        let woken = self.subnet.lock().receive_outside(frame, &shared);
        self.wake_receivers(woken);
    }

    /// Raises the lines of those whose queues are not empty any more.
    fn wake_receivers(&self, woken: Woken) {
        for vm in woken.vms() {
            if let Some(slot) = self.slots.get(usize::from(vm.0)) {
                self.post(slot.vcpu(0), POSTED_NET);
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
