//! Remap, PageFree and PageZero: memory holds what a model of it says, through every window and
//! mapping, also while siblings read and write the same pages.
#![no_std]
#![no_main]

use core::sync::atomic::{fence, AtomicU64, Ordering};
use disco_test_guests::abi::{
    BootInfo, Call, CallError, CSSEG_WINDOW, PAGES_CALL_MAX, PAGE_SIZE, XSSEG_UNCACHED_WINDOW,
    XSSEG_WINDOW,
};
use disco_test_guests::access::set_physical;
use disco_test_guests::calls::call;
use disco_test_guests::cp0::reg;
use disco_test_guests::random::Random;
use disco_test_guests::siblings::{join, start};
use disco_test_guests::tlb::{set_asid, LO_D, LO_V};
use disco_test_guests::walker::{self, place, pte, set_directory, ENABLED, PAGE, USER};
use disco_test_guests::{option, FREE_MEMORY};

disco_test_guests::guest!(run);

const TOP: u64 = FREE_MEMORY;
const TABLE: u64 = FREE_MEMORY + 0x4000;
/// Where the walker maps [`DATA`], writable.
const BASE: u64 = 0x3_1400_0000;
/// Pages of the model, on both sides of a border of the pieces that memory is mapped in.
const DATA: u64 = FREE_MEMORY + (2 << 20) - 8 * PAGE_SIZE;
const PAGES: usize = 24;
/// Words of a page that count: the first, one in the middle, the last.
const WORDS: [u64; 3] = [0, 0x1238, PAGE_SIZE - 8];
/// Pages that siblings write to, and where they are copied to.
const SHARED: u64 = FREE_MEMORY + (4 << 20);
const COPIES: u64 = SHARED + 16 * PAGE_SIZE;
const SHARED_PAGES: u64 = 6;
/// A page that comes and goes.
const FLEETING: u64 = SHARED + 40 * PAGE_SIZE;
const GOOD: u64 = 0x600d;

static STOP: AtomicU64 = AtomicU64::new(0);
static ROUNDS: [AtomicU64; 16] = [const { AtomicU64::new(0) }; 16];
static FAILURE: AtomicU64 = AtomicU64::new(0);

fn word(address: u64) -> &'static AtomicU64 {
    // SAFETY: an address that a window or the tables map, in memory that holds nothing else.
    unsafe { &*(address as usize as *const AtomicU64) }
}

/// A byte of the model's memory, in one of the four places where it is seen.
fn seen(view: u64, offset: u64) -> u64 {
    match view % 4 {
        0 => CSSEG_WINDOW + DATA + offset,
        1 => XSSEG_WINDOW + DATA + offset,
        2 => XSSEG_UNCACHED_WINDOW + DATA + offset,
        _ => BASE + offset,
    }
}

fn run(boot: &'static BootInfo) {
    let count = option(boot, "cpus", 1);
    let rounds = option(boot, "rounds", 400);
    errors(boot.memory);
    set_directory(TOP, BASE, CSSEG_WINDOW + TABLE);
    for page in 0..PAGES as u64 {
        let place = place(TABLE, BASE + (page << PAGE));
        set_physical(place, pte(DATA + page * PAGE_SIZE, LO_V | LO_D));
    }
    use_tables(0);
    let mut random = Random::quietly(option(boot, "seed", 1));
    against_model(&mut random, 4 * rounds);
    for number in 1..count {
        assert_eq!(start(number, write, number), Ok(0));
    }
    for round in 0..rounds {
        copy_while_written(count, round);
        come_and_go(round);
    }
    wait_for_siblings(count);
    STOP.store(1, Ordering::Release);
    join(count);
    let failure = FAILURE.load(Ordering::Relaxed);
    assert_eq!(failure, 0, "what a sibling read at {failure:#x}");
    whole_memory(boot.memory);
}

fn use_tables(asid: u64) {
    walker::describe(CSSEG_WINDOW + TOP);
    reg::PW_CTL.write(ENABLED | USER);
    set_asid(asid);
}

