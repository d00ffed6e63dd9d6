//! What is wrong with a description, and where.

use std::fmt;
use std::ops::Range;
use std::path::Path;

/// One error with its place: `file:line:column: message`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// The description's file as the person named it.
    pub file: String,
    /// Line and column, from 1, where the error has a place.
    pub place: Option<(usize, usize)>,
    /// What is wrong and what would be right.
    pub message: String,
}

impl Wrong {
    /// An error at the bytes `span` of `text`.
    pub fn at(file: &str, text: &str, span: Range<usize>, message: impl Into<String>) -> Self {
        let before = text.get(..span.start).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
        Self {
            file: file.to_owned(),
            place: Some((line, column)),
            message: message.into(),
        }
    }

    /// The file itself cannot be read.
    pub fn unreadable(path: &Path, error: &std::io::Error) -> Self {
        let message = format!("cannot read the machine description: {error}");
        Self {
            file: path.display().to_string(),
            place: None,
            message,
        }
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        match self.place {
            Some((line, column)) => write!(out, "{}:{line}:{column}: {}", self.file, self.message),
            None => write!(out, "{}: {}", self.file, self.message),
        }
    }
}

impl std::error::Error for Wrong {}
