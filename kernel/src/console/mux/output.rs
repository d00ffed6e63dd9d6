//! What leaves on the serial line, and in which order.

use core::fmt::{self, Write};

use super::super::encoded;
use super::super::line::ERASE_LINE;
use super::super::ring::Ring;
use super::input::Leaving;
use super::{Mux, View, KEY_ROOM, OUTPUT_BYTES};

/// Most bytes prepared at once; more would delay what comes up meanwhile.
const AHEAD: usize = 512;

/// Brings a terminal back that a guest may have left in the middle of an escape sequence, with
/// another character set, colours, margins or no cursor: CAN, SI, DECSTR, SGR, DECTCEM.
const TERMINAL_RESET: &str = "\x18\x0f\x1b[!p\x1b[0m\x1b[?25h";

/// Writes text to the serial line; a line feed becomes a new line.
pub struct Terminal<'r>(&'r mut Ring<OUTPUT_BYTES>);

impl<'r> Terminal<'r> {
    pub(super) fn new(output: &'r mut Ring<OUTPUT_BYTES>) -> Self {
        Self(output)
    }
}

impl Write for Terminal<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if byte == b'\n' {
                self.0.push(b'\r');
            }
            self.0.push(byte);
        }
        Ok(())
    }

    fn write_char(&mut self, character: char) -> fmt::Result {
        self.write_str(encoded(character, &mut [0; 4]))
    }
}

impl Mux<'_> {
    /// Moves the next bytes to transmit into `buffer`; returns how many.
    pub fn uart_take(&mut self, buffer: &mut [u8]) -> usize {
        self.prepare(buffer.len().min(AHEAD));
        self.output.read(buffer)
    }

    /// Whether something waits to be transmitted.
    pub fn has_output(&mut self) -> bool {
        self.prepare(1);
        !self.output.is_empty()
    }

    pub(super) fn has_key_room(&self) -> bool {
        self.output.free() >= KEY_ROOM
    }

    /// Writes the monitor's own text. There is always room, see [`Mux::can_receive`].
    pub(super) fn say(&mut self, text: fmt::Arguments<'_>) {
        // A `Terminal` never fails; only a `Display` in `text` could.
        let _ = Terminal(&mut self.output).write_fmt(text);
    }

    pub(super) fn show_prompt(&mut self) {
        let _ = self.editor.redraw(&mut Terminal(&mut self.output));
        self.prompt_shown = true;
    }

    pub(super) fn hide_prompt(&mut self) {
        if core::mem::take(&mut self.prompt_shown) {
            self.say(format_args!("{ERASE_LINE}"));
        }
    }

    /// Fills the output queue up to `wanted` bytes as far as there is something to show.
    fn prepare(&mut self, wanted: usize) {
        while self.output.len() < wanted {
            let more = match self.view {
                View::Attached(vm) => self.prepare_raw(vm),
                // A command's answer is not torn apart.
                _ if self.command.is_some() || self.answer.is_open() => false,
                _ => self.prepare_line(),
            };
            if !more {
                return;
            }
        }
    }

    fn prepare_raw(&mut self, vm: usize) -> bool {
        if let Some(byte) = self.guest(vm).and_then(|guest| guest.pop_raw()) {
            return self.output.push(byte);
        }
        if self.leaving == Leaving::Ended {
            self.detach();
            return true;
        }
        false
    }

    /// Prepares a line of the monitor, or of the next guest that has one, or the prompt.
    fn prepare_line(&mut self) -> bool {
        if self.notices.has_line() {
            self.hide_prompt();
            self.say(format_args!("disco: "));
            while let Some(byte) = self.notices.pop() {
                if byte == b'\n' {
                    break;
                }
                self.output.push(byte);
            }
            self.say(format_args!("\n"));
            return true;
        }
        for _ in 0..self.guests.len() {
            let vm = self.turn;
            self.turn = (vm + 1) % self.guests.len();
            if self.guest_line(vm) || self.guest_hidden(vm) {
                return true;
            }
        }
        if self.view == View::Prompt && !self.prompt_shown {
            self.show_prompt();
            return true;
        }
        false
    }

    fn guest_line(&mut self, vm: usize) -> bool {
        if !self.guest(vm).is_some_and(|guest| guest.has_line()) {
            return false;
        }
        self.hide_prompt();
        let Some(guest) = self.guests.get_mut(vm).and_then(Option::as_deref_mut) else {
            return false;
        };
        let mut out = Terminal(&mut self.output);
        let _ = write!(out, "[{}] ", guest.name());
        while let Some(byte) = guest.pop_line_byte() {
            if byte == b'\n' {
                break;
            }
            out.0.push(byte);
        }
        let _ = out.write_char('\n');
        true
    }

    /// Says how many lines of a guest were not shown while another was attached.
    fn guest_hidden(&mut self, vm: usize) -> bool {
        let count = self.guest(vm).map_or(0, |guest| guest.take_hidden());
        if count == 0 {
            return false;
        }
        self.hide_prompt();
        let name = self.name(vm);
        let lines = if count == 1 { "line" } else { "lines" };
        self.say(format_args!(
            "disco: {name} printed {count} {lines} meanwhile; `vm console {name}` shows the last\n"
        ));
        true
    }

    /// Puts the terminal back into its state after a guest had it.
    pub(super) fn reset_terminal(&mut self, vm: usize) {
        if self.guest(vm).is_some_and(|guest| guest.detach()) {
            self.say(format_args!("{TERMINAL_RESET}"));
        }
    }
}
