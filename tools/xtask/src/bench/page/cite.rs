//! Numbers of the page, each with its place in the figures' JSON.

use crate::page::Escaped;
use std::fmt::{self, Display};

/// A number of the record: its place, as jq has it, and its value as it stands there. Displayed, it is attributes of the
/// element that shows it.
pub struct Cited {
    /// Such as `.rows[3].ratio`.
    pub place: String,
    value: String,
}

impl Cited {
    /// The `field` of the element `number` of the array `list`.
    pub fn new(list: &str, number: usize, field: &str, value: impl Display) -> Self {
        Self {
            place: format!(".{list}[{number}].{field}"),
            value: value.to_string(),
        }
    }
}

impl Display for Cited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (place, value) = (Escaped(&self.place), Escaped(&self.value));
        write!(f, " data-json=\"{place}\" data-value=\"{value}\"")
    }
}

#[cfg(test)]
pub mod tests {
    use serde_json::Value;

    /// Checks that every number of a page stands in the JSON where the page says; how many there are.
    pub fn check(html: &str, json: &Value) -> usize {
        let marks = html.split(" data-json=\"").skip(1);
        let check = |mark: &str| {
            let (place, rest) = mark.split_once('"').unwrap();
            let rest = rest.strip_prefix(" data-value=\"").unwrap();
            let (value, _) = rest.split_once('"').unwrap();
            let pointer = place.replace(['.', '['], "/").replace(']', "");
            let found = json.pointer(&pointer);
            let found = found.and_then(Value::as_f64);
            assert_eq!(found, value.parse().ok(), "{place}");
        };
        marks.clone().for_each(check);
        marks.count()
    }
}
