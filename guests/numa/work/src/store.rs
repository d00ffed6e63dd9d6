//! A store of records under load: all members serve requests on one table, some records of which are in
//! demand everywhere and some at one member, and keep sessions and a journal of their own. How often a record is asked
//! for falls with its rank as Zipf's law has it, and ranks are spread over the table.

use crate::{mix, Random};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Words of a record.
const WORDS: usize = 128;

/// A record: its key, then fields that only grow, then text.
#[derive(Debug)]
#[repr(C)]
pub struct Record([AtomicU64; WORDS]);

impl Default for Record {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; WORDS])
    }
}

/// Fields behind the key, one of which an update adds to.
const FIELDS: u32 = 8;
/// Requests of a hundred that are for a record of the common table, and not for a session.
const COMMON: u32 = 60;
/// Of those, how many are for what is in demand everywhere.
const EVERYWHERE: u32 = 60;
/// Of a hundred requests for a record, and for a session, how many are updates.
const UPDATES: [u32; 2] = [10, 50];

/// Spreads ranks over a table: odd, so that each rank has a place of its own in one of a power of two.
const SPREAD: u32 = 0x9e37_79b1;

/// A member's work is done in so many pieces.
pub const PIECES: u64 = 100;

/// What a member works on. Tables have a power of two of records.
#[derive(Clone, Copy, Debug)]
pub struct Shop<'a> {
    /// What all have.
    pub records: &'a [Record],
    /// The member's own sessions.
    pub sessions: &'a [Record],
    /// The member's own journal of updates, which begins anew when it is full.
    pub journal: &'a [AtomicU64],
}

/// Gives each record of a table its key and text.
pub fn fill(table: &[Record], seed: u64) {
    let mut random = Random::new(seed);
    for record in table {
        let [key, words @ ..] = &record.0;
        key.store(random.draw(), Relaxed);
        for word in words.iter().skip(FIELDS as usize) {
            word.store(random.draw(), Relaxed);
        }
    }
}

impl Shop<'_> {
    /// Serves so many requests of the member, in pieces; `progress` is told how many pieces are done. The
    /// sum of the texts that were read.
    pub fn serve(&self, member: u64, requests: u64, progress: impl Fn(u64)) -> u64 {
        let border = |piece: u64| requests * piece / PIECES;
        let mut read = 0u64;
        for piece in 0..PIECES {
            let sum = self.serve_piece(member, border(piece), border(piece + 1));
            read = read.wrapping_add(sum);
            progress(piece + 1);
        }
        read
    }

    fn serve_piece(&self, member: u64, from: u64, to: u64) -> u64 {
        let mut random = Random::new(member << 32 | from);
        let mut read = 0;
        for number in from..to {
            let is_common = random.below(100) < COMMON;
            let (table, updates, taste) = if is_common {
                let everywhere = random.below(100) < EVERYWHERE;
                let taste = if everywhere { 0 } else { 1 + member as u32 };
                (self.records, UPDATES[0], taste)
            } else {
                (self.sessions, UPDATES[1], 0)
            };
            let record = &table[place(rank(&mut random, table.len()), taste, table.len())];
            if random.below(100) < updates {
                let field = 1 + random.below(FIELDS) as usize;
                let amount = random.draw() >> 48;
                record.0[field].fetch_add(amount, Relaxed);
                self.note(number, record.0[0].load(Relaxed), amount);
            } else {
                read = text(record).fold(read, u64::wrapping_add);
            }
        }
        read
    }

    /// Writes an update into the journal.
    fn note(&self, number: u64, key: u64, amount: u64) {
        let entry = [number, key, amount, mix(key, amount)];
        let entries = self.journal.len() / entry.len();
        let at = number as usize % entries.max(1) * entry.len();
        for (place, word) in self.journal.iter().skip(at).zip(entry) {
            place.store(word, Relaxed);
        }
    }
}

/// A rank, 0 is the first: each is drawn in inverse proportion to 1 + rank, nearly. As many are in the first as in the
/// next two, the next four, and so on.
fn rank(random: &mut Random, ranks: usize) -> u32 {
    let octave = random.below(ranks.ilog2());
    (1 << octave) - 1 + random.below(1 << octave)
}

/// Where the record of this rank is, for this taste.
fn place(rank: u32, taste: u32, records: usize) -> usize {
    let spread = (rank ^ taste.wrapping_mul(SPREAD) >> 7).wrapping_mul(SPREAD);
    (spread.wrapping_add(taste) as usize) & (records - 1)
}

/// What a reader reads.
fn text(record: &Record) -> impl Iterator<Item = u64> + '_ {
    record.0[1 + FIELDS as usize..]
        .iter()
        .map(|word| word.load(Relaxed))
}

/// Of a table's contents.
pub fn checksum(table: &[Record]) -> u64 {
    let words = table
        .iter()
        .flat_map(|record| &record.0[..=FIELDS as usize]);
    words.fold(0, |sum, word| mix(sum, word.load(Relaxed)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    fn table(records: usize) -> Vec<Record> {
        let table: Vec<Record> = (0..records).map(|_| Record::default()).collect();
        fill(&table, 7);
        table
    }

    #[test]
    fn each_rank_has_a_place_of_its_own() {
        for taste in 0..9 {
            let mut places: Vec<usize> = (0..1024).map(|rank| place(rank, taste, 1024)).collect();
            places.sort_unstable();
            assert!(places.into_iter().eq(0..1024), "taste {taste}");
        }
    }

    #[test]
    fn ranks_are_drawn_as_zipf_has_it() {
        let mut random = Random::new(3);
        let mut drawn = [0u32; 1 << 10];
        (0..100_000).for_each(|_| drawn[rank(&mut random, drawn.len()) as usize] += 1);
        let octave = |octave: u32| -> u32 {
            let first = (1 << octave) - 1;
            drawn[first..first + (1 << octave)].iter().sum()
        };
        for share in (0..10).map(octave) {
            assert!((9_500..10_500).contains(&share), "{share}");
        }
    }

    #[test]
    fn members_at_once_leave_what_they_leave_in_turns() {
        let run = |together: bool| {
            let records = table(256);
            let own: Vec<_> = (0..4)
                .map(|_| {
                    let journal: Vec<AtomicU64> = (0..64).map(|_| AtomicU64::new(0)).collect();
                    (table(64), journal)
                })
                .collect();
            let serve = |member: usize| {
                let (sessions, journal) = &own[member];
                let records = &records;
                let shop = Shop {
                    records,
                    sessions,
                    journal,
                };
                shop.serve(member as u64, 5000, |_| ())
            };
            let read: Vec<u64> = if together {
                let serve = &serve;
                thread::scope(|scope| {
                    let threads = [0, 1, 2, 3].map(|member| scope.spawn(move || serve(member)));
                    threads.map(|thread| thread.join().unwrap()).to_vec()
                })
            } else {
                (0..4).map(serve).collect()
            };
            let sums = own.iter().map(|(sessions, _)| checksum(sessions));
            (read, checksum(&records), sums.collect::<Vec<_>>())
        };
        assert_eq!(run(true), run(false));
    }
}
