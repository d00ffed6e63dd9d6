//! How a virtio device on the PCI bus is found, set up and reached.

use super::queue::Queue;
use super::{Device, Unusable, VERSION_1};
use crate::board::pci::{self, ConfigSpace, FreeMemory, Function, Window, BARS};
use crate::board::registers::Registers;

/// Vendor of all virtio devices.
const VENDOR: u16 = 0x1af4;
/// Device: this and the kind.
const MODERN: u16 = 0x1040;
/// Devices from here on up to [`MODERN`] know the time before version 1, too; the subsystem is the
/// kind.
const TRANSITIONAL: u16 = 0x1000;
/// Capability of a vendor's own: here where registers are.
const VENDOR_CAPABILITY: u8 = 9;

/// Which registers a capability tells of.
const COMMON: u32 = 1;
/// See [`COMMON`].
const NOTIFY: u32 = 2;
/// See [`COMMON`].
const ISR: u32 = 3;
/// See [`COMMON`].
const CONFIG: u32 = 4;

// Common registers.
const DEVICE_FEATURES_SELECT: u64 = 0;
const DEVICE_FEATURES: u64 = 4;
const DRIVER_FEATURES_SELECT: u64 = 8;
const DRIVER_FEATURES: u64 = 12;
const STATUS: u64 = 20;
const GENERATION: u64 = 21;
const QUEUE_SELECT: u64 = 22;
const QUEUE_SIZE: u64 = 24;
const QUEUE_ENABLE: u64 = 28;
const QUEUE_NOTIFY: u64 = 30;
const QUEUE_DESCRIPTORS: u64 = 32;
const QUEUE_AVAILABLE: u64 = 40;
const QUEUE_USED: u64 = 48;
/// Bytes of the common registers.
const COMMON_LEN: u64 = 56;

/// Status: seen, and how to drive it is known.
const SEEN: u8 = 1 | 2;
/// Status: it works.
const DRIVER_OK: u8 = 4;
/// Status: the features are agreed on.
const FEATURES_OK: u8 = 8;
/// How often a device that is being reset is looked at.
const RESET_LOOKS: u32 = 10_000;

/// What a device is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A network card.
    Network,
    /// A disk.
    Block,
}

impl Kind {
    /// What `function` is, if it is a virtio device that there is a driver for.
    pub fn of(function: &Function) -> Option<Self> {
        let (vendor, device) = pci::id(function);
        let kind = match device {
            _ if vendor != VENDOR => return None,
            TRANSITIONAL..MODERN => pci::subsystem(function),
            _ => device.checked_sub(MODERN)?,
        };
        match kind {
            1 => Some(Self::Network),
            2 => Some(Self::Block),
            _ => None,
        }
    }
}

/// Little-endian registers in PCI memory.
#[derive(Clone, Copy, Debug)]
struct Area {
    registers: Registers,
    bytes: u64,
}

impl Area {
    /// What capability `wanted` of `function` tells of, at least `bytes` long, and the capability's
    /// place.
    fn find(
        function: &Function,
        windows: &[Option<Window>; BARS],
        wanted: u32,
        bytes: u64,
    ) -> Option<(Self, u32)> {
        pci::capabilities(function, VENDOR_CAPABILITY).find_map(|place| {
            if function.read(place) >> 24 != wanted {
                return None;
            }
            let window = (*windows.get(function.read(place + 4) as usize & 0xff)?)?;
            let offset = u64::from(function.read(place + 8));
            let length = u64::from(function.read(place + 12));
            if offset % 4 != 0 || length < bytes || offset + length > window.bytes {
                return None;
            }
            // SAFETY: the device answers in the whole window, and this is its driver.
            let registers = unsafe { Registers::at(window.address + offset) };
            let area = Self {
                registers,
                bytes: length,
            };
            Some((area, place))
        })
    }

    fn read8(self, offset: u64) -> u8 {
        self.registers.read8(offset)
    }

    fn read16(self, offset: u64) -> u16 {
        self.registers.read16(offset).swap_bytes()
    }

    fn write16(self, offset: u64, value: u16) {
        self.registers.write16(offset, value.swap_bytes());
    }

    fn read32(self, offset: u64) -> u32 {
        self.registers.read32(offset).swap_bytes()
    }

    fn write32(self, offset: u64, value: u32) {
        self.registers.write32(offset, value.swap_bytes());
    }

    fn write64(self, offset: u64, value: u64) {
        self.write32(offset, value as u32);
        self.write32(offset + 4, (value >> 32) as u32);
    }
}

/// A device's interrupt register.
#[derive(Clone, Copy, Debug)]
pub struct Interrupt(Area);

impl Interrupt {
    /// Whether the device has asked for service since the last time this was read. It stops asking:
    /// look at its queues afterwards.
    pub fn take(self) -> bool {
        self.0.read8(0) != 0
    }
}

/// A device on the PCI bus.
#[derive(Debug)]
pub struct Transport {
    function: Function,
    common: Area,
    notify: Area,
    notify_step: u64,
    interrupt: Area,
    config: Area,
    /// Features agreed on.
    features: u64,
    /// Where each queue's notices go, in `notify`.
    doorbells: [u64; 2],
}

