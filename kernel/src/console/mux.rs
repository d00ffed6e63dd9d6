//! Who has the serial line.
//!
//! What happens behind the one lock around a [`Mux`] is bounded: a call by a guest moves at most
//! [`WRITE_MAX`] bytes, and the driver takes what its buffer holds. Nothing here waits.
//!
//! **Output.** A guest's output is lost nowhere while no console is attached: when its lines wait
//! for the serial line, its write takes fewer bytes and the guest tries again. While another
//! console is attached, its lines go to its history alone and are counted, so that it does not
//! stand still; the count is told afterwards. Lines leave in turns, one of each guest, and only as
//! the serial line asks for them: a guest that floods delays another's line by one line.
//!
//! **Input.** [`Mux::can_receive`] says whether a byte is wanted; until then it stays in the UART
//! and, behind it, in the pipe that it comes from. A command is executed before the next byte is
//! taken. `Ctrl-]` by a person detaches after [`TWICE_NS`]. With more input directly behind it, it
//! comes from a pipe, whose order counts: then the guest gets time to read what came before and to
//! answer (see `input.rs`). A guest that reads nothing has 1 KiB in which `Ctrl-]` is seen.

mod answer;
mod input;
mod output;
#[cfg(test)]
mod tests;

use super::encoded;
use core::fmt;

use disco_flash::VMS_MAX;

use super::command::Command;
use super::guest::{GuestConsole, Name};
use super::line::LineEditor;
use super::lines::Lines;
use super::ring::Ring;
use answer::Answer;
use input::Leaving;
pub use output::Terminal;

/// Most bytes that one call by a guest moves.
pub const WRITE_MAX: usize = 512;
/// Bytes that wait for the serial line.
const OUTPUT_BYTES: usize = 8 << 10;
/// Room kept for what a key shows; `help` shows most.
const KEY_ROOM: usize = 2 << 10;
/// Room that one row of a listing needs at most.
const ROW_ROOM: usize = 2 << 10;
/// Bytes of the monitor's own lines that wait: as many as for a guest, so that the code is there
/// once.
const NOTICE_BYTES: usize = super::guest::PENDING_BYTES;
/// Time in which a second `Ctrl-]` belongs to the first, in nanoseconds.
pub const TWICE_NS: u64 = 400_000_000;

/// What the serial line shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// Whole lines of every guest.
    Lines,
    /// The same, above the prompt.
    Prompt,
    /// One guest's console.
    Attached(usize),
}

/// The multiplexer of the serial line. Virtual machines are known by their numbers.
pub struct Mux<'a> {
    guests: [Option<&'a mut GuestConsole>; VMS_MAX],
    /// Whose turn it is to show a line.
    turn: usize,
    notices: Lines<NOTICE_BYTES>,
    output: Ring<OUTPUT_BYTES>,
    view: View,
    editor: LineEditor,
    /// Whether the terminal's present line is the prompt.
    prompt_shown: bool,
    /// A command that nobody has taken yet.
    command: Option<Command<usize>>,
    answer: Answer,
    leaving: Leaving,
    /// The byte behind a `Ctrl-]` that is not done yet.
    held: Option<u8>,
    /// Whether the last byte was a return at the prompt, which may have attached a guest.
    skip_line_feed: bool,
    now_ns: u64,
    /// When the attached guest last wrote or read, or was attached.
    active_ns: u64,
    /// When the attached guest's input was last seen not empty.
    unread_ns: u64,
}

impl<'a> Mux<'a> {
    /// A console without guests.
    pub const fn new() -> Self {
        Self {
            guests: [const { None }; VMS_MAX],
            turn: 0,
            notices: Lines::new(),
            output: Ring::new(),
            view: View::Lines,
            editor: LineEditor::new(),
            prompt_shown: false,
            command: None,
            answer: Answer::NONE,
            leaving: Leaving::No,
            held: None,
            skip_line_feed: false,
            now_ns: 0,
            active_ns: 0,
            unread_ns: 0,
        }
    }

