//! What an audit of the monitor's invariants found: a count of checks and the first failures.

/// Failures that one audit keeps; more are only counted.
pub const FAILURES_KEPT: usize = 16;

/// The result of checking invariants, with failures of type `F`.
#[derive(Clone, Copy, Debug)]
pub struct Audit<F> {
    checks: u64,
    failed: u64,
    kept: [Option<F>; FAILURES_KEPT],
}

impl<F: Copy> Audit<F> {
    /// Nothing checked yet.
    pub const fn new() -> Self {
        Self {
            checks: 0,
            failed: 0,
            kept: [None; FAILURES_KEPT],
        }
    }

    /// Counts one check; `failure` says what is wrong where it does not hold.
    pub fn check(&mut self, holds: bool, failure: impl FnOnce() -> F) {
        self.checks += 1;
        if holds {
            return;
        }
        self.failed += 1;
        if let Some(room) = self.kept.iter_mut().find(|kept| kept.is_none()) {
            *room = Some(failure());
        }
    }

    /// How many checks were made.
    pub const fn checks(&self) -> u64 {
        self.checks
    }

    /// How many of them failed.
    pub const fn failed(&self) -> u64 {
        self.failed
    }

    /// The first [`FAILURES_KEPT`] failures.
    pub fn failures(&self) -> impl Iterator<Item = F> + '_ {
        self.kept.iter().flatten().copied()
    }
}

impl<F: Copy> Default for Audit<F> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_all_and_keeps_the_first() {
        let mut audit = Audit::new();
        for n in 0..100 {
            audit.check(n % 2 == 0, || n);
        }
        assert_eq!((audit.checks(), audit.failed()), (100, 50));
        let kept: Vec<_> = audit.failures().collect();
        assert_eq!(kept.len(), FAILURES_KEPT);
        assert_eq!(kept[..3], [1, 3, 5]);
    }
}
