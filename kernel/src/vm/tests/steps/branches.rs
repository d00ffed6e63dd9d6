//! Branches, and registers for them.

use super::values::code;
use proptest::prelude::*;
use proptest::sample::select;

/// Operands of branches: `$10` to `$13`.
pub fn operands() -> impl Strategy<Value = Vec<(usize, u64)>> {
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
pub fn branch() -> impl Strategy<Value = u32> {
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
