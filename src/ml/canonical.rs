//! The canonical order of training rows: the same rows give the same model, whatever file or batch they came in.
//!
//! Each row gets a 128-bit hash of its content, column by column in the order of the columns' names, and rows are
//! sorted by it. Rows with equal content are interchangeable. The hash is part of the promise of determinism:
//! changing anything here is a new [`HASH_VERSION`].

/// Version of the row hash, recorded in the artefact.
pub(crate) const HASH_VERSION: u32 = 1;

/// The most cells (rows times columns) that are brought into canonical order; beyond it the input's order counts.
/// A fixed number, not the free memory, so that the same data always gets the same treatment.
pub(crate) const MAX_SORTED_CELLS: usize = 64_000_000;

/// A 128-bit hash in two lanes.
pub(crate) type Hash = (u64, u64);

const LANE_A: u64 = 0x9e37_79b9_7f4a_7c15;
const LANE_B: u64 = 0xc2b2_ae3d_27d4_eb4f;
/// Stands for NULL (and NaN, which means NULL).
const NULL: Hash = (0x6e75_6c6c_6e75_6c6c, 0x4c4c_554e_4c4c_554e);

/// The finaliser of MurmurHash3 (Austin Appleby, public domain): every input bit changes every output bit.
#[inline]
fn finalise(mut x: u64) -> u64 {
    x ^= x >> 33;
    x = x.wrapping_mul(0xff51_afd7_ed55_8ccd);
    x ^= x >> 33;
    x = x.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    x ^ (x >> 33)
}

#[inline]
fn mix(state: &mut Hash, value: Hash) {
    state.0 = finalise(state.0.rotate_left(5).wrapping_mul(LANE_A) ^ finalise(value.0 ^ LANE_A));
    state.1 = finalise(
        state.1.rotate_left(7).wrapping_mul(LANE_B) ^ finalise(value.1.wrapping_add(LANE_B)),
    );
}

/// The hash of bytes: the first 128 bits of BLAKE3.
pub(crate) fn of_bytes(bytes: &[u8]) -> Hash {
    let hash = blake3::hash(bytes);
    let bytes = hash.as_bytes();
    let lane = |from: usize| {
        let mut word = [0u8; 8];
        word.copy_from_slice(&bytes[from..from + 8]);
        u64::from_le_bytes(word)
    };
    (lane(0), lane(8))
}

/// Row hashes under construction; columns are to be added in the order of their names.
pub(crate) struct RowHashes {
    hashes: Vec<Hash>,
}

impl RowHashes {
    /// Hashes of `n_rows` rows without columns.
    pub(crate) fn new(n_rows: usize) -> Self {
        Self { hashes: vec![(u64::from(HASH_VERSION), 0); n_rows] }
    }

    /// Adds a column of numbers; -0 counts as 0 and NaN as NULL.
    pub(crate) fn add_numbers(&mut self, name: &str, values: &[f64]) {
        let column = of_bytes(name.as_bytes());
        for (state, &value) in self.hashes.iter_mut().zip(values) {
            let bits = (value + 0.0).to_bits();
            mix(state, column);
            mix(state, if value.is_nan() { NULL } else { (bits, bits) });
        }
    }

    /// Adds a column of codes into `levels`, the hashes of the values; a code beyond them is NULL.
    pub(crate) fn add_codes(&mut self, name: &str, codes: &[u32], levels: &[Hash]) {
        let column = of_bytes(name.as_bytes());
        for (state, &code) in self.hashes.iter_mut().zip(codes) {
            mix(state, column);
            mix(state, levels.get(code as usize).copied().unwrap_or(NULL));
        }
    }

    /// The finished hashes.
    pub(crate) fn finish(self) -> Vec<Hash> {
        self.hashes
    }
}

/// A hash of a hash under a seed and a number: the stream of random decisions about rows.
pub(crate) fn seeded(seed: u64, content: Hash, number: u64) -> u64 {
    let mut state = (seed, !seed);
    mix(&mut state, content);
    mix(&mut state, (number, number));
    state.0 ^ state.1
}

/// A hash as a fraction in [0, 1).
pub(crate) fn fraction(hash: u64) -> f64 {
    (hash >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_and_nans_are_one_value_each() {
        let mut hashes = RowHashes::new(4);
        hashes.add_numbers("x", &[0.0, -0.0, f64::NAN, -f64::NAN]);
        let hashes = hashes.finish();
        assert_eq!(hashes[0], hashes[1]);
        assert_eq!(hashes[2], hashes[3]);
        assert_ne!(hashes[0], hashes[2]);
    }

    #[test]
    fn fractions_are_even() {
        let mean = (0..10_000).map(|i| fraction(seeded(42, (i, i), 0))).sum::<f64>() / 10_000.0;
        assert!((mean - 0.5).abs() < 0.01, "{mean}");
    }
}
