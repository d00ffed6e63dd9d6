//! What the virtual CPUs of a virtual machine do to each other.

use super::calls::Done;
use super::cpu::{Cpu, POSTED_IPI};
use super::resident::{Resident, ResidentVm};
use super::slot::VmState;
use super::Monitor;
use crate::numa::counters::add;
use crate::schedule::VcpuId;
use crate::vm::shootdown::{Request, ShootdownBox};
use core::ptr;
use core::sync::atomic::Ordering;
use disco_abi::{CallError, ShootdownKeys, LINE_IPI};
use disco_arch::board::interrupts;
use disco_arch::cpu;
use disco_magic::marker;

/// Bit 63 would make a result an error.
const MESSAGES: u64 = u64::MAX >> 1;

/// Checks a guest's claim of virtual CPUs, a bit each.
pub(super) fn sibling_mask(vm: &ResidentVm, mask: u64) -> Result<u16, CallError> {
    let there = (1u64 << vm.slot.vcpu_count()) - 1;
    match mask & !there {
        0 => Ok(mask as u16),
        _ => Err(CallError::BadArgument),
    }
}

/// Checks a guest's claim of a virtual CPU's number.
fn sibling(vm: &ResidentVm, number: u64) -> Result<u16, CallError> {
    if number < vm.slot.vcpu_count().into() {
        Ok(number as u16)
    } else {
        Err(CallError::BadArgument)
    }
}

/// The numbers of the bits that are set.
fn numbers(mask: u16) -> impl Iterator<Item = u16> {
    (0..u16::BITS as u16).filter(move |number| mask >> number & 1 == 1)
}

impl Monitor {
    /// Posts `bits` to `vcpu`.
    pub(super) fn post(&self, vcpu: VcpuId, bits: u64) {
        if let Some(home) = self.scheduler.post(vcpu, bits) {
            interrupts::send_ipi(usize::from(home.0));
        }
    }

    /// A virtual CPU in memory; null if its virtual machine does not run. For its home.
    pub(super) fn resident(&self, vcpu: VcpuId) -> *mut Resident {
        let resident = self.slot_of(vcpu).and_then(|(slot, number)| {
            // SAFETY: null, or it stays while one of its virtual CPUs has a home.
            unsafe { slot.resident().as_ref() }?.vcpu(number)
        });
        resident.unwrap_or(ptr::null_mut())
    }
}

impl Monitor {
    /// Has the virtual CPUs of `mask` asked, and interrupts those that are in their guest: they are
    /// returned, to wait for.
    pub(super) fn ask_siblings(
        &self,
        vm: &ResidentVm,
        mask: u16,
        ask: impl Fn(u16, &ShootdownBox) -> bool,
    ) -> u16 {
        let mut waiting = 0;
        for number in numbers(mask) {
            let Some(shared) = vm.shared(number) else {
                continue;
            };
            if ask(number, &shared.shootdown) {
                if let Some(home) = self.scheduler.home(vm.slot.vcpu(number)) {
                    interrupts::send_ipi(usize::from(home.0));
                    waiting |= 1 << number;
                }
            }
        }
        waiting
    }
}

/// Waits until the virtual CPUs of `waiting` do not use what they were asked to forget.
pub(super) fn await_siblings(vm: &ResidentVm, waiting: u16) {
    for number in numbers(waiting) {
        while vm
            .shared(number)
            .is_some_and(|shared| !shared.shootdown.is_done())
        {
            core::hint::spin_loop();
        }
    }
}

impl Cpu {
    /// The call `CpuStart`.
    #[cold]
    #[inline(never)]
    pub(super) fn cpu_start(
        &mut self,
        vm: &'static ResidentVm,
        number: u64,
        pc: u64,
        argument: u64,
    ) -> Result<Done, CallError> {
        let number = sibling(vm, number)?;
        let now = self.now();
        let mut state = vm.slot.state.lock();
        let (VmState::Running(running), Some(vcpu)) = (&mut *state, vm.vcpu(number)) else {
            return Err(CallError::WrongState);
        };
        let off = self.monitor.scheduler.home(vm.slot.vcpu(number)).is_none();
        if running.ending.is_some() || !off {
            return Err(CallError::WrongState);
        }
        // SAFETY: it is off, and whoever could start it needs the state that is held.
        let vcpu = unsafe { &mut *vcpu };
        vcpu.reset(pc, argument, now);
        running.on |= 1 << number;
        self.monitor.start_vcpu(vm.slot, number, vcpu.node, 0);
        Ok(Done::Value(0))
    }

