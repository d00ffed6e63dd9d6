//! A page that shows how memory moved in a run: from the run's events, with nothing else in it.

mod chart;
mod map;
mod page;
mod read;
mod recording;
mod svg;
#[cfg(test)]
mod tests;

use crate::cli::NumaReportArgs;
use crate::paths::shown;
use anyhow::{Context, Result};
use recording::Recording;
use std::fs;

/// Writes the page of `args`.
pub fn run(args: &NumaReportArgs) -> Result<()> {
    let name = shown(&args.events);
    let bytes = fs::read(&args.events).with_context(|| {
        format!("cannot read {name}; `cargo xtask run --machine FILE --events {name}` writes it")
    })?;
    let recording = read::read(&name, &bytes)?;
    if let Some(warning) = recording.warning() {
        eprintln!("xtask: {warning}");
    }
    let output = shown(&args.output);
    fs::write(&args.output, page::of(&recording))
        .with_context(|| format!("cannot write {output}"))?;
    println!("{output}: {}", summary(&recording));
    Ok(())
}

/// The page in a line.
fn summary(recording: &Recording) -> String {
    let all = recording.totals(None, 0..recording.rounds.len());
    format!(
        "{} intervals, {} nodes, {} virtual machines, {} moves, {} of the misses local",
        recording.rounds.len(),
        recording.nodes,
        recording.vms.len(),
        all.moves(),
        svg::percent(all.local, all.remote)
    )
}
