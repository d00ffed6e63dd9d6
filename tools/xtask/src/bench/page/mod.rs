//! `target/bench/report.html`: the figures of a run beside the paper's, on a page that needs nothing but itself. Each number
//! says where in the run's JSON it stands, and that is on the page, too.

mod bars;
mod cite;
mod division;
mod machines;
mod parts;
#[cfg(test)]
mod tests;

use super::record::{Both, Record};
use super::rows::Group;
use super::table;
use crate::page::{self, key, note, put, Escaped};
use crate::paths;
use anyhow::{Context, Result};
use cite::Cited;
use parts::KINDS;
use std::fs;
use std::path::Path;

const STYLE: &str = include_str!("style.css");

/// Writes the page of `record`.
pub fn write(record: &Record, path: &Path) -> Result<()> {
    fs::write(path, of(record)?).with_context(|| format!("cannot write {}", paths::shown(path)))
}

fn of(record: &Record) -> Result<String> {
    let mut out = String::new();
    page::head(&mut out, "Disco against the bare machine", STYLE);
    introduction(&mut out, record);
    if !record.breakdown.is_empty() {
        legend(&mut out);
    }
    for group in Group::ALL {
        let numbers = record.rows.iter().enumerate();
        let numbers = numbers.filter(|(_, row)| row.group == group);
        let numbers: Vec<usize> = numbers.map(|(number, _)| number).collect();
        if numbers.is_empty() {
            continue;
        }
        let (title, about) = heading(group);
        put!(&mut out, "<h2>{title}</h2>\n");
        note(&mut out, about);
        bars::draw(&mut out, record, &numbers, title);
    }
    division::draw(&mut out, record);
    machines::draw(&mut out, record);
    all_rows(&mut out, record);
    let text = record.text()?;
    put!(
        &mut out,
        "<details><summary>All figures as JSON</summary><pre id=\"figures\">{}</pre></details>\n</main>\n</body>\n</html>\n",
        Escaped(&text)
    );
    Ok(out)
}

/// What stands over a group's bars.
fn heading(group: Group) -> (&'static str, &'static str) {
    match group {
        Group::Boot => (
            "Boot",
            "From the end of the clock's calibration to the shell.",
        ),
        Group::Micro => (
            "Services of the kernel, and memory",
            "As the paper's Table 2, which has the slowdown of IRIX's services in pmake.",
        ),
        Group::Load => (
            "Loads",
            "Whole programs with their files on a disk, all of it in memory before they are measured: virtual seconds.",
        ),
        Group::Shell => (
            "Busybox alone",
            "The first figures that were taken of this monitor.",
        ),
    }
}

fn introduction(out: &mut String, record: &Record) {
    let conditions = &record.conditions;
    let goals = || record.rows.iter().filter(|row| row.reach.is_some());
    let met = goals().filter(|row| row.verdict() == "met").count();
    put!(
        out,
        "<h1>Disco against the bare machine</h1>\n<p>The same Linux with the same user land on the bare board, which is 100, and \
         as the monitor's only guest, in counted instructions."
    );
    if goals().count() > 0 {
        put!(
            out,
            " Of {} figures to reach, <b>{met}</b> are.",
            goals().count()
        );
    }
    out.push_str("</p>\n");
    note(
        out,
        "The mouse on a bar or number shows its place in the JSON at the page's end, as jq has it. The mark on a guest's \
         bar is the figure to reach. docs/benchmarks.md says what is counted.",
    );
    out.push_str("<table>\n");
    let commit = conditions.commit.as_deref().unwrap_or("unknown");
    for (name, value) in [
        ("QEMU", &*conditions.qemu),
        ("Linux, both sides", &conditions.linux),
        ("commit", commit),
        ("monitor, SHA-256", &conditions.monitor_sha256),
        ("user land, SHA-256", &conditions.user_land_sha256),
    ] {
        let value = Escaped(value);
        put!(
            out,
            "<tr><th class=\"about\">{name}</th><td class=\"about\">{value}</td></tr>\n"
        );
    }
    out.push_str("</table>\n");
}

fn legend(out: &mut String) {
    out.push_str("<div class=\"legend\">\n");
    for (class, label) in [
        ("paper", "the paper"),
        ("user", "user"),
        ("kernel", "kernel"),
        ("skipped", "skipped: counted, not executed"),
    ] {
        key(out, class, 1.0, label);
    }
    out.push_str("</div>\n<div class=\"legend\">\nmonitor, entered for:\n");
    for (kind, class) in KINDS {
        key(out, class, 1.0, kind);
    }
    out.push_str("</div>\n");
}

fn all_rows(out: &mut String, record: &Record) {
    out.push_str(
        "<h2>All rows</h2>\n<div class=\"wide\"><table>\n<tr><th class=\"about\">row</th><th class=\"about\"></th>\
         <th>native</th><th>guest</th><th>ratio</th><th>paper</th><th>to reach</th><th></th></tr>\n",
    );
    for (number, row) in record.rows.iter().enumerate() {
        let cell = |field: &str, value: f64, text: String| {
            let cited = Cited::new("rows", number, field, value);
            format!("<td title=\"{}\"{cited}>{text}</td>", cited.place)
        };
        let some = |field: &str, value: Option<f64>| match value {
            Some(value) => cell(field, value, format!("{value:.2}")),
            None => "<td></td>".to_owned(),
        };
        let Both {
            name,
            about,
            native_ns,
            guest_ns,
            ratio,
            ..
        } = row;
        put!(
            out,
            "<tr id=\"row-{0}\"><th class=\"about\">{0}</th><td class=\"about\">{1}</td>{2}{3}{4}{5}{6}<td class=\"{7}\">{7}</td></tr>\n",
            Escaped(name),
            Escaped(about),
            cell("native_ns", *native_ns as f64, table::time(row, *native_ns)),
            cell("guest_ns", *guest_ns as f64, table::time(row, *guest_ns)),
            cell("ratio", *ratio, format!("{ratio:.3}")),
            some("paper", row.paper),
            some("reach", row.reach),
            row.verdict()
        );
    }
    out.push_str("</table></div>\n");
}
