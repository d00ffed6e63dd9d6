//! Random numbers that a seed repeats exactly.

/// xoshiro256**: Blackman and Vigna, "Scrambled linear pseudorandom number generators" (2021).
#[derive(Clone, Debug)]
pub struct Random([u64; 4]);

impl Random {
    /// The stream of program `number` of `seed`: streams of different pairs have nothing in common.
    pub fn new(seed: u64, number: u64) -> Self {
        let mut state = seed ^ number.wrapping_mul(0xd134_2543_de82_ef95);
        let mut next = || {
            // splitmix64, which its authors recommend to fill the state.
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let value = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            value ^ value >> 31
        };
        let mut random = Self([next(), next(), next(), next()]);
        random.bits();
        random
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        let s = &mut self.0;
        let result = s[1].wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        result
    }

    /// A number below `limit`, which is not 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        // The high bits of a product; the bias of small limits is of no concern.
        ((u128::from(self.bits()) * u128::from(limit)) >> 64) as u64
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// One of several.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    /// A value with which instructions do different things: small, at a border, or anything.
    pub fn value(&mut self) -> u64 {
        let any = self.bits();
        match self.below(10) {
            0 => any & 0xff,
            1 => any as i8 as i64 as u64,
            2 => any as i32 as i64 as u64,
            3 => 1 << (any & 63),
            4 => (1_u64 << (any & 63)).wrapping_sub(1),
            5 => self.pick(&[
                0,
                u64::MAX,
                0x7fff_ffff,
                0xffff_ffff_8000_0000,
                i64::MAX as u64,
                1 << 63,
            ]),
            _ => any,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn a_seed_repeats_and_programs_differ() {
        let stream = |seed, number| {
            let mut random = Random::new(seed, number);
            [random.bits(), random.bits(), random.bits()]
        };
        assert_eq!(stream(7, 3), stream(7, 3));
        assert_ne!(stream(7, 3), stream(7, 4));
        assert_ne!(stream(7, 3), stream(8, 3));
    }

    #[test]
    fn every_number_below_the_limit_comes() {
        let mut random = Random::new(1, 1);
        let mut seen = [false; 7];
        for _ in 0..1000 {
            seen[random.below(7) as usize] = true;
        }
        assert_eq!(seen, [true; 7]);
    }
}
