//! PCI bus 0: what is there, where its registers are, and where its interrupts go.
//!
//! Nobody has set anything up before us. Only devices that the monitor drives are given addresses; the
//! others stay switched off.

use super::gt64120::{self, ConfigAddress};
use super::i8259;

/// The devices of the bus; 0 is the controller itself.
const DEVICES: core::ops::Range<u32> = 1..32;
/// Functions of a device.
const FUNCTIONS: u32 = 8;
/// Base address registers of a function.
pub const BARS: usize = 6;

/// Register: vendor in the low half, device in the high half.
const ID: u32 = 0x00;
/// Register: command in the low half, status in the high half.
const COMMAND: u32 = 0x04;
/// Register with the header's type in bits 23..16.
const HEADER: u32 = 0x0c;
/// The first base address register.
const BAR: u32 = 0x10;
/// Register: subsystem's vendor in the low half, subsystem in the high half.
const SUBSYSTEM: u32 = 0x2c;
/// Register with the first capability's place in bits 7..0.
const CAPABILITIES: u32 = 0x34;
/// Nobody answers.
const NO_VENDOR: u16 = 0xffff;
/// Command: the function answers to its I/O addresses, to its memory addresses, and accesses memory.
const IO: u32 = 1 << 0;
/// See [`IO`].
const MEMORY: u32 = 1 << 1;
/// See [`IO`].
const MASTER: u32 = 1 << 2;
/// Command: the function does not interrupt.
const NO_INTERRUPT: u32 = 1 << 10;
/// Status, as it lies in [`COMMAND`]: there is a list of capabilities.
const HAS_CAPABILITIES: u32 = 1 << (16 + 4);
/// Header: of more than one function.
const MULTIFUNCTION: u32 = 1 << 23;
/// Header: its type, of which 0 is a device and not a bridge.
const HEADER_TYPE: u32 = 0x7f << 16;
/// Base address: of I/O ports.
const BAR_IO: u32 = 1 << 0;
/// Base address: where its width is told, and that of 64 bits.
const BAR_WIDTH: u32 = 3 << 1;
/// See [`BAR_WIDTH`].
const BAR_64: u32 = 2 << 1;
/// Base address: bits that are no address.
const BAR_FLAGS: u32 = 0xf;
/// Vendor and device of the PIIX4's ISA bridge.
const PIIX4: (u16, u16) = (0x8086, 0x7110);
/// Its register that says to which line each of the four interrupts of the bus goes.
const PIIX4_ROUTES: u32 = 0x60;

/// The configuration registers of a function, by their offset, a multiple of 4.
pub trait ConfigSpace {
    /// Reads a register.
    fn read(&self, register: u32) -> u32;
    /// Writes a register.
    fn write(&self, register: u32, value: u32);
}

/// A function of a device on bus 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Function {
    /// Its device, 1 to 31.
    pub device: u32,
    /// Which of that device's, 0 to 7.
    pub function: u32,
}

impl Function {
    const fn address(self, register: u32) -> ConfigAddress {
        ConfigAddress {
            device: self.device,
            function: self.function,
            register,
        }
    }
}

impl ConfigSpace for Function {
    fn read(&self, register: u32) -> u32 {
        gt64120::read_config(self.address(register))
    }

    fn write(&self, register: u32, value: u32) {
        gt64120::write_config(self.address(register), value)
    }
}

/// Every function that is there, in order.
pub fn scan() -> impl Iterator<Item = Function> {
    DEVICES.flat_map(|device| {
        let first = Function {
            device,
            function: 0,
        };
        let many = vendor(&first) != NO_VENDOR && first.read(HEADER) & MULTIFUNCTION != 0;
        (0..if many { FUNCTIONS } else { 1 })
            .map(move |function| Function { device, function })
            .filter(|function| vendor(function) != NO_VENDOR)
    })
}

