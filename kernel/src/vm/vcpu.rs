//! A virtual CPU: everything the real CPU must hold to be it.
//!
//! It belongs to the physical CPU that is its home. Others reach it through the scheduler's posted
//! words alone.

use super::defect::{seeded, Defect};
use super::hardware::{FpuRegisters, Hardware};
use super::identity::Identity;
use super::l2tlb::{Granule, L2Tlb};
use super::special::SpecialPage;
use super::vtlb::{VirtualTlb, ASID_MASK};
use super::walker::Plan;
use core::mem::offset_of;
use disco_abi::{CSSEG_WINDOW, LINE_TIMER};
use disco_arch::cp0::{Cause, Status};
use disco_arch::trap::{GuestContext, L2_SLOTS_OFFSET};

/// Bits of Cause that a guest writes: IV, DC and the two software interrupts.
pub const CAUSE_WRITABLE: u32 = Cause::IV.bits() | Cause::DC.bits() | SOFTWARE_LINES;
/// Software interrupts in Cause.
pub const SOFTWARE_LINES: u32 = 3 << 8;
/// Bits of Status that a guest may set (QEMU, target/mips/cpu-defs.c.inc, I6400).
pub const STATUS_WRITABLE: u32 = 0x30d8_ffff;
/// The timer's line and its own bit in Cause.
const TIMER: u32 = 1 << (8 + LINE_TIMER) | Cause::TI.bits();
/// Lines that devices raise: IP2 to IP6.
const DEVICE_LINES: u32 = 0x7c00;

/// The bits of Status that say which addresses a mode has.
pub(super) const ADDRESSING: u64 =
    (Status::PX.bits() | Status::SX.bits() | Status::UX.bits()) as u64;

/// CP0 registers that have no slot in the special page.
#[derive(Clone, Debug, Default)]
pub struct Registers {
    /// EBase: vectors begin here. The CPU number is kept apart.
    pub ebase: u64,
    /// HWREna.
    pub hwrena: u32,
    /// Compare.
    pub compare: u32,
    /// When Count will next equal Compare, in ticks of the monitor's clock.
    pub timer_deadline: u64,
    /// What is added to the real Count.
    pub count_offset: u32,
    /// The value at which Count stands while Cause.DC is set.
    pub count_frozen: Option<u32>,
    /// PageGrain.
    pub page_grain: u32,
    /// Config0.
    pub config0: u32,
    /// Config5.
    pub config5: u32,
    /// PWBase: the walker's top table, a guest-virtual address.
    pub pw_base: u64,
    /// PWField.
    pub pw_field: u64,
    /// PWSize.
    pub pw_size: u64,
    /// PWCtl.
    pub pw_ctl: u32,
    /// What PWField, PWSize and PWCtl say together.
    pub plan: Plan,
    /// IntCtl's writable bits.
    pub int_ctl: u32,
    /// Registers that only keep what is written.
    pub plain: [u64; 10],
}

/// What the monitor counts for a virtual CPU, besides the vectors' own counters.
#[derive(Clone, Copy, Debug, Default)]
pub struct VcpuCounters {
    /// Misses that the page-table walker served.
    pub walks: u64,
    /// Misses served from the virtual TLB.
    pub vtlb_hits: u64,
    /// Misses of the linear windows served page by page.
    pub linear_pages: u64,
    /// Misses reflected to the guest's refill vector.
    pub refills_reflected: u64,
    /// Other exceptions reflected.
    pub exceptions_reflected: u64,
    /// Moves from and to CP0 registers.
    pub moves: u64,
    /// TLB instructions.
    pub tlb_instructions: u64,
    /// `eret` and `eretnc` done by the monitor.
    pub erets: u64,
    /// `wait`
    pub waits: u64,
    /// Other privileged instructions.
    pub others: u64,
    /// Monitor calls.
    pub calls: u64,
    /// Interrupts delivered to the guest.
    pub interrupts: u64,
    /// Times the FPU's registers were loaded.
    pub fpu_loads: u64,
    /// Entries into the monitor's Rust code.
    pub traps: u64,
}

/// A virtual CPU.
#[repr(C)]
#[derive(Debug)]
pub struct Vcpu<'a> {
    /// What the vectors use: first, so that its address is the virtual CPU's.
    pub context: GuestContext,
    /// The second level of the guest's TLB, where the vectors look for it.
    pub l2: L2Tlb,
    /// The special page.
    pub special: &'a SpecialPage,
    /// CP0 registers without a slot there.
    pub registers: Registers,
    /// Fixed configuration.
    pub identity: Identity,
    /// The guest's TLB.
    pub tlb: VirtualTlb,
    /// Floating-point registers while they are not in the FPU.
    pub fpu: FpuRegisters,
    /// Statistics.
    pub counters: VcpuCounters,
    /// Lines that devices raise, as bits of Cause.
    pub lines: u32,
    /// Its number in the virtual machine, from 0.
    pub number: u32,
    /// Since all was flushed, user addresses were mapped for every ASID: the real TLB may hold two
    /// entries for one.
    pub global_user: bool,
    /// Set while the guest is in supervisor mode: what the vectors know of the linear windows,
    /// which that mode has not.
    pub supervisor: Option<[u64; 2]>,
}

