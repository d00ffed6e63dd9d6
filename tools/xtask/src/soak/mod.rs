//! `cargo xtask soak`: checks that take long.

mod nbd;
mod power_cut;
mod records;
mod volatile;

pub use power_cut::run as power_cut;