    /// Adds the console of virtual machine `vm`; a number beyond [`VMS_MAX`] is ignored.
    pub fn add_guest(&mut self, vm: usize, console: &'a mut GuestConsole) {
        if let Some(slot) = self.guests.get_mut(vm) {
            *slot = Some(console);
        }
    }

    fn guest(&mut self, vm: usize) -> Option<&mut GuestConsole> {
        self.guests.get_mut(vm)?.as_deref_mut()
    }

    fn name(&self, vm: usize) -> Name {
        let console = self.guests.get(vm).and_then(Option::as_deref);
        console.map_or(Name::EMPTY, GuestConsole::name)
    }

    /// What the serial line shows at present.
    pub fn view(&self) -> View {
        self.view
    }

    /// Takes output of a guest and returns how many bytes; for fewer than all, try again later.
    pub fn guest_write(&mut self, vm: usize, bytes: &[u8]) -> usize {
        let bytes = &bytes[..bytes.len().min(WRITE_MAX)];
        let (view, now) = (self.view, self.now_ns);
        let Some(guest) = self.guest(vm) else {
            return bytes.len();
        };
        match view {
            View::Attached(attached) if attached == vm => {
                let taken = guest.write_raw(bytes);
                self.active_ns = now;
                taken
            }
            View::Attached(_) => guest.write_lines(bytes, true),
            View::Lines | View::Prompt => guest.write_lines(bytes, false),
        }
    }

    /// Gives a guest its input; returns how many bytes.
    pub fn guest_read(&mut self, vm: usize, buffer: &mut [u8]) -> usize {
        let count = buffer.len().min(WRITE_MAX);
        let count = match self.guest(vm) {
            Some(guest) => guest.input().read(&mut buffer[..count]),
            None => 0,
        };
        if count > 0 && self.view == View::Attached(vm) {
            self.active_ns = self.now_ns;
            self.unread_ns = self.now_ns;
        }
        count
    }

    /// Whether input waits for a guest: its console's interrupt line.
    pub fn guest_input_waiting(&self, vm: usize) -> bool {
        let console = self.guests.get(vm).and_then(Option::as_deref);
        console.is_some_and(|guest| guest.input_waiting() > 0)
    }

    /// A guest's user land has said that it takes commands.
    pub fn guest_ready(&mut self, vm: usize) {
        if let Some(guest) = self.guest(vm) {
            guest.set_ready();
        }
    }

    /// A guest has ended: its last line is shown even if unfinished, and an attached terminal
    /// goes back to the prompt once everything was shown.
    pub fn guest_ended(&mut self, vm: usize) {
        self.guest_restarts(vm);
        if self.view == View::Attached(vm) {
            self.leaving = Leaving::Ended;
        }
    }

    /// A guest begins anew: like [`Mux::guest_ended`], but a terminal stays attached.
    pub fn guest_restarts(&mut self, vm: usize) {
        let hide = matches!(self.view, View::Attached(_));
        if let Some(guest) = self.guest(vm) {
            guest.end_run(hide);
        }
    }

    /// Says something about the monitor in a line of its own, behind `disco: `, as soon as no
    /// console is attached. What does not fit is cut.
    pub fn notice(&mut self, text: fmt::Arguments<'_>) {
        // A `Notice` never fails; only a `Display` in `text` could.
        let _ = fmt::write(&mut Notice(&mut self.notices), text);
        self.notices.finish_line();
    }
}

impl Default for Mux<'_> {
    fn default() -> Self {
        Self::new()
    }
}

/// Takes the monitor's own lines as far as there is room.
struct Notice<'l>(&'l mut Lines<NOTICE_BYTES>);

impl fmt::Write for Notice<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if !self.0.push(byte) {
                break;
            }
        }
        Ok(())
    }

    fn write_char(&mut self, character: char) -> fmt::Result {
        self.write_str(encoded(character, &mut [0; 4]))
    }
}
