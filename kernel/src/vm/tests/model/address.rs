//! Where an address leads: page, "Address map", in the place of III, "Virtual Address Spaces".

use super::exception::{Raised, ADEL, ADES, DBE, IBE, TLBXI};
use super::registers::*;
use super::tlb::{D, V};
use super::{Access, Choices, Entry, Mode, Model};

/// What an access reaches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// Guest-physical memory.
    Memory(u64),
    /// The special page, at an offset.
    Special(u64),
}

enum Segment {
    Mapped,
    Window(u64),
    Special(u64),
    None,
}

impl Model {
    /// Offset into memory of an address in a linear window.
    pub fn window(&self, address: u64) -> Option<u64> {
        match address {
            0x4000_0000_0000_0000..=0x4000_7fff_ffff_ffff => Some(address & 0x3fff_ffff_ffff),
            0xffff_ffff_c000_0000..=0xffff_ffff_cfff_ffff => Some(address & 0x0fff_ffff),
            _ => None,
        }
    }

    /// The same for an address as EntryHi holds it, without bits 61 to 48.
    pub fn is_window(&self, hi: u64) -> bool {
        let address = hi & (R | VPN2);
        let high = if address & R == R { 0x3fff << 48 } else { 0 };
        self.window(address | high).is_some()
    }

    fn segment(&self, address: u64) -> Segment {
        let mode = self.mode();
        match address {
            0..=0x0000_ffff_ffff_ffff => Segment::Mapped,
            _ if mode == Mode::User => Segment::None,
            0x4000_8000_0000_0000..=0x4000_ffff_ffff_ffff => Segment::Mapped,
            0xffff_ffff_d000_0000..=0xffff_ffff_dfff_7fff => Segment::Mapped,
            _ if mode == Mode::Supervisor => Segment::None,
            0xffff_ffff_dfff_c000..=0xffff_ffff_dfff_ffff => Segment::Special(address & 0x3fff),
            _ => self.window(address).map_or(Segment::None, Segment::Window),
        }
    }

    /// III, "Address Translation": where an access leads, or which exception it raises.
    pub fn translate(
        &mut self,
        address: u64,
        access: Access,
        choices: &mut Choices,
    ) -> Result<Place, Raised> {
        let address_error = match access {
            Access::Store => ADES,
            _ => ADEL,
        };
        if access == Access::Fetch && address & 3 != 0 {
            return Err(Raised::misaligned(address));
        }
        let place = match self.segment(address) {
            Segment::None => return Err(Raised::fetch_or_not(address_error, address, access)),
            Segment::Special(_) if access == Access::Fetch => {
                return Err(Raised::fetch_or_not(TLBXI, address, access))
            }
            Segment::Special(offset) => Place::Special(offset),
            Segment::Window(physical) => self.memory(physical, access)?,
            Segment::Mapped => {
                let physical = self.mapped(address, access, choices)?;
                self.memory(physical, access)?
            }
        };
        self.places.push(place);
        Ok(place)
    }

    fn memory(&self, physical: u64, access: Access) -> Result<Place, Raised> {
        if physical < self.memory_size {
            return Ok(Place::Memory(physical));
        }
        Err(Raised::bus_error(match access {
            Access::Fetch => IBE,
            _ => DBE,
        }))
    }

    /// Through the TLB; the page-table walker fills it where nothing is found or what is found
    /// does not allow the access.
    fn mapped(
        &mut self,
        address: u64,
        access: Access,
        choices: &mut Choices,
    ) -> Result<u64, Raised> {
        let found = self.lookup(address, self.asid(), choices);
        let allowed = found.map(|(entry, _)| Self::allows(entry.half(address), access));
        let entry = match (found, allowed) {
            // Only what the tables decide is looked up again: valid, writable.
            (Some((entry, _)), Some(Ok(()) | Err(19 | 20))) => entry,
            (found, _) => match self.walk(address) {
                Some(walked) => self.walked(address, walked, found, choices),
                None => match found {
                    Some((entry, _)) => entry,
                    None => return Err(Raised::refill(address, access)),
                },
            },
        };
        let lo = entry.half(address);
        Self::allows(lo, access).map_err(|code| Raised::fetch_or_not(code, address, access))?;
        Ok(physical(&entry, address))
    }

    /// The walker has an entry: writes it, as TLBWR would, and over an older one of the same page.
    /// One that is no better is left where an older one was found.
    fn walked(
        &mut self,
        address: u64,
        walked: Entry,
        found: Option<(Entry, Option<usize>)>,
        choices: &mut Choices,
    ) -> Entry {
        if let Some((old, _)) = found {
            let (old_lo, lo) = (old.half(address), walked.half(address));
            let better = lo & V != 0 && (old_lo & V == 0 || lo & D != 0);
            // Whether there is a walk for a read-only page that leads out of memory is not said.
            let nowhere = old_lo & V != 0 && physical(&old, address) >= self.memory_size;
            if !better || nowhere && choices.pick(2) == 1 {
                return old;
            }
        }
        self.remapped = true;
        match found {
            Some((old, Some(index))) if old.mask == walked.mask => self.tlb[index] = walked,
            _ if self.tlb.contains(&walked) => {}
            // Page, "TLB": hidden entries stay, also where they overlap.
            _ if choices.pick(2) == 0 => self.hide(walked, self.unwired()),
            _ => {
                let index = self.random(choices);
                self.replace(index, walked);
            }
        }
        walked
    }
}

/// Where a page leads.
fn physical(entry: &Entry, address: u64) -> u64 {
    let page = entry.page();
    (entry.half(address) & 0x3fff_ffc0) << 6 & !(page - 1) | address & (page - 1)
}
