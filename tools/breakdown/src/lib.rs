//! Where a machine's instructions go: to programs, to their kernel, and to the monitor; and of the
//! monitor's, to which of the things that a CPU comes into it for.
//!
//! A CPU's *stay* in the monitor begins with the vector and ends with the guest's next instruction.
//! What it passed on the way (`disco_magic::point`) says what it was for, with the guest's last
//! instruction, which is the one that trapped. Nothing of this takes an instruction of the machine.
//!
//! All of it is plain Rust. The plugin that feeds it out of QEMU is `tools/breakdown/plugin`.
#![forbid(unsafe_code)]

pub mod block;
pub mod count;
pub mod report;
pub mod stay;
