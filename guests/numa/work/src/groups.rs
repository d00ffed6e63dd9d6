//! Several virtual CPUs add up a stream of rows by key, all into one hash table: what a database does for
//! `GROUP BY`. Every virtual CPU writes all over the table.

use crate::{mix, Random};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A place of the table.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Group {
    /// The key; 0 while nobody has the place.
    key: AtomicU64,
    /// The sum of its rows.
    sum: AtomicU64,
}

/// Adds up `rows` rows of the stream of `seed`, of as many keys as `keys` says. The table has to have more places
/// than there are keys, a power of two.
pub fn add_up(table: &[Group], seed: u64, rows: u64, keys: u32) {
    let mut random = Random::new(seed);
    for _ in 0..rows {
        let key = hash(random.below(keys));
        let value = random.draw() >> 40;
        let places = table.iter().cycle().skip(key as usize & (table.len() - 1));
        let place = places.take(table.len()).find(|place| is_of(place, key));
        place
            .expect("a place for the key")
            .sum
            .fetch_add(value, Relaxed);
    }
}

/// Whether a place is that of `key`, which takes it if nobody has it.
fn is_of(place: &Group, key: u64) -> bool {
    match place.key.load(Relaxed) {
        0 => match place.key.compare_exchange(0, key, Relaxed, Relaxed) {
            Ok(_) => true,
            Err(other) => other == key,
        },
        other => other == key,
    }
}

/// Spreads keys; never 0.
fn hash(key: u32) -> u64 {
    mix(1, key.into()) | 1 << 63
}

/// All sums, whatever order keys came in.
pub fn checksum(table: &[Group]) -> u64 {
    let of = |place: &Group| {
        let (key, sum) = (place.key.load(Relaxed), place.sum.load(Relaxed));
        mix(mix(0, key), sum)
    };
    table
        .iter()
        .filter(|place| place.key.load(Relaxed) != 0)
        .map(of)
        .fold(0, u64::wrapping_add)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    fn table() -> Vec<Group> {
        (0..4096).map(|_| Group::default()).collect()
    }

    #[test]
    fn sums_are_those_of_a_map() {
        let table = table();
        add_up(&table, 5, 20_000, 3000);
        let mut expected = std::collections::BTreeMap::new();
        let mut random = Random::new(5);
        for _ in 0..20_000 {
            let key = hash(random.below(3000));
            *expected.entry(key).or_insert(0) += random.draw() >> 40;
        }
        let found = table
            .iter()
            .map(|place| (place.key.load(Relaxed), place.sum.load(Relaxed)));
        let found: std::collections::BTreeMap<_, _> = found.filter(|(key, _)| *key != 0).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn threads_lose_nothing() {
        let (alone, together) = (table(), table());
        (0..4).for_each(|seed| add_up(&alone, seed, 10_000, 3000));
        thread::scope(|scope| {
            for seed in 0..4 {
                let together = &together;
                scope.spawn(move || add_up(together, seed, 10_000, 3000));
            }
        });
        assert_eq!(checksum(&alone), checksum(&together));
    }
}
