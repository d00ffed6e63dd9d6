//! Finds the machine's RAM in the memory of the process that simulates it, and a physical address in the RAM.

use crate::options::RAM_BASE;
use std::ops::Range;

/// The addresses at which a file named `name` is mapped with its first `bytes` bytes, according to
/// the text of `/proc/self/maps`.
pub fn find(maps: &str, name: &str, bytes: u64) -> Option<Range<u64>> {
    let mut found: Option<(Range<u64>, &str)> = None;
    for line in maps.lines() {
        let Some((range, offset, path)) = parse(line) else {
            continue;
        };
        let goes_on = found.as_ref().is_some_and(|(before, of)| {
            before.end == range.start && offset == before.end - before.start && *of == path
        });
        match &mut found {
            Some((before, _)) if goes_on => before.end = range.end,
            _ if offset == 0 && is_named(path, name) => found = Some((range, path)),
            _ => {}
        }
        if let Some((range, _)) = found
            .as_ref()
            .filter(|(range, _)| range.end - range.start >= bytes)
        {
            return Some(range.start..range.start + bytes);
        }
    }
    None
}

/// Addresses, offset in the file, and path of a line.
fn parse(line: &str) -> Option<(Range<u64>, u64, &str)> {
    let mut fields = line.splitn(6, ' ');
    let (start, end) = fields.next()?.split_once('-')?;
    let offset = fields.nth(1)?;
    let path = fields.nth(2)?.trim_start();
    let number = |text| u64::from_str_radix(text, 16).ok();
    Some((number(start)?..number(end)?, number(offset)?, path))
}

fn is_named(path: &str, name: &str) -> bool {
    let path = path.strip_suffix(" (deleted)").unwrap_or(path);
    !name.is_empty() && (path == name || path.rsplit('/').next() == Some(name))
}

/// The offset in RAM of a physical address. RAM begins at 0x80000000; its first 256 MiB are at 0, too, and
/// what lies behind them at 0x20000000.
pub fn offset_of(physical: u64) -> Option<u64> {
    match physical {
        0..0x1000_0000 | 0x2000_0000..0x8000_0000 => Some(physical),
        _ => physical.checked_sub(RAM_BASE),
    }
}

#[cfg(test)]
mod tests {
    use super::find;

    const MAPS: &str = "\
55d0a0000000-55d0a0400000 r--p 00000000 fd:01 1234                       /usr/bin/qemu-system-mips64
7f0000000000-7f0000004000 rw-s 00000000 00:01 77                         /memfd:ram (deleted)
7f1000000000-7f1010000000 rw-s 00000000 00:01 78                         /memfd:memory-backend-memfd (deleted)
7f1010000000-7f1020000000 rw-s 10000000 00:01 78                         /memfd:memory-backend-memfd (deleted)
7f1020000000-7f1020001000 ---p 00000000 00:00 0
7f2000000000-7f2000100000 rw-s 00000000 00:01 79                         /dev/shm/my ram.file
";

    #[test]
    fn ram_is_found_by_its_files_name() {
        let start = 0x7f10_0000_0000;
        let found = find(MAPS, "memfd:memory-backend-memfd", 0x2000_0000);
        assert_eq!(found, Some(start..start + 0x2000_0000));
        let found = find(MAPS, "/dev/shm/my ram.file", 0x10_0000);
        assert_eq!(found, Some(0x7f20_0000_0000..0x7f20_0010_0000));
        assert!(find(MAPS, "memfd:ram", 0x4000).is_some());
    }

    #[test]
    fn what_is_too_short_or_not_there_is_not_found() {
        assert_eq!(find(MAPS, "memfd:memory-backend-memfd", 0x2000_4000), None);
        assert_eq!(find(MAPS, "memfd:ram", 0x8000), None);
        assert_eq!(find(MAPS, "other", 1), None);
        assert_eq!(find(MAPS, "", 1), None);
        assert_eq!(find("nonsense\n\n1-2\n", "x", 1), None);
    }
}
