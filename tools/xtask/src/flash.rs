//! Puts the flash image together, and reads the machine description back out of one.

use crate::build::monitor::Image;
use anyhow::{ensure, Context, Result};
use disco_flash::{
    Description, DescriptionView, FlashHeader, CHECKED_FROM, FLASH_MAGIC, FLASH_SIZE,
    FLASH_VERSION, RESET_SIZE,
};
use std::fs;
use std::path::{Path, PathBuf};
use zerocopy::{FromBytes, IntoBytes};

/// A flash image and the payload that belongs to it, as they are handed to QEMU.
pub struct Flash {
    /// [`FLASH_SIZE`] bytes.
    pub image: Vec<u8>,
    /// Empty if there is none.
    pub payload: Vec<u8>,
}

/// Where the payload of the image at `image` lies.
pub fn payload_path(image: &Path) -> PathBuf {
    let mut name = image.as_os_str().to_owned();
    name.push(".payload");
    name.into()
}

impl Flash {
    /// Lays out the monitor and the description (with its tables) in a flash.
    pub fn assemble(monitor: &Image, description: &[u8], payload: Vec<u8>) -> Result<Self> {
        let monitor_offset = (RESET_SIZE + size_of::<FlashHeader>()).next_multiple_of(16);
        let description_offset = (monitor_offset + monitor.bytes.len()).next_multiple_of(16);
        let used = description_offset + description.len();
        ensure!(
            used <= FLASH_SIZE,
            "the monitor and the machine description take {used} bytes, and the flash has {FLASH_SIZE}"
        );
        let mut image = vec![0xff; FLASH_SIZE];
        image[..monitor.reset.len()].copy_from_slice(&monitor.reset);
        image[monitor_offset..][..monitor.bytes.len()].copy_from_slice(&monitor.bytes);
        image[description_offset..][..description.len()].copy_from_slice(description);
        let mut header = FlashHeader {
            magic: FLASH_MAGIC,
            version: FLASH_VERSION.into(),
            crc32: 0.into(),
            length: u32::try_from(FLASH_SIZE)?.into(),
            monitor_offset: u32::try_from(monitor_offset)?.into(),
            monitor_len: u32::try_from(monitor.bytes.len())?.into(),
            monitor_bss: u32::try_from(monitor.bss)?.into(),
            load_address: monitor.load_address.into(),
            entry: monitor.entry.into(),
            description_offset: u32::try_from(description_offset)?.into(),
            description_len: u32::try_from(description.len())?.into(),
        };
        let place = RESET_SIZE..RESET_SIZE + size_of::<FlashHeader>();
        image[place.clone()].copy_from_slice(header.as_bytes());
        header.crc32 = crc32fast::hash(&image[CHECKED_FROM..]).into();
        image[place].copy_from_slice(header.as_bytes());
        Ok(Self { image, payload })
    }

    /// Writes the image, and the payload beside it if there is one.
    pub fn write(&self, path: &Path) -> Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let write = |path: &Path, bytes: &[u8]| {
            fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
        };
        write(path, &self.image)?;
        let payload = payload_path(path);
        if self.payload.is_empty() {
            // That of an image before this one.
            let _ = fs::remove_file(payload);
            return Ok(());
        }
        write(&payload, &self.payload)
    }
}

/// What QEMU has to be told about a flash image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hardware {
    /// CPUs.
    pub cpus: u32,
    /// Nodes.
    pub nodes: u32,
    /// Bytes of RAM.
    pub memory: u64,
    /// Where in RAM the region of the exact model begins, behind all nodes' memory, if there is one.
    pub magic: Option<u64>,
    /// Nanoseconds of a miss of a CPU of each node (row) on memory of each node (column).
    pub latency_ns: Vec<Vec<u64>>,
    /// Where the payload goes, if there is one.
    pub payload_address: Option<u64>,
    /// Whether virtual machines can have disks, which are on a real one.
    pub disk: bool,
    /// The virtual machines, in order.
    pub vms: Vec<VmFacts>,
}

/// What a run has to know of a virtual machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VmFacts {
    /// Its name.
    pub name: String,
    /// Whether it runs Linux.
    pub linux: bool,
    /// Whether it is started at boot.
    pub started: bool,
    /// Whether it is on the virtual subnet.
    pub net: bool,
}

impl Hardware {
    /// The board an unreadable image is started on, so that the firmware can say what is wrong.
    pub const FALLBACK: Self = Self {
        cpus: 2,
        nodes: 1,
        memory: 1 << 30,
        magic: None,
        latency_ns: Vec::new(),
        payload_address: None,
        disk: false,
        vms: Vec::new(),
    };

