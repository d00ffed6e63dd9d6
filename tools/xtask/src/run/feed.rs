//! Keeps input from a pipe until it is wanted.
//!
//! A pipe's whole text is there before the machine has booted. It is held until the guests'
//! shells are ready, and then sent piece by piece, each after the console has fallen silent, so
//! that `printf 'vm list\npoweroff\n' | cargo xtask run` needs no waits.

use std::io::{Read, Write};
use std::process::ChildStdin;
use std::sync::mpsc::{channel, Receiver};
use std::thread;
use std::time::{Duration, Instant};

/// How long the console has to be silent before the next piece.
const QUIET: Duration = Duration::from_millis(400);
/// How long a piece waits at most for silence.
const QUIET_MAX: Duration = Duration::from_secs(5);
/// How long a piece without an end waits for the rest.
const REST: Duration = Duration::from_millis(50);
/// How long all is held at most for the shells.
pub const READY_MAX: Duration = Duration::from_secs(180);
/// Detaches the console.
const ESCAPE: u8 = 0x1d;

/// The input on its way to the machine.
pub struct Feed {
    input: Receiver<Vec<u8>>,
    held: Vec<u8>,
    arrived: Instant,
    sent: Option<Instant>,
    machine: ChildStdin,
}

impl Feed {
    /// Starts to read standard input, for a machine that reads from `machine`.
    pub fn start(machine: ChildStdin) -> Self {
        let (send, input) = channel();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = std::io::stdin().lock().read(&mut buffer) {
                if send.send(buffer[..length].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self {
            input,
            held: Vec::new(),
            arrived: Instant::now(),
            sent: None,
            machine,
        }
    }

    /// Sends the next piece if it is time; `output` is when the console last printed.
    pub fn step(&mut self, ready: bool, output: Instant) {
        while let Ok(bytes) = self.input.try_recv() {
            self.held.extend_from_slice(&bytes);
            self.arrived = Instant::now();
        }
        if !ready || self.held.is_empty() || !self.silent(output) {
            return;
        }
        let Some(length) = piece(&self.held, self.arrived.elapsed() >= REST) else {
            return;
        };
        let bytes: Vec<u8> = self.held.drain(..length).collect();
        // A machine that has ended takes nothing; whoever watches it sees the end.
        let _ = self
            .machine
            .write_all(&bytes)
            .and_then(|()| self.machine.flush());
        self.sent = Some(Instant::now());
    }

    fn silent(&self, output: Instant) -> bool {
        match self.sent {
            None => output.elapsed() >= QUIET,
            Some(sent) => sent.max(output).elapsed() >= QUIET || sent.elapsed() >= QUIET_MAX,
        }
    }
}

/// Length of the next piece of `held`: up to the end of a line or an escape, or all of it when
/// nothing more comes.
fn piece(held: &[u8], complete: bool) -> Option<usize> {
    match held
        .iter()
        .position(|byte| matches!(*byte, b'\n' | b'\r' | ESCAPE))
    {
        Some(end) => Some(end + 1),
        None => complete.then_some(held.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::piece;

    #[test]
    fn pieces_end_with_a_line_or_an_escape() {
        assert_eq!(piece(b"vm list\nmore", false), Some(8));
        assert_eq!(piece(b"\x1dvm list\n", false), Some(1));
        assert_eq!(piece(b"partial", false), None);
        assert_eq!(piece(b"partial", true), Some(7));
    }
}
