//! A lock between CPUs that wait in a loop.
//!
//! It is one word, which LL and SC change as it is: a lock of one byte, as crate `spin` has it, takes
//! three times the instructions on this CPU, and each place that takes one has them. It is not fair:
//! where QEMU runs the CPUs in turns, a fair lock waits for the CPU that is next to have its turn.

use core::cell::UnsafeCell;
use core::fmt;
use core::hint;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicU32, Ordering};

const FREE: u32 = 0;
const HELD: u32 = 1;

/// A value that one CPU at a time has.
pub struct Mutex<T: ?Sized> {
    word: AtomicU32,
    value: UnsafeCell<T>,
}

// SAFETY: the value goes from CPU to CPU (`Send`), and is never with two at once.
unsafe impl<T: ?Sized + Send> Sync for Mutex<T> {}

impl<T> Mutex<T> {
    /// A free lock around `value`.
    pub const fn new(value: T) -> Self {
        Self {
            word: AtomicU32::new(FREE),
            value: UnsafeCell::new(value),
        }
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Waits until nobody holds it, and takes it. For ever, if this CPU holds it.
    #[inline]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        loop {
            if let Some(guard) = self.try_lock() {
                return guard;
            }
            wait_for(&self.word);
        }
    }

    /// Takes it if nobody holds it.
    #[inline]
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        let taken = self
            .word
            .compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed);
        // Not `then_some`: a guard that is dropped frees the lock, whoever holds it.
        taken.is_ok().then(|| MutexGuard { lock: self })
    }

    /// The value of a lock that nobody else knows.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }
}

/// Waits with loads alone, which leave the word's cache line with its holder.
#[cold]
#[inline(never)]
fn wait_for(word: &AtomicU32) {
    while word.load(Ordering::Relaxed) != FREE {
        hint::spin_loop();
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.try_lock() {
            Some(value) => write!(formatter, "Mutex({:?})", &*value),
            None => formatter.write_str("Mutex(held)"),
        }
    }
}

/// The value of a lock that is held; dropped, the lock is free again.
#[must_use = "the lock is free at once"]
pub struct MutexGuard<'a, T: ?Sized> {
    lock: &'a Mutex<T>,
}

// SAFETY: `&MutexGuard` gives `&T` alone.
unsafe impl<T: ?Sized + Sync> Sync for MutexGuard<'_, T> {}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the lock is held for as long as the guard lives, and there is one guard.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`, and the guard is borrowed alone.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T: ?Sized> Drop for MutexGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.lock.word.store(FREE, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::Mutex;
    use std::thread;

    #[test]
    fn one_at_a_time_has_it() {
        const ROUNDS: u64 = 20_000;
        let counter = Mutex::new((0_u64, 0_u64));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..ROUNDS {
                        let mut held = counter.lock();
                        held.0 += 1;
                        held.1 ^= held.0;
                    }
                });
            }
        });
        let expected = (1..=4 * ROUNDS).fold(0, |all, number| all ^ number);
        assert_eq!(*counter.lock(), (4 * ROUNDS, expected));
    }

    #[test]
    fn a_held_one_is_not_taken() {
        let lock = Mutex::new(7);
        let held = lock.lock();
        assert!(lock.try_lock().is_none());
        assert_eq!(format!("{lock:?}"), "Mutex(held)");
        drop(held);
        assert_eq!(lock.try_lock().map(|value| *value), Some(7));
        assert_eq!(format!("{lock:?}"), "Mutex(7)");
    }
}
