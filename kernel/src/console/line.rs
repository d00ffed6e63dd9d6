//! The line editor behind the prompt.
//!
//! A line feed that it writes stands for a new line, whatever the terminal needs for that.

use core::fmt::{Result, Write};

/// Longest command line, in bytes.
pub const COMMAND_MAX: usize = 128;
/// Lines remembered.
pub const HISTORY_LINES: usize = 16;

/// What stands before the line.
pub const PROMPT: &str = "disco> ";

/// A line of text, printable ASCII.
#[derive(Clone, Copy)]
pub struct Text {
    bytes: [u8; COMMAND_MAX],
    length: usize,
}

impl Text {
    const EMPTY: Self = Self {
        bytes: [0; COMMAND_MAX],
        length: 0,
    };

    /// The text.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.bytes[..self.length]).unwrap_or("")
    }

    fn insert(&mut self, at: usize, byte: u8) -> bool {
        if self.length == COMMAND_MAX {
            return false;
        }
        self.bytes.copy_within(at..self.length, at + 1);
        self.bytes[at] = byte;
        self.length += 1;
        true
    }

    fn remove(&mut self, from: usize, to: usize) {
        self.bytes.copy_within(to..self.length, from);
        self.length -= to - from;
    }
}

/// What a key did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The line is being edited.
    Editing,
    /// The line is finished; [`LineEditor::take`] it.
    Entered,
    /// The key asks to complete the word before the cursor.
    Complete,
    /// The key, on an empty line, asks to leave the prompt.
    Leave,
}

/// How far an escape sequence of a key has come.
#[derive(Clone, Copy)]
enum Escape {
    None,
    Begun,
    /// After `ESC [` or `ESC O`, with the number read so far.
    Sequence(u8),
}

/// A line, its cursor, and the lines before it.
pub struct LineEditor {
    line: Text,
    cursor: usize,
    history: [Text; HISTORY_LINES],
    remembered: usize,
    /// How many lines back the line shown is; 0 is the new one.
    back: usize,
    escape: Escape,
    after_return: bool,
}

impl LineEditor {
    /// An empty line without a history.
    pub const fn new() -> Self {
        Self {
            line: Text::EMPTY,
            cursor: 0,
            history: [Text::EMPTY; HISTORY_LINES],
            remembered: 0,
            back: 0,
            escape: Escape::None,
            after_return: false,
        }
    }

    /// Handles a key and shows on `out` what it changed.
    pub fn key(
        &mut self,
        byte: u8,
        out: &mut dyn Write,
    ) -> core::result::Result<Outcome, core::fmt::Error> {
        match self.escape {
            Escape::None => self.plain_key(byte, out),
            Escape::Begun => {
                self.escape = match byte {
                    b'[' | b'O' => Escape::Sequence(0),
                    _ => Escape::None,
                };
                Ok(Outcome::Editing)
            }
            Escape::Sequence(number) => self.sequence_key(number, byte, out),
        }
    }

    fn plain_key(
        &mut self,
        byte: u8,
        out: &mut dyn Write,
    ) -> core::result::Result<Outcome, core::fmt::Error> {
        let after_return = core::mem::replace(&mut self.after_return, byte == b'\r');
        match byte {
            b'\n' if after_return => {}
            b'\r' | b'\n' => {
                self.move_to(self.line.length, out)?;
                out.write_char('\n')?;
                return Ok(Outcome::Entered);
            }
            b'\t' => return Ok(Outcome::Complete),
            b' '..=b'~' => self.insert(byte, out)?,
            0x08 | 0x7f => self.cut(self.cursor.saturating_sub(1), self.cursor, out)?,
            CTRL_A => self.move_to(0, out)?,
            CTRL_B => self.move_to(self.cursor.saturating_sub(1), out)?,
            CTRL_C => {
                out.write_str("^C\n")?;
                self.clear();
                self.redraw(out)?;
            }
            CTRL_D if self.line.length == 0 => return Ok(Outcome::Leave),
            CTRL_D => self.delete(out)?,
            CTRL_E => self.move_to(self.line.length, out)?,
            CTRL_F => self.move_to(self.cursor + 1, out)?,
            CTRL_K => self.cut(self.cursor, self.line.length, out)?,
            CTRL_L => {
                out.write_str("\x1b[H\x1b[2J")?;
                self.redraw(out)?;
            }
            CTRL_N => self.recall(self.back.saturating_sub(1), out)?,
            CTRL_P => self.recall(self.back + 1, out)?,
            CTRL_U => self.cut(0, self.cursor, out)?,
            CTRL_W => self.cut(self.word_start(), self.cursor, out)?,
            ESCAPE => self.escape = Escape::Begun,
            _ => {}
        }
        Ok(Outcome::Editing)
    }

