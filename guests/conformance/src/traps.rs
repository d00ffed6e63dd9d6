//! Exceptions that an instruction raises by itself: traps, privileged and reserved instructions,
//! coprocessors.

use crate::record::{see, see_text};
use crate::run::{self, mapped, see_exceptions, Mode};
use crate::suite::Suite;
use disco_bare::cp0::{reg, STATUS_CU1};
use disco_bare::execute::Registers;
use disco_bare::instruction::*;
use disco_bare::place;
use disco_bare::registers::*;

/// Status.CU0, CU2 and CU3.
const STATUS_CU: [u64; 3] = [1 << 28, 1 << 30, 1 << 31];

const fn special(function: u32, rs: u32, rt: u32, rd: u32) -> u32 {
    immediate(0, rs, rt, 0) | rd << 11 | function
}

/// `$a0` is less than `$a1`, `$a2` is the greatest 32-bit number and `$a3` the greatest of 64.
const TRAPS: &[(&str, u32)] = &[
    ("syscall", SYSCALL),
    ("syscall-code", SYSCALL | 0xabcde << 6),
    ("break", BREAK),
    ("break-code", BREAK | 0x12345 << 6),
    ("tge-not", special(0x30, A0, A1, 0)),
    ("tge", special(0x30, A1, A0, 0)),
    ("tgeu-not", special(0x31, A0, A1, 0)),
    ("tgeu", special(0x31, A1, A0, 0)),
    ("tlt", special(0x32, A0, A1, 0)),
    ("tlt-not", special(0x32, A1, A0, 0)),
    ("tltu", special(0x33, A0, A1, 0)),
    ("tltu-not", special(0x33, A1, A0, 0)),
    ("teq", special(0x34, A0, A0, 0)),
    ("teq-code", special(0x34, A0, A0, 0) | 0x155 << 6),
    ("teq-not", special(0x34, A0, A1, 0)),
    ("tne", special(0x36, A0, A1, 0)),
    ("tne-not", special(0x36, A0, A0, 0)),
    ("add", special(0x20, A2, A2, V0)),
    ("add-not", special(0x20, A0, A1, V0)),
    ("sub", special(0x22, ZERO, T0, V0)),
    ("sub-not", special(0x22, A0, A1, V0)),
    ("dadd", special(0x2c, A3, A3, V0)),
    ("dadd-not", special(0x2c, A2, A2, V0)),
    ("dsub", special(0x2e, A3, A1, V0)),
    ("dsub-minus", special(0x2e, ZERO, T1, V0)),
    ("ddiv-zero", special(0x1e, A0, ZERO, V0) | 2 << 6),
];

/// Instructions of the kernel. `cache` with tags is not here: QEMU without them ends on it.
const PRIVILEGED: &[(&str, u32)] = &[
    ("mfc0", mfc0(V0, 15, 0)),
    ("dmfc0", dmfc0(V0, 14, 0)),
    ("mfhc0", mfhc0(V0, 2, 0)),
    ("mtc0", mtc0(A0, 4, 2)),
    ("dmtc0", dmtc0(A0, 4, 2)),
    ("mthc0", mthc0(A0, 2, 0)),
    ("mfc0-none", mfc0(V0, 21, 5)),
    ("tlbr", TLBR),
    ("tlbwi", TLBWI),
    ("tlbwr", TLBWR),
    ("tlbp", TLBP),
    ("tlbinv", TLBINV),
    ("tlbinvf", TLBINVF),
    ("eret", ERET),
    ("eretnc", ERETNC),
    ("deret", DERET),
    ("wait", WAIT),
    ("di", di(V0)),
    ("ei", ei(V0)),
    ("dvp", dvp(V0)),
    ("evp", dvp(V0) ^ 0x20),
    ("cache-hit", cache(0x15, A0)),
    ("hypcall", HYPCALL),
    ("rdpgpr", 0x4140_0000 | A0 << 16 | V0 << 11),
    ("wrpgpr", 0x41c0_0000 | A0 << 16 | V0 << 11),
    ("mftr", 0x4100_0000),
    ("mttr", 0x4180_0000),
    ("dmt", 0x4160_0bc1),
    ("cop0-rs-7", 0x40e0_0000),
    ("cop0-rs-15", 0x41e0_0000),
    ("cop0-function-0", 0x4200_0000),
    ("cop0-function-5", 0x4200_0005),
    ("cop0-function-3f", 0x4200_003f),
];

