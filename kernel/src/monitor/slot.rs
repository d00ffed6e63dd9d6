//! The virtual machines of the description: one slot each, whether it runs or not.

use super::resident::ResidentVm;
use crate::console::encoded;
use crate::machine::VmId;
use crate::schedule::VcpuId;
use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
use disco_abi::MESSAGE_MAX;
use disco_arch::lock::Mutex;
use disco_flash::{text, Vm as Described};

/// A guest's text, cut to what a call takes.
#[derive(Clone, Copy, Debug)]
pub struct Message {
    bytes: [u8; MESSAGE_MAX],
    length: usize,
}

impl Message {
    /// No text.
    pub const EMPTY: Self = Self {
        bytes: [0; MESSAGE_MAX],
        length: 0,
    };

    /// The first bytes of `text`.
    pub fn new(text: &[u8]) -> Self {
        let mut message = Self::EMPTY;
        message.length = text.len().min(MESSAGE_MAX);
        message.bytes[..message.length].copy_from_slice(&text[..message.length]);
        message
    }

    /// The text.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl core::fmt::Write for Message {
    #[link_section = ".text.once"]
    #[inline(never)]
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let room = MESSAGE_MAX - self.length;
        let count = text.len().min(room);
        self.bytes[self.length..][..count].copy_from_slice(&text.as_bytes()[..count]);
        self.length += count;
        Ok(())
    }

    #[link_section = ".text.once"]
    #[inline(never)]
    fn write_char(&mut self, character: char) -> core::fmt::Result {
        self.write_str(encoded(character, &mut [0; 4]))
    }
}

/// Why a virtual machine ends.
#[derive(Clone, Copy, Debug)]
pub struct Ending {
    /// The monitor's word for it.
    pub reason: &'static str,
    /// More about it.
    pub message: Message,
    /// It starts again when it has ended.
    pub restart: bool,
}

/// What is known of a virtual machine that runs.
#[derive(Clone, Copy, Debug)]
pub struct Running {
    /// A bit for each virtual CPU that is on and was not asked to switch itself off.
    pub on: u16,
    /// Why it ends, if it does: its virtual CPUs are being switched off.
    pub ending: Option<Ending>,
}

/// Whether a virtual machine runs.
#[derive(Clone, Copy, Debug)]
pub enum VmState {
    /// Not started since boot.
    Off,
    /// Its guest is read from the real disk.
    Loading {
        /// Virtual CPUs that want the CPU whose time its start takes, see [`Monitor::finish`].
        ///
        /// [`Monitor::finish`]: super::Monitor::finish
        others: u64,
        /// Why it is not to start, if somebody has asked for that.
        ending: Option<Ending>,
    },
    /// It runs; [`VmSlot::resident`] is not null.
    Running(Running),
    /// It has ended.
    Stopped {
        /// The monitor's word for why.
        reason: &'static str,
        /// More about it.
        message: Message,
    },
}

impl VmState {
    /// Whether it runs, or is about to.
    pub const fn is_on(&self) -> bool {
        matches!(self, Self::Running(_) | Self::Loading { .. })
    }
}

/// One virtual machine of the description.
#[derive(Debug)]
pub struct VmSlot {
    /// Its number.
    pub id: VmId,
    /// Its name.
    pub name: &'static str,
    /// What the description says.
    pub described: &'static Described,
    /// The first of its virtual CPUs for the scheduler; the others follow.
    first: VcpuId,
    /// Guards starting and ending of it and of its virtual CPUs, and keeps [`VmSlot::resident`]
    /// from going away while somebody reads statistics through it. Taken before a node's and the
    /// console's lock.
    pub state: Mutex<VmState>,
    /// The virtual machine in memory. Written under `state`.
    resident: AtomicPtr<ResidentVm>,
    /// How often it was started.
    pub starts: AtomicU64,
}

impl VmSlot {
    /// A slot that does not run.
    pub fn new(id: VmId, described: &'static Described, first: VcpuId) -> Self {
        Self {
            id,
            name: text(&described.name),
            described,
            first,
            state: Mutex::new(VmState::Off),
            resident: AtomicPtr::new(core::ptr::null_mut()),
            starts: AtomicU64::new(0),
        }
    }

    /// The virtual machine in memory, or null.
    pub fn resident(&self) -> *mut ResidentVm {
        self.resident.load(Ordering::Acquire)
    }

    /// Makes `resident` the virtual machine in memory. Under [`VmSlot::state`].
    pub fn set_resident(&self, resident: *mut ResidentVm) {
        self.resident.store(resident, Ordering::Release);
    }

    /// How many virtual CPUs it has.
    pub fn vcpu_count(&self) -> u16 {
        self.described.vcpus.get() as u16
    }

    /// One of its virtual CPUs for the scheduler.
    pub fn vcpu(&self, number: u16) -> VcpuId {
        VcpuId(self.first.0 + number)
    }

    /// All its virtual CPUs for the scheduler.
    pub fn vcpus(&self) -> impl Iterator<Item = VcpuId> + '_ {
        (0..self.vcpu_count()).map(|number| self.vcpu(number))
    }

    /// Which of its virtual CPUs this is.
    pub fn number_of(&self, vcpu: VcpuId) -> Option<u16> {
        let number = vcpu.0.checked_sub(self.first.0)?;
        (number < self.vcpu_count()).then_some(number)
    }
}
