//! Commands of disks that are none: each gives its error, and nothing of it has happened.
#![no_std]
#![no_main]

use disco_test_guests::abi::{
    BootInfo, CallError, DiskError, DiskOperation, Segment, DISK_BYTES_MAX, DISK_COMMANDS_MAX,
    DISK_SEGMENTS_MAX, PAGE_SIZE, SECTOR,
};
use disco_test_guests::access;
use disco_test_guests::disk::{fill, is_filled, next_done, segment, take, Disk, BUFFER, REQUEST};

disco_test_guests::guest!(run);

const DISK: Disk = Disk(0);

fn run(boot: &'static BootInfo) {
    DISK.open().expect("a disk");
    scatter_lists(boot.memory);
    structures(boot.memory);
    overlapping();
    too_many();
}

fn passed(segments: &[Segment]) -> Result<bool, CallError> {
    DISK.pass(DiskOperation::Read, 0, 1, segments)
}

fn scatter_lists(memory: u64) {
    for (address, bytes) in [
        (memory, SECTOR),
        (memory - SECTOR + 1, SECTOR),
        (memory - SECTOR, 2 * SECTOR),
        (u64::MAX, SECTOR),
        (u64::MAX - SECTOR + 1, SECTOR),
        (1 << 63, SECTOR),
        (0xffff_ffff_c000_0000, SECTOR),
    ] {
        let result = passed(&[segment(BUFFER, SECTOR), segment(address, bytes)]);
        assert_eq!(result, Err(CallError::BadAddress), "{address:#x}");
    }
    for bytes in [
        0,
        1,
        SECTOR - 1,
        SECTOR + 1,
        DISK_BYTES_MAX + SECTOR,
        u64::MAX,
        1 << 63,
    ] {
        let result = passed(&[segment(BUFFER, bytes)]);
        assert_eq!(result, Err(CallError::BadArgument), "{bytes:#x}");
    }
    // Together more than a command moves, and sums that wrap.
    let half = segment(BUFFER, DISK_BYTES_MAX / 2);
    let more = passed(&[half, half, segment(BUFFER, SECTOR)]);
    assert_eq!(more, Err(CallError::BadArgument));
    let wraps = passed(&[half, segment(BUFFER, 0u64.wrapping_sub(SECTOR))]);
    assert_eq!(wraps, Err(CallError::BadArgument));
    assert_eq!(passed(&[]), Err(CallError::BadArgument));
    assert_eq!(take(9), Ok(0), "nothing has begun");
}

fn structures(memory: u64) {
    let flush_with_memory = DISK.pass(DiskOperation::Flush, 0, 1, &[segment(BUFFER, SECTOR)]);
    assert_eq!(flush_with_memory, Err(CallError::BadArgument));
    let words = |words: &[u64], count: u64| {
        for (number, &word) in words.iter().enumerate() {
            access::set_physical(REQUEST + 8 * number as u64, word);
        }
        DISK.pass_words(count)
    };
    let bad = Err(CallError::BadArgument);
    for operation in [4, 99, 1 << 32, u64::MAX] {
        assert_eq!(words(&[operation, 0, 1, 1, BUFFER, SECTOR], 6), bad);
    }
    // More segments than the structure has room for, and than there may be.
    assert_eq!(words(&[0, 0, 1, 2, BUFFER, SECTOR], 6), bad);
    assert_eq!(
        words(&[0, 0, 1, DISK_SEGMENTS_MAX as u64 + 1, BUFFER, SECTOR], 6),
        bad
    );
    assert_eq!(words(&[0, 0, 1, u64::MAX, BUFFER, SECTOR], 6), bad);
    for short in 0..4 {
        assert_eq!(words(&[2, 0, 1, 0], short), bad, "{short} words");
    }
    let whole = 4 + 2 * DISK_SEGMENTS_MAX as u64;
    assert_eq!(words(&[2, 0, 1, 0], whole + 1), bad);
    assert_eq!(words(&[2, 0, 1, 0], u64::MAX / 8), bad);
    use disco_test_guests::abi::Call;
    use disco_test_guests::calls::call;
    for address in [memory, memory - 8, u64::MAX - 7] {
        let result = call(Call::DiskCommand, [0, address, 32, 0]);
        assert_eq!(result, Err(CallError::BadAddress), "{address:#x}");
        let result = call(Call::DiskTake, [address, 2, 0, 0]);
        assert_eq!(result, Err(CallError::BadAddress), "{address:#x}");
        let result = call(Call::DiskInfo, [0, address, 0, 0]);
        assert_eq!(result, Err(CallError::BadAddress), "{address:#x}");
    }
    for disk in [1, 1 << 32, u64::MAX] {
        assert_eq!(Disk(disk).open(), Err(CallError::NoDevice));
        assert_eq!(Disk(disk).info().err(), Some(CallError::NoDevice));
        let result = Disk(disk).pass(DiskOperation::Flush, 0, 1, &[]);
        assert_eq!(result, Err(CallError::NoDevice));
    }
}

/// The same memory more than once is written more than once; from the same memory several sectors are
/// written.
fn overlapping() {
    fill(BUFFER, 0, 64, 7);
    assert_eq!(DISK.transfer(DiskOperation::Write, 0, 64, BUFFER), 0);
    let page = segment(BUFFER + (1 << 20), PAGE_SIZE);
    assert_eq!(DISK.execute(DiskOperation::Read, 0, &[page, page]), 0);
    assert!(is_filled(page.address, 32, 32, 7));
    assert_eq!(DISK.execute(DiskOperation::Write, 64, &[page, page]), 0);
    assert_eq!(DISK.transfer(DiskOperation::Read, 64, 64, BUFFER), 0);
    assert!(is_filled(BUFFER, 32, 32, 7));
    assert!(is_filled(BUFFER + PAGE_SIZE, 32, 32, 7));
}

/// As many commands as may wait to be taken, and one more.
fn too_many() {
    let far = u64::MAX / 2;
    let list = [segment(BUFFER, SECTOR)];
    for tag in 0..DISK_COMMANDS_MAX as u64 {
        assert_eq!(DISK.pass(DiskOperation::Read, far, tag, &list), Ok(false));
    }
    let more = DISK.pass(DiskOperation::Read, far, 99, &list);
    assert_eq!(more, Err(CallError::Busy));
    for tag in 0..DISK_COMMANDS_MAX as u64 {
        let done = next_done();
        assert_eq!((done.tag, done.status), (tag, DiskError::OutOfRange as u64));
    }
    assert_eq!(take(1), Ok(0));
    assert_eq!(DISK.transfer(DiskOperation::Read, 0, 1, BUFFER), 0);
}
