//! Link-level addresses.

use crate::machine::VmId;
use disco_abi::net_link_address;
use disco_flash::VMS_MAX;

/// An Ethernet address, in bits 47..0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LinkAddress(u64);

impl LinkAddress {
    /// Of six bytes of a frame.
    pub const fn new(bytes: [u8; 6]) -> Self {
        let [a, b, c, d, e, f] = bytes;
        Self(u64::from_be_bytes([0, 0, a, b, c, d, e, f]))
    }

    /// The address of a virtual machine.
    pub const fn of(vm: VmId) -> Self {
        Self(net_link_address(vm.0 as u64))
    }

    /// Whether it names several, as a broadcast does.
    pub const fn is_group(self) -> bool {
        self.0 >> 40 & 1 != 0
    }

    /// The virtual machine that has it, if that is in the description.
    pub const fn vm(self) -> Option<VmId> {
        match self.0.checked_sub(net_link_address(0)) {
            Some(number) if number < VMS_MAX as u64 => Some(VmId(number as u16)),
            _ => None,
        }
    }
}

/// Both addresses at the beginning of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Whom it is for.
    pub destination: LinkAddress,
    /// Who sends it.
    pub source: LinkAddress,
}

impl Header {
    /// Bytes that it takes of a frame.
    pub const BYTES: usize = 12;

    /// Of a frame's first bytes.
    pub const fn new(bytes: [u8; Self::BYTES]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = bytes;
        Self {
            destination: LinkAddress::new([a, b, c, d, e, f]),
            source: LinkAddress::new([g, h, i, j, k, l]),
        }
    }
}
