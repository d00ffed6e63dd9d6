//! One set-associative cache with the least recently used line replaced.
//!
//! Its CPU looks up and counts uses without a lock, while others may take lines away: a tag is one
//! atomic word, and what is only the CPU's own (when a line was used) is not touched by others.
//! Lines come in under the directory's lock alone, so none comes back that was taken.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// A line's number: its offset in machine memory, divided by the bytes of a line.
pub type Line = u32;

/// What a CPU may do with a line that it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Read it; others may hold it too.
    Shared = 1,
    /// Read it, and write without asking: nobody else holds it.
    Exclusive = 2,
    /// The same, and memory's copy is old.
    Modified = 3,
}

impl State {
    fn of_tag(tag: u32) -> Option<Self> {
        match tag & 3 {
            1 => Some(Self::Shared),
            2 => Some(Self::Exclusive),
            3 => Some(Self::Modified),
            _ => None,
        }
    }
}

/// Size and associativity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Bytes.
    pub bytes: u64,
    /// Lines of a set.
    pub ways: u32,
}

/// A cache.
pub struct Cache {
    /// Line and state; state 0 is nothing.
    tags: Box<[AtomicU32]>,
    /// When each was used last.
    used: Box<[AtomicU64]>,
    now: AtomicU64,
    ways: usize,
    set_mask: u32,
}

impl Cache {
    /// An empty one; the number of its sets has to be a power of two.
    pub fn new(shape: Shape, line_bytes: u32) -> Self {
        let ways = shape.ways as usize;
        let lines = (shape.bytes / u64::from(line_bytes)) as usize;
        let sets = lines / ways;
        assert!(
            sets.is_power_of_two() && sets * ways == lines,
            "checked by the options"
        );
        Self {
            tags: (0..lines).map(|_| AtomicU32::new(0)).collect(),
            used: (0..lines).map(|_| AtomicU64::new(0)).collect(),
            now: AtomicU64::new(0),
            ways,
            set_mask: sets as u32 - 1,
        }
    }

    fn set(&self, line: Line) -> usize {
        (line & self.set_mask) as usize * self.ways
    }

    fn find(&self, line: Line) -> Option<(usize, State)> {
        let set = self.set(line);
        let tags = &self.tags[set..set + self.ways];
        tags.iter().enumerate().find_map(|(way, tag)| {
            let tag = tag.load(Relaxed);
            (tag >> 2 == line)
                .then(|| State::of_tag(tag))
                .flatten()
                .map(|state| (set + way, state))
        })
    }

    fn note_use(&self, index: usize) {
        let now = self.now.load(Relaxed) + 1;
        self.now.store(now, Relaxed);
        self.used[index].store(now, Relaxed);
    }

    /// Its CPU uses a line: the state in which it is here.
    pub fn look_up(&self, line: Line) -> Option<State> {
        let (index, state) = self.find(line)?;
        self.note_use(index);
        Some(state)
    }

    /// The state of a line, without using it.
    pub fn state(&self, line: Line) -> Option<State> {
        self.find(line).map(|(_, state)| state)
    }

    /// Sets the state of a line, if it is here.
    pub fn set_state(&self, line: Line, state: State) {
        if let Some((index, _)) = self.find(line) {
            self.tags[index].store(line << 2 | state as u32, Relaxed);
        }
    }

    /// Takes a line away, if it is here.
    pub fn remove(&self, line: Line) {
        if let Some((index, _)) = self.find(line) {
            self.tags[index].store(0, Relaxed);
        }
    }

    /// Puts a line in, which its CPU uses now, and says which one it displaced.
    pub fn fill(&self, line: Line, state: State) -> Option<Line> {
        let set = self.set(line);
        let here = self.find(line).map(|(index, _)| index);
        let place = here.unwrap_or_else(|| self.victim(set));
        let old = self.tags[place].swap(line << 2 | state as u32, Relaxed);
        self.note_use(place);
        (here.is_none() && State::of_tag(old).is_some()).then_some(old >> 2)
    }

    /// The place of a set that is empty, or else was used least recently.
    fn victim(&self, set: usize) -> usize {
        let age = |&index: &usize| match State::of_tag(self.tags[index].load(Relaxed)) {
            None => 0,
            Some(_) => self.used[index].load(Relaxed),
        };
        (set..set + self.ways).min_by_key(age).unwrap_or(set)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two sets of two lines.
    fn small() -> Cache {
        Cache::new(
            Shape {
                bytes: 512,
                ways: 2,
            },
            128,
        )
    }

    #[test]
    fn the_least_recently_used_line_of_the_set_goes() {
        let cache = small();
        assert_eq!(cache.fill(0, State::Shared), None);
        assert_eq!(cache.fill(2, State::Shared), None);
        assert_eq!(cache.fill(1, State::Shared), None, "the other set");
        assert_eq!(cache.look_up(0), Some(State::Shared));
        assert_eq!(cache.fill(4, State::Shared), Some(2));
        assert_eq!(cache.look_up(2), None);
        assert_eq!(cache.look_up(0), Some(State::Shared));
    }

    #[test]
    fn what_was_taken_leaves_room() {
        let cache = small();
        cache.fill(0, State::Modified);
        cache.fill(2, State::Exclusive);
        cache.remove(2);
        assert_eq!(cache.state(2), None);
        assert_eq!(cache.fill(4, State::Shared), None);
        assert_eq!(cache.state(0), Some(State::Modified));
    }

    #[test]
    fn filling_what_is_here_changes_its_state() {
        let cache = small();
        cache.fill(0, State::Shared);
        assert_eq!(cache.fill(0, State::Modified), None);
        assert_eq!(cache.state(0), Some(State::Modified));
        cache.set_state(0, State::Shared);
        assert_eq!(cache.state(0), Some(State::Shared));
        cache.set_state(6, State::Shared);
        assert_eq!(cache.state(6), None);
    }
}
