//! What the plugin hands to the model of a piece of code, once it is translated: small numbers
//! packed into a word each, so that QEMU carries them along and nothing has to be kept or freed.
//!
//! A block is counted in steps, so that instructions behind a fault are not counted: entering it counts
//! those up to and with the first that can stop it, and each that did not stop it counts those up
//! to the next.

use disco_magic::marker;

/// Whose instruction it is, from its virtual address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A program of a guest: xuseg.
    User = 0,
    /// A guest's kernel: xsseg and csseg.
    GuestKernel = 1,
    /// The monitor, or a kernel on the bare machine: kseg0, kseg1, xkphys and mapped kernel segments.
    Monitor = 2,
    /// The monitor while its CPU has nothing to run, as it marks itself.
    Idle = 3,
    /// The monitor while it moves pages, or forgets where they were, as it marks itself.
    Moving = 4,
}

impl Mode {
    /// How many there are.
    pub const COUNT: usize = 5;
    /// Their names in the report.
    pub const NAMES: [&str; Self::COUNT] = ["user", "guest_kernel", "monitor", "idle", "moving"];

    /// The mode of an instruction at this virtual address.
    pub fn of_address(address: u64) -> Self {
        match address {
            0..0x4000_0000_0000_0000 => Self::User,
            0x4000_0000_0000_0000..0x8000_0000_0000_0000
            | 0xffff_ffff_c000_0000..0xffff_ffff_e000_0000 => Self::GuestKernel,
            _ => Self::Monitor,
        }
    }

    fn unpack(bits: u64) -> Self {
        match bits & 3 {
            0 => Self::User,
            1 => Self::GuestKernel,
            2 => Self::Monitor,
            _ => Self::Idle,
        }
    }
}

/// A block of code: entering it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Where its first instruction lies in the machine's RAM; `None` outside of it.
    pub offset: Option<u32>,
    /// Whose it is.
    pub mode: Mode,
    /// Instructions up to and with the first that can stop it.
    pub first: u16,
    /// All instructions.
    pub all: u16,
}

impl Block {
    /// As a word.
    pub fn pack(self) -> u64 {
        let place = self
            .offset
            .map_or(0, |offset| u64::from(offset >> 2) << 1 | 1);
        place << 24
            | u64::from(self.all & 0x3ff) << 12
            | u64::from(self.first & 0x3ff) << 2
            | self.mode as u64
    }

    /// Out of a word that [`Block::pack`] made.
    pub fn unpack(word: u64) -> Self {
        let place = word >> 24;
        Self {
            offset: (place & 1 != 0).then_some((place >> 1) as u32 * 4),
            mode: Mode::unpack(word),
            first: (word >> 2 & 0x3ff) as u16,
            all: (word >> 12 & 0x3ff) as u16,
        }
    }
}

/// An instruction that has not stopped its block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Whose it is.
    pub mode: Mode,
    /// Instructions behind it up to and with the next that can stop the block.
    pub following: u16,
    /// What it marks, if it is a marker.
    pub marker: Option<Marker>,
}

impl Step {
    /// As a word.
    pub fn pack(self) -> u64 {
        let marker = self
            .marker
            .map_or(0, |marker| 1 << 16 | u64::from(marker.number()));
        marker << 12 | u64::from(self.following & 0x3ff) << 2 | self.mode as u64
    }

    /// Out of a word that [`Step::pack`] made.
    pub fn unpack(word: u64) -> Self {
        let marker = word >> 12;
        Self {
            mode: Mode::unpack(word),
            following: (word >> 2 & 0x3ff) as u16,
            marker: (marker >> 16 != 0)
                .then(|| Marker::of_number(marker as u16))
                .flatten(),
        }
    }
}

/// What an instruction `ori $zero, $zero, N` says to the model. It does nothing anywhere else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marker {
    /// Window n begins.
    Begin(u8),
    /// Window n ends.
    End(u8),
    /// This CPU has nothing to run.
    Idle,
    /// It has.
    Busy,
    /// This CPU begins to move pages.
    Moving,
    /// They have moved.
    Moved,
    /// The report is wanted now.
    Report,
}

impl Marker {
    /// Its number N.
    pub fn number(self) -> u16 {
        match self {
            Self::Begin(window) => marker::BEGIN | u16::from(window),
            Self::End(window) => marker::END | u16::from(window),
            Self::Idle => marker::IDLE,
            Self::Busy => marker::BUSY,
            Self::Moving => marker::MOVING,
            Self::Moved => marker::MOVED,
            Self::Report => marker::REPORT,
        }
    }

    /// The marker with this number.
    pub fn of_number(number: u16) -> Option<Self> {
        let [kind, window] = number.to_be_bytes();
        match (u16::from(kind) << 8, number) {
            (marker::BEGIN, _) => Some(Self::Begin(window)),
            (marker::END, _) => Some(Self::End(window)),
            (_, marker::IDLE) => Some(Self::Idle),
            (_, marker::BUSY) => Some(Self::Busy),
            (_, marker::MOVING) => Some(Self::Moving),
            (_, marker::MOVED) => Some(Self::Moved),
            (_, marker::REPORT) => Some(Self::Report),
            _ => None,
        }
    }

