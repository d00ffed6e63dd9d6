//! Rows as bars: the paper's, the bare board's, which is 100, and the guest's.

use super::cite::Cited;
use super::parts::{self, Part};
use crate::bench::record::{Both, Record};
use crate::page::{begin, put, Escaped};

/// Where bars begin, and where the scale ends. Behind that is room for the ratio.
pub const LEFT: f64 = 168.0;
const RIGHT: f64 = 850.0;
/// Height of a bar, from one to the next, and from one row to the next in addition.
pub const BAR: f64 = 13.0;
pub const STEP: f64 = 16.0;
pub const GAP: f64 = 12.0;
/// Room for the scale.
pub const FOOT: f64 = 24.0;

/// Draws the rows with these numbers.
pub fn draw(out: &mut String, record: &Record, rows: &[usize], about: &str) {
    let both = || {
        rows.iter()
            .filter_map(|&row| Some((row, record.rows.get(row)?)))
    };
    let bars = |row: &Both| if row.paper.is_some() { 3.0 } else { 2.0 };
    let height: f64 = both().map(|(_, row)| bars(row) * STEP + GAP).sum();
    let ratios = both().flat_map(|(_, row)| [Some(row.ratio), row.paper, row.reach]);
    let scale = Scale::to(ratios.flatten().fold(1.0, f64::max));
    begin(out, height + FOOT, about);
    scale.draw(out, height);
    let mut y = GAP / 2.0;
    for (number, row) in both() {
        put!(
            out,
            "<text class=\"name\" x=\"4\" y=\"{:.1}\"><title>{}</title>{}</text>\n",
            y + 11.0,
            Escaped(&row.about),
            Escaped(&row.name)
        );
        if let (Some(paper), Some(source)) = (row.paper, &row.paper_source) {
            let cited = Cited::new("rows", number, "paper", paper);
            let source = Escaped(source);
            put!(
                out,
                "<rect class=\"paper\" x=\"{LEFT}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{BAR}\"{cited}>\
                 <title>{source}: {paper}\n{}</title></rect>\n",
                scale.length(paper),
                cited.place
            );
            label(out, y, "paper");
            let text = format!("{paper:.2}");
            end(
                out,
                scale.x(paper),
                y,
                &text,
                &Cited::new("rows", number, "paper", paper),
            );
            y += STEP;
        }
        if let Some([native, guest]) = parts::of(record, number) {
            stack(out, &scale, y, row, &native);
            label(out, y, "board");
            y += STEP;
            stack(out, &scale, y, row, &guest);
            label(out, y, "guest");
            guest_end(out, &scale, y, number, row);
            y += STEP;
        }
        y += GAP;
    }
    out.push_str("</svg>\n");
}

/// A scale of ratios.
pub struct Scale {
    most: f64,
    step: f64,
}

impl Scale {
    /// With room for `most`.
    pub fn to(most: f64) -> Self {
        let step = if most > 1.8 { 0.5 } else { 0.1 };
        Self {
            most: (most / step).ceil() * step,
            step,
        }
    }

    /// How long so much is.
    pub fn length(&self, ratio: f64) -> f64 {
        (ratio / self.most).clamp(0.0, 1.2) * (RIGHT - LEFT)
    }

    /// Where a bar of it ends.
    pub fn x(&self, ratio: f64) -> f64 {
        LEFT + self.length(ratio)
    }

    /// Draws it below bars of this height.
    pub fn draw(&self, out: &mut String, height: f64) {
        let ticks = (self.most / self.step).round() as u32;
        for tick in 0..=ticks {
            let ratio = f64::from(tick) * self.step;
            let x = self.x(ratio);
            let class = if (ratio - 1.0).abs() < 1e-9 {
                "grid one"
            } else {
                "grid"
            };
            put!(
                out,
                "<line class=\"{class}\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"0\" y2=\"{height:.1}\"/>\
                 <text class=\"tick\" x=\"{x:.1}\" y=\"{:.1}\">{:.0}</text>\n",
                height + 16.0,
                ratio * 100.0
            );
        }
    }
}

/// What stands before a bar.
pub fn label(out: &mut String, y: f64, text: &str) {
    put!(
        out,
        "<text class=\"side\" x=\"{:.1}\" y=\"{:.1}\">{text}</text>\n",
        LEFT - 6.0,
        y + 11.0
    );
}

/// What stands behind a bar that ends at `x`.
pub fn end(out: &mut String, x: f64, y: f64, text: &str, cited: &Cited) {
    put!(
        out,
        "<text class=\"end\" x=\"{:.1}\" y=\"{:.1}\"{cited}><title>{}</title>{text}</text>\n",
        x + 6.0,
        y + 11.0,
        cited.place
    );
}

fn stack(out: &mut String, scale: &Scale, y: f64, row: &Both, parts: &[Part]) {
    let mut before = 0;
    for part in parts {
        let ratio = |ns: u64| ns as f64 / row.native_ns as f64;
        let cited = &part.cited;
        put!(
            out,
            "<rect class=\"{}\" x=\"{:.2}\" y=\"{y:.1}\" width=\"{:.2}\" height=\"{BAR}\"{cited}>\
             <title>{}\n{:.1} of the board's 100\n{}</title></rect>\n",
            part.class,
            scale.x(ratio(before)),
            scale.length(ratio(part.ns)),
            Escaped(&part.title),
            100.0 * ratio(part.ns),
            cited.place
        );
        before += part.ns;
    }
}

/// The ratio behind a guest's bar, and the mark up to which it may go.
fn guest_end(out: &mut String, scale: &Scale, y: f64, number: usize, row: &Both) {
    let mut x = scale.x(row.ratio);
    let mut text = format!("{:.3}", row.ratio);
    if let Some(reach) = row.reach {
        let mark = scale.x(reach);
        let cited = Cited::new("rows", number, "reach", reach);
        put!(
            out,
            "<line class=\"reach\" x1=\"{mark:.1}\" x2=\"{mark:.1}\" y1=\"{:.1}\" y2=\"{:.1}\"{cited}>\
             <title>to reach: {reach}\n{}</title></line>\n",
            y - 2.0,
            y + BAR + 2.0,
            cited.place
        );
        x = x.max(mark);
        text += &format!(
            ", {} {reach:.2}",
            if row.ratio > reach { "over" } else { "met:" }
        );
    }
    end(
        out,
        x,
        y,
        &text,
        &Cited::new("rows", number, "ratio", row.ratio),
    );
}
