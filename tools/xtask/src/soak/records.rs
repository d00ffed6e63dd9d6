//! What the program `records` (`guests/linux/records`) says on the console.

use regex::bytes::Regex;
use std::collections::BTreeMap;

/// How often it writes the mark: at records with numbers that this divides.
const MARK_EVERY: u64 = 8;

/// What one file was said to hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The last record.
    pub record: u64,
    /// The record that was noted beside the file.
    pub mark: u64,
}

/// What one run of the program has said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// What it has found in each file, by the file's name.
    pub found: BTreeMap<String, Found>,
    /// The last record of each file that was durable.
    pub durable: BTreeMap<String, u64>,
    /// The last one of each file of which the mark was durable, too.
    pub marked: BTreeMap<String, u64>,
    /// Other lines of it, which are complaints, and those of the file system.
    pub complaints: Vec<String>,
}

impl Said {
    /// Reads whole lines of a console.
    pub fn read(console: &[u8]) -> Self {
        let mut said = Self::default();
        let end = console.iter().rposition(|&byte| byte == b'\n');
        let whole = &console[..end.map_or(0, |end| end + 1)];
        let found = pattern(r"^records (\S+) found (\d+) mark (\d+)$");
        let durable = pattern(r"^records (\S+) durable (\d+)$");
        let complaint =
            pattern(r"^records:? |EXT4-fs error|EXT4-fs \(.*\): (error|warning)|I/O error|mount: ");
        for line in whole.split(|&byte| byte == b'\n') {
            if let Some(parts) = found.captures(line) {
                let found = Found {
                    record: number(&parts[2]),
                    mark: number(&parts[3]),
                };
                said.found.insert(text(&parts[1]), found);
            } else if let Some(parts) = durable.captures(line) {
                let (file, record) = (text(&parts[1]), number(&parts[2]));
                // It is said when the mark is there. A record that was found was perhaps not marked.
                if record % MARK_EVERY == 0 {
                    said.marked.insert(file.clone(), record);
                }
                said.durable.insert(file, record);
            } else if complaint.is_match(line) {
                said.complaints.push(text(line));
            }
        }
        said
    }

    /// Goes on from what was said earlier.
    pub fn extend(&mut self, later: Self) {
        self.durable.extend(later.durable);
        self.marked.extend(later.marked);
    }

    /// What of all that was durable before is not there.
    pub fn lost(&self, before: &Self) -> Option<String> {
        for (file, &durable) in &before.durable {
            let Some(found) = self.found.get(file) else {
                return Some(format!("{file} was not looked at"));
            };
            if found.record < durable {
                return Some(format!(
                    "{file}: record {durable} was durable, and the last one there is {}",
                    found.record
                ));
            }
            let marked = before.marked.get(file).copied().unwrap_or_default();
            if found.mark < marked {
                return Some(format!(
                    "{file}: the mark at record {marked} was durable, and there is that of {}",
                    found.mark
                ));
            }
        }
        None
    }
}

#[allow(clippy::unwrap_used)]
fn pattern(text: &str) -> Regex {
    Regex::new(text).unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn number(digits: &[u8]) -> u64 {
    text(digits).parse().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::Said;

    const CONSOLE: &[u8] = b"alpha:/root# records /x/a /x/b\n\
        records a found 0 mark 0\nrecords b found 17 mark 16\n\
        [    2.0] EXT4-fs (vda): recovery complete\n\
        records a durable 1\nrecords b durable 16\nrecords b durable 18\nrecords a durable 2\nrecords b dura";

    #[test]
    fn whole_lines_count() {
        let said = Said::read(CONSOLE);
        assert_eq!((said.found["b"].record, said.found["b"].mark), (17, 16));
        assert_eq!((said.durable["a"], said.durable["b"]), (2, 18));
        assert!(said.complaints.is_empty(), "{:?}", said.complaints);
    }

    #[test]
    fn what_is_missing_is_told() {
        let before = Said::read(CONSOLE);
        let after = |text: &str| Said::read(text.as_bytes()).lost(&before);
        let a = "records a found 3 mark 0\n";
        assert_eq!(after(&format!("{a}records b found 18 mark 16\n")), None);
        let lost = |text: &str| after(&format!("{a}{text}\n")).unwrap();
        assert!(lost("records b found 17 mark 16").contains("record 18 was durable"));
        assert!(lost("records b found 19 mark 8").contains("mark at record 16"));
        assert!(lost("").contains("not looked at"));
        // The power was cut between a record and its mark, and the next run goes on from the record.
        let before = Said::read(b"records a durable 9\n");
        let after = Said::read(b"records a found 9 mark 0\n");
        assert_eq!(after.lost(&before), None);
    }

    #[test]
    fn complaints_are_kept() {
        for line in [
            "records b damaged: slot of 7 has 0",
            "records: cannot write /x/a: Input/output error",
            "[    2.0] EXT4-fs error (device vda): ext4_lookup:1: no",
            "mount: mounting /dev/vda on /x failed: Invalid argument",
        ] {
            let said = Said::read(format!("{line}\n").as_bytes());
            assert_eq!(said.complaints, [line]);
        }
    }
}