    fn sequence_key(
        &mut self,
        number: u8,
        byte: u8,
        out: &mut dyn Write,
    ) -> core::result::Result<Outcome, core::fmt::Error> {
        if let b'0'..=b'9' = byte {
            let number = number.saturating_mul(10).saturating_add(byte - b'0');
            self.escape = Escape::Sequence(number);
            return Ok(Outcome::Editing);
        }
        if !matches!(byte, b'@'..=b'~') {
            return Ok(Outcome::Editing);
        }
        self.escape = Escape::None;
        match (byte, number) {
            (b'A', _) => self.recall(self.back + 1, out)?,
            (b'B', _) => self.recall(self.back.saturating_sub(1), out)?,
            (b'C', _) => self.move_to(self.cursor + 1, out)?,
            (b'D', _) => self.move_to(self.cursor.saturating_sub(1), out)?,
            (b'H', _) | (b'~', 1 | 7) => self.move_to(0, out)?,
            (b'F', _) | (b'~', 4 | 8) => self.move_to(self.line.length, out)?,
            (b'~', 3) => self.delete(out)?,
            _ => {}
        }
        Ok(Outcome::Editing)
    }

    /// Inserts `byte` at the cursor; a full line rings the bell instead.
    pub fn insert(&mut self, byte: u8, out: &mut dyn Write) -> Result {
        if !self.line.insert(self.cursor, byte) {
            return out.write_char('\x07');
        }
        self.cursor += 1;
        if self.cursor == self.line.length {
            out.write_char(char::from(byte))
        } else {
            self.redraw(out)
        }
    }

    /// Shows prompt and line anew in the terminal's present line.
    pub fn redraw(&self, out: &mut dyn Write) -> Result {
        write!(out, "{ERASE_LINE}{PROMPT}{}", self.line.as_str())?;
        match self.line.length - self.cursor {
            0 => Ok(()),
            behind => write!(out, "\x1b[{behind}D"),
        }
    }

    /// The part of the line before the cursor.
    pub fn before_cursor(&self) -> &str {
        self.line.as_str().get(..self.cursor).unwrap_or("")
    }

    /// Takes the finished line, remembers it, and begins an empty one.
    pub fn take(&mut self) -> Text {
        let line = self.line;
        let newest = &self.history[0];
        if !line.as_str().trim_ascii().is_empty() && line.as_str() != newest.as_str() {
            self.history.copy_within(..HISTORY_LINES - 1, 1);
            self.history[0] = line;
            self.remembered = (self.remembered + 1).min(HISTORY_LINES);
        }
        self.clear();
        line
    }

    /// `key` has called up the prompt and does nothing more: the next key begins a line.
    pub fn called_up_by(&mut self, key: u8) {
        self.escape = Escape::None;
        self.after_return = key == b'\r';
    }

    fn clear(&mut self) {
        self.line.length = 0;
        self.cursor = 0;
        self.back = 0;
    }

    fn move_to(&mut self, cursor: usize, out: &mut dyn Write) -> Result {
        let cursor = cursor.min(self.line.length);
        if cursor == self.cursor {
            return Ok(());
        }
        self.cursor = cursor;
        self.redraw(out)
    }

    fn cut(&mut self, from: usize, to: usize, out: &mut dyn Write) -> Result {
        if from >= to {
            return Ok(());
        }
        let last = to == self.line.length && to - from == 1;
        self.line.remove(from, to);
        self.cursor = from;
        if last {
            out.write_str("\x08 \x08")
        } else {
            self.redraw(out)
        }
    }

    fn delete(&mut self, out: &mut dyn Write) -> Result {
        if self.cursor < self.line.length {
            self.line.remove(self.cursor, self.cursor + 1);
            self.redraw(out)?;
        }
        Ok(())
    }

    fn word_start(&self) -> usize {
        let before = self.before_cursor().trim_ascii_end();
        before
            .bytes()
            .rposition(|byte| byte == b' ')
            .map_or(0, |space| space + 1)
    }

    /// Shows the line entered `back` lines ago, or an empty one for 0.
    fn recall(&mut self, back: usize, out: &mut dyn Write) -> Result {
        if back > self.remembered || back == self.back {
            return Ok(());
        }
        self.back = back;
        self.line = match back {
            0 => Text::EMPTY,
            _ => self.history[back - 1],
        };
        self.cursor = self.line.length;
        self.redraw(out)
    }
}

impl Default for LineEditor {
    fn default() -> Self {
        Self::new()
    }
}

