//! The page as a whole.

use super::chart;
use super::map::{self, Colour, Columns};
use super::recording::{NodeFigures, Part, Recording, VmRecording};
use super::svg::{mib, percent, seconds, Time};
use crate::page::{self, key, note, put, Escaped};

const STYLE: &str = include_str!("style.css");

/// The page of a recording: everything in it, nothing beside it.
pub fn of(recording: &Recording) -> String {
    let mut out = String::new();
    let title = format!("Memory in {}", recording.file);
    page::head(&mut out, &title, STYLE);
    out.push_str("<h1>Where memory was, and who used it</h1>\n");
    introduction(&mut out, recording);
    legend(&mut out, recording);
    totals(&mut out, recording);
    let maps: Vec<Columns<'_>> = recording.vms.iter().map(Columns::of).collect();
    let rounds = recording.rounds.iter().map(|round| round.ns);
    let time = Time::of(rounds.chain(maps.iter().flat_map(Columns::times)));
    charts(&mut out, recording, time);
    for (vm, columns) in recording.vms.iter().zip(&maps) {
        machine(&mut out, recording.nodes, vm, columns, time);
    }
    if recording.vms.is_empty() {
        note(
            &mut out,
            "No virtual machine was looked at: the file has no event <code>numa_heat</code>.",
        );
    }
    out.push_str("</main>\n</body>\n</html>\n");
    out
}

fn introduction(out: &mut String, recording: &Recording) {
    let ns = recording.rounds.last().map_or(0, |round| round.ns);
    put!(
        out,
        "<p>From <code>{}</code>: {} intervals to {} after boot, {} nodes.",
        Escaped(&recording.file),
        recording.rounds.len(),
        seconds(ns),
        recording.nodes
    );
    let (first, last) = (recording.tenth(false), recording.tenth(true));
    if !first.is_empty() {
        let local = |rounds: &std::ops::Range<usize>| {
            let sum = recording.totals(None, rounds.clone());
            percent(sum.local, sum.remote)
        };
        put!(
            out,
            " Of the misses, <b>{}</b> were local in the first tenth of the intervals that had any ({}), and \
             <b>{}</b> in the last ({}).",
            local(&first),
            recording.lines(first),
            local(&last),
            recording.lines(last)
        );
    }
    out.push_str("</p>\n");
    if let Some(warning) = recording.warning() {
        note(out, &Escaped(&warning).to_string());
    }
}

fn legend(out: &mut String, recording: &Recording) {
    out.push_str("<div class=\"legend\">\n");
    for node in 0..recording.nodes {
        key(out, &format!("n{node}"), 1.0, &format!("node {node}"));
    }
    out.push_str("</div>\n<div class=\"legend\">\n");
    key(out, "n0", map::FAINT, "no misses");
    key(out, "n0", 0.45, "few");
    key(out, "n0", 0.7, "some");
    key(out, "n0", 1.0, "most (logarithmic)");
    out.push_str(
        "<span><svg class=\"key\" viewBox=\"0 0 16 12\"><rect class=\"n0\" width=\"16\" height=\"12\" \
         fill-opacity=\"0.6\"/><rect class=\"replica\" y=\"5\" width=\"16\" height=\"2\"/></svg>\
         has replicas</span>\n",
    );
    for (name, class, _) in chart::MOVES {
        key(out, class, 1.0, name);
    }
    out.push_str("</div>\n");
    note(
        out,
        "The mouse on a drawing shows figures, and the lines of the file that they come from. Misses in maps are the \
         directory's counts, which are halved at the end of each reset interval; those of nodes are what was \
         counted in an interval. Sampled ones are samples.",
    );
}

