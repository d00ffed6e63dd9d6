//! Heat maps: time to the right, a virtual machine's memory upwards, colours are nodes.

use super::recording::{Part, VmRecording};
use super::svg::{seconds, Time, LEFT, RIGHT};
use crate::page::{begin, put};
use std::fmt::Write;

/// Columns of a map: with more snapshots, some are not drawn.
const COLUMNS: usize = 120;
/// Height of a region.
const ROW: f64 = 5.0;
/// Room above the map, and below it for the axis.
const TOP: f64 = 8.0;
const BOTTOM: f64 = 26.0;
/// How much of a colour is left of a region without misses.
pub const FAINT: f64 = 0.22;

/// What a map's colours say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Colour {
    /// The node that holds most of the region's pages.
    Holder,
    /// The node that misses most on them.
    Misser,
}

/// A region in one or several snapshots that say the same of it.
#[derive(PartialEq, Eq, Debug)]
pub struct Cell {
    /// The region.
    pub region: usize,
    /// The first and the last snapshot, as indices.
    pub snapshots: (usize, usize),
    /// By node.
    pub parts: Vec<Part>,
}

/// The columns of a map.
pub struct Columns<'a> {
    vm: &'a VmRecording,
    /// Indices of the snapshots that are drawn, the first and the last among them.
    drawn: Vec<usize>,
    /// The usual time between two of them, in nanoseconds.
    usual: u64,
}

impl<'a> Columns<'a> {
    /// Of a virtual machine.
    pub fn of(vm: &'a VmRecording) -> Self {
        let all = vm.snapshots.len();
        let step = all.div_ceil(COLUMNS).max(1);
        let mut drawn: Vec<usize> = (0..all).step_by(step).collect();
        drawn.extend(all.checked_sub(1).filter(|last| !drawn.contains(last)));
        let at = |index: usize| vm.snapshots[index].ns;
        let mut times: Vec<u64> = drawn
            .windows(2)
            .map(|two| at(two[1]).saturating_sub(at(two[0])))
            .collect();
        times.sort_unstable();
        let usual = times.get(times.len() / 2).copied().unwrap_or(0);
        Self { vm, drawn, usual }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.drawn.len()
    }

    fn ns(&self, place: usize) -> u64 {
        self.vm.snapshots[self.drawn[place]].ns
    }

    /// Whether the virtual machine was off before a column: rounds had none of its events. Where the whole
    /// machine stood still, there were no rounds.
    fn is_gap(&self, place: usize) -> bool {
        let Some(before) = place.checked_sub(1) else {
            return false;
        };
        let between = &self.vm.snapshots[self.drawn[before]..=self.drawn[place]];
        between
            .windows(2)
            .any(|two| two[1].round.saturating_sub(two[0].round) > 1)
    }

    /// Until when a column is drawn: to the next one, unless there is a gap.
    fn until(&self, place: usize) -> u64 {
        match place + 1 {
            next if next < self.len() && !self.is_gap(next) => self.ns(next),
            _ => self.ns(place).saturating_add(self.usual),
        }
    }

    /// When each begins and ends, in nanoseconds after boot.
    pub fn times(&self) -> impl Iterator<Item = u64> + Clone + '_ {
        (0..self.len()).flat_map(|place| [self.ns(place), self.until(place)])
    }

    /// The cells, those alike that follow each other joined. Regions without memory have none.
    pub fn cells(&self, nodes: usize) -> Vec<Cell> {
        let mut cells: Vec<Cell> = Vec::new();
        for region in 0..self.vm.regions {
            let begin = cells.len();
            for place in 0..self.len() {
                let mut parts = self.vm.snapshots[self.drawn[place]].parts(region);
                parts.truncate(nodes);
                let alike = cells[begin..]
                    .last_mut()
                    .filter(|cell| cell.parts == parts && !self.is_gap(place));
                match alike {
                    Some(cell) => cell.snapshots.1 = place,
                    None => cells.push(Cell {
                        region,
                        snapshots: (place, place),
                        parts,
                    }),
                }
            }
        }
        cells.retain(|cell| cell.parts.iter().any(|part| *part != Part::default()));
        cells
    }

    /// A cell's figures, in words, and where they come from.
    fn title(&self, cell: &Cell) -> String {
        let snapshot = |place: usize| &self.vm.snapshots[self.drawn[place]];
        let (first, last) = (snapshot(cell.snapshots.0), snapshot(cell.snapshots.1));
        let bytes = self.vm.region_bytes;
        let start = (cell.region as u64).saturating_mul(bytes);
        let end = start.saturating_add(bytes - 1);
        let mut text = seconds(first.ns);
        if last.ns != first.ns {
            text = text + " to " + &seconds(last.ns);
        }
        let _ = writeln!(text, " · {start:#x} to {end:#x}");
        for (node, part) in cell.parts.iter().enumerate() {
            let Part {
                pages,
                replicas,
                misses,
            } = part;
            if *part != Part::default() {
                let _ = writeln!(
                    text,
                    "node {node}: {pages} pages, {replicas} replicas, {misses} misses"
                );
            }
        }
        text += &first.places();
        if last.ns != first.ns {
            text = text + " … " + &last.places();
        }
        text
    }
}

