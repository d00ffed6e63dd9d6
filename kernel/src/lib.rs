//! The monitor.
#![cfg_attr(not(test), no_std)]

pub mod address;
pub mod checksum;
pub mod clock;
pub mod console;
pub mod disk;
pub mod events;
pub mod machine;
#[cfg(target_os = "none")]
pub mod monitor;
pub mod net;
pub mod numa;
pub mod schedule;
pub mod vm;

/// For property tests whose cases take so many times as long as most: as many fewer of them.
/// `PROPTEST_CASES` counts for them too.
#[cfg(test)]
fn cases_of_length(times: u32) -> proptest::test_runner::Config {
    let all = proptest::test_runner::Config::default();
    proptest::test_runner::Config {
        cases: (all.cases / times).max(1),
        ..all
    }
}
