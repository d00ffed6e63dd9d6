//! Events for programs: JSON lines on the second serial line, which only the monitor can write.
//!
//! Text that a guest has chosen is escaped and cut, so that it is one string of one line whatever
//! it holds. Tests take their verdicts from here.

use core::fmt::{Display, Result, Write};

use crate::console::json::Object;
use crate::console::numa_report::NodeRow;
use crate::machine::NodeId;
use crate::numa::heat::NodeHeat;

/// No line is longer, in bytes, its line feed included.
pub const EVENT_LINE_MAX: usize = 2048;

/// Something that happened.
#[derive(Clone, Copy)]
pub enum Event<'a> {
    /// The monitor runs on all CPUs.
    Boot {
        /// CPUs of the machine.
        cpus: u64,
        /// Nodes of the machine.
        nodes: u64,
        /// Machine memory, in bytes.
        memory: u64,
    },
    /// A virtual machine was started.
    VmStarted,
    /// A virtual CPU of a virtual machine waits for memory: the machine has none left.
    VmPaused,
    /// All virtual CPUs of a virtual machine that was paused have what they waited for.
    VmResumed,
    /// A virtual machine's user land takes commands.
    ShellReady,
    /// A virtual machine has ended.
    VmStopped {
        /// The monitor's word for why: `poweroff`, `panic`, `fault`, `stopped`, …
        reason: &'a str,
        /// What the guest or the monitor says about it; may be empty.
        message: &'a [u8],
    },
    /// A test guest's verdict.
    TestVerdict {
        /// Whether all that it checked held.
        pass: bool,
        /// What did not hold.
        message: &'a [u8],
    },
    /// A virtual machine's message was refused on the subnet, or its place for one: the first of its
    /// kind since it started.
    NetRefused {
        /// Why.
        reason: &'a str,
    },
    /// A disk of the description cannot be used: by nobody, or by one virtual machine.
    DiskUnusable {
        /// Its name.
        disk: &'a str,
        /// Why.
        reason: &'a dyn Display,
    },
    /// A real device broke the rules, or did not answer, and was switched off.
    DeviceFailed {
        /// What it is.
        device: &'a str,
    },
    /// A virtual machine cannot have an exclusive disk: another one has it. The first time since it
    /// started.
    DiskRefused {
        /// The disk.
        disk: &'a str,
        /// Who has it.
        owner: &'a str,
    },
    /// A virtual machine's private sectors have reached their quota, for the first time since it
    /// started.
    DiskFull {
        /// The disk.
        disk: &'a str,
    },
    /// A virtual machine's command for a disk was refused or has failed: the first of its kind since it
    /// started.
    DiskError {
        /// The disk.
        disk: &'a str,
        /// Why.
        reason: &'a str,
    },
    /// What each node's CPUs missed on and what was moved to it, since the last one.
    Numa {
        /// Its number, from 1. The [`Event::NumaHeat`]s that follow have the same.
        round: u64,
        /// The nodes, by number; no more than a machine can have.
        nodes: &'a [NodeRow],
    },
    /// What is of a node in each region of a virtual machine's memory, and misses from there.
    NumaHeat {
        /// The number of its [`Event::Numa`].
        round: u64,
        /// The node.
        node: NodeId,
        /// How many such events the virtual machine has in this round.
        lines: u64,
        /// Guest memory of each region, in bytes.
        region_bytes: u64,
        /// The figures.
        heat: &'a NodeHeat,
    },
    /// The monitor itself has failed; nothing follows.
    Panic {
        /// Why.
        reason: &'a dyn Display,
    },
    /// The monitor ends the machine; nothing follows.
    PowerOff,
}

