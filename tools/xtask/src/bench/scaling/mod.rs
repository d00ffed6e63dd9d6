//! One virtual machine of eight CPUs, two of four, four of two, eight of one, with the same work on the same machine, as the
//! paper's Figure 7: in the simulated time of the exact model of the memory system.

pub mod figures;
mod machine;
mod table;

use super::sides;
use crate::build::linux;
use crate::build::monitor::Image;
use crate::process::Progress;
use crate::run::magic::Magic;
use anyhow::Result;
use figures::Scaling;
use machine::Layout;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

pub use table::{of as table, PAPER};

/// Machines that run at once: each takes one CPU of the host, and its figures do not depend on what else that does.
const AT_ONCE: usize = 2;

/// Measures all layouts, in order.
pub fn measure(image: &Image) -> Result<Vec<Scaling>> {
    linux::build_gang()?;
    let folder = sides::folder();
    std::fs::create_dir_all(&folder)?;
    let model = Magic::build(folder.join("scaling.json"), Vec::new())?;
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::new());
    let work = || loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let Some(layout) = Layout::ALL.get(number) else {
            return;
        };
        let result = layout.measure(image, &model);
        if result.is_err() {
            // The others need not begin.
            next.store(Layout::ALL.len(), Ordering::Relaxed);
        }
        let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
        results.push((number, result));
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
        let mut progress =
            Progress::new("scaling: measure 8 CPUs as 1, 2, 4 and 8 virtual machines");
        while !threads.iter().all(thread::ScopedJoinHandle::is_finished) {
            thread::sleep(Duration::from_millis(100));
            progress.tick(&folder.join("scaling-1x8.console.log"));
        }
        progress.finish(true);
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(number, _)| *number);
    let scalings = results.into_iter().map(|(_, result)| result);
    scalings.collect()
}
