//! The table of programs: which run, and what is put back between them.

use crate::run;
use core::fmt::{self, Write};
use disco_bare::place;
use disco_bare::println;

/// Longest name of a program.
const NAME_MAX: usize = 80;

/// A text of limited length.
struct Name {
    bytes: [u8; NAME_MAX],
    length: usize,
}

impl Name {
    fn new(text: fmt::Arguments<'_>) -> Self {
        let mut name = Self {
            bytes: [0; NAME_MAX],
            length: 0,
        };
        name.write_fmt(text).expect("a name that is not too long");
        name
    }

    fn text(&self) -> &str {
        core::str::from_utf8(&self.bytes[..self.length]).expect("UTF-8")
    }
}

impl Write for Name {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length + text.len();
        let place = self.bytes.get_mut(self.length..end).ok_or(fmt::Error)?;
        place.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

/// The run of the suite.
pub struct Suite {
    /// Only programs whose names contain it.
    filter: &'static str,
    /// The program after which this run begins, until it has come by.
    after: Option<&'static str>,
}

impl Suite {
    /// As the command line says: `filter=TEXT` and `after=NAME`.
    pub fn new() -> Self {
        Self {
            filter: place::word("filter").unwrap_or(""),
            after: place::word("after"),
        }
    }

    /// A program with its name, if it is to run.
    pub fn program(&mut self, name: fmt::Arguments<'_>, body: impl FnOnce()) {
        let name = Name::new(name);
        let name = name.text();
        if let Some(after) = self.after {
            if after == name {
                self.after = None;
            }
            return;
        }
        if !name.contains(self.filter) {
            return;
        }
        println!("begin {name}");
        run::fresh();
        body();
        run::fresh();
        println!("end {name}");
    }

    /// The closing line.
    pub fn done(&self) {
        println!("done");
    }
}
