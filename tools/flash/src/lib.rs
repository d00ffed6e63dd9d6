//! The exact model of a FLASH machine's memory system: what SimOS and MAGIC were for the paper.
//!
//! Every access of every CPU goes through its caches ([`cache`]) and, where they miss, through a
//! directory of lines ([`directory`]) over the machine's memory, part of which is each node's home
//! memory. What it costs is accounted by CPU and mode ([`counts`]); misses are also counted by page
//! and node ([`pages`]), for the report and, in a region of machine memory, for the monitor.
//! `docs/numa.md` has the rules and formulas.
//!
//! All of it is plain Rust. The plugin that feeds it out of QEMU is `tools/flash/plugin`.
#![forbid(unsafe_code)]

pub mod block;
pub mod cache;
pub mod counts;
pub mod directory;
pub mod maps;
pub mod model;
pub mod options;
pub mod pages;
pub mod report;
pub mod window;

#[cfg(test)]
mod tests;
