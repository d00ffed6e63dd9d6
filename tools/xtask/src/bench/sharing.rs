//! `cargo xtask bench sharing`: what virtual machines take of the machine's memory when they use the same
//! disks (the paper's Figure 6). In every configuration eight instances of one workload read the same
//! files, on 1, 2, 4 or 8 virtual machines.

use super::watched::Watched;
use crate::build::guests;
use crate::build::monitor::Image;
use crate::description::Machine;
use crate::setup::toolchain::Toolchain;
use anyhow::{ensure, Context, Result};
use regex::bytes::Regex;
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

/// Virtual machines of the configurations, and instances of the workload in each of them.
const CONFIGURATIONS: [usize; 4] = [1, 2, 4, 8];
const INSTANCES: usize = 8;
/// The most of virtual memory that 8 virtual machines may take of the machine's, and the most that they may
/// take more than one.
const RATIO_GOAL: f64 = 0.45;
const GROWTH_GOAL: f64 = 1.6;
/// Seconds that a configuration may take.
const LIMIT: u64 = 900;
/// Guests tell the monitor of free memory with a delay of seconds.
const SETTLING: Duration = Duration::from_secs(6);

/// A line of `mem --json`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Vm {
        vm: String,
        own_bytes: u64,
        shared_bytes: u64,
    },
    Kind {
        kind: String,
        bytes: u64,
    },
}

/// The memory of one configuration, in bytes.
struct Usage {
    vms: usize,
    /// What the virtual machines have in use, as each of them sees it.
    virtual_bytes: u64,
    /// Pages that only one of them has, by its name.
    own: BTreeMap<String, u64>,
    /// Pages with several users, the disk cache among them, by kind.
    shared: BTreeMap<String, u64>,
}

impl Usage {
    /// Reads the answer to `mem --json`.
    fn read(vms: usize, console: &str) -> Result<Self> {
        let mut usage = Self {
            vms,
            virtual_bytes: 0,
            own: BTreeMap::new(),
            shared: BTreeMap::new(),
        };
        for line in console.lines() {
            match serde_json::from_str(line) {
                Ok(Line::Vm {
                    vm,
                    own_bytes,
                    shared_bytes,
                }) => {
                    usage.virtual_bytes += own_bytes + shared_bytes;
                    usage.own.insert(vm, own_bytes);
                }
                Ok(Line::Kind { kind, bytes }) if kind.starts_with("shared") => {
                    usage.shared.insert(kind, bytes);
                }
                _ => {}
            }
        }
        ensure!(
            usage.own.len() == vms && !usage.shared.is_empty(),
            "mem --json did not tell of {vms} virtual machines and of shared memory"
        );
        Ok(usage)
    }

    fn own(&self) -> u64 {
        self.own.values().sum()
    }

    fn machine(&self) -> u64 {
        self.own() + self.shared.values().sum::<u64>()
    }

    fn ratio(&self) -> f64 {
        self.machine() as f64 / self.virtual_bytes as f64
    }
}

/// Measures all configurations and prints them; `json` keeps the figures. Ends with whether the goals are met.
pub fn run(json: Option<&Path>, toolchain: &Toolchain) -> Result<bool> {
    let monitor = Image::build(toolchain)?;
    let mut all = Vec::new();
    for vms in CONFIGURATIONS {
        let machine = machine(vms)?;
        guests::build_for(&machine, toolchain)?;
        all.push(measure(&monitor, &machine).with_context(|| format!("{vms} virtual machines"))?);
    }
    print!("{}", table(&all));
    if let Some(path) = json {
        let rows: Vec<_> = all.iter().map(row).collect();
        let text = serde_json::to_string_pretty(&json!({ "sharing": rows }))?;
        fs::write(path, text + "\n").with_context(|| format!("cannot write {}", path.display()))?;
    }
    let (first, last) = (&all[0], &all[all.len() - 1]);
    let growth = last.machine() as f64 / first.machine() as f64;
    println!(
        "8 virtual machines: {:.2} of virtual (goal {RATIO_GOAL}), {growth:.2} of one's (goal {GROWTH_GOAL})",
        last.ratio()
    );
    Ok(last.ratio() <= RATIO_GOAL && growth <= GROWTH_GOAL)
}

