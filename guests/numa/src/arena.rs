//! Memory for the team, mapped at the same addresses for all of it by tables that the walker reads.

use core::mem::{align_of, size_of};
use core::slice;
use core::sync::atomic::{AtomicU32, AtomicU64};
use disco_numa_work::groups::Group;
use disco_numa_work::netlist::Gate;
use disco_numa_work::scene::Triangle;
use disco_numa_work::store::Record;
use disco_numa_work::tree::Node;
use disco_test_guests::abi::{BootInfo, CSSEG_WINDOW};
use disco_test_guests::access::set_physical;
use disco_test_guests::cp0::reg;
use disco_test_guests::tlb::{set_asid, LO_D, LO_V};
use disco_test_guests::walker::{self, place, pte, set_directory, ENABLED, MIDDLE, PAGE, USER};
use disco_test_guests::FREE_MEMORY;

/// Where the memory is seen, in xuseg.
const BASE: u64 = 0x1_0000_0000;
/// Bytes of a table, and of what a page maps.
const PAGE_BYTES: u64 = 1 << PAGE;
/// Bytes that one table maps.
const TABLE_SPAN: u64 = 1 << MIDDLE;
/// The directory; tables are behind it.
const TOP: u64 = FREE_MEMORY;
const ASID: u64 = 1;

/// What may be in the arena: zeros are a value, and nothing has to be dropped.
///
/// # Safety
/// Memory of zeros is a valid value of the type, which has no padding that matters and needs no drop.
pub unsafe trait Plain {}

// SAFETY: numbers, and structures of numbers alone.
unsafe impl Plain for u64 {}
// SAFETY: as above.
unsafe impl Plain for AtomicU32 {}
// SAFETY: as above.
unsafe impl Plain for AtomicU64 {}
// SAFETY: as above.
unsafe impl Plain for Gate {}
// SAFETY: as above.
unsafe impl Plain for Group {}
// SAFETY: as above.
unsafe impl Plain for Triangle {}
// SAFETY: as above.
unsafe impl Plain for Record {}
// SAFETY: as above.
unsafe impl Plain for Node {}

/// Memory from which pieces are taken, in order, for ever.
pub struct Arena {
    next: u64,
    end: u64,
}

impl Arena {
    /// All memory of the virtual machine that is not the program's.
    ///
    /// # Safety
    /// To be called once.
    pub unsafe fn new(boot: &BootInfo) -> Self {
        let memory = boot.memory;
        let tables = (memory - FREE_MEMORY).div_ceil(TABLE_SPAN);
        let first = TOP + (1 + tables) * PAGE_BYTES;
        for table in 0..tables {
            let physical = TOP + (1 + table) * PAGE_BYTES;
            set_directory(TOP, BASE + table * TABLE_SPAN, CSSEG_WINDOW + physical);
        }
        let pages = (memory - first) / PAGE_BYTES;
        for page in 0..pages {
            let address = BASE + page * PAGE_BYTES;
            let table = TOP + (1 + page * PAGE_BYTES / TABLE_SPAN) * PAGE_BYTES;
            let entry = pte(first + page * PAGE_BYTES, LO_V | LO_D);
            set_physical(place(table, address), entry);
        }
        map();
        Self {
            next: BASE,
            end: BASE + pages * PAGE_BYTES,
        }
    }

    /// The next whole pages, for `count` values that are all zero.
    pub fn take<T: Plain>(&mut self, count: usize) -> &'static mut [T] {
        const { assert!(align_of::<T>() <= PAGE_BYTES as usize) };
        let bytes = (count * size_of::<T>()) as u64;
        let start = self.next;
        self.next += bytes.next_multiple_of(PAGE_BYTES);
        assert!(
            self.next <= self.end,
            "the virtual machine has too little memory"
        );
        // SAFETY: the tables map these pages, for good, to memory that the monitor has zeroed; they are handed out once,
        // and `Plain` says that zeros are values.
        unsafe { slice::from_raw_parts_mut(start as usize as *mut T, count) }
    }
}

/// Lets this virtual CPU see the memory.
pub fn map() {
    walker::describe(CSSEG_WINDOW + TOP);
    reg::PW_CTL.write(ENABLED | USER);
    set_asid(ASID);
}
