//! Steps for emulator and model: instructions, time, interrupt lines, and whole tasks of several.

use super::guest::*;
use super::model::registers::{self as cp0, Register};
use disco_abi::{Call, CSSEG_WINDOW, HYPCALL, SPECIAL_PAGE, XSSEG_MAPPED, XSSEG_WINDOW};
use proptest::prelude::*;
use proptest::sample::select;
use std::fmt::{self, Debug, Formatter};
use std::ops::Range;

/// One step.
#[derive(Clone)]
pub enum Step {
    /// Puts values into general registers, then executes `word`, or `branch` and `word` behind it.
    Execute {
        values: Vec<(usize, u64)>,
        branch: Option<u32>,
        word: u32,
    },
    /// Count goes on.
    Time(u64),
    /// A device raises or lowers its line.
    Line(u32, bool),
    /// A 64-bit word of guest-physical memory.
    Memory(u64, u64),
}

impl Debug for Step {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        match self {
            Self::Execute {
                values,
                branch,
                word,
            } => {
                for (register, value) in values {
                    write!(f, "${register} = {value:#x}; ")?;
                }
                if let Some(branch) = branch {
                    write!(f, "{branch:#010x} and ")?;
                }
                write!(f, "{word:#010x}")
            }
            Self::Time(ticks) => write!(f, "{ticks} ticks"),
            Self::Line(line, raised) => write!(f, "line {line} raised: {raised}"),
            Self::Memory(physical, value) => write!(f, "memory {physical:#x} = {value:#x}"),
        }
    }
}

/// The register that holds what is moved to CP0.
const RT: u32 = 8;

fn execute(word: u32) -> Step {
    Step::Execute {
        values: Vec::new(),
        branch: None,
        word,
    }
}

/// `dmtc0` of a value.
fn write(register: Register, value: u64) -> Step {
    Step::Execute {
        values: vec![(RT as usize, value)],
        branch: None,
        word: dmtc0(RT, register.0 as u32, register.1 as u32),
    }
}

/// Few pages, so that they meet: user, csseg, xsseg, both windows, special page, and borders.
pub fn address() -> impl Strategy<Value = u64> {
    let region = select(vec![
        0u64,
        0,
        0x200_0000,
        0x1000_0000_0000,
        0xffff_ffff_d000_0000,
        XSSEG_MAPPED,
    ]);
    let border = select(vec![
        0x0000_ffff_ffff_fff8u64,
        0x0001_0000_0000_0000,
        0x3fff_ffff_ffff_fff8,
        XSSEG_WINDOW,
        XSSEG_WINDOW + 0x1_2340,
        XSSEG_WINDOW + (PAGES << 14),
        XSSEG_WINDOW + (1 << 46) + 0x8000,
        XSSEG_MAPPED - 8,
        0x4000_ffff_ffff_fff8,
        0x4001_0000_0000_0000,
        0x8000_0000_0000_0000,
        0x9800_0000_0000_1000,
        0xc000_0000_0000_0000,
        0xc000_ffff_d000_0000,
        0xffff_ffff_7fff_fff8,
        0xffff_ffff_8000_0000,
        0xffff_ffff_a000_0000,
        CSSEG_WINDOW + 0x2_0000,
        CSSEG_WINDOW + (PAGES << 14),
        CSSEG_WINDOW + (256 << 20) - 8,
        0xffff_ffff_dfff_7ff8,
        0xffff_ffff_dfff_8000,
        SPECIAL_PAGE + 0x10,
        SPECIAL_PAGE + 0x60,
        0xffff_ffff_e000_0000,
        u64::MAX - 7,
    ]);
    prop_oneof![
        6 => (region, 0..0x4_0000u64).prop_map(|(region, offset)| region + (offset & !7)),
        1 => border,
    ]
}

