//! What one virtual machine's console holds.

use disco_abi::{NAME_MAX, PAGE_SIZE};

use super::lines::{Lines, LINE_MAX};
use super::ring::Ring;

/// Bytes of output kept to be replayed when somebody attaches.
pub const HISTORY_BYTES: usize = 8 << 10;
/// Bytes of harmless lines that wait for the serial line.
pub const PENDING_BYTES: usize = 4 << 10;
/// Bytes of input that wait for the guest.
pub const INPUT_BYTES: usize = 1 << 10;

/// A virtual machine's name: printable ASCII.
#[derive(Clone, Copy)]
pub struct Name {
    bytes: [u8; NAME_MAX],
    length: usize,
}

impl Name {
    pub(super) const EMPTY: Self = Self {
        bytes: [0; NAME_MAX],
        length: 0,
    };

    /// The name.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.bytes[..self.length]).unwrap_or("?")
    }
}

impl core::fmt::Display for Name {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        out.write_str(self.as_str())
    }
}

/// One virtual machine's console. All zero bytes are a valid one without a name.
///
/// It outlives the virtual machine's runs: what a guest said last can be read after its end.
pub struct GuestConsole {
    name: Name,
    /// The newest output, raw. The last `unseen` bytes were not sent to an attached terminal.
    history: Ring<HISTORY_BYTES>,
    unseen: usize,
    /// Whether unseen output was dropped for newer.
    dropped: bool,
    lines: Lines<PENDING_BYTES>,
    /// Lines not shown because another virtual machine was attached.
    hidden: u64,
    input: Ring<INPUT_BYTES>,
    /// Whether a terminal that was attached may be in another state than before.
    terminal_changed: bool,
    /// Whether this run of the guest has said that its user land takes commands.
    ready: bool,
}

// A console is allocated as one page of machine memory.
const _: () = assert!(core::mem::size_of::<GuestConsole>() <= PAGE_SIZE as usize);

impl GuestConsole {
    /// An empty console of the virtual machine `name`; see [`GuestConsole::set_name`].
    pub fn new(name: &str) -> Self {
        let mut console = Self {
            name: Name::EMPTY,
            history: Ring::new(),
            unseen: 0,
            dropped: false,
            lines: Lines::new(),
            hidden: 0,
            input: Ring::new(),
            terminal_changed: false,
            ready: false,
        };
        console.set_name(name);
        console
    }

    /// Names it: at most [`NAME_MAX`] bytes, where all but printable ASCII becomes `?`.
    pub fn set_name(&mut self, name: &str) {
        self.name.length = name.len().min(NAME_MAX);
        for (to, from) in self.name.bytes.iter_mut().zip(name.bytes()) {
            *to = if from.is_ascii_graphic() { from } else { b'?' };
        }
    }

    /// The virtual machine's name.
    pub fn name(&self) -> Name {
        self.name
    }

    /// The virtual machine's name as text.
    pub fn name_str(&self) -> &str {
        self.name.as_str()
    }

    /// Takes output while not attached, until so many whole lines wait that no more fits. With
    /// `hide` (another virtual machine is attached), lines go to the history alone.
    pub(super) fn write_lines(&mut self, bytes: &[u8], hide: bool) -> usize {
        for (taken, &byte) in bytes.iter().enumerate() {
            if hide {
                self.hidden = self.hidden.saturating_add(self.lines.discard_whole());
            }
            if !self.lines.push(byte) {
                return taken;
            }
            self.remember(byte);
        }
        if hide {
            self.hidden = self.hidden.saturating_add(self.lines.discard_whole());
        }
        bytes.len()
    }

    fn remember(&mut self, byte: u8) {
        self.history.push_dropping_oldest(byte);
        if self.unseen == HISTORY_BYTES {
            self.dropped = true;
        } else {
            self.unseen += 1;
        }
    }

    /// Takes output while attached: as much as leaves nothing unseen behind.
    pub(super) fn write_raw(&mut self, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(HISTORY_BYTES - self.unseen);
        for &byte in &bytes[..taken] {
            self.remember(byte);
        }
        taken
    }

    /// The next byte for an attached terminal.
    pub(super) fn pop_raw(&mut self) -> Option<u8> {
        let index = self.history.len().checked_sub(self.unseen)?;
        let byte = self.history.get(index)?;
        self.unseen -= 1;
        self.terminal_changed |= !matches!(byte, 7..=10 | 13 | b' '..=b'~');
        Some(byte)
    }

    /// Prepares the replay: what nobody attached has seen, from the beginning of a line, and at
    /// least the line that the guest is in the middle of (its shell's prompt).
    pub(super) fn attach(&mut self) {
        self.lines.clear();
        self.hidden = 0;
        self.terminal_changed = false;
        let length = self.history.len();
        let from_end = |back: usize| self.history.get(length - 1 - back);
        if core::mem::take(&mut self.dropped) {
            let whole = (0..self.unseen)
                .rev()
                .find(|&back| from_end(back) == Some(b'\n'));
            self.unseen = whole.unwrap_or(self.unseen);
        }
        let line = (0..length.min(LINE_MAX)).find(|&back| from_end(back) == Some(b'\n'));
        self.unseen = self.unseen.max(line.unwrap_or(length.min(LINE_MAX)));
    }

    /// Bytes that the replay has yet to show, or that wait for an attached terminal.
    pub fn unseen(&self) -> usize {
        self.unseen
    }

    /// Ends the attachment; tells whether the terminal has to be brought back into its state.
    pub(super) fn detach(&mut self) -> bool {
        core::mem::take(&mut self.terminal_changed)
    }

    /// The run of the guest has ended: shows its unfinished line, forgets its input.
    pub(super) fn end_run(&mut self, hide: bool) {
        self.input.clear();
        self.ready = false;
        self.lines.finish_line();
        if hide {
            self.hidden = self.hidden.saturating_add(self.lines.discard_whole());
        }
    }

    /// The guest's user land takes commands.
    pub(super) fn set_ready(&mut self) {
        self.ready = true;
    }

    /// Whether the guest's user land has said that it takes commands.
    pub fn is_ready(&self) -> bool {
        self.ready
    }

    /// Whether a whole line waits to be shown.
    pub(super) fn has_line(&self) -> bool {
        self.lines.has_line()
    }

    /// The next byte of the oldest line; a line feed is its last.
    pub(super) fn pop_line_byte(&mut self) -> Option<u8> {
        self.lines.pop()
    }

    /// Lines that were hidden since the last call.
    pub(super) fn take_hidden(&mut self) -> u64 {
        core::mem::take(&mut self.hidden)
    }

    /// The guest's input.
    pub(super) fn input(&mut self) -> &mut Ring<INPUT_BYTES> {
        &mut self.input
    }

    /// Bytes of input that still fit.
    pub(super) fn input_free(&self) -> usize {
        self.input.free()
    }

    /// Bytes of input that the guest has not read.
    pub fn input_waiting(&self) -> usize {
        self.input.len()
    }
}
