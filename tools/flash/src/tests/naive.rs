//! The same machine once more, as simply as can be: each cache is a list of lines in order of use, the
//! directory is a look into all caches.

use super::*;
use crate::block::Block;
use crate::counts::Count::{Local, Owned, Remote, SecondLevelHits, StallNs, Upgrades};
use proptest::prelude::*;

const LINE: u64 = 128;
const CPUS: usize = 4;

#[derive(Clone, Copy, PartialEq, Debug)]
enum Held {
    Shared,
    Alone,
    Dirty,
}

/// Lines of one cache, the one used last in front. Sets by the line's number.
#[derive(Clone, Default)]
struct NaiveCache {
    lines: Vec<(u64, Held)>,
    sets: u64,
}

impl NaiveCache {
    fn held(&self, line: u64) -> Option<Held> {
        self.lines
            .iter()
            .find(|(other, _)| *other == line)
            .map(|(_, held)| *held)
    }

    fn take(&mut self, line: u64) -> Option<Held> {
        let place = self.lines.iter().position(|(other, _)| *other == line)?;
        Some(self.lines.remove(place).1)
    }

    /// Puts a line in front; the third of its set goes.
    fn put(&mut self, line: u64, held: Held) -> Option<u64> {
        self.take(line);
        self.lines.insert(0, (line, held));
        let sets = self.sets;
        let last = self
            .lines
            .iter()
            .rposition(|(other, _)| other % sets == line % sets)?;
        let of_set = self
            .lines
            .iter()
            .filter(|(other, _)| other % sets == line % sets)
            .count();
        (of_set > 2).then(|| self.lines.remove(last).0)
    }
}

#[derive(Clone, Default)]
struct NaiveCpu {
    code: NaiveCache,
    data: NaiveCache,
    second: NaiveCache,
    stall: u64,
    hits: u64,
    misses: [u64; 3],
    upgrades: u64,
}

#[derive(Clone, Copy, Debug)]
enum Access {
    Fetch,
    Read,
    Write,
}

fn node_of(cpu: usize) -> usize {
    cpu / 2
}

fn latency(from: usize, to: usize) -> u64 {
    if from == to {
        300
    } else {
        900
    }
}

struct Naive(Vec<NaiveCpu>);

impl Naive {
    fn new() -> Self {
        let cache = |sets| NaiveCache {
            lines: Vec::new(),
            sets,
        };
        let cpu = NaiveCpu {
            code: cache(2),
            data: cache(2),
            second: cache(4),
            ..NaiveCpu::default()
        };
        Self(vec![cpu; CPUS])
    }

    fn access(&mut self, cpu: usize, access: Access, line: u64) {
        let own = &mut self.0[cpu];
        let write = matches!(access, Access::Write);
        let first = if matches!(access, Access::Fetch) {
            &mut own.code
        } else {
            &mut own.data
        };
        let here = first.held(line);
        if here == Some(Held::Dirty) || (here.is_some() && !write) {
            let held = first.take(line).unwrap();
            first.put(line, held);
            return;
        }
        let second = own.second.held(line);
        let held = match second {
            Some(held) if !write || held != Held::Shared => {
                if here.is_none() {
                    own.stall += 50;
                    own.hits += 1;
                }
                if write {
                    Held::Dirty
                } else {
                    held
                }
            }
            _ => {
                own.upgrades += u64::from(second.is_some());
                self.miss(cpu, write, line)
            }
        };
        let own = &mut self.0[cpu];
        if let Some(gone) = own.second.put(line, held) {
            own.code.take(gone);
            own.data.take(gone);
        }
        if matches!(access, Access::Fetch) {
            own.code.put(line, held)
        } else {
            own.data.put(line, held)
        };
    }

    fn miss(&mut self, cpu: usize, write: bool, line: u64) -> Held {
        let (here, home) = (node_of(cpu), usize::from(line * LINE >= NODE_1));
        let mut from = home;
        let mut alone = true;
        for other in (0..CPUS).filter(|other| *other != cpu) {
            let its = &mut self.0[other];
            let Some(held) = its.second.held(line) else {
                continue;
            };
            alone = false;
            if held == Held::Dirty {
                from = node_of(other);
            }
            for cache in [&mut its.code, &mut its.data, &mut its.second] {
                if write {
                    cache.take(line);
                } else if let Some(place) = cache.lines.iter_mut().find(|(other, _)| *other == line)
                {
                    place.1 = Held::Shared;
                }
            }
        }
        let own = &mut self.0[cpu];
        own.stall += latency(here, home) + latency(home, from) - 300;
        own.misses[if home != here {
            1
        } else if from != here {
            2
        } else {
            0
        }] += 1;
        match (write, alone) {
            (true, _) => Held::Dirty,
            (false, true) => Held::Alone,
            (false, false) => Held::Shared,
        }
    }
}

fn some_access() -> impl Strategy<Value = (usize, Access, u64)> {
    let access = prop_oneof![Just(Access::Fetch), Just(Access::Read), Just(Access::Write)];
    // Few lines of both nodes, so that they meet in caches and sets.
    (
        0..CPUS,
        access,
        prop_oneof![0..10_u64, NODE_1 / LINE..NODE_1 / LINE + 10],
    )
}

proptest! {
    #[test]
    fn both_models_agree(accesses in proptest::collection::vec(some_access(), 1..400)) {
        let model = small(CPUS, 2);
        let mut naive = Naive::new();
        for (cpu, access, line) in accesses {
            let offset = line * LINE;
            match access {
                Access::Fetch => model.enter(cpu, Block { offset: Some(offset as u32), mode: Mode::User, first: 1, all: 1 }),
                Access::Read => model.access(cpu, Mode::User, offset, false),
                Access::Write => model.access(cpu, Mode::User, offset + 4, true),
            }
            naive.access(cpu, access, line);
            for (number, its) in naive.0.iter().enumerate() {
                let counts = user(&model, number);
                prop_assert_eq!(counts[StallNs], its.stall, "CPU {} after {:?} of {} by {}", number, access, line, cpu);
                prop_assert_eq!([counts[Local], counts[Remote], counts[Owned]], its.misses);
                prop_assert_eq!((counts[SecondLevelHits], counts[Upgrades]), (its.hits, its.upgrades));
            }
        }
    }
}
