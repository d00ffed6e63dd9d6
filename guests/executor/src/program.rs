//! Runs one program: from its initial state, through its exceptions, to the record of its end.
//!
//! The handler of the program's exceptions follows simple rules that depend on nothing but what it
//! records:
//!
//! - An interrupt's cause is taken away: software interrupts, and the timer by stopping Count. It
//!   goes on where it struck, or in a waiting loop behind the loop.
//! - Behind every other exception the program goes on where the resume table says for EPC's word;
//!   where EPC is no place in the code, for the word whose number is in `$27`.
//! - An instruction that could not be fetched: entry 0 of the TLB is written again.
//! - A system call goes back to kernel mode. ERL is cleared, EXL too. `break` is left with `eretnc`,
//!   so that LL/SC pairs go on over it.
//!
//! The board's handler reads registers with `mfc0`, the guest's in the special page, which costs no
//! trap; the final state is read with `mfc0` in both.

use core::arch::global_asm;
use disco_bare::place;
use disco_executor_layout as layout;

extern "C" {
    fn executor_run(control: *mut u64);
    static executor_vectors_native: u8;
    static executor_vectors_guest: u8;
}

/// Where exceptions of programs go.
pub fn vectors() -> u64 {
    let vectors = if place::is_native() {
        &raw const executor_vectors_native
    } else {
        &raw const executor_vectors_guest
    };
    vectors.addr() as u64
}

/// Runs the program whose control page is at `control`.
pub fn run(control: *mut u64) {
    // SAFETY: the control page is the executor's; a program that `execute` runs reaches only its
    // slot through the TLB. The function keeps what the calling convention says.
    unsafe { executor_run(control) }
}

// `executor_frame`: $1 to $8 at 8 * n, and behind them:
const SAVED_K1: usize = 72;
const TRACE_NEXT: usize = 80;
const CONTROL: usize = 88;
const STACK: usize = 96;
const KEPT: usize = 104;
const FIRST: usize = 144;
const FRAME: usize = 160;

