//! `tlbwi`, `tlbwr`, `tlbp`, `tlbr` and the invalidations agree with each other.
#![no_std]
#![no_main]

use disco_test_guests::abi::{BootInfo, Call};
use disco_test_guests::calls::call;
use disco_test_guests::cp0::{self, reg};
use disco_test_guests::exception::VECTOR_REFILL;
use disco_test_guests::tlb::*;
use disco_test_guests::{access, FREE_MEMORY};

disco_test_guests::guest!(run);

const EHINV: u64 = 1 << 10;

fn run(_: &'static BootInfo) {
    for number in 0..64 {
        access::set_physical(physical(number), number);
    }
    set_asid(3);
    written_entries_are_read();
    overwritten_entries_are_forgotten();
    random_entries_spare_wired_ones();
    invalidations();
    monitor_calls();
}

const fn physical(number: u64) -> u64 {
    FREE_MEMORY + number * 0x8000
}

const fn address(number: u64) -> u64 {
    0x100_0000 + number * 0x10_0000
}

/// An entry for a pair of 16 KiB pages.
const fn entry(number: u64, asid: u64, flags: u64) -> Entry {
    Entry {
        hi: address(number) | asid,
        lo0: lo(physical(number), LO_V | LO_D | flags),
        lo1: lo(physical(number) + 0x4000, LO_V | flags),
        page_mask: MASK_16K,
    }
}

/// Loads through an entry: its number, or `None` for a miss.
fn access_through(number: u64) -> Option<u64> {
    match access::load(address(number)) {
        Ok(value) => Some(value),
        Err(frame) => {
            assert_eq!(frame.vector, VECTOR_REFILL, "{:#x}", frame.cause);
            None
        }
    }
}

fn written_entries_are_read() {
    for index in 0..ENTRIES {
        write_indexed(index, &entry(index, 3, 0));
    }
    for index in 0..ENTRIES {
        assert_eq!(read(index), entry(index, 3, 0), "entry {index}");
        assert_eq!(probe(address(index) | 3), Some(index));
        assert_eq!(
            probe(address(index) + 0x6000 | 3),
            Some(index),
            "any address of the pair"
        );
        assert_eq!(probe(address(index) | 4), None, "another ASID");
        assert_eq!(access_through(index), Some(index));
    }
    assert_eq!(reg::ENTRY_HI.read() & 0x3ff, 3);
    // Global counts if both halves say so.
    write_indexed(5, &entry(5, 3, LO_G));
    assert_eq!(probe(address(5) | 0x3aa), Some(5), "global");
    let half = Entry {
        lo1: entry(5, 3, 0).lo1,
        ..entry(5, 3, LO_G)
    };
    write_indexed(5, &half);
    assert_eq!(probe(address(5) | 0x3aa), None, "half global");
    assert_eq!(read(5).lo0 & LO_G, 0, "G of half global");
    // Larger pages.
    let large = Entry {
        page_mask: MASK_1M,
        hi: 0x4000_0000 | 3,
        ..entry(0, 3, 0)
    };
    write_indexed(6, &large);
    assert_eq!(read(6).page_mask, MASK_1M);
    assert_eq!(probe(0x401f_e000 | 3), Some(6));
    assert_eq!(probe(0x4020_0000 | 3), None);
}

fn overwritten_entries_are_forgotten() {
    for index in 0..ENTRIES {
        write_indexed(index, &entry(index, 3, 0));
        assert_eq!(access_through(index), Some(index));
    }
    for index in 0..ENTRIES {
        write_indexed(index, &entry(ENTRIES + index, 3, 0));
    }
    for number in 0..ENTRIES {
        assert_eq!(probe(address(number) | 3), None, "{number}");
        assert_eq!(access_through(number), None, "{number}");
        assert_eq!(access_through(ENTRIES + number), Some(ENTRIES + number));
    }
    // The same page in the same entry, at another place.
    let moved = Entry {
        hi: address(ENTRIES) | 3,
        ..entry(40, 3, 0)
    };
    write_indexed(0, &moved);
    assert_eq!(access_through(ENTRIES), Some(40), "a changed entry");
}

