//! The real CPU and board. Everything that is not plain data compiles for the board only.
#![cfg_attr(not(test), no_std)]
#![cfg_attr(target_os = "none", feature(asm_experimental_arch))]

pub mod board;
#[macro_use]
pub mod cp0;
#[cfg(target_os = "none")]
pub mod cpu;
#[cfg(target_os = "none")]
pub mod fpu;
pub mod instruction;
pub mod lock;
pub mod point;
pub mod tlb;
pub mod trap;
