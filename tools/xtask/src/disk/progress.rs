//! A bar for copies that take long.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// A copy shorter than this shows nothing.
const SILENT: Duration = Duration::from_secs(1);

/// Bytes on their way: a bar on a terminal, one line elsewhere.
pub struct Copying {
    title: &'static str,
    all: u64,
    done: u64,
    started: Instant,
    bar: Option<ProgressBar>,
    said: bool,
}

impl Copying {
    /// `title` says what is copied; `all` is how many bytes there are.
    pub fn new(title: &'static str, all: u64) -> Self {
        Self {
            title,
            all,
            done: 0,
            started: Instant::now(),
            bar: None,
            said: false,
        }
    }

    /// So many bytes more are done.
    pub fn advance(&mut self, bytes: u64) {
        self.done += bytes;
        if self.started.elapsed() < SILENT {
            return;
        }
        if !std::io::stderr().is_terminal() {
            if !self.said {
                eprintln!("{}: {} MiB ...", self.title, self.all >> 20);
            }
            self.said = true;
            return;
        }
        let bar = self.bar.get_or_insert_with(|| {
            let bar = ProgressBar::new(self.all);
            let style = "{prefix} [{wide_bar}] {bytes} of {total_bytes}";
            let style = ProgressStyle::with_template(style);
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.set_prefix(self.title);
            bar
        });
        bar.set_position(self.done);
    }
}

impl Drop for Copying {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