fn entry_hi() -> impl Strategy<Value = u64> {
    let asid = select(vec![0u64, 0, 1, 2, 0x3ff]);
    let ehinv = prop::bool::weighted(0.08);
    (address(), asid, ehinv).prop_map(|(address, asid, ehinv)| {
        address & (cp0::R | cp0::VPN2) | asid | if ehinv { cp0::EHINV } else { 0 }
    })
}

fn entry_lo() -> impl Strategy<Value = u64> {
    let flags = select(vec![
        6u64,
        6,
        6,
        7,
        7,
        2,
        3,
        4,
        0,
        6 | 1 << 62,
        7 | 1 << 63,
        7 | 3 << 62,
    ]);
    prop_oneof![
        // A few pages lie behind the guest's memory.
        12 => (0..(PAGES + 4) * 4, flags).prop_map(|(page, flags)| page << 6 | flags),
        1 => any::<u64>(),
    ]
}

fn page_mask() -> impl Strategy<Value = u64> {
    select(vec![
        0x6000u64,
        0x6000,
        0x6000,
        0x6000,
        0x1e000,
        0,
        0x1f_e000,
        0x1fff_e000,
    ])
}

/// Where execution may go: code, a few mapped pages, and places that cannot be.
fn code() -> impl Strategy<Value = u64> {
    prop_oneof![
        6 => (0..256u64).prop_map(|word| CODE + word * 4),
        4 => address(),
        1 => (0..0x2000u64).prop_map(|offset| CODE + offset),
    ]
}

/// A value for a register, such as often mean something there.
fn value(register: Register) -> BoxedStrategy<u64> {
    let special = match register {
        cp0::STATUS => (any::<u32>(), 0..16u32)
            .prop_map(|(bits, often)| {
                // Mostly kernel mode, seldom BEV.
                let ksu = if often < 12 { 0 } else { bits & 3 << 3 };
                let bev = if often == 0 { bits & 1 << 22 } else { 0 };
                u64::from(bits & !(3 << 3) & !(1 << 22) | ksu | bev)
            })
            .boxed(),
        cp0::EPC | cp0::ERROR_EPC => code().boxed(),
        cp0::ENTRY_HI => entry_hi().boxed(),
        cp0::ENTRY_LO0 | cp0::ENTRY_LO1 => entry_lo().boxed(),
        cp0::PAGE_MASK => page_mask().boxed(),
        cp0::INDEX | cp0::WIRED => (0..18u64).boxed(),
        cp0::EBASE => (0..PAGES * 4, any::<bool>())
            .prop_map(|(page, window)| {
                let base = if window { XSSEG_WINDOW } else { CSSEG_WINDOW };
                base + (page << 12) + (1 << 11)
            })
            .boxed(),
        cp0::COUNT | cp0::COMPARE => (0..200u64).boxed(),
        _ => any::<u64>().boxed(),
    };
    prop_oneof![8 => special, 1 => any::<u64>()].boxed()
}

/// Registers, those with rules of their own more often.
fn register() -> impl Strategy<Value = Register> {
    let ruled = vec![
        cp0::INDEX,
        cp0::ENTRY_LO0,
        cp0::ENTRY_LO1,
        cp0::CONTEXT,
        cp0::USER_LOCAL,
        cp0::PAGE_MASK,
        cp0::WIRED,
        cp0::HWRENA,
        cp0::COUNT,
        cp0::ENTRY_HI,
        cp0::COMPARE,
        cp0::STATUS,
        cp0::STATUS,
        cp0::STATUS,
        cp0::CAUSE,
        cp0::CAUSE,
        cp0::EPC,
        cp0::EPC,
        cp0::EBASE,
        cp0::LLADDR,
        cp0::XCONTEXT,
        cp0::ERROR_EPC,
    ];
    prop_oneof![3 => select(ruled), 1 => (0..32usize, 0..8usize)]
}

/// Operands of branches: `$10` to `$13`.
fn operands() -> impl Strategy<Value = Vec<(usize, u64)>> {
    let value = prop_oneof![
        select(vec![
            0,
            1,
            u64::MAX,
            1 << 63,
            0x7fff_ffff,
            0xffff_ffff_8000_0000
        ]),
        code(),
    ];
    prop::collection::vec(value, 4).prop_map(|values| (10..).zip(values).collect())
}