    /// The call `CpuStop`.
    #[cold]
    #[inline(never)]
    pub(super) fn cpu_stop(&mut self, resident: &Resident) -> Result<Done, CallError> {
        let mut state = resident.vm.slot.state.lock();
        let others = !(1 << resident.vcpu.number);
        match &mut *state {
            VmState::Running(running) if running.on & others != 0 => running.on &= others,
            _ => return Err(CallError::WrongState),
        }
        // It is this CPU's: nobody needs to be interrupted.
        let _ = self.monitor.scheduler.stop(resident.id);
        Ok(Done::Off)
    }

    /// The call `CpuState`.
    #[cold]
    #[inline(never)]
    pub(super) fn cpu_state(&self, vm: &ResidentVm, number: u64) -> Result<Done, CallError> {
        let vcpu = vm.slot.vcpu(sibling(vm, number)?);
        let on = self.monitor.scheduler.home(vcpu).is_some();
        Ok(Done::Value(on.into()))
    }

    /// The call `IpiSend`.
    pub(super) fn ipi_send(
        &self,
        vm: &ResidentVm,
        mask: u64,
        messages: u64,
    ) -> Result<Done, CallError> {
        let mask = sibling_mask(vm, mask)?;
        if messages & !MESSAGES != 0 {
            return Err(CallError::BadArgument);
        }
        for number in numbers(mask) {
            if let Some(shared) = vm.shared(number) {
                // First the messages: whoever finds the line posted finds them.
                shared.messages.fetch_or(messages, Ordering::AcqRel);
                self.monitor.post(vm.slot.vcpu(number), POSTED_IPI);
            }
        }
        Ok(Done::Value(0))
    }

    /// The call `IpiTake`.
    pub(super) fn ipi_take(&self, resident: &mut Resident) -> Done {
        resident.vcpu.set_line(LINE_IPI, false);
        Done::Value(resident.shared.messages.swap(0, Ordering::AcqRel))
    }

    /// The call `Shootdown`: each virtual CPU of `mask` forgets what `bytes` and its word of `keys`
    /// name.
    pub(super) fn shootdown(
        &self,
        resident: &mut Resident,
        mask: u16,
        keys: &[u8; size_of::<ShootdownKeys>()],
        bytes: u64,
    ) {
        let (keys, _) = keys.as_chunks::<8>();
        let vm = resident.vm;
        let request = |number: u16| Request {
            key: keys
                .get(usize::from(number))
                .map_or(0, |key| u64::from_be_bytes(*key)),
            bytes,
        };
        let own = 1 << resident.vcpu.number;
        let waiting = self
            .monitor
            .ask_siblings(vm, mask & !own, |number, shootdown| {
                shootdown.ask(request(number))
            });
        if mask & own != 0 {
            resident
                .vcpu
                .shoot_down(request(resident.vcpu.number as u16), &mut self.hardware());
        }
        await_siblings(vm, waiting);
    }

    /// Does what siblings have asked of `resident`.
    pub(super) fn shoot_down(&self, resident: &mut Resident) {
        let requests = resident.shared.shootdown.take();
        for request in requests.iter() {
            resident.vcpu.shoot_down(request, &mut self.hardware());
        }
        let (pages, pmap) = (requests.pages(), &resident.pmap);
        if !pages.is_empty() {
            cpu::mark::<{ marker::MOVING }>();
            add(&self.shared.numa.shootdowns, 1);
            resident.vcpu.revoke(pages, pmap, &mut self.hardware());
            cpu::mark::<{ marker::MOVED }>();
        }
    }
}
