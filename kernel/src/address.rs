//! Addresses of three kinds that never convert by accident.

use disco_abi::PAGE_SIZE;

/// Bits of an address within a 16 KiB page.
pub const PAGE_SHIFT: u32 = PAGE_SIZE.trailing_zeros();

macro_rules! address {
    ($(#[$doc:meta])* $name:ident, $(#[$page_doc:meta])* $page:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
        #[repr(transparent)]
        pub struct $name(pub u64);

        impl $name {
            /// The page that holds this address.
            pub const fn page(self) -> $page {
                $page(self.0 >> PAGE_SHIFT)
            }
            /// Bytes from the beginning of the page.
            pub const fn offset_in_page(self) -> u64 {
                self.0 & (PAGE_SIZE - 1)
            }
            /// This address and `bytes` more, unless it wraps.
            pub const fn checked_add(self, bytes: u64) -> Option<Self> {
                match self.0.checked_add(bytes) {
                    Some(sum) => Some(Self(sum)),
                    None => None,
                }
            }
        }

        $(#[$page_doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
        #[repr(transparent)]
        pub struct $page(pub u64);

        impl $page {
            /// The page's first address.
            pub const fn address(self) -> $name {
                $name(self.0 << PAGE_SHIFT)
            }
        }
    };
}

address! {
    /// An address on the machine's own bus.
    MachineAddress,
    /// The number of a 16 KiB page of machine memory.
    MachinePage
}
address! {
    /// What a virtual machine takes for a physical address: contiguous from 0.
    GuestPhysical,
    /// The number of a 16 KiB page of guest-physical memory.
    GuestPage
}
address! {
    /// A virtual address inside a virtual machine.
    GuestVirtual,
    /// The number of a 16 KiB page of a guest's virtual address space.
    GuestVirtualPage
}
