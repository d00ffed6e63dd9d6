//! The virtual machine: what a guest sees. Plain Rust; the real machine is behind [`hardware`].

pub mod cp0;
pub mod defect;
pub mod exception;
pub mod hardware;
pub mod identity;
pub mod l2tlb;
pub mod loader;
pub mod mapping;
pub mod plain;
pub mod pmap;
pub mod privileged;
pub mod revoke;
pub mod sample;
pub mod shootdown;
pub mod special;
pub mod trap;
pub mod vcpu;
pub mod view;
pub mod vtlb;
pub mod walker;

#[cfg(test)]
mod tests;
