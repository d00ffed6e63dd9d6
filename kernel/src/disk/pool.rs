//! Memory for tables that grow: a page full of values at a time, which is kept for ever.

/// Most pages of a pool.
pub const CHUNKS_MAX: usize = 512;
/// No index.
pub const NONE: u32 = u32::MAX;

/// Where pools get memory.
pub trait Supply<T: 'static, const N: usize> {
    /// `N` values more, in the state of new ones; `None` where memory is short.
    fn more(&self) -> Option<&'static mut [T; N]>;
}

/// What a pool holds.
pub trait Pooled {
    /// A word of the value that is the pool's while nobody has taken it.
    fn link(&mut self) -> &mut u32;
}

/// Values known by their index, `N` to a page.
pub struct Pool<T: 'static, const N: usize> {
    chunks: [Option<&'static mut [T; N]>; CHUNKS_MAX],
    /// Chunks there are, and chunks there may be.
    count: usize,
    most: usize,
    first_free: u32,
    free: usize,
}

impl<T: Pooled, const N: usize> Pool<T, N> {
    /// A pool that has nothing yet, and takes `most` pages.
    pub const fn new(most: usize) -> Self {
        Self {
            chunks: [const { None }; CHUNKS_MAX],
            count: 0,
            most: if most < CHUNKS_MAX { most } else { CHUNKS_MAX },
            first_free: NONE,
            free: 0,
        }
    }

    /// Sees to it that `count` values can be taken; whether that is so.
    pub fn reserve(&mut self, count: usize, supply: &(impl Supply<T, N> + ?Sized)) -> bool {
        while self.free < count {
            if self.count == self.most {
                return false;
            }
            let Some(chunk) = supply.more() else {
                return false;
            };
            let first = self.count * N;
            for (number, value) in chunk.iter_mut().enumerate() {
                *value.link() = self.first_free;
                self.first_free = (first + number) as u32;
            }
            self.chunks[self.count] = Some(chunk);
            self.count += 1;
            self.free += N;
        }
        true
    }

    /// Takes a value, in whatever state its last user left it; `None` if none was reserved.
    pub fn take(&mut self) -> Option<u32> {
        let index = self.first_free;
        if index == NONE {
            return None;
        }
        self.first_free = *self.get_mut(index).link();
        self.free -= 1;
        Some(index)
    }

    /// Gives a value back.
    pub fn give(&mut self, index: u32) {
        let next = self.first_free;
        *self.get_mut(index).link() = next;
        self.first_free = index;
        self.free += 1;
    }

    /// The value with an index that was taken.
    pub fn get(&self, index: u32) -> &T {
        match self.chunks.get(index as usize / N) {
            Some(Some(chunk)) => &chunk[index as usize % N],
            _ => unknown(index),
        }
    }

    /// As [`Pool::get`].
    pub fn get_mut(&mut self, index: u32) -> &mut T {
        match self.chunks.get_mut(index as usize / N) {
            Some(Some(chunk)) => &mut chunk[index as usize % N],
            _ => unknown(index),
        }
    }

    /// Values in use.
    pub const fn used(&self) -> usize {
        self.count * N - self.free
    }

    /// Pages taken.
    pub const fn pages(&self) -> usize {
        self.count
    }
}

/// Indices come from `take` alone.
#[cold]
fn unknown(index: u32) -> ! {
    panic!("no value {index} in a pool of the disks")
}

/// Memory without end, for host tests: given out up to a number of pages, and never freed.
#[cfg(test)]
pub mod simulation {
    use std::cell::Cell;

    /// So many pages and no more.
    pub struct SimulatedSupply {
        /// Pages left.
        pub left: Cell<usize>,
    }

    impl SimulatedSupply {
        /// A supply of `pages` pages.
        pub fn new(pages: usize) -> Self {
            let left = Cell::new(pages);
            Self { left }
        }
    }

    impl<T: Default + 'static, const N: usize> super::Supply<T, N> for SimulatedSupply {
        fn more(&self) -> Option<&'static mut [T; N]> {
            self.left.set(self.left.get().checked_sub(1)?);
            let values: Vec<T> = (0..N).map(|_| T::default()).collect();
            let values: Box<[T; N]> = values.into_boxed_slice().try_into().ok().unwrap();
            Some(Box::leak(values))
        }
    }
}