/// Sends the interrupts of all slots to [`i8259::PCI`], however the slots' pins are wired to the
/// bridge.
pub fn route_interrupts() {
    let routes = u32::from_le_bytes([i8259::PCI as u8; 4]);
    scan()
        .filter(|function| id(function) == PIIX4)
        .for_each(|bridge| bridge.write(PIIX4_ROUTES, routes));
}

fn vendor(space: &impl ConfigSpace) -> u16 {
    space.read(ID) as u16
}

/// Vendor and device.
pub fn id(space: &impl ConfigSpace) -> (u16, u16) {
    let id = space.read(ID);
    (id as u16, (id >> 16) as u16)
}

/// What a device says its subsystem is.
pub fn subsystem(space: &impl ConfigSpace) -> u16 {
    (space.read(SUBSYSTEM) >> 16) as u16
}

/// Where the capabilities with identification `wanted` begin.
pub fn capabilities<C: ConfigSpace>(space: &C, wanted: u8) -> impl Iterator<Item = u32> + '_ {
    let listed = space.read(COMMAND) & HAS_CAPABILITIES != 0;
    let mut next = if listed {
        space.read(CAPABILITIES) & 0xfc
    } else {
        0
    };
    // As many as fit behind the header, or the list is a ring.
    (0..48)
        .map_while(move |_| {
            let place = next;
            let head = (place != 0).then(|| space.read(place))?;
            next = head >> 8 & 0xfc;
            Some((place, head as u8))
        })
        .filter_map(move |(place, id)| (id == wanted).then_some(place))
}

/// Addresses where the registers of a function are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Window {
    /// Physical address.
    pub address: u64,
    /// Bytes.
    pub bytes: u64,
}

/// PCI memory that has not been given to a device yet.
#[derive(Debug)]
pub struct FreeMemory {
    next: u64,
    end: u64,
}

impl FreeMemory {
    /// `bytes` from `first`.
    pub const fn new((first, bytes): (u64, u64)) -> Self {
        Self {
            next: first,
            end: first + bytes,
        }
    }

    /// `bytes`, a power of two, aligned to as many.
    fn take(&mut self, bytes: u64) -> Option<Window> {
        let address = self.next.checked_next_multiple_of(bytes)?;
        let end = address.checked_add(bytes)?;
        (end <= self.end).then(|| {
            self.next = end;
            Window { address, bytes }
        })
    }
}

/// Gives a function addresses in `free` and switches it on: it answers in memory, may access memory
/// and interrupt. Windows by number of the base address register; there is none for I/O ports, which
/// stay switched off. `None` if memory does not suffice, or it is a bridge.
pub fn switch_on(
    space: &impl ConfigSpace,
    free: &mut FreeMemory,
) -> Option<[Option<Window>; BARS]> {
    if space.read(HEADER) & HEADER_TYPE != 0 {
        return None;
    }
    let command = space.read(COMMAND) & 0xffff & !(IO | MEMORY | MASTER | NO_INTERRUPT);
    space.write(COMMAND, command);
    let mut windows = [None; BARS];
    let mut number = 0;
    while number < BARS {
        let register = BAR + 4 * number as u32;
        space.write(register, u32::MAX);
        let mask = space.read(register);
        if mask & BAR_IO != 0 || mask & !BAR_FLAGS == 0 {
            number += 1;
            continue;
        }
        let wide = mask & BAR_WIDTH == BAR_64;
        let window = free.take(u64::from((mask & !BAR_FLAGS).wrapping_neg()))?;
        // Below 4 GiB, as all of the board's.
        space.write(register, window.address as u32);
        if wide && number + 1 < BARS {
            space.write(register + 4, 0);
        }
        windows[number] = Some(window);
        number += if wide { 2 } else { 1 };
    }
    space.write(COMMAND, command | MEMORY | MASTER);
    Some(windows)
}

/// Keeps a function from accessing memory and from interrupting, whatever it does.
pub fn switch_off(space: &impl ConfigSpace) {
    let command = space.read(COMMAND) & 0xffff;
    space.write(COMMAND, command & !MASTER | NO_INTERRUPT);
}

#[cfg(test)]
mod tests;
