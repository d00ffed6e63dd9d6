//! A simulated machine: a TLB as an array, memory as bytes, Count as a number.

use crate::address::MachineAddress;
use crate::vm::exception::code;
use crate::vm::hardware::{FpuRegisters, Hardware, TlbPair};
use disco_abi::{PAGE_SIZE, SPECIAL_PAGE};
use disco_arch::trap::Entry;
use std::collections::BTreeMap;

/// More than the board's 16: QEMU keeps replaced entries as hidden shadows, and a stale entry must
/// have every chance to do harm.
const ENTRIES: usize = 64;
/// Bits 63..62 and 47..13 of an address.
const VPN2: u64 = 0xc000_ffff_ffff_e000;
const ASID: u64 = 0x3ff;
/// Where the special page is in machine memory.
pub const SPECIAL_MACHINE: u64 = 0xf000_0000;

/// Kinds of access to memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    Load,
    Store,
    Fetch,
}

/// Why the TLB does not translate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Miss {
    Refill,
    Invalid,
    Modified,
    ReadInhibited,
    ExecuteInhibited,
}

impl Miss {
    /// The real CPU's exception for it: the vector, and Cause.ExcCode.
    pub fn exception(self, access: Access) -> (Entry, u8) {
        let entry = match self {
            Self::Refill => Entry::Refill,
            _ => Entry::General,
        };
        let code = match (self, access) {
            (Self::Modified, _) => code::MOD,
            (Self::ReadInhibited, _) => code::TLBRI,
            (Self::ExecuteInhibited, _) => code::TLBXI,
            (_, Access::Store) => code::TLBS,
            _ => code::TLBL,
        };
        (entry, code)
    }
}

/// The machine. Entry 0 of its TLB is wired: the special page.
pub struct SimulatedMachine {
    tlb: Vec<Option<TlbPair>>,
    random: usize,
    memory: BTreeMap<u64, Vec<u8>>,
    pub count: u32,
    pub user_local: u64,
    pub hwrena: u32,
    pub fpu: FpuRegisters,
    pub fpu_saves: u32,
    pub fpu_loads: u32,
}

impl SimulatedMachine {
    pub fn new() -> Self {
        let mut machine = Self {
            tlb: vec![None; ENTRIES],
            random: 0,
            memory: BTreeMap::new(),
            count: 0,
            user_local: 0,
            hwrena: 0,
            fpu: FpuRegisters {
                fpr: [0; 32],
                fcsr: 0,
            },
            fpu_saves: 0,
            fpu_loads: 0,
        };
        machine.show_special_page(true);
        machine
    }

    /// Maps the special page, readable and writable, or nothing.
    pub fn show_special_page(&mut self, shown: bool) {
        self.tlb[0] = shown.then_some(TlbPair {
            hi: SPECIAL_PAGE & !(2 * PAGE_SIZE - 1) & VPN2,
            lo0: 1,
            lo1: (SPECIAL_MACHINE >> 6) as u32 | 0x1f | 1 << 30,
            page_mask: 0x6000,
        });
    }

    fn matches(pair: &TlbPair, address: u64, asid: u64) -> bool {
        let mask = VPN2 & !u64::from(pair.page_mask);
        let global = pair.lo0 & pair.lo1 & 1 != 0;
        (pair.hi ^ address) & mask == 0 && (global || (pair.hi ^ asid) & ASID == 0)
    }

    /// What the TLB makes of an access in address space `asid`.
    pub fn translate(
        &self,
        address: u64,
        asid: u64,
        access: Access,
    ) -> Result<MachineAddress, Miss> {
        let pair = self
            .tlb
            .iter()
            .flatten()
            .find(|pair| Self::matches(pair, address, asid))
            .ok_or(Miss::Refill)?;
        let bytes = (u64::from(pair.page_mask) + 0x2000) / 2;
        let lo = if address & bytes == 0 {
            pair.lo0
        } else {
            pair.lo1
        };
        if lo & 2 == 0 {
            return Err(Miss::Invalid);
        }
        match access {
            Access::Fetch if lo & 1 << 30 != 0 => return Err(Miss::ExecuteInhibited),
            Access::Load if lo & 1 << 31 != 0 => return Err(Miss::ReadInhibited),
            Access::Store if lo & 4 == 0 => return Err(Miss::Modified),
            _ => {}
        }
        let page = u64::from(lo & 0x3fff_ffc0) << 6 & !(bytes - 1);
        Ok(MachineAddress(page | address & (bytes - 1)))
    }

    /// Every entry but the wired one.
    pub fn pairs(&self) -> impl Iterator<Item = &TlbPair> {
        self.tlb[1..].iter().flatten()
    }

    /// Writes a big-endian word, as a guest's store would.
    pub fn store(&mut self, address: MachineAddress, value: u64) {
        self.write(address, &value.to_be_bytes());
    }

    fn page(&mut self, page: u64) -> &mut Vec<u8> {
        self.memory
            .entry(page)
            .or_insert_with(|| vec![0; PAGE_SIZE as usize])
    }
}

impl Hardware for SimulatedMachine {
    fn tlb_write(&mut self, pair: TlbPair) {
        self.random = self.random % (ENTRIES - 1) + 1;
        self.tlb[self.random] = Some(pair);
    }

    fn tlb_replace(&mut self, pair: TlbPair) {
        let is_it = |entry: &&mut Option<TlbPair>| {
            entry.is_some_and(|entry| Self::matches(&entry, pair.hi, pair.hi))
        };
        let mut matching = self.tlb[1..].iter_mut().filter(is_it);
        let first = matching.next();
        assert!(matching.next().is_none(), "two entries map {:#x}", pair.hi);
        match first {
            Some(entry) => *entry = Some(pair),
            None => self.tlb_write(pair),
        }
    }

    fn tlb_remove(&mut self, hi: u64) {
        for entry in &mut self.tlb[1..] {
            if entry.is_some_and(|pair| Self::matches(&pair, hi, hi)) {
                *entry = None;
            }
        }
    }

    fn tlb_flush(&mut self) {
        self.tlb[1..].fill(None);
    }

    fn count(&self) -> u32 {
        self.count
    }

    fn set_user_local(&mut self, value: u64) {
        self.user_local = value;
    }

    fn set_hwrena(&mut self, value: u32) {
        self.hwrena = value;
    }

    fn fpu_save(&mut self, registers: &mut FpuRegisters) {
        registers.clone_from(&self.fpu);
        self.fpu_saves += 1;
    }

    fn fpu_load(&mut self, registers: &FpuRegisters) {
        self.fpu.clone_from(registers);
        self.fpu_loads += 1;
    }

    fn load(&self, address: MachineAddress) -> u64 {
        let mut bytes = [0; 8];
        self.read(MachineAddress(address.0 & !7), &mut bytes);
        u64::from_be_bytes(bytes)
    }

    fn read(&self, address: MachineAddress, bytes: &mut [u8]) {
        let offset = address.offset_in_page() as usize;
        match self.memory.get(&address.page().0) {
            Some(page) => bytes.copy_from_slice(&page[offset..offset + bytes.len()]),
            None => bytes.fill(0),
        }
    }

    fn write(&mut self, address: MachineAddress, bytes: &[u8]) {
        let offset = address.offset_in_page() as usize;
        self.page(address.page().0)[offset..offset + bytes.len()].copy_from_slice(bytes);
    }
}
