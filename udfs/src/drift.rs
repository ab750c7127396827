//! Distances between two samples: population stability, Jensen-Shannon, Kolmogorov-Smirnov.

use crate::summation::Compensated;

/// The share that an empty bin counts as in [`psi`], so that its logarithm exists.
pub const PSI_FLOOR: f64 = 1e-4;

/// The population stability index, Σ (a − e) ln(a / e) over bins (Siddiqi 2006, "Credit
/// Risk Scorecards"); shares under [`PSI_FLOOR`] are raised to it. Under 0.1 is commonly
/// read as stable, above 0.25 as shifted. Both slices hold shares of the same bins.
pub fn psi(expected: &[f64], actual: &[f64]) -> f64 {
    expected
        .iter()
        .zip(actual)
        .map(|(expected, actual)| {
            let (expected, actual) = (expected.max(PSI_FLOOR), actual.max(PSI_FLOOR));
            (actual - expected) * (actual / expected).ln()
        })
        .sum()
}

/// The Jensen-Shannon divergence in nats (Lin 1991): the mean of the Kullback-Leibler
/// divergences of both distributions from their average; between 0 and ln 2. (SciPy's
/// `jensenshannon` is its square root.) Both slices hold shares of the same bins.
pub fn js_divergence(left: &[f64], right: &[f64]) -> f64 {
    let term = |share: f64, mean: f64| {
        if share > 0.0 { share * (share / mean).ln() } else { 0.0 }
    };
    let sum: f64 = left
        .iter()
        .zip(right)
        .map(|(&left, &right)| {
            let mean = left.midpoint(right);
            term(left, mean) + term(right, mean)
        })
        .sum();
    (sum / 2.0).max(0.0)
}

/// The largest difference between two shares of one bin.
pub fn l_infinity(left: &[f64], right: &[f64]) -> f64 {
    left.iter().zip(right).map(|(left, right)| (left - right).abs()).fold(0.0, f64::max)
}

/// Counts as shares of their sum; all 0 where nothing was counted.
pub fn shares(counts: &[f64]) -> Vec<f64> {
    let total: f64 = counts.iter().sum();
    if total == 0.0 {
        return vec![0.0; counts.len()];
    }
    counts.iter().map(|count| count / total).collect()
}

/// Bins of numbers whose edges are the deciles of a sample, each bin closed on its right.
///
/// Equal deciles make one edge, so that there may be fewer than ten bins. Where the lowest
/// decile is the sample's minimum, values below it have a bin of their own: otherwise a
/// feature that is mostly 0 could fall below it unnoticed.
#[derive(Debug, Clone, PartialEq)]
pub struct DecileBins {
    edges: Vec<f64>,
    below_minimum: bool,
    minimum: f64,
}

impl DecileBins {
    /// Deciles by linear interpolation between order statistics (NumPy's default, type 7
    /// of Hyndman and Fan 1996). `None` for an empty sample; NaN is not allowed in it.
    pub fn of_sample(sample: &[f64]) -> Option<Self> {
        let mut sorted: Vec<f64> = sample.iter().map(|value| value + 0.0).collect();
        sorted.sort_unstable_by(f64::total_cmp);
        let minimum = *sorted.first()?;
        let last = sorted.len() - 1;
        let mut edges: Vec<f64> = (1..10)
            .map(|decile| {
                let position = last * decile;
                let (index, tenths) = (position / 10, position % 10);
                let low = sorted[index];
                if tenths == 0 {
                    return low;
                }
                low + (sorted[index + 1] - low) * (tenths as f64 / 10.0)
            })
            .collect();
        edges.dedup();
        Some(Self { below_minimum: edges.first() == Some(&minimum), edges, minimum })
    }

    /// How many bins there are.
    pub fn count(&self) -> usize {
        self.edges.len() + 1 + usize::from(self.below_minimum)
    }

    /// The bin of a value.
    pub fn bin(&self, value: f64) -> usize {
        if self.below_minimum && value < self.minimum {
            return self.count() - 1;
        }
        self.edges.partition_point(|edge| *edge < value)
    }

    /// The share of a sample's values in each bin.
    pub fn shares(&self, sample: &[f64]) -> Vec<f64> {
        let mut counts = vec![0.0; self.count()];
        for &value in sample {
            counts[self.bin(value)] += 1.0;
        }
        shares(&counts)
    }
}

/// The two-sample Kolmogorov-Smirnov statistic: the largest difference between the shares
/// of values at or below a point. `None` if a sample is empty; NaN is not allowed.
pub fn ks_statistic(left: &[f64], right: &[f64]) -> Option<f64> {
    let mut largest = 0.0f64;
    walk(left, right, |left, right, _| {
        largest = largest.max((left - right).abs());
    })?;
    Some(largest)
}

