//! The monitor's own image: its parts, and its copy for another node.

use core::ptr::addr_of;
use core::slice;
use disco_abi::PAGE_SIZE;
use disco_arch::board::XKPHYS_CACHED;
use disco_arch::cpu;
use disco_kernel::machine::layout::Range;

extern "C" {
    // From linker.ld: addresses, not data.
    static __image_start: u8;
    static __text_end: u8;
    static __read_only_end: u8;
    static __shared_start: u8;
    static __image_end: u8;
    static __relocations_start: Relocation;
    static __relocations_end: Relocation;
    static __got_start: u64;
    static __got_end: u64;
}

/// An entry of `.rel.dyn`: the 64-bit word at `address` holds the address of something in the
/// image.
#[repr(C)]
struct Relocation {
    address: u64,
    kind: u64,
}

/// Entries of the global offset table that belong to a dynamic linker, which is not there.
const GOT_RESERVED: usize = 2;

/// Bytes of the part that each node has a copy of, in whole pages.
pub fn code_len() -> u64 {
    let bytes = addr_of!(__read_only_end) as u64 - addr_of!(__image_start) as u64;
    bytes.next_multiple_of(PAGE_SIZE)
}

/// Where the data that all nodes share begins, in bytes from the image's beginning.
pub fn shared_at() -> u64 {
    addr_of!(__shared_start) as u64 - addr_of!(__image_start) as u64
}

/// Bytes of the whole image in memory.
pub fn image_len() -> u64 {
    addr_of!(__image_end) as u64 - addr_of!(__image_start) as u64
}

/// Bytes of instructions in the image.
pub fn text_len() -> u64 {
    addr_of!(__text_end) as u64 - addr_of!(__image_start) as u64
}

/// Makes node 0's read-only part run at `to` as well: copies it and moves each pointer in the
/// copy that leads into it. Pointers to shared data stay. Returns the distance, to be added to an
/// address in node 0's copy.
///
/// # Safety
/// Runs on node 0's copy, and nobody uses the memory at `to`, which is as long as [`code_len`].
pub unsafe fn copy_code(to: Range) -> u64 {
    let start = addr_of!(__image_start) as u64;
    // Pages of the global offset table may lie behind the part that is copied.
    let end = addr_of!(__shared_start) as u64;
    let target = XKPHYS_CACHED | to.start.0;
    let distance = target.wrapping_sub(start);
    let move_pointer = |address: u64| {
        if (start..end).contains(&address) {
            let slot = address.wrapping_add(distance) as *mut u64;
            // SAFETY: the slot is in the copy, which is the caller's, and it is aligned: the
            // image is moved by a multiple of the page size.
            unsafe {
                let value = slot.read();
                if (start..end).contains(&value) {
                    slot.write(value.wrapping_add(distance));
                }
            }
        }
    };
    // SAFETY: both ranges are the image's read-only part, or as long; they do not overlap, as
    // the copy is in another node.
    unsafe {
        core::ptr::copy_nonoverlapping(start as *const u8, target as *mut u8, code_len() as usize)
    };
    for relocation in relocations() {
        move_pointer(relocation.address);
    }
    let got = addr_of!(__got_start);
    let entries = (addr_of!(__got_end) as usize - got as usize) / 8;
    for entry in GOT_RESERVED..entries {
        move_pointer(got.wrapping_add(entry) as u64);
    }
    // SAFETY: the copy is memory of this machine.
    unsafe { cpu::publish_code(target, code_len()) };
    distance
}

/// Where what is at `address` of node 0's copy is in the one `distance` away, as [`copy_code`] says.
///
/// # Panics
/// If it exists once (`linker.ld`).
#[link_section = ".init.text"]
pub fn copied(address: u64, distance: u64) -> u64 {
    let copy = addr_of!(__image_start) as u64..addr_of!(__shared_start) as u64;
    assert!(copy.contains(&address), "{address:#x} exists once");
    address.wrapping_add(distance)
}

fn relocations() -> &'static [Relocation] {
    let start = addr_of!(__relocations_start);
    let bytes = addr_of!(__relocations_end) as usize - start as usize;
    // SAFETY: the linker has put a table of such entries between the two symbols, in memory that
    // nobody writes.
    unsafe { slice::from_raw_parts(start, bytes / size_of::<Relocation>()) }
}
