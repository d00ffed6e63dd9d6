//! Checks that take long.

mod nbd;
mod volatile;
