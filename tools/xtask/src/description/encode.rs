//! The description as it travels in the flash.

use super::{Disk, Load, Machine, Vm, VM_MEMORY_STEP};
use crate::build::guests::{self, GuestFile};
use crate::disk::{file_guid, log_guid, partition_guid};
use crate::payload::{fixed_text, Payload};
use anyhow::{ensure, Context, Result};
use disco_abi::{DiskMode, DISK_BYTES_MAX, DISK_COMMANDS_MAX, PAGE_SIZE};
use disco_flash::{Description, Mount, DESCRIPTION_MAGIC, DISKS_MAX, MOUNTS_MAX, NONE, RAM_BASE};
use disco_magic::Geometry;
use zerocopy::IntoBytes;

/// Where a payload of `length` bytes lies in a machine's RAM: at its end.
fn payload_address(memory: u64, length: u64) -> u64 {
    if length == 0 {
        return 0;
    }
    let start = memory.saturating_sub(length);
    RAM_BASE + (start - start % VM_MEMORY_STEP)
}

impl Machine {
    /// Collects the guests' files from where [`guests`] has built them and writes everything
    /// down for the firmware.
    pub fn encode(&self) -> Result<(Vec<u8>, Payload)> {
        let stored = self.stored()?;
        let mut payload = Payload::default();
        let mut vms = Vec::new();
        for vm in &self.vms {
            vms.push(self.encode_vm(vm, &stored, &mut payload)?);
        }
        let mut disks: Vec<_> = self.disks.iter().map(Disk::encode).collect();
        let mut mounts = self.mounts()?;
        for file in &stored {
            mounts.push(Mount {
                vm: NONE.into(),
                disk: u32::try_from(disks.len())?.into(),
                log: [0; 16],
            });
            disks.push(disk_of(file));
        }
        ensure!(
            disks.len() <= DISKS_MAX && mounts.len() <= MOUNTS_MAX,
            "{} disks and guests' files on the disk, which virtual machines have {} times: {DISKS_MAX} and \
             {MOUNTS_MAX} at most",
            disks.len(),
            mounts.len()
        );
        // What is read from the disk is in memory, too, when a guest is loaded from it.
        let read: usize = stored.iter().map(|file| file.content.len()).sum();
        let length = (payload.bytes.len() + read) as u64;
        self.check_counters()?;
        let magic_len = self.magic_len()?;
        let memory = self.memory - magic_len;
        let available = super::check::available(memory, self.nodes, length);
        let together: u64 = self.vms.iter().map(|vm| vm.memory).sum();
        ensure!(
            self.overcommit || together <= available,
            "the virtual machines have {} together, and beside {} of guest files only {} are free for \
             them: give them less, or the machine more",
            super::size::show(together),
            super::size::show(length),
            super::size::show(available)
        );
        let machine = Description {
            magic: DESCRIPTION_MAGIC,
            cpus: self.cpus.into(),
            nodes: self.nodes.into(),
            memory: memory.into(),
            overcommit: u32::from(self.overcommit).into(),
            console: self.console.map_or(Ok(NONE), u32::try_from)?.into(),
            vm_count: u32::try_from(vms.len())?.into(),
            file_count: u32::try_from(payload.files.len())?.into(),
            payload_address: payload_address(memory, payload.bytes.len() as u64).into(),
            payload_len: (payload.bytes.len() as u64).into(),
            disk_count: u32::try_from(disks.len())?.into(),
            mount_count: u32::try_from(mounts.len())?.into(),
            magic_address: if self.magic { RAM_BASE + memory } else { 0 }.into(),
            magic_len: magic_len.into(),
            numa: self.numa.encode(),
        };
        let mut bytes = machine.as_bytes().to_vec();
        bytes.extend_from_slice(vms.as_bytes());
        bytes.extend_from_slice(payload.files.as_bytes());
        bytes.extend_from_slice(disks.as_bytes());
        bytes.extend_from_slice(mounts.as_bytes());
        Ok((bytes, payload))
    }

