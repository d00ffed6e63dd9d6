# The reset vector: what every CPU runs first, from the flash, at its fixed address.
#
# CPU 0 programs the board's windows, checks the flash, copies the monitor into RAM and jumps to
# it. The others, which the monitor starts later, go where their entry of the mailbox says.
# Everything here is PC-relative or a number: the section needs no relocation.

        .pushsection .reset, "ax", @progbits
        .set    push
        .set    noat
        .set    reorder
        .option pic0

        .globl  _reset
_reset: b       start
        .org    0x10
        .word   0                       # QEMU writes the board's revision here

        # Exceptions come here until the monitor has set its own vectors up.
        .org    0x200
        b       exception
        .org    0x280
        b       exception
        .org    0x300
        b       exception
        .org    0x380
        b       exception
        .org    0x400
        b       exception
        .org    0x480
        b       exception

        .org    0x500
start:  li      $t0, {STATUS}
        mtc0    $t0, $12, 0             # Status: 64-bit addresses, exceptions to the flash
        mtc0    $zero, $13, 0           # Cause
        mfc0    $t0, $16, 5
        ori     $t0, $t0, {SBRI}
        mtc0    $t0, $16, 5             # Config5: no way into debug mode for guests
        ehb
        mfc0    $t0, $15, 1
        andi    $t0, $t0, 0x3ff         # EBase.CPUNum
        dli     $t1, {MAILBOX}
        dlsa    $t1, $t0, $t1, 4        # 16 bytes a CPU
        beqz    $t0, first

        # A CPU that the monitor has started: where to go, and $a0.
wait:   ld      $t9, 0($t1)
        ld      $a0, 8($t1)
        pause
        beqz    $t9, wait
        sync
        jr      $t9

first:  dli     $t0, {GT_RESET}         # the GT64120, little-endian
        li      $t1, {GT_ISD}
        sw      $t1, 0x68($t0)          # its registers move
        dli     $t0, {GT}
        li      $t1, {IO_LOW}
        sw      $t1, 0x48($t0)
        li      $t1, {IO_HIGH}
        sw      $t1, 0x50($t0)
        li      $t1, {MEM0_LOW}
        sw      $t1, 0x58($t0)
        li      $t1, {MEM0_HIGH}
        sw      $t1, 0x60($t0)
        li      $t1, {MEM1_LOW}
        sw      $t1, 0x80($t0)
        li      $t1, {MEM1_HIGH}
        sw      $t1, 0x88($t0)

        dli     $s1, {COM1}
        li      $t0, 3
        sb      $t0, 3($s1)             # 8 bits, no parity
        li      $t0, 7
        sb      $t0, 2($s1)             # FIFOs on and empty

        dli     $t0, {MAILBOX}
        li      $t1, 256
1:      sd      $zero, 0($t0)           # nobody may find an old entry in the mailbox
        daddiu  $t0, $t0, 8
        daddiu  $t1, $t1, -8
        bnez    $t1, 1b

        # The header, as far as the checksum does not cover it.
        dli     $s0, {FLASH}
        daddiu  $s2, $s0, {RESET_SIZE}  # $s2: the header
        dli     $t0, {MAGIC}
        ld      $t1, 0($s2)
        bne     $t0, $t1, no_header
        lw      $s3, 8($s2)
        li      $t0, {VERSION}
        bne     $t0, $s3, wrong_version
        lwu     $s4, 12($s2)            # $s4: the checksum in the header

        # Table of the CRC-32, 256 words.
        dli     $t0, {CRC_TABLE}
        move    $t1, $zero
        dli     $t2, 0xedb88320
1:      move    $t3, $t1
        li      $a2, 8
2:      andi    $a3, $t3, 1
        dsrl    $t3, $t3, 1
        beqz    $a3, 3f
        xor     $t3, $t3, $t2
3:      addiu   $a2, $a2, -1
        bnez    $a2, 2b
        dlsa    $a3, $t1, $t0, 2
        sw      $t3, 0($a3)
        addiu   $t1, $t1, 1
        sltiu   $a3, $t1, 256
        bnez    $a3, 1b

        daddiu  $t1, $s2, 16
        dli     $t2, {FLASH_SIZE}
        daddu   $t2, $t2, $s0
        dli     $s5, 0xffffffff         # $s5: the checksum of what is there
