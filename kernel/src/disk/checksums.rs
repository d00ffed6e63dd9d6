//! Checksums of what goes into a log. They are worked out while the disks are not locked: a megabyte takes
//! ten million instructions.

use super::command::{Command, PARTS_MAX};
use super::log::checksum;
use crate::address::MachinePage;
use crate::machine::shared::{PageRef, SharedMemory};

/// Checksums of the blocks that a command writes as a whole.
pub struct Checksums {
    command: u32,
    /// The command's own, which nobody can change any more.
    pages: [Option<MachinePage>; PARTS_MAX],
    sums: [u32; PARTS_MAX],
}

impl Checksums {
    /// Whether a command writes whole blocks. The first and the last one may be parts, which have to be
    /// completed first.
    #[link_section = ".text.once"]
    #[inline(never)]
    pub fn are_needed(command: &Command) -> bool {
        command.error.is_none()
            && (0..command.blocks()).any(|part| command.wanted(part) == u32::MAX)
    }

    /// Those of the command with this number, yet to be worked out.
    pub fn of(number: u32, command: &Command) -> Self {
        let mut checksums = Self {
            command: number,
            pages: [None; PARTS_MAX],
            sums: [0; PARTS_MAX],
        };
        let parts = command.parts[..command.blocks()].iter().enumerate();
        for (number, part) in parts.filter(|&(number, _)| command.wanted(number) == u32::MAX) {
            checksums.pages[number] = part.base.as_ref().map(PageRef::page);
        }
        checksums
    }

    /// Works them out.
    pub fn work_out(&mut self, memory: &dyn SharedMemory) {
        for (sum, page) in self.sums.iter_mut().zip(self.pages) {
            if let Some(page) = page {
                // Counted as the command's, which waits meanwhile.
                *sum = checksum(memory, &PageRef::counted(page));
            }
        }
    }

    /// Which command.
    pub(super) const fn command(&self) -> u32 {
        self.command
    }

    /// Tells them to the command.
    pub(super) fn tell(&self, command: &mut Command) {
        for ((part, page), &sum) in command.parts.iter_mut().zip(self.pages).zip(&self.sums) {
            part.checksum = page.map(|_| sum);
        }
    }
}
