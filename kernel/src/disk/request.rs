//! A guest's command, copied and checked, and the way along its scatter list.

use crate::address::GuestPhysical;
use disco_abi::{
    CallError, DiskOperation, Segment, DISK_BYTES_MAX, DISK_SEGMENTS_MAX, PAGE_SIZE, SECTOR,
};

/// Bytes of a `disco_abi::DiskRequest`.
pub const HEAD_BYTES: usize = 32;
/// Bytes of the longest command.
pub const REQUEST_BYTES_MAX: usize = HEAD_BYTES + DISK_SEGMENTS_MAX * SEGMENT_BYTES;
const SEGMENT_BYTES: usize = 16;

/// A command whose segments lie in guest memory and hold whole sectors. Whether its disk has the
/// sectors is not known yet.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// What it does.
    pub operation: DiskOperation,
    /// The guest's name for it.
    pub tag: u64,
    /// The first sector, and how many.
    pub sector: u64,
    /// See `sector`.
    pub sectors: u32,
    segments: [Segment; DISK_SEGMENTS_MAX],
    count: usize,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            operation: DiskOperation::Flush,
            tag: 0,
            sector: 0,
            sectors: 0,
            segments: [Segment {
                address: 0,
                bytes: 0,
            }; DISK_SEGMENTS_MAX],
            count: 0,
        }
    }
}

impl Request {
    /// Checks the `bytes` of a command, the monitor's own copy of them, for a virtual machine with
    /// `memory` bytes.
    ///
    /// # Errors
    /// What the call returns.
    pub fn parse(&mut self, bytes: &[u8], memory: u64) -> Result<(), CallError> {
        let mut words = bytes.chunks_exact(8).map(|word| {
            let word: [u8; 8] = word.try_into().unwrap_or_default();
            u64::from_be_bytes(word)
        });
        let mut next = || words.next().ok_or(CallError::BadArgument);
        self.operation = DiskOperation::from_number(next()?).ok_or(CallError::BadArgument)?;
        self.sector = next()?;
        self.tag = next()?;
        let count = next()?;
        let flush = self.operation == DiskOperation::Flush;
        if count > DISK_SEGMENTS_MAX as u64 || (count == 0) != flush {
            return Err(CallError::BadArgument);
        }
        if flush {
            self.sector = 0;
        }
        self.count = count as usize;
        let mut total = 0u64;
        for place in &mut self.segments[..self.count] {
            let segment = Segment {
                address: next()?,
                bytes: next()?,
            };
            if segment.bytes == 0
                || !segment.bytes.is_multiple_of(SECTOR)
                || segment.bytes > DISK_BYTES_MAX - total
            {
                return Err(CallError::BadArgument);
            }
            let end = segment.address.checked_add(segment.bytes);
            if end.is_none_or(|end| end > memory) {
                return Err(CallError::BadAddress);
            }
            total += segment.bytes;
            *place = segment;
        }
        self.sectors = (total / SECTOR) as u32;
        Ok(())
    }

    /// Makes it a read of sectors into nobody's memory.
    pub fn read(&mut self, sector: u64, sectors: u32) {
        self.operation = DiskOperation::Read;
        (self.sector, self.sectors) = (sector, sectors);
        self.count = 0;
    }

    /// The beginning of its memory.
    pub fn cursor(&self) -> Cursor<'_> {
        Cursor {
            segments: &self.segments[..self.count],
            done: 0,
        }
    }
}

/// A place in a scatter list.
pub struct Cursor<'a> {
    segments: &'a [Segment],
    /// Bytes of the first segment that are behind.
    done: u64,
}

impl Cursor<'_> {
    /// The next bytes that lie in one guest page, at most `most`; none at the end.
    pub fn next(&mut self, most: usize) -> Option<(GuestPhysical, usize)> {
        let segment = self.segments.first()?;
        let at = GuestPhysical(segment.address + self.done);
        let left = segment.bytes - self.done;
        let bytes = left.min(PAGE_SIZE - at.offset_in_page()).min(most as u64);
        self.advance(bytes);
        Some((at, bytes as usize))
    }

    /// The next bytes if they are a whole guest page.
    pub fn next_page(&mut self) -> Option<crate::address::GuestPage> {
        let segment = self.segments.first()?;
        let at = GuestPhysical(segment.address + self.done);
        if at.offset_in_page() != 0 || segment.bytes - self.done < PAGE_SIZE {
            return None;
        }
        self.advance(PAGE_SIZE);
        Some(at.page())
    }

    fn advance(&mut self, bytes: u64) {
        self.done += bytes;
        if let Some((first, rest)) = self.segments.split_first() {
            if self.done == first.bytes {
                self.segments = rest;
                self.done = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MEMORY: u64 = 1 << 26;

    fn bytes(words: &[u64]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    fn parsed(words: &[u64]) -> Result<Request, CallError> {
        let mut request = Request::default();
        request.parse(&bytes(words), MEMORY)?;
        Ok(request)
    }

    #[test]
    fn what_is_no_command_is_refused() {
        let refused = |words: &[u64]| parsed(words).unwrap_err();
        let bad = [
            &[0, 0, 0][..],
            &[4, 0, 0, 1, 0, 512],
            &[u64::MAX, 0, 0, 1, 0, 512],
            &[0, 0, 0, 0],
            &[2, 0, 0, 1, 0, 512],
            &[0, 0, 0, 129, 0, 512],
            &[0, 0, 0, u64::MAX, 0, 512],
            &[0, 0, 0, 2, 0, 512],
            &[0, 0, 0, 1, 0, 0],
            &[0, 0, 0, 1, 0, 513],
            &[0, 0, 0, 1, 0, (1 << 20) + 512],
            &[0, 0, 0, 1, 0, u64::MAX - 511],
            &[0, 0, 0, 2, 0, 1 << 20, 0, 512],
        ];
        for words in bad {
            assert_eq!(refused(words), CallError::BadArgument, "{words:?}");
        }
        let outside = [
            &[0, 0, 0, 1, MEMORY, 512][..],
            &[0, 0, 0, 1, MEMORY - 511, 512],
            &[1, 0, 0, 1, u64::MAX - 511, 512],
            &[3, 0, 0, 2, 0, 512, u64::MAX - 1000, 1024],
        ];
        for words in outside {
            assert_eq!(refused(words), CallError::BadAddress, "{words:?}");
        }
        assert_eq!(parsed(&[2, 0, 7, 0]).unwrap().tag, 7);
        assert_eq!(parsed(&[0, 0, 7, 1, MEMORY - 512, 512]).unwrap().sectors, 1);
    }

    proptest! {
        #[test]
        fn a_command_never_leaves_the_memory(
            head in prop::array::uniform3(any::<u64>()),
            segments in prop::collection::vec((0..2 * MEMORY, 0..300u64), 0..140),
        ) {
            let mut words = head.to_vec();
            words[0] %= 5;
            words.push(segments.len() as u64);
            words.extend(segments.iter().flat_map(|&(address, sectors)| [address, sectors * 512]));
            if let Ok(request) = parsed(&words) {
                let mut cursor = request.cursor();
                let mut total = 0;
                while let Some((at, bytes)) = cursor.next(5000) {
                    prop_assert!(bytes > 0 && at.0 + bytes as u64 <= MEMORY);
                    prop_assert!(at.offset_in_page() + bytes as u64 <= PAGE_SIZE);
                    total += bytes as u64;
                }
                prop_assert_eq!(total, u64::from(request.sectors) * SECTOR);
                prop_assert!(total <= DISK_BYTES_MAX);
            }
        }
    }
}
