//! How well samples agree with what was counted.

use super::machine::Reading;
use super::{FOUND, HOTTEST, TOUCHED};
use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::Value;

/// Kinds of misses whose home is the CPU's own node: the monitor cannot tell who had the line.
const HOME: [&str; 2] = ["local_misses", "owned_misses"];
const AWAY: [&str; 1] = ["remote_misses"];
/// Modes that samples are taken of.
const MODES: [&str; 2] = ["user", "guest_kernel"];

/// A page that the exact model has many misses on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Page {
    /// Its machine address.
    pub address: u64,
    /// Its misses.
    pub exact: u64,
    /// The weight of its samples; `None` if it is not among the pages that the monitor finds hot.
    pub sampled: Option<u64>,
}

/// A node's misses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Misses {
    /// In its own memory.
    pub local: u64,
    /// All.
    pub all: u64,
}

impl Misses {
    /// The share of them that are local, 0 to 1.
    pub fn share(self) -> f64 {
        self.local as f64 / self.all.max(1) as f64
    }
}

/// A node by both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Node {
    /// Its number.
    pub node: u64,
    /// Samples of it.
    pub sampled: Misses,
    /// What was counted of the guest.
    pub exact: Misses,
}

/// What came out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// Pages that the program missed on in its work.
    pub touched: u64,
    /// The guest's pages with the most misses, hottest first.
    pub hottest: Vec<Page>,
    /// How many of them the monitor finds hot.
    pub found: usize,
    /// Whether both have those in the same order: Spearman's rank correlation, -1 to 1.
    pub spearman: Option<f64>,
    /// By node.
    pub nodes: Vec<Node>,
}

impl Comparison {
    /// Of a machine that was read.
    pub fn of(reading: &Reading) -> Result<Self> {
        let run = &reading.exact["run"];
        let counted = run["hottest"].as_array().context("hottest")?;
        let sampled: Vec<_> = reading.top.iter().filter_map(sampled).collect();
        let page = |&place: &usize| {
            let page = counted.get(place)?;
            let address = page["address"].as_u64()?;
            let found = sampled.iter().find(|(page, _)| *page == address);
            Some(Page {
                address,
                exact: sum(&page["reads"]) + sum(&page["writes"]),
                sampled: found.map(|(_, misses)| *misses),
            })
        };
        let hottest: Vec<Page> = reading.guests.iter().filter_map(page).collect();
        let both = hottest
            .iter()
            .filter_map(|page| Some((page.exact, page.sampled?)));
        let (exact, samples): (Vec<u64>, Vec<u64>) = both.unzip();
        let windows = reading.exact["windows"].as_array().context("windows")?;
        let work = windows
            .first()
            .context("the program has not marked its work")?;
        Ok(Self {
            touched: work["pages_missed_on"].as_u64().unwrap_or_default(),
            found: exact.len(),
            spearman: spearman(&exact, &samples),
            nodes: nodes(&reading.nodes, run)?,
            hottest,
        })
    }

    /// Whether enough of the hottest pages were found, of pages enough.
    pub fn is_met(&self) -> bool {
        self.touched >= TOUCHED && self.hottest.len() == HOTTEST && self.found >= FOUND
    }

    /// All nodes together, sampled and exact.
    pub fn together(&self) -> [Misses; 2] {
        let add = |of: fn(&Node) -> Misses| {
            self.nodes
                .iter()
                .map(of)
                .fold(Misses::default(), |sum, more| Misses {
                    local: sum.local + more.local,
                    all: sum.all + more.all,
                })
        };
        [add(|node| node.sampled), add(|node| node.exact)]
    }
}

/// The machine address and the misses of a row of `numa top`.
fn sampled(row: &Value) -> Option<(u64, u64)> {
    let address = row["page"].as_str()?.strip_prefix("0x")?;
    Some((u64::from_str_radix(address, 16).ok()?, sum(&row["misses"])))
}

fn sum(numbers: &Value) -> u64 {
    let numbers = numbers.as_array().map_or(&[][..], Vec::as_slice);
    numbers.iter().filter_map(Value::as_u64).sum()
}

fn nodes(rows: &[Value], run: &Value) -> Result<Vec<Node>> {
    let cpus = run["cpus"].as_array().context("cpus")?;
    let exact = |node: u64, kinds: &[&str]| -> u64 {
        let own = cpus.iter().filter(|cpu| cpu["node"] == node);
        let modes = own.flat_map(|cpu| MODES.map(|mode| &cpu["modes"][mode]));
        modes
            .flat_map(|mode| kinds.iter().filter_map(|&kind| mode[kind].as_u64()))
            .sum()
    };
    let of = |row: &Value| {
        let node = row["node"].as_u64()?;
        let (local, remote) = (
            row["local_misses"].as_u64()?,
            row["remote_misses"].as_u64()?,
        );
        let home = exact(node, &HOME);
        Some(Node {
            node,
            sampled: Misses {
                local,
                all: local + remote,
            },
            exact: Misses {
                local: home,
                all: home + exact(node, &AWAY),
            },
        })
    };
    Ok(rows.iter().filter_map(of).collect())
}

