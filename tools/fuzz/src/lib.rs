//! Random programs for the CPU: how they are made, what they become in memory, what their runs in two
//! places have to agree on, and how a difference is cut down to the few instructions that show it.
//!
//! Everything here is plain computation; `xtask` starts the machines.
#![forbid(unsafe_code)]

pub mod generate;
pub mod isa;
pub mod outcome;
pub mod program;
pub mod random;
pub mod shrink;
