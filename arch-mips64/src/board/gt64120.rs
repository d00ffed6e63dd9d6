//! The GT64120 system controller. The reset code programs its windows.

use super::registers::Registers;
use crate::lock::Mutex;

/// Physical address of its registers, once the reset code has moved them.
pub const REGISTERS: u64 = 0x1be0_0000;
/// PCI configuration address.
const CONFIG_ADDRESS: u64 = 0xcf8;
/// PCI configuration data. Unlike the others of its registers, the controller swaps the bytes of this one
/// on a big-endian CPU, but where the device is the controller itself.
const CONFIG_DATA: u64 = 0xcfc;
/// Configuration address: access a device, not the controller.
const ENABLE: u32 = 1 << 31;

fn registers() -> Registers {
    // SAFETY: the reset code has moved the controller's registers to this address.
    unsafe { Registers::at(REGISTERS) }
}

/// Address of a word of PCI configuration space.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConfigAddress {
    /// Device on bus 0, 1 to 31: 0 is the controller itself, see [`CONFIG_DATA`].
    pub device: u32,
    /// Its function, 0 to 7.
    pub function: u32,
    /// Offset of the register, a multiple of 4 up to 252.
    pub register: u32,
}

impl ConfigAddress {
    const fn encode(self) -> u32 {
        ENABLE | (self.device & 31) << 11 | (self.function & 7) << 8 | (self.register & 0xfc)
    }
}

/// Address and data are two accesses. Innermost.
static TURN: Mutex<()> = Mutex::new(());

/// Reads a word of PCI configuration space.
pub fn read_config(address: ConfigAddress) -> u32 {
    let _turn = TURN.lock();
    registers().write32(CONFIG_ADDRESS, address.encode().swap_bytes());
    registers().read32(CONFIG_DATA)
}

/// Writes a word of PCI configuration space.
pub fn write_config(address: ConfigAddress, value: u32) {
    let _turn = TURN.lock();
    registers().write32(CONFIG_ADDRESS, address.encode().swap_bytes());
    registers().write32(CONFIG_DATA, value);
}
