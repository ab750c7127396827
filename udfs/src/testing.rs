//! What the tests of this crate share: seeded random numbers and a comparison of doubles.

/// A small generator (SplitMix64, Steele et al. 2014), so that no dependency is needed.
pub(crate) struct Random(u64);

impl Random {
    /// Seeded by `CENOTE_TEST_SEED`, or by a fixed number; prints the seed.
    pub(crate) fn from_seed_in_env() -> Self {
        let seed = std::env::var("CENOTE_TEST_SEED")
            .ok()
            .and_then(|seed| seed.parse().ok())
            .unwrap_or(20_260_101);
        println!("CENOTE_TEST_SEED={seed}");
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Between 0 and 1.
    pub(crate) fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A whole number below `n`.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// Roughly standard normal: twelve uniform numbers less six.
    pub(crate) fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }
}

/// Fails unless `got` is `want` to eleven digits.
#[track_caller]
pub(crate) fn assert_close(got: Option<f64>, want: f64) {
    let got = got.unwrap_or_else(|| panic!("got NULL, want {want}"));
    assert!((got - want).abs() <= 1e-11 * want.abs().max(1.0), "got {got}, want {want}");
}
