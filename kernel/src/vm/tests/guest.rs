//! A guest: a virtual CPU, its memory, and the simulated machine it runs on.

use super::assembly;
use super::machine::{Access, Miss, SimulatedMachine};
use super::pmap::zeroed;
use crate::address::{GuestPage, GuestPhysical, MachineAddress, MachinePage};
use crate::machine::NodeId;
use crate::vm::exception::{code, Exception};
use crate::vm::hardware::Hardware;
use crate::vm::identity::Identity;
use crate::vm::l2tlb::is_kernel_address;
use crate::vm::mapping::linear_offset;
use crate::vm::plain::Plain;
use crate::vm::pmap::{Backing, Pmap, PmapEntry, LINEAR_PIECE};
use crate::vm::revoke::PageSet;
use crate::vm::special::SpecialPage;
use crate::vm::trap::{Outcome, Trap};
use crate::vm::vcpu::Vcpu;
use crate::vm::view::View;
use crate::vm::vtlb::{TlbEntry, ASID_MASK, VPN2_MASK};
use disco_abi::{Call, CSSEG_WINDOW, CSSEG_WINDOW_SIZE, HYPCALL, PAGE_SIZE};
use disco_arch::instruction::{Cp0Register, Width};
use disco_arch::trap::Entry;

/// Where the guest's code is.
pub const CODE: u64 = CSSEG_WINDOW + 0x1000;
/// Guest-physical memory of most tests.
pub const PAGES: u64 = 64;
/// The node that the virtual CPU is on, of two.
pub const NODE: NodeId = NodeId(1);
/// First machine page of guests whose memory is contiguous: 16 KiB short of a large page's
/// alignment, so that the linear windows are served page by page.
const FIRST: u64 = (0x9000_0000 >> 14) + 1;

pub const TLBR: u32 = 0x4200_0001;
pub const TLBWI: u32 = 0x4200_0002;
pub const TLBINV: u32 = 0x4200_0003;
pub const TLBINVF: u32 = 0x4200_0004;
pub const TLBWR: u32 = 0x4200_0006;
pub const TLBP: u32 = 0x4200_0008;

/// `dmtc0 rt, number, select`
pub const fn dmtc0(rt: u32, number: u32, select: u32) -> u32 {
    0x40a0_0000 | rt << 16 | number << 11 | select
}
/// `mtc0 rt, number, select`
pub const fn mtc0(rt: u32, number: u32, select: u32) -> u32 {
    0x4080_0000 | rt << 16 | number << 11 | select
}
/// `dmfc0 rt, number, select`
pub const fn dmfc0(rt: u32, number: u32, select: u32) -> u32 {
    0x4020_0000 | rt << 16 | number << 11 | select
}
/// `mfc0 rt, number, select`
pub const fn mfc0(rt: u32, number: u32, select: u32) -> u32 {
    0x4000_0000 | rt << 16 | number << 11 | select
}

/// EntryLo of a guest-physical address with D, V and whatever else `flags` says.
pub const fn lo(physical: u64, flags: u64) -> u64 {
    physical >> 12 << 6 | flags
}
/// EntryLo flags: writable, valid.
pub const DV: u64 = 6;

/// How an access ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// It reached machine memory.
    Machine(MachineAddress),
    /// The guest got an exception: code, and offset of the vector.
    Exception(u8, u64),
    /// The monitor has to do something.
    Outcome(Outcome),
}

pub struct Guest {
    pub vcpu: Vcpu<'static>,
    pub pmap: Pmap<'static>,
    pub machine: SimulatedMachine,
    pub now: u64,
    /// The next machine page that nobody has had.
    fresh: u64,
}

/// What becomes of the machine page behind a guest page.
#[derive(Clone, Copy, Debug)]
pub enum Change {
    /// Others may use it.
    Lend,
    /// Another one takes its place, for the guest alone.
    Replace,
    /// Another one takes its place, and others may use that.
    ReplaceLent,
    /// Each node gets a replica of it.
    Replicate,
    /// It loses its replicas.
    Collapse,
}

