//! Monitor calls that concern more than the calling virtual CPU.

use super::cpu::Cpu;
use super::memory::GuestMemory;
use super::resident::Resident;
use super::siblings::sibling_mask;
use super::slot::Message;
use crate::address::GuestPhysical;
use crate::events::Event;
use crate::machine::NoMemory;
use crate::vm::pmap::Pmap;
use disco_abi::{
    Call, CallError, ShootdownKeys, ShutdownReason, Verdict, LINE_CONSOLE, MESSAGE_MAX, PAGE_SIZE,
};

/// Most bytes that one console call moves; a guest calls again for the rest.
const CONSOLE_MAX: usize = 512;

/// How a call ends.
pub(super) enum Done {
    /// With this in `$v0`.
    Value(u64),
    /// The virtual machine ends.
    Ends {
        reason: &'static str,
        message: Message,
        /// And starts again.
        restart: bool,
    },
    /// Another virtual CPU may run.
    Yield,
    /// The virtual CPU switches itself off.
    Off,
    /// Once more, when the virtual CPU has what it wants.
    Again,
}

/// Lays out a structure of the machine's interface that is `numbers` and then a name.
pub(super) fn numbers_and_name<const N: usize>(to: &mut [u8], numbers: [u64; N], name: &str) {
    let numbers = numbers.map(u64::to_be_bytes);
    let bytes = numbers.as_flattened().iter().copied().chain(name.bytes());
    for (to, from) in to.iter_mut().zip(bytes) {
        *to = from;
    }
}

/// A range of guest-physical memory that was checked to lie within the virtual machine's.
#[derive(Clone, Copy)]
pub(super) struct GuestRange {
    start: u64,
    length: usize,
}

impl GuestRange {
    /// Checks a guest's claim; no more than `most` bytes are used of it.
    pub(super) fn check(
        pmap: &Pmap,
        start: u64,
        length: u64,
        most: usize,
    ) -> Result<Self, CallError> {
        if length == 0 {
            return Ok(Self {
                start: 0,
                length: 0,
            });
        }
        let memory = pmap.pages() * PAGE_SIZE;
        let end = start.checked_add(length).ok_or(CallError::BadAddress)?;
        if end > memory {
            return Err(CallError::BadAddress);
        }
        Ok(Self {
            start,
            length: length.min(most as u64) as usize,
        })
    }

    /// Calls `each` with every part within one page: its address, and which bytes.
    fn parts(
        self,
        mut each: impl FnMut(GuestPhysical, core::ops::Range<usize>) -> Result<(), NoMemory>,
    ) -> Result<(), CallError> {
        let mut done = 0;
        while done < self.length {
            let address = GuestPhysical(self.start + done as u64);
            let room = (PAGE_SIZE - address.offset_in_page()) as usize;
            let next = self.length.min(done + room);
            each(address, done..next).map_err(|NoMemory| CallError::BadAddress)?;
            done = next;
        }
        Ok(())
    }

    /// Its first bytes.
    pub(super) fn shortened(self, length: usize) -> Self {
        Self {
            length: self.length.min(length),
            ..self
        }
    }

    /// Makes sure that it can be written to.
    pub(super) fn prepare(self, mut memory: GuestMemory) -> Result<(), CallError> {
        self.parts(|address, _| memory.own(address.page()).map(|_| ()))
    }

    pub(super) fn read(self, mut memory: GuestMemory, buffer: &mut [u8]) -> Result<(), CallError> {
        self.parts(|address, part| memory.read_bytes(address, &mut buffer[part]))
    }

    pub(super) fn write(self, mut memory: GuestMemory, buffer: &[u8]) -> Result<(), CallError> {
        self.parts(|address, part| memory.write_bytes(address, &buffer[part]))
    }
}

impl Cpu {
    /// Executes a monitor call of `resident`.
    pub(super) fn monitor_call(
        &mut self,
        resident: &mut Resident,
        call: Call,
        arguments: [u64; 4],
    ) -> Done {
        match self.try_call(resident, call, arguments) {
            // A call that fails has done nothing: it can be made again.
            Err(CallError::BadAddress) if resident.wants.is_some() => Done::Again,
            result => {
                // It can do without.
                resident.wants = None;
                result.unwrap_or_else(|error| Done::Value(error as i64 as u64))
            }
        }
    }

