//! The answers to `numa` and `numa top`.

use super::report::{number, word, Column, Row, Value};
use crate::machine::{NodeId, NODES_MAX};
use crate::numa::{Counts, Decision, NodeSet};
use core::fmt::Result;

/// A node in `numa`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NodeRow {
    /// Its number.
    pub node: u64,
    /// Its free memory, in bytes.
    pub free: u64,
    /// Misses of its CPUs in its own memory, as far as they were counted.
    pub local: u64,
    /// Their misses in other nodes' memory.
    pub remote: u64,
    /// Pages that were migrated to it.
    pub migrations: u64,
    /// Replicas that it was given.
    pub replications: u64,
    /// Times that pages of it lost their replicas.
    pub collapses: u64,
    /// Times that its CPUs forgot where pages were, since others moved them.
    pub shootdowns: u64,
    /// Time that its CPUs have spent on all that, in nanoseconds.
    pub spent_ns: u64,
}

impl NodeRow {
    /// Of node 0, which has nothing and has counted nothing.
    pub const NONE: Self = Self {
        node: 0,
        free: 0,
        local: 0,
        remote: 0,
        migrations: 0,
        replications: 0,
        collapses: 0,
        shootdowns: 0,
        spent_ns: 0,
    };

    /// What was counted since `earlier`; its free memory as it is.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let since = |counter: fn(&Self) -> u64| counter(self).wrapping_sub(counter(earlier));
        Self {
            local: since(|row| row.local),
            remote: since(|row| row.remote),
            migrations: since(|row| row.migrations),
            replications: since(|row| row.replications),
            collapses: since(|row| row.collapses),
            shootdowns: since(|row| row.shootdowns),
            spent_ns: since(|row| row.spent_ns),
            ..*self
        }
    }

    /// Thousandths of its CPUs' misses that were local.
    fn local_share(&self) -> Option<u64> {
        let all = u128::from(self.local) + u128::from(self.remote);
        let share = (u128::from(self.local) * 1000).checked_div(all)?;
        u64::try_from(share).ok()
    }
}

