//! Instructions that do nothing and tell the exact model where a window of its measurement begins and ends.

use core::arch::asm;

/// The window of the whole computation.
pub const ALL: u8 = 0;
/// The windows of its parts, one after the other, begin with this one.
pub const FIRST_PART: u8 = 1;
/// How many parts there are.
pub const PARTS: u64 = 10;

/// Numbers of the markers (`disco_magic::marker`).
const BEGIN: u16 = 0x100;
const END: u16 = 0x200;
const REPORT: u16 = 0x302;

fn mark<const NUMBER: u16>() {
    // SAFETY: writes to the register that is always 0. Without the option `nomem` it stays where it is.
    unsafe { asm!("ori $zero, $zero, {}", const NUMBER, options(nostack)) };
}

/// The window of the whole computation begins, and that of its first part.
pub fn begin() {
    mark::<{ BEGIN | ALL as u16 }>();
    part::<{ BEGIN }>(0);
}

/// Both end.
pub fn end() {
    part::<{ END }>(PARTS - 1);
    mark::<{ END | ALL as u16 }>();
}

/// The model writes its report now, and again when the machine ends.
pub fn report() {
    mark::<REPORT>();
}

/// The first of the team has done `done` steps of `all`: if a part of the work ends with them, the next one's window
/// begins.
pub fn progress(done: u64, all: u64) {
    let part_of = |done: u64| done * PARTS / all.max(1);
    let part_now = part_of(done);
    if done < all && part_now != part_of(done - 1) {
        part::<{ END }>(part_now - 1);
        part::<{ BEGIN }>(part_now);
    }
}

/// Marks a part's window: the number is part of the instruction.
fn part<const KIND: u16>(number: u64) {
    macro_rules! choose {
        ($($n:literal)*) => {
            match number {
                $($n => {
                    // SAFETY: as in `mark`.
                    unsafe { asm!("ori $zero, $zero, {}", const KIND | FIRST_PART as u16 + $n, options(nostack)) }
                })*
                _ => {}
            }
        };
    }
    choose!(0 1 2 3 4 5 6 7 8 9);
}