fn random_entries_spare_wired_ones() {
    cp0::tlbinvf();
    reg::WIRED.write(4);
    for index in 0..4 {
        write_indexed(index, &entry(index, 3, 0));
    }
    for number in 8..60 {
        write_random(&entry(number, 3, 0));
        assert_eq!(access_through(number), Some(number), "just written");
        let index = probe(address(number) | 3).expect("just written");
        assert!((4..ENTRIES).contains(&index), "tlbwr at {index}");
        assert_eq!(read(index), entry(number, 3, 0));
    }
    for index in 0..4 {
        assert_eq!(read(index), entry(index, 3, 0), "wired entry {index}");
    }
    let mut present = 0;
    for number in 8..60 {
        // What is still there must be right, and what `tlbp` finds `tlbr` reads.
        if let Some(index) = probe(address(number) | 3) {
            present += 1;
            assert_eq!(read(index), entry(number, 3, 0));
            assert_eq!(access_through(number), Some(number));
        }
    }
    assert!(present >= ENTRIES - 4, "{present} of the last entries");
    reg::WIRED.write(0);
}

fn invalidations() {
    for index in 0..ENTRIES {
        let asid = 3 + index % 2;
        write_indexed(index, &entry(index, asid, if index < 4 { LO_G } else { 0 }));
    }
    cp0::tlbinv();
    for index in 0..ENTRIES {
        let gone = index >= 4 && index % 2 == 0;
        let expected = (!gone).then_some(index);
        assert_eq!(
            probe(address(index) | (3 + index % 2)),
            expected,
            "tlbinv, entry {index}"
        );
    }
    assert_eq!(access_through(4), None);
    assert_eq!(access_through(0), Some(0));
    cp0::tlbinvf();
    for index in 0..ENTRIES {
        assert_eq!(
            probe(address(index) | (3 + index % 2)),
            None,
            "tlbinvf, entry {index}"
        );
        assert_eq!(access_through(index), None);
        assert_ne!(read(index).hi & EHINV, 0, "EHINV of entry {index}");
    }
    write_indexed(7, &entry(7, 3, 0));
    assert_eq!(access_through(7), Some(7));
    write_indexed(
        7,
        &Entry {
            hi: address(7) | EHINV | 3,
            ..entry(7, 3, 0)
        },
    );
    assert_eq!(probe(address(7) | 3), None, "an entry written with EHINV");
    assert_eq!(access_through(7), None);
}

fn monitor_calls() {
    let insert = |entry: &Entry| {
        let arguments = [entry.hi, entry.lo0, entry.lo1, entry.page_mask];
        assert_eq!(call(Call::TlbInsert, arguments), Ok(0));
    };
    insert(&entry(9, 3, 0));
    let index = probe(address(9) | 3).expect("an inserted entry");
    assert_eq!(read(index), entry(9, 3, 0));
    assert_eq!(access_through(9), Some(9));
    // Inserted again it takes the place of the old one.
    insert(&Entry {
        hi: address(9) | 3,
        ..entry(10, 3, 0)
    });
    assert_eq!(probe(address(9) | 3), Some(index));
    assert_eq!(access_through(9), Some(10));
    insert(&entry(11, 3, 0));
    assert_eq!(call(Call::TlbFlushPage, [address(9) | 3, 0, 0, 0]), Ok(0));
    assert_eq!(access_through(9), None, "flushed");
    assert_eq!(probe(address(9) | 3), None, "flushed");
    assert_eq!(access_through(11), Some(11), "not flushed");
    reg::WIRED.write(1);
    write_indexed(0, &entry(12, 3, 0));
    assert_eq!(call(Call::TlbFlushAll, [0; 4]), Ok(0));
    assert_eq!(access_through(11), None, "all flushed");
    assert_eq!(access_through(12), Some(12), "a wired entry stays");
    reg::WIRED.write(0);
}