/// Spearman's rank correlation of two columns; `None` if one of them is all the same.
fn spearman(left: &[u64], right: &[u64]) -> Option<f64> {
    let (left, right) = (ranks(left), ranks(right));
    // The mean of all ranks, whatever is equal.
    let mean = (left.len() as f64 - 1.0) / 2.0;
    let product = |left: &[f64], right: &[f64]| -> f64 {
        let pairs = left.iter().zip(right);
        pairs
            .map(|(left, right)| (left - mean) * (right - mean))
            .sum()
    };
    let spread = (product(&left, &left) * product(&right, &right)).sqrt();
    (spread > 0.0).then(|| product(&left, &right) / spread)
}

/// The place of each value in order, from 0 on; equal ones have the mean of theirs.
fn ranks(values: &[u64]) -> Vec<f64> {
    let place = |value: u64| {
        let below = values.iter().filter(|&&other| other < value).count();
        let equal = values.iter().filter(|&&other| other == value).count();
        below as f64 + (equal as f64 - 1.0) / 2.0
    };
    values.iter().map(|&value| place(value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn equal_values_share_their_ranks() {
        assert_eq!(ranks(&[30, 10, 20, 20]), [3.0, 0.0, 1.5, 1.5]);
    }

    #[test]
    fn the_correlation_is_that_of_ranks() {
        assert_eq!(spearman(&[1, 2, 3, 4], &[10, 20, 300, 4000]), Some(1.0));
        assert_eq!(spearman(&[1, 2, 3, 4], &[9, 7, 5, 1]), Some(-1.0));
        // By hand: 1 - 6 * (1 + 1 + 0 + 0) / (4 * 15).
        let found = spearman(&[1, 2, 3, 4], &[2, 1, 3, 4]).unwrap();
        assert!((found - 0.8).abs() < 1e-9, "{found}");
        assert_eq!(spearman(&[1, 2], &[5, 5]), None);
        assert_eq!(spearman(&[], &[]), None);
    }

    fn reading() -> Reading {
        let page = |address: u64, reads: u64, writes: u64| json!({ "address": address, "reads": [reads, 1], "writes": [writes, 0] });
        let cpu = |node: u64, local: u64, remote: u64| {
            let counts =
                json!({ "local_misses": local, "owned_misses": 5, "remote_misses": remote });
            json!({ "node": node, "modes": {
                "guest_kernel": counts, "monitor": { "local_misses": 1_000_000 }
            }})
        };
        let row = |address: &str, misses: [u64; 2]| json!({ "page": address, "misses": misses });
        Reading {
            exact: json!({
                "run": {
                    "hottest": [
                        page(0x8000_0000, 90, 0), page(0x8000_4000, 70, 9), page(0x8000_8000, 60, 0),
                        page(0x8000_c000, 50, 0),
                    ],
                    "cpus": [cpu(0, 25, 70), cpu(0, 35, 20), cpu(1, 5, 90)],
                },
                "windows": [{ "pages_missed_on": 2048 }],
            }),
            top: vec![
                row("0x80008000", [64, 32]),
                row("0x90000000", [64, 0]),
                row("0x80004000", [0, 64]),
            ],
            nodes: vec![
                json!({ "node": 0, "local_misses": 6, "remote_misses": 10 }),
                json!({ "node": 1, "local_misses": 1, "remote_misses": 9 }),
                json!({ "reason": "cold", "times": 3 }),
            ],
            // The first one is the monitor's.
            guests: vec![1, 2, 3],
        }
    }

    #[test]
    fn pages_and_shares_of_both_are_put_beside_each_other() {
        let found = Comparison::of(&reading()).unwrap();
        let page = |address, exact, sampled| Page {
            address,
            exact,
            sampled,
        };
        let hottest = [
            page(0x8000_4000, 80, Some(64)),
            page(0x8000_8000, 61, Some(96)),
            page(0x8000_c000, 51, None),
        ];
        assert_eq!(found.hottest, hottest);
        assert_eq!((found.touched, found.found), (2048, 2));
        assert!(!found.is_met());
        assert_eq!(found.spearman, Some(-1.0));
        assert_eq!(found.nodes.len(), 2);
        let node = found.nodes[0];
        assert_eq!(node.sampled, Misses { local: 6, all: 16 });
        assert_eq!(
            node.exact,
            Misses {
                local: 70,
                all: 160
            }
        );
        assert_eq!(found.nodes[1].exact.share(), 0.1);
        let [sampled, exact] = found.together();
        assert_eq!((sampled.local, sampled.all), (7, 26));
        assert_eq!((exact.local, exact.all), (80, 260));
    }

    #[test]
    fn the_goal_is_met_with_enough_of_enough() {
        let found = Comparison {
            touched: TOUCHED,
            hottest: vec![
                Page {
                    address: 0,
                    exact: 1,
                    sampled: None
                };
                HOTTEST
            ],
            found: FOUND,
            spearman: None,
            nodes: Vec::new(),
        };
        assert!(found.is_met());
        let fewer = Comparison {
            found: FOUND - 1,
            ..found.clone()
        };
        assert!(!fewer.is_met());
        let smaller = Comparison {
            touched: TOUCHED - 1,
            ..found
        };
        assert!(!smaller.is_met());
    }
}