/// The I6400's configuration as QEMU gives it, in the bits that matter here.
pub fn identity() -> Identity {
    let config = [
        0x8000_4a01,
        0x9ea3_231b,
        0x8000_0000,
        0xbc8c_30a0,
        0xd0fc_0000,
        0x0000_2098,
    ];
    Identity::new(0x0001_a900, config, 1 << 26)
}

impl Guest {
    /// A guest of `pages` pages of contiguous memory.
    pub fn with_pages(pages: u64) -> Self {
        let guest = Self::unbacked(pages);
        for page in 0..pages {
            guest.pmap.back(GuestPage(page), MachinePage(FIRST + page));
        }
        guest.pmap.build_linear_table();
        guest
    }

    pub fn new() -> Self {
        Self::with_pages(PAGES)
    }

    /// A guest that has no machine page yet.
    pub fn unbacked(pages: u64) -> Self {
        let pieces = (pages * PAGE_SIZE).div_ceil(LINEAR_PIECE);
        let entries = zeroed::<PmapEntry>(pages);
        let views = (0..2).map(|_| View::new(zeroed(pages), zeroed(pieces)));
        let views: Vec<View> = views.collect();
        let special = Box::leak(Box::new(SpecialPage::new()));
        let mut vcpu = Vcpu::new(special, identity(), 0);
        vcpu.reset(CODE, 0);
        vcpu.special.set_status(vcpu.special.status() | 1 << 28);
        vcpu.context.linear_count = pieces;
        vcpu.context.csseg_count = pieces.min(CSSEG_WINDOW_SIZE / LINEAR_PIECE);
        Self {
            vcpu,
            pmap: Pmap::with_views(entries, views.leak()).seen_from(NODE),
            machine: SimulatedMachine::new(),
            now: 0,
            fresh: FIRST + (1 << 16),
        }
    }

    /// Changes what is behind `count` pages from `first` on, as the monitor does it: what the guest
    /// sees stays.
    pub fn change(&mut self, first: u64, count: u64, change: Change) {
        let mut changed = PageSet::EMPTY;
        let mut old = Vec::new();
        let mut known = true;
        for page in (first..first + count).map(GuestPage) {
            let Some(before) = self.pmap.machine_page(page) else {
                continue;
            };
            let was_large = self.pmap.is_large(page);
            old.extend(core::iter::from_fn(|| self.pmap.give_up_any_replica(page)));
            let after = match (change, self.pmap.backing(page)) {
                (Change::Lend, _) => Backing::Shared(before),
                (Change::Replace, _) => Backing::Own(self.copy(before)),
                (Change::ReplaceLent, _) => Backing::Shared(self.copy(before)),
                (Change::Replicate, Backing::Own(page)) => Backing::Replicated(page),
                (Change::Collapse, Backing::Replicated(page)) => Backing::Own(page),
                (Change::Replicate | Change::Collapse, backing) => backing,
            };
            self.pmap.exchange(page, after);
            if matches!(change, Change::Replicate) {
                for node in [NodeId(0), NODE] {
                    let replica = self.copy(before);
                    assert!(self.pmap.add_replica(page, node, replica));
                }
            }
            self.pmap.build_linear_piece(page);
            changed.add(page);
            let in_windows = was_large || self.pmap.has_window_misses(page);
            if in_windows {
                changed.add_windows();
            }
            known &= self.vcpu.revoke_soon(page, in_windows, &self.pmap);
            old.extend((after.page() != Some(before)).then_some(before));
        }
        // As `GuestMemory` does.
        if known {
            self.vcpu
                .revoke_rest(&changed, &self.pmap, &mut self.machine);
        } else {
            self.vcpu.revoke(&changed, &self.pmap, &mut self.machine);
        }
        for page in old {
            // Somebody else's now.
            let spoilt = [0x5a; PAGE_SIZE as usize];
            self.machine.write(page.address(), &spoilt);
        }
    }

