use super::*;

const GEOMETRY: Geometry = Geometry {
    nodes: 2,
    page_bytes: 16 << 10,
    first_page: 0x2_0000,
    pages: 8,
};

/// Memory that held something else before.
fn memory() -> Vec<AtomicU32> {
    (0..GEOMETRY.words())
        .map(|_| AtomicU32::new(0xdead_beef))
        .collect()
}

fn miss(page: u32, node: u32, remote: bool, write: bool) -> Miss {
    Miss {
        page: GEOMETRY.first_page + page,
        node,
        remote,
        write,
    }
}

#[test]
fn sizes() {
    // Header, eight records of an epoch and two nodes' two counts, and the ring.
    assert_eq!(GEOMETRY.words(), 16 + 8 * 5 + 4096);
    assert_eq!(GEOMETRY.bytes(), 32 << 10);
    let largest = Geometry {
        nodes: 16,
        pages: (2 << 30) >> 14,
        ..GEOMETRY
    };
    assert_eq!(largest.words(), 16 + 131_072 * 33 + 4096);
}

#[test]
fn words_are_big_endian() {
    let memory = memory();
    let region = Region::create(&memory, GEOMETRY).unwrap();
    region.count(miss(1, 1, true, true));
    let bytes = |index: usize| memory[index].load(Ordering::Relaxed).to_ne_bytes();
    assert_eq!(&bytes(0), b"MAGI");
    assert_eq!(bytes(FIRST_PAGE), [0, 2, 0, 0]);
    // Record 1 begins at word 21: epoch, node 0, node 1.
    assert_eq!(bytes(21 + 4), [0, 0, 0, 1]);
}

#[test]
fn the_monitor_finds_what_the_model_laid_out() {
    let memory = memory();
    assert!(Region::open(&memory).is_none());
    assert!(Region::create(&memory[1..], GEOMETRY).is_none());
    Region::create(&memory, GEOMETRY).unwrap();
    assert_eq!(Region::open(&memory).unwrap().geometry(), GEOMETRY);
    assert!(Region::open(&memory[..memory.len() - 1]).is_none());
    memory[1].store(99, Ordering::Relaxed);
    assert!(Region::open(&memory).is_none());
}

#[test]
fn misses_are_counted_by_page_node_and_kind() {
    let memory = memory();
    let region = Region::create(&memory, GEOMETRY).unwrap();
    for _ in 0..3 {
        region.count(miss(7, 1, true, false));
    }
    region.count(miss(7, 1, true, true));
    region.count(miss(7, 0, false, false));
    let of = |page, node| region.misses(GEOMETRY.first_page + page, node).unwrap();
    assert_eq!(
        of(7, 1),
        Misses {
            reads: 3,
            writes: 1
        }
    );
    assert_eq!(
        of(7, 0),
        Misses {
            reads: 1,
            writes: 0
        }
    );
    assert_eq!(of(6, 1), Misses::default());
    assert_eq!(region.misses(GEOMETRY.first_page + 8, 0), None);
    assert_eq!(region.misses(GEOMETRY.first_page - 1, 0), None);
    assert_eq!(region.misses(GEOMETRY.first_page, 2), None);
}

#[test]
fn what_is_not_counted_changes_nothing() {
    let memory = memory();
    let region = Region::create(&memory, GEOMETRY).unwrap();
    let before: Vec<_> = memory
        .iter()
        .map(|word| word.load(Ordering::Relaxed))
        .collect();
    region.count(miss(8, 0, true, false));
    region.count(miss(0, 2, true, false));
    let after: Vec<_> = memory
        .iter()
        .map(|word| word.load(Ordering::Relaxed))
        .collect();
    assert_eq!(before, after);
}

#[test]
fn another_epoch_forgets() {
    let memory = memory();
    let region = Region::create(&memory, GEOMETRY).unwrap();
    let page = GEOMETRY.first_page + 3;
    region.count(miss(3, 0, false, false));
    region.count(miss(3, 1, true, true));
    region.set_epoch(5);
    assert_eq!(region.misses(page, 0), Some(Misses::default()));
    region.count(miss(3, 0, false, false));
    assert_eq!(
        region.misses(page, 0),
        Some(Misses {
            reads: 1,
            writes: 0
        })
    );
    assert_eq!(region.misses(page, 1), Some(Misses::default()));
    // Back to a number that the record has had: it has another one now, so nothing comes back.
    region.set_epoch(0);
    assert_eq!(region.misses(page, 0), Some(Misses::default()));
}

/// Page `number` of the region, made hot by node 1.
fn hot(number: u32) -> Option<Hot> {
    let page = GEOMETRY.first_page + number;
    Some(Hot { page, node: 1 })
}

#[test]
fn a_page_is_hot_when_a_remote_node_reaches_the_threshold() {
    let memory = memory();
    let region = Region::create(&memory, GEOMETRY).unwrap();
    for _ in 0..5 {
        region.count(miss(0, 1, true, false));
    }
    assert_eq!(
        region.take_hot(),
        None,
        "without a threshold no page is hot"
    );
    region.set_epoch(1);
    region.set_threshold(3);
    for write in [false, true, false, true] {
        region.count(miss(2, 1, true, write));
        region.count(miss(4, 0, false, write));
    }
    assert_eq!(region.take_hot(), hot(2));
    assert_eq!(region.take_hot(), None);
    // With the sixth, and the twelfth.
    for _ in 0..8 {
        region.count(miss(2, 1, true, true));
    }
    assert_eq!(region.take_hot(), hot(2));
    assert_eq!(region.take_hot(), hot(2));
    assert_eq!(region.take_hot(), None);
    let all = region.misses_of_all(GEOMETRY.first_page + 2).unwrap();
    let by_one = |node| {
        region
            .misses(GEOMETRY.first_page + 2, node)
            .unwrap_or_default()
    };
    assert_eq!(all.to_vec(), (0..NODES_MAX).map(by_one).collect::<Vec<_>>());
    assert_eq!((all[1].reads, all[1].writes), (2, 10));
}

#[test]
fn a_full_ring_loses_and_says_so() {
    let memory = memory();
    let region = Region::create(&memory, GEOMETRY).unwrap();
    region.set_threshold(1);
    // The counters of the ring go around, too.
    for index in [HEAD, TAIL] {
        region.store(index, u32::MAX - 1);
    }
    for epoch in 0..RING + 2 {
        region.set_epoch(epoch);
        region.count(miss(epoch % 8, 1, true, false));
    }
    assert_eq!(region.lost(), 2);
    for number in 0..RING {
        assert_eq!(region.take_hot(), hot(number % 8));
    }
    assert_eq!(region.take_hot(), None);
}

#[test]
fn the_counts_of_one_page_can_begin_anew() {
    let memory = memory();
    let region = Region::create(&memory, GEOMETRY).unwrap();
    region.set_threshold(2);
    let reads = |page| region.misses(GEOMETRY.first_page + page, 1).unwrap().reads;
    for _ in 0..3 {
        region.count(miss(1, 1, true, false));
        region.count(miss(2, 1, true, false));
    }
    region.forget(GEOMETRY.first_page + 1);
    region.forget(GEOMETRY.first_page + GEOMETRY.pages);
    assert_eq!([reads(1), reads(2)], [0, 3]);
    while region.take_hot().is_some() {}
    region.count(miss(1, 1, true, false));
    assert_eq!((reads(1), region.take_hot()), (1, None));
    region.count(miss(1, 1, true, false));
    assert!(region.take_hot().is_some());
}
