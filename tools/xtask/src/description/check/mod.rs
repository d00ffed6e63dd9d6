//! Checks a description before anything is built or started.

mod disk;
mod numa;
mod vm;

use super::read::{RawHardware, RawMachine, RawVm};
use super::size::{parse as parse_size, show};
use super::{Machine, Vm, Wrong, MEMORY, VM_MEMORY_STEP};
use disco_flash::{CPUS_MAX, VCPUS_MAX, VMS_MAX};
use std::ops::{Range, RangeInclusive};
use std::path::Path;
use toml::Spanned;

/// What the payload takes with Linux in it, before it is built: the kernel, the ramdisk and the
/// rounding. [`super::encode`] looks again when the size is known.
const LINUX_PAYLOAD: u64 = 16 << 20;
/// What the monitor keeps of each node's memory.
const NODE_RESERVE: u64 = 4 << 20;
/// The part of the memory that its memmap, directory and pmaps take at most: 1 / 64.
const TABLES: u64 = 64;

/// The file being checked, for the place of an error.
struct Checker<'a> {
    file: &'a str,
    folder: &'a Path,
    text: &'a str,
}

type Checked<T> = Result<T, Wrong>;

/// Bytes that virtual machines can have of a machine's memory.
pub fn available(memory: u64, nodes: u32, payload: u64) -> u64 {
    let own = u64::from(nodes) * NODE_RESERVE
        + memory / TABLES
        + payload.next_multiple_of(VM_MEMORY_STEP);
    memory.saturating_sub(own)
}

/// Checks what was read.
pub fn check(raw: RawMachine, file: &str, folder: &Path, text: &str) -> Checked<Machine> {
    let checker = Checker { file, folder, text };
    let RawMachine {
        hardware,
        numa,
        disk,
        vm,
    } = raw;
    let cpus = checker.count("cpus", hardware.cpus.as_ref(), 2, 1..=CPUS_MAX as i64)?;
    let nodes = checker.count(
        "nodes",
        hardware.nodes.as_ref(),
        cpus.min(2),
        1..=i64::from(cpus),
    )?;
    let memory = checker.hardware_memory(hardware.memory.as_ref())?;
    let numa = checker.numa(numa.as_ref(), nodes)?;
    if let Some(extra) = vm.get(VMS_MAX) {
        return checker.wrong(
            extra,
            format!("too many virtual machines: there can be {VMS_MAX}"),
        );
    }
    let disks = checker.disks(&disk)?;
    let mut vms: Vec<Vm> = Vec::new();
    for raw in &vm {
        let checked = checker.vm(raw.get_ref(), memory, &disks)?;
        if vms.iter().any(|other| other.name == checked.name) {
            let message = format!(
                "there is a virtual machine `{}` already: each needs its own name",
                checked.name
            );
            return checker.wrong(&raw.get_ref().name, message);
        }
        let together: u32 = vms.iter().chain([&checked]).map(|vm: &Vm| vm.cpus).sum();
        if together as usize > VCPUS_MAX {
            let message = format!(
                "with `{}` the virtual machines have {together} CPUs together: {VCPUS_MAX} at most",
                checked.name
            );
            return checker.wrong(&raw.get_ref().name, message);
        }
        vms.push(checked);
    }
    let console = checker.console(&hardware, &vms)?;
    let machine = Machine {
        cpus,
        nodes,
        memory,
        overcommit: hardware.overcommit,
        console,
        numa,
        magic: false,
        disks,
        vms,
    };
    checker.mounts_together(&machine.vms, &machine.disks, &vm)?;
    checker.memory_together(&machine, &vm)?;
    Ok(machine)
}

impl Checker<'_> {
    fn wrong<T, V>(&self, value: &Spanned<V>, message: impl Into<String>) -> Checked<T> {
        self.wrong_at(value.span(), message)
    }

    fn wrong_at<T>(&self, span: Range<usize>, message: impl Into<String>) -> Checked<T> {
        Err(Wrong::at(self.file, self.text, span, message))
    }

    fn count(
        &self,
        key: &str,
        value: Option<&Spanned<i64>>,
        default: u32,
        range: RangeInclusive<i64>,
    ) -> Checked<u32> {
        let Some(value) = value else {
            return Ok(default);
        };
        match u32::try_from(*value.get_ref()) {
            Ok(count) if range.contains(value.get_ref()) => Ok(count),
            _ => {
                let (least, most) = range.into_inner();
                let given = value.get_ref();
                let why = if key == "nodes" {
                    " (every node needs a CPU)"
                } else {
                    ""
                };
                self.wrong(
                    value,
                    format!("{key} = {given}: must be {least} to {most}{why}"),
                )
            }
        }
    }

    fn size(&self, value: &Spanned<String>) -> Checked<u64> {
        match parse_size(value.get_ref()) {
            Some(bytes) => Ok(bytes),
            None => {
                let message = format!(
                    "`{}` is no size: a size is a whole number with K, M or G, such as \"128M\"",
                    value.get_ref()
                );
                self.wrong(value, message)
            }
        }
    }

    fn hardware_memory(&self, value: Option<&Spanned<String>>) -> Checked<u64> {
        let Some(value) = value else {
            return Ok(512 << 20);
        };
        let memory = self.size(value)?;
        if !MEMORY.contains(&memory) || !memory.is_multiple_of(VM_MEMORY_STEP) {
            let message = format!(
                "memory = \"{}\": the board has {} to {}, in steps of {}",
                value.get_ref(),
                show(*MEMORY.start()),
                show(*MEMORY.end()),
                show(VM_MEMORY_STEP)
            );
            return self.wrong(value, message);
        }
        Ok(memory)
    }

    fn console(&self, hardware: &RawHardware, vms: &[Vm]) -> Checked<Option<usize>> {
        let Some(value) = &hardware.console else {
            return Ok(None);
        };
        match vms.iter().position(|vm| vm.name == *value.get_ref()) {
            Some(index) => Ok(Some(index)),
            None => {
                let names: Vec<_> = vms.iter().map(|vm| vm.name.as_str()).collect();
                let message = format!(
                    "console = \"{}\": there is no virtual machine of this name, only: {}",
                    value.get_ref(),
                    names.join(", ")
                );
                self.wrong(value, message)
            }
        }
    }

    fn memory_together(&self, machine: &Machine, raw: &[Spanned<RawVm>]) -> Checked<()> {
        if machine.overcommit {
            return Ok(());
        }
        let payload = if machine.has_linux() {
            LINUX_PAYLOAD
        } else {
            0
        };
        let available = available(machine.memory, machine.nodes, payload);
        let mut together = 0;
        for (vm, raw) in machine.vms.iter().zip(raw) {
            together += vm.memory;
            if together > available {
                let span = raw
                    .get_ref()
                    .memory
                    .as_ref()
                    .map_or_else(|| raw.span(), Spanned::span);
                let message = format!(
                    "the virtual machines up to `{}` have {} together, and {} of the machine's {} are free \
                     for them: give them less, the machine more, or say overcommit = true under [hardware]",
                    vm.name,
                    show(together),
                    show(available),
                    show(machine.memory)
                );
                return self.wrong_at(span, message);
            }
        }
        Ok(())
    }
}
