//! The firmware image: from the reset vector to every CPU in the monitor.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

extern crate alloc;

mod description;
mod entry;
mod heap;
mod image;
mod log;
mod panic;
mod reset;
mod speed;
mod start;

use disco_arch::board::uart::Uart;
use disco_arch::board::{cps, interrupts};
use disco_kernel::clock;
use disco_kernel::machine::layout::{MachineLayout, Request};
use disco_kernel::monitor::{self, Handover};

/// Bytes of the boot heap.
const HEAP_LEN: u64 = 1 << 20;

/// Called by the entry code on CPU 0 with the address of the flash.
#[link_section = ".init.text"]
#[inline(never)]
extern "C" fn boot(flash: u64) -> ! {
    Uart::com1().init();
    Uart::com2().init();
    let description = description::find(flash);
    let machine = description.machine;
    let request = Request {
        cpus: machine.cpus.get() as usize,
        nodes: machine.nodes.get() as usize,
        memory: machine.memory.get(),
        payload: description::payload(machine),
        code_len: image::code_len(),
        shared_at: image::shared_at(),
        image_len: image::image_len(),
        heap_len: HEAP_LEN,
        block_len: monitor::cpu::BLOCK_LEN,
    };
    let layout = match MachineLayout::new(&request) {
        Ok(layout) => layout,
        Err(error) => fatal!("the machine cannot be divided: {error}"),
    };
    log!(
        "Disco: {} CPUs, {} nodes, {} MiB; code {} KiB",
        request.cpus,
        request.nodes,
        request.memory >> 20,
        image::text_len().div_ceil(1024)
    );
    description::check_payload(&description);
    heap::init(layout.heap);
    clock::set_tick_ps(speed::tick_ps());
    let present = cps::cpu_count();
    if present < request.cpus {
        fatal!(
            "the machine description says {} CPUs, this machine has {present}: start QEMU with \
             `-smp {}`",
            request.cpus,
            request.cpus
        );
    }
    if present > 1 {
        cps::init();
    }
    interrupts::init(present);
    start::run(&Handover {
        layout,
        description,
        payload: description::bytes_of(description::payload(machine)),
        code_len: image::code_len(),
    })
}
