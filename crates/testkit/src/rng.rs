//! A seeded random number generator with the same sequence on every machine.

#[derive(Clone, Debug)]
pub struct SeededRng(u64);

impl SeededRng {
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number of the sequence.
    /// Source: SplitMix64, Steele, Lea and Flood, "Fast splittable pseudorandom number generators".
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    pub fn below(&mut self, end: usize) -> usize {
        // The remainder is below a usize, so the cast is exact.
        (self.next_u64() % end as u64) as usize
    }

    /// A number from `from` to `to`, both included.
    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.next_u64() % (to - from + 1)
    }

    pub fn percent(&mut self, percent: u64) -> bool {
        self.next_u64() % 100 < percent
    }

    pub fn permille(&mut self, permille: u64) -> bool {
        self.next_u64() % 1_000 < permille
    }

    pub fn fraction(&mut self) -> f64 {
        self.below(1_000_000) as f64 / 1e6
    }

    /// One of these; `None` if the slice is empty.
    pub fn choose<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        if of.is_empty() { None } else { of.get(self.below(of.len())) }
    }

    /// An index, chosen by weight; `None` if all weights are 0.
    pub fn choose_weighted(&mut self, weights: &[u64]) -> Option<usize> {
        let all: u64 = weights.iter().sum();
        if all == 0 {
            return None;
        }
        let mut at = self.next_u64() % all;
        weights.iter().position(|weight| {
            let is_chosen = at < *weight;
            at = at.saturating_sub(*weight);
            is_chosen
        })
    }
}
