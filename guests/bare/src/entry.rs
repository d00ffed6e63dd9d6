//! Where the program begins, where its exceptions go, and how it runs prepared instructions.
//!
//! `$k0` and `$k1` belong to this file: compiled code does not use them.

use crate::exception::Frame;
use crate::execute::{Registers, RETURN_REGISTER};
use crate::place;
use core::arch::global_asm;
use core::mem::offset_of;

extern "C" {
    fn bare_main();
}

/// Continues the entry in Rust, with what the place left in `$a0`, `$a1` and `$sp`.
#[no_mangle]
extern "C" fn bare_entry(a0: u64, a1: u64, sp: u64) -> ! {
    place::prepare(a0, a1, sp);
    // SAFETY: `program!` defines it with this signature.
    unsafe { bare_main() };
    place::off()
}

global_asm!(
    r#"
    .macro address register, symbol
    lui \register, %hi(\symbol)
    daddiu \register, \register, %lo(\symbol)
    .endm

    .set push
    .set noreorder
    .set noat
    .option pic0

    .section .entry, "ax", @progbits
    .globl _start
_start:
    move $a2, $sp
    address $sp, bare_stack_top
    address $gp, _gp
    address $t9, bare_entry
    jr $t9
    nop

    .section .vectors, "ax", @progbits
bare_vectors:
    .irp offset, 0x000, 0x080, 0x100, 0x180, 0x200
    .org bare_vectors + \offset
    b bare_exception
    li $k1, \offset
    .endr

    # All registers into the frame, the handler in Rust, and back with what it left there.
bare_exception:
    address $k0, bare_frame
    sd $k1, {vector}($k0)
    .irp n, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,28,29,30,31
    sd $\n, 8*\n($k0)
    .endr
    mfc0 $2, $12
    mfc0 $3, $13
    dmfc0 $4, $14
    dmfc0 $5, $8
    mfc0 $6, $8, 1
    mfc0 $7, $8, 2
    dmfc0 $8, $10
    dmfc0 $9, $4
    dmfc0 $10, $20
    dmfc0 $11, $30
    sd $2, {status}($k0)
    sd $3, {cause}($k0)
    sd $4, {epc}($k0)
    sd $5, {bad_vaddr}($k0)
    sd $6, {bad_instr}($k0)
    sd $7, {bad_instr_p}($k0)
    sd $8, {entry_hi}($k0)
    sd $9, {context}($k0)
    sd $10, {xcontext}($k0)
    sd $11, {error_epc}($k0)
    address $sp, bare_exception_stack_top
    address $gp, _gp
    address $t9, bare_handle_exception
    jalr $t9
    move $a0, $k0
    address $k0, bare_frame
    ld $2, {status}($k0)
    ld $4, {epc}($k0)
    mtc0 $2, $12
    dmtc0 $4, $14
    .irp n, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,28,29,30,31
    ld $\n, 8*\n($k0)
    .endr
    eret

    # bare_execute(start, registers, status): loads the registers and goes to `start` with that
    # Status, until something comes to bare_execute_return.
    .text
    .globl bare_execute
bare_execute:
    daddiu $sp, $sp, -112
    sd $16, 0($sp)
    sd $17, 8($sp)
    sd $18, 16($sp)
    sd $19, 24($sp)
    sd $20, 32($sp)
    sd $21, 40($sp)
    sd $22, 48($sp)
    sd $23, 56($sp)
    sd $28, 64($sp)
    sd $30, 72($sp)
    sd $31, 80($sp)
    sd $5, 88($sp)
    lui $k0, %hi(bare_execute_stack)
    sd $sp, %lo(bare_execute_stack)($k0)
    address $2, bare_execute_return
    sd $2, 8*{return_register}($5)
    dmtc0 $4, $14
    mtc0 $6, $12
    move $k0, $5
    .irp n, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,28,29,30,31
    ld $\n, 8*\n($k0)
    .endr
    eret
    .globl bare_execute_return
bare_execute_return:
    lui $k0, %hi(bare_execute_stack)
    ld $k0, %lo(bare_execute_stack)($k0)
    ld $k1, 88($k0)
    .irp n, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,28,29,30,31
    sd $\n, 8*\n($k1)
    .endr
    move $sp, $k0
    ld $16, 0($sp)
    ld $17, 8($sp)
    ld $18, 16($sp)
    ld $19, 24($sp)
    ld $20, 32($sp)
    ld $21, 40($sp)
    ld $22, 48($sp)
    ld $23, 56($sp)
    ld $28, 64($sp)
    ld $30, 72($sp)
    ld $31, 80($sp)
    jr $31
    daddiu $sp, $sp, 112

    .section .bss.bare_stacks, "aw", @nobits
    .balign 16
    .space 65536
bare_stack_top:
    .space 32768
bare_exception_stack_top:
    .globl bare_frame
bare_frame:
    .space {frame_size}
bare_execute_stack:
    .space 8
    .text
    .set pop
    "#,
    vector = const offset_of!(Frame, vector),
    status = const offset_of!(Frame, status),
    cause = const offset_of!(Frame, cause),
    epc = const offset_of!(Frame, epc),
    bad_vaddr = const offset_of!(Frame, bad_vaddr),
    bad_instr = const offset_of!(Frame, bad_instr),
    bad_instr_p = const offset_of!(Frame, bad_instr_p),
    entry_hi = const offset_of!(Frame, entry_hi),
    context = const offset_of!(Frame, context),
    xcontext = const offset_of!(Frame, xcontext),
    error_epc = const offset_of!(Frame, error_epc),
    frame_size = const size_of::<Frame>(),
    return_register = const RETURN_REGISTER,
);

// `bare_exception` and `bare_execute` store $n at 8 * n.
const _: () = assert!(offset_of!(Frame, gpr) == 0 && size_of::<Registers>() == 32 * 8);
