//! Monitor calls. Natively there are none: an instruction that puts the call's result into `$2` has
//! its place. So only such come whose result is known and that change nothing that a program sees:
//! those that fail, whatever else they are told, and those about memory that no program uses.

use super::{Builder, Generator};
use crate::isa::*;
use crate::program::{Unit, Value};
use disco_abi::{Call, CallError, ABI_VERSION, PAGES_CALL_MAX, PAGE_SIZE};

/// Physical memory that nothing uses: so many pages from here on.
const UNUSED: u64 = 40 << 20;
const UNUSED_PAGES: u64 = 512;
/// No virtual machine of the executor has as much memory.
const BEYOND: u64 = 1 << 32;
/// Where no program maps anything.
const UNMAPPED: u64 = 0x5000_0000_0000;

/// At least so many words of code come before a call, which is not the same word in both places:
/// `lwpc` reads ahead, and an access across the end of a page may read the code's first words.
const BEFORE: usize = 24;

/// A call: its number, its arguments, and its result if that is always the same.
type Made = (u64, [Value; 4], Option<i32>);

impl Generator {
    /// A monitor call, perhaps in a delay slot.
    pub(super) fn monitor_call(&mut self) -> Unit {
        let mut unit = Builder::new("monitor call");
        for _ in 0..BEFORE {
            unit.word(self.arithmetic_word());
        }
        // In user mode no further than this.
        unit.word(MFC0.cp0(2, 12, 0));
        let (number, arguments, result) = self.call();
        unit.constant(2, number);
        for (register, value) in (4..).zip(arguments) {
            unit.load(register, value);
        }
        if self.random.one_in(4) {
            unit.word(BEQ.with(imm(1)));
        }
        unit.call(DADDIU.rri(2, 0, result.unwrap_or(0)));
        if result.is_none() {
            unit.constant(2, number);
        }
        // The monitor uses LL and SC itself: behind the return from this exception LLbit is clear
        // in both places.
        unit.word(SYSCALL.with(self.random.bits() as u32));
        unit.unit()
    }

    fn call(&mut self) -> Made {
        let fails = |error: CallError| Some(error as i32);
        let any = self.any_arguments();
        let [_, second, third, last] = any;
        let beyond = BEYOND | self.random.bits() >> self.random.below(32);
        let bytes = Value::Const(1 + self.random.below(1 << 32));
        let c = Value::Const;
        let (call, arguments, result) = match self.random.below(20) {
            0..=2 => {
                let number = self.random.bits() >> self.random.below(64);
                let known = Call::ALL.len() as u64;
                let number = if number < known {
                    number + known
                } else {
                    number
                };
                return (number, any, fails(CallError::NoSuchCall));
            }
            3 => (Call::Version, any, Some(ABI_VERSION as i32)),
            4 => {
                let call = self.random.pick(&[Call::ConsoleRead, Call::ConsoleWrite]);
                (
                    call,
                    [c(beyond), bytes, third, last],
                    fails(CallError::BadAddress),
                )
            }
            5 => {
                let call = self.random.pick(&[Call::Shutdown, Call::TestVerdict]);
                if self.random.one_in(2) {
                    let arguments = [c(self.random.below(2)), c(beyond), bytes, last];
                    (call, arguments, fails(CallError::BadAddress))
                } else {
                    let none = c(3 + self.random.below(u64::MAX - 3));
                    (
                        call,
                        [none, second, third, last],
                        fails(CallError::BadArgument),
                    )
                }
            }
            6 => (Call::WallClock, any, None),
            7 => {
                let call = self
                    .random
                    .pick(&[Call::Deliver, Call::Yield, Call::IpiTake]);
                (call, any, Some(0))
            }
            8 => {
                let page = c(UNMAPPED + (self.random.bits() & 0xffff_ffff));
                (Call::TlbFlushPage, [page, second, third, last], Some(0))
            }
            9 => self.processor_call(any),
            10 => self.sibling_call(any, beyond),
            11..=13 => self.disk_call(any, beyond),
            14 => {
                let calls = [
                    Call::NetInfo,
                    Call::NetPeer,
                    Call::NetSend,
                    Call::NetReceive,
                ];
                (self.random.pick(&calls), any, fails(CallError::NoDevice))
            }
            _ => self.page_call(beyond),
        };
        (call as u64, arguments, result)
    }

