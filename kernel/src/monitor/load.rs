//! A guest's files go into the memory of its virtual machine.

use super::real::{self, RealMemory};
use super::resident::{ResidentVm, StartError};
use super::Monitor;
use crate::address::{GuestPhysical, MachineAddress, MachinePage};
use crate::clock::count_hz;
use crate::machine::shared::PageRef;
use crate::machine::{NodeId, Owner, PageRange};
use crate::vm::loader::{self, GuestMemory, Image};
use crate::vm::pmap::Backing;
use disco_abi::PAGE_SIZE;
use disco_flash::{text, NONE};

impl Monitor {
    /// The pages that are the payload's alone.
    pub(super) fn payload_pages(&self) -> PageRange {
        let payload = self.layout.payload;
        let first = payload.start.0.div_ceil(PAGE_SIZE);
        let count = (payload.end.0 / PAGE_SIZE).saturating_sub(first);
        PageRange::new(MachinePage(first), count)
    }

    /// Lets virtual machines use the payload's pages as they are, at boot.
    pub(super) fn share_payload(&self) {
        for page in self.payload_pages().pages() {
            // One that is not the payload's is not used as it is.
            let _ = self.machine.share_payload(page);
        }
    }

    /// The page of the payload that `bytes` begin with, if they hold all of it and it can be used as
    /// it is.
    fn payload_page(&self, bytes: &[u8]) -> Option<MachinePage> {
        let start = self.payload.as_ptr().addr();
        let offset = bytes.as_ptr().addr().checked_sub(start)?;
        if bytes.len() < PAGE_SIZE as usize || offset >= self.payload.len() {
            return None;
        }
        let address = MachineAddress(self.layout.payload.start.0 + offset as u64);
        let whole = address.offset_in_page() == 0;
        let page = address.page();
        (whole && self.machine.owner(page) == Some(Owner::Shared)).then_some(page)
    }

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

impl Loading {
    /// Puts the payload's own page that `bytes` begin with behind `address`, if there is nothing yet and
    /// it is a whole page here, too; what is left of them. The guest's first write to it makes a
    /// copy.
    fn share<'a>(&self, address: GuestPhysical, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let (monitor, pmap) = (self.monitor, &self.vm.pmap);
        let page = monitor.payload_page(bytes)?;
        let at = address.page();
        if address.offset_in_page() != 0 || pmap.backing(at) != Backing::Nothing {
            return None;
        }
        // The payload is a user for ever.
        let shared = monitor.machine.share(&PageRef::counted(page));
        pmap.exchange(at, Backing::Shared(shared.page()));
        bytes.get(PAGE_SIZE as usize..)
    }
}

impl GuestMemory for Loading {
    fn bytes(&self) -> u64 {
        self.vm.pmap.pages() * PAGE_SIZE
    }

    fn write(&mut self, mut address: GuestPhysical, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if let Some(rest) = self.share(address, bytes) {
                address = GuestPhysical(address.0 + PAGE_SIZE);
                bytes = rest;
                continue;
            }
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
