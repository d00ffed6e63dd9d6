//! `cargo xtask bench sharing`: what virtual machines take of the machine's memory when they use the same
//! files (the paper's Figure 6). In every configuration eight instances of one workload read them, on 1, 2, 4
//! or 8 virtual machines, from a disk that all have, or from the first one over NFS.

use super::keep;
use super::watched::Watched;
use crate::build::guests;
use crate::build::monitor::Image;
use crate::description::Machine;
use crate::setup::toolchain::Toolchain;
use anyhow::{ensure, Context, Result};
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::thread;
use std::time::Duration;

/// Virtual machines of a configuration, and how they reach the files.
#[derive(Clone, Copy)]
struct Configuration {
    vms: usize,
    /// The first one gives them to the others.
    nfs: bool,
}

const fn on_disk(vms: usize) -> Configuration {
    Configuration { vms, nfs: false }
}

const CONFIGURATIONS: [Configuration; 5] = [
    on_disk(1),
    on_disk(2),
    on_disk(4),
    on_disk(8),
    Configuration { vms: 8, nfs: true },
];
/// Instances of the workload in all virtual machines together.
const INSTANCES: usize = 8;
/// The most of virtual memory that 8 virtual machines may take of the machine's, and the most that they may
/// take more than one.
const RATIO_GOAL: f64 = 0.45;
const GROWTH_GOAL: f64 = 1.6;
/// Seconds that a configuration may take.
const LIMIT: u64 = 900;
/// Guests tell the monitor of free memory with a delay of seconds.
const SETTLING: Duration = Duration::from_secs(6);
/// Slabs of Linux that hold things of several kinds, and no more pages of a kind than it needs.
const COMMAND_LINE: &str =
    "quiet slab_merge slub_max_order=0 thash_entries=512 dhash_entries=2048 ihash_entries=2048";

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
    configuration: Configuration,
    /// What the virtual machines have in use, as each of them sees it.
    virtual_bytes: u64,
    /// Pages that only one of them has, by its name.
    own: BTreeMap<String, u64>,
    /// Pages with several users, the disk cache among them, by kind.
    shared: BTreeMap<String, u64>,
}

