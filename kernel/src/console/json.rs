//! JSON objects on one line, with strings that may hold any bytes.

use super::encoded;
use core::fmt::{Display, Result, Write};

/// Most bytes of a string that are kept; a longer one ends in `…`.
pub const STRING_MAX: usize = 256;

/// One object being written: keys and values, then [`Object::end`].
pub struct Object<'w> {
    out: &'w mut dyn Write,
    first: bool,
}

impl<'w> Object<'w> {
    /// Begins an object.
    pub fn begin(out: &'w mut dyn Write) -> core::result::Result<Self, core::fmt::Error> {
        out.write_char('{')?;
        Ok(Self { out, first: true })
    }

    /// Adds a number.
    pub fn number(&mut self, key: &str, value: u64) -> Result {
        self.key(key)?;
        write!(self.out, "{value}")
    }

    /// Adds an array of numbers.
    pub fn numbers(&mut self, key: &str, values: impl IntoIterator<Item = impl Display>) -> Result {
        self.key(key)?;
        let mut before = '[';
        for value in values {
            write!(self.out, "{before}{value}")?;
            before = ',';
        }
        self.out.write_str(if before == '[' { "[]" } else { "]" })
    }

    /// Adds `true` or `false`.
    pub fn boolean(&mut self, key: &str, value: bool) -> Result {
        self.key(key)?;
        self.out.write_str(if value { "true" } else { "false" })
    }

    /// Adds `null`.
    pub fn null(&mut self, key: &str) -> Result {
        self.key(key)?;
        self.out.write_str("null")
    }

    /// Adds a string of any bytes; what is not UTF-8 becomes U+FFFD.
    pub fn bytes(&mut self, key: &str, value: &[u8]) -> Result {
        self.key(key)?;
        self.out.write_char('"')?;
        let mut escaped = Escaped::new(self.out);
        for chunk in value.utf8_chunks() {
            escaped.write_str(chunk.valid())?;
            if !chunk.invalid().is_empty() {
                escaped.write_char('\u{fffd}')?;
            }
            if escaped.cut {
                break;
            }
        }
        self.out.write_char('"')
    }

    /// Adds what `value` displays, as a string.
    pub fn display(&mut self, key: &str, value: &dyn Display) -> Result {
        self.key(key)?;
        self.out.write_char('"')?;
        write!(Escaped::new(self.out), "{value}")?;
        self.out.write_char('"')
    }

    /// Ends the object and its line.
    pub fn end(self) -> Result {
        self.out.write_str("}\n")
    }

    /// A key is always one of our own words, without anything to escape.
    fn key(&mut self, key: &str) -> Result {
        if !core::mem::take(&mut self.first) {
            self.out.write_char(',')?;
        }
        self.out.write_char('"')?;
        self.out.write_str(key)?;
        self.out.write_str("\":")
    }
}

/// Escapes and cuts what passes through.
struct Escaped<'w> {
    out: &'w mut dyn Write,
    left: usize,
    cut: bool,
}

impl<'w> Escaped<'w> {
    fn new(out: &'w mut dyn Write) -> Self {
        Self {
            out,
            left: STRING_MAX,
            cut: false,
        }
    }
}

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> Result {
        for character in text.chars() {
            if self.cut {
                break;
            }
            if character.len_utf8() > self.left {
                self.cut = true;
                return self.out.write_char('…');
            }
            self.left -= character.len_utf8();
            match character {
                '"' => self.out.write_str("\\\"")?,
                '\\' => self.out.write_str("\\\\")?,
                '\n' => self.out.write_str("\\n")?,
                '\u{2028}' | '\u{2029}' => write!(self.out, "\\u{:04x}", character as u32)?,
                _ if character.is_control() => write!(self.out, "\\u{:04x}", character as u32)?,
                _ => self.out.write_char(character)?,
            }
        }
        Ok(())
    }

    fn write_char(&mut self, character: char) -> Result {
        self.write_str(encoded(character, &mut [0; 4]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn objects_are_as_expected() {
        let mut text = String::new();
        let mut object = Object::begin(&mut text).unwrap();
        object.bytes("name", b"a\"b\\c\n\x1b\xff").unwrap();
        object.number("ns", u64::MAX).unwrap();
        object.boolean("ok", true).unwrap();
        object.null("vm").unwrap();
        object.end().unwrap();
        assert_eq!(
            text,
            "{\"name\":\"a\\\"b\\\\c\\n\\u001b\u{fffd}\",\"ns\":18446744073709551615,\"ok\":true,\"vm\":null}\n"
        );
    }

    proptest! {
        #[test]
        fn any_bytes_parse_back(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            let mut text = String::new();
            let mut object = Object::begin(&mut text).unwrap();
            object.bytes("text", &bytes).unwrap();
            object.end().unwrap();
            prop_assert_eq!(text.matches('\n').count(), 1);
            prop_assert!(text.ends_with('\n'));
            prop_assert!(!text.trim_end().chars().any(char::is_control));
            let parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
            let back = parsed["text"].as_str().unwrap();
            let whole = String::from_utf8_lossy(&bytes);
            if whole.len() <= STRING_MAX {
                prop_assert_eq!(back, whole);
            } else {
                let kept = back.strip_suffix('…').expect("a mark where it was cut");
                prop_assert!(whole.starts_with(kept));
                prop_assert!(kept.len() <= STRING_MAX);
            }
        }
    }
}
