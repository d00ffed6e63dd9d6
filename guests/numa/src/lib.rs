//! Guests whose memory is used from several nodes: what `cargo xtask bench numa` measures.
//!
//! Each is an ordinary parallel program: the first virtual CPU allocates all memory and fills it, which puts it
//! into its own node; then a team of virtual CPUs computes. Memory is mapped as an operating system maps that of its
//! programs: by page tables, in pages of 16 KiB. What is measured is between markers
//! (`docs/numa.md`), and has no input, output or timer in it.
#![no_std]
#![feature(asm_experimental_arch)]

pub mod arena;
pub mod marker;
pub mod team;
