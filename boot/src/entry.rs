//! Where the reset code jumps to.

use crate::boot;
use core::arch::global_asm;
use disco_arch::board::XKPHYS_CACHED;
use disco_kernel::machine::layout::IMAGE;

// Until CPU 0 has its own stack, it uses the reset code's scratch memory below the image.
global_asm!(
    ".pushsection .text._start, \"ax\"",
    ".globl _start",
    ".type _start, @function",
    "_start:",
    "    dli     $sp, {stack_top}",
    "    move    $fp, $zero",
    "    move    $ra, $zero",
    "    lapc    $t9, {boot}",
    "    jr      $t9",
    ".size _start, . - _start",
    ".popsection",
    stack_top = const XKPHYS_CACHED + IMAGE.0,
    boot = sym boot,
);
