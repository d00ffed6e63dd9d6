//! The subnet between simulated virtual machines.

mod bytes;
mod harness;
mod outside;
mod random;
mod refusals;
mod sharing;
