//! The console: one serial line for people, shared by the monitor and every virtual machine.
//!
//! Until a console is attached, guests appear as whole lines behind `[name] `, made harmless;
//! what does not begin with `[` is the monitor's own. An attached guest has the line for itself,
//! raw in both directions. Nothing here touches hardware: bytes go in and come out as values.
//!
//! - [`ring`]: bounded byte queues.
//! - [`lines`]: a guest's bytes become harmless whole lines.
//! - [`guest`]: what one virtual machine's console holds.
//! - [`mux`]: who has the serial line.
//! - [`line`]: the line editor behind the prompt `disco> `.
//! - [`command`]: what can be typed there.
//! - [`report`]: the answers, as text or as JSON lines.
//! - [`json`]: JSON objects that hold any bytes.

pub mod command;
pub mod disk_report;
pub mod guest;
pub mod json;
pub mod line;
pub mod lines;
pub mod memory_report;
pub mod mux;
pub mod numa_report;
pub mod report;
pub mod ring;

pub use command::{Command, Format};
pub use guest::GuestConsole;
pub use mux::Mux;

/// `character` as text in `place`: what `write_char` needs, once for all that implement it.
#[inline(never)]
pub(crate) fn encoded(character: char, place: &mut [u8; 4]) -> &str {
    character.encode_utf8(place)
}
