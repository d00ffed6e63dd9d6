//! Compares the records of both places.

use super::place::{Record, Records};
use super::table::{Allowed, ABSENT};
use super::Outcome;
use std::collections::BTreeSet;
use std::fmt::Write;

/// Compares all programs. Each entry of the table has to be needed.
pub fn compare(native: &Records, guest: &Records, allowed: &[Allowed], filter: &str) -> Outcome {
    let mut outcome = Outcome::default();
    let mut used = vec![false; allowed.len()];
    let names: BTreeSet<&String> = native.keys().chain(guest.keys()).collect();
    for name in names {
        match difference(name, native.get(name), guest.get(name), allowed, &mut used) {
            None => outcome.passed += 1,
            Some(why) => outcome.failed.push((name.clone(), why)),
        }
    }
    for (entry, _) in allowed.iter().zip(&used).filter(|(_, &used)| !used) {
        if entry.program.contains(filter) {
            let why = format!(
                "the allowed difference of {} is not there any more: take it out of the table",
                entry.key
            );
            outcome.failed.push((entry.program.clone(), why));
        }
    }
    outcome
}

type Lines = [(String, String)];

fn difference(
    name: &str,
    native: Option<&Record>,
    guest: Option<&Record>,
    allowed: &[Allowed],
    used: &mut [bool],
) -> Option<String> {
    let (native, guest) = match (native, guest) {
        (Some(Record::Seen(native)), Some(Record::Seen(guest))) => (native, guest),
        _ => {
            return Some(format!(
                "{}{}",
                broken("native", native),
                broken("guest", guest)
            ))
        }
    };
    let mut differs = false;
    let mut table = String::new();
    for (key, number) in keys(native, guest) {
        let value = |lines: &Lines| {
            let mut found = lines.iter().filter(|(other, _)| *other == key);
            found
                .nth(number)
                .map_or(ABSENT.to_owned(), |(_, value)| value.clone())
        };
        let (one, other) = (value(native), value(guest));
        let mark = if one == other {
            "  "
        } else if let Some(at) = allowed
            .iter()
            .position(|entry| entry.covers(name, &key, &one, &other))
        {
            used[at] = true;
            "~ "
        } else {
            differs = true;
            "! "
        };
        let _ = write!(
            table,
            "\n    {mark}{key:<16} native {one:<20} guest {other}"
        );
    }
    differs.then(|| format!("the records differ{table}"))
}

/// The keys of both records, the native one's first, each with how often it was there before.
fn keys(native: &Lines, guest: &Lines) -> Vec<(String, usize)> {
    let mut keys = Vec::new();
    for lines in [native, guest] {
        let mut seen: Vec<&String> = Vec::new();
        for (key, _) in lines {
            let number = seen.iter().filter(|&&other| other == key).count();
            seen.push(key);
            let entry = (key.clone(), number);
            if !keys.contains(&entry) {
                keys.push(entry);
            }
        }
    }
    keys
}

fn broken(place: &str, record: Option<&Record>) -> String {
    match record {
        None => format!("\n    {place}: there is no record"),
        Some(Record::Broken(why)) => format!("\n    {place}: {why}"),
        Some(Record::Seen(_)) => format!("\n    {place}: it came to its end"),
    }
}

#[cfg(test)]
mod tests {
    use super::compare;
    use crate::conformance::place::{Record, Records};
    use crate::conformance::table::Allowed;

    fn records(value: &str) -> Records {
        let lines = vec![("key".to_owned(), value.to_owned())];
        Records::from([("program".to_owned(), Record::Seen(lines))])
    }

    fn allowed(guest: &str) -> Allowed {
        Allowed {
            program: "program".to_owned(),
            key: "key".to_owned(),
            native: "1".to_owned(),
            guest: guest.to_owned(),
            reason: "for the test".to_owned(),
        }
    }

    #[test]
    fn a_difference_fails_unless_it_is_in_the_table() {
        let (native, guest) = (records("1"), records("2"));
        assert_eq!(compare(&native, &native, &[], "").passed, 1);
        assert_eq!(compare(&native, &guest, &[], "").failed.len(), 1);
        assert_eq!(compare(&native, &guest, &[allowed("2")], "").passed, 1);
        assert_eq!(
            compare(&native, &guest, &[allowed("3")], "").failed.len(),
            2
        );
        assert_eq!(compare(&native, &Records::new(), &[], "").failed.len(), 1);
    }

    #[test]
    fn an_entry_may_name_the_values_of_two_versions() {
        let entry = Allowed {
            native: "1 or 3".to_owned(),
            ..allowed("2 or 4")
        };
        for (native, guest, failed) in [("1", "2", 0), ("3", "4", 0), ("1", "4", 2)] {
            let outcome = compare(
                &records(native),
                &records(guest),
                std::slice::from_ref(&entry),
                "",
            );
            assert_eq!(outcome.failed.len(), failed, "{native} {guest}");
        }
    }

    #[test]
    fn an_entry_that_is_not_needed_fails() {
        let same = records("1");
        let outcome = compare(&same, &same, &[allowed("2")], "");
        assert_eq!((outcome.passed, outcome.failed.len()), (1, 1));
        assert_eq!(
            compare(&same, &same, &[allowed("2")], "other").failed.len(),
            0
        );
    }
}