fn errors(memory: u64) {
    let good = DATA;
    let bad = [
        (good + 8, PAGE_SIZE, CallError::BadArgument),
        (good, 8, CallError::BadArgument),
        (good, PAGES_CALL_MAX + PAGE_SIZE, CallError::BadArgument),
        (good, !(PAGE_SIZE - 1), CallError::BadArgument),
        (memory, PAGE_SIZE, CallError::BadAddress),
        (memory - PAGE_SIZE, 2 * PAGE_SIZE, CallError::BadAddress),
        (!(PAGE_SIZE - 1), PAGE_SIZE, CallError::BadAddress),
        (1 << 40, PAGE_SIZE, CallError::BadAddress),
    ];
    set_physical(good, GOOD);
    set_physical(memory - 8, GOOD);
    for (start, bytes, error) in bad {
        let arguments = [start, bytes, 0, 0];
        assert_eq!(
            call(Call::PageFree, arguments),
            Err(error),
            "free {start:#x}, {bytes:#x}"
        );
        assert_eq!(
            call(Call::PageZero, arguments),
            Err(error),
            "zero {start:#x}, {bytes:#x}"
        );
        for arguments in [[start, good, bytes, 0], [good, start, bytes, 0]] {
            assert_eq!(
                call(Call::Remap, arguments),
                Err(error),
                "remap {arguments:x?}"
            );
        }
    }
    assert_eq!(disco_test_guests::access::physical(good), GOOD);
    assert_eq!(disco_test_guests::access::physical(memory - 8), GOOD);
    for nothing in [Call::PageFree, Call::PageZero] {
        assert_eq!(call(nothing, [u64::MAX, 0, 0, 0]), Ok(0));
    }
    assert_eq!(call(Call::Remap, [1, u64::MAX, 0, 0]), Ok(0));
    assert_eq!(call(Call::PageZero, [good, PAGE_SIZE, 0, 0]), Ok(0));
}

/// Stores, moves, frees and zeroes pages; all must hold what the model has.
fn against_model(random: &mut Random, steps: u64) {
    let mut model = [[0u64; WORDS.len()]; PAGES];
    for step in 0..steps {
        let page = (random.next() % PAGES as u64) as usize;
        let pages = 1 + (random.next() % 8).min((PAGES - page - 1) as u64) as usize;
        let (start, bytes) = (DATA + page as u64 * PAGE_SIZE, pages as u64 * PAGE_SIZE);
        match random.next() % 8 {
            0 => {
                assert_eq!(call(Call::PageFree, [start, bytes, 0, 0]), Ok(0));
                model[page..page + pages].fill([0; WORDS.len()]);
            }
            1 => {
                assert_eq!(call(Call::PageZero, [start, bytes, 0, 0]), Ok(0));
                model[page..page + pages].fill([0; WORDS.len()]);
            }
            2 | 3 => {
                let to = (random.next() % (PAGES - pages + 1) as u64) as usize;
                let place = DATA + to as u64 * PAGE_SIZE;
                assert_eq!(call(Call::Remap, [place, start, bytes, 0]), Ok(0));
                model.copy_within(page..page + pages, to);
            }
            _ => {
                let which = (random.next() % WORDS.len() as u64) as usize;
                let offset = page as u64 * PAGE_SIZE + WORDS[which];
                word(seen(random.next(), offset)).store(step + 1, Ordering::Relaxed);
                model[page][which] = step + 1;
            }
        }
        let checked = if step % 16 == 0 {
            0..PAGES
        } else {
            page..page + 1
        };
        for page in checked {
            for (which, offset) in WORDS.into_iter().enumerate() {
                let view = random.next();
                let address = seen(view, page as u64 * PAGE_SIZE + offset);
                let found = word(address).load(Ordering::Relaxed);
                assert_eq!(found, model[page][which], "step {step}, {address:#x}");
            }
        }
    }
}

/// Writes the same number to two words of each shared page, for ever: first the one, then the other.
extern "C" fn write(number: u64) {
    use_tables(number);
    let mut round = 0;
    while STOP.load(Ordering::Acquire) == 0 {
        round += 1;
        for page in 0..SHARED_PAGES {
            let window = if round % 2 == 0 {
                CSSEG_WINDOW
            } else {
                XSSEG_WINDOW
            };
            let at = window + SHARED + page * PAGE_SIZE + number * 16;
            for word in [word(at), word(at + 8)] {
                if word.load(Ordering::Relaxed) != round - 1 {
                    FAILURE.store(at, Ordering::Relaxed);
                }
                word.store(round, Ordering::Relaxed);
                fence(Ordering::SeqCst);
            }
            let fleeting = word(CSSEG_WINDOW + FLEETING).load(Ordering::Relaxed);
            if fleeting != 0 && fleeting & 0xffff != GOOD {
                FAILURE.store(FLEETING, Ordering::Relaxed);
            }
        }
        ROUNDS[number as usize].store(round, Ordering::Release);
    }
}

