//! What the plugin is told, as `KEY=VALUE`.

use crate::cache::Shape;
use serde::Serialize;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Bytes of a page, for counting: the monitor's.
pub const PAGE_BYTES: u32 = 16 << 10;
/// Machine address of the first byte of RAM.
pub const RAM_BASE: u64 = 0x8000_0000;
/// Most CPUs and nodes.
pub const CPUS_MAX: usize = 16;
/// Most bytes of RAM: what the board's memory map holds.
const MEMORY_MAX: u64 = 2 << 30;

/// The machine that is modelled, and what is wanted of the model.
#[derive(Clone, Debug, Serialize)]
pub struct Options {
    /// What the file that is the machine's RAM is called in `/proc/self/maps`.
    #[serde(skip)]
    pub ram: String,
    /// Bytes of RAM.
    pub memory: u64,
    /// The node of each CPU.
    pub cpu_nodes: Vec<usize>,
    /// Where in RAM each node's memory begins; the first at 0.
    pub node_starts: Vec<u64>,
    /// Nanoseconds of a miss of a CPU of each node (row) on memory of each node (column).
    pub latency_ns: Vec<Vec<u64>>,
    /// Nanoseconds of an instruction.
    pub instruction_ns: u64,
    /// Nanoseconds that the second level takes.
    pub l2_ns: u64,
    /// Bytes of a line of both levels.
    pub line_bytes: u32,
    /// Each of the two halves of the first level.
    #[serde(serialize_with = "as_text")]
    pub l1: Shape,
    /// The second level.
    #[serde(serialize_with = "as_text")]
    pub l2: Shape,
    /// Where in RAM the region for the monitor is, if it wants one.
    pub region: Option<u64>,
    /// Where the report goes.
    #[serde(skip)]
    pub report: PathBuf,
    /// How many of the hottest pages the report lists.
    pub hot_pages: usize,
}

fn as_text<S: serde::Serializer>(shape: &Shape, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{}:{}", shape.bytes, shape.ways))
}

/// An option that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionError(String);

impl fmt::Display for OptionError {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for OptionError {}

type Parsed<T> = Result<T, OptionError>;

fn wrong<T>(message: String) -> Parsed<T> {
    Err(OptionError(message))
}

/// The options as given, before what belongs together is known.
struct Given<'a>(Vec<(&'a str, &'a str)>);

const KEYS: &[&str] = &[
    "ram",
    "memory",
    "cpus",
    "nodes",
    "starts",
    "latency",
    "instruction",
    "l2-time",
    "line",
    "l1",
    "l2",
    "region",
    "report",
    "hot",
];

impl Options {
    /// Reads and checks all options.
    pub fn parse<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Parsed<Self> {
        let given = Given::split(arguments)?;
        let cpus = given.number("cpus", 1, 1..=CPUS_MAX)?;
        let nodes = given.number("nodes", 1, 1..=cpus)?;
        let memory: u64 = given.bytes("memory", None)?;
        if memory > MEMORY_MAX || !memory.is_multiple_of(u64::from(PAGE_BYTES)) || memory == 0 {
            return wrong(format!(
                "memory={memory}: must be a multiple of 16K, at most 2G"
            ));
        }
        let options = Self {
            ram: given.needed("ram")?.to_owned(),
            memory,
            cpu_nodes: (0..cpus).map(|cpu| cpu * nodes / cpus).collect(),
            node_starts: given.starts(memory, nodes)?,
            latency_ns: given.latency(nodes)?,
            instruction_ns: given.number("instruction", 5, 1..=1000)?,
            l2_ns: given.number("l2-time", 50, 0..=10_000)?,
            line_bytes: given.number("line", 128, 16..=4096)?,
            l1: given.shape("l1", "32K:2")?,
            l2: given.shape("l2", "1M:2")?,
            region: given
                .get("region")
                .map(|_| given.bytes("region", None))
                .transpose()?,
            report: PathBuf::from(given.needed("report")?),
            hot_pages: given.number("hot", 200, 1..=100_000)?,
        };
        options.check_caches()?;
        let page = u64::from(PAGE_BYTES);
        match options.region {
            Some(region) if region >= memory || !region.is_multiple_of(page) => wrong(format!(
                "region={region:#x}: must be a page's offset in RAM"
            )),
            _ => Ok(options),
        }
    }