impl Row for NodeRow {
    const COLUMNS: &'static [Column] = {
        static TABLE: [Column; 10] = [
            number("NODE", "node", 4),
            number("FREE", "free_bytes", 10),
            number("LOCAL", "local_misses", 10),
            number("REMOTE", "remote_misses", 10),
            number("SHARE", "local_thousandths", 7),
            number("MIGRATED", "migrations", 8),
            number("REPLICATED", "replications", 10),
            number("COLLAPSED", "collapses", 9),
            number("SHOOTDOWNS", "shootdowns", 10),
            number("SPENT", "spent_ns", 9),
        ];
        &TABLE
    };

    fn values(&self, write: &mut dyn FnMut(&[Value<'_>]) -> Result) -> Result {
        write(&[
            Value::Count(self.node),
            Value::Bytes(self.free),
            Value::Count(self.local),
            Value::Count(self.remote),
            self.local_share().map_or(Value::Nothing, Value::Share),
            Value::Count(self.migrations),
            Value::Count(self.replications),
            Value::Count(self.collapses),
            Value::Count(self.shootdowns),
            Value::Nanoseconds(self.spent_ns),
        ])
    }
}

/// A hot page in `numa top`.
#[derive(Clone, Copy, Debug)]
pub struct HotPageRow<'a> {
    /// Its machine address.
    pub machine: u64,
    /// Its node.
    pub home: NodeId,
    /// The virtual machine whose it is, and its guest-physical address there; nothing for a page
    /// of several.
    pub guest: Option<(&'a str, u64)>,
    /// Nodes of the machine.
    pub nodes: usize,
    /// Who misses on it.
    pub counts: Counts,
    /// How many misses that stands for: what the rows are in order of.
    pub heat: u64,
    /// What was decided when somebody looked at it last.
    pub decided: Option<Decision>,
    /// Nodes that have a replica of it.
    pub replicas: NodeSet,
}

impl Row for HotPageRow<'_> {
    const COLUMNS: &'static [Column] = {
        static TABLE: [Column; 12] = [
            number("PAGE", "page", 12),
            number("HOME", "home", 4),
            word("VM", "vm", 12),
            number("GUEST-PHYSICAL", "guest_physical", 14),
            number("WRITES", "writes", 6),
            number("MOVES", "moves", 5),
            number("HEAT", "heat", 7),
            word("DECISION", "decision", 9),
            word("WHY", "why", 12),
            word("TO", "to", 4),
            word("REPLICAS", "replicas", 8),
            word("MISSES OF EACH NODE", "misses", 0),
        ];
        &TABLE
    };

    fn values(&self, write: &mut dyn FnMut(&[Value<'_>]) -> Result) -> Result {
        let (vm, address) = match self.guest {
            Some((vm, address)) => (Value::Word(vm), Value::Address(address)),
            None => (Value::Nothing, Value::Nothing),
        };
        let targets = self.decided.map(|decision| decision.targets());
        let (mut to, mut replicas) = ([0; NODES_MAX], [0; NODES_MAX]);
        let to = numbers(targets.unwrap_or_default(), &mut to);
        let replicas = numbers(self.replicas, &mut replicas);
        let said = |word: fn(&Decision) -> &'static str| {
            let decision = self.decided.as_ref();
            decision.map_or(Value::Nothing, |decision| Value::Word(word(decision)))
        };
        let nodes = self.nodes.min(NODES_MAX);
        write(&[
            Value::Address(self.machine),
            Value::Count(u64::from(self.home.0)),
            vm,
            address,
            Value::Count(u64::from(self.counts.writes)),
            Value::Count(u64::from(self.counts.moves)),
            Value::Count(self.heat),
            said(Decision::word),
            said(|decision| decision.why.word()),
            Value::Counts(to),
            Value::Counts(replicas),
            Value::Counts(self.counts.misses.get(..nodes).unwrap_or_default()),
        ])
    }
}

/// The numbers of `nodes`, in `room`.
fn numbers(nodes: NodeSet, room: &mut [u16; NODES_MAX]) -> &[u16] {
    for (place, node) in room.iter_mut().zip(nodes.iter()) {
        *place = u16::from(node.0);
    }
    room.get(..nodes.len() as usize).unwrap_or_default()
}

/// How often something happened, in `numa`.
#[derive(Clone, Copy, Debug)]
pub struct ReasonRow<'a> {
    /// What.
    pub reason: &'a str,
    /// How often.
    pub times: u64,
}