    /// Whether somebody will count what the monitor is to read.
    pub fn check_counters(&self) -> Result<()> {
        ensure!(
            self.magic || !self.numa.magic_counters,
            "counters = \"magic\" needs the exact model beside the machine: say --magic, or counters = \"sampled\""
        );
        Ok(())
    }

    /// What the exact model's region takes of the end of RAM.
    fn magic_len(&self) -> Result<u64> {
        if !self.magic {
            return Ok(0);
        }
        let geometry = Geometry {
            nodes: self.nodes,
            page_bytes: u32::try_from(PAGE_SIZE)?,
            first_page: u32::try_from(RAM_BASE / PAGE_SIZE)?,
            pages: u32::try_from(self.memory / PAGE_SIZE)?,
        };
        Ok(geometry.bytes().next_multiple_of(VM_MEMORY_STEP))
    }

    /// A virtual machine, with its guest's files in `payload` or among those `stored` on the disk.
    fn encode_vm(
        &self,
        vm: &Vm,
        stored: &[GuestFile],
        payload: &mut Payload,
    ) -> Result<disco_flash::Vm> {
        let (kernel, initrd) = self.files_of(vm)?;
        let mut add = |file: &GuestFile| {
            let mut names = stored.iter().map(|other| &other.name);
            let place = match vm.load {
                Load::Memory => NONE,
                Load::Disk => {
                    let place = names.position(|name| *name == file.name);
                    u32::try_from(self.disks.len() + place.context("a file is not stored")?)?
                }
            };
            payload.add(place, &file.name, &file.content)
        };
        let files = [Some(&kernel), initrd.as_ref()];
        let pieces = files.into_iter().flatten();
        let commands: u64 = pieces
            .map(|file| (file.content.len() as u64).div_ceil(DISK_BYTES_MAX))
            .sum();
        ensure!(
            vm.load == Load::Memory || commands <= DISK_COMMANDS_MAX as u64,
            "kernel and ramdisk of `{}` are too large to be loaded from a disk: {} MiB together at most",
            vm.name,
            (DISK_COMMANDS_MAX as u64 * DISK_BYTES_MAX) >> 20
        );
        let own = guests::own_command_line(&vm.guest, self.root_of(vm));
        let command_line = format!("{own} {}", vm.command_line);
        Ok(disco_flash::Vm {
            name: fixed_text(&vm.name),
            memory: vm.memory.into(),
            vcpus: vm.cpus.into(),
            kernel: add(&kernel)?.into(),
            initrd: initrd.as_ref().map_or(Ok(NONE), &mut add)?.into(),
            autostart: u32::from(vm.autostart).into(),
            net: u32::from(vm.net).into(),
            reserved: 0.into(),
            command_line: fixed_text(command_line.trim()),
        })
    }

    /// Which virtual machine has which disk.
    fn mounts(&self) -> Result<Vec<Mount>> {
        let mut mounts = Vec::new();
        for (number, vm) in self.vms.iter().enumerate() {
            for &index in &vm.disks {
                let disk = &self.disks[index];
                let log = match disk.mode {
                    DiskMode::CowPersistent => log_guid(&disk.name, &vm.name),
                    _ => [0; 16],
                };
                mounts.push(Mount {
                    vm: u32::try_from(number)?.into(),
                    disk: u32::try_from(index)?.into(),
                    log,
                });
            }
        }
        Ok(mounts)
    }
}

impl Disk {
    fn encode(&self) -> disco_flash::Disk {
        disco_flash::Disk {
            name: fixed_text(&self.name),
            partition: partition_guid(&self.name),
            mode: (self.mode as u32).into(),
            reserved: 0.into(),
            private: self.private.into(),
        }
    }
}

/// The disk at whose beginning a guest's file lies, which no virtual machine counts.
fn disk_of(file: &GuestFile) -> disco_flash::Disk {
    disco_flash::Disk {
        name: fixed_text(&format!("file:{}", file.name)),
        partition: file_guid(&file.name),
        mode: (DiskMode::ReadOnly as u32).into(),
        reserved: 0.into(),
        private: 0.into(),
    }
}
