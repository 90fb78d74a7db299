//! The one source of chance of a world: everything is drawn from its seed.

/// xorshift64* (Marsaglia 2003, Vigna 2016): enough for a thought-up fleet.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) const fn new(seed: u64) -> Self {
        // The finalizer of SplitMix64, so that neighboring seeds have nothing in common.
        let mut mixed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Self((mixed ^ (mixed >> 31)) | 1)
    }

    /// Dice of their own, so that what one part of the world draws does not shift the others.
    pub(crate) fn fork(&mut self) -> Self {
        Self::new(self.next())
    }

    const fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// `0..sides`.
    pub(crate) const fn roll(&mut self, sides: u64) -> u64 {
        (self.next() >> 33) % sides
    }

    /// `from..=to`.
    pub(crate) const fn range(&mut self, from: u64, to: u64) -> u64 {
        from + self.roll(to - from + 1)
    }

    /// True so many times of 100.
    pub(crate) const fn percent(&mut self, percent: u64) -> bool {
        self.roll(100) < percent
    }

    pub(crate) const fn one_in(&mut self, sides: u64) -> bool {
        sides > 0 && self.roll(sides) == 0
    }

    pub(crate) const fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.roll(from.len() as u64) as usize]
    }
}
