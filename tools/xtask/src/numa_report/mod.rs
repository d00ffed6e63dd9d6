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
use std::path::Path;

/// Writes the page that a person wants.
pub fn run(args: &NumaReportArgs) -> Result<()> {
    let recording = write(&args.events, &args.output)?;
    if let Some(warning) = recording.warning() {
        eprintln!("xtask: {warning}");
    }
    println!("{}: {}", shown(&args.output), summary(&recording));
    Ok(())
}

/// Writes the page of a run with these `events`.
pub fn write(events: &Path, output: &Path) -> Result<Recording> {
    let name = shown(events);
    let bytes = fs::read(events).with_context(|| {
        format!("cannot read {name}; `cargo xtask run --machine FILE --events {name}` writes it")
    })?;
    let recording = read::read(&name, &bytes)?;
    fs::write(output, page::of(&recording))
        .with_context(|| format!("cannot write {}", shown(output)))?;
    Ok(recording)
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