/// Every branch with a slot: II, by opcode.
fn branch() -> impl Strategy<Value = u32> {
    let i = |opcode: u32, rs: u32, rt: u32| opcode << 26 | rs << 21 | rt << 16;
    let words = vec![
        i(0x04, 10, 11),
        i(0x05, 10, 11),
        i(0x06, 10, 0),
        i(0x07, 10, 0),
        i(0x01, 10, 0x00),
        i(0x01, 10, 0x01),
        i(0x01, 0, 0x10),
        i(0x01, 0, 0x11),
        i(0x11, 0x09, 10),
        i(0x11, 0x0d, 11),
        i(0x06, 0, 10),
        i(0x06, 10, 10),
        i(0x06, 10, 11),
        i(0x07, 0, 10),
        i(0x07, 10, 10),
        i(0x07, 10, 11),
        i(0x08, 11, 10),
        i(0x08, 0, 10),
        i(0x08, 10, 11),
        i(0x18, 11, 10),
        i(0x18, 0, 10),
        i(0x18, 10, 11),
        i(0x16, 0, 10),
        i(0x16, 10, 10),
        i(0x16, 10, 11),
        i(0x17, 0, 10),
        i(0x17, 10, 10),
        i(0x17, 10, 11),
        i(0x36, 10, 0),
        i(0x3e, 10, 0),
    ];
    let near = (select(words), -64..64i16).prop_map(|(word, offset)| word | offset as u16 as u32);
    // BC, BALC, JIC, JIALC, J, JAL, JR, JALR.
    let far = select(vec![
        0x32 << 26 | 8,
        0x3a << 26 | 8,
        i(0x36, 0, 12),
        i(0x3e, 0, 12),
        0x02 << 26 | 0x410,
        0x03 << 26 | 0x410,
        12 << 21 | 9,
        12 << 21 | 31 << 11 | 9,
    ]);
    prop_oneof![5 => near, 1 => far]
}

