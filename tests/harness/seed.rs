//! Random tests that can be run again.

use rand::SeedableRng;
use rand::rngs::StdRng;

/// A generator from CENOTE_TEST_SEED, else from the clock; the seed shows when the test fails.
pub fn generator() -> StdRng {
    let seed = std::env::var("CENOTE_TEST_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(rand::random::<u64>);
    println!("CENOTE_TEST_SEED={seed}");
    StdRng::seed_from_u64(seed)
}
