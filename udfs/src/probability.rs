//! Metrics of predicted probabilities: logarithmic loss and the Brier score.

use crate::regression::number;
use crate::summation::Compensated;

/// How many numbers [`ProbabilityStats::parts`] has.
pub const PARTS: usize = 6;

/// The sums from which the logarithmic loss and the Brier score of a binary prediction
/// follow; those of disjoint sets of rows can be merged.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ProbabilityStats {
    weight: Compensated,
    log_loss: Compensated,
    squared_error: Compensated,
}

impl ProbabilityStats {
    /// Adds one row: the actual class, and the probability given to the positive one,
    /// between 0 and 1. A row with a NaN, or whose weight is not above 0, is skipped.
    pub fn update(&mut self, actual: bool, probability: f64, weight: f64) {
        if probability.is_nan() || weight.is_nan() || weight <= 0.0 {
            return;
        }
        let of_actual = if actual { probability } else { 1.0 - probability };
        self.weight.add(weight);
        self.log_loss.add(weight * surprise(of_actual));
        self.squared_error.add(weight * (1.0 - of_actual) * (1.0 - of_actual));
    }

    /// Adds the rows of another set.
    pub fn merge(&mut self, other: &Self) {
        self.weight.merge(&other.weight);
        self.log_loss.merge(&other.log_loss);
        self.squared_error.merge(&other.squared_error);
    }

    /// The stats as plain numbers, to be stored and merged elsewhere.
    pub fn parts(&self) -> [f64; PARTS] {
        let [w0, w1] = self.weight.parts();
        let [l0, l1] = self.log_loss.parts();
        let [s0, s1] = self.squared_error.parts();
        [w0, w1, l0, l1, s0, s1]
    }

    /// Restores stats from [`parts`](Self::parts).
    pub fn from_parts(p: [f64; PARTS]) -> Self {
        Self {
            weight: Compensated::from_parts([p[0], p[1]]),
            log_loss: Compensated::from_parts([p[2], p[3]]),
            squared_error: Compensated::from_parts([p[4], p[5]]),
        }
    }

    /// The mean of −ln(probability of the actual class), in nats. Probabilities are kept
    /// the double-precision epsilon away from 0 and 1, as in scikit-learn, so that one
    /// certain mistake costs about 36 and not infinity.
    pub fn log_loss(&self) -> Option<f64> {
        self.mean(&self.log_loss)
    }

    /// The mean of (probability − actual)², with 1 for the positive class (Brier 1950).
    pub fn brier(&self) -> Option<f64> {
        self.mean(&self.squared_error)
    }

    fn mean(&self, sum: &Compensated) -> Option<f64> {
        number(sum.value() / self.weight.value())
    }
}

/// −ln p, with p kept away from 0 and 1.
fn surprise(probability: f64) -> f64 {
    -probability.clamp(f64::EPSILON, 1.0 - f64::EPSILON).ln()
}

fn stats(actual: &[bool], probability: &[f64], weights: Option<&[f64]>) -> ProbabilityStats {
    let mut stats = ProbabilityStats::default();
    for (i, (&actual, &probability)) in actual.iter().zip(probability).enumerate() {
        stats.update(actual, probability, weights.map_or(1.0, |weights| weights[i]));
    }
    stats
}

/// The logarithmic loss of binary predictions; see [`ProbabilityStats::log_loss`].
pub fn log_loss(actual: &[bool], probability: &[f64], weights: Option<&[f64]>) -> Option<f64> {
    stats(actual, probability, weights).log_loss()
}

/// The Brier score of binary predictions; see [`ProbabilityStats::brier`].
pub fn brier(actual: &[bool], probability: &[f64], weights: Option<&[f64]>) -> Option<f64> {
    stats(actual, probability, weights).brier()
}

/// The logarithmic loss over any number of classes: the mean of −ln(probability of the
/// actual class). `probabilities` has one row of `classes` numbers, which add up to 1,
/// for each element of `actual`.
pub fn log_loss_multiclass(
    actual: &[usize],
    probabilities: &[f64],
    classes: usize,
    weights: Option<&[f64]>,
) -> Option<f64> {
    let mut total = Compensated::default();
    let mut weight = Compensated::default();
    for (i, &class) in actual.iter().enumerate() {
        let row_weight = weights.map_or(1.0, |weights| weights[i]);
        let probability = probabilities[i * classes + class];
        if row_weight > 0.0 && !probability.is_nan() {
            total.add(row_weight * surprise(probability));
            weight.add(row_weight);
        }
    }
    number(total.value() / weight.value())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Random, assert_close};

    /// The docstrings of scikit-learn's log_loss and brier_score_loss.
    #[test]
    fn docstring_values() {
        let spam = [true, false, false, true];
        assert_close(log_loss(&spam, &[0.9, 0.1, 0.2, 0.65], None), 0.21616187468057912);
        let actual = [false, true, true, false];
        assert_close(brier(&actual, &[0.1, 0.9, 0.8, 0.3], None), 0.0375);
    }

    #[test]
    fn multiclass_agrees_with_arithmetic_by_hand() {
        let probabilities = [0.5, 0.25, 0.25, 0.1, 0.8, 0.1];
        assert_close(
            log_loss_multiclass(&[0, 1], &probabilities, 3, None),
            (2.0f64.ln() - 0.8f64.ln()) / 2.0,
        );
        assert_close(
            log_loss_multiclass(&[0, 1], &probabilities, 3, Some(&[3.0, 1.0])),
            (3.0 * 2.0f64.ln() - 0.8f64.ln()) / 4.0,
        );
        assert_eq!(log_loss_multiclass(&[], &[], 3, None), None);
    }

    #[test]
    fn certain_mistakes_stay_finite() {
        // −ln(2⁻⁵²) = 52 ln 2.
        assert_close(log_loss(&[true], &[0.0], None), 52.0 * std::f64::consts::LN_2);
        assert_eq!(log_loss(&[], &[], None), None);
        assert_eq!(brier(&[true], &[f64::NAN], None), None);
    }

    #[test]
    fn merging_random_parts_changes_nothing() {
        let mut random = Random::from_seed_in_env();
        let mut whole = ProbabilityStats::default();
        let mut parts = [ProbabilityStats::default(); 5];
        for _ in 0..4000 {
            let (actual, probability) = (random.below(2) == 1, random.uniform());
            let weight = random.uniform() + 0.5;
            whole.update(actual, probability, weight);
            parts[random.below(5)].update(actual, probability, weight);
        }
        let mut merged = ProbabilityStats::default();
        for part in parts {
            merged.merge(&ProbabilityStats::from_parts(part.parts()));
        }
        assert_close(merged.log_loss(), whole.log_loss().unwrap());
        assert_close(merged.brier(), whole.brier().unwrap());
    }
}