/// Draws a map.
pub fn draw(
    out: &mut String,
    columns: &Columns<'_>,
    nodes: usize,
    time: &Time,
    colour: Colour,
    about: &str,
) {
    let vm = columns.vm;
    let cells = columns.cells(nodes);
    let bottom = TOP + vm.regions as f64 * ROW;
    let hottest = cells.iter().map(|cell| misses(&cell.parts)).max();
    begin(out, bottom + BOTTOM, about);
    put!(
        out,
        "<rect class=\"ground\" x=\"{LEFT}\" y=\"{TOP}\" width=\"{:.1}\" height=\"{:.1}\"/>\n",
        RIGHT - LEFT,
        bottom - TOP
    );
    for cell in &cells {
        let Some((node, strength)) = look(&cell.parts, colour, hottest.unwrap_or(0)) else {
            continue;
        };
        let x = time.x(columns.ns(cell.snapshots.0));
        let width = (time.x(columns.until(cell.snapshots.1)) - x).max(1.0);
        let y = bottom - (cell.region + 1) as f64 * ROW;
        put!(
            out,
            "<g><title>{}</title><rect class=\"n{node}\" x=\"{x:.1}\" y=\"{y:.1}\" \
             width=\"{width:.1}\" height=\"{ROW}\" fill-opacity=\"{strength:.2}\"/>",
            columns.title(cell)
        );
        let replicated = cell.parts.iter().any(|part| part.replicas > 0);
        if colour == Colour::Holder && replicated {
            put!(
                out,
                "<rect class=\"replica\" x=\"{x:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"1.4\"/>",
                y + 1.8
            );
        }
        out.push_str("</g>\n");
    }
    addresses(out, vm, bottom);
    time.draw(out, TOP, bottom);
    out.push_str("</svg>\n");
}

/// The node whose colour a cell has, and how strong it is; nothing if there is no such node.
pub fn look(parts: &[Part], colour: Colour, hottest: u64) -> Option<(usize, f64)> {
    let figure = |part: &Part| match colour {
        Colour::Holder => part.pages,
        Colour::Misser => part.misses,
    };
    // Of equal ones the lowest.
    let most = parts.iter().map(figure).max().filter(|&most| most > 0)?;
    let node = parts.iter().position(|part| figure(part) == most)?;
    let own = misses(parts);
    if own == 0 {
        return Some((node, FAINT));
    }
    let heat = (own as f64).ln_1p() / (hottest.max(own) as f64).ln_1p();
    Some((node, 0.4 + 0.6 * heat))
}

fn misses(parts: &[Part]) -> u64 {
    parts.iter().map(|part| u64::from(part.misses)).sum()
}

/// Guest-physical addresses beside the map.
fn addresses(out: &mut String, vm: &VmRecording, bottom: f64) {
    let quarter = vm.regions.div_ceil(4).max(1);
    for region in (0..=vm.regions).step_by(quarter) {
        put!(
            out,
            "<text class=\"side\" x=\"{:.1}\" y=\"{:.1}\">{:#x}</text>\n",
            LEFT - 8.0,
            bottom - region as f64 * ROW + 4.0,
            (region as u64).saturating_mul(vm.region_bytes)
        );
    }
}

/// The cells of a virtual machine's maps.
#[cfg(test)]
pub fn cells_of(vm: &VmRecording, nodes: usize) -> Vec<Cell> {
    Columns::of(vm).cells(nodes)
}
