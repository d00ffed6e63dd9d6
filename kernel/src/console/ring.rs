//! A bounded queue of bytes.

/// A queue of at most `N` bytes. All zero bytes are an empty ring.
pub struct Ring<const N: usize> {
    bytes: [u8; N],
    start: usize,
    length: usize,
}

impl<const N: usize> Ring<N> {
    /// An empty ring.
    pub const fn new() -> Self {
        assert!(N > 0);
        Self {
            bytes: [0; N],
            start: 0,
            length: 0,
        }
    }

    /// Bytes waiting.
    pub const fn len(&self) -> usize {
        self.length
    }

    /// Whether nothing waits.
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Bytes that still fit.
    pub const fn free(&self) -> usize {
        N - self.length
    }

    /// Appends a byte, unless the ring is full; tells whether it was taken.
    pub fn push(&mut self, byte: u8) -> bool {
        if self.length == N {
            return false;
        }
        self.bytes[(self.start + self.length) % N] = byte;
        self.length += 1;
        true
    }

    /// Appends a byte; a full ring drops its oldest for it.
    pub fn push_dropping_oldest(&mut self, byte: u8) {
        if self.length == N {
            self.pop();
        }
        self.push(byte);
    }

    /// Appends as much of `bytes` as fits; returns how many were taken.
    pub fn write(&mut self, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(self.free());
        for &byte in &bytes[..taken] {
            self.push(byte);
        }
        taken
    }

    /// Removes the oldest byte.
    pub fn pop(&mut self) -> Option<u8> {
        let byte = self.get(0)?;
        self.start = (self.start + 1) % N;
        self.length -= 1;
        Some(byte)
    }

    /// Moves the oldest bytes into `buffer`; returns how many.
    pub fn read(&mut self, buffer: &mut [u8]) -> usize {
        let count = buffer.len().min(self.length);
        for slot in &mut buffer[..count] {
            *slot = self.pop().unwrap_or(0);
        }
        count
    }

    /// The byte `index` places behind the oldest.
    pub fn get(&self, index: usize) -> Option<u8> {
        (index < self.length).then(|| self.bytes[(self.start + index) % N])
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.length = 0;
    }
}

impl<const N: usize> Default for Ring<N> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    #[derive(Clone, Debug)]
    enum Step {
        Push(u8),
        Drop(u8),
        Write(Vec<u8>),
        Read(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            any::<u8>().prop_map(Step::Push),
            any::<u8>().prop_map(Step::Drop),
            prop::collection::vec(any::<u8>(), 0..12).prop_map(Step::Write),
            (0usize..12).prop_map(Step::Read),
        ]
    }

    proptest! {
        #[test]
        fn behaves_like_a_bounded_deque(steps in prop::collection::vec(step(), 0..80)) {
            const N: usize = 7;
            let mut ring = Ring::<N>::new();
            let mut model = VecDeque::new();
            for step in steps {
                match step {
                    Step::Push(byte) => {
                        prop_assert_eq!(ring.push(byte), model.len() < N);
                        if model.len() < N { model.push_back(byte); }
                    }
                    Step::Drop(byte) => {
                        ring.push_dropping_oldest(byte);
                        if model.len() == N { model.pop_front(); }
                        model.push_back(byte);
                    }
                    Step::Write(bytes) => {
                        let taken = ring.write(&bytes);
                        prop_assert_eq!(taken, bytes.len().min(N - model.len()));
                        model.extend(&bytes[..taken]);
                    }
                    Step::Read(count) => {
                        let mut buffer = vec![0; count];
                        let got = ring.read(&mut buffer);
                        let expected: Vec<u8> = model.drain(..count.min(model.len())).collect();
                        prop_assert_eq!(&buffer[..got], &expected[..]);
                    }
                }
                prop_assert_eq!(ring.len(), model.len());
                for index in 0..N {
                    prop_assert_eq!(ring.get(index), model.get(index).copied());
                }
            }
        }
    }
}