    fn any_arguments(&mut self) -> [Value; 4] {
        [(); 4].map(|()| {
            Value::Const(match self.random.below(4) {
                0 => self.random.below(4),
                1 => UNUSED + self.random.below(1 << 22),
                _ => self.random.value(),
            })
        })
    }

    /// The one virtual CPU is on, and there is no other.
    fn processor_call(&mut self, any: [Value; 4]) -> (Call, [Value; 4], Option<i32>) {
        let [_, second, third, last] = any;
        let with = |number| [Value::Const(number), second, third, last];
        let other = with(1 + (self.random.bits() >> self.random.below(60)) / 2);
        match self.random.below(5) {
            0 => (Call::CpuStop, any, Some(CallError::WrongState as i32)),
            1 => (Call::CpuStart, with(0), Some(CallError::WrongState as i32)),
            2 => (Call::CpuStart, other, Some(CallError::BadArgument as i32)),
            3 => (Call::CpuState, other, Some(CallError::BadArgument as i32)),
            _ => (Call::CpuState, with(0), Some(1)),
        }
    }

    fn sibling_call(
        &mut self,
        [_, second, third, last]: [Value; 4],
        beyond: u64,
    ) -> (Call, [Value; 4], Option<i32>) {
        let c = Value::Const;
        let others = c(2 << self.random.below(62) | self.random.below(2));
        let (bad, away) = (CallError::BadArgument as i32, CallError::BadAddress as i32);
        let unused = c(UNUSED + self.random.below(1 << 20));
        match self.random.below(5) {
            0 => (Call::IpiSend, [others, second, third, last], Some(bad)),
            1 => (Call::IpiSend, [c(1), c(u64::MAX), third, last], Some(bad)),
            2 => (Call::Shootdown, [others, second, third, last], Some(bad)),
            3 => (Call::Shootdown, [c(1), c(beyond), third, last], Some(away)),
            _ => (Call::Shootdown, [c(0), unused, third, last], Some(0)),
        }
    }

    /// There is no disk.
    fn disk_call(&mut self, any: [Value; 4], beyond: u64) -> (Call, [Value; 4], Option<i32>) {
        let [first, second, third, last] = any;
        let c = Value::Const;
        let none = Some(CallError::NoDevice as i32);
        let away = Some(CallError::BadAddress as i32);
        let unused = c(UNUSED + self.random.below(1 << 20));
        let few = c(1 + self.random.below(32));
        match self.random.below(7) {
            0 => (Call::DiskInfo, [first, unused, third, last], none),
            1 => (Call::DiskInfo, [first, c(beyond), third, last], away),
            2 => (Call::DiskOpen, any, none),
            3 => (Call::DiskCommand, [first, unused, few, last], None),
            4 => (Call::DiskCommand, [first, c(beyond), few, last], away),
            5 => (Call::DiskTake, [unused, second, third, last], none),
            _ => (Call::DiskTake, [c(beyond), few, third, last], away),
        }
    }

    /// Pages that nothing uses. With a page of the program's own the monitor would use LL and SC once
    /// more when it is used next.
    fn page_call(&mut self, beyond: u64) -> (Call, [Value; 4], Option<i32>) {
        let c = Value::Const;
        let mut page = || UNUSED + self.random.below(UNUSED_PAGES) * PAGE_SIZE;
        let (to, from) = (page(), page());
        let call = self
            .random
            .pick(&[Call::Remap, Call::PageFree, Call::PageZero]);
        let mut bytes = self.random.below(8) * PAGE_SIZE;
        let (mut to, from) = (c(to), c(from));
        let mut result = 0;
        match self.random.below(6) {
            // Of whole pages there are too many, or they are none, or nowhere.
            0 => {
                bytes = PAGES_CALL_MAX + (1 + self.random.below(1 << 40)) * PAGE_SIZE;
                result = CallError::BadArgument as i32;
            }
            1 => {
                bytes |= 1 << self.random.below(14);
                result = CallError::BadArgument as i32;
            }
            2 => {
                bytes += PAGE_SIZE;
                to = c(beyond & !(PAGE_SIZE - 1));
                result = CallError::BadAddress as i32;
            }
            _ => {}
        }
        let arguments = if call == Call::Remap {
            [to, from, c(bytes), c(0)]
        } else {
            [to, c(bytes), from, c(0)]
        };
        (call, arguments, Some(result))
    }
}
