//! `cargo xtask doctor`: what is there and what is not.

use crate::paths;
use crate::setup::Need;
use serde_json::json;

/// Prints every need with what was found, as text or as one JSON object a line.
pub fn run(as_json: bool) {
    for &need in Need::ALL {
        let found = need.found();
        if as_json {
            println!(
                "{}",
                json!({ "need": need.name(), "for": need.purpose(), "found": found, "packages": need.packages() })
            );
            continue;
        }
        match found {
            Some(found) => println!("ok       {}: {found}", need.name()),
            None => println!(
                "missing  {} ({}){}",
                need.name(),
                need.purpose(),
                brought_by(need)
            ),
        }
    }
    if !as_json {
        println!("cache    {}", paths::cache().display());
    }
}

fn brought_by(need: Need) -> String {
    if need.packages().is_empty() {
        ": fetched when needed".to_owned()
    } else {
        format!(": packages {}", need.packages().join(" "))
    }
}