/// An instruction that is no branch, with what it needs in `$4` to `$9`.
fn instruction() -> impl Strategy<Value = (u32, Vec<(usize, u64)>)> {
    let plain = |word: u32| (word, Vec::new());
    let to = (register(), prop::bool::weighted(0.7)).prop_flat_map(|(register, double)| {
        let (number, select) = (register.0 as u32, register.1 as u32);
        let word = if double {
            dmtc0(RT, number, select)
        } else {
            mtc0(RT, number, select)
        };
        value(register).prop_map(move |value| (word, vec![(RT as usize, value)]))
    });
    let from = (register(), select(vec![0u32, 0, 1, 1, 2])).prop_map(move |(register, rs)| {
        let word = 0x4000_0000 | rs << 21 | 9 << 16;
        plain(word | (register.0 as u32) << 11 | register.1 as u32)
    });
    let tlb = select(vec![
        TLBR, TLBWI, TLBWI, TLBWR, TLBWR, TLBP, TLBP, TLBINV, TLBINVF,
    ]);
    let memory = (select(vec![0x37u32, 0x37, 0x3f]), address())
        .prop_map(|(opcode, address)| (opcode << 26 | 6 << 21 | 7 << 16, vec![(6, address)]));
    // LLD and SCD, seldom where they fault.
    let linked = (
        select(vec![0x37u32, 0x37, 0x27, 0x27]),
        address(),
        prop::bool::weighted(0.2),
    );
    let linked = linked.prop_map(|(function, address, anywhere)| {
        let address = if anywhere {
            address
        } else {
            CSSEG_WINDOW + 0x8_0000
        };
        (
            0x1f << 26 | 6 << 21 | 7 << 16 | function,
            vec![(6, address)],
        )
    });
    let slots = (0..22u64).prop_filter("pending", |slot| *slot != 4);
    let load_slot = slots.prop_map(|slot| {
        (
            0x37 << 26 | 6 << 21 | 7 << 16,
            vec![(6, SPECIAL_PAGE + slot * 8)],
        )
    });
    // EPC, EntryLo0 to XContext, ErrorEPC, KScratch: the guest writes them.
    let store_slot = (
        select(vec![2u64, 6, 7, 10, 11, 12, 16, 17, 18, 19, 20, 21]),
        any::<u64>(),
    );
    let store_slot = store_slot.prop_map(|(slot, value)| {
        // 32-bit registers are kept sign-extended.
        let value = match cp0::in_slot(slot * 8) {
            Some(cp0::INDEX | cp0::PAGE_MASK) => cp0::sign(value),
            _ => value,
        };
        let values = vec![(6, SPECIAL_PAGE + slot * 8), (7, value)];
        (0x3f << 26 | 6 << 21 | 7 << 16, values)
    });
    let others = select(vec![
        0x0000_0000u32, // nop
        0x0000_000c,    // syscall
        0x0000_000d,    // break
        0x0000_000e,    // sdbbp
        0x4160_6000,    // di
        0x4169_6000,    // di $9
        0x4169_6020,    // ei $9
        0x4169_6020,    // ei $9
        0x4169_0004,    // evp
        0x4200_0011,    // reserved
        0x4200_001f,    // deret
        0x4200_0020,    // wait
        0x7cc0_0025,    // cache
        0x7800_0000,    // MSA
        0x4600_0000,    // add.s
        0x4600_0000,
        0x4800_0000, // COP2
    ]);
    let rdhwr = (select(vec![0u32, 1, 2, 3, 5, 29, 29, 4, 30]))
        .prop_map(move |number| plain(0x7c09_003b | number << 11));
    let eret = select(vec![0x4200_0018u32, 0x4200_0018, 0x4200_0058]);
    prop_oneof![
        8 => to,
        3 => from,
        5 => tlb.prop_map(plain),
        8 => memory,
        2 => linked,
        1 => load_slot,
        1 => store_slot,
        4 => others.prop_map(plain),
        1 => rdhwr,
        6 => eret.prop_map(plain),
        2 => monitor_call(),
    ]
}

fn monitor_call() -> impl Strategy<Value = (u32, Vec<(usize, u64)>)> {
    let calls = vec![
        Call::TlbFlushAll,
        Call::TlbFlushPage,
        Call::TlbFlushPage,
        Call::TlbInsert,
        Call::TlbInsert,
        Call::TlbInsert,
        Call::Context,
        Call::Version,
        Call::Deliver,
        Call::ConsoleWrite,
        Call::Yield,
    ];
    let number = prop_oneof![
        10 => select(calls).prop_map(|call| call as u64),
        1 => Call::ALL.len() as u64..,
    ];
    (number, entry_hi(), entry_lo(), entry_lo(), page_mask()).prop_map(
        |(number, hi, second, third, mask)| {
            let values = [(2, number), (4, hi), (5, second), (6, third), (7, mask)];
            (HYPCALL, values.to_vec())
        },
    )
}

/// An instruction, perhaps behind a branch.
fn single() -> impl Strategy<Value = Vec<Step>> {
    let behind = prop::option::weighted(0.3, (branch(), operands()));
    (instruction(), behind).prop_map(|((word, mut values), behind)| {
        let branch = behind.map(|(branch, operands)| {
            values.extend(operands);
            branch
        });
        vec![Step::Execute {
            values,
            branch,
            word,
        }]
    })
}

