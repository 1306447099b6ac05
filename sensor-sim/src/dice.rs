//! Randomness without state: a draw depends on the seed, the thing and the moment only, never on what was drawn before.
//!
//! Invariant: the same seed gives the same bytes for ever. That is why the generator is written here (splitmix64 over
//! FNV-1a) and does not come from a crate, whose next version may draw otherwise.

/// Draws for one thing at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64, thing: &str, moment: i64) -> Self {
        let name = thing.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
        Self(mix(seed ^ mix(name) ^ mix(moment.cast_unsigned()).rotate_left(17)))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// 0 ≤ x < 1.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// `low` ≤ x < `high`.
    pub(crate) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// 0 ≤ n < `below`; 0 when `below` is 0.
    pub(crate) fn below(&mut self, below: usize) -> usize {
        (self.unit() * below as f64) as usize
    }

    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// One of `options`, which must not be empty.
    pub(crate) fn pick<'a, T>(&mut self, options: &'a [T]) -> &'a T {
        &options[self.below(options.len())]
    }
}

fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_depend_on_seed_thing_and_moment_alone() {
        let draw = |seed, thing, moment| Dice::new(seed, thing, moment).next();
        assert_eq!(draw(1, "kimlong", 5), draw(1, "kimlong", 5));
        let others = [draw(2, "kimlong", 5), draw(1, "phuoc", 5), draw(1, "kimlong", 6)];
        assert!(others.iter().all(|other| *other != draw(1, "kimlong", 5)));
    }

    #[test]
    fn units_fill_their_interval_evenly() {
        let mut dice = Dice::new(7, "even", 0);
        let mut bins = [0u32; 10];
        for _ in 0..10_000 {
            bins[(dice.unit() * 10.0) as usize] += 1;
        }
        assert!(bins.iter().all(|n| (850..1150).contains(n)), "{bins:?}");
    }
}