impl Event<'_> {
    const fn name(&self) -> &'static str {
        match self {
            Self::Boot { .. } => "boot",
            Self::VmStarted => "vm_started",
            Self::VmPaused => "vm_paused",
            Self::VmResumed => "vm_resumed",
            Self::ShellReady => "shell_ready",
            Self::VmStopped { .. } => "vm_stopped",
            Self::TestVerdict { .. } => "test_verdict",
            Self::NetRefused { .. } => "net_refused",
            Self::DiskUnusable { .. } => "disk_unusable",
            Self::DeviceFailed { .. } => "device_failed",
            Self::DiskRefused { .. } => "disk_refused",
            Self::DiskFull { .. } => "disk_full",
            Self::DiskError { .. } => "disk_error",
            Self::Numa { .. } => "numa",
            Self::NumaHeat { .. } => "numa_heat",
            Self::Panic { .. } => "panic",
            Self::PowerOff => "poweroff",
        }
    }

    /// Writes the event's line: what happened, `ns` nanoseconds after boot, in the virtual
    /// machine `vm` if in one.
    pub fn write(&self, ns: u64, vm: Option<&str>, out: &mut dyn Write) -> Result {
        let mut line = Object::begin(out)?;
        line.bytes("event", self.name().as_bytes())?;
        line.number("ns", ns)?;
        if let Some(vm) = vm {
            line.bytes("vm", vm.as_bytes())?;
        }
        match *self {
            Self::VmStarted
            | Self::VmPaused
            | Self::VmResumed
            | Self::ShellReady
            | Self::PowerOff => {}
            Self::Boot {
                cpus,
                nodes,
                memory,
            } => {
                line.number("cpus", cpus)?;
                line.number("nodes", nodes)?;
                line.number("memory", memory)?;
            }
            Self::VmStopped { reason, message } => {
                line.bytes("reason", reason.as_bytes())?;
                line.bytes("message", message)?;
            }
            Self::TestVerdict { pass, message } => {
                line.bytes("verdict", if pass { b"pass" } else { b"fail" })?;
                line.bytes("reason", message)?;
            }
            Self::NetRefused { reason } => line.bytes("reason", reason.as_bytes())?,
            Self::DiskUnusable { disk, reason } => {
                line.bytes("disk", disk.as_bytes())?;
                line.display("reason", reason)?;
            }
            Self::DeviceFailed { device } => line.bytes("device", device.as_bytes())?,
            Self::DiskRefused { disk, owner } => {
                line.bytes("disk", disk.as_bytes())?;
                line.bytes("owner", owner.as_bytes())?;
            }
            Self::DiskFull { disk } => line.bytes("disk", disk.as_bytes())?,
            Self::DiskError { disk, reason } => {
                line.bytes("disk", disk.as_bytes())?;
                line.bytes("reason", reason.as_bytes())?;
            }
            Self::Numa { round, nodes } => {
                line.number("round", round)?;
                write_nodes(&mut line, nodes)?;
            }
            Self::NumaHeat {
                round,
                node,
                lines,
                region_bytes,
                heat,
            } => {
                line.number("round", round)?;
                line.number("node", node.0.into())?;
                line.number("lines", lines)?;
                line.number("region_bytes", region_bytes)?;
                line.numbers("pages", heat.pages.iter().copied())?;
                line.numbers("replicas", heat.replicas.iter().copied())?;
                line.numbers("misses", heat.misses.iter().copied())?;
            }
            Self::Panic { reason } => line.display("reason", reason)?,
        }
        line.end()
    }
}

