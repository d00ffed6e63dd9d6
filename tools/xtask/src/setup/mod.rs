//! Finds what the machine lacks, and installs it.

pub mod toolchain;
