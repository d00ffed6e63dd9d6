//! Who holds each line of the machine's memory.

use crate::cache::Line;

/// Bit of an entry: its one holder may write, and may have written.
const OWNED: u32 = 1 << 16;

/// CPUs by number, 16 at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holders(u16);

impl Holders {
    /// Their numbers.
    pub fn iter(self) -> impl Iterator<Item = usize> {
        (0..16).filter(move |cpu| self.0 >> cpu & 1 != 0)
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// What a CPU found that asked for a line, apart from itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Who held the line. After a write they have to let go of it.
    pub others: Holders,
    /// Who of them alone could write.
    pub owner: Option<usize>,
}

/// The directory: an entry for each line.
pub struct Directory {
    /// Holders in bits 15..0, and [`OWNED`].
    entries: Vec<u32>,
}

impl Directory {
    /// One for `lines` lines that nobody holds.
    pub fn new(lines: usize) -> Self {
        Self {
            entries: vec![0; lines],
        }
    }

    /// A CPU that does not hold the line reads it. It gets it for itself if nobody else held it.
    pub fn read(&mut self, line: Line, cpu: usize) -> Found {
        let found = self.found(line, cpu);
        let entry = self.entry(line);
        *entry = *entry & 0xffff | 1 << cpu;
        if found.others.is_empty() {
            *entry |= OWNED;
        }
        found
    }

    /// A CPU takes the line to write.
    pub fn write(&mut self, line: Line, cpu: usize) -> Found {
        let found = self.found(line, cpu);
        *self.entry(line) = 1 << cpu | OWNED;
        found
    }

    /// A CPU's cache has no room for the line any more.
    pub fn drop_holder(&mut self, line: Line, cpu: usize) {
        let entry = self.entry(line);
        *entry &= !(1 << cpu);
        if *entry & 0xffff == 0 {
            *entry = 0;
        }
    }

    /// Who holds the line.
    pub fn holders(&self, line: Line) -> Holders {
        Holders(self.entries[line as usize] as u16)
    }

    fn found(&mut self, line: Line, cpu: usize) -> Found {
        let entry = *self.entry(line);
        let others = Holders(entry as u16 & !(1 << cpu));
        let owner = others.iter().next().filter(|_| entry & OWNED != 0);
        Found { others, owner }
    }

    fn entry(&mut self, line: Line) -> &mut u32 {
        &mut self.entries[line as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn others(found: Found) -> Vec<usize> {
        found.others.iter().collect()
    }

    #[test]
    fn the_first_reader_owns_until_another_reads() {
        let mut directory = Directory::new(4);
        assert_eq!(directory.read(1, 3), Found::default());
        let second = directory.read(1, 0);
        assert_eq!((others(second), second.owner), (vec![3], Some(3)));
        let third = directory.read(1, 15);
        assert_eq!((others(third), third.owner), (vec![0, 3], None));
    }

    #[test]
    fn a_writer_is_alone() {
        let mut directory = Directory::new(4);
        directory.read(2, 1);
        directory.read(2, 2);
        let found = directory.write(2, 1);
        assert_eq!((others(found), found.owner), (vec![2], None));
        let found = directory.write(2, 0);
        assert_eq!((others(found), found.owner), (vec![1], Some(1)));
        assert_eq!(directory.holders(2).iter().collect::<Vec<_>>(), [0]);
        assert!(directory.holders(3).is_empty());
    }

    #[test]
    fn who_drops_a_line_is_not_asked() {
        let mut directory = Directory::new(4);
        directory.write(0, 5);
        directory.drop_holder(0, 5);
        assert_eq!(directory.read(0, 6), Found::default());
        directory.read(0, 7);
        directory.drop_holder(0, 6);
        // CPU 7 alone has it now, but may not write unasked.
        let found = directory.read(0, 8);
        assert_eq!((others(found), found.owner), (vec![7], None));
    }
}
