use super::cite::tests::check;
use super::of;
use crate::bench::breakdown::figures::{Cause, Side, Split};
use crate::bench::record::tests::record;
use crate::bench::record::Record;
use crate::bench::scaling::figures::{Scaling, Times};
use crate::page::tests::elements;
use serde_json::json;

/// A record with a breakdown of one of its rows.
fn broken_down() -> Record {
    let mut record = record(1, 2);
    let cause = |name: &str, instructions| Cause {
        name: name.to_owned(),
        entries: 10,
        instructions,
    };
    let side = |monitor, causes| Side {
        user: 400_000_000,
        kernel: 600_000_000,
        monitor,
        idle: 0,
        causes,
    };
    let causes = vec![
        cause("privileged: <mtc0> \"Compare\"", 600_000_000),
        cause("second-level TLB", 100_000_000),
    ];
    record.breakdown.push(Split {
        name: "null".to_owned(),
        native: side(0, Vec::new()),
        guest: side(700_000_000, causes),
    });
    record
}

#[test]
fn every_number_stands_in_the_json_where_the_page_says() {
    let record = broken_down();
    let html = of(&record).unwrap();
    elements(&html);
    let json = serde_json::from_str(&record.text().unwrap()).unwrap();
    let count = check(&html, &json);
    // A row has two bars, a ratio at their end, and three numbers in the table at least.
    assert!(count >= record.rows.len() * 6, "{count}");
}

#[test]
fn the_json_on_the_page_is_that_of_the_file() {
    let record = broken_down();
    let html = of(&record).unwrap();
    let (_, rest) = html.split_once("<pre id=\"figures\">").unwrap();
    let (text, _) = rest.split_once("</pre>").unwrap();
    let text = text
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"");
    let text = text.replace("&#39;", "'").replace("&amp;", "&");
    assert_eq!(text, record.text().unwrap());
}

#[test]
fn a_guest_is_broken_down_by_what_the_monitor_was_entered_for() {
    let html = of(&broken_down()).unwrap();
    let has = |text: &str| assert!(html.contains(text), "no {text:?}");
    has("<rect class=\"k0\"");
    has("data-json=\".breakdown[0].guest.causes[1].instructions\" data-value=\"100000000\"");
    has("null, guest: monitor, privileged: &lt;mtc0&gt; &quot;Compare&quot;, 10 entries, 600000000 instructions");
    // 2 s of which 1.7 G are instructions.
    has("null, guest: skipped, 300000000 ns");
    has("60.0 of the board's 100");
}

#[test]
fn figures_that_are_not_reached_are_told() {
    let html = of(&record(1, 2)).unwrap();
    assert!(html.contains("2.000, over 1.50</text>"));
    assert!(html.contains("<td class=\"over\">over</td>"));
    let html = of(&record(1, 1)).unwrap();
    assert!(html.contains("1.000, met: 1.50</text>"));
    assert!(!html.contains("<td class=\"over\">over</td>"));
}

#[test]
fn a_divided_machine_is_drawn_beside_the_papers() {
    let mut record = record(1, 2);
    let row = |vms: usize, elapsed_ns| Scaling {
        vms,
        cpus: 8 / vms,
        elapsed_ns,
        user: Times {
            run_ns: 3 * elapsed_ns,
            local_stall_ns: 2 * elapsed_ns,
            remote_stall_ns: elapsed_ns,
        },
        kernel: Times::default(),
        monitor: Times::default(),
        idle_ns: elapsed_ns,
    };
    record.scaling = vec![row(1, 2_000_000), row(8, 1_500_000)];
    let html = of(&record).unwrap();
    elements(&html);
    check(
        &html,
        &serde_json::from_str(&record.text().unwrap()).unwrap(),
    );
    assert!(html.contains("SOSP'97, Figure 7: 0.44"));
    assert!(html.contains("0.750, 1.5 ms</text>"));
    assert!(html.contains(
        "user, waiting for another node: 1500000 ns of all CPUs, 9.4 of the first one's 100"
    ));
}

#[test]
fn machines_are_drawn_with_the_hosts_figures() {
    let mut record = record(1, 2);
    let usage = |mib: u64| json!({ "rss_bytes": mib << 20, "pss_bytes": mib << 20, "cpu_ms": 1500, "wall_ms": 1000 });
    let row = json!({ "count": 8, "native": usage(40), "guest": usage(10) });
    record.machines = vec![serde_json::from_value(row).unwrap()];
    let html = of(&record).unwrap();
    elements(&html);
    check(
        &html,
        &serde_json::from_str(&record.text().unwrap()).unwrap(),
    );
    for text in [
        "40.0 MiB</text>",
        "10.0 MiB</text>",
        "1.5 s</text>",
        "have noise",
    ] {
        assert!(html.contains(text), "no {text}");
    }
}

#[test]
fn a_run_of_some_rows_has_a_page() {
    let mut record = record(1, 1);
    record.rows.retain(|row| row.name == "dd");
    let html = of(&record).unwrap();
    elements(&html);
    assert!(html.contains("Busybox alone") && !html.contains("Services of the kernel"));
    record.rows.clear();
    elements(&of(&record).unwrap());
}