/// The writing of a TLB entry, by index or at random.
fn tlb_entry() -> impl Strategy<Value = Vec<Step>> {
    let index = prop::option::of(0..18u64);
    let global = prop::bool::weighted(0.3);
    (
        entry_hi(),
        entry_lo(),
        entry_lo(),
        page_mask(),
        index,
        global,
    )
        .prop_map(|(hi, lo0, lo1, mask, index, global)| {
            let g = u64::from(global);
            let mut steps = vec![
                write(cp0::ENTRY_HI, hi),
                write(cp0::ENTRY_LO0, lo0 & !1 | g),
                write(cp0::ENTRY_LO1, lo1 & !1 | g),
                write(cp0::PAGE_MASK, mask),
            ];
            if let Some(index) = index {
                steps.push(write(cp0::INDEX, index));
            }
            steps.push(execute(if index.is_some() { TLBWI } else { TLBWR }));
            steps
        })
}

/// A change to user or supervisor mode, which goes on somewhere.
fn lower_mode() -> impl Strategy<Value = Vec<Step>> {
    (code(), any::<u32>()).prop_map(|(pc, bits)| {
        // User mode, or supervisor mode.
        let ksu = if bits & 6 == 0 { 0x08 } else { 0x10 };
        let status = u64::from(bits & 0x2000_ff01 | ksu | 2);
        vec![
            write(cp0::EPC, pc),
            write(cp0::STATUS, status | 0xe0),
            execute(0x4200_0018),
        ]
    })
}

/// Tables for the page-table walker: two directories and a page table, with a few pages.
fn tables() -> impl Strategy<Value = Vec<Step>> {
    let pages = prop::collection::vec((0..64u64, entry_lo()), 1..6);
    let settings = (
        select(vec![14u64, 14, 14, 12, 16, 13, 30]),
        select(vec![6u64, 6, 2, 1, 10]),
        select(vec![
            1u64 << 31 | 3 << 26,
            1 << 31 | 3 << 26,
            1 << 31 | 1 << 26,
            3 << 26,
        ]),
        select(vec![0u64, 0, 0, 4, 1 << 62, PAGES << 14]),
    );
    (pages, settings).prop_map(|(pages, (shift, ptei, control, astray))| {
        const TOP: u64 = 0x1_0000;
        const MIDDLE: u64 = 0x1_4000;
        const TABLE: u64 = 0x1_8000;
        let mut steps = vec![
            write(cp0::PW_BASE, XSSEG_WINDOW + TOP),
            write(cp0::PW_FIELD, 36 << 24 | 25 << 12 | shift << 6 | ptei),
            write(cp0::PW_SIZE, 1 << 30 | 11 << 24 | 11 << 12 | 11 << 6),
            write(cp0::PW_CTL, control),
            Step::Memory(TOP, XSSEG_WINDOW + MIDDLE),
            Step::Memory(TOP + 0x800 * 8 - 8, XSSEG_WINDOW + MIDDLE),
            Step::Memory(MIDDLE, (CSSEG_WINDOW + TABLE).wrapping_add(astray)),
            Step::Memory(MIDDLE + 8, CSSEG_WINDOW + TABLE),
        ];
        steps.extend(pages.into_iter().map(|(page, lo)| {
            let rotated = lo.rotate_left(2) & 0xffff_ffff;
            Step::Memory(TABLE + page * 8, rotated << ptei.saturating_sub(2))
        }));
        steps
    })
}

fn happening() -> impl Strategy<Value = Vec<Step>> {
    let time = prop_oneof![
        8 => 0..150u64,
        1 => select(vec![(1u64 << 32) - 1, 1 << 32, (1 << 32) + 7, 3 << 32]),
    ];
    prop_oneof![
        time.prop_map(|ticks| vec![Step::Time(ticks)]),
        (2..7u32, any::<bool>()).prop_map(|(line, raised)| vec![Step::Line(line, raised)]),
    ]
}

/// A sequence of so many tasks.
pub fn sequence(length: Range<usize>) -> impl Strategy<Value = Vec<Step>> {
    let task = prop_oneof![
        12 => single(),
        5 => tlb_entry(),
        1 => lower_mode(),
        1 => tables(),
        2 => happening(),
    ];
    prop::collection::vec(task, length).prop_map(|tasks| tasks.concat())
}
