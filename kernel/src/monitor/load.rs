//! A guest's files go into the memory of its virtual machine.

use super::real::{self, RealMemory};
use super::resident::{ResidentVm, StartError};
use super::Monitor;
use crate::address::GuestPhysical;
use crate::clock::count_hz;
use crate::machine::{NodeId, PageRange};
use crate::vm::loader::{self, GuestMemory, Image};
use disco_abi::PAGE_SIZE;
use disco_flash::{text, NONE};

impl Monitor {
    /// Loads the guest of `vm` into its memory; its entry point.
    ///
    /// # Errors
    /// The guest cannot be loaded, or there is not enough memory.
    pub(super) fn load_guest(
        &'static self,
        vm: &'static ResidentVm,
        node: NodeId,
    ) -> Result<u64, StartError> {
        let slot = vm.slot;
        let file = |index: u32| match self.description.files.get(index as usize) {
            Some(file) => {
                let start = file.offset.get() as usize;
                self.payload
                    .get(start..start + file.len.get() as usize)
                    .unwrap_or(&[])
            }
            None => &[],
        };
        let described = slot.described;
        let initrd = described.initrd.get();
        let image = Image {
            name: slot.name,
            kernel: file(described.kernel.get()),
            initrd: if initrd == NONE { &[] } else { file(initrd) },
            command_line: text(&described.command_line),
            vcpus: slot.vcpu_count().into(),
            count_hz: count_hz(),
        };
        let mut target = Loading {
            monitor: self,
            vm,
            node,
            short: false,
        };
        let entry = loader::load(&image, &mut target).map_err(StartError::Load)?;
        if target.short {
            return Err(StartError::NoMemory);
        }
        Ok(entry)
    }
}

/// Memory of a virtual machine while its guest is loaded.
struct Loading {
    monitor: &'static Monitor,
    vm: &'static ResidentVm,
    node: NodeId,
    /// A page could not be had.
    short: bool,
}

impl GuestMemory for Loading {
    fn bytes(&self) -> u64 {
        self.vm.pmap.pages() * PAGE_SIZE
    }

    fn write(&mut self, mut address: GuestPhysical, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = (PAGE_SIZE - address.offset_in_page()) as usize;
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            let page = address.page();
            if self.monitor.populate(self.vm, self.node, page).is_err() {
                self.short = true;
                return;
            }
            if let Some(machine) = self.vm.pmap.machine_page(page) {
                let start = address.offset_in_page() as usize;
                // SAFETY: the page is the virtual machine's, which does not run yet.
                let page = unsafe { RealMemory::bytes(PageRange::new(machine, 1)) };
                page[start..][..now.len()].copy_from_slice(now);
                real::publish(&page[start..][..now.len()]);
            }
            address = GuestPhysical(address.0 + now.len() as u64);
            bytes = later;
        }
    }
}
