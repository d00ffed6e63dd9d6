//! A guest's bytes become whole lines that do nothing to a terminal but appear on it.

use super::ring::Ring;

/// Longest line shown, in bytes; the rest continues as another line.
pub const LINE_MAX: usize = 256;

/// Room that a byte may need: up to three held bytes of an unfinished character and itself, each
/// as `\xNN`, and the ends of two lines.
const ROOM: usize = 4 * 4 + 2;

/// A bounded queue of harmless lines, and the line that is being assembled behind them.
///
/// Controls show as `^[`, what is not UTF-8 and characters that reorder text show as `\xNN`. A
/// carriage return ends a line, and a line feed directly behind it does nothing more.
/// All zero bytes are an empty queue.
pub struct Lines<const N: usize> {
    ring: Ring<N>,
    /// Bytes of `ring` that belong to whole lines, each closed by a line feed.
    whole: usize,
    /// The beginning of a character of several bytes.
    held: [u8; 4],
    held_length: usize,
    after_return: bool,
}

impl<const N: usize> Lines<N> {
    /// Nothing waiting.
    pub const fn new() -> Self {
        assert!(N >= LINE_MAX + 2 * ROOM);
        Self {
            ring: Ring::new(),
            whole: 0,
            held: [0; 4],
            held_length: 0,
            after_return: false,
        }
    }

    /// Takes `byte`, if there is room. There is always room while no whole line waits.
    pub fn push(&mut self, byte: u8) -> bool {
        // Room is left for `finish_line`, which must not fail.
        if self.ring.free() < 2 * ROOM {
            return false;
        }
        if self.held_length > 0 {
            self.continue_character(byte);
        } else if byte < 0x80 {
            self.ascii(byte);
        } else {
            self.start_character(byte);
        }
        true
    }

    /// Whether a whole line waits.
    pub fn has_line(&self) -> bool {
        self.whole > 0
    }

    /// The next byte of the oldest whole line; a line feed is its last.
    pub fn pop(&mut self) -> Option<u8> {
        if self.whole == 0 {
            return None;
        }
        self.whole -= 1;
        self.ring.pop()
    }

    /// Ends a line that is being assembled, if there is one.
    pub fn finish_line(&mut self) {
        self.release_held();
        if self.ring.len() > self.whole {
            self.end_line();
        }
        self.after_return = false;
    }

    /// Forgets the whole lines that wait and returns their number.
    pub fn discard_whole(&mut self) -> u64 {
        let mut count = 0;
        while let Some(byte) = self.pop() {
            count += u64::from(byte == b'\n');
        }
        count
    }

    /// Forgets everything, the line being assembled too.
    pub fn clear(&mut self) {
        *self = Self::new();
    }

    fn ascii(&mut self, byte: u8) {
        let after_return = core::mem::take(&mut self.after_return);
        match byte {
            b'\n' if after_return => {}
            b'\n' => self.end_line(),
            b'\r' => {
                let shown = self.ring.len() > self.whole;
                if shown {
                    self.end_line();
                }
                self.after_return = shown || after_return;
            }
            b'\t' | b' '..=b'~' => self.show(&[byte]),
            _ => self.show(&[b'^', byte ^ 0x40]),
        }
    }

    fn start_character(&mut self, byte: u8) {
        self.after_return = false;
        if character_length(byte) > 1 {
            self.held[0] = byte;
            self.held_length = 1;
        } else {
            self.show_number(byte);
        }
    }

    fn continue_character(&mut self, byte: u8) {
        if byte & 0xc0 != 0x80 {
            self.release_held();
            if byte < 0x80 {
                self.ascii(byte);
            } else {
                self.start_character(byte);
            }
            return;
        }
        self.held[self.held_length] = byte;
        self.held_length += 1;
        if self.held_length < character_length(self.held[0]) {
            return;
        }
        let held = self.held;
        match core::str::from_utf8(&held[..self.held_length]) {
            Ok(text) if text.chars().all(is_harmless) => {
                self.held_length = 0;
                self.show(text.as_bytes());
            }
            _ => self.release_held(),
        }
    }

