//! How far both sides are: a bar for each on a terminal, elsewhere a line for each row.

use super::rows::Row;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// Gives a bar its form, and lets it go on while nothing ends.
pub fn bar(bar: ProgressBar, template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template);
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_millis(500));
    bar
}

/// Both sides' bars.
pub struct Progress(Option<MultiProgress>);

impl Progress {
    /// Of a run that begins.
    pub fn new() -> Self {
        Self(std::io::stderr().is_terminal().then(MultiProgress::new))
    }

    /// A side that is to measure `rows`.
    pub fn side<'a>(&self, name: &'a str, rows: &[Row]) -> Side<'a> {
        let bar = self.0.as_ref().map(|bars| {
            let bar = bar(
                bars.add(ProgressBar::new(rows.len() as u64)),
                "{prefix:>6} [{elapsed}] {bar:30} {pos}/{len} rows  {wide_msg}",
            );
            bar.set_prefix(name.to_owned());
            bar
        });
        if bar.is_none() {
            eprintln!("{name}: measuring {} rows ...", rows.len());
        }
        let side = Side {
            name,
            rows: rows.iter().map(|row| row.name).collect(),
            measured: Vec::new(),
            bar,
            started: Instant::now(),
            last: Instant::now(),
        };
        side.tell_next();
        side
    }
}

/// A side that measures.
pub struct Side<'a> {
    /// Its name.
    pub name: &'a str,
    rows: Vec<&'static str>,
    measured: Vec<&'static str>,
    bar: Option<ProgressBar>,
    started: Instant,
    last: Instant,
}

impl Side<'_> {
    /// Rows for which `is_measured` holds are there.
    pub fn update(&mut self, is_measured: impl Fn(&str) -> bool) {
        let is_new = |name: &&str| !self.measured.contains(name) && is_measured(name);
        let new: Vec<&'static str> = self.rows.iter().copied().filter(is_new).collect();
        for row in &new {
            match &self.bar {
                Some(bar) => bar.inc(1),
                None => eprintln!("{}: {row}, {} s", self.name, self.last.elapsed().as_secs()),
            }
            self.last = Instant::now();
        }
        if !new.is_empty() {
            self.measured.extend(new);
            self.tell_next();
        }
    }

    fn tell_next(&self) {
        let next = self.rows.iter().find(|row| !self.measured.contains(row));
        if let (Some(bar), Some(next)) = (&self.bar, next) {
            bar.set_message(*next);
        }
    }

    /// The side has ended.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        eprintln!(
            "{}: done in {} s",
            self.name,
            self.started.elapsed().as_secs()
        );
    }
}
