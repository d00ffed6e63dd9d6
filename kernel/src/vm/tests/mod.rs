//! Host tests of the virtual machine, on a simulated machine in place of the board.

mod assembly;
mod calls;
mod cp0;
mod delay_slot;
mod exceptions;
mod floating_point;
mod guest;
mod interrupts;
mod l2tlb;
mod linear;
mod lockstep;
mod machine;
mod model;
mod pmap;
mod processor;
mod replicas;
mod sample;
mod sharing;
mod steps;
mod tlb_instructions;
mod vtlb;
mod walker;
