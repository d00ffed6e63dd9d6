//! The serial ports COM1 (people) and COM2 (events): 16550 chips of the board's Super I/O.

use super::registers::Registers;
use super::PCI_IO;
use core::fmt;

/// Receive buffer (read), transmit buffer (write).
const DATA: u64 = 0;
/// Interrupt enable.
const INTERRUPT_ENABLE: u64 = 1;
/// Interrupt identification (read), FIFO control (write).
const FIFO_CONTROL: u64 = 2;
/// Line control.
const LINE_CONTROL: u64 = 3;
/// Modem control.
const MODEM_CONTROL: u64 = 4;
/// Line status.
const LINE_STATUS: u64 = 5;

/// Line status: a byte has arrived.
const DATA_READY: u8 = 1 << 0;
/// Line status: room for another byte.
const TRANSMIT_EMPTY: u8 = 1 << 5;
/// Line status: everything has left.
const TRANSMITTER_IDLE: u8 = 1 << 6;
/// Interrupt enable: a byte has arrived.
const RECEIVED: u8 = 1 << 0;
/// Line control: 8 bits, no parity, one stop bit.
const EIGHT_BITS: u8 = 3;
/// FIFO control: enable, clear both directions.
const FIFO_ENABLE: u8 = 7;
/// Modem control: DTR, RTS, and OUT2, which lets the interrupt out.
const READY: u8 = 0x0b;

/// A serial port.
#[derive(Clone, Copy, Debug)]
pub struct Uart {
    registers: Registers,
}

impl Uart {
    /// COM1, the console.
    pub const fn com1() -> Self {
        // SAFETY: the Super I/O decodes eight ports from 0x3f8.
        let registers = unsafe { Registers::at(PCI_IO + 0x3f8) };
        Self { registers }
    }

    /// COM2, the event line.
    pub const fn com2() -> Self {
        // SAFETY: the Super I/O decodes eight ports from 0x2f8.
        let registers = unsafe { Registers::at(PCI_IO + 0x2f8) };
        Self { registers }
    }

    /// Sets the line and empties both FIFOs; no interrupts.
    pub fn init(self) {
        self.registers.write8(INTERRUPT_ENABLE, 0);
        self.registers.write8(LINE_CONTROL, EIGHT_BITS);
        self.registers.write8(FIFO_CONTROL, FIFO_ENABLE);
        self.registers.write8(MODEM_CONTROL, READY);
    }

    /// Raises the port's interrupt while there is input, or never.
    pub fn set_receive_interrupt(self, on: bool) {
        self.registers
            .write8(INTERRUPT_ENABLE, if on { RECEIVED } else { 0 });
    }

    /// The next byte of input, if one has arrived.
    pub fn receive(self) -> Option<u8> {
        (self.registers.read8(LINE_STATUS) & DATA_READY != 0).then(|| self.registers.read8(DATA))
    }

    /// Whether [`Self::send`] would not have to wait.
    pub fn can_send(self) -> bool {
        self.registers.read8(LINE_STATUS) & TRANSMIT_EMPTY != 0
    }

    /// Sends `byte` as soon as there is room.
    pub fn send(self, byte: u8) {
        while !self.can_send() {
            core::hint::spin_loop();
        }
        self.registers.write8(DATA, byte);
    }

    /// Waits until everything has left.
    pub fn drain(self) {
        while self.registers.read8(LINE_STATUS) & TRANSMITTER_IDLE == 0 {
            core::hint::spin_loop();
        }
    }
}

impl fmt::Write for Uart {
    /// Sends `text`, a carriage return before every line feed.
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if byte == b'\n' {
                self.send(b'\r');
            }
            self.send(byte);
        }
        Ok(())
    }
}
