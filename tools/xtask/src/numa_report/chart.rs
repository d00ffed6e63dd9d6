//! Curves and bars over time, of the events `numa`.

use super::recording::{NodeFigures, Recording};
use super::svg::{mib, percent, seconds, share, Time, LEFT, RIGHT};
use crate::page::{begin, put, WIDTH};
use std::fmt::Write;
use std::ops::Range;

/// Points of a curve: with more intervals, several make one.
const POINTS: usize = 240;
/// Room above a drawing, and below it for the axis.
const TOP: f64 = 10.0;
const BOTTOM: f64 = 26.0;

/// The figure of a node's that a bar shows.
type Figure = fn(&NodeFigures) -> u64;

/// The kinds of moves, as they are called and coloured, lowest in a bar first.
pub const MOVES: [(&str, &str, Figure); 3] = [
    ("migrations", "migration", |node| node.migrations),
    ("replications", "replication", |node| node.replications),
    ("collapses", "collapse", |node| node.collapses),
];

/// Intervals that make a point each.
pub fn points(rounds: usize) -> Vec<Range<usize>> {
    let step = rounds.div_ceil(POINTS).max(1);
    let firsts = (0..rounds).step_by(step);
    firsts
        .map(|first| first..rounds.min(first + step))
        .collect()
}

/// A point of a curve.
struct Point {
    ns: u64,
    /// How high, as a share of the scale; the curve is interrupted where there is none.
    height: Option<f64>,
    title: String,
}

/// A drawing with a scale at its side.
struct Plot<'a> {
    out: &'a mut String,
    time: Time,
    bottom: f64,
}

impl<'a> Plot<'a> {
    fn begin(out: &'a mut String, time: Time, height: f64, about: &str) -> Self {
        let bottom = TOP + height;
        begin(out, bottom + BOTTOM, about);
        put!(
            out,
            "<rect class=\"ground\" x=\"{LEFT}\" y=\"{TOP}\" width=\"{:.1}\" height=\"{height:.1}\"/>\n",
            RIGHT - LEFT
        );
        time.draw(out, TOP, bottom);
        Self { out, time, bottom }
    }

    /// Where `share` of the whole scale lies.
    fn y(&self, share: f64) -> f64 {
        self.bottom - share.clamp(0.0, 1.0) * (self.bottom - TOP)
    }

    /// Draws the scale: `steps` parts of it.
    fn scale(&mut self, steps: u8, label: impl Fn(f64) -> String) {
        for step in 0..=steps {
            let share = f64::from(step) / f64::from(steps.max(1));
            let y = self.y(share);
            put!(
                self.out,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text class=\"side\" x=\"{:.1}\" y=\"{:.1}\">{}</text>\n",
                LEFT - 8.0,
                y + 4.0,
                label(share)
            );
        }
    }

    fn curve(&mut self, class: &str, points: &[Point]) {
        for piece in points.split(|point| point.height.is_none()) {
            let at = |point: &Point| {
                let (x, y) = (self.time.x(point.ns), self.y(point.height.unwrap_or(0.0)));
                (format!("{x:.1}"), format!("{y:.1}"))
            };
            let places: Vec<_> = piece.iter().map(at).collect();
            if piece.len() > 1 {
                let line: Vec<_> = places.iter().map(|(x, y)| format!("{x},{y}")).collect();
                let line = line.join(" ");
                put!(
                    self.out,
                    "<polyline class=\"{class}\" points=\"{line}\"/>\n"
                );
            }
            for ((x, y), Point { title, .. }) in places.iter().zip(piece) {
                put!(
                    self.out,
                    "<circle class=\"{class}\" cx=\"{x}\" cy=\"{y}\" r=\"2.4\"><title>{title}</title></circle>\n"
                );
            }
        }
    }

    fn end(self) {
        self.out.push_str("</svg>\n");
    }
}

