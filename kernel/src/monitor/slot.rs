//! The virtual machines of the description: one slot each, whether it runs or not.

use super::resident::Resident;
use crate::machine::VmId;
use crate::schedule::VcpuId;
use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
use disco_abi::MESSAGE_MAX;
use disco_flash::{text, Vm as Described};
use spin::Mutex;

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
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let room = MESSAGE_MAX - self.length;
        let count = text.len().min(room);
        self.bytes[self.length..][..count].copy_from_slice(&text.as_bytes()[..count]);
        self.length += count;
        Ok(())
    }
}

/// Whether a virtual machine runs.
#[derive(Clone, Copy, Debug)]
pub enum VmState {
    /// Not started since boot.
    Off,
    /// It runs; [`VmSlot::resident`] is not null.
    Running,
    /// It has ended.
    Stopped {
        /// The monitor's word for why.
        reason: &'static str,
        /// More about it.
        message: Message,
    },
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
    /// Guards starting and ending, and keeps [`VmSlot::resident`] from going away while somebody
    /// reads statistics through it. Taken before a node's and the console's lock.
    pub state: Mutex<VmState>,
    /// The running virtual CPU with its tables. Written by its home CPU under `state`.
    resident: AtomicPtr<Resident>,
    /// How often it was started.
    pub starts: AtomicU64,
}

impl VmSlot {
    /// A slot that does not run.
    pub fn new(id: VmId, described: &'static Described) -> Self {
        Self {
            id,
            name: text(&described.name),
            described,
            state: Mutex::new(VmState::Off),
            resident: AtomicPtr::new(core::ptr::null_mut()),
            starts: AtomicU64::new(0),
        }
    }

    /// The running virtual CPU, or null.
    pub fn resident(&self) -> *mut Resident {
        self.resident.load(Ordering::Acquire)
    }

    /// Makes `resident` the running virtual CPU. Under [`VmSlot::state`].
    pub fn set_resident(&self, resident: *mut Resident) {
        self.resident.store(resident, Ordering::Release);
    }

    /// Its virtual CPU for the scheduler.
    pub fn vcpu(&self) -> VcpuId {
        VcpuId(self.id.0)
    }
}
