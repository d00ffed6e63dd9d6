//! Checks a description before anything is built or started.

use super::read::{RawHardware, RawMachine, RawVm};
use super::size::{parse as parse_size, show};
use super::{Guest, Machine, Vm, Wrong, MEMORY, VM_MEMORY_STEP};
use crate::build::guests;
use disco_abi::{COMMAND_LINE_MAX, NAME_MAX};
use disco_flash::{CPUS_MAX, VMS_MAX};
use std::fmt::Display;
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};
use toml::Spanned;

/// The least memory that Linux boots in.
const LINUX_MEMORY: u64 = 32 << 20;
/// What the payload takes with Linux in it, before it is built: the kernel, the ramdisk and the
/// rounding. [`super::encode`] looks again when the size is known.
const LINUX_PAYLOAD: u64 = 16 << 20;
/// What the monitor keeps of each node's memory.
const NODE_RESERVE: u64 = 4 << 20;
/// The part of the memory that its memmap and pmaps take at most: 1 / 64.
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
    let RawMachine { hardware, vm } = raw;
    let cpus = checker.count("cpus", hardware.cpus.as_ref(), 2, 1..=CPUS_MAX as i64)?;
    let nodes = checker.count(
        "nodes",
        hardware.nodes.as_ref(),
        cpus.min(2),
        1..=i64::from(cpus),
    )?;
    let memory = checker.hardware_memory(hardware.memory.as_ref())?;
    if let Some(extra) = vm.get(VMS_MAX) {
        return checker.wrong(
            extra,
            format!("too many virtual machines: there can be {VMS_MAX}"),
        );
    }
    let mut vms: Vec<Vm> = Vec::new();
    for raw in &vm {
        let checked = checker.vm(raw.get_ref(), memory)?;
        if vms.iter().any(|other| other.name == checked.name) {
            let message = format!(
                "there is a virtual machine `{}` already: each needs its own name",
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
        vms,
    };
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
        if !MEMORY.contains(&memory) || memory % VM_MEMORY_STEP != 0 {
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

    fn vm(&self, raw: &RawVm, machine_memory: u64) -> Checked<Vm> {
        let name = self.name(&raw.name)?;
        let guest = self.guest(&raw.guest)?;
        let cpus = self.count("cpus", raw.cpus.as_ref(), 1, 1..=CPUS_MAX as i64)?;
        if let (Some(value), 2..) = (&raw.cpus, cpus) {
            let message =
                "not yet: virtual machines with more than one CPU; leave cpus out, or say cpus = 1";
            return self.wrong(value, message);
        }
        let memory = self.vm_memory(raw, &guest, machine_memory)?;
        let command_line = self.command_line(raw.cmdline.as_ref(), &guest)?;
        let initrd = match &raw.initrd {
            None => None,
            Some(value) => {
                let path = self.folder.join(value.get_ref());
                if !path.is_file() {
                    return self.wrong(value, format!("there is no file {}", path.display()));
                }
                Some(path)
            }
        };
        Ok(Vm {
            name,
            guest,
            cpus,
            memory,
            command_line,
            initrd,
            autostart: raw.autostart.unwrap_or(true),
        })
    }

    fn name(&self, value: &Spanned<String>) -> Checked<String> {
        let name = value.get_ref();
        let letters =
            |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        let right = name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.chars().all(letters)
            && name.len() <= NAME_MAX;
        if !right {
            let message = format!(
                "`{name}` cannot be a name: 1 to {NAME_MAX} of a-z, 0-9, - and _, the first a letter"
            );
            return self.wrong(value, message);
        }
        Ok(name.clone())
    }

    fn guest(&self, value: &Spanned<String>) -> Checked<Guest> {
        let text = value.get_ref();
        if text.contains('/') || text.ends_with(".elf") {
            // Through the components: without the `.` of `./guest.elf`.
            let path: PathBuf = self.folder.join(text).components().collect();
            let wrong = |why: &dyn Display| {
                self.wrong(
                    value,
                    format!(
                        "{}: {why}; a guest is a big-endian 64-bit ELF file",
                        path.display()
                    ),
                )
            };
            return match std::fs::read(&path) {
                Err(error) => wrong(&error),
                Ok(bytes) => match crate::payload::loadable_part(&bytes) {
                    Err(error) => wrong(&error),
                    Ok(_) => Ok(Guest::Elf(path)),
                },
            };
        }
        if text == "linux" {
            return Ok(Guest::Linux);
        }
        let known = guests::test_guest_names();
        if known.contains(text) {
            return Ok(Guest::Test(text.clone()));
        }
        let message = format!(
            "there is no guest `{text}`: a guest is `linux`, a test guest ({}), or a path to an ELF file",
            known.join(", ")
        );
        self.wrong(value, message)
    }

    fn vm_memory(&self, raw: &RawVm, guest: &Guest, machine_memory: u64) -> Checked<u64> {
        let Some(value) = &raw.memory else {
            return Ok(128 << 20);
        };
        let memory = self.size(value)?;
        let text = value.get_ref();
        let least = if *guest == Guest::Linux {
            LINUX_MEMORY
        } else {
            VM_MEMORY_STEP
        };
        if memory % VM_MEMORY_STEP != 0 || memory < least {
            let message = format!(
                "memory = \"{text}\": must be a multiple of {} and at least {} for this guest",
                show(VM_MEMORY_STEP),
                show(least)
            );
            return self.wrong(value, message);
        }
        if memory > machine_memory {
            let message = format!(
                "memory = \"{text}\": more than the machine has: less, or more than \"{}\" under [hardware]",
                show(machine_memory)
            );
            return self.wrong(value, message);
        }
        Ok(memory)
    }

    fn command_line(&self, value: Option<&Spanned<String>>, guest: &Guest) -> Checked<String> {
        let Some(value) = value else {
            return Ok(String::new());
        };
        let text = value.get_ref();
        let most = COMMAND_LINE_MAX - guests::own_command_line(guest).len() - 1;
        if text.len() > most || text.contains('\0') {
            let message = format!(
                "cmdline has {} bytes: it can have {most}, none of them 0",
                text.len()
            );
            return self.wrong(value, message);
        }
        Ok(text.clone())
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
