//! The calls by which a guest moves, frees and clears its own pages.

use super::calls::Done;
use super::cpu::Cpu;
use super::memory::GuestMemory;
use super::resident::{Resident, ResidentVm};
use crate::address::GuestPage;
use crate::machine::shared::GuestPages;
use crate::machine::NoMemory;
use crate::vm::pmap::Backing;
use disco_abi::{CallError, PAGES_CALL_MAX, PAGE_SIZE};

/// Checks a guest's claim of whole pages: the first, and how many.
fn whole_pages(vm: &ResidentVm, start: u64, bytes: u64) -> Result<(u64, u64), CallError> {
    if bytes == 0 {
        return Ok((0, 0));
    }
    if (start | bytes) % PAGE_SIZE != 0 || bytes > PAGES_CALL_MAX {
        return Err(CallError::BadArgument);
    }
    let end = start.checked_add(bytes).ok_or(CallError::BadAddress)?;
    if end / PAGE_SIZE > vm.pmap.pages() {
        return Err(CallError::BadAddress);
    }
    Ok((start / PAGE_SIZE, bytes / PAGE_SIZE))
}

impl Cpu {
    /// The calls `PageFree` and `PageZero`: does `change` to each page.
    pub(super) fn change_pages(
        &self,
        resident: &mut Resident,
        start: u64,
        bytes: u64,
        change: fn(&mut GuestMemory<'_>, GuestPage),
    ) -> Result<Done, CallError> {
        let (first, count) = whole_pages(resident.vm, start, bytes)?;
        let mut memory = self.guest_memory(resident);
        for page in first..first + count {
            change(&mut memory, GuestPage(page));
        }
        Ok(Done::Value(0))
    }

    /// The call `Remap`: page by page, in the order in which no page that is still to be moved has
    /// been replaced.
    pub(super) fn remap(
        &self,
        resident: &mut Resident,
        [to, from, bytes]: [u64; 3],
    ) -> Result<Done, CallError> {
        let vm = resident.vm;
        let (to, count) = whole_pages(vm, to, bytes)?;
        let (from, _) = whole_pages(vm, from, bytes)?;
        let mut memory = self.guest_memory(resident);
        for offset in 0..count {
            let offset = if to > from {
                count - 1 - offset
            } else {
                offset
            };
            let (to, from) = (GuestPage(to + offset), GuestPage(from + offset));
            if to == from {
                continue;
            }
            if vm.pmap.backing(from) == Backing::Nothing {
                memory.free(to);
                continue;
            }
            match memory.lend(from) {
                Ok(page) => memory.map(to, page),
                // It cannot be promised a further page, but it has one behind `to` or can have it.
                Err(NoMemory) => memory
                    .copy_page(to, from)
                    .map_err(|NoMemory| CallError::BadAddress)?,
            }
        }
        Ok(Done::Value(0))
    }
}
