//! The refill vector of `disco_arch::trap::vectors`, instruction for instruction in Rust.

use super::machine::SimulatedMachine;
use crate::vm::hardware::{Hardware, TlbPair};
use crate::vm::pmap::Pmap;
use crate::vm::vcpu::Vcpu;
use disco_arch::trap::L2_ENTRIES;

/// The slot that the assembly looks at for `tag`.
pub fn slot_index(tag: u64, shift: u64) -> usize {
    ((tag >> (shift & 63)).wrapping_add(tag << 5) & 2047) as usize
}

/// What the vector does for a miss with this EntryHi; whether it served it.
pub fn refill(vcpu: &mut Vcpu, entry_hi: u64, pmap: &Pmap, machine: &mut SimulatedMachine) -> bool {
    if entry_hi >> 62 == 0 {
        return second_level(vcpu, entry_hi, vcpu.context.l2_mask, machine);
    }
    let (piece, count) = if (entry_hi as i64) < 0 {
        (entry_hi >> 21 & 511, vcpu.context.csseg_count)
    } else {
        (entry_hi << 2 >> 23, vcpu.context.linear_count)
    };
    if piece < count {
        let entry = pmap.linear_entry(piece as usize);
        if entry.page_mask != 0 {
            machine.tlb_write(TlbPair {
                hi: entry_hi,
                lo0: entry.lo0,
                lo1: entry.lo1,
                page_mask: entry.page_mask,
            });
            vcpu.context.counters.linear_hits += 1;
            return true;
        }
    }
    second_level(vcpu, entry_hi, vcpu.context.l2_kernel_mask, machine)
}

fn second_level(vcpu: &mut Vcpu, entry_hi: u64, mask: u64, machine: &mut SimulatedMachine) -> bool {
    let tag = entry_hi & mask;
    let slot = vcpu.l2.slot(slot_index(tag, vcpu.context.l2_shift));
    if slot.tag != tag {
        return false;
    }
    machine.tlb_write(TlbPair {
        hi: entry_hi,
        lo0: slot.lo0,
        lo1: slot.lo1,
        page_mask: vcpu.context.page_mask as u32,
    });
    vcpu.context.counters.l2_hits += 1;
    true
}

#[test]
fn the_mask_of_the_assembly_is_the_table() {
    assert_eq!(L2_ENTRIES, 2048);
}
