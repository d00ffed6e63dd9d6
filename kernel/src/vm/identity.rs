//! What the virtual CPU says it is: the real CPU's configuration, less what is not virtualised.

/// Read-only configuration registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// PRId.
    pub prid: u32,
    /// Config, Config1 to Config5.
    pub config: [u32; 6],
    /// FPU bits that are fixed in Status (FR).
    pub status_fixed: u32,
}

/// Config3: hardware page-table walker.
const CONFIG3_PW: u32 = 1 << 24;
/// Config3: vectored interrupts, external interrupt controller, large physical addresses, GCRs,
/// MSA, segment control, CDMM, VZ.
const CONFIG3_HIDDEN: u32 =
    1 << 5 | 1 << 6 | 1 << 7 | 1 << 29 | 1 << 28 | 1 << 25 | 1 << 3 | 1 << 23;
/// Config5: virtual processors, MAARs, global invalidation (which later versions of QEMU have), MSA
/// enable.
const CONFIG5_HIDDEN: u32 = 1 << 7 | 1 << 3 | 3 << 15 | 1 << 27;
/// Config1: performance counters, watch registers, EJTAG.
const CONFIG1_HIDDEN: u32 = 1 << 4 | 1 << 3 | 1 << 1;

impl Identity {
    /// Hides what is not virtualised from the real CPU's registers, and shows the page-table
    /// walker that the monitor provides.
    pub fn new(prid: u32, real: [u32; 6], status_fixed: u32) -> Self {
        let mut config = real;
        config[1] &= !CONFIG1_HIDDEN;
        config[3] = config[3] & !CONFIG3_HIDDEN | CONFIG3_PW;
        config[5] &= !CONFIG5_HIDDEN;
        Self {
            prid,
            config,
            status_fixed,
        }
    }
}
