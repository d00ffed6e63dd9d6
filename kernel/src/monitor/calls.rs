//! Monitor calls that concern more than the calling virtual CPU.

use super::cpu::Cpu;
use super::resident::{Resident, ResidentVm};
use super::siblings::sibling_mask;
use super::slot::Message;
use crate::address::GuestPhysical;
use crate::events::Event;
use crate::vm::hardware::Hardware;
use crate::vm::pmap::Pmap;
use disco_abi::{Call, CallError, ShootdownKeys, ShutdownReason, Verdict, MESSAGE_MAX, PAGE_SIZE};

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

    /// Calls `each` with every part within one page: its machine address, and which bytes.
    fn parts(
        self,
        vm: &ResidentVm,
        cpu: &Cpu,
        mut each: impl FnMut(crate::address::MachineAddress, core::ops::Range<usize>),
    ) -> Result<(), CallError> {
        let mut done = 0;
        while done < self.length {
            let address = GuestPhysical(self.start + done as u64);
            let room = (PAGE_SIZE - address.offset_in_page()) as usize;
            let next = self.length.min(done + room);
            let page = address.page();
            let backed = cpu.populate(vm, page);
            let machine = vm.pmap.machine_address(address).filter(|_| backed);
            each(machine.ok_or(CallError::BadAddress)?, done..next);
            done = next;
        }
        Ok(())
    }

    pub(super) fn read(
        self,
        vm: &ResidentVm,
        cpu: &Cpu,
        buffer: &mut [u8],
    ) -> Result<(), CallError> {
        // SAFETY: interrupts are off, and no other handle is in use here.
        let hardware = unsafe { super::real::RealCpu::here() };
        self.parts(vm, cpu, |machine, part| {
            hardware.read(machine, &mut buffer[part])
        })
    }

    pub(super) fn write(self, vm: &ResidentVm, cpu: &Cpu, buffer: &[u8]) -> Result<(), CallError> {
        // SAFETY: as above.
        let mut hardware = unsafe { super::real::RealCpu::here() };
        self.parts(vm, cpu, |machine, part| {
            hardware.write(machine, &buffer[part])
        })
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
            Ok(done) => done,
            Err(error) => Done::Value(error as i64 as u64),
        }
    }

    fn try_call(
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
                range.read(vm, self, &mut buffer)?;
                let bytes = &buffer[..range.length];
                Ok(Done::Value(self.console_write(slot, bytes) as u64))
            }
            Call::ConsoleRead => {
                let range = GuestRange::check(&vm.pmap, first, second, CONSOLE_MAX)?;
                // Before any input is taken that could not be delivered.
                range.parts(vm, self, |_, _| ())?;
                let mut buffer = [0; CONSOLE_MAX];
                let (count, more) = self.console_read(slot, &mut buffer[..range.length]);
                GuestRange {
                    length: count,
                    ..range
                }
                .write(vm, self, &buffer)?;
                self.input_taken(resident, more);
                Ok(Done::Value(count as u64))
            }
            Call::Shutdown => {
                let reason = ShutdownReason::from_number(first).ok_or(CallError::BadArgument)?;
                let message = self.message(vm, second, third)?;
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
            Call::Yield => Ok(Done::Yield),
            Call::TestVerdict => {
                let verdict = Verdict::from_number(first).ok_or(CallError::BadArgument)?;
                let message = self.message(vm, second, third)?;
                let pass = verdict == Verdict::Pass;
                let event = Event::TestVerdict {
                    pass,
                    message: message.bytes(),
                };
                let now = self.now();
                self.monitor.event(event, now, Some(slot));
                Ok(Done::Value(0))
            }
            // The virtual CPU's own affair; it has done these itself.
            Call::Version
            | Call::Deliver
            | Call::TlbFlushAll
            | Call::TlbFlushPage
            | Call::TlbInsert
            | Call::Context => Ok(Done::Value(0)),
            Call::CpuStart => self.cpu_start(vm, first, second, third),
            Call::CpuStop => self.cpu_stop(resident),
            Call::CpuState => self.cpu_state(vm, first),
            Call::IpiSend => self.ipi_send(vm, first, second),
            Call::IpiTake => Ok(self.ipi_take(resident)),
            Call::DiskInfo
            | Call::DiskOpen
            | Call::DiskCommand
            | Call::DiskTake
            | Call::NetSend
            | Call::NetReceive => Err(CallError::NoDevice),
            Call::NetInfo => self.net_info(vm, first),
            Call::NetPeer => self.net_peer(vm, first, second),
            Call::Remap | Call::PageFree | Call::PageZero => Err(CallError::NoSuchCall),
            Call::Shootdown => {
                let mask = sibling_mask(vm, first)?;
                let length = size_of::<ShootdownKeys>();
                let range = GuestRange::check(&vm.pmap, second, length as u64, length)?;
                let mut keys = [0; size_of::<ShootdownKeys>()];
                range.read(vm, self, &mut keys)?;
                self.shootdown(resident, mask, &keys, third);
                Ok(Done::Value(0))
            }
        }
    }

    fn message(&self, vm: &ResidentVm, address: u64, length: u64) -> Result<Message, CallError> {
        let range = GuestRange::check(&vm.pmap, address, length, MESSAGE_MAX)?;
        let mut buffer = [0; MESSAGE_MAX];
        range.read(vm, self, &mut buffer)?;
        Ok(Message::new(&buffer[..range.length]))
    }
}
