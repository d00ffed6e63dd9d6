//! Where the guest begins, where its exceptions go, and how it runs prepared instructions.
//!
//! `$k0` and `$k1` belong to this file: compiled code does not use them.

use crate::exception::Frame;
use crate::execute::{Registers, RETURN_REGISTER};
use core::arch::global_asm;
use core::mem::offset_of;
use disco_abi::{BootInfo, BOOT_MAGIC};

extern "C" {
    fn guest_main(boot: &'static BootInfo);
}

/// Continues the entry in Rust, with what the monitor left in `$a0`, `$a1` and `$sp`.
#[no_mangle]
extern "C" fn guest_entry(boot: &'static BootInfo, magic: u64, stack: u64) -> ! {
    assert_eq!((magic, stack), (BOOT_MAGIC, 0), "$a1 and $sp at entry");
    // SAFETY: `guest!` defines it with this signature.
    unsafe { guest_main(boot) };
    crate::pass()
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
    address $sp, guest_stack_top
    address $gp, _gp
    address $t9, guest_entry
    jr $t9
    nop

    .section .vectors, "ax", @progbits
guest_vectors:
    .org guest_vectors + 0x080
    b guest_exception
    li $k1, 0x080
    .org guest_vectors + 0x180
    b guest_exception
    li $k1, 0x180
    .org guest_vectors + 0x200
    b guest_exception
    li $k1, 0x200

    # All registers into the frame, the handler in Rust, and back with what it left there.
guest_exception:
    address $k0, guest_frame
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
    sd $2, {status}($k0)
    sd $3, {cause}($k0)
    sd $4, {epc}($k0)
    sd $5, {bad_vaddr}($k0)
    sd $6, {bad_instr}($k0)
    sd $7, {bad_instr_p}($k0)
    address $sp, guest_exception_stack_top
    address $gp, _gp
    address $t9, guest_handle_exception
    jalr $t9
    move $a0, $k0
    address $k0, guest_frame
    ld $2, {status}($k0)
    ld $4, {epc}($k0)
    mtc0 $2, $12
    dmtc0 $4, $14
    .irp n, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,28,29,30,31
    ld $\n, 8*\n($k0)
    .endr
    eret

    # guest_execute(start, registers, status): loads the registers and goes to `start` with that
    # Status, until something comes to guest_execute_return.
    .text
    .globl guest_execute
guest_execute:
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
    lui $k0, %hi(guest_execute_stack)
    sd $sp, %lo(guest_execute_stack)($k0)
    address $2, guest_execute_return
    sd $2, 8*{return_register}($5)
    dmtc0 $4, $14
    mtc0 $6, $12
    move $k0, $5
    .irp n, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,28,29,30,31
    ld $\n, 8*\n($k0)
    .endr
    eret
    .globl guest_execute_return
guest_execute_return:
    lui $k0, %hi(guest_execute_stack)
    ld $k0, %lo(guest_execute_stack)($k0)
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

    .section .bss.guest_stacks, "aw", @nobits
    .balign 16
    .space 65536
guest_stack_top:
    .space 32768
guest_exception_stack_top:
    .globl guest_frame
guest_frame:
    .space {frame_size}
guest_execute_stack:
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
    frame_size = const size_of::<Frame>(),
    return_register = const RETURN_REGISTER,
);

// `guest_exception` and `guest_execute` store $n at 8 * n.
const _: () = assert!(offset_of!(Frame, gpr) == 0 && size_of::<Registers>() == 32 * 8);
