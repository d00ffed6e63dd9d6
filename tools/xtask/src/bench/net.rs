//! `cargo xtask bench net`: a file goes by TCP from one Linux virtual machine to another with sendfile
//! (busybox's httpd and wget). Instructions are counted, so that a nanosecond is one.

use super::keep;
use super::watched::Watched;
use super::COUNTED;
use crate::build::guests;
use crate::build::monitor::Image;
use crate::description::Machine;
use crate::setup::toolchain::Toolchain;
use anyhow::{ensure, Context, Result};
use disco_abi::PAGE_SIZE;
use regex::Regex;
use serde::Deserialize;
use serde_json::json;
use std::fmt::Write;
use std::path::Path;

/// MiB of the file.
const FILE_MIB: u64 = 32;
/// The least share of its bytes that are to be remapped instead of copied.
const SHARE_GOAL: f64 = 0.9;
/// Seconds that all of it may take.
const LIMIT: u64 = 600;
/// One CPU, since instructions of several are not counted side by side.
const MACHINE: &str = r#"
[hardware]
cpus = 1
nodes = 1
memory = "512M"
[[vm]]
name = "server"
guest = "linux"
memory = "128M"
net = true
cmdline = "quiet"
[[vm]]
name = "client"
guest = "linux"
memory = "128M"
net = true
cmdline = "quiet"
"#;

/// A line of `net --json`, `vm list --json` or `stats --json`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Traffic {
        vm: String,
        direction: String,
        messages: u64,
        remapped_pages: u64,
        copied_bytes: u64,
        dropped: u64,
    },
    Time {
        vm: String,
        cpu_ns: u64,
    },
    Counter {
        counter: String,
        value: u64,
    },
}

/// What the monitor has counted, from boot on.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Counters {
    /// Frames to the client and to the server.
    messages: [u64; 2],
    /// Bytes that the client got as pages of the server, and as copies.
    remapped: u64,
    copied: u64,
    /// Frames that were lost.
    dropped: u64,
    /// Nanoseconds of CPU time of server and client, with the monitor's work for each.
    cpu_ns: [u64; 2],
    /// Traps into the monitor of both.
    traps: u64,
}

impl Counters {
    /// Reads the answers to all three commands.
    fn read(answers: &str) -> Self {
        let mut counters = Self::default();
        for line in answers.lines() {
            match serde_json::from_str(line) {
                Ok(Line::Traffic {
                    vm,
                    direction,
                    messages,
                    remapped_pages,
                    copied_bytes,
                    dropped,
                }) if direction == "received" => {
                    let is_client = vm == "client";
                    counters.dropped += dropped;
                    if is_client {
                        counters.remapped = remapped_pages * PAGE_SIZE;
                        counters.copied = copied_bytes;
                    }
                    if is_client || vm == "server" {
                        counters.messages[usize::from(!is_client)] = messages;
                    }
                }
                Ok(Line::Time { vm, cpu_ns }) => {
                    counters.cpu_ns[usize::from(vm == "client")] = cpu_ns;
                }
                Ok(Line::Counter { counter, value, .. }) if counter == "traps into the monitor" => {
                    counters.traps += value;
                }
                _ => {}
            }
        }
        counters
    }

    /// What was counted since `before`.
    fn since(self, before: Self) -> Self {
        let pair = |now: [u64; 2], then: [u64; 2]| [now[0] - then[0], now[1] - then[1]];
        Self {
            messages: pair(self.messages, before.messages),
            remapped: self.remapped - before.remapped,
            copied: self.copied - before.copied,
            dropped: self.dropped - before.dropped,
            cpu_ns: pair(self.cpu_ns, before.cpu_ns),
            traps: self.traps - before.traps,
        }
    }
}

/// A transfer of the file.
struct Transfer {
    /// Nanoseconds it took, by the client's clock.
    ns: u64,
    counted: Counters,
}

impl Transfer {
    const BYTES: u64 = FILE_MIB << 20;

    /// The share of the file's bytes that were remapped.
    fn share(&self) -> f64 {
        self.counted.remapped as f64 / Self::BYTES as f64
    }

    fn table(&self) -> String {
        let counted = &self.counted;
        let mib = FILE_MIB as f64;
        let each = |instructions: u64| instructions as f64 / mib / 1e3;
        let [server, client] = counted.cpu_ns.map(each);
        let mut text = format!(
            "{FILE_MIB} MiB by TCP with sendfile, between two virtual machines on one CPU\n"
        );
        let mut row = |what: &str, figure: String, about: &str| {
            let _ = writeln!(text, "{what:<34}{figure:>12}  {about}");
        };
        let per_second = mib * 1e9 / self.ns as f64;
        row(
            "MiB in a second",
            format!("{per_second:.1}"),
            "of virtual time, an instruction each nanosecond",
        );
        row(
            "1000 instructions for a MiB",
            format!("{:.1}", each(self.ns)),
            "of all, by the client's clock",
        );
        row(
            "  of the server",
            format!("{server:.1}"),
            "with the monitor's for it, by the monitor's clock",
        );
        row("  of the client", format!("{client:.1}"), "");
        row(
            "traps for a MiB",
            format!("{:.1}", counted.traps as f64 / mib),
            "of both",
        );
        row(
            "messages to the client",
            counted.messages[0].to_string(),
            "",
        );
        row(
            "messages to the server",
            counted.messages[1].to_string(),
            "",
        );
        row("messages dropped", counted.dropped.to_string(), "");
        row("bytes remapped", counted.remapped.to_string(), "");
        row(
            "bytes copied",
            counted.copied.to_string(),
            "heads of packets among them",
        );
        text
    }