    fn copy(&mut self, page: MachinePage) -> MachinePage {
        let mut bytes = [0; PAGE_SIZE as usize];
        self.machine.read(page.address(), &mut bytes);
        let copy = MachinePage(self.fresh);
        self.fresh += 1;
        self.machine.write(copy.address(), &bytes);
        copy
    }

    /// The machine address behind a guest-physical one, as the virtual CPU sees it.
    pub fn machine_address(&self, physical: u64) -> MachineAddress {
        let physical = GuestPhysical(physical);
        let page = self.seen(physical.page()).unwrap();
        MachineAddress(page.address().0 | physical.offset_in_page())
    }

    /// The machine page behind a guest page, as the virtual CPU sees it.
    pub fn seen(&self, page: GuestPage) -> Option<MachinePage> {
        let replica = self.pmap.replica(page, NODE);
        replica.or_else(|| self.pmap.machine_page(page))
    }

    /// Stores a word into guest-physical memory.
    pub fn store(&mut self, physical: u64, value: u64) {
        let page = GuestPhysical(physical).page();
        if !self.pmap.replicas(page).is_empty() {
            self.change(page.0, 1, Change::Collapse);
        }
        self.machine.store(self.machine_address(physical), value);
    }

    /// A trap of the real CPU in the guest's kernel mode.
    pub fn trap(&self, entry: Entry, code: u8) -> Trap {
        Trap {
            entry,
            cause: u32::from(code) << 2,
            epc: self.vcpu.context.pc,
            bad_vaddr: 0,
            bad_instr: 0,
            bad_instr_p: 0,
            user: false,
        }
    }

    pub fn handle(&mut self, trap: &Trap) -> Outcome {
        if self.is_served_lightly(trap) {
            return Outcome::Resume;
        }
        self.vcpu
            .handle_trap(trap, self.now, &self.pmap, &mut self.machine)
    }

    /// The monitor's light way, as far as it has code of its own.
    fn is_served_lightly(&mut self, trap: &Trap) -> bool {
        let vcpu = &mut self.vcpu;
        let (pmap, machine) = (&self.pmap, &mut self.machine);
        let (address, code) = (trap.bad_vaddr, trap.code());
        let has_call = trap.entry == Entry::General && code == code::CPU;
        if has_call && !trap.in_delay_slot() && vcpu.supervisor.is_none() {
            let is_served =
                !vcpu.runs_user_mode() && vcpu.light_call(trap.bad_instr, pmap, machine);
            if is_served {
                vcpu.context.pc = trap.epc.wrapping_add(4);
                vcpu.context.keep_link = 1;
            }
            return is_served;
        }
        let is_of_tlb = matches!(code, code::MOD | code::TLBL | code::TLBS);
        if !is_of_tlb || trap.epc & 3 != 0 || vcpu.supervisor.is_some() {
            return false;
        }
        let plain = match trap.entry {
            Entry::Refill => vcpu.plain_refill(address, code == code::TLBS, pmap, machine),
            Entry::General => vcpu.plain_fault(address, code, pmap, machine),
            Entry::Interrupt => Plain::No,
        };
        if plain == Plain::No {
            return false;
        }
        vcpu.counters.traps += 1;
        vcpu.context.pc = trap.epc;
        vcpu.context.keep_link = 1;
        let Plain::Raise(code) = plain else {
            return true;
        };
        if !vcpu.plain_raise(code, trap) {
            return vcpu.raise(Exception::at(code, address), trap).is_ok();
        }
        // It is the way out as well, which changes nothing any more.
        let state = |vcpu: &Vcpu| {
            let context = &vcpu.context;
            let words = [context.status, context.base_status, context.syscall_vector];
            (words, vcpu.special.cause())
        };
        let before = state(vcpu);
        assert!(!vcpu.prepare_resume());
        assert_eq!(state(vcpu), before);
        true
    }

