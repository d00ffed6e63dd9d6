//! The exception vectors of a node, and the way into a guest.
//!
//! Each path's length in instructions is part of the monitor's speed; it stands above the path.
//! Registers: `$26` and `$27` are saved in KScratch2 and KScratch3, `$1` in the context; `$27`
//! holds the context. The vectors need no hazard barriers between `mtc0` and `tlbwr` on QEMU's
//! I6400, which executes in order.
//!
//! No `eret` or `eretnc` may find bit 0 of EPC set: it would choose an instruction set that the CPU
//! has not, and QEMU ends on it. A guest that jumped to an odd address takes the slow way.

use super::context::{Counters, GuestContext, L2_ENTRIES, L2_SLOTS_OFFSET, SPECIAL_PAGE_OFFSET};
use core::mem::offset_of;
use disco_magic::point;

core::arch::global_asm!(
    r#"
    # What comes here passes this point (disco_magic::point): no instruction.
    .macro disco_point number
999:
    .pushsection .disco_points, "", @progbits
    .8byte 999b, \number
    .popsection
    .endm

    # Each of the registers that a function need not keep, but $1, $2, $26 and $27, which the vectors use themselves.
    .macro disco_lost access
    \access $3, {gpr}+24($27)
    \access $4, {gpr}+32($27)
    \access $5, {gpr}+40($27)
    \access $6, {gpr}+48($27)
    \access $7, {gpr}+56($27)
    \access $8, {gpr}+64($27)
    \access $9, {gpr}+72($27)
    \access $10, {gpr}+80($27)
    \access $11, {gpr}+88($27)
    \access $12, {gpr}+96($27)
    \access $13, {gpr}+104($27)
    \access $14, {gpr}+112($27)
    \access $15, {gpr}+120($27)
    \access $24, {gpr}+192($27)
    \access $25, {gpr}+200($27)
    \access $29, {gpr}+232($27)
    \access $31, {gpr}+248($27)
    .endm
    # Each of those that a function keeps.
    .macro disco_kept access
    \access $16, {gpr}+128($27)
    \access $17, {gpr}+136($27)
    \access $18, {gpr}+144($27)
    \access $19, {gpr}+152($27)
    \access $20, {gpr}+160($27)
    \access $21, {gpr}+168($27)
    \access $22, {gpr}+176($27)
    \access $23, {gpr}+184($27)
    \access $28, {gpr}+224($27)
    \access $30, {gpr}+240($27)
    .endm

    .section .vectors, "ax", @progbits
    .set push
    .set noreorder
    .set noat
    .balign 4096
    .globl disco_vectors
disco_vectors:
    disco_point {p_refill}
    # 0x000: TLB refill of 32-bit addressing: a guest's user mode without UX
    b disco_vectors + 0x080
    nop

    # 0x080: TLB refill. Found in the second-level TLB: 31 instructions.
    .org disco_vectors + 0x080
    disco_point {p_refill}
    dmtc0 $26, $31, 3
    dmtc0 $27, $31, 4
    dmfc0 $27, $31, 2
    sd $1, {gpr}+8($27)
    dmfc0 $26, $10                  # EntryHi: VPN2 and ASID of the miss
    dsrl32 $1, $26, 30
    bnez $1, disco_refill_kernel    # bits 63..62: csseg or xsseg
    ld $1, {l2_mask}($27)
disco_l2_lookup:
    and $26, $26, $1                # the tag
    dmfc0 $1, $14
    dins $26, $1, 12, 1             # a fetch at an odd address: no tag has bit 12
    ld $1, {l2_shift}($27)
    dsrlv $1, $26, $1
    dlsa $1, $26, $1, 4
    dlsa $1, $26, $1, 4             # page number + 32 ASID
    dins $27, $1, 4, {l2_bits}      # of CONTEXT_ALIGNMENT, which the context is a multiple of
    ld $1, {l2_slots}($27)
    bne $1, $26, disco_refill_slow
    lw $26, {l2_slots}+8($27)
    mtc0 $26, $2
    lw $26, {l2_slots}+12($27)
    mtc0 $26, $3
    dmfc0 $27, $31, 2
    disco_point {p_second_level}
    tlbwr
    ld $26, {l2_hits}($27)
    daddiu $26, $26, 1
    sd $26, {l2_hits}($27)
    ld $1, {gpr}+8($27)
    dmfc0 $26, $31, 3
    dmfc0 $27, $31, 4
    eretnc

    # 0x100: cache error, which QEMU never raises
    .org disco_vectors + 0x100
    disco_point {p_general}
    dmtc0 $26, $31, 3
    dmtc0 $27, $31, 4
    dmfc0 $27, $31, 2
    b disco_save
    li $26, 1

    # 0x180: every other exception
    .org disco_vectors + 0x180
    disco_point {p_general}
    dmtc0 $26, $31, 3
    dmtc0 $27, $31, 4
    dmfc0 $27, $31, 2
    sd $1, {gpr}+8($27)
    mfc0 $26, $13                   # Cause
    andi $1, $26, 0x7c
    daddiu $1, $1, -32              # ExcCode 8: system call
    beqz $1, disco_system_call
    daddiu $1, $1, -12              # ExcCode 11: coprocessor unusable
    bnez $1, disco_fault
    lui $1, 0x4200
    bltz $26, disco_general_slow    # in a delay slot
    ori $1, $1, 0x0058
    mfc0 $26, $8, 1                 # BadInstr
    beq $26, $1, disco_eretnc
    addiu $1, $1, -0x30             # hypcall
    beq $26, $1, disco_call
    addiu $1, $1, -0x10             # eret
    beq $26, $1, disco_eret
    nop
disco_general_slow:
    b disco_save
    li $26, 1

    # 0x200: interrupt
    .org disco_vectors + 0x200
    disco_point {p_interrupt}
    dmtc0 $26, $31, 3
    dmtc0 $27, $31, 4
    dmfc0 $27, $31, 2
    sd $1, {gpr}+8($27)
    b disco_save
    li $26, 2

disco_refill_slow:
    dmfc0 $27, $31, 2
    b disco_light
    li $26, 0

disco_fault:
    dext $1, $26, 2, 5
    daddiu $1, $1, -1
    sltiu $1, $1, 3                 # ExcCode 1 to 3: of the TLB
    beqz $1, disco_save
    li $26, 1
    b disco_light
    nop

disco_call:
    mfc0 $26, $12
    andi $26, $26, 8
    beqz $26, disco_general_slow    # not from supervisor mode
    li $26, 3

    # Misses, and calls about the TLB: Rust code that needs no register of the guest's that it keeps itself.
    # $26 holds what it is about; $1 is saved. If that code cannot serve it, the usual way follows.
    # 74 instructions without it.
disco_light:
    ld $1, {light}($27)
    beqz $1, disco_save
    disco_point {p_save}
    sd $2, {gpr}+16($27)
    disco_lost sd
    mfc0 $2, $12
    andi $3, $2, 0x18
    beqz $3, disco_save_rest        # an exception of the monitor
    sd $2, {status}($27)
    dmfc0 $3, $14
    sd $3, {pc}($27)
    ld $2, {monitor_status}($27)
    mtc0 $2, $12
    ld $29, {stack}($27)
    move $25, $1
    move $4, $27
    jalr $25
    move $5, $26
    ld $3, {status}($27)
    mtc0 $3, $12                    # in no delay slot: QEMU goes on behind it
    beqz $2, disco_save_rest
    nop
    ld $2, {pc}($27)
    dmtc0 $2, $14
    ld $2, {entry_hi}($27)
    dmtc0 $2, $10
    ld $2, {page_mask}($27)
    mtc0 $2, $5
    ld $1, {gpr}+8($27)
    ld $2, {gpr}+16($27)
    disco_lost ld
    dmfc0 $26, $31, 3
    dmfc0 $27, $31, 4
    eretnc

    # A miss in csseg or xsseg. In a linear window with a large page: 37 instructions.
disco_refill_kernel:
    dmfc0 $1, $14
    andi $1, $1, 1
    bnez $1, 3f                     # a fetch at an odd address
    dsll $1, $26, 2
    bltz $26, 1f
    dsrl $1, $1, 23                 # xsseg: bits 61..21
    b 2f
    ld $26, {linear_count}($27)
1:  dext $1, $26, 21, 9             # csseg: bits 29..21
    ld $26, {csseg_count}($27)
2:  sltu $26, $1, $26
    beqz $26, 3f
    ld $26, {linear_base}($27)
    dlsa $1, $1, $26, 4
    lw $26, 0($1)
    beqzc $26, 3f
    mtc0 $26, $5
    lw $26, 4($1)
    mtc0 $26, $2
    lw $26, 8($1)
    mtc0 $26, $3
    disco_point {p_large_page}
    tlbwr
    ld $26, {page_mask}($27)
    mtc0 $26, $5
    ld $26, {linear_hits}($27)
    daddiu $26, $26, 1
    sd $26, {linear_hits}($27)
    ld $1, {gpr}+8($27)
    dmfc0 $26, $31, 3
    dmfc0 $27, $31, 4
    eretnc
3:  dmfc0 $26, $10
    b disco_l2_lookup
    ld $1, {l2_kernel_mask}($27)

    # A system call of guest user mode, reflected to the guest's general vector:
    # 34 instructions from the vector on.
disco_system_call:
    bltz $26, disco_general_slow
    mfc0 $1, $12
    andi $26, $1, 0x10
    beqz $26, disco_general_slow    # not from user mode
    ld $26, {syscall_vector}($27)
    beqz $26, disco_general_slow
    xori $1, $1, 0x18               # user to supervisor
    mtc0 $1, $12
    dmfc0 $1, $14
    dmtc0 $26, $14
    sd $1, {sp_epc}($27)
    lw $26, {sp_status}+4($27)
    ori $26, $26, 2                 # EXL
    sd $26, {sp_status}($27)
    ld $26, {syscall_cause}($27)
    sd $26, {sp_cause}($27)
    mfc0 $26, $8, 1
    sd $26, {sp_badinstr}($27)
    disco_point {p_system_call}
    ld $26, {system_calls}($27)
    daddiu $26, $26, 1
    sd $26, {system_calls}($27)
    ld $1, {gpr}+8($27)
    dmfc0 $26, $31, 3
    dmfc0 $27, $31, 4
    eretnc

    # eret and eretnc of a guest's kernel, with no interrupt waiting, if its Status is that of last time: 43 and 39
    # instructions from the vector on. Each ends with its like, so what the real CPU has of a link is what the guest's has.
    .macro disco_return instruction
disco_\instruction:
    mfc0 $26, $12
    andi $26, $26, 8
    beqz $26, disco_general_slow    # not from supervisor mode
    ld $26, {pending}($27)
    bnez $26, disco_general_slow
    lw $26, {sp_status}+4($27)
    ld $1, {eret_from}($27)
    bne $26, $1, disco_other_status
    ld $1, {sp_epc}($27)
    andi $26, $1, 1
    bnez $26, disco_general_slow    # an odd address
    ld $26, {eret_to}($27)
    sd $26, {sp_status}($27)
    dmtc0 $1, $14
    ld $26, {eret_status}($27)
    mtc0 $26, $12
disco_end_\instruction:
    disco_point {p_eret}
    ld $26, {erets}($27)
    daddiu $26, $26, 1
    sd $26, {erets}($27)
    ld $1, {gpr}+8($27)
    dmfc0 $26, $31, 3
    dmfc0 $27, $31, 4
    \instruction
    .endm

    disco_return eret
    disco_return eretnc

disco_other_status:
    sd $2, {gpr}+16($27)
    ins $26, $1, 21, 1              # an odd address, in a bit that no Status has
    lui $2, 0x0060                  # that, BEV, ERL, KSU neither 0 nor 2: the slow way
    ori $2, $2, 0x000c
    and $2, $2, $26
    bnez $2, 3f
    andi $2, $26, 0x10
    dmtc0 $1, $14
    sd $26, {eret_from}($27)
    srl $2, $2, 1                   # guest user 0x10 -> user 0x10, guest kernel 0 -> supervisor 8
    addiu $2, $2, 8
    ins $26, $0, 1, 1               # EXL
    sd $26, {sp_status}($27)
    sd $26, {eret_to}($27)
    ld $1, {fpu_mask}($27)
    and $26, $26, $1
    or $2, $2, $26
    ld $26, {base_status}($27)
    or $26, $26, $2
    sd $26, {eret_status}($27)
    ld $2, {gpr}+16($27)
    mtc0 $26, $12                   # in no delay slot: QEMU goes on behind it
    mfc0 $26, $8, 1                 # BadInstr
    andi $26, $26, 0x40
    bnez $26, disco_end_eretnc
    nop
    b disco_end_eret
    nop
3:  b disco_general_slow
    ld $2, {gpr}+16($27)

    # Into the monitor: $26 holds the Entry.
disco_save:
    disco_point {p_save}
    sd $2, {gpr}+16($27)
    disco_lost sd
    # What a function does not keep itself is saved.
disco_save_rest:
    disco_kept sd
    mfc0 $2, $12
    andi $2, $2, 0x18
    beqz $2, disco_monitor_fault
    move $5, $26
    sd $2, {status}($27)            # the guest's real mode
    dmfc0 $2, $31, 3
    sd $2, {gpr}+208($27)
    dmfc0 $2, $31, 4
    sd $2, {gpr}+216($27)
    ld $2, {monitor_status}($27)
    mtc0 $2, $12
    ld $29, {stack}($27)
    ld $25, {handler}($27)
    jalr $25
    move $4, $27
    b disco_resume
    move $27, $2

    # A floating-point exception of the monitor: it has loaded a guest's FCSR (`fpu.rs`), and goes on.
disco_monitor_fault:
    mfc0 $2, $13
    andi $2, $2, 0x7c
    xori $2, $2, 0x3c
    bnez $2, 1f
    dmfc0 $2, $14
    daddiu $2, $2, 4
    dmtc0 $2, $14
    ld $1, {gpr}+8($27)
    ld $2, {gpr}+16($27)
    ld $5, {gpr}+40($27)
    dmfc0 $26, $31, 3
    dmfc0 $27, $31, 4
    eretnc
1:  ld $29, {stack}($27)
    daddiu $29, $29, -8192          # keep what the stack's top can tell
    ld $25, {fault_handler}($27)
    jalr $25
    move $4, $27

    # Into the guest whose context $a0 holds.
    .globl disco_enter
disco_enter:
    move $27, $4
disco_resume:
    ld $2, {status}($27)
    mtc0 $2, $12
    ld $2, {pc}($27)
    dmtc0 $2, $14
    ld $2, {entry_hi}($27)
    dmtc0 $2, $10
    ld $2, {page_mask}($27)
    mtc0 $2, $5
    dmtc0 $27, $31, 2
    ld $1, {gpr}+8($27)
    disco_lost ld
    disco_kept ld
    ld $2, {keep_link}($27)
    bnez $2, 1f
    ld $2, {gpr}+16($27)
    ld $26, {gpr}+208($27)
    ld $27, {gpr}+216($27)
    eret
1:  ld $26, {gpr}+208($27)
    ld $27, {gpr}+216($27)
    eretnc
    .set pop
    .text
    "#,
    p_refill = const point::REFILL,
    p_general = const point::GENERAL,
    p_interrupt = const point::INTERRUPT,
    p_second_level = const point::SECOND_LEVEL,
    p_large_page = const point::LARGE_PAGE,
    p_system_call = const point::SYSTEM_CALL,
    p_eret = const point::ERET,
    p_save = const point::SAVE,
    gpr = const offset_of!(GuestContext, gpr),
    pc = const offset_of!(GuestContext, pc),
    status = const offset_of!(GuestContext, status),
    entry_hi = const offset_of!(GuestContext, entry_hi),
    page_mask = const offset_of!(GuestContext, page_mask),
    keep_link = const offset_of!(GuestContext, keep_link),
    l2_bits = const L2_ENTRIES.trailing_zeros(),
    l2_slots = const L2_SLOTS_OFFSET,
    l2_mask = const offset_of!(GuestContext, l2_mask),
    l2_kernel_mask = const offset_of!(GuestContext, l2_kernel_mask),
    l2_shift = const offset_of!(GuestContext, l2_shift),
    linear_base = const offset_of!(GuestContext, linear_base),
    linear_count = const offset_of!(GuestContext, linear_count),
    csseg_count = const offset_of!(GuestContext, csseg_count),
    pending = const offset_of!(GuestContext, pending),
    syscall_cause = const offset_of!(GuestContext, syscall_cause),
    syscall_vector = const offset_of!(GuestContext, syscall_vector),
    base_status = const offset_of!(GuestContext, base_status),
    fpu_mask = const offset_of!(GuestContext, fpu_mask),
    eret_from = const offset_of!(GuestContext, eret_from),
    eret_to = const offset_of!(GuestContext, eret_to),
    eret_status = const offset_of!(GuestContext, eret_status),
    stack = const offset_of!(GuestContext, stack),
    handler = const offset_of!(GuestContext, handler),
    light = const offset_of!(GuestContext, light),
    fault_handler = const offset_of!(GuestContext, fault_handler),
    monitor_status = const offset_of!(GuestContext, monitor_status),
    l2_hits = const offset_of!(GuestContext, counters) + offset_of!(Counters, l2_hits),
    linear_hits = const offset_of!(GuestContext, counters) + offset_of!(Counters, linear_hits),
    system_calls = const offset_of!(GuestContext, counters) + offset_of!(Counters, system_calls),
    erets = const offset_of!(GuestContext, counters) + offset_of!(Counters, erets),
    sp_status = const SPECIAL_PAGE_OFFSET + disco_abi::SP_STATUS as isize,
    sp_cause = const SPECIAL_PAGE_OFFSET + disco_abi::SP_CAUSE as isize,
    sp_epc = const SPECIAL_PAGE_OFFSET + disco_abi::SP_EPC as isize,
    sp_badinstr = const SPECIAL_PAGE_OFFSET + disco_abi::SP_BADINSTR as isize,
);

extern "C" {
    fn disco_enter(context: *mut GuestContext) -> !;
    static disco_vectors: u8;
}

/// Where the vectors begin, for EBase: in the code copy of the node that asks.
pub fn vectors_address() -> u64 {
    core::ptr::addr_of!(disco_vectors) as u64
}

/// Makes `context` what the vectors save into, without entering it.
///
/// # Safety
/// `context` stays valid and is used by this CPU alone until another takes its place. That of a
/// virtual CPU is a multiple of [`super::CONTEXT_ALIGNMENT`] and has its second-level TLB at [`L2_SLOTS_OFFSET`] and its special page at
/// [`SPECIAL_PAGE_OFFSET`].
pub unsafe fn set_context(context: *mut GuestContext) {
    // SAFETY: KScratch1 is the vectors' alone, and the context is good, says the caller.
    unsafe { crate::cp0::set_kscratch1(context as u64) };
}

/// Leaves the monitor for a guest.
///
/// # Safety
/// As for [`set_context`]; and every field of the context is filled for a guest of this CPU.
pub unsafe fn enter(context: *mut GuestContext) -> ! {
    // SAFETY: the caller's promise is what the assembly needs; it does not come back here.
    unsafe { disco_enter(context) }
}
