//! How a test ends.

use crate::{calls, Variable};
use core::fmt::{self, Write};
use core::panic::PanicInfo;
use disco_abi::{ShutdownReason, Verdict, MESSAGE_MAX};

/// A message as long as a verdict takes; the rest is dropped.
struct Message {
    bytes: [u8; MESSAGE_MAX],
    length: usize,
}

impl Write for Message {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for &byte in text.as_bytes() {
            if let Some(place) = self.bytes.get_mut(self.length) {
                *place = if byte.is_ascii() { byte } else { b'?' };
                self.length += 1;
            }
        }
        Ok(())
    }
}

static GIVEN: Variable<bool> = Variable::new(false);

extern "C" {
    static GUEST_GIVES_VERDICT: bool;
}

/// Known when the guest is linked, so that no damage to its memory changes it.
fn gives_verdict() -> bool {
    // SAFETY: `guest!` defines it, and nothing writes it.
    unsafe { GUEST_GIVES_VERDICT }
}

/// The verdict "pass", once; the guest goes on.
pub fn done() {
    if gives_verdict() && !GIVEN.get() {
        GIVEN.set(true);
        calls::verdict(Verdict::Pass, "");
    }
}

/// The verdict "pass", and the end of the virtual machine.
pub fn pass() -> ! {
    done();
    calls::shutdown(ShutdownReason::PowerOff, "")
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let mut message = Message {
        bytes: [0; MESSAGE_MAX],
        length: 0,
    };
    let _ = write!(message, "{}", info.message());
    if let Some(place) = info.location() {
        let _ = write!(message, " ({}:{})", place.file(), place.line());
    }
    let text = core::str::from_utf8(&message.bytes[..message.length]).unwrap_or("");
    if !gives_verdict() {
        calls::shutdown(ShutdownReason::Reboot, text);
    }
    calls::verdict(Verdict::Fail, text);
    calls::shutdown(ShutdownReason::Panic, text)
}
