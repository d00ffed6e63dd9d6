//! Events for programs: JSON lines on the second serial line, which only the monitor can write.
//!
//! Text that a guest has chosen is escaped and cut, so that it is one string of one line whatever
//! it holds. Tests take their verdicts from here.

use core::fmt::{Display, Result, Write};

use crate::console::json::Object;

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
            Self::Panic { reason } => line.display("reason", reason)?,
        }
        line.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(event: Event<'_>, vm: Option<&str>) -> String {
        let mut text = String::new();
        event.write(123, vm, &mut text).unwrap();
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
        let mut text = String::new();
        stopped.write(u64::MAX, Some(name), &mut text).unwrap();
        assert!(text.len() <= EVENT_LINE_MAX, "{}", text.len());
    }
}
