//! The end of the monitor: says why on both lines and powers the machine off.

use core::fmt::{self, Write};
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicUsize, Ordering};
use disco_arch::board::power;
use disco_arch::board::uart::Uart;
use disco_arch::cp0::{self, Status};
use disco_kernel::clock;

/// The CPU that reports its end, or [`NOBODY`].
static REPORTING: AtomicUsize = AtomicUsize::new(NOBODY);
const NOBODY: usize = usize::MAX;

/// What is sent is the inside of a JSON string.
struct JsonString(Uart);

impl Write for JsonString {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            match character {
                '"' | '\\' => write!(self.0, "\\{character}")?,
                '\n' => self.0.write_str("\\n")?,
                ' '.. => self.0.write_char(character)?,
                _ => write!(self.0, "\\u{:04x}", character as u32)?,
            }
        }
        Ok(())
    }
}

#[panic_handler]
fn panic(info: &PanicInfo) -> ! {
    // SAFETY: with interrupts off nothing but this runs on this CPU from now on.
    unsafe { cp0::set_status(cp0::status() - Status::IE) };
    let cpu = cp0::cpu_number();
    match REPORTING.compare_exchange(NOBODY, cpu, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => report(cpu, info),
        // The report itself has failed.
        Err(reporting) if reporting == cpu => {}
        // One end is enough.
        Err(_) => loop {
            disco_arch::cpu::wait();
        },
    }
    power::off()
}

fn report(cpu: usize, info: &PanicInfo) {
    // The locks of the lines are passed by: who holds one may never let it go.
    let _ = write!(Uart::com1(), "\nDisco: panic on CPU {cpu}: {info}\n");
    let ns = clock::nanoseconds(clock::ticks_at(cp0::count()));
    let com2 = Uart::com2();
    let _ = write!(
        { com2 },
        "{{\"event\":\"panic\",\"ns\":{ns},\"reason\":\"CPU {cpu}: "
    );
    let _ = write!(JsonString(com2), "{info}");
    let _ = Uart::write_str(&mut { com2 }, "\"}\n");
    com2.drain();
    Uart::com1().drain();
}
