//! The floating-point unit: its registers in and out. The monitor itself computes without it.

use crate::cp0::{self, Status};

core::arch::global_asm!(
    r#"
    .pushsection .text.disco_fpu, "ax", @progbits
    .set push
    .set noreorder
    .set hardfloat
    .globl disco_fpu_save
    .type disco_fpu_save, @function
disco_fpu_save:
    sdc1 $f0, 0($4)
    sdc1 $f1, 8($4)
    sdc1 $f2, 16($4)
    sdc1 $f3, 24($4)
    sdc1 $f4, 32($4)
    sdc1 $f5, 40($4)
    sdc1 $f6, 48($4)
    sdc1 $f7, 56($4)
    sdc1 $f8, 64($4)
    sdc1 $f9, 72($4)
    sdc1 $f10, 80($4)
    sdc1 $f11, 88($4)
    sdc1 $f12, 96($4)
    sdc1 $f13, 104($4)
    sdc1 $f14, 112($4)
    sdc1 $f15, 120($4)
    sdc1 $f16, 128($4)
    sdc1 $f17, 136($4)
    sdc1 $f18, 144($4)
    sdc1 $f19, 152($4)
    sdc1 $f20, 160($4)
    sdc1 $f21, 168($4)
    sdc1 $f22, 176($4)
    sdc1 $f23, 184($4)
    sdc1 $f24, 192($4)
    sdc1 $f25, 200($4)
    sdc1 $f26, 208($4)
    sdc1 $f27, 216($4)
    sdc1 $f28, 224($4)
    sdc1 $f29, 232($4)
    sdc1 $f30, 240($4)
    sdc1 $f31, 248($4)
    cfc1 $2, $31
    jr $31
    sd $2, 256($4)
    .size disco_fpu_save, . - disco_fpu_save

    .globl disco_fpu_load
    .type disco_fpu_load, @function
disco_fpu_load:
    ldc1 $f0, 0($4)
    ldc1 $f1, 8($4)
    ldc1 $f2, 16($4)
    ldc1 $f3, 24($4)
    ldc1 $f4, 32($4)
    ldc1 $f5, 40($4)
    ldc1 $f6, 48($4)
    ldc1 $f7, 56($4)
    ldc1 $f8, 64($4)
    ldc1 $f9, 72($4)
    ldc1 $f10, 80($4)
    ldc1 $f11, 88($4)
    ldc1 $f12, 96($4)
    ldc1 $f13, 104($4)
    ldc1 $f14, 112($4)
    ldc1 $f15, 120($4)
    ldc1 $f16, 128($4)
    ldc1 $f17, 136($4)
    ldc1 $f18, 144($4)
    ldc1 $f19, 152($4)
    ldc1 $f20, 160($4)
    ldc1 $f21, 168($4)
    ldc1 $f22, 176($4)
    ldc1 $f23, 184($4)
    ldc1 $f24, 192($4)
    ldc1 $f25, 200($4)
    ldc1 $f26, 208($4)
    ldc1 $f27, 216($4)
    ldc1 $f28, 224($4)
    ldc1 $f29, 232($4)
    ldc1 $f30, 240($4)
    ldc1 $f31, 248($4)
    # A cause bit with its enable is set and raises a floating-point exception. The vectors, which
    # save into the CPU's own context meanwhile, come back behind the ctc1.
    dmfc0 $3, $31, 2
    dmfc0 $2, $31, 5
    dmtc0 $2, $31, 2
    ld $2, 256($4)
    ctc1 $2, $31
    dmtc0 $3, $31, 2
    jr $31
    nop
    .size disco_fpu_load, . - disco_fpu_load
    .set pop
    .popsection
    "#
);

extern "C" {
    fn disco_fpu_save(registers: *mut [u64; 33]);
    fn disco_fpu_load(registers: *const [u64; 33]);
}

/// Runs `transfer` with the FPU usable.
fn with_fpu(transfer: impl FnOnce()) {
    let status = cp0::status();
    // SAFETY: the monitor compiles without FPU instructions; CU1 only lets `transfer` have them.
    unsafe { cp0::set_status(status | Status::CU1) };
    transfer();
    // SAFETY: as it was.
    unsafe { cp0::set_status(status) };
}

/// Copies f0 to f31 and FCSR out.
pub fn save(registers: &mut [u64; 33]) {
    // SAFETY: the assembly writes the array's 264 bytes and nothing else.
    with_fpu(|| unsafe { disco_fpu_save(registers) });
}

/// Copies f0 to f31 and FCSR in.
///
/// # Safety
/// KScratch4 holds the address of a context in which the vectors may save.
pub unsafe fn load(registers: &[u64; 33]) {
    // SAFETY: the assembly reads the array's 264 bytes, and changes KScratch1 for a moment in which
    // nothing but the exception that the vectors know can come: interrupts are off.
    with_fpu(|| unsafe { disco_fpu_load(registers) });
}
