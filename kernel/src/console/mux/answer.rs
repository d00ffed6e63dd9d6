//! The answer to a command, which may be longer than what the serial line takes: nobody waits for
//! a terminal that stands still. A row without room is left out, and the command is executed
//! again later for the rows from there on.

use super::output::Terminal;
use super::{Mux, KEY_ROOM, ROW_ROOM};
use crate::console::command::Command;

/// How far a command is answered.
#[derive(Debug)]
pub(super) struct Answer {
    /// The command that is being answered.
    command: Option<Command<usize>>,
    /// How many rows of the answer are written.
    written: u32,
    /// How many rows this execution has come to.
    row: u32,
    /// There was no room for a row.
    cut: bool,
    /// The command is to be executed again.
    again: bool,
    /// It has not been executed yet.
    fresh: bool,
}

impl Answer {
    pub(super) const NONE: Self = Self {
        command: None,
        written: 0,
        row: 0,
        cut: false,
        again: false,
        fresh: false,
    };

    /// Whether a command has been taken whose answer is not complete.
    pub(super) const fn is_open(&self) -> bool {
        self.command.is_some()
    }
}

impl Mux<'_> {
    /// Takes the command that was entered, or once more the one whose answer was cut, if there is
    /// room for a row of its answer. It goes through [`Mux::answer`], and nothing else is shown or
    /// received until [`Mux::command_done`]. A command that changes anything has an answer of one
    /// row at most, so that it is executed once.
    pub fn take_command(&mut self) -> Option<Command<usize>> {
        let answer = &mut self.answer;
        if answer.is_open() && !answer.again || self.output.free() < KEY_ROOM + ROW_ROOM {
            return None;
        }
        answer.fresh = !answer.is_open();
        answer.command = answer.command.or_else(|| self.command.take());
        (answer.row, answer.cut, answer.again) = (0, false, false);
        answer.command
    }

    /// Where the next row of the answer is written; `None` if it has been written before, or if
    /// there is no room for it.
    pub fn answer(&mut self) -> Option<Terminal<'_>> {
        let answer = &mut self.answer;
        answer.row += 1;
        if answer.cut || answer.row <= answer.written {
            return None;
        }
        if self.output.free() < KEY_ROOM + ROW_ROOM {
            answer.cut = true;
            return None;
        }
        answer.written = answer.row;
        Some(Terminal::new(&mut self.output))
    }

    /// Whether the command taken last is executed for the first time: what it tells has to be found.
    pub fn is_fresh(&self) -> bool {
        self.answer.fresh
    }

    /// What is behind the rows so far is not found yet: the command is executed again for it.
    pub fn answer_later(&mut self) {
        self.answer.cut = true;
    }

    /// The command taken last has been executed; its answer is complete if no row was left out.
    pub fn command_done(&mut self) {
        if self.answer.cut {
            self.answer.again = true;
        } else {
            self.answer = Answer::NONE;
        }
    }
}
