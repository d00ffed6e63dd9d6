//! The page of made-up runs and of a recorded one.

use super::map::{cells_of, look, Colour, FAINT};
use super::recording::{Part, Recording, Snapshot};
use super::{chart, page, read};
use crate::page::tests::elements;

/// The events of a run on three nodes: the memory of `vm` is on node 0, and moves to node 2 after half of
/// `rounds`.
fn events(vm: &str, rounds: u64) -> String {
    let mut text = String::from(
        "{\"event\":\"boot\",\"ns\":5,\"cpus\":3,\"nodes\":3,\"memory\":268435456}\r\n",
    );
    for round in 1..=rounds {
        let moved = round > rounds / 2;
        let local = if moved { 90 } else { 10 };
        let moves = u64::from(round == rounds / 2 + 1);
        text += &format!(
            "{{\"event\":\"numa\",\"ns\":{round}000000000,\"round\":{round},\"free_bytes\":[1048576,2097152,3145728],\
             \"local_misses\":[0,0,{local}],\"remote_misses\":[0,0,{}],\"migrations\":[0,0,{1}],\
             \"replications\":[0,{moves},0],\"collapses\":[{moves},0,0],\"spent_ns\":[0,0,{2}]}}\r\n",
            100 - local,
            4 * moves,
            4000 * moves
        );
        let mut node = |node: u64, pages: [u32; 2], replicas: [u32; 2], misses: [u32; 2]| {
            text += &format!(
                "{{\"event\":\"numa_heat\",\"ns\":{round}000000100,\"vm\":{vm:?},\"round\":{round},\"node\":{node},\
                 \"lines\":3,\"region_bytes\":65536,\"pages\":{pages:?},\"replicas\":{replicas:?},\"misses\":{misses:?}}}\r\n"
            );
        };
        let pages = [[4, 4], [4, 0]];
        node(0, pages[usize::from(moved)], [0, 0], [0, 0]);
        node(1, [0, 0], [u32::from(moved), 0], [7, 0]);
        if moved {
            node(2, [0, 4], [0, 0], [0, 30]);
        } else {
            node(2, [0, 0], [0, 0], [0, 90]);
        }
    }
    text
}

fn recording(text: &str) -> Recording {
    read::read("run.jsonl", text.as_bytes()).unwrap()
}

fn error(text: &str) -> String {
    let result = read::read("run.jsonl", text.as_bytes());
    result.unwrap_err().to_string()
}

fn has(html: &str, text: &str) {
    assert!(html.contains(text), "no {text:?} in {html}");
}

#[test]
fn a_page_shows_memory_before_and_after_it_moved() {
    let html = page::of(&recording(&events("alpha", 10)));
    let count = elements(&html);
    // Legend of 3 nodes, 4 strengths, a replica and 3 moves; 3 charts and 2 maps.
    assert_eq!(count["svg"], 3 + 4 + 1 + 3 + 3 + 2);
    // Node 2 and all in the share, three nodes of free memory.
    assert_eq!(count["polyline"], 2 + 3);
    has(
        &html,
        "<b>10.0 %</b> were local in the first tenth of the intervals that had any (line 2)",
    );
    has(&html, "<b>90.0 %</b> in the last (line 38)");
    // The second region: on node 0, missed on by node 2, and then on node 2.
    has(
        &html,
        "1.000 s to 5.000 s · 0x10000 to 0x1ffff\nnode 0: 4 pages, 0 replicas, 0 misses\n\
         node 2: 0 pages, 0 replicas, 90 misses\nlines 3 to 5 … lines 19 to 21</title><rect class=\"n0\"",
    );
    has(
        &html,
        "6.000 s to 10.000 s · 0x10000 to 0x1ffff\nnode 2: 4 pages, 0 replicas, 30 misses\n\
         lines 23 to 25 … lines 39 to 41</title><rect class=\"n2\"",
    );
    has(
        &html,
        "<tr><th>2</th><td>0</td><td>0</td><td>90</td><td>4</td><td>0</td><td>30</td></tr>",
    );
    has(
        &html,
        "<tr><th>2</th><td>3.0 MiB</td><td>500</td><td>500</td><td>50.0 %</td><td>10.0 %</td>\
         <td>90.0 %</td><td>4</td><td>0</td><td>0</td><td>0.000 s</td></tr>",
    );
    has(
        &html,
        "to 6.000 s: 4 migrations, 1 replications, 1 collapses\nnode 0: 0 migrations",
    );
}

