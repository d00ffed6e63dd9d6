//! Reads the events of a run.

use super::recording::{NodeFigures, NodeHeat, Recording, Round, Snapshot, VmRecording};
use anyhow::{bail, ensure, Result};
use disco_flash::CPUS_MAX;
use serde::de::DeserializeOwned;
use serde::Deserialize;

/// What every event has.
#[derive(Deserialize)]
struct Head {
    event: String,
}

/// The event `numa`.
#[derive(Deserialize)]
struct Numa {
    ns: u64,
    free_bytes: Vec<u64>,
    local_misses: Vec<u64>,
    remote_misses: Vec<u64>,
    migrations: Vec<u64>,
    replications: Vec<u64>,
    collapses: Vec<u64>,
    spent_ns: Vec<u64>,
}

/// The event `numa_heat`.
#[derive(Deserialize)]
struct Heat {
    ns: u64,
    vm: String,
    round: u64,
    node: usize,
    lines: usize,
    region_bytes: u64,
    pages: Vec<u32>,
    replicas: Vec<u32>,
    misses: Vec<u32>,
}

/// Reads what `bytes` holds, the contents of `file`.
///
/// # Errors
/// An event is not as documented, the file is of two runs, or has no event of ours; file, line and way out.
pub fn read(file: &str, bytes: &[u8]) -> Result<Recording> {
    let mut recording = Recording {
        file: file.to_owned(),
        nodes: 0,
        rounds: Vec::new(),
        vms: Vec::new(),
        noise: Vec::new(),
        unfinished: None,
    };
    let mut booted = None;
    for (line, number) in bytes.split_inclusive(|&byte| byte == b'\n').zip(1..) {
        if !line.ends_with(b"\n") {
            recording.unfinished = Some(number);
            break;
        }
        let Ok(head) = serde_json::from_slice::<Head>(line) else {
            if !line.trim_ascii().is_empty() {
                recording.noise.push(number);
            }
            continue;
        };
        match head.event.as_str() {
            "boot" => {
                if let Some(first) = booted.replace(number) {
                    bail!(
                        "{file}:{number}: a second run begins here, the first one in line {first}: cut the file in \
                         two, and make a page of each"
                    );
                }
            }
            "numa" => recording.add_round(event(file, number, line)?, number)?,
            "numa_heat" => recording.add_heat(event(file, number, line)?, number)?,
            _ => {}
        }
    }
    recording.vms.iter_mut().for_each(VmRecording::cut_off);
    recording.vms.retain(|vm| !vm.snapshots.is_empty());
    if recording.rounds.is_empty() {
        let seen = match booted {
            Some(_) => "of a run, but no event `numa`",
            None => "no event of a run",
        };
        bail!(
            "{file} has {seen}: set `events_ms = 1000` in the table `[numa]` of the machine's description, and \
             let it run longer than that, with `cargo xtask run --machine FILE --events {file}`"
        );
    }
    Ok(recording)
}

/// The event in a line.
fn event<T: DeserializeOwned>(file: &str, number: usize, line: &[u8]) -> Result<T> {
    serde_json::from_slice(line).map_err(|error| wrong(file, number, &error.to_string()))
}

/// An event that is not as it is documented.
fn wrong(file: &str, line: usize, what: &str) -> anyhow::Error {
    anyhow::anyhow!(
        "{file}:{line}: this event is not as docs/virtual-machine.md has it: {what}. It comes from another version \
         of Disco, or was changed: record the run again with `cargo xtask run --machine FILE --events {file}`"
    )
}

impl Recording {
    fn wrong(&self, line: usize, what: &str) -> anyhow::Error {
        wrong(&self.file, line, what)
    }

    fn add_round(&mut self, event: Numa, line: usize) -> Result<()> {
        let nodes = event.free_bytes.len();
        let columns = [
            ("local_misses", &event.local_misses),
            ("remote_misses", &event.remote_misses),
            ("migrations", &event.migrations),
            ("replications", &event.replications),
            ("collapses", &event.collapses),
            ("spent_ns", &event.spent_ns),
        ];
        for (key, column) in columns {
            ensure!(
                column.len() == nodes,
                self.wrong(
                    line,
                    &format!(
                        "`free_bytes` has {nodes} nodes, and `{key}` {}",
                        column.len()
                    )
                )
            );
        }
        let known = if self.nodes == 0 { nodes } else { self.nodes };
        ensure!(
            (1..=CPUS_MAX).contains(&nodes) && nodes == known,
            self.wrong(
                line,
                &format!("it is of {nodes} nodes, and the machine has {known}")
            )
        );
        if let Some(before) = self.rounds.last() {
            ensure!(
                before.ns <= event.ns,
                self.wrong(
                    line,
                    &format!("it is earlier than the one in line {}", before.line)
                )
            );
        }
        self.nodes = nodes;
        let node = |node: usize| NodeFigures {
            free: event.free_bytes[node],
            local: event.local_misses[node],
            remote: event.remote_misses[node],
            migrations: event.migrations[node],
            replications: event.replications[node],
            collapses: event.collapses[node],
            spent_ns: event.spent_ns[node],
        };
        self.rounds.push(Round {
            line,
            ns: event.ns,
            nodes: (0..nodes).map(node).collect(),
        });
        Ok(())
    }

    fn add_heat(&mut self, event: Heat, line: usize) -> Result<()> {
        let (node, regions, vm_name) = (event.node, event.pages.len(), &event.vm);
        // The first lines of a file may have been cut off.
        let nodes = if self.nodes == 0 {
            CPUS_MAX
        } else {
            self.nodes
        };
        ensure!(
            node < nodes,
            self.wrong(line, &format!("there is no node {node} of {nodes}"))
        );
        for (key, figures) in [("replicas", &event.replicas), ("misses", &event.misses)] {
            ensure!(
                figures.len() == regions,
                self.wrong(
                    line,
                    &format!(
                        "`pages` has {regions} regions, and `{key}` {}",
                        figures.len()
                    )
                )
            );
        }
        ensure!(
            regions > 0 && event.region_bytes > 0,
            self.wrong(line, "it has no regions")
        );
        let found = self.vms.iter().position(|vm| vm.name == *vm_name);
        let place = found.unwrap_or(self.vms.len());
        if found.is_none() {
            self.vms.push(VmRecording {
                name: event.vm.clone(),
                region_bytes: event.region_bytes,
                regions,
                snapshots: Vec::new(),
                cut: Vec::new(),
            });
        }
        let vm = &mut self.vms[place];
        if (vm.region_bytes, vm.regions) != (event.region_bytes, regions) {
            let what = format!(
                "`{vm_name}` had {} regions of {} bytes before",
                vm.regions, vm.region_bytes
            );
            return Err(self.wrong(line, &what));
        }
        let heat = NodeHeat {
            line,
            pages: event.pages,
            replicas: event.replicas,
            misses: event.misses,
        };
        if vm
            .snapshots
            .last()
            .is_none_or(|last| last.round != event.round)
        {
            vm.snapshots.push(Snapshot {
                round: event.round,
                ns: event.ns,
                lines: event.lines,
                nodes: (0..CPUS_MAX).map(|_| None).collect(),
            });
        }
        let before = vm
            .snapshots
            .last_mut()
            .and_then(|last| last.nodes.get_mut(node)?.replace(heat));
        match before {
            Some(before) => {
                let what = format!("line {} has node {node} of this round already", before.line);
                Err(self.wrong(line, &what))
            }
            None => Ok(()),
        }
    }
}
