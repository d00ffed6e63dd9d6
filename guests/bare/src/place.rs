//! The place that the program is linked for: the board itself, or a virtual machine.
//!
//! What differs is here: where memory is seen, who takes output, what was asked for, and how it
//! ends. Physical memory begins at 0 in both.

use crate::calls::{self, call};
use crate::{cp0, tlb, Variable};
use core::ffi::CStr;
use core::fmt;
use core::panic::PanicInfo;
use disco_abi::{BootInfo, Call, ShutdownReason, BOOT_MAGIC};

extern "C" {
    /// Its address is where the place shows physical memory, from 0 on.
    static place_base: u8;
    /// Its address is 1 on the board and 2 in a virtual machine.
    static place_kind: u8;
}

/// Status in both places before anything else: 64-bit addresses, and FR, which is fixed.
const STATUS: u64 = 0x0400_00e0;
/// COM1 of the board, in kseg1.
const UART: u64 = 0xffff_ffff_b800_03f8;
/// The board's soft reset register, in kseg1, and what QEMU takes for "power off" with
/// `-no-reboot`.
const SOFT_RESET: (u64, u32) = (0xffff_ffff_bf00_0500, 0x42);

/// Interrupt masks of the board's two i8259, in kseg1.
const I8259_MASKS: [u64; 2] = [0xffff_ffff_b800_0021, 0xffff_ffff_b800_00a1];
/// Config5.SBRI.
const CONFIG5_SBRI: u64 = 1 << 6;

static COMMAND_LINE: Variable<&str> = Variable::new("");
static BOOT_INFO: Variable<Option<&BootInfo>> = Variable::new(None);

/// Whether this is the board, without a monitor.
pub fn is_native() -> bool {
    (&raw const place_kind).addr() == 1
}

/// Where the place shows physical memory, from 0 on: kseg0, or the csseg window.
pub fn base() -> u64 {
    (&raw const place_base).addr() as u64
}

/// Physical address of something in the program.
pub fn physical_address<T: ?Sized>(pointer: *const T) -> u64 {
    (pointer.addr() as u64).wrapping_sub(base())
}

/// What the program was asked for: QEMU's `-append`, or the virtual machine's command line.
pub fn command_line() -> &'static str {
    COMMAND_LINE.get()
}

/// The number behind `key=` on the command line, or `default`.
pub fn option(key: &str, default: u64) -> u64 {
    let value = word(key).map(|value| value.parse().expect("a number on the command line"));
    value.unwrap_or(default)
}

/// The word behind `key=` on the command line.
pub fn word(key: &str) -> Option<&'static str> {
    command_line()
        .split_ascii_whitespace()
        .find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
}

/// What the monitor says about the virtual machine. A program on the board has none.
pub fn boot_info() -> &'static BootInfo {
    BOOT_INFO.get().expect("the boot information")
}

/// Text that a 0 closes, as the boot information has it.
pub fn text(bytes: &[u8]) -> &str {
    let length = bytes.iter().position(|&byte| byte == 0);
    core::str::from_utf8(&bytes[..length.unwrap_or(bytes.len())]).expect("UTF-8")
}

/// Makes both places alike, with what the entry found in `$a0`, `$a1` and `$sp`.
pub(crate) fn prepare(a0: u64, a1: u64, sp: u64) {
    if !is_native() {
        assert_eq!((a1, sp), (BOOT_MAGIC, 0), "$a1 and $sp at entry");
        // SAFETY: the monitor has put the boot information there, and nobody writes it.
        let boot = unsafe { &*(a0 as usize as *const BootInfo) };
        BOOT_INFO.set(Some(boot));
        COMMAND_LINE.set(text(&boot.command_line));
        return;
    }
    cp0::reg::STATUS.write(STATUS);
    // As the monitor has it: `sdbbp` is reserved, and does not enter debug mode.
    cp0::reg::CONFIG5.write(cp0::reg::CONFIG5.read() | CONFIG5_SBRI);
    for register in I8259_MASKS {
        // SAFETY: the interrupt controllers' masks are in kseg1, and nobody else uses them: no
        // device of the board is to raise a line here.
        unsafe { (register as usize as *mut u8).write_volatile(0xff) };
    }
    // At reset every entry maps page 0.
    cp0::tlbinvf();
    cp0::reg::ENTRY_HI.write(0);
    tlb::clear_registers();
    // SAFETY: QEMU's boot stub passes the number of arguments and a table of 32-bit pointers to
    // them in kseg0, which a pointer is the sign-extended form of; the second is `-append`.
    unsafe {
        if a0 >= 2 {
            let pointer = *(a1 as usize as *const i32).add(1);
            if pointer != 0 {
                let line = CStr::from_ptr(pointer as i64 as usize as *const _);
                COMMAND_LINE.set(line.to_str().expect("UTF-8"));
            }
        }
    }
}

/// Writes all of `bytes` to the console.
pub fn write(bytes: &[u8]) {
    if is_native() {
        bytes.iter().for_each(|&byte| write_uart(byte));
    } else {
        write_call(bytes);
    }
}

fn write_uart(byte: u8) {
    let register = |offset| (UART as usize + offset) as *mut u8;
    // SAFETY: the UART's transmitter and line status are there in kseg1, and are this program's.
    unsafe {
        while register(5).read_volatile() & 0x20 == 0 {}
        register(0).write_volatile(byte);
    }
}

fn write_call(mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let arguments = [physical_address(bytes.as_ptr()), bytes.len() as u64, 0, 0];
        let taken = call(Call::ConsoleWrite, arguments).expect("the console");
        if taken == 0 {
            call(Call::Yield, [0; 4]).expect("a yield");
        }
        bytes = &bytes[taken as usize..];
    }
}

/// Ends the run.
pub fn off() -> ! {
    if !is_native() {
        calls::shutdown(ShutdownReason::PowerOff, "");
    }
    loop {
        // SAFETY: the register is a word of its own, and ends the machine.
        unsafe { (SOFT_RESET.0 as usize as *mut u32).write_volatile(SOFT_RESET.1) };
    }
}

/// The end of a program that panicked: a line that begins with `panic: `.
pub fn failed(info: &PanicInfo<'_>) -> ! {
    let location = info.location();
    let place = location.map_or(("", 0), |place| (place.file(), place.line()));
    crate::println!("\npanic: {} ({}:{})", info.message(), place.0, place.1);
    off()
}

/// The console, for `print!` and `println!`.
pub struct Console;

impl fmt::Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        write(text.as_bytes());
        Ok(())
    }
}

/// Prints on the console.
#[macro_export]
macro_rules! print {
    ($($argument:tt)*) => {{
        use core::fmt::Write;
        let _ = write!($crate::place::Console, $($argument)*);
    }};
}

/// Prints a line on the console.
#[macro_export]
macro_rules! println {
    ($($argument:tt)*) => {{
        $crate::print!($($argument)*);
        $crate::print!("\n");
    }};
}