/// The events of the boot test `numa-report`: two pages of a region were moved by hand before round 2.
#[test]
fn a_recorded_run_shows_a_region_that_was_moved() {
    let run = recording(include_str!("recorded.jsonl"));
    assert!(run.warning().is_none());
    assert_eq!((run.nodes, run.rounds.len(), run.vms.len()), (4, 4, 2));
    let all = run.totals(None, 0..run.rounds.len());
    assert_eq!((all.migrations, all.moves()), (2, 2));
    let moved = run.vms.iter().find(|vm| vm.name == "moved").unwrap();
    assert_eq!((moved.regions, moved.region_bytes), (64, 32 << 10));
    let of_region = |snapshot: &Snapshot| {
        let parts = snapshot.parts(8);
        [parts[0].pages, parts[3].pages]
    };
    let seen: Vec<_> = moved.snapshots.iter().map(of_region).collect();
    assert_eq!(seen, [[2, 0], [0, 2], [0, 2], [0, 2]]);
    for snapshot in &moved.snapshots {
        let pages = snapshot.whole().iter().map(|part| part.pages).sum::<u32>();
        assert_eq!(pages, 128);
    }
    let html = page::of(&run);
    elements(&html);
    has(
        &html,
        "· 0x40000 to 0x47fff\nnode 0: 2 pages, 0 replicas, 0 misses\nline 4</title>",
    );
    has(&html, "· 0x40000 to 0x47fff\nnode 3: 2 pages, 0 replicas, 0 misses\nlines 6 to 7 … lines 15 to 16</title>");
}

#[test]
fn a_name_is_no_markup() {
    let html = page::of(&recording(&events(
        "<script>alert('1') & \"2\"</script>",
        4,
    )));
    elements(&html);
    has(
        &html,
        "Virtual machine &lt;script&gt;alert(&#39;1&#39;) &amp; &quot;2&quot;&lt;/script&gt;",
    );
    let control = events("a-b", 4).replace("a-b", "a\\u001b[31m");
    has(
        &page::of(&recording(&control)),
        "Virtual machine a\u{fffd}[31m",
    );
}

#[test]
fn files_without_figures_say_which_key_is_missing() {
    let boot = "{\"event\":\"boot\",\"ns\":5,\"cpus\":1,\"nodes\":1,\"memory\":1}\n";
    for text in ["", "noise\n", boot] {
        let error = error(text);
        assert!(error.starts_with("run.jsonl has "), "{error}");
        has(&error, "`events_ms = 1000` in the table `[numa]`");
    }
    has(&error(boot), "of a run, but no event `numa`");
}

#[test]
fn damaged_lines_are_left_out_and_told() {
    let whole = events("alpha", 6);
    let cut = &whole[..whole.len() - 20];
    let run = recording(&cut.replacen("\r\n", "\r\n{\"event\"\r\n\u{0}\r\n\r\n", 1));
    assert_eq!(
        (run.noise.as_slice(), run.unfinished),
        (&[2, 3][..], Some(28))
    );
    let html = page::of(&run);
    elements(&html);
    has(
        &html,
        "run.jsonl:2: no event, nor are 1 further lines; they are left out",
    );
    has(&html, "run.jsonl:28: the line has no end");
    // Bytes that are no text are no event either.
    let mut bytes = whole.into_bytes();
    bytes.splice(0..0, *b"\xff\xfe\n");
    assert_eq!(read::read("run.jsonl", &bytes).unwrap().noise, [1]);
}

#[test]
fn events_that_are_not_as_documented_are_named_by_line() {
    let text = events("alpha", 2);
    let cases = [
        (
            "misses\":[0,0,",
            "misses\":[0,",
            2,
            "`free_bytes` has 3 nodes, and `local_misses` 2",
        ),
        (
            "\"pages\":[4, 4]",
            "\"pages\":[4, 4, 4]",
            3,
            "`pages` has 3 regions, and `replicas` 2",
        ),
        ("\"node\":0", "\"node\":3", 3, "there is no node 3 of 3"),
        (
            "\"node\":1",
            "\"node\":0",
            4,
            "line 3 has node 0 of this round already",
        ),
        ("\"node\":1", "\"node\":-1", 4, "invalid value"),
        ("\"spent_ns\"", "\"spent\"", 2, "missing field `spent_ns`"),
        (
            "\"ns\":2000000000",
            "\"ns\":1",
            6,
            "it is earlier than the one in line 2",
        ),
        (
            "\"region_bytes\":65536",
            "\"region_bytes\":32768",
            4,
            "2 regions of 32768 bytes before",
        ),
        ("[1048576,", "[1048576,7,", 2, "`free_bytes` has 4 nodes"),
    ];
    for (from, to, line, what) in cases {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text);
        let error = error(&changed);
        assert!(error.starts_with(&format!("run.jsonl:{line}: ")), "{error}");
        has(&error, what);
        has(&error, "record the run again");
    }
    let twice = error(&(text.clone() + &text));
    has(
        &twice,
        "run.jsonl:10: a second run begins here, the first one in line 1",
    );
}