/// The columns of `numa`, an array of nodes each. A count has ten digits at most, so that the line is
/// never too long.
#[cold]
fn write_nodes(line: &mut Object<'_>, nodes: &[NodeRow]) -> Result {
    type Column = fn(&NodeRow) -> u64;
    let columns: [(&str, Column); 6] = [
        ("free_bytes", |node| node.free),
        ("local_misses", |node| node.local),
        ("remote_misses", |node| node.remote),
        ("migrations", |node| node.migrations),
        ("replications", |node| node.replications),
        ("collapses", |node| node.collapses),
    ];
    for (key, column) in columns {
        let counts = nodes.iter().map(|node| column(node).min(u32::MAX.into()));
        line.numbers(key, counts)?;
    }
    line.numbers("spent_ns", nodes.iter().map(|node| node.spent_ns))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::NODES_MAX;
    use crate::numa::heat::REGIONS;
    use proptest::prelude::*;

    fn line(event: Event<'_>, vm: Option<&str>) -> String {
        line_at(event, 123, vm)
    }

    fn line_at(event: Event<'_>, ns: u64, vm: Option<&str>) -> String {
        let mut text = String::new();
        event.write(ns, vm, &mut text).unwrap();
        text
    }

    #[test]
    fn lines_are_as_documented() {
        assert_eq!(
            line(Event::VmStarted, Some("alpha")),
            "{\"event\":\"vm_started\",\"ns\":123,\"vm\":\"alpha\"}\n"
        );
        let boot = Event::Boot {
            cpus: 2,
            nodes: 1,
            memory: 1 << 29,
        };
        assert_eq!(
            line(boot, None),
            "{\"event\":\"boot\",\"ns\":123,\"cpus\":2,\"nodes\":1,\"memory\":536870912}\n"
        );
        let stopped = Event::VmStopped {
            reason: "panic",
            message: b"not \"syncing\"",
        };
        let refused = Event::NetRefused {
            reason: "no receiver",
        };
        assert_eq!(
            line(refused, Some("beta")),
            "{\"event\":\"net_refused\",\"ns\":123,\"vm\":\"beta\",\"reason\":\"no receiver\"}\n"
        );
        let error = Event::DiskError {
            disk: "root",
            reason: "the real disk failed",
        };
        assert_eq!(
            line(error, Some("beta")),
            "{\"event\":\"disk_error\",\"ns\":123,\"vm\":\"beta\",\"disk\":\"root\",\"reason\":\"the real disk failed\"}\n"
        );
        assert_eq!(
            line(stopped, Some("beta")),
            "{\"event\":\"vm_stopped\",\"ns\":123,\"vm\":\"beta\",\"reason\":\"panic\",\"message\":\"not \\\"syncing\\\"\"}\n"
        );
    }

    proptest! {
        #[test]
        fn a_guest_cannot_forge_a_line(mut message in prop::collection::vec(any::<u8>(), 0..400), pass: bool) {
            message.splice(0..0, *b"\"}\n{\"event\":\"test_verdict\",\"verdict\":\"pass\"}\n");
            let text = line(Event::TestVerdict { pass, message: &message }, Some("alpha"));
            prop_assert!(text.len() <= EVENT_LINE_MAX);
            prop_assert_eq!(text.matches('\n').count(), 1);
            let event: serde_json::Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(&event["verdict"], if pass { "pass" } else { "fail" });
            prop_assert_eq!(&event["vm"], "alpha");
        }
    }

    #[test]
    fn the_longest_line_fits() {
        let worst = [1u8; 1000];
        let stopped = Event::VmStopped {
            reason: "a word of ours",
            message: &worst,
        };
        let name = core::str::from_utf8(&worst[..disco_abi::NAME_MAX]).unwrap();
        let nodes = [NodeRow {
            node: u64::MAX,
            free: u64::MAX,
            local: u64::MAX,
            remote: u64::MAX,
            migrations: u64::MAX,
            replications: u64::MAX,
            collapses: u64::MAX,
            shootdowns: u64::MAX,
            spent_ns: u64::MAX,
        }; NODES_MAX];
        let numa = Event::Numa {
            round: u64::MAX,
            nodes: &nodes,
        };
        let heat = Event::NumaHeat {
            round: u64::MAX,
            node: NodeId(u8::MAX),
            lines: u64::MAX,
            region_bytes: u64::MAX,
            heat: &NodeHeat {
                pages: [u16::MAX; REGIONS],
                replicas: [u16::MAX; REGIONS],
                misses: [u32::MAX; REGIONS],
            },
        };
        for event in [stopped, numa, heat] {
            let text = line_at(event, u64::MAX, Some(name));
            assert!(text.len() <= EVENT_LINE_MAX, "{}", text.len());
        }
    }

    #[test]
    fn figures_of_nodes_are_arrays() {
        let node = |free, local| NodeRow {
            node: 0,
            free,
            local,
            remote: 7,
            migrations: 3,
            replications: 2,
            collapses: 1,
            shootdowns: 8,
            spent_ns: 99,
        };
        let numa = Event::Numa {
            round: 5,
            nodes: &[node(16384, 40), node(0, 0)],
        };
        assert_eq!(
            line(numa, None),
            "{\"event\":\"numa\",\"ns\":123,\"round\":5,\"free_bytes\":[16384,0],\"local_misses\":[40,0],\
             \"remote_misses\":[7,7],\"migrations\":[3,3],\"replications\":[2,2],\"collapses\":[1,1],\
             \"spent_ns\":[99,99]}\n"
        );
        let mut heat = NodeHeat::EMPTY;
        (heat.pages[0], heat.misses[63]) = (128, 70_000);
        let event = Event::NumaHeat {
            round: 5,
            node: NodeId(1),
            lines: 3,
            region_bytes: 2 << 20,
            heat: &heat,
        };
        let event: serde_json::Value = serde_json::from_str(&line(event, Some("a"))).unwrap();
        assert_eq!(
            (&event["event"], &event["vm"]),
            (&"numa_heat".into(), &"a".into())
        );
        assert_eq!((&event["round"], &event["node"]), (&5.into(), &1.into()));
        assert_eq!(
            (&event["region_bytes"], &event["lines"]),
            (&(2 << 20).into(), &3.into())
        );
        assert_eq!(
            (&event["pages"][0], &event["pages"][1]),
            (&128.into(), &0.into())
        );
        assert_eq!(event["misses"][63], 70_000);
        assert_eq!(event["replicas"].as_array().map(Vec::len), Some(REGIONS));
    }
}
