//! What the plugin hands over for a piece of code: small numbers packed into a word each.
//!
//! A block is counted in steps, so that an access that faults is counted once, when it is done, as
//! QEMU's own count of instructions has it: entering a block counts those before the first access, and
//! each access that is done counts itself and those up to the next.

use disco_flash_model::block::{Marker, Mode};

/// Entering a block of code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Whose it is, from its address: user, guest kernel or monitor.
    pub mode: Mode,
    /// Instructions before the first that can stop it.
    pub first: u16,
    /// Its last instruction: if the block ends with a trap, the one that trapped.
    pub last: u32,
}

impl Block {
    /// As a word.
    pub fn pack(self) -> u64 {
        u64::from(self.last) << 32 | u64::from(self.first) << 2 | self.mode as u64
    }

    /// Out of a word that [`Block::pack`] made.
    pub fn unpack(word: u64) -> Self {
        Self {
            mode: mode_of(word),
            first: (word >> 2) as u16,
            last: (word >> 32) as u32,
        }
    }
}

fn mode_of(word: u64) -> Mode {
    match word & 3 {
        0 => Mode::User,
        1 => Mode::GuestKernel,
        2 => Mode::Monitor,
        _ => Mode::Idle,
    }
}

/// Whether an instruction is one that counts by itself when it is done: a plain load, store or `ll`. Others that
/// fault are so few that their blocks count as done.
fn stops(word: u32) -> bool {
    const SPECIAL3: u32 = 0x1f;
    match word >> 26 {
        // LB LH LW LBU LHU LWU, SB SH SW, LWC1 LDC1 SWC1 SDC1, LD SD.
        0x20
        | 0x21
        | 0x23..=0x25
        | 0x27..=0x29
        | 0x2b
        | 0x31
        | 0x35
        | 0x37
        | 0x39
        | 0x3d
        | 0x3f => true,
        // LL LLD.
        SPECIAL3 => matches!(word & 0x3f, 0x36 | 0x37),
        _ => false,
    }
}

/// A block's instructions, and how many are counted where.
pub struct Steps {
    /// Counted when the block is entered.
    pub first: u16,
    /// For each instruction that counts by itself, how many are counted with it; 0 for the others.
    pub with: Vec<u16>,
}

impl Steps {
    /// Divides a block.
    pub fn of(words: &[u32]) -> Self {
        let mut with = vec![0; words.len()];
        let mut behind = 0;
        for (word, place) in words.iter().zip(&mut with).rev() {
            behind += 1;
            if stops(*word) || Marker::of_instruction(*word).is_some() {
                *place = behind;
                behind = 0;
            }
        }
        Self {
            first: behind,
            with,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LD: u32 = 0xdc41_0000;
    const SD: u32 = 0xfc41_0000;
    const LLD: u32 = 0x7c41_0037;
    const NOP: u32 = 0;

    #[test]
    fn an_access_counts_when_it_is_done() {
        let steps = Steps::of(&[NOP, LD, NOP, NOP, SD, NOP, LLD]);
        assert_eq!((steps.first, steps.with), (1, vec![0, 3, 0, 0, 2, 0, 1]));
        let steps = Steps::of(&[NOP, 0x3400_0101, NOP]);
        assert_eq!((steps.first, steps.with), (1, vec![0, 2, 0]));
    }

    proptest! {
        #[test]
        fn steps_together_are_the_block(words in proptest::collection::vec(any::<u32>(), 0..100)) {
            let steps = Steps::of(&words);
            let all: u16 = steps.with.iter().sum();
            prop_assert_eq!(usize::from(steps.first + all), words.len());
        }

        #[test]
        fn words_read_back(first in 0_u16..1024, last: u32, mode in 0_u64..4) {
            let block = Block { mode: mode_of(mode), first, last };
            prop_assert_eq!(Block::unpack(block.pack()), block);
        }
    }
}