#[test]
fn a_run_that_was_cut_at_its_beginning_has_a_page() {
    let text = events("alpha", 6);
    let tail: Vec<&str> = text.split_inclusive('\n').skip(3).collect();
    let html = page::of(&recording(&tail.concat()));
    elements(&html);
    has(&html, "5 intervals");
    has(&html, "looked at 5 times");
    has(&html, "Left out, as not all of it was told: lines 1 to 2.");
}

#[test]
fn a_run_without_misses_moves_or_machines_has_a_page() {
    let text = "{\"event\":\"numa\",\"ns\":7,\"round\":1,\"free_bytes\":[0],\"local_misses\":[0],\"remote_misses\":[0],\
                \"migrations\":[0],\"replications\":[0],\"collapses\":[0],\"spent_ns\":[0]}\n";
    let html = page::of(&recording(text));
    elements(&html);
    has(&html, "no misses were counted");
    has(&html, "nothing was moved");
    has(&html, "No virtual machine was looked at");
}

#[test]
fn a_long_run_keeps_its_first_and_last_columns_and_all_of_its_sums() {
    let run = recording(&events("alpha", 1000));
    assert_eq!(cells_of(&run.vms[0], 3).len(), 4);
    let html = page::of(&run);
    elements(&html);
    has(&html, "looked at 1000 times, of which 112 are drawn");
    has(&html, " to 1000.000 s · 0x10000");
    assert!(html.len() < 400_000, "{}", html.len());
    let points = chart::points(1000);
    assert_eq!((points.len(), points[199].clone()), (200, 995..1000));
    let sums = points
        .into_iter()
        .map(|rounds| run.totals(None, rounds).local);
    assert_eq!(sums.sum::<u64>(), 500 * 10 + 500 * 90);
}

#[test]
fn a_machine_that_was_off_leaves_a_gap() {
    let text = events("alpha", 12);
    let off = |line: &&str| {
        let of_round = |round| line.contains(&format!("\"round\":{round},"));
        line.contains("numa_heat") && (2..=5).any(of_round)
    };
    let lines = text.split_inclusive('\n').filter(|line| !off(line));
    let run = recording(&lines.collect::<String>());
    // The first region is the same before it was off and after, until it has a replica.
    let cells = cells_of(&run.vms[0], 3);
    let first = cells.iter().filter(|cell| cell.region == 0);
    let first: Vec<_> = first.map(|cell| cell.snapshots).collect();
    assert_eq!(first, [(0, 0), (1, 1), (2, 7)]);
}

#[test]
fn a_computer_that_was_busy_leaves_no_gap() {
    let mut run = recording(&events("alpha", 12));
    for snapshot in &mut run.vms[0].snapshots[3..] {
        snapshot.ns += 60_000_000_000;
    }
    let cells = cells_of(&run.vms[0], 3);
    assert_eq!(cells[0].snapshots, (0, 5));
}

#[test]
fn colours_are_of_who_has_most_and_stronger_with_misses() {
    let part = |pages, misses| Part {
        pages,
        misses,
        replicas: 0,
    };
    let none = [part(1, 0), part(2, 0)];
    let few = [part(1, 5), part(2, 0)];
    let many = [part(1, 900), part(2, 50)];
    assert_eq!(look(&none, Colour::Holder, 950), Some((1, FAINT)));
    assert_eq!(look(&none, Colour::Misser, 950), None);
    let (node, weak) = look(&few, Colour::Misser, 950).unwrap();
    let (_, strong) = look(&many, Colour::Misser, 950).unwrap();
    assert_eq!(node, 0);
    assert!(FAINT < weak && weak < strong && strong <= 1.0);
    assert_eq!(look(&many, Colour::Holder, 950).unwrap().0, 1);
    assert_eq!(look(&[part(0, 0); 3], Colour::Holder, 0), None);
}