/// Words that release 6 reserves or took away, and extensions that are not there.
const RESERVED: &[(&str, u32)] = &[
    ("special-01", 0x0000_0001),
    ("special-05", 0x0000_0005),
    ("special-0a-movz", 0x0000_000a),
    ("special-0b-movn", 0x0000_000b),
    ("special-08-jr", 0x0080_0008),
    ("special-10-mfhi", 0x0000_1010),
    ("special-11-mthi", 0x0080_0011),
    ("special-14", 0x0000_0014),
    ("special-18-mult", 0x0085_0018),
    ("special-28", 0x0000_0028),
    ("special-35-reserved", 0x0000_0075),
    ("special-37", 0x0000_0037),
    ("special-39", 0x0000_0039),
    ("special-3d", 0x0000_003d),
    ("regimm-02-bltzl", 0x0482_0001),
    ("regimm-04", 0x0484_0000),
    ("regimm-08-tgei", 0x0488_0000),
    ("regimm-17-sigrie", 0x0417_0000),
    ("regimm-18", 0x0498_0000),
    ("opcode-08-addi-as-bovc", 0x2000_0000),
    ("opcode-12-cop2", 0x4800_0000),
    ("opcode-13-cop1x", 0x4c00_0000),
    ("opcode-14-beql", 0x5000_0001),
    ("opcode-1a-ldl", 0x6800_0000),
    ("opcode-1b-ldr", 0x6c00_0000),
    ("opcode-1c-special2", 0x7000_0000),
    ("opcode-1c-sdbbp-old", 0x7000_003f),
    ("opcode-1c-mul-old", 0x7085_1002),
    ("opcode-1d-jalx", 0x7400_0000),
    ("opcode-1f-lx", 0x7c00_000a),
    ("opcode-1f-fork", 0x7c00_0008),
    ("opcode-1f-dsp", 0x7c85_1010),
    ("opcode-1f-3f", 0x7c00_003f),
    ("opcode-22-lwl", 0x8880_0000),
    ("opcode-26-lwr", 0x9880_0000),
    ("opcode-2a-swl", 0xa880_0000),
    ("opcode-2f-cache-old", 0xbc95_0000),
    ("opcode-30-ll-old", 0xc080_0000),
    ("opcode-33-pref-old", 0xcc80_0000),
    ("opcode-38-sc-old", 0xe080_0000),
    ("opcode-3b-pcrel-reserved", 0xec7f_0000),
    ("crc32b", 0x7c85_000f),
    ("cop1-rs-3f-reserved", 0x4600_003f),
    ("cop1-bc1f-old", 0x4500_0001),
    ("cop1-paired-single", 0x46c0_0000),
];

/// An instruction of each coprocessor.
const COPROCESSORS: &[(&str, u32)] = &[
    ("mfc1", dmfc1(V0, 1) & !(1 << 21)),
    ("dmfc1", dmfc1(V0, 1)),
    ("cfc1", cfc1(V0, 31)),
    ("add.d", 0x4622_0000),
    ("lwc1", immediate(0x31, A0, 1, 0)),
    ("sdc1", immediate(0x3d, A0, 1, 0)),
    ("bc1eqz", bc1eqz(1, 1)),
    ("mfc2", 0x4802_0000),
    ("bc2eqz", 0x4920_0001),
    ("lwc2", 0x4940_2000),
    ("ldc2", 0x49c0_2000),
    ("cop3-ldc3", 0xdc80_0000),
];

/// Programs of all of the above, in every mode.
pub fn programs(suite: &mut Suite) {
    for mode in Mode::ALL {
        for &(name, word) in TRAPS {
            suite.program(format_args!("trap.{name}.{}", mode.name()), || {
                run(word, mode, 0)
            });
        }
        for &(name, word) in RESERVED {
            suite.program(format_args!("reserved.{name}.{}", mode.name()), || {
                run(word, mode, 0)
            });
        }
        for &(name, word) in COPROCESSORS {
            suite.program(
                format_args!("coprocessor.{name}.{}.off", mode.name()),
                || run(word, mode, 0),
            );
            let all = STATUS_CU.iter().fold(STATUS_CU1, |all, bit| all | bit);
            suite.program(
                format_args!("coprocessor.{name}.{}.on", mode.name()),
                || run(word, mode, all),
            );
        }
    }
    suite.program(format_args!("trap.msa"), || {
        run::skip_exceptions();
        let words = [0x7800_000e, 0x7800_0023, 0x4700_0001, NOP, 0x787e_0019];
        mapped(&words, Mode::User, &mut Registers::new(), 0);
        see_text("outcome", run::Brief);
    });
    for mode in [Mode::Supervisor, Mode::User] {
        for &(name, word) in PRIVILEGED {
            suite.program(format_args!("privileged.{name}.{}", mode.name()), || {
                run(word, mode, 0)
            });
            suite.program(
                format_args!("privileged.{name}.{}.cu0", mode.name()),
                || run(word, mode, STATUS_CU[0]),
            );
        }
        suite.program(format_args!("trap.sdbbp.{}", mode.name()), || {
            run(SDBBP, mode, 0)
        });
    }
    suite.program(format_args!("trap.sdbbp.kernel"), sdbbp_in_kernel_mode);
}

/// Runs `word` as the second of two.
fn run(word: u32, mode: Mode, status: u64) {
    let mut registers = Registers::with(&[
        (A0, 0x1000),
        (A1, 0xffff_ffff_ffff_fff0),
        (A2, 0x7fff_ffff),
        (A3, i64::MAX as u64),
        (T0, i32::MIN as u64),
        (T1, i64::MIN as u64),
        (V0, 0x77),
    ]);
    mapped(&[NOP, word], mode, &mut registers, status);
    see("v0", registers.get(V0));
    see_exceptions();
}

/// `sdbbp`
const SDBBP: u32 = 0x0e;

/// On the board it enters debug mode and runs the boot ROM, from where the first exception comes
/// back to us; then debug mode has to be left.
fn sdbbp_in_kernel_mode() {
    let mut registers = Registers::new();
    mapped(&[NOP, SDBBP], Mode::Kernel, &mut registers, 0);
    see_text("outcome", run::Brief);
    if place::is_native() {
        let words = [
            bal(1),
            NOP,
            immediate(0x18 + 1, RA, A0, 16),
            dmtc0(A0, 24, 0),
            DERET,
            NOP,
        ];
        run::unmapped(&words, &mut registers);
        reg::EPC.write(0);
    }
}