4:
        .set    i, 0
        .rept   16
        lbu     $t3, i($t1)
        xor     $t3, $t3, $s5
        andi    $t3, $t3, 0xff
        dlsa    $t3, $t3, $t0, 2
        lwu     $t3, 0($t3)
        dsrl    $s5, $s5, 8
        xor     $s5, $s5, $t3
        .set    i, i + 1
        .endr
        daddiu  $t1, $t1, 16
        bne     $t1, $t2, 4b
        dli     $t0, 0xffffffff
        xor     $s5, $s5, $t0
        bne     $s5, $s4, damaged

        # The rest of the header is what xtask wrote.
        lwu     $t0, 20($s2)            # monitor_offset
        daddu   $t0, $t0, $s0
        lwu     $t1, 24($s2)            # monitor_len
        lwu     $t2, 28($s2)            # monitor_bss
        ld      $t3, 32($s2)            # load_address
        daddu   $t1, $t1, $t3
        daddu   $t2, $t2, $t1
5:      ld      $a2, 0($t0)
        ld      $a3, 8($t0)
        sd      $a2, 0($t3)
        sd      $a3, 8($t3)
        daddiu  $t0, $t0, 16
        daddiu  $t3, $t3, 16
        bne     $t3, $t1, 5b
        beq     $t3, $t2, 7f
6:      sd      $zero, 0($t3)
        sd      $zero, 8($t3)
        daddiu  $t3, $t3, 16
        bne     $t3, $t2, 6b
7:      sync
        ld      $t9, 40($s2)            # entry
        move    $a0, $s0
        jr      $t9

no_header:
        lapc    $a0, no_header_text
        bal     puts
        b       off

wrong_version:
        lapc    $a0, wrong_version_text
        bal     puts
        move    $a0, $s3
        bal     put_hex
        lapc    $a0, again_text
        bal     puts
        b       off

damaged:
        lapc    $a0, damaged_text
        bal     puts
        move    $a0, $s5
        bal     put_hex
        lapc    $a0, says_text
        bal     puts
        move    $a0, $s4
        bal     put_hex
        lapc    $a0, again_text
        bal     puts
        b       off

exception:
        dli     $s1, {COM1}
        lapc    $a0, exception_text
        bal     puts
        mfc0    $a0, $13, 0
        bal     put_hex
        lapc    $a0, epc_text
        bal     puts
        dmfc0   $s3, $14, 0
        dsrl32  $a0, $s3, 0
        bal     put_hex
        move    $a0, $s3
        bal     put_hex
        lapc    $a0, end_text
        bal     puts

off:    lbu     $t0, 5($s1)
        andi    $t0, $t0, 0x40
        beqz    $t0, off                # until the last character has left
        dli     $t0, {SOFT_RESET}
        li      $t1, 0x42
        sw      $t1, 0($t0)
1:      b       1b

# Prints the text at $a0, which ends with 0. Uses $a0, $t0, $t1.
puts:   lbu     $t0, 0($a0)
        beqz    $t0, 2f
1:      lbu     $t1, 5($s1)
        andi    $t1, $t1, 0x20
        beqz    $t1, 1b
        sb      $t0, 0($s1)
        daddiu  $a0, $a0, 1
        b       puts
2:      jr      $ra

# Prints the low 32 bits of $a0 in hexadecimal. Uses $t0 to $t2.
put_hex:
        li      $t2, 28
1:      lbu     $t1, 5($s1)
        andi    $t1, $t1, 0x20
        beqz    $t1, 1b
        dsrlv   $t0, $a0, $t2
        andi    $t0, $t0, 15
        sltiu   $t1, $t0, 10
        addiu   $t0, $t0, 48            # '0'
        bnez    $t1, 2f
        addiu   $t0, $t0, 39            # 'a' follows '9' after 39 more
2:      sb      $t0, 0($s1)
        addiu   $t2, $t2, -4
        bgez    $t2, 1b
        jr      $ra

        .balign 4
no_header_text:
        .asciz  "Disco: the flash is damaged or empty: no header at byte 0x1000. Write it with `cargo xtask flash`.\r\n"
        .balign 4
wrong_version_text:
        .asciz  "Disco: the flash image is damaged: this reset code does not read the layout of the header at byte 0x1000: 0x"
        .balign 4
damaged_text:
        .asciz  "Disco: the flash image is damaged: the checksum of bytes 0x1010 to 0x3fffff is 0x"
        .balign 4
says_text:
        .asciz  ", the header says 0x"
        .balign 4
again_text:
        .asciz  ". Write it again with `cargo xtask flash`.\r\n"
        .balign 4
exception_text:
        .asciz  "Disco: exception before the monitor's own vectors: Cause 0x"
        .balign 4
epc_text:
        .asciz  ", EPC 0x"
        .balign 4
end_text:
        .asciz  "\r\n"

        .balign 4
        .set    pop
        .popsection
