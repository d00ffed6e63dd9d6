//! The guest's console.

use crate::calls::call;
use disco_abi::Call;
use disco_bare::place::physical_address;
pub use disco_bare::place::write;

/// Takes waiting input: how many bytes.
pub fn read(buffer: &mut [u8]) -> usize {
    let arguments = [
        physical_address(buffer.as_mut_ptr()),
        buffer.len() as u64,
        0,
        0,
    ];
    call(Call::ConsoleRead, arguments).expect("the console") as usize
}
