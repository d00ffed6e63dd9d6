//! The end of the monitor: says why on both lines and powers the machine off.

use core::fmt::{self, Write};
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicUsize, Ordering};
use disco_arch::board::power;
use disco_arch::board::uart::Uart;
use disco_arch::cp0::{self, Status};
use disco_kernel::clock;
use disco_kernel::console::json::Object;

/// The CPU that reports its end, or [`NOBODY`].
static REPORTING: AtomicUsize = AtomicUsize::new(NOBODY);
const NOBODY: usize = usize::MAX;

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
    let mut com2 = Uart::com2();
    let _ = report_event(&mut com2, ns, format_args!("CPU {cpu}: {info}"));
    com2.drain();
    Uart::com1().drain();
}

fn report_event(out: &mut dyn Write, ns: u64, reason: fmt::Arguments) -> fmt::Result {
    let mut object = Object::begin(out)?;
    object.bytes("event", b"panic")?;
    object.number("ns", ns)?;
    object.display("reason", &reason)?;
    object.end()
}
