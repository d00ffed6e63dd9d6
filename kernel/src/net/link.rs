//! The real network card, as the virtual subnet sees it.

use disco_abi::NET_OUTSIDE_MAX;

/// Room for a frame.
pub type Frame = [u8; NET_OUTSIDE_MAX as usize];

/// The card takes no frame now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LinkFull;

/// A card that takes frames for any address, and gives those for any address.
pub trait Link {
    /// Sends a frame, whose bytes are copied.
    ///
    /// # Errors
    /// It takes none now; who sends drops the frame.
    fn send(&mut self, frame: &[u8]) -> Result<(), LinkFull>;

    /// Copies a frame that has come into `frame`, and says how long it is.
    fn receive(&mut self, frame: &mut Frame) -> Option<usize>;
}