/// Moves the cursor to the line's beginning and erases what stands there.
pub const ERASE_LINE: &str = "\r\x1b[K";

const CTRL_A: u8 = 0x01;
const CTRL_B: u8 = 0x02;
const CTRL_C: u8 = 0x03;
const CTRL_D: u8 = 0x04;
const CTRL_E: u8 = 0x05;
const CTRL_F: u8 = 0x06;
const CTRL_K: u8 = 0x0b;
const CTRL_L: u8 = 0x0c;
const CTRL_N: u8 = 0x0e;
const CTRL_P: u8 = 0x10;
const CTRL_U: u8 = 0x15;
const CTRL_W: u8 = 0x17;
const ESCAPE: u8 = 0x1b;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn type_in(editor: &mut LineEditor, keys: &[u8], out: &mut String) -> Vec<String> {
        let mut entered = Vec::new();
        for &key in keys {
            if editor.key(key, out).unwrap() == Outcome::Entered {
                entered.push(editor.take().as_str().to_string());
            }
        }
        entered
    }

    fn entered(keys: &[u8]) -> Vec<String> {
        type_in(&mut LineEditor::new(), keys, &mut String::new())
    }

    #[test]
    fn editing_keys() {
        assert_eq!(entered(b"vm lisx\x7ft\r"), ["vm list"]);
        assert_eq!(entered(b"list\x01vm \r"), ["vm list"]);
        assert_eq!(entered(b"vm list\x02\x02\x0b\r"), ["vm li"]);
        assert_eq!(entered(b"vm list\x17\x17cpus\r"), ["cpus"]);
        assert_eq!(entered(b"vm list\x15mem\r"), ["mem"]);
        assert_eq!(entered(b"abc\x03mem\r"), ["mem"]);
        assert_eq!(entered(b"xmem\x1b[H\x1b[3~\x1b[F!\x1b[D\x1b[C\r"), ["mem!"]);
        assert_eq!(entered(b"xmem\x1b[1~\x04\x1bOF\x1b[15~\r"), ["mem"]);
    }

    #[test]
    fn returns_and_line_feeds_end_a_line_once() {
        assert_eq!(entered(b"a\r\nb\nc\r\r\n"), ["a", "b", "c", ""]);
    }

    #[test]
    fn history_goes_back_and_forth_and_is_bounded() {
        let mut editor = LineEditor::new();
        let mut out = String::new();
        for number in 0..20 {
            type_in(&mut editor, format!("line {number}\r").as_bytes(), &mut out);
        }
        assert_eq!(
            type_in(&mut editor, b"\x1b[A\x1b[A\x1b[B\r", &mut out),
            ["line 19"]
        );
        assert_eq!(
            type_in(&mut editor, b"\x1b[A\x1b[A\r", &mut out),
            ["line 18"]
        );
        let up = b"\x1b[A".repeat(40);
        assert_eq!(
            type_in(&mut editor, &[&up[..], b"\r"].concat(), &mut out),
            ["line 5"]
        );
    }

    #[test]
    fn control_d_leaves_an_empty_line_only() {
        let mut editor = LineEditor::new();
        let mut out = String::new();
        assert_eq!(editor.key(4, &mut out), Ok(Outcome::Leave));
        editor.key(b'x', &mut out).unwrap();
        assert_eq!(editor.key(4, &mut out), Ok(Outcome::Editing));
    }

    proptest! {
        #[test]
        fn any_keys_keep_the_line_bounded_and_printable(keys in prop::collection::vec(any::<u8>(), 0..600)) {
            let mut editor = LineEditor::new();
            for key in keys {
                let mut out = String::new();
                if editor.key(key, &mut out).unwrap() == Outcome::Entered {
                    editor.take();
                }
                // What a key shows is bounded: the queue to the serial line keeps room for it.
                prop_assert!(out.len() <= PROMPT.len() + COMMAND_MAX + 24);
                prop_assert!(editor.cursor <= editor.line.length);
                prop_assert!(editor.line.length <= COMMAND_MAX);
                prop_assert!(editor.line.as_str().bytes().all(|b| (b' '..=b'~').contains(&b)));
                prop_assert_eq!(editor.line.as_str().len(), editor.line.length);
            }
        }

        #[test]
        fn typing_and_erasing_all_gives_an_empty_line(text in "[ -~]{0,100}") {
            let mut keys = text.clone().into_bytes();
            keys.extend(std::iter::repeat_n(0x7f, text.len() + 3));
            keys.push(b'\r');
            prop_assert_eq!(entered(&keys), vec![String::new()]);
        }
    }
}