/// Sums over the run.
fn totals(out: &mut String, recording: &Recording) {
    let all = 0..recording.rounds.len();
    put!(
        out,
        "<h2>Nodes</h2>\n<p class=\"note\">Sums over {} events <code>numa</code>, {}; free memory as in the last.</p>\n",
        all.len(),
        recording.lines(all.clone())
    );
    out.push_str(
        "<div class=\"wide\"><table>\n<tr><th>node</th><th>free</th><th>local misses</th><th>remote misses</th>\
         <th>local</th><th>first tenth</th><th>last tenth</th><th>migrations</th><th>replications</th>\
         <th>collapses</th><th>time spent</th></tr>\n",
    );
    for node in (0..recording.nodes).map(Some).chain([None]) {
        let sum = recording.totals(node, all.clone());
        let tenth = |last| {
            let sum = recording.totals(node, recording.tenth(last));
            percent(sum.local, sum.remote)
        };
        let name = node.map_or_else(|| "all".to_owned(), |node| node.to_string());
        let NodeFigures { local, remote, .. } = sum;
        put!(
            out,
            "<tr><th>{name}</th><td>{}</td><td>{local}</td><td>{remote}</td><td>{}</td><td>{}</td><td>{}</td>\
             <td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
            mib(sum.free),
            percent(local, remote),
            tenth(false),
            tenth(true),
            sum.migrations,
            sum.replications,
            sum.collapses,
            seconds(sum.spent_ns)
        );
    }
    out.push_str("</table></div>\n");
}

fn charts(out: &mut String, recording: &Recording, time: Time) {
    let sum = recording.totals(None, 0..recording.rounds.len());
    out.push_str("<h2>Local share</h2>\n");
    note(
        out,
        "Misses of a node's CPUs in its own memory, of all misses of theirs. The thick curve is that of all nodes.",
    );
    if sum.misses() > 0 {
        chart::local_share(out, recording, time);
    } else {
        chart::empty(out, "no misses were counted");
    }
    out.push_str("<h2>Moves</h2>\n");
    note(
        out,
        "Pages that were migrated to a node, replicas that it was given, pages of it that lost theirs.",
    );
    if sum.moves() > 0 {
        chart::moves(out, recording, time);
    } else {
        chart::empty(out, "nothing was moved");
    }
    out.push_str("<h2>Free memory</h2>\n");
    chart::free_memory(out, recording, time);
}

fn machine(out: &mut String, nodes: usize, vm: &VmRecording, columns: &Columns<'_>, time: Time) {
    let (all, drawn) = (vm.snapshots.len(), columns.len());
    let some = if drawn < all {
        format!(", of which {drawn} are drawn")
    } else {
        String::new()
    };
    put!(
        out,
        "<h2>Virtual machine {}</h2>\n<p class=\"note\">{} regions of {} KiB of guest-physical memory, address 0 at \
         the bottom; looked at {all} times{some}. Empty: no memory behind it.</p>\n",
        Escaped(&vm.name),
        vm.regions,
        vm.region_bytes >> 10
    );
    if !vm.cut.is_empty() {
        let cut = format!(
            "Left out, as not all of it was told: {}.",
            vm.cut.join(", ")
        );
        note(out, &cut);
    }
    out.push_str("<h3>Where its pages lie</h3>\n");
    note(
        out,
        "Colour: the node that holds most of a region's pages. Strength: misses on them.",
    );
    let about = format!("Nodes that hold the pages of {}, over time", vm.name);
    map::draw(out, columns, nodes, &time, Colour::Holder, &about);
    out.push_str("<h3>Who misses on them</h3>\n");
    note(
        out,
        "Colour: the node whose CPUs miss most on a region's pages. Strength: misses. Empty: none.",
    );
    let about = format!("Nodes that miss on the pages of {}, over time", vm.name);
    map::draw(out, columns, nodes, &time, Colour::Misser, &about);
    placement(out, nodes, vm);
}

/// Pages by node, at first and at last.
fn placement(out: &mut String, nodes: usize, vm: &VmRecording) {
    let (Some(first), Some(last)) = (vm.snapshots.first(), vm.snapshots.last()) else {
        return;
    };
    put!(
        out,
        "<table>\n<tr><th></th><th colspan=\"3\">at {} ({})</th><th colspan=\"3\">at {} ({})</th></tr>\n\
         <tr><th>node</th><th>pages</th><th>replicas</th><th>misses</th><th>pages</th><th>replicas</th>\
         <th>misses</th></tr>\n",
        seconds(first.ns),
        first.places(),
        seconds(last.ns),
        last.places()
    );
    let both = first.whole().into_iter().zip(last.whole());
    for (node, (before, after)) in both.enumerate().take(nodes) {
        put!(out, "<tr><th>{node}</th>");
        for part in [before, after] {
            let Part {
                pages,
                replicas,
                misses,
            } = part;
            put!(out, "<td>{pages}</td><td>{replicas}</td><td>{misses}</td>");
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</table>\n");
}