/// What `number` has written to `page` of `pages`.
fn written(pages: u64, page: u64, number: u64) -> [u64; 2] {
    let at = XSSEG_WINDOW + pages + page * PAGE_SIZE + number * 16;
    [at, at + 8].map(|at| word(at).load(Ordering::Relaxed))
}

/// Copies the pages that siblings write to: the copy is of one moment, and stays.
fn copy_while_written(count: u64, round: u64) {
    let before = core::array::from_fn::<_, 16, _>(|n| ROUNDS[n].load(Ordering::Acquire));
    let bytes = SHARED_PAGES * PAGE_SIZE;
    assert_eq!(call(Call::Remap, [COPIES, SHARED, bytes, 0]), Ok(0));
    for page in 0..SHARED_PAGES {
        for number in 1..count {
            let [first, second] = written(COPIES, page, number);
            assert!(first == second || first == second + 1, "{first}, {second}");
            assert!(second >= before[number as usize], "an older page");
        }
    }
    if round % 8 == 0 {
        let copy = |page, number| written(COPIES, page, number);
        let kept: [_; 16] = core::array::from_fn(|number| copy(0, number as u64));
        wait_for_siblings(count);
        for (number, kept) in kept.into_iter().enumerate().take(count as usize) {
            assert_eq!(copy(0, number as u64), kept, "somebody wrote to the copy");
        }
    }
    if round % 4 == 0 {
        assert_eq!(call(Call::PageFree, [COPIES, bytes, 0, 0]), Ok(0));
    }
}

/// Fills a page that siblings read, and gives it away in one way or the other.
fn come_and_go(round: u64) {
    let fleeting = word(XSSEG_WINDOW + FLEETING);
    fleeting.store(round << 16 | GOOD, Ordering::Relaxed);
    let arguments = [FLEETING, PAGE_SIZE, 0, 0];
    match round % 3 {
        0 => assert_eq!(call(Call::PageFree, arguments), Ok(0)),
        1 => assert_eq!(call(Call::PageZero, arguments), Ok(0)),
        _ => {
            let empty = FLEETING + 8 * PAGE_SIZE;
            assert_eq!(call(Call::Remap, [FLEETING, empty, PAGE_SIZE, 0]), Ok(0));
        }
    }
    assert_eq!(fleeting.load(Ordering::Relaxed), 0);
    // What was freed is somebody's again at once, with something that nobody may see there.
    set_physical(FLEETING + 4 * PAGE_SIZE, 0xbad);
    let again = [FLEETING + 4 * PAGE_SIZE, PAGE_SIZE, 0, 0];
    assert_eq!(call(Call::PageFree, again), Ok(0));
}

/// Until each sibling has gone round twice.
fn wait_for_siblings(count: u64) {
    for rounds in &ROUNDS[1..count as usize] {
        let end = rounds.load(Ordering::Relaxed) + 2;
        while rounds.load(Ordering::Relaxed) < end {
            let _ = call(Call::Yield, [0; 4]);
        }
    }
}

/// Frees all that is free, and has it again.
fn whole_memory(memory: u64) {
    let start = FREE_MEMORY + (2 << 20);
    let pieces = || (start..memory).step_by(2 << 20);
    for piece in pieces() {
        let bytes = PAGES_CALL_MAX.min(memory - piece);
        assert_eq!(call(Call::PageFree, [piece, bytes, 0, 0]), Ok(0));
    }
    for page in (start..memory).step_by(PAGE_SIZE as usize) {
        let word = word(XSSEG_WINDOW + page);
        assert_eq!(word.load(Ordering::Relaxed), 0, "{page:#x}");
        word.store(page, Ordering::Relaxed);
    }
    for page in (start..memory).step_by(PAGE_SIZE as usize) {
        assert_eq!(word(XSSEG_WINDOW + page).load(Ordering::Relaxed), page);
    }
}