impl Transport {
    /// Switches `function` on, with registers in `free`, and agrees with it on the features of
    /// `needed`, and of `wanted` where it has them. `config` is how many bytes of registers its kind
    /// has.
    ///
    /// # Errors
    /// It is not as version 1 has it, or lacks features. It is off then.
    #[cfg_attr(target_os = "none", link_section = ".init.text")]
    pub fn new(
        function: Function,
        free: &mut FreeMemory,
        needed: u64,
        wanted: u64,
        config: u64,
    ) -> Result<Self, Unusable> {
        let mut device = Self::find(function, free, config).ok_or_else(|| {
            pci::switch_off(&function);
            Unusable::Registers
        })?;
        let agreed = device.agree(needed, wanted);
        if agreed.is_err() {
            device.switch_off();
        }
        agreed.map(|()| device)
    }

    fn find(function: Function, free: &mut FreeMemory, config: u64) -> Option<Self> {
        let windows = pci::switch_on(&function, free)?;
        let area = |wanted, bytes| Area::find(&function, &windows, wanted, bytes);
        let (common, _) = area(COMMON, COMMON_LEN)?;
        let (notify, place) = area(NOTIFY, 2)?;
        let (interrupt, _) = area(ISR, 1)?;
        let (config, _) = area(CONFIG, config)?;
        Some(Self {
            function,
            common,
            notify,
            notify_step: function.read(place + 16).into(),
            interrupt,
            config,
            features: 0,
            doorbells: [0; 2],
        })
    }

    fn agree(&mut self, needed: u64, wanted: u64) -> Result<(), Unusable> {
        if !self.reset() {
            return Err(Unusable::Reset);
        }
        let common = self.common;
        common.registers.write8(STATUS, SEEN);
        let mut offered = 0;
        for half in [0, 1] {
            common.write32(DEVICE_FEATURES_SELECT, half);
            offered |= u64::from(common.read32(DEVICE_FEATURES)) << (32 * half);
        }
        let needed = needed | VERSION_1;
        if needed & !offered != 0 {
            return Err(Unusable::Features(needed & !offered));
        }
        self.features = offered & (needed | wanted);
        for half in [0, 1] {
            common.write32(DRIVER_FEATURES_SELECT, half);
            common.write32(DRIVER_FEATURES, (self.features >> (32 * half)) as u32);
        }
        common.registers.write8(STATUS, SEEN | FEATURES_OK);
        if common.read8(STATUS) & FEATURES_OK == 0 {
            return Err(Unusable::Features(self.features));
        }
        Ok(())
    }

    /// Resets the device; whether it says that it is done.
    fn reset(&self) -> bool {
        self.common.registers.write8(STATUS, 0);
        (0..RESET_LOOKS).any(|_| self.common.read8(STATUS) == 0)
    }

    /// Which function of the bus it is.
    pub const fn function(&self) -> Function {
        self.function
    }

    /// The features agreed on.
    pub const fn features(&self) -> u64 {
        self.features
    }

    /// Its interrupt register.
    pub const fn interrupt(&self) -> Interrupt {
        Interrupt(self.interrupt)
    }

    /// The 32-bit register of its kind at `offset`, a multiple of 4; 0 behind the last one.
    pub fn config32(&self, offset: u64) -> u32 {
        if offset + 4 <= self.config.bytes {
            self.config.read32(offset)
        } else {
            0
        }
    }

    /// Two neighbouring ones, read together.
    #[cfg_attr(target_os = "none", link_section = ".init.text")]
    pub fn config64(&self, offset: u64) -> u64 {
        let read = || {
            let generation = self.common.read8(GENERATION);
            let low = u64::from(self.config32(offset));
            (generation, u64::from(self.config32(offset + 4)) << 32 | low)
        };
        let (mut generation, mut value) = read();
        // A device that never comes to rest is not waited for.
        for _ in 0..8 {
            if self.common.read8(GENERATION) == generation {
                break;
            }
            (generation, value) = read();
        }
        value
    }

    /// Tells the device of its queue `number`, 0 or 1.
    ///
    /// # Errors
    /// It cannot be as long as the driver's.
    pub fn set_queue<const N: usize>(
        &mut self,
        number: u16,
        queue: &Queue<N>,
    ) -> Result<(), Unusable> {
        let common = self.common;
        common.write16(QUEUE_SELECT, number);
        let addresses = queue.addresses();
        let doorbell = u64::from(common.read16(QUEUE_NOTIFY)) * self.notify_step;
        let place = self.doorbells.get_mut(usize::from(number));
        let (Some(place), true) = (place, doorbell + 2 <= self.notify.bytes) else {
            return Err(Unusable::Registers);
        };
        if usize::from(common.read16(QUEUE_SIZE)) < N {
            return Err(Unusable::Queue);
        }
        *place = doorbell;
        common.write16(QUEUE_SIZE, N as u16);
        common.write64(QUEUE_DESCRIPTORS, addresses.descriptors);
        common.write64(QUEUE_AVAILABLE, addresses.available);
        common.write64(QUEUE_USED, addresses.used);
        common.write16(QUEUE_ENABLE, 1);
        Ok(())
    }

    /// Lets the device work.
    pub fn start(&self) {
        let status = SEEN | FEATURES_OK | DRIVER_OK;
        self.common.registers.write8(STATUS, status);
    }
}

impl Device for Transport {
    fn notify(&self, queue: u16) {
        if let Some(&doorbell) = self.doorbells.get(usize::from(queue)) {
            self.notify.write16(doorbell, queue);
        }
    }

    fn switch_off(&self) {
        pci::switch_off(&self.function);
        self.reset();
    }
}
