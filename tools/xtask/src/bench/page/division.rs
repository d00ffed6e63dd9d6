//! A machine of eight CPUs that was divided, as the paper's Figure 7.

use super::bars::{end, label, Scale, BAR, FOOT, GAP, LEFT, STEP};
use super::cite::Cited;
use crate::bench::record::Record;
use crate::bench::scaling::figures::{Scaling, Times};
use crate::bench::scaling::PAPER;
use crate::page::{begin, key, note, put};

/// A figure of a mode, and a mode of a row.
type Time = fn(&Times) -> u64;
type Mode = fn(&Scaling) -> &Times;

/// Times of a mode, with how strongly they are coloured.
const KINDS: [(&str, &str, f64, Time); 3] = [
    ("instructions", "run_ns", 1.0, |times| times.run_ns),
    (
        "waiting for memory of its node",
        "local_stall_ns",
        0.6,
        |times| times.local_stall_ns,
    ),
    (
        "waiting for another node",
        "remote_stall_ns",
        0.3,
        |times| times.remote_stall_ns,
    ),
];

/// Modes, as they are called in the figures and coloured.
const MODES: [(&str, &str, Mode); 3] = [
    ("user", "user", |row| &row.user),
    ("kernel", "kernel", |row| &row.kernel),
    ("monitor", "monitor", |row| &row.monitor),
];

/// Draws it, if it was measured.
pub fn draw(out: &mut String, record: &Record) {
    let all = &record.scaling;
    let Some(one) = all.first() else {
        return;
    };
    out.push_str("<h2>Eight CPUs as 1, 2, 4 and 8 virtual machines</h2>\n");
    note(
        out,
        "As the paper's Figure 7: the same work on the same machine of eight nodes, in the simulated time of the exact model of \
         FLASH's memory system. The first one is 100. The paper's gain is that of IRIX's lock on its memory, which Linux has not; \
         its figures are relative to its own first one, too.",
    );
    legend(out);
    let paper = |row: &Scaling| PAPER.iter().find(|(vms, _)| *vms == row.vms);
    let bars = |row| if paper(row).is_some() { 2.0 } else { 1.0 };
    let height: f64 = all.iter().map(|row| bars(row) * STEP + GAP).sum();
    let most = all.iter().map(|row| row.ratio(one)).fold(1.0, f64::max);
    let scale = Scale::to(most);
    begin(out, height + FOOT, "Eight CPUs, divided");
    scale.draw(out, height);
    let mut y = GAP / 2.0;
    for (number, row) in all.iter().enumerate() {
        put!(
            out,
            "<text class=\"name\" x=\"4\" y=\"{:.1}\">{} x {} CPUs</text>\n",
            y + 11.0,
            row.vms,
            row.cpus
        );
        if let Some((_, ratio)) = paper(row) {
            put!(
                out,
                "<rect class=\"paper\" x=\"{LEFT}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{BAR}\">\
                 <title>SOSP'97, Figure 7: {ratio}</title></rect>\n",
                scale.length(*ratio)
            );
            label(out, y, "paper");
            y += STEP;
        }
        label(out, y, "here");
        stack(out, &scale, y, (number, row), one);
        let cited = Cited::new("scaling", number, "elapsed_ns", row.elapsed_ns);
        let ratio = row.ratio(one);
        let text = format!("{ratio:.3}, {:.1} ms", row.elapsed_ns as f64 / 1e6);
        end(out, scale.x(ratio), y, &text, &cited);
        y += STEP + GAP;
    }
    out.push_str("</svg>\n");
}

fn legend(out: &mut String) {
    out.push_str("<div class=\"legend\">\n");
    for (name, class, _) in MODES {
        for (what, _, strength, _) in KINDS {
            key(out, class, strength, &format!("{name}: {what}"));
        }
    }
    key(out, "idle", 1.0, "nothing to do");
    out.push_str("</div>\n");
}

fn stack(out: &mut String, scale: &Scale, y: f64, (number, row): (usize, &Scaling), one: &Scaling) {
    let whole = one.elapsed_ns.max(1) as f64 * (one.vms * one.cpus) as f64;
    let mut parts = Vec::new();
    for (mode, class, times) in MODES {
        for (what, field, strength, of) in KINDS {
            let ns = of(times(row));
            let cited = Cited::new("scaling", number, &format!("{mode}.{field}"), ns);
            parts.push((class, strength, ns, format!("{mode}, {what}"), cited));
        }
    }
    let idle = Cited::new("scaling", number, "idle_ns", row.idle_ns);
    parts.push(("idle", 1.0, row.idle_ns, "nothing to do".to_owned(), idle));
    let mut before = 0.0;
    for (class, strength, ns, what, cited) in parts {
        let part = ns as f64 / whole;
        put!(
            out,
            "<rect class=\"{class}\" fill-opacity=\"{strength}\" x=\"{:.2}\" y=\"{y:.1}\" width=\"{:.2}\" height=\"{BAR}\"{cited}>\
             <title>{what}: {ns} ns of all CPUs, {:.1} of the first one's 100\n{}</title></rect>\n",
            scale.x(before),
            scale.length(part),
            100.0 * part,
            cited.place
        );
        before += part;
    }
}
