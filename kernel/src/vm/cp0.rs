//! The virtual CP0: reading and writing its registers with `mfc0` and `mtc0`.
//!
//! A register that does not exist reads 0 and ignores writes, as release 6 has it.

use super::hardware::Hardware;
use super::vcpu::{Vcpu, CAUSE_WRITABLE, STATUS_WRITABLE};
use super::vtlb::{ASID_MASK, EHINV, LO_RI, LO_XI, TLB_ENTRIES, VPN2_MASK};
use disco_arch::cp0::{Cause, Status};
use disco_arch::instruction::{Cp0Register, Width};

/// PFN, C, D, V and G of EntryLo with 36-bit physical addresses, and RI and XI.
const ENTRY_LO_WRITABLE: u64 = 0x3fff_ffff | LO_RI | LO_XI;
/// Mask field of PageMask: pairs of pages up to 256 MiB each.
const PAGE_MASK_FIELD: u64 = 0x1fff_e000;
/// Config0.K0 and Config5's UFE, FRE (bits that QEMU's I6400 lets be written, less MSAEn, SBRI).
const CONFIG5_WRITABLE: u32 = 1 << 8 | 1 << 9;
/// Registers that only keep what is written, as QEMU's I6400 has them: SRSCtl, SRSMap, DEPC, PerfCtl,
/// ErrCtl, TagLo, DataLo, TagHi, DataHi (of which each four selects are one) and DESAVE. The place in
/// [`Registers::plain`] and the writable bits.
///
/// [`Registers::plain`]: super::vcpu::Registers::plain
#[cold]
#[inline(never)]
const fn plain(register: Cp0Register) -> Option<(usize, u64)> {
    const WORD: u64 = 0xffff_ffff;
    let odd = register.select & 1;
    Some(match (register.number, register.select) {
        (12, 2) => (0, 0xf3c0),
        (12, 3) => (1, WORD),
        (24, 0) => (2, u64::MAX),
        (25, 0) => (3, 0x7ff),
        (26, 0) => (4, 0x3000_0000),
        (28, _) if odd == 0 => (5, 0xffff_fcf6),
        (28, _) => (6, WORD),
        (29, _) => (7 + odd as usize, WORD),
        (31, 0) => (9, WORD),
        _ => return None,
    })
}

/// HWREna: CPUNum, SYNCI_Step, CC, CCRes, XNP, UserLocal.
const HWRENA_WRITABLE: u32 = 0x2000_002f;
/// Config5.XNP: no paired LL and SC.
const CONFIG5_XNP: u32 = 1 << 13;
/// Hardware registers that the real CPU may answer itself: all but CPUNum and XNP.
const HWRENA_DIRECT: u32 = 0x2000_000e;
/// PWCtl: PWEn, XK, XS, XU, PSn. No huge pages in directories.
const PW_CTL_WRITABLE: u32 = 0x9c00_003f;
/// Count for `rdhwr`.
const HWRENA_COUNT: u32 = 1 << 2;

const fn sign(value: u32) -> u64 {
    value as i32 as i64 as u64
}

/// The mask field of `value` if it is one of pages, each size four times the one before; else that
/// of 4 KiB pages, as QEMU has it.
pub(super) const fn legal_page_mask(value: u64) -> u64 {
    let field = (value & PAGE_MASK_FIELD) >> 13;
    let contiguous = field & (field + 1) == 0;
    if contiguous && field.trailing_ones() & 1 == 0 {
        field << 13
    } else {
        0
    }
}

