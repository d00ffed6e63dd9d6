//! Spans of a run that are reported apart, from marker to marker.

use crate::counts::ByMode;
use crate::pages::Pages;
use std::collections::BTreeMap;

/// All that was counted up to some moment.
pub struct Snapshot {
    /// By CPU.
    pub cpus: Vec<ByMode>,
    /// By page.
    pub pages: Pages,
}

/// A window, of all times that it was open.
pub struct Window {
    /// How often it was ended.
    pub times: u64,
    /// By CPU.
    pub cpus: Vec<ByMode>,
    /// By page.
    pub pages: Pages,
    /// Simulated time: each time that of the busiest CPU.
    pub elapsed_ns: u64,
}

/// Windows by number.
#[derive(Default)]
pub struct Windows {
    open: BTreeMap<u8, Snapshot>,
    ended: BTreeMap<u8, Window>,
}

impl Windows {
    /// A window begins; one that is open begins anew.
    pub fn begin(&mut self, number: u8, now: Snapshot) {
        self.open.insert(number, now);
    }

    /// A window ends; one that is not open stays as it is. `busy_ns` is a CPU's time out of its
    /// counts.
    pub fn end(
        &mut self,
        number: u8,
        now: &Snapshot,
        nodes: usize,
        busy_ns: impl Fn(&ByMode) -> u64,
    ) {
        let Some(begin) = self.open.remove(&number) else {
            return;
        };
        let window = self.ended.entry(number).or_insert_with(|| Window {
            times: 0,
            cpus: vec![ByMode::default(); now.cpus.len()],
            pages: Pages::new(now.pages.count_of_pages(), nodes),
            elapsed_ns: 0,
        });
        window.times += 1;
        window.pages.add_difference(&now.pages, &begin.pages);
        let mut elapsed = 0;
        for ((sum, now), begin) in window.cpus.iter_mut().zip(&now.cpus).zip(&begin.cpus) {
            let span = *now - *begin;
            elapsed = elapsed.max(busy_ns(&span));
            *sum += span;
        }
        window.elapsed_ns += elapsed;
    }

    /// Numbers of the windows that are open.
    pub fn open(&self) -> Vec<u8> {
        self.open.keys().copied().collect()
    }

    /// Those that were ended.
    pub fn ended(&self) -> impl Iterator<Item = (u8, &Window)> {
        self.ended.iter().map(|(number, window)| (*number, window))
    }
}
