//! Where received bytes go: to the prompt or to the attached guest.

use core::fmt::Write;

use disco_abi::NAME_MAX;

use super::super::command::{self, Command};
use super::super::guest::GuestConsole;
use super::super::line::{Outcome, Text};
use super::output::Terminal;
use super::{Mux, View, TWICE_NS};

/// Leaves an attached console.
const CTRL_BRACKET: u8 = 0x1d;

/// How far leaving the attached console has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaving {
    /// Nobody wants to.
    No,
    /// `Ctrl-]` was received at this time.
    Asked(u64),
    /// `Ctrl-]` was received at this time and more directly behind it, which is held.
    Settling(u64),
    /// The guest has ended.
    Ended,
}

/// A guest whose shell is ready and that is silent so long has answered its input.
const SILENT_NS: u64 = 1_000_000_000;
/// A guest that read its input so long ago has had its time to answer.
const ANSWER_NS: u64 = 5_000_000_000;
/// Both times that for a guest whose shell is not ready: it may be booting.
const BOOT_FACTOR: u64 = 5;
/// A guest that is silent so long will not read its input.
const DEAD_NS: u64 = 60_000_000_000;

impl Mux<'_> {
    /// Whether [`Mux::uart_received`] may be called. If not, bytes are to be left in the UART;
    /// this changes with any other call.
    pub fn can_receive(&self) -> bool {
        let wanted = match self.view {
            View::Attached(vm) => {
                let console = self.guests.get(vm).and_then(Option::as_deref);
                matches!(self.leaving, Leaving::No | Leaving::Asked(_))
                    && console.is_some_and(|guest| guest.input_free() > 0)
            }
            View::Lines | View::Prompt => self.command.is_none() && !self.answer.is_open(),
        };
        wanted && self.has_key_room()
    }

    /// Handles a received byte. Only if [`Mux::can_receive`]; it is lost otherwise.
    pub fn uart_received(&mut self, byte: u8) {
        if !self.can_receive() {
            return;
        }
        // The line feed behind the return that attached is not for the guest.
        let skip = core::mem::take(&mut self.skip_line_feed) && byte == b'\n';
        match self.view {
            View::Attached(_) if skip => {}
            View::Attached(vm) => self.guest_key(vm, byte),
            View::Lines | View::Prompt => {
                self.prompt_key(byte);
                self.skip_line_feed = byte == b'\r';
            }
        }
    }

    /// Tells the time, in nanoseconds since boot. To be called at least every 100 ms.
    pub fn tick(&mut self, now_ns: u64) {
        self.now_ns = now_ns.max(self.now_ns);
        let View::Attached(vm) = self.view else {
            return;
        };
        if self.guest_input_waiting(vm) {
            self.unread_ns = self.now_ns;
        }
        let leave = match self.leaving {
            Leaving::Asked(since) => self.now_ns - since >= TWICE_NS,
            Leaving::Settling(since) => self.has_settled(vm, since),
            Leaving::No | Leaving::Ended => false,
        };
        if leave && self.has_key_room() {
            self.detach();
        }
    }

    /// Attaches the terminal to a virtual machine; tells whether there is one of this number.
    pub fn attach(&mut self, vm: usize) -> bool {
        self.detach();
        let Some(guest) = self.guest(vm) else {
            return false;
        };
        guest.attach();
        let name = guest.name();
        self.hide_prompt();
        self.view = View::Attached(vm);
        self.active_ns = self.now_ns;
        self.unread_ns = self.now_ns;
        self.say(format_args!("(console of {name}; Ctrl-] leaves)\n"));
        true
    }

    /// Leaves the attached console, if there is one, for the prompt.
    pub fn detach(&mut self) {
        let View::Attached(vm) = self.view else {
            return;
        };
        self.view = View::Prompt;
        self.leaving = Leaving::No;
        self.reset_terminal(vm);
        let name = self.name(vm);
        self.say(format_args!("\n(left {name})\n"));
        self.show_prompt();
        if let Some(byte) = self.held.take() {
            self.prompt_key(byte);
        }
    }

    fn guest_key(&mut self, vm: usize, byte: u8) {
        match self.leaving {
            Leaving::No if byte == CTRL_BRACKET => {
                self.leaving = Leaving::Asked(self.now_ns);
                return;
            }
            Leaving::Asked(since) if byte != CTRL_BRACKET => {
                self.leaving = Leaving::Settling(since);
                self.held = Some(byte);
                return;
            }
            _ => self.leaving = Leaving::No,
        }
        self.unread_ns = self.now_ns;
        if let Some(guest) = self.guest(vm) {
            guest.input().push(byte);
        }
    }

    /// Whether the attached guest has had its chance to answer what came before `Ctrl-]`.
    fn has_settled(&self, vm: usize, since: u64) -> bool {
        let Some(guest) = self.guests.get(vm).and_then(Option::as_deref) else {
            return true;
        };
        let factor = if guest.is_ready() { 1 } else { BOOT_FACTOR };
        let silent = self.now_ns - since.max(self.active_ns);
        let read = guest.input_waiting() == 0;
        let answered = guest.unseen() == 0 && silent >= SILENT_NS * factor
            || self.now_ns - since.max(self.unread_ns) >= ANSWER_NS * factor;
        read && answered || silent >= DEAD_NS
    }

    fn prompt_key(&mut self, byte: u8) {
        if self.view == View::Lines {
            self.view = View::Prompt;
            self.show_prompt();
            self.editor.called_up_by(byte);
            if matches!(byte, b'\r' | b'\n') {
                return;
            }
        } else if !self.prompt_shown {
            self.show_prompt();
        }
        match self.editor.key(byte, &mut Terminal::new(&mut self.output)) {
            Ok(Outcome::Entered) => {
                self.prompt_shown = false;
                let line = self.editor.take();
                self.enter(&line);
            }
            Ok(Outcome::Complete) => self.complete(),
            Ok(Outcome::Leave) => {
                self.hide_prompt();
                self.view = View::Lines;
            }
            Ok(Outcome::Editing) | Err(_) => {}
        }
    }

    /// Does what an entered line says, or leaves it to whoever calls [`Mux::take_command`].
    fn enter(&mut self, line: &Text) {
        match command::parse(line.as_str()) {
            Ok(None) => {}
            Ok(Some(typed)) => match typed.with_vm(|name| self.number(name).ok_or(name)) {
                Ok(Command::Help(about)) => {
                    let _ = command::help(about, &mut Terminal::new(&mut self.output));
                }
                Ok(Command::VmConsole(vm)) => {
                    self.attach(vm);
                }
                Ok(other) => self.command = Some(other),
                Err(name) => self.say(format_args!(
                    "no virtual machine `{name}`; `vm list` shows their names\n"
                )),
            },
            Err(error) => self.say(format_args!("{error}\n")),
        }
        if self.view == View::Prompt && self.command.is_none() {
            self.show_prompt();
        }
    }

    /// The number of the virtual machine of this name.
    fn number(&self, name: &str) -> Option<usize> {
        let named = |guest: &Option<&mut GuestConsole>| {
            guest
                .as_deref()
                .is_some_and(|guest| guest.name().as_str() == name)
        };
        self.guests.iter().position(named)
    }

    /// Completes the word before the cursor as far as all that it may become agree; if that is
    /// no further, lists them.
    fn complete(&mut self) {
        let names = || self.guests.iter().flatten().map(|guest| guest.name_str());
        let before = self.editor.before_cursor();
        let mut agreed = Agreed::default();
        let word = command::complete(before, &mut names(), &mut |offer| agreed.add(offer));
        if agreed.length > word {
            let mut out = Terminal::new(&mut self.output);
            let end = if agreed.count == 1 { &b" "[..] } else { b"" };
            for &byte in agreed.bytes[word..agreed.length].iter().chain(end) {
                let _ = self.editor.insert(byte, &mut out);
            }
        } else if agreed.count > 1 {
            let mut out = Terminal::new(&mut self.output);
            let mut shown = 0;
            let _ = out.write_char('\n');
            command::complete(before, &mut names(), &mut |offer| {
                if shown + offer.len() < OFFERS_WIDTH {
                    let _ = write!(out, "{offer} ");
                    shown += offer.len() + 1;
                }
            });
            let _ = out.write_char('\n');
            self.show_prompt();
        }
    }
}

/// Bytes of a completion's list; it ends before the word that would not fit.
const OFFERS_WIDTH: usize = 512;

/// What several words begin with.
#[derive(Default)]
struct Agreed {
    bytes: [u8; NAME_MAX],
    length: usize,
    count: usize,
}

impl Agreed {
    fn add(&mut self, word: &str) {
        if self.count == 0 {
            self.length = word.len().min(NAME_MAX);
            for (to, from) in self.bytes.iter_mut().zip(word.bytes()) {
                *to = from;
            }
        } else {
            let pairs = self.bytes[..self.length].iter().zip(word.as_bytes());
            self.length = pairs.take_while(|(one, other)| one == other).count();
        }
        self.count += 1;
    }
}
