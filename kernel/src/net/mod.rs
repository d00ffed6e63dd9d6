//! The virtual subnet.

pub mod link;