    fn try_call(
        &mut self,
        resident: &mut Resident,
        call: Call,
        arguments: [u64; 4],
    ) -> Result<Done, CallError> {
        let vm = resident.vm;
        let [first, second, third, _] = arguments;
        match call {
            // The virtual CPU's own affair; it has done these itself.
            Call::Version
            | Call::Deliver
            | Call::TlbFlushAll
            | Call::TlbFlushPage
            | Call::TlbInsert
            | Call::Context => Ok(Done::Value(0)),
            Call::Yield => Ok(Done::Yield),
            Call::IpiSend => self.ipi_send(vm, first, second),
            Call::IpiTake => Ok(self.ipi_take(resident)),
            Call::DiskCommand => self.disk_command(resident, [first, second, third]),
            Call::DiskTake => self.disk_take(resident, first, second),
            Call::NetSend => self.net_send(resident, first, second),
            Call::NetReceive => self.net_receive(resident, first, second),
            Call::Remap => self.remap(resident, [first, second, third]),
            Call::PageFree => {
                self.change_pages(resident, first, second, |memory, page| memory.free(page))
            }
            Call::PageZero => {
                self.change_pages(resident, first, second, |memory, page| memory.clear(page))
            }
            Call::Shootdown => {
                let mask = sibling_mask(vm, first)?;
                let length = size_of::<ShootdownKeys>();
                let range = GuestRange::check(&vm.pmap, second, length as u64, length)?;
                let mut keys = [0; size_of::<ShootdownKeys>()];
                range.read(self.guest_memory(resident), &mut keys)?;
                self.shootdown(resident, mask, &keys, third);
                Ok(Done::Value(0))
            }
            _ => self.try_rare_call(resident, call, arguments),
        }
    }

    /// Calls that are made at start and end, and those of the console, whose code exists once.
    #[cold]
    #[inline(never)]
    fn try_rare_call(
        &mut self,
        resident: &mut Resident,
        call: Call,
        [first, second, third, _]: [u64; 4],
    ) -> Result<Done, CallError> {
        let vm = resident.vm;
        let slot = vm.slot;
        match call {
            Call::ConsoleWrite => {
                let range = GuestRange::check(&vm.pmap, first, second, CONSOLE_MAX)?;
                let mut buffer = [0; CONSOLE_MAX];
                range.read(self.guest_memory(resident), &mut buffer)?;
                let bytes = &buffer[..range.length];
                Ok(Done::Value(self.console_write(slot, bytes) as u64))
            }
            Call::ConsoleRead => {
                let range = GuestRange::check(&vm.pmap, first, second, CONSOLE_MAX)?;
                // Before any input is taken that could not be delivered.
                range.prepare(self.guest_memory(resident))?;
                let mut buffer = [0; CONSOLE_MAX];
                let (count, more) = self.console_read(slot, &mut buffer[..range.length]);
                GuestRange {
                    length: count,
                    ..range
                }
                .write(self.guest_memory(resident), &buffer)?;
                self.line_taken(resident, LINE_CONSOLE, more);
                Ok(Done::Value(count as u64))
            }
            Call::Shutdown => {
                let reason = ShutdownReason::from_number(first).ok_or(CallError::BadArgument)?;
                let message = self.message(resident, second, third)?;
                let (reason, restart) = match reason {
                    ShutdownReason::PowerOff => ("poweroff", false),
                    ShutdownReason::Reboot => ("reboot", true),
                    ShutdownReason::Panic => ("panic", false),
                };
                Ok(Done::Ends {
                    reason,
                    message,
                    restart,
                })
            }
            Call::ShellReady => {
                self.monitor.console.lock().guest_ready(slot.id.0.into());
                let now = self.now();
                self.monitor.event(Event::ShellReady, now, Some(slot));
                Ok(Done::Value(0))
            }
            Call::WallClock => {
                let now = self.now();
                Ok(Done::Value(self.monitor.wall_clock(now)))
            }
            Call::TestVerdict => {
                let verdict = Verdict::from_number(first).ok_or(CallError::BadArgument)?;
                let message = self.message(resident, second, third)?;
                let pass = verdict == Verdict::Pass;
                let event = Event::TestVerdict {
                    pass,
                    message: message.bytes(),
                };
                let now = self.now();
                self.monitor.event(event, now, Some(slot));
                Ok(Done::Value(0))
            }
            Call::CpuStart => self.cpu_start(vm, first, second, third),
            Call::CpuStop => self.cpu_stop(resident),
            Call::CpuState => self.cpu_state(vm, first),
            Call::DiskInfo => self.disk_info(resident, first, second),
            Call::DiskOpen => self.disk_open(resident, first),
            Call::NetInfo => self.net_info(resident, first),
            Call::NetPeer => self.net_peer(resident, first, second),
            // The others are not rare.
            _ => Err(CallError::NoSuchCall),
        }
    }

    #[cold]
    #[inline(never)]
    fn message(
        &self,
        resident: &mut Resident,
        address: u64,
        length: u64,
    ) -> Result<Message, CallError> {
        let range = GuestRange::check(&resident.vm.pmap, address, length, MESSAGE_MAX)?;
        let mut buffer = [0; MESSAGE_MAX];
        range.read(self.guest_memory(resident), &mut buffer)?;
        Ok(Message::new(&buffer[..range.length]))
    }
}