const _: () = assert!(offset_of!(Vcpu<'static>, l2) == L2_SLOTS_OFFSET);

/// Those of the real Status while the guest's kernel or user mode runs with this Status of its own: the guest's kernel mode has
/// the real one's SX for its KX. The monitor's own KX stays.
pub(super) const fn addressing(virtual_status: u64) -> u64 {
    let kx = Status::KX.bits() as u64;
    (virtual_status & !(kx >> 1) | (virtual_status & kx) >> 1) & ADDRESSING
}

impl<'a> Vcpu<'a> {
    /// Fills what is zero in memory: a virtual CPU at its guest's entry point. Every TLB is empty.
    pub fn new(special: &'a SpecialPage, identity: Identity, number: u32) -> Self {
        Self {
            context: GuestContext::new(),
            l2: L2Tlb::new(),
            special,
            registers: Registers::default(),
            identity,
            tlb: VirtualTlb::new(),
            fpu: FpuRegisters::ZERO,
            counters: VcpuCounters::default(),
            lines: 0,
            number,
            global_user: false,
            supervisor: None,
        }
    }

    /// Forgets all that the guest has done, but not what was counted.
    pub fn clear(&mut self) {
        // Named one by one, so that none is forgotten here.
        let Self {
            context,
            l2,
            special,
            registers,
            identity: _,
            tlb,
            fpu,
            counters: _,
            lines,
            number: _,
            global_user,
            supervisor,
        } = self;
        let counters = context.counters;
        *context = GuestContext::new();
        context.counters = counters;
        l2.set_granule(Granule::Page);
        special.clear();
        *registers = Registers::default();
        *tlb = VirtualTlb::new();
        *fpu = FpuRegisters::ZERO;
        *lines = 0;
        *global_user = false;
        *supervisor = None;
    }

    /// Registers at the entry of an ELF guest (`docs/virtual-machine.md`). The caller fills the
    /// general registers and the context's machine side.
    pub fn reset(&mut self, pc: u64, now: u64) {
        const FCSR_2008: u64 = 3 << 18;
        self.context.pc = pc;
        self.special.set_status(self.identity.status_fixed | 0xe0);
        self.registers.ebase = CSSEG_WINDOW;
        self.registers.config0 = self.identity.config[0];
        self.registers.config5 = self.identity.config[5];
        self.registers.page_grain = 0xc800_0000;
        self.registers.timer_deadline = now + (1 << 32);
        self.fpu.fcsr = FCSR_2008;
        self.update_granule();
    }

    /// The ASID in use.
    pub fn asid(&self) -> u64 {
        self.context.entry_hi & ASID_MASK
    }

    /// Whether the guest trapped in its user mode.
    pub fn runs_user_mode(&self) -> bool {
        self.supervisor.is_some() || self.context.status & u64::from(Status::KSU_USER.bits()) != 0
    }

    /// EntryHi with a new ASID, for the guest and for the CPU.
    pub fn set_entry_hi(&mut self, value: u64) {
        self.special.set_entry_hi(value);
        self.context.entry_hi = value & ASID_MASK;
    }

    /// Tells the vectors the size of the second level's pages.
    pub fn update_granule(&mut self) {
        let granule = self.l2.granule();
        self.context.l2_mask = granule.tag_mask();
        self.context.l2_kernel_mask = granule.tag_mask() & !ASID_MASK;
        self.context.l2_shift = granule.shift();
        self.context.page_mask = u64::from(granule.page_mask());
    }

    /// Cause as the guest reads it, without what belongs to the last exception.
    pub fn cause_base(&self) -> u32 {
        self.context.cause_base as u32
    }

    /// Sets and clears bits of Cause outside exceptions.
    pub fn change_cause(&mut self, clear: u32, set: u32) {
        let cause = self.cause_base() & !clear | set;
        self.context.set_cause_base(cause);
    }

    /// Raises or lowers a device's line.
    pub fn set_line(&mut self, line: u32, raised: bool) {
        let bit = 1 << (8 + line) & DEVICE_LINES;
        self.lines = self.lines & !bit | if raised { bit } else { 0 };
    }

    /// Takes devices' lines and an expired timer into Cause. `now` is in ticks of the monitor's
    /// clock.
    pub fn update_lines(&mut self, now: u64) {
        self.change_cause(DEVICE_LINES, self.lines);
        if now >= self.registers.timer_deadline && self.registers.count_frozen.is_none() {
            let missed = (now - self.registers.timer_deadline) >> 32;
            self.registers.timer_deadline += (missed + 1) << 32;
            self.change_cause(0, TIMER);
        }
    }

    /// Count as the guest reads it.
    pub fn count(&self, hardware: &impl Hardware) -> u32 {
        match self.registers.count_frozen {
            Some(value) => value,
            None => hardware.count().wrapping_add(self.registers.count_offset),
        }
    }

    /// Sets when the timer strikes next, after Count or Compare changed. Count is taken at tick
    /// `now`, whose low half is the real one: read again, it would be later by what the host
    /// lets pass between, and the timer early.
    pub fn arm_timer(&mut self, now: u64) {
        let count = (now as u32).wrapping_add(self.registers.count_offset);
        let ticks = self.registers.compare.wrapping_sub(count);
        let ticks = if ticks == 0 {
            1 << 32
        } else {
            u64::from(ticks)
        };
        self.registers.timer_deadline = now.saturating_add(ticks);
    }

    /// When the timer strikes next, in ticks of the monitor's clock; `u64::MAX` for never.
    pub fn next_timer(&self) -> u64 {
        match self.registers.count_frozen {
            Some(_) => u64::MAX,
            None => self.registers.timer_deadline,
        }
    }

    /// Acknowledges the timer, as a write of Compare does.
    pub fn clear_timer(&mut self) {
        self.change_cause(if seeded(Defect::Compare) { 0 } else { TIMER }, 0);
    }

    /// Whether an interrupt waits that the guest's mask lets through, whatever IE says.
    pub fn has_interrupt(&self) -> bool {
        let mask = if seeded(Defect::InterruptMask) {
            !0
        } else {
            self.special.status()
        };
        self.cause_base() & mask & 0xff00 != 0
    }

    /// Whether the guest is in kernel mode: by its Status, for the instruction it goes on with.
    pub fn in_kernel_mode(&self) -> bool {
        let status = Status::from_bits_retain(self.special.status());
        status.intersects(Status::EXL | Status::ERL)
            || !status.intersects(Status::KSU_USER | Status::KSU_SUPERVISOR)
    }

    /// Computes the real Status to go on with, and the vectors' shortcuts. Whether the guest enters
    /// or leaves supervisor mode: then the real TLB has to be flushed, and the special page hidden
    /// or mapped.
    ///
    /// The guest's supervisor mode is the real one, too, with its TLB entries in csseg and xsseg.
    /// What its kernel mode alone has there, the real TLB and the second level do not hold then.
    #[must_use = "the special page and the real TLB are the caller's"]
    pub fn prepare_resume(&mut self) -> bool {
        let kernel = self.in_kernel_mode();
        let virtual_status = u64::from(self.special.status());
        let user = !kernel && virtual_status & u64::from(Status::KSU_USER.bits()) != 0;
        let mode = if user {
            Status::KSU_USER
        } else {
            Status::KSU_SUPERVISOR
        };
        let supervisor = !kernel && !user;
        let changed = supervisor != self.supervisor.is_some();
        if changed {
            let counts = self.supervisor.take();
            let context = &mut self.context;
            let before = [context.linear_count, context.csseg_count];
            [context.linear_count, context.csseg_count] = counts.unwrap_or_default();
            self.supervisor = supervisor.then_some(before);
            self.l2.clear();
        }
        let addressing = if supervisor {
            virtual_status & ADDRESSING
        } else {
            addressing(virtual_status)
        };
        self.context.base_status = self.context.base_status & !ADDRESSING | addressing;
        self.context.status = self.context.base_status
            | u64::from(mode.bits())
            | virtual_status & self.context.fpu_mask;
        self.context.check_eret();
        // What waits may have changed since the last exception.
        self.special.set_cause(self.cause_read());
        let bev = virtual_status & u64::from(Status::BEV.bits()) != 0;
        self.context.syscall_vector = if bev {
            0
        } else {
            self.vector_base(false) + 0x180
        };
        changed
    }

    /// Where vectors begin.
    pub fn vector_base(&self, bev: bool) -> u64 {
        if bev {
            0xffff_ffff_bfc0_0200
        } else {
            self.registers.ebase & !0xfff
        }
    }

    /// Takes the FPU's registers out of it, if it holds this virtual CPU's.
    pub fn release_fpu(&mut self, hardware: &mut impl Hardware) {
        if self.context.fpu_mask != 0 {
            hardware.fpu_save(&mut self.fpu);
            self.context.fpu_mask = 0;
        }
    }

    /// Puts this virtual CPU's registers into the FPU.
    pub fn acquire_fpu(&mut self, hardware: &mut impl Hardware) {
        if self.context.fpu_mask == 0 {
            hardware.fpu_load(&self.fpu);
            self.context.fpu_mask = u64::from(Status::CU1.bits());
            self.counters.fpu_loads += 1;
        }
    }
}
