//! The programs that both count, of `guests/numa`.

use super::machine::MEMBERS;
use disco_numa_work::mix;
use disco_numa_work::store::{self, Record, Shop};
use std::sync::atomic::AtomicU64;

/// Records that all members have, of 1 KiB: 32 MiB.
const RECORDS: usize = 32 << 10;
/// Those of each member: 2 MiB.
const SESSIONS: usize = 2 << 10;
/// Words of each member's journal: 512 KiB.
const JOURNAL: usize = 64 << 10;
/// Of each member.
const REQUESTS: u64 = 1_000_000;

/// A program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// A store under load.
    Store,
    /// The ray tracer of `bench numa`, which compares its picture with the host's.
    Rays,
}

impl Program {
    /// All.
    pub const ALL: [Self; 2] = [Self::Store, Self::Rays];

    /// The guest's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::Rays => "rays",
        }
    }

    /// What it is.
    pub fn about(self) -> &'static str {
        match self {
            Self::Store => "a store under load, each member with sessions of its own: 52 MiB",
            Self::Rays => "ray tracer, all read one scene of 39 MiB",
        }
    }

    /// Its command line.
    pub fn command_line(self) -> String {
        match self {
            Self::Store => store(),
            Self::Rays => "balls=430 seed=1 across=28 down=20".to_owned(),
        }
    }
}

/// The store's command line, with the checksum that has to come out.
fn store() -> String {
    let table =
        |records: usize| -> Vec<Record> { (0..records).map(|_| Record::default()).collect() };
    let records = table(RECORDS);
    let part = RECORDS / MEMBERS as usize;
    for (member, part) in (0..).zip(records.chunks(part)) {
        store::fill(part, member);
    }
    let serve = |member: u64| {
        let sessions = table(SESSIONS);
        store::fill(&sessions, !member);
        let journal: Vec<AtomicU64> = (0..JOURNAL).map(|_| AtomicU64::new(0)).collect();
        let shop = Shop {
            records: &records,
            sessions: &sessions,
            journal: &journal,
        };
        shop.serve(member, REQUESTS, |_| ());
        store::checksum(&sessions)
    };
    let sums: Vec<u64> = (0..MEMBERS).map(serve).collect();
    let sum = sums.into_iter().fold(store::checksum(&records), mix);
    format!("records={RECORDS} sessions={SESSIONS} journal={JOURNAL} requests={REQUESTS} sum={sum}")
}