    fn check_caches(&self) -> Parsed<()> {
        let line = u64::from(self.line_bytes);
        if !line.is_power_of_two() {
            return wrong(format!("line={line}: must be a power of two"));
        }
        for (key, shape) in [("l1", self.l1), ("l2", self.l2)] {
            let set = line * u64::from(shape.ways);
            if set == 0
                || !shape.bytes.is_multiple_of(set)
                || !(shape.bytes / set).is_power_of_two()
            {
                return wrong(format!(
                    "{key}={}:{}: the number of sets (bytes / ways / bytes of a line) must be a power of two",
                    shape.bytes, shape.ways
                ));
            }
        }
        if self.l2.bytes > MEMORY_MAX || self.l1.bytes > self.l2.bytes {
            return wrong(
                "l1 and l2: the first level must not be larger than the second".to_owned(),
            );
        }
        Ok(())
    }
}

impl<'a> Given<'a> {
    fn split(arguments: impl IntoIterator<Item = &'a str>) -> Parsed<Self> {
        let mut given: Vec<(&str, &str)> = Vec::new();
        for argument in arguments {
            let Some((key, value)) = argument
                .split_once('=')
                .filter(|(key, _)| KEYS.contains(key))
            else {
                return wrong(format!(
                    "`{argument}`: an option is KEY=VALUE, with KEY one of {}",
                    KEYS.join(", ")
                ));
            };
            given.retain(|(other, _)| *other != key);
            given.push((key, value));
        }
        Ok(Self(given))
    }

    fn get(&self, key: &str) -> Option<&'a str> {
        self.0
            .iter()
            .find(|(other, _)| *other == key)
            .map(|(_, value)| *value)
    }

    fn needed(&self, key: &str) -> Parsed<&'a str> {
        self.get(key)
            .filter(|value| !value.is_empty())
            .map_or_else(|| wrong(format!("{key}= is missing")), Ok)
    }

    fn number<T>(&self, key: &str, default: T, range: std::ops::RangeInclusive<T>) -> Parsed<T>
    where
        T: FromStr + PartialOrd + fmt::Display,
    {
        let Some(text) = self.get(key) else {
            return Ok(default);
        };
        match text.parse() {
            Ok(number) if range.contains(&number) => Ok(number),
            _ => wrong(format!(
                "{key}={text}: must be {} to {}",
                range.start(),
                range.end()
            )),
        }
    }

    fn bytes(&self, key: &str, default: Option<&'a str>) -> Parsed<u64> {
        let text = match (self.get(key), default) {
            (Some(text), _) | (None, Some(text)) => text,
            (None, None) => self.needed(key)?,
        };
        bytes(text).map_or_else(
            || {
                wrong(format!(
                    "{key}={text}: must be a number of bytes, such as 512M or 0x4000"
                ))
            },
            Ok,
        )
    }

    fn shape(&self, key: &str, default: &'a str) -> Parsed<Shape> {
        let text = self.get(key).unwrap_or(default);
        let shape = || {
            let (size, ways) = text.split_once(':')?;
            Some(Shape {
                bytes: bytes(size)?,
                ways: ways.parse().ok().filter(|ways| (1..=64).contains(ways))?,
            })
        };
        shape().map_or_else(
            || wrong(format!("{key}={text}: must be SIZE:WAYS, such as 32K:2")),
            Ok,
        )
    }

    /// Where nodes begin: as given, or in equal parts.
    fn starts(&self, memory: u64, nodes: usize) -> Parsed<Vec<u64>> {
        let Some(text) = self.get("starts") else {
            let page = u64::from(PAGE_BYTES);
            return Ok((0..nodes as u64)
                .map(|node| memory * node / nodes as u64 / page * page)
                .collect());
        };
        let starts: Option<Vec<u64>> = text.split(':').map(bytes).collect();
        let ordered = |starts: &Vec<u64>| {
            starts.len() == nodes
                && starts.first() == Some(&0)
                && starts.is_sorted_by(|one, next| one < next)
                && starts.last().is_some_and(|last| *last < memory)
                && starts
                    .iter()
                    .all(|start| start.is_multiple_of(u64::from(PAGE_BYTES)))
        };
        starts.filter(ordered).map_or_else(
            || wrong(format!("starts={text}: must be {nodes} offsets of pages in RAM, rising from 0, with : between")),
            Ok,
        )
    }

    fn latency(&self, nodes: usize) -> Parsed<Vec<Vec<u64>>> {
        let Some(text) = self.get("latency") else {
            let row = |node| {
                (0..nodes)
                    .map(|other| if other == node { 300 } else { 900 })
                    .collect()
            };
            return Ok((0..nodes).map(row).collect());
        };
        let all: Option<Vec<u64>> = text.split(':').map(|text| text.parse().ok()).collect();
        match all.filter(|all| all.len() == nodes * nodes && all.iter().all(|ns| *ns <= 1_000_000)) {
            Some(all) => Ok(all.chunks(nodes).map(<[u64]>::to_vec).collect()),
            None => wrong(format!(
                "latency={text}: must be {0} numbers of ns up to 1000000, with : between: {nodes} for each node",
                nodes * nodes
            )),
        }
    }
}

