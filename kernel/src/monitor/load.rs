//! A guest's files go into the memory of its virtual machine: from the payload, or from where
//! [`super::fetch`] has them.

use super::fetch::Fetched;
use super::real::{self, RealMemory};
use super::resident::{ResidentVm, StartError};
use super::Monitor;
use crate::address::{GuestPhysical, MachineAddress, MachinePage};
use crate::clock::count_hz;
use crate::machine::shared::PageRef;
use crate::machine::{NodeId, Owner, PageRange};
use crate::vm::loader::{self, GuestFile, GuestMemory, Image};
use crate::vm::pmap::Backing;
use disco_abi::PAGE_SIZE;
use disco_arch::board::XKPHYS_CACHED;
use disco_flash::{text, NONE};
use zerocopy::byteorder::big_endian::U32;

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

    /// The page of the machine that `bytes` of a guest's file begin with, if they hold all of it and it can
    /// be used as it is.
    fn whole_page(&self, bytes: &[u8]) -> Option<MachinePage> {
        let address = MachineAddress(bytes.as_ptr().addr() as u64 & !XKPHYS_CACHED);
        let whole = address.offset_in_page() == 0 && bytes.len() >= PAGE_SIZE as usize;
        let page = address.page();
        (whole && self.machine.owner(page) == Some(Owner::Shared)).then_some(page)
    }

    /// The file of this number; an empty one if there is none.
    fn file(&'static self, number: U32) -> Result<Source, StartError> {
        let Some(file) = self.description.files.get(number.get() as usize) else {
            return Ok(Source::Memory(&[]));
        };
        if file.disk.get() != NONE {
            return Fetched::of(self, file).map(Source::Disk);
        }
        let start = file.offset.get() as usize;
        let bytes = self.payload.get(start..start + file.len.get() as usize);
        Ok(Source::Memory(bytes.unwrap_or(&[])))
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
        let described = slot.described;
        let (kernel, initrd) = (self.file(described.kernel)?, self.file(described.initrd)?);
        let image = Image {
            name: slot.name,
            kernel: &kernel,
            initrd: &initrd,
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

/// Where a file of a guest is.
enum Source {
    /// In the payload.
    Memory(&'static [u8]),
    /// In the disk cache.
    Disk(Fetched),
}

impl GuestFile for Source {
    fn length(&self) -> usize {
        match self {
            Self::Memory(bytes) => bytes.len(),
            Self::Disk(file) => file.length(),
        }
    }

    fn bytes(&self, offset: usize) -> &[u8] {
        match self {
            Self::Memory(bytes) => bytes.bytes(offset),
            Self::Disk(file) => file.bytes(offset),
        }
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
    /// Puts the page of the payload or of the disk cache that `bytes` begin with behind `address`, if there
    /// is nothing yet and it is a whole page here, too; what is left of them. The guest's first write to it
    /// makes a copy.
    fn share<'a>(&self, address: GuestPhysical, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let (monitor, pmap) = (self.monitor, &self.vm.pmap);
        let page = monitor.whole_page(bytes)?;
        let at = address.page();
        if address.offset_in_page() != 0 || pmap.backing(at) != Backing::Nothing {
            return None;
        }
        // The payload is a user for ever, what has fetched the guest until it is loaded.
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