    /// The way out of the monitor: what waits is delivered.
    pub fn resume(&mut self) {
        self.vcpu.update_lines(self.now);
        self.vcpu.deliver_interrupt();
        self.vcpu.refuse_odd_pc();
        if self.vcpu.prepare_resume() {
            self.machine.tlb_flush();
            self.machine
                .show_special_page(self.vcpu.supervisor.is_none());
        }
    }

    /// Lets Count and the monitor's clock go on by `ticks`.
    pub fn pass(&mut self, ticks: u64) {
        self.now += ticks;
        self.machine.count = self.machine.count.wrapping_add(ticks as u32);
        self.resume();
    }

    /// What `dmfc0` would read.
    pub fn peek_cp0(&self, number: u8, select: u8) -> u64 {
        let register = Cp0Register { number, select };
        self.vcpu.read_cp0(register, Width::Double, &self.machine)
    }

    /// Executes a privileged instruction of the guest's kernel.
    pub fn execute(&mut self, word: u32) -> Outcome {
        let trap = Trap {
            bad_instr: word,
            ..self.trap(Entry::General, code::CPU)
        };
        self.handle(&trap)
    }

    pub fn gpr(&self, number: usize) -> u64 {
        self.vcpu.context.gpr[number]
    }

    pub fn set_gpr(&mut self, number: usize, value: u64) {
        self.vcpu.context.gpr[number] = value;
    }

    /// `dmtc0` of a value.
    pub fn write_cp0(&mut self, number: u32, select: u32, value: u64) {
        self.set_gpr(8, value);
        assert_eq!(self.execute(dmtc0(8, number, select)), Outcome::Resume);
    }

    /// `dmfc0`
    pub fn read_cp0(&mut self, number: u32, select: u32) -> u64 {
        assert_eq!(self.execute(dmfc0(9, number, select)), Outcome::Resume);
        self.gpr(9)
    }

    /// Makes a monitor call that the virtual CPU answers itself.
    pub fn call(&mut self, call: Call, arguments: [u64; 4]) -> u64 {
        self.set_gpr(2, call as u64);
        self.vcpu.context.gpr[4..8].copy_from_slice(&arguments);
        assert_eq!(self.execute(HYPCALL), Outcome::Resume);
        self.gpr(2)
    }

    pub fn set_asid(&mut self, asid: u64) {
        self.write_cp0(10, 0, asid);
    }

    /// Loads the staging registers with an entry; keeps the ASID in use if it is the entry's.
    pub fn stage(&mut self, entry: &TlbEntry) {
        self.write_cp0(10, 0, entry.hi);
        self.write_cp0(2, 0, entry.lo0);
        self.write_cp0(3, 0, entry.lo1);
        self.write_cp0(5, 0, entry.page_mask);
    }

    /// `tlbwi` of `entry` at `index`; the ASID in use becomes the entry's.
    pub fn tlbwi(&mut self, index: u32, entry: &TlbEntry) {
        self.stage(entry);
        self.write_cp0(0, 0, u64::from(index));
        self.execute(TLBWI);
    }

    /// `tlbwr` of `entry`; the ASID in use becomes the entry's.
    pub fn tlbwr(&mut self, entry: &TlbEntry) {
        self.stage(entry);
        self.execute(TLBWR);
    }

    /// `tlbp`; the ASID in use becomes that of `hi`.
    pub fn tlbp(&mut self, hi: u64) -> Option<u32> {
        self.write_cp0(10, 0, hi);
        self.execute(TLBP);
        let index = self.read_cp0(0, 0) as u32;
        (index >> 31 == 0).then_some(index)
    }

    /// `tlbr`; the ASID in use becomes the entry's.
    pub fn tlbr(&mut self, index: u32) -> TlbEntry {
        self.write_cp0(0, 0, u64::from(index));
        self.execute(TLBR);
        TlbEntry {
            hi: self.read_cp0(10, 0),
            lo0: self.read_cp0(2, 0),
            lo1: self.read_cp0(3, 0),
            page_mask: self.read_cp0(5, 0),
        }
    }

