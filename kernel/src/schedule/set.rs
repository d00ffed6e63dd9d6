//! Sets of virtual CPUs as bitmaps, private and shared.

use core::sync::atomic::{AtomicU64, Ordering};

use super::{VcpuId, VCPUS_MAX};

const WORDS: usize = VCPUS_MAX / u64::BITS as usize;

fn place(vcpu: VcpuId) -> (usize, u64) {
    (usize::from(vcpu.0 / 64), 1 << (vcpu.0 % 64))
}

/// A set of virtual CPUs that one CPU owns.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct VcpuSet([u64; WORDS]);

impl VcpuSet {
    /// The empty set.
    pub const EMPTY: Self = Self([0; WORDS]);

    /// Puts `vcpu` in; one whose number is out of range is ignored.
    pub fn insert(&mut self, vcpu: VcpuId) {
        let (word, bit) = place(vcpu);
        if let Some(word) = self.0.get_mut(word) {
            *word |= bit;
        }
    }

    /// Takes `vcpu` out.
    pub fn remove(&mut self, vcpu: VcpuId) {
        let (word, bit) = place(vcpu);
        if let Some(word) = self.0.get_mut(word) {
            *word &= !bit;
        }
    }

    /// Whether `vcpu` is in it.
    pub fn contains(&self, vcpu: VcpuId) -> bool {
        let (word, bit) = place(vcpu);
        self.0.get(word).is_some_and(|word| word & bit != 0)
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.0 == [0; WORDS]
    }

    /// How many are in it.
    pub fn len(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    /// Its members, by number.
    pub fn iter(self) -> Members {
        Members(self)
    }
}

/// The members of a [`VcpuSet`] that are still to come.
#[derive(Debug)]
pub struct Members(VcpuSet);

impl Iterator for Members {
    type Item = VcpuId;

    #[inline(never)]
    fn next(&mut self) -> Option<VcpuId> {
        for (at, word) in (0..).zip(&mut self.0 .0) {
            let bit = word.trailing_zeros();
            if bit < u64::BITS {
                *word &= *word - 1;
                return Some(VcpuId(at * 64 + bit as u16));
            }
        }
        None
    }
}

/// A set that any CPU puts members into and one CPU empties.
#[derive(Debug)]
pub struct AtomicVcpuSet([AtomicU64; WORDS]);

impl AtomicVcpuSet {
    pub(crate) const fn new() -> Self {
        Self([const { AtomicU64::new(0) }; WORDS])
    }

    /// Puts `vcpu` in. What the caller wrote before is seen by whoever takes it out.
    pub(crate) fn insert(&self, vcpu: VcpuId) {
        let (word, bit) = place(vcpu);
        if let Some(word) = self.0.get(word) {
            word.fetch_or(bit, Ordering::AcqRel);
        }
    }

    /// Empties it. A word without members is only read.
    pub(crate) fn take(&self) -> VcpuSet {
        let take = |word: &AtomicU64| match word.load(Ordering::Acquire) {
            0 => 0,
            _ => word.swap(0, Ordering::AcqRel),
        };
        VcpuSet(self.0.each_ref().map(take))
    }

    /// Whether `vcpu` is in it now.
    #[cfg(test)]
    pub(super) fn contains(&self, vcpu: VcpuId) -> bool {
        VcpuSet(self.0.each_ref().map(|word| word.load(Ordering::Acquire))).contains(vcpu)
    }

    /// Whether it is empty now.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(|word| word.load(Ordering::Acquire) == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn is_a_set(steps in prop::collection::vec((0u16..VCPUS_MAX as u16, any::<bool>()), 0..200)) {
            let (mut set, mut model) = (VcpuSet::EMPTY, BTreeSet::new());
            let shared = AtomicVcpuSet::new();
            for (vcpu, put) in steps {
                if put {
                    set.insert(VcpuId(vcpu));
                    model.insert(vcpu);
                } else {
                    set.remove(VcpuId(vcpu));
                    model.remove(&vcpu);
                }
                prop_assert_eq!(set.contains(VcpuId(vcpu)), put);
            }
            prop_assert_eq!(set.len() as usize, model.len());
            prop_assert!(set.iter().map(|v| v.0).eq(model.iter().copied()));
            set.iter().for_each(|vcpu| shared.insert(vcpu));
            prop_assert_eq!(shared.is_empty(), set.is_empty());
            prop_assert_eq!(shared.take(), set);
            prop_assert!(shared.is_empty());
        }
    }

    #[test]
    fn numbers_out_of_range_are_in_no_set() {
        let mut set = VcpuSet::EMPTY;
        set.insert(VcpuId(VCPUS_MAX as u16));
        assert!(set.is_empty());
        assert!(!set.contains(VcpuId(u16::MAX)));
    }
}