/// The first Wasserstein distance of two samples, the area between their distribution
/// functions. `None` if a sample is empty; NaN is not allowed.
pub fn wasserstein(left: &[f64], right: &[f64]) -> Option<f64> {
    let mut area = Compensated::default();
    walk(left, right, |left, right, width| {
        if left != right {
            area.add((left - right).abs() * width);
        }
    })?;
    Some(area.value())
}

/// Calls `step` for each distinct value of both samples, in order, with the shares of each
/// sample at or below it and the distance to the next value (0 after the last).
fn walk(left: &[f64], right: &[f64], mut step: impl FnMut(f64, f64, f64)) -> Option<()> {
    if left.is_empty() || right.is_empty() {
        return None;
    }
    let sorted = |sample: &[f64]| {
        let mut sample: Vec<f64> = sample.iter().map(|value| value + 0.0).collect();
        sample.sort_unstable_by(f64::total_cmp);
        sample
    };
    let (left, right) = (sorted(left), sorted(right));
    let (mut i, mut j) = (0, 0);
    loop {
        let value = match (left.get(i), right.get(j)) {
            (Some(left), Some(right)) => left.min(*right),
            (Some(value), None) | (None, Some(value)) => *value,
            (None, None) => return Some(()),
        };
        while left.get(i) == Some(&value) {
            i += 1;
        }
        while right.get(j) == Some(&value) {
            j += 1;
        }
        let next = match (left.get(i), right.get(j)) {
            (Some(left), Some(right)) => left.min(*right),
            (Some(next), None) | (None, Some(next)) => *next,
            (None, None) => value,
        };
        // Of two equal infinities the difference would be NaN.
        let width = if next == value { 0.0 } else { next - value };
        step(i as f64 / left.len() as f64, j as f64 / right.len() as f64, width);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::assert_close;

    const EXPECTED: [f64; 3] = [0.5, 0.3, 0.2];
    const ACTUAL: [f64; 3] = [0.4, 0.3, 0.3];

    /// The acceptance cases, computed by hand and with SciPy.
    #[test]
    fn acceptance_cases() {
        assert_close(Some(psi(&EXPECTED, &ACTUAL)), 0.06286086594223739);
        let js = js_divergence(&EXPECTED, &ACTUAL);
        assert!((js - 0.0078174002).abs() < 1e-10, "{js}");
        assert_close(Some(l_infinity(&EXPECTED, &ACTUAL)), 0.1);
        let low: Vec<f64> = (1..=10).map(f64::from).collect();
        let high: Vec<f64> = (3..=12).map(f64::from).collect();
        assert_close(ks_statistic(&low, &high), 0.2);
        assert_close(wasserstein(&low, &high), 2.0);
    }

    #[test]
    fn equal_and_disjoint_distributions() {
        assert_eq!(psi(&EXPECTED, &EXPECTED), 0.0);
        assert_eq!(js_divergence(&EXPECTED, &EXPECTED), 0.0);
        assert_close(Some(js_divergence(&[1.0, 0.0], &[0.0, 1.0])), std::f64::consts::LN_2);
        // Empty bins count as 1e-4: 2 (1 − 1e-4) ln 1e4.
        assert_close(Some(psi(&[1.0, 0.0], &[0.0, 1.0])), 2.0 * (1.0 - 1e-4) * 1e4f64.ln());
        assert_eq!(ks_statistic(&[1.0, 2.0], &[3.0]), Some(1.0));
        assert_eq!(ks_statistic(&[], &[3.0]), None);
        assert_eq!(wasserstein(&[3.0], &[]), None);
        let infinite = [1.0, f64::INFINITY];
        assert_eq!(wasserstein(&infinite, &infinite), Some(0.0));
    }

    #[test]
    fn deciles_as_numpy_has_them() {
        // numpy.quantile(range(0, 11), [.1, …, .9]) = 1, …, 9.
        let sample: Vec<f64> = (0..=10).map(f64::from).collect();
        let bins = DecileBins::of_sample(&sample).unwrap();
        assert_eq!(bins.edges, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]);
        assert_eq!(bins.count(), 10);
        assert_eq!([-5.0, 1.0, 1.5, 9.0, 9.1].map(|v| bins.bin(v)), [0, 0, 1, 8, 9]);
        // numpy.quantile([1, 2, 4], .1) = 1.2 and .9 = 3.6.
        let bins = DecileBins::of_sample(&[4.0, 1.0, 2.0]).unwrap();
        assert_close(bins.edges.first().copied(), 1.2);
        assert_close(bins.edges.last().copied(), 3.6);
    }

    #[test]
    fn a_constant_sample_still_sees_both_directions() {
        let bins = DecileBins::of_sample(&[7.0; 20]).unwrap();
        assert_eq!(bins.shares(&[7.0, 7.0]), [1.0, 0.0, 0.0]);
        assert_eq!(bins.shares(&[6.0, 8.0]), [0.0, 0.5, 0.5]);
        assert_eq!(DecileBins::of_sample(&[]), None);
    }
}
