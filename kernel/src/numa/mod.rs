//! Memory that moves to where it is used: what was counted, how far nodes are apart, what to do.
//!
//! Misses come from a [`source::Source`], are added up for each page of the machine in its
//! [`directory::PageRecord`], and a page that became hot is given to [`policy::decide`], which
//! says whether it is left, migrated, replicated or collapsed, and why. Nothing here moves a page
//! or takes a lock: it is arithmetic on values and on words that are atomic.

pub mod counters;
pub mod directory;
pub mod distance;
pub mod estimate;
pub mod heat;
pub mod hot_pages;
pub mod hottest;
pub mod latency;
pub mod looks;
pub mod node_set;
pub mod pace;
pub mod policy;
pub mod residence;
pub mod settings;
pub mod source;

pub use counters::NumaCounters;
pub use directory::{Counts, Directory, Interval, PageRecord};
pub use distance::Distances;
pub use hot_pages::HotPages;
pub use looks::Looks;
pub use node_set::NodeSet;
pub use pace::Pace;
pub use policy::{decide, Action, Decision, MoveBudget, Situation, Thresholds, Why};
pub use residence::Residence;
pub use settings::{Counters, Settings};
pub use source::{Sample, Source};

#[cfg(test)]
mod replay;
