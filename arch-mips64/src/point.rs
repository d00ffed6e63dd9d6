//! Points in the code, for who watches it from outside (`disco_magic::point`).

/// Nothing, at run time: the monitor's ELF file says that whoever comes here passes `POINT`. It stands at the
/// beginning of what it is about: behind the last instruction of a branch it is where the others come, too.
#[inline(always)]
pub fn pass<const POINT: u64>() {
    #[cfg(target_os = "none")]
    // SAFETY: no instruction. The record lies in a section that is not loaded.
    unsafe {
        core::arch::asm!(
            "999:",
            ".pushsection .disco_points, \"\", @progbits",
            ".8byte 999b, {}",
            ".popsection",
            const POINT,
            options(nomem, nostack, preserves_flags)
        );
    }
}
