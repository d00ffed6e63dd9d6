//! Branches and jumps of release 6: II, one section each.

/// What a branch does, by the registers before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Branch {
    /// Where it goes, if it is taken.
    pub target: Option<u64>,
    /// Linked register, before the slot executes; and with what.
    pub link: Option<(usize, u64)>,
    /// Compact: what is behind it executes only if it is not taken, in its forbidden slot.
    pub compact: bool,
}

fn sign_extend(value: u32, bits: u32) -> u64 {
    ((u64::from(value) << (64 - bits)) as i64 >> (64 - bits)) as u64
}

/// The branch that `word` at `pc` is, if it is one.
pub fn decode(word: u32, pc: u64, gpr: &[u64; 32], fpr: &[u64; 32]) -> Option<Branch> {
    let (rs, rt) = ((word >> 21 & 31) as usize, (word >> 16 & 31) as usize);
    let rd = (word >> 11 & 31) as usize;
    let (s, t) = (gpr[rs], gpr[rt]);
    let (signed_s, signed_t) = (s as i64, t as i64);
    let relative = |bits| (pc + 4).wrapping_add(sign_extend(word, bits) << 2);
    let region = (pc + 4) & !0x0fff_ffff | u64::from(word & 0x03ff_ffff) << 2;
    let delayed = |target: u64, taken: bool| Branch {
        target: taken.then_some(target),
        link: None,
        compact: false,
    };
    let compact = |target: u64, taken: bool| Branch {
        compact: true,
        ..delayed(target, taken)
    };
    let linked = |register: usize, behind: u64, branch: Branch| Branch {
        link: Some((register, behind)),
        ..branch
    };
    // Words of 32 bits whose sum leaves them, or that are not such words: BOVC, BNVC.
    let word_of = |value: u64| value as i32 as i64 as u64 == value;
    let overflow = !word_of(s) || !word_of(t) || (s as i32).checked_add(t as i32).is_none();
    Some(match word >> 26 {
        0x00 if word & 0x3f == 9 => linked(rd, pc + 8, delayed(s, true)),
        0x01 => match rt {
            0x00 => delayed(relative(16), signed_s < 0),
            0x01 => delayed(relative(16), signed_s >= 0),
            // NAL and BAL.
            0x10 if rs == 0 => linked(31, pc + 8, delayed(relative(16), false)),
            0x11 if rs == 0 => linked(31, pc + 8, delayed(relative(16), true)),
            _ => return None,
        },
        0x02 => delayed(region, true),
        0x03 => linked(31, pc + 8, delayed(region, true)),
        0x04 => delayed(relative(16), s == t),
        0x05 => delayed(relative(16), s != t),
        0x06 if rt == 0 => delayed(relative(16), signed_s <= 0),
        0x07 if rt == 0 => delayed(relative(16), signed_s > 0),
        // POP06 and POP07.
        0x06 if rs == 0 => linked(31, pc + 4, compact(relative(16), signed_t <= 0)),
        0x06 if rs == rt => linked(31, pc + 4, compact(relative(16), signed_t >= 0)),
        0x06 => compact(relative(16), s >= t),
        0x07 if rs == 0 => linked(31, pc + 4, compact(relative(16), signed_t > 0)),
        0x07 if rs == rt => linked(31, pc + 4, compact(relative(16), signed_t < 0)),
        0x07 => compact(relative(16), s < t),
        // POP10 and POP30.
        0x08 if rs >= rt => compact(relative(16), overflow),
        0x08 if rs == 0 => linked(31, pc + 4, compact(relative(16), t == 0)),
        0x08 => compact(relative(16), s == t),
        0x18 if rs >= rt => compact(relative(16), !overflow),
        0x18 if rs == 0 => linked(31, pc + 4, compact(relative(16), t != 0)),
        0x18 => compact(relative(16), s != t),
        // BC1EQZ and BC1NEZ.
        0x11 if rs == 0x09 => delayed(relative(16), fpr[rt] & 1 == 0),
        0x11 if rs == 0x0d => delayed(relative(16), fpr[rt] & 1 == 1),
        // POP26 and POP27.
        0x16 if rt == 0 => return None,
        0x16 if rs == 0 => compact(relative(16), signed_t <= 0),
        0x16 if rs == rt => compact(relative(16), signed_t >= 0),
        0x16 => compact(relative(16), signed_s >= signed_t),
        0x17 if rt == 0 => return None,
        0x17 if rs == 0 => compact(relative(16), signed_t > 0),
        0x17 if rs == rt => compact(relative(16), signed_t < 0),
        0x17 => compact(relative(16), signed_s < signed_t),
        0x32 => compact(relative(26), true),
        0x3a => linked(31, pc + 4, compact(relative(26), true)),
        // POP66 and POP76: JIC and JIALC have rs 0.
        0x36 if rs == 0 => compact(t.wrapping_add(sign_extend(word, 16)), true),
        0x36 => compact(relative(21), s == 0),
        0x3e if rs == 0 => {
            let target = t.wrapping_add(sign_extend(word, 16));
            linked(31, pc + 4, compact(target, true))
        }
        0x3e => compact(relative(21), s != 0),
        _ => return None,
    })
}
