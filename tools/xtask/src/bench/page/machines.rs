//! Machines as as many QEMUs, and under one monitor.

use super::bars::{end, label, BAR, FOOT, GAP, LEFT, STEP};
use super::cite::Cited;
use crate::bench::machines::Machines;
use crate::bench::record::Record;
use crate::page::{begin, key, note, put};

/// Where the longest bar ends.
const RIGHT: f64 = 900.0;

/// A figure of both sides, its field, and how a person reads it.
type Of = fn(&Machines) -> [u64; 2];
type Shown = fn(u64) -> String;

/// What is drawn: its title, its field, and where it is.
const FIGURES: [(&str, &str, Of, Shown); 2] = [
    (
        "Memory of the host (PSS)",
        "pss_bytes",
        |row| [row.native.pss_bytes, row.guest.pss_bytes],
        |bytes| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20)),
    ),
    (
        "CPU time of the host",
        "cpu_ms",
        |row| [row.native.cpu_ms, row.guest.cpu_ms],
        |ms| format!("{:.1} s", ms as f64 / 1e3),
    ),
];

/// Draws them, if they were measured.
pub fn draw(out: &mut String, record: &Record) {
    let all = &record.machines;
    if all.is_empty() {
        return;
    }
    out.push_str("<h2>Several machines: a QEMU for each, or one with a monitor</h2>\n");
    note(
        out,
        "The same work in each of 1, 2, 4 and 8 Linux machines. These are figures of the computer that ran it, and have noise.",
    );
    out.push_str("<div class=\"legend\">\n");
    key(out, "plain", 1.0, "a QEMU for each");
    key(out, "monitor", 1.0, "one QEMU with a monitor");
    out.push_str("</div>\n");
    for (title, field, of, shown) in FIGURES {
        put!(out, "<h3>{title}</h3>\n");
        let most = all.iter().flat_map(of).max().unwrap_or(0).max(1) as f64;
        let height = all.len() as f64 * (2.0 * STEP + GAP);
        begin(out, height + FOOT / 2.0, title);
        let mut y = GAP / 2.0;
        for (number, row) in all.iter().enumerate() {
            put!(
                out,
                "<text class=\"name\" x=\"4\" y=\"{:.1}\">{}</text>\n",
                y + 11.0,
                row.count
            );
            let ways = [
                ("QEMUs", "native", "plain"),
                ("monitor", "guest", "monitor"),
            ];
            for ((way, side, class), value) in ways.into_iter().zip(of(row)) {
                let cited = || Cited::new("machines", number, &format!("{side}.{field}"), value);
                let length = value as f64 / most * (RIGHT - LEFT);
                put!(
                    out,
                    "<rect class=\"{class}\" x=\"{LEFT}\" y=\"{y:.1}\" width=\"{length:.1}\" height=\"{BAR}\"{}>\
                     <title>{}</title></rect>\n",
                    cited(),
                    cited().place
                );
                label(out, y, way);
                end(out, LEFT + length, y, &shown(value), &cited());
                y += STEP;
            }
            y += GAP;
        }
        out.push_str("</svg>\n");
    }
}
