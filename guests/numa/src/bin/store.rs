//! A store of records under load. Each member fills its part of the records, and sessions of its own: they are
//! in its node. With `stay=1` it does not end, so that its pages can be looked at.
#![no_std]
#![no_main]

use core::hint::black_box;
use core::sync::atomic::{AtomicU64, Ordering};
use disco_numa_guests::arena::Arena;
use disco_numa_guests::marker;
use disco_numa_guests::team::{stay, Team};
use disco_numa_work::mix;
use disco_numa_work::store::{self, Record, Shop};
use disco_test_guests::abi::{BootInfo, VCPUS_PER_VM};
use disco_test_guests::{option, println, Variable};

disco_test_guests::guest!(run);

const EMPTY: Shop = Shop {
    records: &[],
    sessions: &[],
    journal: &[],
};
/// Each member's.
static SHOPS: [Variable<Shop>; VCPUS_PER_VM] = [const { Variable::new(EMPTY) }; VCPUS_PER_VM];
static MEMBERS: AtomicU64 = AtomicU64::new(0);
static REQUESTS: AtomicU64 = AtomicU64::new(0);

fn fill(member: u64) {
    let Shop {
        records, sessions, ..
    } = SHOPS[member as usize].get();
    let part = records.len() / MEMBERS.load(Ordering::Relaxed) as usize;
    store::fill(&records[part * member as usize..][..part], member);
    store::fill(sessions, !member);
}

fn serve(member: u64) {
    let shop = SHOPS[member as usize].get();
    let requests = REQUESTS.load(Ordering::Relaxed);
    let read = shop.serve(member, requests, |done| {
        if member == 0 {
            marker::progress(done, store::PIECES);
        }
    });
    black_box(read);
}

fn run(boot: &'static BootInfo) {
    let team = Team::of(boot);
    // SAFETY: once.
    let mut arena = unsafe { Arena::new(boot) };
    let records: &[Record] = arena.take(option(boot, "records", 1024) as usize);
    let (sessions, journal) = (option(boot, "sessions", 256), option(boot, "journal", 1024));
    for member in 0..team.members {
        let sessions: &[Record] = arena.take(sessions as usize);
        let journal = arena.take(journal as usize);
        let shop = Shop {
            records,
            sessions,
            journal,
        };
        SHOPS[member as usize].set(shop);
    }
    REQUESTS.store(option(boot, "requests", 1000), Ordering::Relaxed);
    MEMBERS.store(team.members, Ordering::Relaxed);
    team.prepare_and_work(fill, serve);
    let sums = (0..team.members).map(|member| SHOPS[member as usize].get().sessions);
    let sums = sums.map(store::checksum);
    let sum = sums.fold(store::checksum(records), mix);
    println!(
        "{} requests served: {sum:#x}",
        team.members * REQUESTS.load(Ordering::Relaxed)
    );
    assert_eq!(sum, option(boot, "sum", sum), "the checksum");
    stay(boot);
}