    /// Reads the facts from an image, which may hold anything.
    pub fn of_image(image: &[u8]) -> Option<Self> {
        let (header, _) = FlashHeader::ref_from_prefix(image.get(RESET_SIZE..)?).ok()?;
        if header.magic != FLASH_MAGIC {
            return None;
        }
        let start = header.description_offset.get() as usize;
        let bytes = image.get(start..start.checked_add(header.description_len.get() as usize)?)?;
        let view = DescriptionView::parse(bytes).ok()?;
        Self::of_description(&view)
    }

    fn of_description(view: &DescriptionView) -> Option<Self> {
        let machine: &Description = view.machine;
        let divided = machine.memory.get();
        let memory = divided.checked_add(machine.magic_len.get())?;
        if !crate::description::MEMORY.contains(&memory) || !memory.is_multiple_of(1 << 20) {
            return None;
        }
        let vms = view.vms.iter().map(|vm| {
            let kernel = view.files.get(vm.kernel.get() as usize);
            VmFacts {
                name: disco_flash::text(&vm.name).to_owned(),
                linux: kernel.is_some_and(|file| disco_flash::text(&file.name) == "linux"),
                started: vm.autostart.get() == 1,
                net: vm.net.get() == 1,
            }
        });
        let nodes = machine.nodes.get() as usize;
        let latency = |from| (0..nodes).map(move |to| machine.numa.latency_ns(from, to));
        Some(Self {
            cpus: machine.cpus.get(),
            nodes: machine.nodes.get(),
            memory,
            magic: (machine.magic_len.get() > 0).then_some(divided),
            latency_ns: (0..nodes).map(|from| latency(from).collect()).collect(),
            payload_address: Some(machine.payload_address.get()).filter(|&address| address != 0),
            disk: !view.disks.is_empty(),
            vms: vms.collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Flash, Hardware};
    use crate::build::monitor::Image;
    use disco_flash::{Description, CHECKED_FROM, DESCRIPTION_MAGIC, FLASH_SIZE, NONE, RESET_SIZE};
    use proptest::prelude::*;
    use zerocopy::IntoBytes;

    fn description(cpus: u32, memory: u64) -> Vec<u8> {
        let description = Description {
            magic: DESCRIPTION_MAGIC,
            cpus: cpus.into(),
            nodes: 1.into(),
            memory: memory.into(),
            overcommit: 0.into(),
            console: NONE.into(),
            vm_count: 0.into(),
            file_count: 0.into(),
            payload_address: 0.into(),
            payload_len: 0.into(),
            disk_count: 0.into(),
            mount_count: 0.into(),
            magic_address: 0.into(),
            magic_len: 0.into(),
            numa: crate::description::Numa::default().encode(),
        };
        description.as_bytes().to_vec()
    }

    fn flash(cpus: u32, memory: u64) -> Vec<u8> {
        let monitor = Image {
            reset: vec![1; 100],
            bytes: vec![2; 1600],
            bss: 32,
            load_address: 0x9800_0000_8000_0000,
            entry: 0x9800_0000_8000_0010,
        };
        Flash::assemble(&monitor, &description(cpus, memory), Vec::new())
            .unwrap()
            .image
    }

    #[test]
    fn the_hardware_reads_back() {
        let image = flash(4, 256 << 20);
        assert_eq!(image.len(), FLASH_SIZE);
        let hardware = Hardware::of_image(&image).unwrap();
        assert_eq!((hardware.cpus, hardware.memory), (4, 256 << 20));
    }

    #[test]
    fn impossible_hardware_is_not_believed() {
        assert_eq!(Hardware::of_image(&flash(17, 256 << 20)), None);
        assert_eq!(Hardware::of_image(&flash(1, 1 << 40)), None);
        assert_eq!(Hardware::of_image(&flash(1, (256 << 20) + 1)), None);
        assert_eq!(Hardware::of_image(&[0xff; 100]), None);
    }

    proptest! {
        #[test]
        fn the_checksum_finds_any_damaged_byte(place in CHECKED_FROM..FLASH_SIZE, flip in 1_u8..) {
            let mut image = flash(1, 64 << 20);
            let sum = |image: &[u8]| crc32fast::hash(&image[CHECKED_FROM..]);
            let written = u32::from_be_bytes(image[RESET_SIZE + 12..][..4].try_into().unwrap());
            prop_assert_eq!(sum(&image), written);
            image[place] ^= flip;
            prop_assert_ne!(sum(&image), written);
        }

        #[test]
        fn any_header_is_read_without_a_panic(header in proptest::collection::vec(any::<u8>(), 48)) {
            let mut image = flash(1, 64 << 20);
            image[RESET_SIZE + 8..][..48].copy_from_slice(&header);
            let _ = Hardware::of_image(&image);
        }
    }
}