    /// An access of the guest's kernel, through the TLB, the vectors and the monitor. An exception
    /// is noted and returned from.
    pub fn access(&mut self, address: u64, access: Access) -> End {
        for _ in 0..4 {
            let asid = self.vcpu.context.entry_hi & ASID_MASK;
            let miss = match self.machine.translate(address, asid, access) {
                Ok(machine) => return End::Machine(machine),
                Err(miss) => miss,
            };
            let entry_hi = address & VPN2_MASK | asid;
            if miss == Miss::Refill
                && assembly::refill(&mut self.vcpu, entry_hi, &self.pmap, &mut self.machine)
            {
                continue;
            }
            if let Some(end) = self.take(miss, address, access) {
                return end;
            }
        }
        panic!("{access:?} at {address:#x} traps for ever");
    }

    fn take(&mut self, miss: Miss, address: u64, access: Access) -> Option<End> {
        let (entry, code) = miss.exception(access);
        let pc = match access {
            Access::Fetch => address,
            _ => CODE,
        };
        self.vcpu.context.pc = pc;
        let trap = Trap {
            bad_vaddr: address,
            ..self.trap(entry, code)
        };
        match self.handle(&trap) {
            Outcome::Resume if self.vcpu.context.pc == pc => None,
            Outcome::Resume => Some(self.return_from_exception()),
            outcome => Some(End::Outcome(outcome)),
        }
    }

    /// What exception the guest has got; its effect on Status is undone.
    fn return_from_exception(&mut self) -> End {
        let code = (self.vcpu.special.cause() >> 2 & 31) as u8;
        let offset = self.vcpu.context.pc - self.vcpu.vector_base(false);
        self.vcpu
            .special
            .set_status(self.vcpu.special.status() & !2);
        self.vcpu.context.pc = CODE;
        End::Exception(code, offset)
    }

    /// Checks what the monitor promises about its own tables: every translation in the real and
    /// the second-level TLB can be found through the pmap, and every one in the real TLB through
    /// the virtual or the second-level TLB.
    pub fn audit(&self) {
        for slot in self.vcpu.l2.iter() {
            self.audit_pair(slot.tag, [slot.lo0, slot.lo1], "second-level TLB");
        }
        for pair in self.machine.pairs() {
            let global = pair.lo0 & pair.lo1 & 1 != 0;
            let kept = is_kernel_address(pair.hi) == global;
            let asid = pair.hi & ASID_MASK;
            let tag = self.vcpu.l2.tag(pair.hi, asid);
            let recorded = if kept { tag } else { tag | asid };
            self.audit_pair(recorded, [pair.lo0, pair.lo1], "real TLB");
            assert!(
                linear_offset(pair.hi).is_some()
                    || kept && self.vcpu.l2.guest_entry(pair.hi, asid).is_some()
                    || self.vcpu.tlb.find(pair.hi, asid).is_some(),
                "nothing would find {pair:x?} in the real TLB"
            );
        }
    }

    fn audit_pair(&self, tag: u64, lo: [u32; 2], place: &str) {
        for lo in lo.into_iter().filter(|lo| lo & 2 != 0) {
            let machine = MachinePage(u64::from((lo & 0x3fff_ffc0) >> 8));
            let (page, backing) = self
                .pmap
                .iter()
                .find(|(page, _)| self.seen(*page) == Some(machine))
                .unwrap_or_else(|| panic!("{place}: {machine:x?} is not the guest's"));
            assert!(
                lo & 4 == 0 || backing == Backing::Own(machine),
                "{place}: {tag:#x} lets {page:x?} be written, which others use"
            );
            assert!(
                linear_offset(tag).is_some() || self.pmap.is_recorded(page, tag),
                "{place}: no backmap of {page:x?} for tag {tag:#x}"
            );
        }
    }
}
