//! Checks a virtual machine of the description by itself.

use super::{Checked, Checker};
use crate::build::guests;
use crate::description::read::RawVm;
use crate::description::size::show;
use crate::description::{root_of, Disk, Guest, Load, Root, Vm, VM_MEMORY_STEP};
use disco_abi::{COMMAND_LINE_MAX, NAME_MAX};
use disco_flash::VCPUS_PER_VM;
use std::fmt::Display;
use std::path::PathBuf;
use toml::Spanned;

/// The least memory that Linux boots in.
const LINUX_MEMORY: u64 = 32 << 20;

impl Checker<'_> {
    /// Checks one `[[vm]]` by itself.
    pub(super) fn vm(&self, raw: &RawVm, machine_memory: u64, all_disks: &[Disk]) -> Checked<Vm> {
        let name = self.name(&raw.name)?;
        let guest = self.guest(&raw.guest)?;
        let cpus = self.count("cpus", raw.cpus.as_ref(), 1, 1..=VCPUS_PER_VM as i64)?;
        let memory = self.vm_memory(raw, &guest, machine_memory)?;
        let disks = self.disks_of(raw, all_disks)?;
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
        let load = match raw.load.as_ref().map(|value| (value, &**value.get_ref())) {
            None | Some((_, "memory")) => Load::Memory,
            Some((_, "disk")) => Load::Disk,
            Some((value, other)) => {
                let message =
                    format!("load = \"{other}\": a guest is loaded from `memory` or from `disk`");
                return self.wrong(value, message);
            }
        };
        let root = root_of(all_disks, &disks, initrd.is_some());
        let command_line = self.command_line(raw.cmdline.as_ref(), &guest, root)?;
        Ok(Vm {
            name,
            guest,
            cpus,
            memory,
            command_line,
            initrd,
            load,
            autostart: raw.autostart.unwrap_or(true),
            disks,
            net: raw.net,
        })
    }

    /// The name of a virtual machine or of a disk.
    pub(super) fn name(&self, value: &Spanned<String>) -> Checked<String> {
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
        let known = guests::own_names();
        if known.contains(text) {
            return Ok(Guest::Own(text.clone()));
        }
        let message = format!(
            "there is no guest `{text}`: a guest is `linux`, one that is built here ({}), or a path to an ELF file",
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
        if !memory.is_multiple_of(VM_MEMORY_STEP) || memory < least {
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

    fn command_line(
        &self,
        value: Option<&Spanned<String>>,
        guest: &Guest,
        root: Root,
    ) -> Checked<String> {
        let Some(value) = value else {
            return Ok(String::new());
        };
        let text = value.get_ref();
        let most = COMMAND_LINE_MAX - guests::own_command_line(guest, root).len() - 1;
        if text.len() > most || text.contains('\0') {
            let message = format!(
                "cmdline has {} bytes: it can have {most}, none of them 0",
                text.len()
            );
            return self.wrong(value, message);
        }
        Ok(text.clone())
    }
}
