//! `cargo xtask soak`: checks that take long.

mod contents;
mod moves;
mod nbd;
mod power_cut;
mod properties;
mod records;
mod volatile;

pub use moves::run as moves;
pub use power_cut::run as power_cut;
pub use properties::run as properties;
