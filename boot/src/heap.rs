//! The heap: for boot and cold paths only.

use core::alloc::{GlobalAlloc, Layout};
use core::ptr::{self, NonNull};
use disco_arch::board::XKPHYS_CACHED;
use disco_arch::lock::Mutex;
use disco_kernel::machine::layout::Range;
use linked_list_allocator::Heap;

/// Guards the list of free blocks. Taken with interrupts off, innermost of all locks.
struct BootHeap(Mutex<Heap>);

#[global_allocator]
static HEAP: BootHeap = BootHeap(Mutex::new(Heap::empty()));

// SAFETY: `Heap` hands out blocks of the memory that `init` gave it, each to one owner, and the
// lock keeps CPUs apart.
unsafe impl GlobalAlloc for BootHeap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.0
            .lock()
            .allocate_first_fit(layout)
            .map_or(ptr::null_mut(), NonNull::as_ptr)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if let Some(block) = NonNull::new(block) {
            // SAFETY: the caller returns a block of ours with its own layout.
            unsafe { self.0.lock().deallocate(block, layout) };
        }
    }
}

/// Gives the heap its memory. Once.
pub fn init(memory: Range) {
    let start = (XKPHYS_CACHED | memory.start.0) as *mut u8;
    // SAFETY: the layout has set this memory aside for the heap, and this runs once.
    unsafe { HEAP.0.lock().init(start, memory.len() as usize) };
}
