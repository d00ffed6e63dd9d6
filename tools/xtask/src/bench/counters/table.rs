//! The comparison, for people.

use super::compare::{Comparison, Misses};
use super::programs::Program;
use super::{FOUND, HOTTEST, LOOKED_AT, TOUCHED};
use std::fmt::Write;

/// The comparison as text.
pub fn of(program: Program, found: &Comparison) -> String {
    let mut text = format!("{}, on 8 nodes\n", program.about());
    let correlation = found
        .spearman
        .map_or("-".to_owned(), |rho| format!("{rho:.3}"));
    let [sampled, _] = found.together();
    let lines = [
        (
            "pages missed on",
            found.touched.to_string(),
            format!("goal {TOUCHED} or more"),
        ),
        ("samples", sampled.all.to_string(), String::new()),
        (
            "hottest pages found",
            format!("{} of {HOTTEST}", found.found),
            format!(
                "among the sampled {LOOKED_AT}, goal {FOUND} or more: {}",
                if found.found >= FOUND {
                    "met"
                } else {
                    "missed"
                }
            ),
        ),
        (
            "rank agreement of those",
            correlation,
            "Spearman's, 1 is the same order".to_owned(),
        ),
    ];
    for (what, figure, remark) in lines {
        let line = format!("  {what:<24}{figure:>12}  {remark}");
        let _ = writeln!(text, "{}", line.trim_end());
    }
    let _ = writeln!(
        text,
        "\n  {:<24}{:>12}{:>12}{:>12}",
        "misses in own memory, %", "sampled", "exact", "apart"
    );
    for node in &found.nodes {
        shares(
            &mut text,
            &format!("node {}", node.node),
            [node.sampled, node.exact],
        );
    }
    shares(&mut text, "all", found.together());
    text
}

fn shares(text: &mut String, who: &str, of: [Misses; 2]) {
    let [sampled, exact] = of.map(|misses| misses.share() * 100.0);
    let apart = sampled - exact;
    let _ = writeln!(
        text,
        "  {who:<24}{sampled:>12.1}{exact:>12.1}{apart:>+12.1}"
    );
}
