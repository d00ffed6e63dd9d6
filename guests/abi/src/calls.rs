//! Monitor calls: one trap, arguments in registers.
//!
//! A guest kernel puts the call's number into `$v0` (`$2`), arguments into `$a0` to `$a3`
//! (`$4` to `$7`) and executes `hypcall` ([`HYPCALL`]). `$v0` comes back with the result, or
//! with a negative [`CallError`]. No other register changes. In guest user mode the
//! instruction raises coprocessor unusable, as on the real CPU.

/// The instruction word of a monitor call, `hypcall 0`.
pub const HYPCALL: u32 = 0x4200_0028;

/// The longest message or verdict text a call takes, in bytes.
pub const MESSAGE_MAX: usize = 256;

macro_rules! calls {
    ($($(#[$doc:meta])* $name:ident = $number:literal,)*) => {
        /// A monitor call's number.
        #[repr(u64)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Call { $($(#[$doc])* $name = $number,)* }

        impl Call {
            /// The call with this number, if there is one.
            pub const fn from_number(number: u64) -> Option<Self> {
                match number { $($number => Some(Self::$name),)* _ => None }
            }
            /// Every call, in order of its number.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];
        }
    };
}

calls! {
    /// `() -> version`: the monitor's [`crate::ABI_VERSION`].
    Version = 0,
    /// `(guest-physical address, bytes) -> bytes taken`: writes to the console. Fewer bytes than
    /// asked, perhaps none, are taken while the console's ring is full; try again later.
    ConsoleWrite = 1,
    /// `(guest-physical address, bytes) -> bytes read`: takes waiting console input; 0 if none.
    ConsoleRead = 2,
    /// `(reason, guest-physical address of a message, its bytes)`: ends the virtual machine. See
    /// [`ShutdownReason`]. Does not return. The message may be empty.
    Shutdown = 3,
    /// `()`: the guest's user land is ready for commands.
    ShellReady = 4,
    /// `() -> nanoseconds since 1970-01-01 00:00 UTC`, from the board's clock chip.
    WallClock = 5,
    /// `()`: takes interrupts that became deliverable by a store to the special page.
    Deliver = 6,
    /// `()`: lets all other virtual CPUs that are ready on this CPU run before it returns.
    Yield = 7,
    /// `()`: forgets every entry of the virtual TLB but the wired ones.
    TlbFlushAll = 8,
    /// `(guest-virtual address | ASID)`: forgets what maps this page: the address in bits 63..13
    /// and the ASID in bits 9..0, as in EntryHi.
    TlbFlushPage = 9,
    /// `(EntryHi, EntryLo0, EntryLo1, PageMask)`: like `tlbp` and then `tlbwi`, or `tlbwr` where
    /// there was no entry; changes no CP0 register.
    TlbInsert = 10,
    /// `(EntryHi, PWBase, UserLocal)`: sets the three registers at once, for a context switch.
    Context = 11,
    /// `(verdict, guest-physical address of a message, its bytes)`: a test guest's verdict. See
    /// [`Verdict`].
    TestVerdict = 12,
    /// `(number, pc, argument)`: starts a virtual CPU of this virtual machine that is off, in the
    /// state of the first one at entry but for `pc`, and `$a0`, which holds the argument.
    CpuStart = 13,
    /// `()`: switches the calling virtual CPU off. Does not return. The last one that is on
    /// cannot; it ends its virtual machine with `Shutdown`.
    CpuStop = 14,
    /// `(number) -> 0 off, 1 on`: whether a virtual CPU is on. One that calls `CpuStop` is on
    /// until it really is off and can be started again.
    CpuState = 15,
    /// `(virtual CPUs, messages)`: sends messages, a bit each, to virtual CPUs, a bit each, and
    /// raises [`crate::LINE_IPI`] of each. Those that are off get none. Bit 63 is no message.
    IpiSend = 16,
    /// `() -> messages`: takes the messages sent to the calling virtual CPU, and lowers the line.
    IpiTake = 17,
    /// `(virtual CPUs, guest-physical address of a [`ShootdownKeys`], bytes)`: each of the virtual
    /// CPUs forgets what maps the range of its key. When the call returns, none of them uses an
    /// old translation any more.
    Shootdown = 18,
    /// `(disk, guest-physical address of a [`crate::DiskInfo`])`: what the disk is.
    DiskInfo = 19,
    /// `(disk)`: has the disk from now on, before its first command. An exclusive disk is had by one
    /// virtual machine at a time, until that ends. To have it already is no error.
    DiskOpen = 20,
    /// `(disk, guest-physical address of a [`crate::DiskRequest`], bytes with its segments) -> 0 it
    /// ends later, 1 it has ended well`: passes a command.
    DiskCommand = 21,
    /// `(guest-physical address of [`crate::DiskDone`]s, how many there is room for) -> how many
    /// there are`: takes commands that have ended, of all disks.
    DiskTake = 22,
    /// `(guest-physical address of a [`crate::NetInfo`])`: this virtual machine on the subnet.
    NetInfo = 23,
    /// `(number, guest-physical address of a [`crate::NetPeer`]) -> 1, or 0 if there are not so many`:
    /// the virtual machines on the subnet, from 0, running or not.
    NetPeer = 24,
    /// `(guest-physical address of [`crate::NetMessage`]s, bytes with their fragments) -> how many
    /// were taken`: sends messages.
    NetSend = 25,
    /// `(guest-physical address of [`crate::NetSlot`]s, how many) -> how many are filled`: receives
    /// messages. The line falls when none waits any more.
    NetReceive = 26,
    /// `(guest-physical address to, from, bytes)`: whole pages, at most [`PAGES_CALL_MAX`]; what is at
    /// *to* is from now on what is at *from*, as if copied.
    Remap = 27,
    /// `(guest-physical address, bytes)`: whole pages that the guest needs no more, at most
    /// [`PAGES_CALL_MAX`]. They read as zeros afterwards.
    PageFree = 28,
    /// `(guest-physical address, bytes)`: whole pages that are to be zeros, at most
    /// [`PAGES_CALL_MAX`].
    PageZero = 29,
}

/// Most bytes that [`Call::Remap`], [`Call::PageFree`] and [`Call::PageZero`] take at once.
pub const PAGES_CALL_MAX: u64 = 2 << 20;

/// Most virtual CPUs of a virtual machine.
pub const VCPUS_PER_VM: usize = 16;

/// For each virtual CPU by number, what [`Call::Shootdown`] is about there: a guest-virtual
/// address in bits 63..13 and an ASID in bits 9..0, as in EntryHi.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ShootdownKeys(pub [u64; VCPUS_PER_VM]);

/// As the bytes of [`Call::Shootdown`]: everything of the key's ASID that is not global.
pub const SHOOTDOWN_ASID: u64 = 0;
/// As the bytes of [`Call::Shootdown`]: everything, global or not, but no wired entry.
pub const SHOOTDOWN_ALL: u64 = u64::MAX;

/// Why a guest ends its virtual machine.
#[repr(u64)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShutdownReason {
    /// It is done; its memory goes back to the machine.
    PowerOff = 0,
    /// Start it again from its image, in zeroed memory.
    Reboot = 1,
    /// It failed and says so.
    Panic = 2,
}

impl ShutdownReason {
    /// The reason with this number, if there is one.
    pub const fn from_number(number: u64) -> Option<Self> {
        match number {
            0 => Some(Self::PowerOff),
            1 => Some(Self::Reboot),
            2 => Some(Self::Panic),
            _ => None,
        }
    }
}

/// What a test guest found.
#[repr(u64)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All that it checked held.
    Pass = 0,
    /// Something did not hold; the message says what.
    Fail = 1,
}

impl Verdict {
    /// The verdict with this number, if there is one.
    pub const fn from_number(number: u64) -> Option<Self> {
        match number {
            0 => Some(Self::Pass),
            1 => Some(Self::Fail),
            _ => None,
        }
    }
}

/// What a monitor call returns instead of a result: the negative numbers of `$v0`.
#[repr(i64)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallError {
    /// No call has this number.
    NoSuchCall = -1,
    /// An argument is out of its range.
    BadArgument = -2,
    /// A guest-physical range is not wholly inside the virtual machine's memory.
    BadAddress = -3,
    /// The virtual CPU is on already, or is the last that is on.
    WrongState = -4,
    /// The virtual machine has no such disk, or is on no subnet.
    NoDevice = -5,
    /// Another virtual machine has the exclusive disk.
    InUse = -6,
    /// So many commands wait already; take some first.
    Busy = -7,
}