/// A number of bytes, decimal with K, M or G, or hexadecimal.
fn bytes(text: &str) -> Option<u64> {
    if let Some(digits) = text.strip_prefix("0x") {
        return u64::from_str_radix(digits, 16).ok();
    }
    let (digits, shift) = match text.chars().last()? {
        'K' => (&text[..text.len() - 1], 10),
        'M' => (&text[..text.len() - 1], 20),
        'G' => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LEAST: [&str; 3] = ["ram=memfd:ram", "memory=512M", "report=r.json"];

    fn with(more: &[&str]) -> Parsed<Options> {
        Options::parse(LEAST.iter().chain(more).copied())
    }

    fn error(more: &[&str]) -> String {
        with(more).unwrap_err().to_string()
    }

    #[test]
    fn defaults_are_the_papers() {
        let options = with(&["cpus=4", "nodes=2"]).unwrap();
        assert_eq!(options.cpu_nodes, [0, 0, 1, 1]);
        assert_eq!(options.node_starts, [0, 256 << 20]);
        assert_eq!(options.latency_ns, [[300, 900], [900, 300]]);
        assert_eq!(
            options.l1,
            Shape {
                bytes: 32 << 10,
                ways: 2
            }
        );
        assert_eq!(
            options.l2,
            Shape {
                bytes: 1 << 20,
                ways: 2
            }
        );
        assert_eq!((options.line_bytes, options.region), (128, None));
    }

    #[test]
    fn everything_can_be_said_and_the_last_word_counts() {
        let options = with(&[
            "cpus=3",
            "nodes=3",
            "starts=0:0x1000000:128M",
            "latency=1:2:3:2:1:3:3:3:1",
            "instruction=2",
            "l2-time=20",
            "line=64",
            "l1=16K:1",
            "l2=4M:4",
            "region=0x10000000",
            "hot=10",
            "line=32",
        ])
        .unwrap();
        assert_eq!(options.node_starts, [0, 16 << 20, 128 << 20]);
        assert_eq!(options.latency_ns, [[1, 2, 3], [2, 1, 3], [3, 3, 1]]);
        assert_eq!(
            (options.line_bytes, options.l1.ways, options.l2.bytes),
            (32, 1, 4 << 20)
        );
        assert_eq!((options.region, options.hot_pages), (Some(256 << 20), 10));
    }

    #[test]
    fn errors_name_the_option_and_what_would_be_right() {
        assert!(Options::parse(["memory=512M"])
            .unwrap_err()
            .to_string()
            .contains("ram= is missing"));
        for (option, why) in [
            ("colour=1", "one of ram, memory"),
            ("memory", "KEY=VALUE"),
            ("cpus=17", "1 to 16"),
            ("nodes=2", "1 to 1"),
            ("memory=3G", "at most 2G"),
            ("memory=many", "such as 512M"),
            ("starts=1M", "rising from 0"),
            ("latency=1:2", "1 numbers"),
            ("line=100", "power of two"),
            ("l1=32K", "SIZE:WAYS"),
            ("l1=48K:2", "sets"),
            ("l1=2M:2", "must not be larger"),
            ("region=0x100", "page's offset"),
            ("region=512M", "page's offset"),
        ] {
            let error = error(&[option]);
            assert!(error.contains(why), "{option}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_value_is_an_option_or_an_error(key in 0..KEYS.len(), value in "[0-9xKMG:]{0,12}") {
            let _ = with(&[&format!("{}={value}", KEYS[key])]);
        }
    }
}