/// Share of the misses that are local, by node and of all.
pub fn local_share(out: &mut String, recording: &Recording, time: Time) {
    let about = "Share of the misses that are local, over time, by node";
    let mut plot = Plot::begin(out, time, 200.0, about);
    plot.scale(4, |share| format!("{:.0} %", 100.0 * share));
    for node in (0..recording.nodes).map(Some).chain([None]) {
        let point = |rounds: Range<usize>| {
            let sum = recording.totals(node, rounds.clone());
            let name = node.map_or_else(|| "all nodes".to_owned(), |node| format!("node {node}"));
            let ns = recording.end_of(&rounds);
            Point {
                ns,
                height: share(sum.local, sum.remote),
                title: format!(
                    "{name}, to {}: {} local\n{} local misses, {} remote\n{}",
                    seconds(ns),
                    percent(sum.local, sum.remote),
                    sum.local,
                    sum.remote,
                    recording.lines(rounds)
                ),
            }
        };
        let points: Vec<_> = points(recording.rounds.len())
            .into_iter()
            .map(point)
            .collect();
        plot.curve(&curve_of(node), &points);
    }
    plot.end();
}

/// Free memory of each node.
pub fn free_memory(out: &mut String, recording: &Recording, time: Time) {
    let mut plot = Plot::begin(out, time, 120.0, "Free memory over time, by node");
    let nodes = recording.rounds.iter().flat_map(|round| &round.nodes);
    let most = nodes.map(|node| node.free).max().unwrap_or(0).max(1 << 20) as f64;
    plot.scale(2, |share| mib((share * most) as u64));
    for node in 0..recording.nodes {
        let point = |rounds: Range<usize>| {
            let last = rounds.end.saturating_sub(1)..rounds.end;
            let free = recording.totals(Some(node), last.clone()).free;
            let ns = recording.end_of(&rounds);
            Point {
                ns,
                height: Some(free as f64 / most),
                title: format!(
                    "node {node}, {}: {} free\n{}",
                    seconds(ns),
                    mib(free),
                    recording.lines(last)
                ),
            }
        };
        let points: Vec<_> = points(recording.rounds.len())
            .into_iter()
            .map(point)
            .collect();
        plot.curve(&curve_of(Some(node)), &points);
    }
    plot.end();
}

fn curve_of(node: Option<usize>) -> String {
    node.map_or_else(|| "all".to_owned(), |node| format!("s{node}"))
}

/// Moves of each kind, of all nodes.
pub fn moves(out: &mut String, recording: &Recording, time: Time) {
    let about = "Migrations, replications and collapses over time";
    let mut plot = Plot::begin(out, time, 120.0, about);
    let points = points(recording.rounds.len());
    let sum_of = |rounds: &Range<usize>| recording.totals(None, rounds.clone());
    let most = points.iter().map(|rounds| sum_of(rounds).moves()).max();
    let most = most.unwrap_or(0).max(1) as f64;
    plot.scale(2, |share| format!("{:.0}", share * most));
    let width = ((RIGHT - LEFT) / points.len().max(1) as f64 - 1.0).clamp(1.0, 14.0);
    for rounds in points {
        let sum = sum_of(&rounds);
        if sum.moves() == 0 {
            continue;
        }
        let x = (time.x(recording.end_of(&rounds)) - width).max(LEFT);
        put!(
            plot.out,
            "<g><title>{}</title>",
            bar_title(recording, rounds)
        );
        let mut below = 0;
        for (_, class, count) in MOVES {
            let above = below + count(&sum);
            let (top, bottom) = (plot.y(above as f64 / most), plot.y(below as f64 / most));
            if above > below {
                let height = (bottom - top).max(1.0);
                put!(
                    plot.out,
                    "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>"
                );
            }
            below = above;
        }
        plot.out.push_str("</g>\n");
    }
    plot.end();
}

fn bar_title(recording: &Recording, rounds: Range<usize>) -> String {
    let kinds = |sum: &NodeFigures| {
        let kinds = MOVES.map(|(name, _, count)| format!("{} {name}", count(sum)));
        kinds.join(", ")
    };
    let all = recording.totals(None, rounds.clone());
    let mut title = format!(
        "to {}: {}\n",
        seconds(recording.end_of(&rounds)),
        kinds(&all)
    );
    for node in 0..recording.nodes {
        let own = recording.totals(Some(node), rounds.clone());
        if own.moves() > 0 {
            let _ = writeln!(title, "node {node}: {}", kinds(&own));
        }
    }
    title + &recording.lines(rounds)
}

/// In the place of a drawing that would be empty.
pub fn empty(out: &mut String, text: &str) {
    begin(out, 60.0, text);
    put!(
        out,
        "<text class=\"tick\" x=\"{:.1}\" y=\"34\">{text}</text>\n</svg>\n",
        WIDTH / 2.0
    );
}