impl Vcpu<'_> {
    /// `mfc0`, `dmfc0`.
    pub fn read_cp0(&self, register: Cp0Register, width: Width, hardware: &impl Hardware) -> u64 {
        let value = self.cp0_value(register, hardware);
        match (width, register.number) {
            (Width::Double, _) => value,
            // The 32-bit view keeps RI and XI in bits 31 and 30.
            (Width::Word, 2 | 3) => sign((value & 0x3fff_ffff | value >> 32 & 0xc000_0000) as u32),
            (_, _) => sign(value as u32),
        }
    }

    fn cp0_value(&self, register: Cp0Register, hardware: &impl Hardware) -> u64 {
        let special = self.special;
        let own = &self.registers;
        match (register.number, register.select) {
            (0, 0) => sign(special.index()),
            (2, 0) => special.entry_lo0(),
            (3, 0) => special.entry_lo1(),
            (4, 0) => special.context(),
            (4, 2) => special.user_local(),
            (5, 0) => special.page_mask(),
            (5, 5) => own.pw_base,
            (8, 0) => special.bad_vaddr(),
            (8, 1) => sign(special.bad_instr()),
            (8, 2) => sign(special.bad_instr_p()),
            (9, 0) => sign(self.count(hardware)),
            (10, 0) => special.entry_hi(),
            (11, 0) => sign(own.compare),
            (12, 0) => sign(self.status_read()),
            (13, 0) => sign(self.cause_read()),
            (14, 0) => special.epc(),
            (20, 0) => special.xcontext(),
            (31, select @ 2..) => special.kscratch(usize::from(select) - 2),
            _ => self.rare_cp0_value(register),
        }
    }

    /// What is read when a kernel starts, or not at all.
    #[cold]
    fn rare_cp0_value(&self, register: Cp0Register) -> u64 {
        let own = &self.registers;
        match (register.number, register.select) {
            (5, 1) => sign(own.page_grain),
            (5, 6) => own.pw_field,
            (5, 7) => own.pw_size,
            (6, 0) => u64::from(self.tlb.wired()),
            (6, 6) => sign(own.pw_ctl),
            (7, 0) => sign(own.hwrena),
            (12, 1) => sign(0xe000_0000 | own.int_ctl),
            (15, 0) => sign(self.identity.prid),
            (15, 1) => own.ebase | u64::from(self.number),
            (16, 0) => sign(own.config0),
            (16, 5) => sign(own.config5),
            (16, select @ 1..=4) => sign(self.identity.config[usize::from(select)]),
            (17, 0) => 1,
            (30, 0) => self.special.error_epc(),
            _ => plain(register).map_or(0, |(place, _)| own.plain[place]),
        }
    }

    /// Status, with the bits that cannot be changed.
    pub fn status_read(&self) -> u32 {
        self.special.status() & STATUS_WRITABLE | self.identity.status_fixed
    }

    /// Cause: the last exception's part and the waiting interrupts of now.
    pub(super) fn cause_read(&self) -> u32 {
        let exception = (Cause::EXC_CODE | Cause::BD).bits();
        self.special.cause() & exception | self.cause_base()
    }

    /// `mtc0`, `dmtc0`. As on the real CPU, `mtc0` writes all of a 64-bit register. `now` is in ticks of the monitor's clock.
    pub fn write_cp0(
        &mut self,
        register: Cp0Register,
        width: Width,
        value: u64,
        now: u64,
        hardware: &mut impl Hardware,
    ) {
        let value = match (width, register.number) {
            (Width::Word, 2 | 3) => value & 0x3fff_ffff | (value & 0xc000_0000) << 32,
            _ => value,
        };
        let word = value as u32;
        let special = self.special;
        match (register.number, register.select) {
            (0, 0) if (word & 0x7fff_ffff) < TLB_ENTRIES as u32 => {
                special.set_index(special.index() & 1 << 31 | word);
            }
            (2, 0) => special.set_entry_lo0(value & ENTRY_LO_WRITABLE),
            (3, 0) => special.set_entry_lo1(value & ENTRY_LO_WRITABLE),
            (4, 0) => special.set_context(special.context() & 0x7f_ffff | value & !0x7f_ffff),
            (4, 2) => {
                special.set_user_local(value);
                hardware.set_user_local(value);
            }
            (5, 0) => special.set_page_mask(legal_page_mask(value & PAGE_MASK_FIELD)),
            (5, 5) => self.registers.pw_base = value,
            (10, 0) => {
                // A reserved region (2, xkphys) leaves R as it is.
                const R: u64 = 3 << 62;
                let r = if value >> 62 == 2 {
                    special.entry_hi() & R
                } else {
                    value & R
                };
                self.set_entry_hi(value & !R & (VPN2_MASK | EHINV | ASID_MASK) | r);
            }
            (11, 0) => {
                self.registers.compare = word;
                self.clear_timer();
                self.arm_timer(now);
            }
            (12, 0) => self.write_status(word),
            (13, 0) => self.set_cause(word, now, hardware),
            (14, 0) => special.set_epc(value),
            (31, select @ 2..) => special.set_kscratch(usize::from(select) - 2, value),
            _ => self.write_rare_cp0(register, value, now, hardware),
        }
    }

    /// What is written when a kernel starts, or not at all.
    #[cold]
    fn write_rare_cp0(
        &mut self,
        register: Cp0Register,
        value: u64,
        now: u64,
        hardware: &mut impl Hardware,
    ) {
        let word = value as u32;
        let special = self.special;
        match (register.number, register.select) {
            (5, 6) => {
                self.registers.pw_field = value & 0x3f_ffff_ffff;
                self.registers.plan_walks();
            }
            (5, 7) => {
                self.registers.pw_size = value & 0x7f_ffff_ffff;
                self.registers.plan_walks();
            }
            (6, 0) => self.tlb.set_wired(word),
            (6, 6) => {
                self.registers.pw_ctl = word & PW_CTL_WRITABLE;
                self.registers.plan_walks();
            }
            (7, 0) => self.set_hwrena(word & HWRENA_WRITABLE, hardware),
            (9, 0) => {
                self.update_lines(now);
                self.set_count(word, now, hardware);
            }
            (12, 1) => self.registers.int_ctl = word & 0x3e0,
            (15, 1) => self.set_ebase(value),
            (16, 0) => self.registers.config0 = self.registers.config0 & !7 | word & 7,
            (16, 5) => {
                self.registers.config5 =
                    self.registers.config5 & !CONFIG5_WRITABLE | word & CONFIG5_WRITABLE;
            }
            (20, 0) => {
                // PTEBase above R and BadVPN2 of 48-bit addresses.
                const LOW: u64 = (1 << 41) - 1;
                special.set_xcontext(special.xcontext() & LOW | value & !LOW);
            }
            (30, 0) => special.set_error_epc(value),
            _ => {
                if let Some((place, mask)) = plain(register) {
                    let whole = mask == u64::MAX;
                    self.registers.plain[place] = if whole {
                        value
                    } else {
                        sign(word & mask as u32)
                    };
                }
            }
        }
    }

    /// Status, by the rules of release 6 (QEMU, `cpu_mips_store_status`).
    fn write_status(&self, value: u32) {
        let level = |bit: Status| {
            if value & bit.bits() != 0 {
                bit.bits()
            } else {
                0
            }
        };
        // Without KX there is no SX, and without SX no UX.
        let kx = level(Status::KX);
        let sx = kx >> 1 & level(Status::SX);
        let ux = sx >> 1 & level(Status::UX);
        let value = value & !(Status::KX | Status::SX | Status::UX).bits() | kx | sx | ux;
        // The reserved mode leaves KSU as it is; SR and NMI are only cleared.
        let ksu = (Status::KSU_USER | Status::KSU_SUPERVISOR).bits();
        let keep_ksu = if value & ksu == ksu { ksu } else { 0 };
        let writable = STATUS_WRITABLE & !keep_ksu & !(value & (Status::SR | Status::NMI).bits());
        let old = self.special.status() & STATUS_WRITABLE;
        self.special
            .set_status(old & !writable | value & writable | self.identity.status_fixed);
    }

    /// EBase: with the write gate (bit 11) any 4 KiB page, without it bits 29..12 only.
    fn set_ebase(&mut self, value: u64) {
        const GATE: u64 = 1 << 11;
        self.registers.ebase = if value & GATE != 0 {
            value & !0xfff | GATE
        } else {
            self.registers.ebase & !0x3fff_f000 & !GATE | value & 0x3fff_f000
        };
    }

    fn set_hwrena(&mut self, value: u32, hardware: &mut impl Hardware) {
        self.registers.hwrena = value;
        self.update_hwrena(hardware);
    }

    /// Lets the real CPU answer what it would answer rightly.
    pub fn update_hwrena(&self, hardware: &mut impl Hardware) {
        let own_count = self.registers.count_offset == 0 && self.registers.count_frozen.is_none();
        let direct = if own_count {
            HWRENA_DIRECT
        } else {
            HWRENA_DIRECT & !HWRENA_COUNT
        };
        hardware.set_hwrena(self.registers.hwrena & direct);
    }

    #[cold]
    #[inline(never)]
    fn set_count(&mut self, value: u32, now: u64, hardware: &mut impl Hardware) {
        match &mut self.registers.count_frozen {
            Some(frozen) => *frozen = value,
            None => {
                self.registers.count_offset = value.wrapping_sub(hardware.count());
                self.arm_timer(now);
            }
        }
        self.update_hwrena(hardware);
    }

    fn set_cause(&mut self, value: u32, now: u64, hardware: &mut impl Hardware) {
        self.update_lines(now);
        let stop = value & Cause::DC.bits() != 0;
        match (stop, self.registers.count_frozen) {
            (true, None) => self.registers.count_frozen = Some(self.count(hardware)),
            (false, Some(frozen)) => {
                self.registers.count_frozen = None;
                self.set_count(frozen, now, hardware);
            }
            _ => {}
        }
        self.update_hwrena(hardware);
        self.change_cause(CAUSE_WRITABLE, value & CAUSE_WRITABLE);
    }

    /// `rdhwr`, where the guest may read `number`; `None` raises reserved instruction.
    pub fn read_hardware_register(
        &self,
        number: u8,
        user: bool,
        hardware: &impl Hardware,
    ) -> Option<u64> {
        // Release 6: Status.CU0 does not count.
        if user && self.registers.hwrena >> (number & 31) & 1 == 0 {
            return None;
        }
        match number {
            0 => Some(u64::from(self.number)),
            1 => Some(32),
            2 => Some(sign(self.count(hardware))),
            3 => Some(2),
            4 => Some(0),
            5 => Some(u64::from(self.registers.config5 & CONFIG5_XNP != 0)),
            29 => Some(self.special.user_local()),
            _ => None,
        }
    }
}
