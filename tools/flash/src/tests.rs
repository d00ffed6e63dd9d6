//! The model as a whole: sequences worked out by hand, and random ones against a naive model.

mod by_hand;
mod naive;

use crate::block::Mode;
use crate::counts::{ByMode, Counts};
use crate::model::Model;
use crate::options::Options;

/// Bytes of the small machine's RAM: two nodes of 512 KiB.
const MEMORY: u64 = 1 << 20;
/// Where node 1's memory begins.
const NODE_1: u64 = MEMORY / 2;
/// Bytes of its first level's halves, and of its second level: two and four sets of two lines.
const SMALL: [&str; 5] = ["ram=x", "report=x", "memory=1M", "l1=512:2", "l2=1024:2"];

/// A machine with small caches: 128-byte lines, 5 ns an instruction, 50 ns for the second level,
/// 300 and 900 ns for memory.
fn small(cpus: usize, nodes: usize) -> Model {
    let counts = [format!("cpus={cpus}"), format!("nodes={nodes}")];
    let arguments = SMALL
        .iter()
        .copied()
        .chain(counts.iter().map(String::as_str));
    Model::new(Options::parse(arguments).expect("these options are right"))
}

/// Counts of each CPU.
fn counts(model: &Model) -> Vec<ByMode> {
    let shared = model.shared();
    model.snapshot(&shared).cpus
}

/// Counts of one CPU, for user mode.
fn user(model: &Model, cpu: usize) -> Counts {
    *counts(model)[cpu].of(Mode::User)
}