fn machine(vms: usize) -> Result<Machine> {
    let mut text = "[hardware]\ncpus = 2\nnodes = 2\nmemory = \"1G\"\novercommit = true\n\
         [[disk]]\nname = \"root\"\nimage = \"linux-root\"\nmode = \"cow\"\n\
         [[disk]]\nname = \"files\"\nimage = \"sharing\"\nmode = \"read-only\"\n"
        .to_owned();
    for number in 1..=vms {
        let _ = write!(
            text,
            "[[vm]]\nname = \"vm-{number}\"\nguest = \"linux\"\nmemory = \"96M\"\n\
             disks = [\"root\", \"files\"]\ncmdline = \"quiet\"\n"
        );
    }
    let place = "the machine of bench sharing";
    Ok(Machine::parse(place, Path::new(""), &text)?)
}

fn measure(monitor: &Image, machine: &Machine) -> Result<Usage> {
    let vms = machine.vms.len();
    eprintln!("{vms} virtual machines: measuring ...");
    let name = format!("sharing-{vms}");
    Watched::run(monitor, machine, (&name, LIMIT), &[], |watched| {
        usage(watched, machine)
    })
}

/// Runs the workload everywhere and asks for the memory that is in use then.
fn usage(watched: &mut Watched, machine: &Machine) -> Result<Usage> {
    let vms = machine.vms.len();
    watched.shells(machine)?;
    let count = INSTANCES / vms;
    for vm in &machine.vms {
        watched.attach(&vm.name)?;
        let command = format!("mount -t ext4 -o ro /dev/vdb /mnt; (/mnt/sharing {count}; echo) &");
        watched.shell(&command)?;
        watched.detach();
    }
    let done = Regex::new(r"(?m)sharing done, (\d+) result$")?;
    watched.wait(|console| done.find_iter(console).count() == vms)?;
    for found in done.captures_iter(&watched.unread()) {
        ensure!(
            &found[1] == b"1",
            "the instances have not all read the same"
        );
    }
    thread::sleep(SETTLING);
    let answer = watched.ask("mem --json", r#""kind":"free and promised".*\n"#)?;
    Usage::read(vms, &answer)
}

const MIB: f64 = (1 << 20) as f64;

fn table(all: &[Usage]) -> String {
    let mut text = format!(
        "{:>3}{:>13}{:>13}{:>7}{:>13}{:>13}{:>22}\n",
        "VMs",
        "virtual MiB",
        "machine MiB",
        "ratio",
        "own MiB",
        "shared MiB",
        "own of each added MiB"
    );
    let mut before: Option<&Usage> = None;
    for usage in all {
        let added = before.map_or_else(String::new, |before| {
            let more = usage.own() as f64 - before.own() as f64;
            format!("{:.1}", more / MIB / (usage.vms - before.vms) as f64)
        });
        let shared: u64 = usage.shared.values().sum();
        let _ = writeln!(
            text,
            "{:>3}{:>13.1}{:>13.1}{:>7.2}{:>13.1}{:>13.1}{added:>22}",
            usage.vms,
            usage.virtual_bytes as f64 / MIB,
            usage.machine() as f64 / MIB,
            usage.ratio(),
            usage.own() as f64 / MIB,
            shared as f64 / MIB,
        );
        before = Some(usage);
    }
    text
}

fn row(usage: &Usage) -> serde_json::Value {
    json!({
        "vms": usage.vms,
        "virtual_bytes": usage.virtual_bytes,
        "machine_bytes": usage.machine(),
        "own_bytes": usage.own,
        "shared_bytes": usage.shared,
    })
}

#[cfg(test)]
mod tests {
    use super::{row, table, Usage};

    const CONSOLE: &str = "disco> mem --json\n\
        {\"node\":0,\"total_bytes\":1}\n\
        {\"vm\":\"a\",\"virtual_bytes\":9,\"own_bytes\":2097152,\"shared_bytes\":1048576,\"promised_bytes\":0}\n\
        {\"vm\":\"b\",\"virtual_bytes\":9,\"own_bytes\":1048576,\"shared_bytes\":1048576,\"promised_bytes\":0}\n\
        {\"kind\":\"shared: disk cache\",\"bytes\":1048576}\n{\"kind\":\"free\",\"bytes\":5}\n";

    #[test]
    fn memory_counts_once_in_the_machine_and_for_each_user_in_virtual() {
        let usage = Usage::read(2, CONSOLE).unwrap();
        assert_eq!(usage.virtual_bytes, 5 << 20);
        assert_eq!(usage.machine(), 4 << 20);
        assert_eq!(row(&usage)["own_bytes"]["b"], 1 << 20);
        assert!(table(&[usage]).contains("  2          5.0          4.0   0.80"));
    }

    #[test]
    fn an_answer_without_a_virtual_machine_is_none() {
        assert!(Usage::read(3, CONSOLE).is_err());
    }
}
