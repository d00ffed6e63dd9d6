//! What the drawings of the page have in common.

use crate::page::put;

/// Where the part of a drawing with the time axis begins and ends in it.
pub const LEFT: f64 = 96.0;
pub const RIGHT: f64 = 1024.0;

/// `local` of all misses in per cent.
pub fn percent(local: u64, remote: u64) -> String {
    match share(local, remote) {
        Some(share) => format!("{:.1} %", 100.0 * share),
        None => "–".to_owned(),
    }
}

/// `local` of all misses, 0 to 1.
pub fn share(local: u64, remote: u64) -> Option<f64> {
    let all = local as f64 + remote as f64;
    (all > 0.0).then(|| local as f64 / all)
}

/// Nanoseconds as seconds.
pub fn seconds(ns: u64) -> String {
    format!("{:.3} s", ns as f64 / 1e9)
}

/// Bytes in MiB.
pub fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

/// A time axis from `start` to `end`, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Time {
    start: u64,
    end: u64,
}

impl Time {
    /// An axis that has room for these times.
    pub fn of(times: impl Iterator<Item = u64> + Clone) -> Self {
        let start = times.clone().min().unwrap_or(0);
        let end = times.max().unwrap_or(0);
        Self {
            start,
            end: end.max(start + 1),
        }
    }

    /// Where a time lies in the drawing.
    pub fn x(&self, ns: u64) -> f64 {
        let ns = ns.clamp(self.start, self.end);
        let share = (ns - self.start) as f64 / (self.end - self.start) as f64;
        LEFT + share * (RIGHT - LEFT)
    }

    /// Times in whole steps of 1, 2 or 5 for which there is room, with what stands there.
    pub fn ticks(&self) -> Vec<(u64, String)> {
        const MOST: u64 = 12;
        let span = self.end - self.start;
        let steps = (0..19u32).flat_map(|power| [1, 2, 5].map(|digit| digit * 10u64.pow(power)));
        let step = steps
            .into_iter()
            .find(|step| span / step < MOST)
            .unwrap_or(span);
        let first = self.start.div_ceil(step);
        let decimals = (1..=9)
            .rev()
            .find(|&digits| step < 10u64.pow(10 - digits))
            .unwrap_or(0);
        let label = |ns: u64| format!("{:.*} s", decimals as usize, ns as f64 / 1e9);
        (first..)
            .map(|number| number.saturating_mul(step))
            .take_while(|&ns| ns <= self.end)
            .take(MOST as usize + 1)
            .map(|ns| (ns, label(ns)))
            .collect()
    }

    /// Draws the axis below a drawing from `top` to `bottom`, and lines up through it.
    pub fn draw(&self, out: &mut String, top: f64, bottom: f64) {
        for (ns, label) in self.ticks() {
            let x = self.x(ns);
            put!(
                out,
                "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{top:.1}\" y2=\"{bottom:.1}\"/>\
                 <text class=\"tick\" x=\"{x:.1}\" y=\"{:.1}\">{label}</text>\n",
                bottom + 16.0
            );
        }
    }
}