    /// The marker that this instruction is.
    pub fn of_instruction(word: u32) -> Option<Self> {
        // ORI with rs and rt 0.
        (word >> 16 == 0x3400)
            .then(|| Self::of_number(word as u16))
            .flatten()
    }
}

/// Whether an instruction is a plain load or store: one that does just one access, or faults.
fn is_plain_access(word: u32) -> bool {
    matches!(
        word >> 26,
        // LB LH LW LBU LHU LWU, SB SH SW, LWC1 LDC1 SWC1 SDC1, LD SD.
        0x20 | 0x21 | 0x23
            ..=0x25 | 0x27 | 0x28 | 0x29 | 0x2b | 0x31 | 0x35 | 0x37 | 0x39 | 0x3d | 0x3f
    )
}

/// A block's instructions, and how many are counted where.
pub struct Steps {
    /// Counted when the block is entered.
    pub first: u16,
    /// For each instruction, how many are counted behind it.
    pub following: Vec<u16>,
}

impl Steps {
    /// Divides a block.
    pub fn of(words: &[u32]) -> Self {
        let mut following = vec![0; words.len()];
        let mut behind = 0;
        for (word, place) in words.iter().zip(&mut following).rev() {
            if is_plain_access(*word) || Marker::of_instruction(*word).is_some() {
                *place = behind;
                behind = 0;
            }
            behind += 1;
        }
        Self {
            first: behind,
            following,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn modes_follow_from_addresses() {
        for (address, mode) in [
            (0x1_2000_0000, Mode::User),
            (0x4000_0000_0000_1000, Mode::GuestKernel),
            (0xffff_ffff_c000_0000, Mode::GuestKernel),
            (0xffff_ffff_dfff_fffc, Mode::GuestKernel),
            (0xffff_ffff_8010_0000, Mode::Monitor),
            (0xffff_ffff_bfc0_0000, Mode::Monitor),
            (0x9800_0000_8000_8000, Mode::Monitor),
            (0xc000_0000_0000_0000, Mode::Monitor),
            (0xffff_ffff_e000_0000, Mode::Monitor),
        ] {
            assert_eq!(Mode::of_address(address), mode, "{address:#x}");
        }
    }

    #[test]
    fn markers_by_instruction() {
        assert_eq!(Marker::of_instruction(0x3400_0107), Some(Marker::Begin(7)));
        assert_eq!(Marker::of_instruction(0x3400_02ff), Some(Marker::End(255)));
        assert_eq!(Marker::of_instruction(0x3400_0300), Some(Marker::Idle));
        assert_eq!(Marker::of_instruction(0x3400_0301), Some(Marker::Busy));
        assert_eq!(Marker::of_instruction(0x3400_0302), Some(Marker::Report));
        assert_eq!(Marker::of_instruction(0x3400_0303), Some(Marker::Moving));
        assert_eq!(Marker::of_instruction(0x3400_0304), Some(Marker::Moved));
        // Another register; another number.
        assert_eq!(Marker::of_instruction(0x3401_0107), None);
        assert_eq!(Marker::of_instruction(0x3400_0400), None);
        assert_eq!(Marker::of_instruction(0), None);
    }

    #[test]
    fn a_block_is_counted_in_steps() {
        const LD: u32 = 0xdc41_0000;
        const SD: u32 = 0xfc41_0000;
        const NOP: u32 = 0;
        // nop, ld, nop, nop, sd, nop: entering counts 2, the load 3, the store 1.
        let steps = Steps::of(&[NOP, LD, NOP, NOP, SD, NOP]);
        assert_eq!((steps.first, steps.following), (2, vec![0, 3, 0, 0, 1, 0]));
        let steps = Steps::of(&[NOP, NOP]);
        assert_eq!((steps.first, steps.following), (2, vec![0, 0]));
        // A window that begins within a block begins there.
        let steps = Steps::of(&[NOP, 0x3400_0101, NOP]);
        assert_eq!((steps.first, steps.following), (2, vec![0, 1, 0]));
        assert_eq!(Steps::of(&[]).first, 0);
    }

    proptest! {
        #[test]
        fn steps_together_are_the_block(words in proptest::collection::vec(any::<u32>(), 0..100)) {
            let steps = Steps::of(&words);
            let all: u16 = steps.following.iter().sum();
            prop_assert_eq!(usize::from(steps.first + all), words.len());
        }

        #[test]
        fn words_read_back(offset in proptest::option::of(0_u32..1 << 29), first in 0_u16..1024, all in 0_u16..1024, mode in 0_u64..4, window: u8) {
            let mode = Mode::unpack(mode);
            let block = Block { offset: offset.map(|words| words * 4), mode, first, all };
            prop_assert_eq!(Block::unpack(block.pack()), block);
            for marker in [None, Some(Marker::Begin(window)), Some(Marker::End(window)), Some(Marker::Idle), Some(Marker::Busy), Some(Marker::Moving), Some(Marker::Moved), Some(Marker::Report)] {
                let step = Step { mode, following: first, marker };
                prop_assert_eq!(Step::unpack(step.pack()), step);
            }
        }
    }
}
