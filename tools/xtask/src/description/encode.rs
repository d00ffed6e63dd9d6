//! The description as it travels in the flash.

use super::{Disk, Machine, Root, Vm, VM_MEMORY_STEP};
use crate::build::guests;
use crate::disk::{log_guid, partition_guid};
use crate::payload::{fixed_text, Payload};
use anyhow::{ensure, Result};
use disco_abi::DiskMode;
use disco_flash::{Description, Mount, DESCRIPTION_MAGIC, NONE, RAM_BASE};
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
        let mut payload = Payload::default();
        let mut vms = Vec::new();
        for vm in &self.vms {
            vms.push(vm.encode(self.root_of(vm), &mut payload)?);
        }
        let disks: Vec<_> = self.disks.iter().map(Disk::encode).collect();
        let mounts = self.mounts()?;
        let length = payload.bytes.len() as u64;
        let available = super::check::available(self.memory, self.nodes, length);
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
            memory: self.memory.into(),
            overcommit: u32::from(self.overcommit).into(),
            console: self.console.map_or(Ok(NONE), u32::try_from)?.into(),
            vm_count: u32::try_from(vms.len())?.into(),
            file_count: u32::try_from(payload.files.len())?.into(),
            payload_address: payload_address(self.memory, length).into(),
            payload_len: length.into(),
            disk_count: u32::try_from(disks.len())?.into(),
            mount_count: u32::try_from(mounts.len())?.into(),
        };
        let mut bytes = machine.as_bytes().to_vec();
        bytes.extend_from_slice(vms.as_bytes());
        bytes.extend_from_slice(payload.files.as_bytes());
        bytes.extend_from_slice(disks.as_bytes());
        bytes.extend_from_slice(mounts.as_bytes());
        Ok((bytes, payload))
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

impl Vm {
    fn encode(&self, root: Root, payload: &mut Payload) -> Result<disco_flash::Vm> {
        let kernel = guests::kernel(&self.guest, payload)?;
        let initrd = guests::initrd(&self.guest, self.initrd.as_deref(), root, payload)?;
        let own = guests::own_command_line(&self.guest, root);
        let command_line = format!("{own} {}", self.command_line);
        Ok(disco_flash::Vm {
            name: fixed_text(&self.name),
            memory: self.memory.into(),
            vcpus: self.cpus.into(),
            kernel: kernel.into(),
            initrd: initrd.unwrap_or(NONE).into(),
            autostart: u32::from(self.autostart).into(),
            net: u32::from(self.net).into(),
            reserved: 0.into(),
            command_line: fixed_text(command_line.trim()),
        })
    }
}