global_asm!(
    r#"
    .macro executor_address register, symbol
    lui \register, %hi(\symbol)
    daddiu \register, \register, %lo(\symbol)
    .endm

    # A CP0 register that the special page has, in a place.
    .macro executor_get place, register, number, select, slot
    .ifc \place, guest
    ld \register, \slot - 0x4000($k1)
    .else
    dmfc0 \register, $\number, \select
    .endif
    .endm
    .macro executor_put place, register, number, select, slot
    .ifc \place, guest
    sd \register, \slot - 0x4000($k1)
    .else
    dmtc0 \register, $\number, \select
    .endif
    .endm

    .set push
    .set noreorder
    .set noat
    .set hardfloat
    .option pic0

    .section .bss.executor, "aw", @nobits
    .balign 16
executor_frame:
    .space {frame_size}

    .text
    .macro executor_handler place
    .balign 4096
    .globl executor_vectors_\place
executor_vectors_\place:
    .irp offset, 0x000, 0x080, 0x100, 0x180, 0x200
    .org executor_vectors_\place + \offset
    executor_address $k0, executor_frame
    sd $k1, {k1}($k0)
    b executor_handle_\place
    li $k1, \offset
    .endr
    .org executor_vectors_\place + 0x280
executor_handle_\place:
    .irp n, 1,2,3,4,5,6,7,8
    sd $\n, 8*\n($k0)
    .endr
    ld $1, {trace_next}($k0)
    beqz $1, executor_first
    ld $2, {first}($k0)
    sd $k1, 0($1)
    .ifc \place, guest
    lui $k1, 0xe000                 # the special page is 0x4000 below
    .endif
    executor_get \place, $2, 12, 0, {sp_status}
    executor_get \place, $3, 13, 0, {sp_cause}
    executor_get \place, $4, 14, 0, {sp_epc}
    executor_get \place, $5, 8, 0, {sp_badvaddr}
    sd $2, 8($1)
    sd $3, 16($1)
    sd $4, 24($1)
    sd $5, 32($1)
    executor_get \place, $6, 8, 1, {sp_badinstr}
    executor_get \place, $7, 8, 2, {sp_badinstrp}
    executor_get \place, $8, 10, 0, {sp_entryhi}
    sd $6, 40($1)
    sd $7, 48($1)
    sd $8, 56($1)
    executor_get \place, $6, 4, 0, {sp_context}
    executor_get \place, $7, 20, 0, {sp_xcontext}
    ld $8, {k1}($k0)
    sd $6, 64($1)
    sd $7, 72($1)
    sd $8, 80($1)
    # $2 Status, $3 Cause, $4 EPC, $5 BadVAddr, $6 ExcCode; $7, $8 for the moment
    ext $6, $3, 2, 5
    ld $1, {control}($k0)
    beqz $6, 5f
    li $8, 6
    # A fetch that failed? Bus error, or BadVAddr is EPC or 4 behind; TLBL and TLBXI.
    beq $6, $8, 1f
    li $8, 2
    beq $6, $8, 6f
    li $8, 20
    bne $6, $8, 2f
    dsubu $7, $5, $4
6:  dsubu $7, $5, $4
    dsrl $8, $7, 3
    bnez $8, 2f
    andi $7, $7, 3
    bnez $7, 2f
    nop
    # Entry 0 again, for the ASID in use.
1:  executor_get \place, $7, 10, 0, {sp_entryhi}
    executor_get \place, $8, 5, 0, {sp_pagemask}
    sd $7, {kept}($k0)
    sd $8, {kept}+8($k0)
    executor_get \place, $4, 2, 0, {sp_entrylo0}
    executor_get \place, $5, 3, 0, {sp_entrylo1}
    sd $4, {kept}+16($k0)
    sd $5, {kept}+24($k0)
    executor_get \place, $4, 0, 0, {sp_index}
    sd $4, {kept}+32($k0)
    andi $7, $7, 0x3ff
    ld $8, {home}($1)
    or $7, $7, $8
    dmtc0 $7, $10
    ld $7, {home}+8($1)
    ld $8, {home}+16($1)
    executor_put \place, $7, 2, 0, {sp_entrylo0}
    executor_put \place, $8, 3, 0, {sp_entrylo1}
    ld $7, {home}+24($1)
    executor_put \place, $7, 5, 0, {sp_pagemask}
    executor_put \place, $0, 0, 0, {sp_index}
    tlbwi
    ld $7, {kept}($k0)
    ld $8, {kept}+8($k0)
    dmtc0 $7, $10
    executor_put \place, $8, 5, 0, {sp_pagemask}
    ld $7, {kept}+16($k0)
    ld $8, {kept}+24($k0)
    executor_put \place, $7, 2, 0, {sp_entrylo0}
    executor_put \place, $8, 3, 0, {sp_entrylo1}
    ld $7, {kept}+32($k0)
    executor_put \place, $7, 0, 0, {sp_index}
    ld $4, {trace_next}($k0)
    ld $4, 24($4)
    li $6, 6                        # goes on from user space below
    # Where EPC is in the code: $5 the word's number, $7 the base.
2:  dext $5, $4, 2, 9
    dsrl $7, $4, 11
    dsll $7, $7, 11
    ld $8, {bases}($1)
    beq $7, $8, 3f
    ld $8, {bases}+8($1)
    beq $7, $8, 3f
    ld $8, {bases}+16($1)
    beq $7, $8, 3f
    ld $8, {k1}($k0)
    ld $7, {bases}($1)
    dext $5, $8, 0, 9
3:  # After address errors and failed fetches from user space.
    daddiu $8, $6, -4
    sltiu $8, $8, 3
    beqz $8, 4f
    nop
    ld $7, {bases}($1)
4:  dsll $5, $5, 1
    daddu $5, $5, $1
    lhu $5, {resume}($5)
    beqz $6, 7f
    dext $8, $5, 14, 1
    bnez $8, 12f
    nop
8:  dext $5, $5, 0, 9
    dlsa $4, $5, $7, 2
9:  # On with the program at $4.
    ld $1, {trace_next}($k0)
    sd $4, 88($1)
    daddiu $1, $1, {trace_entry}
    sd $1, {trace_next}($k0)
    ld $5, {control}($k0)
    daddiu $5, $5, {trace_end}
    beq $1, $5, executor_end_\place
    li $5, -5
    and $2, $2, $5                  # ERL
    li $5, 8
    bne $6, $5, 10f
    ori $2, $2, 2
    li $5, -25
    and $2, $2, $5                  # a system call: kernel mode
10: executor_put \place, $2, 12, 0, {sp_status}
    executor_put \place, $4, 14, 0, {sp_epc}
    xori $6, $6, 9
    beqz $6, 11f
    ld $k1, {k1}($k0)
    .irp n, 1,2,3,4,5,6,7,8
    ld $\n, 8*\n($k0)
    .endr
    eret
11: .irp n, 1,2,3,4,5,6,7,8
    ld $\n, 8*\n($k0)
    .endr
    eretnc

    # An interrupt.
5:  lui $7, 0x0080                  # IV stays, DC is set
    and $7, $7, $3
    lui $8, 0x0800
    or $7, $7, $8
    mtc0 $7, $13
    and $7, $2, $3
    andi $7, $7, 0x8000
    beqz $7, 2b
    nop
    mtc0 $0, $9
    mtc0 $0, $11
    b 2b
    nop
7:  dext $8, $5, 15, 1              # in a waiting loop?
    bnez $8, 8b
    nop
    b 9b
    dins $4, $0, 0, 1               # `eret` to an odd address ends QEMU

12: ld $1, {trace_next}($k0)
    sd $0, 88($1)
    daddiu $1, $1, {trace_entry}
    sd $1, {trace_next}($k0)
executor_end_\place:
    ld $1, {control}($k0)
    .irp n, 2,3,4,5,6,7,8
    ld $\n, 8*\n($k0)
    .endr
    .irp n, 2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,28,29,30,31
    sd $\n, {end_gpr} + 8*\n($1)
    .endr
    ld $2, 8($k0)
    sd $2, {end_gpr} + 8($1)
    ld $2, {k1}($k0)
    sd $2, {end_gpr} + 8*27($1)
    ld $2, {trace_next}($k0)
    sd $0, {trace_next}($k0)
    dsubu $2, $2, $1
    sd $2, {trace_count}($1)
    executor_save_cp0
    .ifc \place, guest
    lui $k1, 0xe000
    .endif
    li $3, 0
    daddiu $4, $1, {end_tlb}
1:  executor_put \place, $3, 0, 0, {sp_index}
    tlbr
    executor_get \place, $5, 10, 0, {sp_entryhi}
    executor_get \place, $6, 2, 0, {sp_entrylo0}
    executor_get \place, $7, 3, 0, {sp_entrylo1}
    executor_get \place, $8, 5, 0, {sp_pagemask}
    sd $5, 0($4)
    sd $6, 8($4)
    sd $7, 16($4)
    sd $8, 24($4)
    daddiu $3, $3, 1
    sltiu $5, $3, 16
    bnez $5, 1b
    daddiu $4, $4, 32
    b executor_finish
    nop
    .endm

    .macro executor_do_start place, register, select
    ld $2, {cp0} + 8*\place($4)
    dmtc0 $2, $\register, \select
    .endm
    .macro executor_do_end place, register, select
    dmfc0 $2, $\register, \select
    sd $2, {end_cp0} + 8*\place($1)
    .endm
    .macro executor_do_end_word place, register, select
    mfc0 $2, $\register, \select
    sd $2, {end_cp0} + 8*\place($1)
    .endm

    .macro executor_save_cp0
    executor_do_end_word 0, 12, 0
    executor_do_end_word 1, 13, 0
    executor_do_end 2, 14, 0
    executor_do_end 3, 8, 0
    executor_do_end_word 4, 8, 1
    executor_do_end_word 5, 8, 2
    executor_do_end 6, 10, 0
    executor_do_end 7, 2, 0
    executor_do_end 8, 3, 0
    executor_do_end_word 9, 5, 0
    executor_do_end_word 10, 0, 0
    executor_do_end 11, 4, 0
    executor_do_end 12, 20, 0
    executor_do_end 13, 30, 0
    executor_do_end 14, 4, 2
    executor_do_end_word 15, 5, 1
    executor_do_end_word 16, 6, 0
    executor_do_end_word 17, 7, 0
    executor_do_end_word 18, 9, 0
    executor_do_end_word 19, 11, 0
    executor_do_end_word 20, 12, 1
    executor_do_end_word 21, 15, 0
    executor_do_end_word 22, 16, 0
    executor_do_end 23, 31, 0
    executor_do_end 24, 31, 2
    executor_do_end 25, 31, 3
    executor_do_end 26, 31, 4
    executor_do_end 27, 31, 5
    executor_do_end 28, 31, 6
    executor_do_end 29, 31, 7
    executor_do_end_word 30, 2, 0
    executor_do_end_word 31, 3, 0
    .endm

    executor_handler native
    executor_handler guest

    # executor_run(control)
    .globl executor_run
executor_run:
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
    executor_address $k0, executor_frame
    sd $sp, {stack}($k0)
    sd $4, {control}($k0)
    sd $0, {trace_next}($k0)
    # Coprocessor unusable: Cause.CE is 1.
    executor_address $2, 1f
    sd $2, {first}($k0)
    lui $2, 0x0400
    ori $2, $2, 0xe0                # kernel mode
    mtc0 $2, $12
    mtc1 $0, $f0
1:  executor_address $2, executor_start
    sd $2, {first}($k0)
    lui $2, 0x2400
    ori $2, $2, 0xe0
    mtc0 $2, $12
    # An exception that leaves the same in those registers and fields that cannot be written:
    # BadVAddr, BadInstr, BadInstrP, and BadVPN2 of Context and XContext.
    .word 0x42000004                # tlbinvf
    b executor_start
    ld $0, 0x100($0)

    # An exception before the program.
executor_first:
    jr $2
    nop

    # On from that exception, with EXL set.
executor_start:
    executor_address $k0, executor_frame
    ld $4, {control}($k0)
    lui $2, 0x2400
    ori $2, $2, 0xe2
    mtc0 $2, $12
    ld $5, {tlb_count}($4)
    daddiu $6, $4, {tlb}
    b 2f
    li $7, 0
1:  ld $2, 0($6)
    dmtc0 $2, $10
    ld $2, 8($6)
    dmtc0 $2, $2
    ld $2, 16($6)
    dmtc0 $2, $3
    ld $2, 24($6)
    mtc0 $2, $5
    mtc0 $7, $0
    tlbwi
    daddiu $6, $6, 32
    daddiu $7, $7, 1
2:  bne $7, $5, 1b
    nop
    # Index.P is cleared by a probe that finds something, and by nothing else.
    ld $2, {tlb}($4)
    dmtc0 $2, $10
    tlbp
    executor_do_start 0, 13, 0
    executor_do_start 1, 9, 0
    executor_do_start 2, 11, 0
    executor_do_start 3, 7, 0
    executor_do_start 4, 6, 0
    executor_do_start 5, 4, 2
    executor_do_start 6, 30, 0
    executor_do_start 7, 31, 0
    executor_do_start 8, 31, 2
    executor_do_start 9, 31, 3
    executor_do_start 10, 31, 4
    executor_do_start 11, 31, 5
    executor_do_start 12, 31, 6
    executor_do_start 13, 31, 7
    executor_do_start 14, 4, 0
    executor_do_start 15, 20, 0
    executor_do_start 16, 5, 0
    executor_do_start 17, 2, 0
    executor_do_start 18, 3, 0
    executor_do_start 19, 0, 0
    executor_do_start 20, 10, 0
    # K0 of Config, which programs may write.
    li $2, 2
    mtc0 $2, $16
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    ldc1 $f\n, {fpr} + 8*\n($4)
    .endr
    ld $2, {fpr} + 256($4)
    ctc1 $2, $31
    ld $2, {gpr} + 8*26($4)
    dmtc0 $2, $14
    daddiu $2, $4, {trace}
    sd $2, {trace_next}($k0)
    ld $2, {start_status}($4)
    mtc0 $2, $12
    move $k0, $4
    .irp n, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,27,28,29,30,31
    ld $\n, {gpr} + 8*\n($k0)
    .endr
    eret

executor_finish:
    lui $2, 0x2400
    ori $2, $2, 0xe2
    mtc0 $2, $12
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    sdc1 $f\n, {end_fpr} + 8*\n($1)
    .endr
    cfc1 $2, $31
    sd $2, {end_fpr} + 256($1)
    ctc1 $0, $31
    dmtc0 $0, $10
    ld $sp, {stack}($k0)
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
    .set pop
    "#,
    frame_size = const FRAME,
    k1 = const SAVED_K1,
    trace_next = const TRACE_NEXT,
    control = const CONTROL,
    stack = const STACK,
    kept = const KEPT,
    first = const FIRST,
    home = const layout::HOME,
    bases = const layout::CODE_BASES,
    resume = const layout::RESUME,
    trace = const layout::TRACE,
    trace_entry = const layout::TRACE_ENTRY,
    trace_end = const layout::TRACE + layout::TRACE_MAX * layout::TRACE_ENTRY,
    trace_count = const layout::TRACE_COUNT,
    gpr = const layout::GPR,
    fpr = const layout::FPR,
    cp0 = const layout::CP0,
    tlb = const layout::TLB,
    tlb_count = const layout::TLB_COUNT,
    start_status = const layout::START_STATUS,
    end_gpr = const layout::END_GPR,
    end_fpr = const layout::END_FPR,
    end_cp0 = const layout::END_CP0,
    end_tlb = const layout::END_TLB,
    sp_status = const disco_abi::SP_STATUS,
    sp_cause = const disco_abi::SP_CAUSE,
    sp_epc = const disco_abi::SP_EPC,
    sp_badvaddr = const disco_abi::SP_BADVADDR,
    sp_badinstr = const disco_abi::SP_BADINSTR,
    sp_badinstrp = const disco_abi::SP_BADINSTRP,
    sp_entryhi = const disco_abi::SP_ENTRYHI,
    sp_context = const disco_abi::SP_CONTEXT,
    sp_xcontext = const disco_abi::SP_XCONTEXT,
    sp_pagemask = const disco_abi::SP_PAGEMASK,
    sp_entrylo0 = const disco_abi::SP_ENTRYLO0,
    sp_entrylo1 = const disco_abi::SP_ENTRYLO1,
    sp_index = const disco_abi::SP_INDEX,
);