impl Row for ReasonRow<'_> {
    const COLUMNS: &'static [Column] = {
        static TABLE: [Column; 2] = [
            word("DECISIONS BY REASON", "reason", 20),
            number("TIMES", "times", 10),
        ];
        &TABLE
    };

    fn values(&self, write: &mut dyn FnMut(&[Value<'_>]) -> Result) -> Result {
        write(&[Value::Word(self.reason), Value::Count(self.times)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::command::Format;
    use crate::numa::{Action, Why};
    use proptest::prelude::*;

    fn text<R: Row>(row: &R, format: Format) -> String {
        let mut text = String::new();
        row.write_row(&mut text, format).unwrap();
        text
    }

    fn json<R: Row>(row: &R) -> serde_json::Value {
        serde_json::from_str(&text(row, Format::Json)).unwrap()
    }

    fn words<R: Row>(row: &R) -> String {
        let text = text(row, Format::Text);
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    const NODE: NodeRow = NodeRow {
        node: 1,
        free: 5 << 20,
        local: 780,
        remote: 220,
        migrations: 3,
        replications: 2,
        collapses: 1,
        shootdowns: 4,
        spent_ns: 42_000_000,
    };

    #[test]
    fn what_was_counted_since_then_is_the_difference() {
        let later = NodeRow {
            free: 7,
            local: 1000,
            collapses: 3,
            ..NODE
        };
        let since = later.since(&NODE);
        let counted = (since.local, since.remote, since.migrations, since.collapses);
        assert_eq!(counted, (220, 0, 0, 2));
        assert_eq!((since.node, since.free, since.spent_ns), (1, 7, 0));
    }

    #[test]
    fn a_node_says_what_share_is_local() {
        assert_eq!(words(&NODE), "1 5 MiB 780 220 78.0 % 3 2 1 4 0.042 s");
        assert_eq!(json(&NODE)["local_thousandths"], 780);
        assert_eq!(json(&NODE)["spent_ns"], 42_000_000);
        let idle = NodeRow {
            local: 0,
            remote: 0,
            ..NODE
        };
        assert!(json(&idle)["local_thousandths"].is_null());
        let busy = NodeRow {
            local: u64::MAX,
            remote: u64::MAX,
            ..NODE
        };
        assert_eq!(json(&busy)["local_thousandths"], 500);
    }

    #[test]
    fn a_hot_page_says_who_misses_and_what_was_decided() {
        let mut counts = Counts {
            writes: 9,
            moves: 1,
            ..Counts::default()
        };
        counts.misses[1] = 300;
        counts.misses[2] = 200;
        let row = HotPageRow {
            machine: 0x8123_4000,
            home: NodeId(0),
            guest: Some(("alpha", 0x4000)),
            nodes: 4,
            counts,
            heat: 480,
            decided: Some(Decision {
                action: Action::Replicate(NodeSet::from_bits(0b110)),
                why: Why::ReadShared,
            }),
            replicas: NodeSet::from_bits(0b10),
        };
        let expected = "0x81234000 0 alpha 0x4000 9 1 480 replicate read-shared 1 2 1 0 300 200 0";
        assert_eq!(words(&row), expected);
        let object = json(&row);
        assert_eq!(object["misses"], serde_json::json!([0, 300, 200, 0]));
        assert_eq!(object["to"], serde_json::json!([1, 2]));
        assert_eq!(object["replicas"], serde_json::json!([1]));
        assert_eq!(object["why"], "read-shared");
        assert_eq!(object["decision"], "replicate");
        let unknown = HotPageRow {
            guest: None,
            decided: None,
            ..row
        };
        assert!(json(&unknown)["why"].is_null() && json(&unknown)["vm"].is_null());
        assert_eq!(json(&unknown)["to"], serde_json::json!([]));
        assert!(json(&unknown)["decision"].is_null());
        assert!(words(&unknown).contains(" - - 9 1 480 - - - 1 0 300"));
    }

    #[test]
    fn a_reason_has_its_times() {
        let row = ReasonRow {
            reason: "write-shared",
            times: 7,
        };
        assert_eq!(words(&row), "write-shared 7");
        assert_eq!(json(&row)["times"], 7);
    }

    proptest! {
        #[test]
        fn a_row_is_one_object_and_one_line(
            misses in prop::array::uniform16(any::<u16>()),
            nodes in 0usize..40,
            to: u16,
        ) {
            let counts = Counts { misses, ..Counts::default() };
            let row = HotPageRow {
                machine: u64::MAX,
                home: NodeId(255),
                guest: None,
                nodes,
                counts,
                heat: 480,
                decided: Some(Decision {
                    action: Action::Replicate(NodeSet::from_bits(to)),
                    why: Why::Budget,
                }),
                replicas: NodeSet::from_bits(!to),
            };
            prop_assert_eq!(json(&row)["misses"].as_array().unwrap().len(), nodes.min(16));
            prop_assert_eq!(json(&row)["to"].as_array().unwrap().len(), to.count_ones() as usize);
            prop_assert_eq!(text(&row, Format::Text).matches('\n').count(), 1);
        }
    }
}