impl Usage {
    /// Reads the answer to `mem --json`.
    fn read(configuration: Configuration, console: &str) -> Result<Self> {
        let vms = configuration.vms;
        let mut usage = Self {
            configuration,
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
    for configuration in CONFIGURATIONS {
        let machine = configuration.machine()?;
        guests::build_for(&machine, toolchain)?;
        let name = configuration.name();
        eprintln!("{name}: measuring ...");
        let files = format!("sharing-{}", name.replace(' ', "-"));
        let usage = Watched::run(&monitor, &machine, (&files, LIMIT), &[], |watched| {
            watched.shells(&machine)?;
            configuration.measure(watched)
        });
        all.push(usage.context(name)?);
    }
    print!("{}", table(&all));
    keep(json, "sharing", all.iter().map(row).collect::<Vec<_>>())?;
    Ok(verdict(&all))
}

/// Compares those with eight virtual machines with the first. Over NFS each needs more of its own, which is
/// no goal of the growth.
fn verdict(all: &[Usage]) -> bool {
    let Some(first) = all.first() else {
        return false;
    };
    let mut met = true;
    for usage in all.iter().filter(|usage| usage.configuration.vms == 8) {
        let Configuration { nfs, .. } = usage.configuration;
        let growth = usage.machine() as f64 / first.machine() as f64;
        let goal = match nfs {
            true => String::new(),
            false => format!(" (goal {GROWTH_GOAL})"),
        };
        println!(
            "{}: {:.2} of virtual (goal {RATIO_GOAL}), {growth:.2} of one's{goal}",
            usage.configuration.name(),
            usage.ratio()
        );
        met &= usage.ratio() <= RATIO_GOAL && (nfs || growth <= GROWTH_GOAL);
    }
    met
}

impl Configuration {
    fn name(self) -> String {
        let over = if self.nfs { " over NFS" } else { "" };
        format!("{} VMs{over}", self.vms)
    }

    fn vm(number: usize) -> String {
        format!("vm-{number}")
    }

    fn machine(self) -> Result<Machine> {
        let mut text = "[hardware]\ncpus = 2\nnodes = 2\nmemory = \"1G\"\novercommit = true\n\
             [[disk]]\nname = \"root\"\nimage = \"linux-root\"\nmode = \"cow\"\n\
             [[disk]]\nname = \"files\"\nimage = \"sharing\"\nmode = \"read-only\"\n"
            .to_owned();
        for number in 1..=self.vms {
            let disks = match self.nfs && number > 1 {
                true => "\"root\"",
                false => "\"root\", \"files\"",
            };
            let name = Self::vm(number);
            let _ = write!(
                text,
                "[[vm]]\nname = \"{name}\"\nguest = \"linux\"\nmemory = \"96M\"\nnet = {}\n\
                 disks = [{disks}]\ncmdline = \"{COMMAND_LINE}\"\n",
                self.nfs
            );
        }
        let place = "the machine of bench sharing";
        Ok(Machine::parse(place, Path::new(""), &text)?)
    }

    /// What makes the files appear in /mnt of a virtual machine.
    fn mount(self, number: usize) -> &'static str {
        match (self.nfs, number) {
            (false, _) => "mount -t ext4 -o ro /dev/vdb /mnt",
            (true, 1) => "mount -t ext4 -o ro /dev/vdb /mnt; nfs-serve /mnt",
            (true, _) => "nfs-mount vm-1 /mnt ro",
        }
    }

    fn measure(self, watched: &mut Watched) -> Result<Usage> {
        let count = INSTANCES / self.vms;
        let each = |watched: &mut Watched, line: &dyn Fn(usize) -> String| {
            let at = |vm| watched.at(&Self::vm(vm), &line(vm));
            (1..=self.vms).map(at).collect::<Result<Vec<_>>>()
        };
        let until = |word| format!("until grep -q {word} /tmp/out; do sleep 1; done");
        each(watched, &|vm| self.mount(vm).to_owned())?;
        each(watched, &|_| format!("/mnt/sharing {count} > /tmp/out &"))?;
        each(watched, &|_| until("read"))?;
        thread::sleep(SETTLING);
        let answer = watched.ask("mem --json", r#""kind":"free and promised".*\n"#)?;
        let usage = Usage::read(self, &answer)?;
        each(watched, &|_| ": > /tmp/go".to_owned())?;
        let results = each(watched, &|_| until("done") + "; cat /tmp/out")?;
        ensure!(
            results
                .iter()
                .all(|result| result.contains("sharing done, 1 result\n")),
            "the instances have not all read the same"
        );
        Ok(usage)
    }
}

const MIB: f64 = (1 << 20) as f64;

fn table(all: &[Usage]) -> String {
    let mut text = format!(
        "{:<16}{:>12}{:>12}{:>7}{:>9}{:>12}{:>23}\n",
        "", "virtual MiB", "machine MiB", "ratio", "own MiB", "shared MiB", "own of each added MiB"
    );
    for usage in all {
        let Configuration { vms, .. } = usage.configuration;
        let first = all.first().filter(|_| vms > 1);
        let added = first.map_or_else(String::new, |first| {
            let more = usage.own() as f64 - first.own() as f64;
            format!("{:.1}", more / MIB / (vms - 1) as f64)
        });
        let shared: u64 = usage.shared.values().sum();
        let _ = writeln!(
            text,
            "{:<16}{:>12.1}{:>12.1}{:>7.2}{:>9.1}{:>12.1}{added:>23}",
            usage.configuration.name(),
            usage.virtual_bytes as f64 / MIB,
            usage.machine() as f64 / MIB,
            usage.ratio(),
            usage.own() as f64 / MIB,
            shared as f64 / MIB,
        );
    }
    text
}

fn row(usage: &Usage) -> serde_json::Value {
    json!({
        "vms": usage.configuration.vms,
        "nfs": usage.configuration.nfs,
        "virtual_bytes": usage.virtual_bytes,
        "machine_bytes": usage.machine(),
        "own_bytes": usage.own,
        "shared_bytes": usage.shared,
    })
}

#[cfg(test)]
mod tests {
    use super::{on_disk, row, table, verdict, Usage};

    const CONSOLE: &str = "disco> mem --json\n\
        {\"node\":0,\"total_bytes\":1}\n\
        {\"vm\":\"a\",\"virtual_bytes\":9,\"own_bytes\":2097152,\"shared_bytes\":1048576,\"promised_bytes\":0}\n\
        {\"vm\":\"b\",\"virtual_bytes\":9,\"own_bytes\":1048576,\"shared_bytes\":1048576,\"promised_bytes\":0}\n\
        {\"kind\":\"shared: disk cache\",\"bytes\":1048576}\n{\"kind\":\"free\",\"bytes\":5}\n";

    #[test]
    fn memory_counts_once_in_the_machine_and_for_each_user_in_virtual() {
        let usage = Usage::read(on_disk(2), CONSOLE).unwrap();
        assert_eq!(usage.virtual_bytes, 5 << 20);
        assert_eq!(usage.machine(), 4 << 20);
        assert_eq!(row(&usage)["own_bytes"]["b"], 1 << 20);
        assert!(table(&[usage]).contains("2 VMs                    5.0         4.0   0.80"));
    }

    #[test]
    fn an_answer_without_a_virtual_machine_is_none() {
        assert!(Usage::read(on_disk(3), CONSOLE).is_err());
    }

    #[test]
    fn eight_that_take_too_much_are_told() {
        let of = |vms, own| Usage {
            configuration: on_disk(vms),
            virtual_bytes: 100,
            own: [("a".to_owned(), own)].into(),
            shared: [("b".to_owned(), 20)].into(),
        };
        assert!(verdict(&[of(1, 10), of(8, 25)]));
        assert!(
            !verdict(&[of(1, 10), of(8, 26)]),
            "more than virtual allows"
        );
        assert!(!verdict(&[of(1, 8), of(8, 25)]), "more than one allows");
        let mut nfs = of(8, 25);
        nfs.configuration.nfs = true;
        assert!(verdict(&[of(1, 8), nfs]));
    }
}
