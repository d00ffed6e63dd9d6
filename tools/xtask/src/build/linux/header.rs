//! The guest interface as a C header, `disco.h`.

use crate::paths;
use anyhow::Result;
use disco_abi::C_CONSTANTS;
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

/// The guest interface as a C header.
pub struct Header {
    /// Where it lies.
    pub folder: PathBuf,
    /// What is in it.
    pub text: String,
}

impl Header {
    /// Writes it.
    pub fn write() -> Result<Self> {
        let folder = paths::target().join("guests/include");
        fs::create_dir_all(&folder)?;
        let text = header_text();
        fs::write(folder.join("disco.h"), &text)?;
        Ok(Self { folder, text })
    }
}

/// `disco.h`: plain numbers, for C and assembly.
fn header_text() -> String {
    let mut text = String::from(
        "/* The guest interface. Made by xtask from guests/abi: not to be edited. */\n\
         #ifndef DISCO_H\n#define DISCO_H\n\n",
    );
    for (name, value) in C_CONSTANTS {
        let _ = writeln!(text, "#define DISCO_{name} {value:#x}");
    }
    text.push_str("\n#endif\n");
    text
}

#[cfg(test)]
mod tests {
    use super::header_text;

    #[test]
    fn the_header_has_every_constant_once() {
        let text = header_text();
        for (name, value) in disco_abi::C_CONSTANTS {
            assert_eq!(
                text.matches(&format!("#define DISCO_{name} {value:#x}\n"))
                    .count(),
                1,
                "{name}"
            );
        }
    }
}