    /// Shows the held bytes by their numbers.
    fn release_held(&mut self) {
        let held = self.held;
        for &byte in &held[..core::mem::take(&mut self.held_length)] {
            self.show_number(byte);
        }
    }

    fn show_number(&mut self, byte: u8) {
        let digit = |value: u8| b"0123456789abcdef"[usize::from(value & 15)];
        self.show(&[b'\\', b'x', digit(byte >> 4), digit(byte)]);
    }

    /// Appends to the line; a line that would become too long is cut before.
    fn show(&mut self, bytes: &[u8]) {
        if self.ring.len() - self.whole + bytes.len() > LINE_MAX {
            self.end_line();
        }
        self.ring.write(bytes);
    }

    fn end_line(&mut self) {
        self.ring.push(b'\n');
        self.whole = self.ring.len();
    }
}

impl<const N: usize> Default for Lines<N> {
    fn default() -> Self {
        Self::new()
    }
}

/// Bytes of the UTF-8 character that begins with `first`; 1 where none does.
const fn character_length(first: u8) -> usize {
    match first {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => 1,
    }
}

/// Whether a character neither controls a terminal nor changes where others appear.
pub(super) fn is_harmless(character: char) -> bool {
    !character.is_control()
        && !matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{061c}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(bytes: &[u8]) -> String {
        let mut lines = Lines::<1024>::new();
        let mut out = Vec::new();
        for &byte in bytes {
            while !lines.push(byte) {
                assert!(lines.has_line());
                out.extend(std::iter::from_fn(|| lines.pop()));
            }
        }
        lines.finish_line();
        out.extend(std::iter::from_fn(|| lines.pop()));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn controls_and_bad_utf8_become_visible() {
        assert_eq!(shown(b"a\x1b[2Jb\x07\x7f\n"), "a^[[2Jb^G^?\n");
        assert_eq!(shown("grün 你 🙂\n".as_bytes()), "grün 你 🙂\n");
        assert_eq!(shown(b"\xff\xc3(\xe4\xbd\n"), "\\xff\\xc3(\\xe4\\xbd\n");
        // C1 controls as UTF-8, an overlong slash, a right-to-left override.
        assert_eq!(shown(b"\xc2\x9b"), "\\xc2\\x9b\n");
        assert_eq!(shown(b"\xc0\xaf"), "\\xc0\\xaf\n");
        assert_eq!(shown("\u{202e}".as_bytes()), "\\xe2\\x80\\xae\n");
    }

    #[test]
    fn carriage_returns_end_lines_once() {
        assert_eq!(
            shown(b"one\r\ntwo\r\r\n\r\nthree\n\nfour"),
            "one\ntwo\n\nthree\n\nfour\n"
        );
        assert_eq!(shown(b"10%\r20%\r\n"), "10%\n20%\n");
    }

    #[test]
    fn a_long_line_is_cut_and_a_line_of_exactly_the_limit_is_not() {
        let exact = vec![b'x'; LINE_MAX];
        assert_eq!(shown(&[&exact[..], b"\n"].concat()).lines().count(), 1);
        let text = shown(&vec![b'x'; 3 * LINE_MAX]);
        assert!(text.lines().all(|line| line.len() == LINE_MAX));
        assert_eq!(text.lines().count(), 3);
        // A character of two bytes is not torn apart.
        let text = shown(&[&exact[1..], "ü".as_bytes()].concat());
        assert_eq!(text.lines().last(), Some("ü"));
    }

    proptest! {
        #[test]
        fn any_bytes_become_bounded_harmless_lines(bytes in prop::collection::vec(any::<u8>(), 0..3000)) {
            let text = shown(&bytes);
            prop_assert!(text.is_empty() || text.ends_with('\n'));
            for line in text.lines() {
                prop_assert!(line.len() <= LINE_MAX);
                prop_assert!(line.chars().all(|c| c == '\t' || is_harmless(c)));
            }
        }

        #[test]
        fn printable_text_is_kept(text in "[ -~]{0,200}(\n[ -~]{1,200}){0,5}") {
            let mut expected = text.clone();
            if !expected.is_empty() && !expected.ends_with('\n') { expected.push('\n'); }
            prop_assert_eq!(shown(text.as_bytes()), expected);
        }
    }
}
