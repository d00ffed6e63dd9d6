//! Checks the table `[numa]`.

use super::{Checked, Checker};
use crate::description::read::{RawMatrix, RawNuma, RawThresholds};
use crate::description::Numa;
use disco_flash::{Thresholds, NONE};
use std::ops::RangeInclusive;
use toml::Spanned;

/// Largest latency in nanoseconds.
const NS_MAX: i64 = 100_000;
/// Milliseconds between events. The shortest is the interval in which counts are halved.
const EVENTS_MS: RangeInclusive<u32> = 100..=60_000;
/// Words of a switch.
const ON_OFF: [&str; 2] = ["on", "off"];
/// Largest distance.
const DISTANCE_MAX: i64 = 16;

impl Checker<'_> {
    /// Latencies and distances of a machine of `nodes` nodes, and what is made of them.
    pub(super) fn numa(&self, raw: Option<&RawNuma>, nodes: u32) -> Checked<Numa> {
        let default = Numa::default();
        let Some(raw) = raw else {
            return Ok(default);
        };
        let local_ns = self.count(
            "local_ns",
            raw.local_ns.as_ref(),
            default.local_ns,
            1..=NS_MAX,
        )?;
        let least = i64::from(local_ns);
        let remote = default.remote_ns.max(local_ns);
        let remote_ns = match &raw.remote_ns {
            Some(value) if *value.get_ref() < least => {
                let message = format!(
                    "remote_ns = {}: must be at least local_ns, which is {local_ns}",
                    value.get_ref()
                );
                return self.wrong(value, message);
            }
            value => self.count("remote_ns", value.as_ref(), remote, least..=NS_MAX)?,
        };
        let distances = raw.distances.as_ref();
        let distances = distances
            .map(|matrix| self.distances(matrix, nodes as usize))
            .transpose()?;
        Ok(Numa {
            local_ns,
            remote_ns,
            distances,
            events_ms: self.events_ms(raw.events_ms.as_ref())?,
            magic_counters: self.one_of("counters", raw.counters.as_ref(), ["sampled", "magic"])?
                == 1,
            latency: self.one_of("latency", raw.latency.as_ref(), ON_OFF)? == 0,
            policy: self.one_of("policy", raw.policy.as_ref(), ON_OFF)? == 0,
            thresholds: self.thresholds(&raw.thresholds)?,
        })
    }

    /// Which of `words` the key has; the first if it is left out.
    fn one_of(
        &self,
        key: &str,
        value: Option<&Spanned<String>>,
        words: [&str; 2],
    ) -> Checked<usize> {
        let Some(value) = value else {
            return Ok(0);
        };
        let given = value.get_ref();
        match words.iter().position(|word| word == given) {
            Some(index) => Ok(index),
            None => {
                let [first, second] = words;
                let message = format!("{key} = \"{given}\": must be \"{first}\" or \"{second}\"");
                self.wrong(value, message)
            }
        }
    }

    fn thresholds(&self, raw: &RawThresholds) -> Checked<Thresholds> {
        let number = |key, value: &Option<Spanned<i64>>, least, most| {
            let number = self.count(key, value.as_ref(), NONE, least..=most);
            number.map(Into::into)
        };
        Ok(Thresholds {
            interval_ms: number("interval_ms", &raw.interval_ms, 1, 60_000)?,
            trigger: number("trigger", &raw.trigger, 1, 60_000)?,
            sharing: number("sharing", &raw.sharing, 0, 1000)?,
            write: number("write", &raw.write, 0, 1000)?,
            moves: number("moves", &raw.moves, 1, 1000)?,
            forgive: number("forgive", &raw.forgive, 0, 60)?,
            burst: number("burst", &raw.burst, 1, 1_000_000)?,
            rate: number("rate", &raw.rate, 0, 1_000_000)?,
        })
    }

    fn events_ms(&self, value: Option<&Spanned<i64>>) -> Checked<u32> {
        let Some(value) = value else {
            return Ok(0);
        };
        let given = *value.get_ref();
        match u32::try_from(given) {
            Ok(0) => Ok(0),
            Ok(events_ms) if EVENTS_MS.contains(&events_ms) => Ok(events_ms),
            _ => {
                let message = format!(
                    "events_ms = {given}: events come every {} to {} milliseconds, or with 0 not at all",
                    EVENTS_MS.start(),
                    EVENTS_MS.end()
                );
                self.wrong(value, message)
            }
        }
    }

    fn distances(&self, raw: &RawMatrix, nodes: usize) -> Checked<Vec<Vec<u8>>> {
        let rows = raw.get_ref();
        if rows.len() != nodes {
            let message = format!(
                "distances has {} rows, and the machine {nodes} nodes: it needs a row for each node",
                rows.len()
            );
            return self.wrong(raw, message);
        }
        let mut matrix: Vec<Vec<u8>> = Vec::new();
        for (node, row) in rows.iter().enumerate() {
            let row_of = row.get_ref();
            if row_of.len() != nodes {
                let message = format!(
                    "this row of distances has {} numbers, and the machine {nodes} nodes: it needs a number for each",
                    row_of.len()
                );
                return self.wrong(row, message);
            }
            let mut numbers = Vec::new();
            for (other, value) in row_of.iter().enumerate() {
                let given = *value.get_ref();
                let range = if node == other {
                    0..=0
                } else {
                    1..=DISTANCE_MAX
                };
                let Some(distance) = u8::try_from(given).ok().filter(|_| range.contains(&given))
                else {
                    let message = format!(
                        "distance {given} of node {node} to node {other}: a node is 0 from itself, and 1 to \
                         {DISTANCE_MAX} from another"
                    );
                    return self.wrong(value, message);
                };
                let back = matrix.get(other).map(|row| row[node]);
                if let Some(back) = back.filter(|back| *back != distance) {
                    let message = format!(
                        "distance {given} of node {node} to node {other}: the way back is {back}, and has to be as long"
                    );
                    return self.wrong(value, message);
                }
                numbers.push(distance);
            }
            matrix.push(numbers);
        }
        Ok(matrix)
    }
}
