//! The registers, the boot information and CP0 are at entry what the interface promises.
#![no_std]
#![no_main]

use disco_test_guests::abi::{
    BootInfo, Call, ABI_VERSION, BOOT_INFO_GUEST_PHYSICAL, BOOT_MAGIC, CSSEG_WINDOW,
};
use disco_test_guests::cp0::{self, reg};
use disco_test_guests::{calls, option, text};

disco_test_guests::guest!(run);

fn run(boot: &'static BootInfo) {
    let address = (&raw const *boot).addr() as u64;
    assert_eq!(address, CSSEG_WINDOW + BOOT_INFO_GUEST_PHYSICAL);
    assert_eq!(boot.magic, BOOT_MAGIC);
    assert_eq!(boot.memory, option(boot, "mebibytes", 0) << 20, "memory");
    assert_eq!(boot.vcpus, 1);
    assert_eq!((boot.initrd, boot.initrd_len), (0, 0));
    assert_eq!(text(&boot.name), "test");
    assert_eq!(text(&boot.command_line), "mebibytes=24 and more");
    assert!(
        (1_000_000..1_000_000_000).contains(&boot.count_hz),
        "{} Hz",
        boot.count_hz
    );

    let status = reg::STATUS.read();
    let modes = cp0::STATUS_KSU_USER | 1 << 3 | cp0::STATUS_EXL | cp0::STATUS_ERL;
    assert_eq!(
        status & (modes | cp0::STATUS_IE | cp0::STATUS_BEV),
        0,
        "Status {status:#x}"
    );
    assert_eq!(reg::EBASE.read() & !0xfff, CSSEG_WINDOW, "EBase");
    assert_eq!(reg::EBASE.read() & 0x3ff, 0, "CPUNum");
    assert_eq!(reg::WIRED.read() & 0xffff, 0, "Wired");
    assert_eq!(calls::call(Call::Version, [0; 4]), Ok(ABI_VERSION));
}