    fn json(&self) -> serde_json::Value {
        let counted = &self.counted;
        json!({
            "payload_bytes": Self::BYTES,
            "ns": self.ns,
            "server_cpu_ns": counted.cpu_ns[0],
            "client_cpu_ns": counted.cpu_ns[1],
            "traps": counted.traps,
            "messages_to_client": counted.messages[0],
            "messages_to_server": counted.messages[1],
            "messages_dropped": counted.dropped,
            "remapped_bytes": counted.remapped,
            "copied_bytes": counted.copied,
            "remapped_share": self.share(),
            "goal": SHARE_GOAL,
        })
    }
}

/// Measures a transfer and prints it; `json` keeps the figures. Ends with whether the goal is met.
pub fn run(json: Option<&Path>, toolchain: &Toolchain) -> Result<bool> {
    let monitor = Image::build(toolchain)?;
    let machine = Machine::parse("the machine of bench net", Path::new(""), MACHINE)?;
    guests::build_for(&machine, toolchain)?;
    eprintln!("net: measuring ...");
    let transfer = Watched::run(&monitor, &machine, ("net", LIMIT), COUNTED, |watched| {
        watched.shells(&machine)?;
        transfer(watched)
    })?;
    print!("{}", transfer.table());
    keep(json, "net", transfer.json())?;
    let share = transfer.share();
    println!("remapped: {share:.3} of the payload (goal {SHARE_GOAL})");
    Ok(share >= SHARE_GOAL)
}

fn transfer(watched: &mut Watched) -> Result<Transfer> {
    let blocks = (FILE_MIB << 20) / PAGE_SIZE;
    let make = format!(
        "mkdir /tmp/w; cd /tmp/w; while cat /bin/busybox; do :; done | \
         dd of=file bs={PAGE_SIZE} count={blocks} iflag=fullblock; md5sum < file > sum; httpd -h ."
    );
    watched.at("server", &make)?;
    // Names, addresses and programs are known from here on.
    let expected = sum(&watched.at("client", "wget -q -O - http://server/sum")?)?;
    let before = counters(watched)?;
    let timed = "a=$(date +%s%N); wget -q -O /dev/null http://server/file; echo took $(($(date +%s%N) - a))";
    let answer = watched.at("client", timed)?;
    let after = counters(watched)?;
    let took = Regex::new(r"(?m)^took (\d+)$")?;
    let took = took.captures(&answer).context("the client says no time")?;
    let found = sum(&watched.at("client", "wget -q -O - http://server/file | md5sum")?)?;
    ensure!(found == expected, "the file is not what was sent");
    Ok(Transfer {
        ns: took[1].parse()?,
        counted: after.since(before),
    })
}

/// The checksum that a shell has printed.
fn sum(answer: &str) -> Result<String> {
    let sum = Regex::new(r"(?m)^([0-9a-f]{32}) ")?;
    let sum = sum.captures(answer).context("there is no checksum")?;
    Ok(sum[1].to_owned())
}

fn counters(watched: &mut Watched) -> Result<Counters> {
    let mut answers = watched.ask(
        "net --json",
        r#""vm":"\(gateway\)","direction":"received".*\n"#,
    )?;
    answers += &watched.ask("vm list --json", r#""vm":"client".*\n"#)?;
    answers += &watched.ask("stats --json", "(?s)\"vm\":\"client\".*disco> ")?;
    Ok(Counters::read(&answers))
}

#[cfg(test)]
mod tests {
    use super::{Counters, Transfer};

    const ANSWERS: &str = "\
        {\"vm\":\"server\",\"direction\":\"sent\",\"messages\":9,\"bytes\":9,\"remapped_pages\":9,\"copied_bytes\":9,\"dropped\":9}\n\
        {\"vm\":\"server\",\"direction\":\"received\",\"messages\":1,\"bytes\":9,\"remapped_pages\":9,\"copied_bytes\":9,\"dropped\":1}\n\
        {\"vm\":\"client\",\"direction\":\"received\",\"messages\":2,\"bytes\":9,\"remapped_pages\":2048,\"copied_bytes\":5,\"dropped\":2}\n\
        {\"vm\":\"server\",\"state\":\"running\",\"cpu_ns\":7}\n{\"vm\":\"client\",\"state\":\"running\",\"cpu_ns\":8}\n\
        {\"vm\":\"server\",\"counter\":\"traps into the monitor\",\"value\":20}\n\
        {\"vm\":\"client\",\"counter\":\"traps into the monitor\",\"value\":22}\n\
        {\"vm\":\"client\",\"counter\":\"wait\",\"value\":3}\n";

    #[test]
    fn what_the_client_received_counts() {
        let counted = Counters::read(ANSWERS);
        let expected = Counters {
            messages: [2, 1],
            remapped: 32 << 20,
            copied: 5,
            dropped: 3,
            cpu_ns: [7, 8],
            traps: 42,
        };
        assert_eq!(counted, expected);
        assert_eq!(counted.since(counted), Counters::default());
        let transfer = Transfer { ns: 1, counted };
        assert_eq!(transfer.json()["remapped_share"], 1.0);
        assert!(transfer.table().contains("bytes copied"));
    }
}
