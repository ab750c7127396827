//! Sums of floating-point numbers that stay accurate over many rows and merges.

/// A compensated sum (Neumaier 1974, "Rundungsfehleranalyse einiger Verfahren zur
/// Summation endlicher Summen"): the rounding error of every addition is kept beside
/// the total, so that the result does not depend noticeably on how rows were split.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Compensated {
    total: f64,
    correction: f64,
}

impl Compensated {
    /// Restores a sum from [`Compensated::parts`].
    pub fn from_parts(parts: [f64; 2]) -> Self {
        Self { total: parts[0], correction: parts[1] }
    }

    /// The running total and its correction, to be stored and merged elsewhere.
    pub fn parts(&self) -> [f64; 2] {
        [self.total, self.correction]
    }

    /// Adds one number.
    pub fn add(&mut self, value: f64) {
        let next = self.total + value;
        // With an infinite total the correction would be inf - inf.
        if next.is_finite() {
            self.correction += if self.total.abs() >= value.abs() {
                (self.total - next) + value
            } else {
                (value - next) + self.total
            };
        }
        self.total = next;
    }

    /// Adds another sum.
    pub fn merge(&mut self, other: &Self) {
        self.add(other.total);
        self.correction += other.correction;
    }

    /// The sum so far; 0 without rows.
    pub fn value(&self) -> f64 {
        self.total + self.correction
    }
}

/// The weighted mean and the weighted sum of squared deviations from it, updated by
/// West (1979) and merged by Chan, Golub and LeVeque (1979). Of equal values the
/// deviations are exactly 0, however the rows were split.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Moments {
    weight: f64,
    mean: f64,
    deviations: f64,
}

impl Moments {
    /// Restores moments from [`Moments::parts`].
    pub fn from_parts(parts: [f64; 3]) -> Self {
        Self { weight: parts[0], mean: parts[1], deviations: parts[2] }
    }

    /// Weight, mean and sum of squared deviations, to be stored and merged elsewhere.
    pub fn parts(&self) -> [f64; 3] {
        [self.weight, self.mean, self.deviations]
    }

    /// Adds one value; `weight` is above 0.
    pub fn add(&mut self, value: f64, weight: f64) {
        self.weight += weight;
        let delta = value - self.mean;
        self.mean += delta * (weight / self.weight);
        self.deviations += weight * delta * (value - self.mean);
    }

    /// Adds the values of another set of rows.
    pub fn merge(&mut self, other: &Self) {
        if other.weight == 0.0 {
            return;
        }
        if self.weight == 0.0 {
            *self = *other;
            return;
        }
        let weight = self.weight + other.weight;
        let delta = other.mean - self.mean;
        self.deviations +=
            other.deviations + delta * delta * (self.weight * (other.weight / weight));
        self.mean += delta * (other.weight / weight);
        self.weight = weight;
    }

    /// The weighted mean; 0 without rows.
    pub fn mean(&self) -> f64 {
        self.mean
    }

    /// Σ w (x − mean)².
    pub fn squared_deviations(&self) -> f64 {
        self.deviations
    }
}

/// A sum from which rows can be taken away again, for sliding window frames. What is
/// not finite is counted instead of added, so that the sum recovers once it leaves.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SlidingSum {
    sum: Compensated,
    nan: i64,
    positive_infinite: i64,
    negative_infinite: i64,
    rows: i64,
}

impl SlidingSum {
    /// Adds `value` (`sign` 1) or takes it away (`sign` −1).
    fn shift(&mut self, value: f64, sign: i64) {
        self.rows += sign;
        if value.is_nan() {
            self.nan += sign;
        } else if value == f64::INFINITY {
            self.positive_infinite += sign;
        } else if value == f64::NEG_INFINITY {
            self.negative_infinite += sign;
        } else {
            self.sum.add(sign as f64 * value);
        }
        if self.rows == 0 {
            *self = Self::default();
        }
    }

    pub(crate) fn add(&mut self, value: f64) {
        self.shift(value, 1);
    }

    pub(crate) fn remove(&mut self, value: f64) {
        self.shift(value, -1);
    }

    pub(crate) fn rows(&self) -> i64 {
        self.rows
    }

    /// The sum of the rows in the frame, NULL (`None`) for an empty one.
    pub(crate) fn value(&self) -> Option<f64> {
        if self.rows == 0 {
            None
        } else if self.nan > 0 || (self.positive_infinite > 0 && self.negative_infinite > 0) {
            Some(f64::NAN)
        } else if self.positive_infinite > 0 {
            Some(f64::INFINITY)
        } else if self.negative_infinite > 0 {
            Some(f64::NEG_INFINITY)
        } else {
            Some(self.sum.value())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_terms_survive_large_ones() {
        let mut sum = Compensated::default();
        for value in [1e100, 1.0, -1e100, 1.0] {
            sum.add(value);
        }
        assert_eq!(sum.value(), 2.0);
    }

    #[test]
    fn infinity_stays_infinity() {
        let mut sum = Compensated::default();
        for value in [1.0, f64::INFINITY, 3.0] {
            sum.add(value);
        }
        assert_eq!(sum.value(), f64::INFINITY);
    }

    #[test]
    fn moments_by_hand() {
        // 1, 2, 6 with weights 1, 2, 1: mean 11/4; deviations 1·(7/4)² + 2·(3/4)² + (13/4)².
        let mut moments = Moments::default();
        for (value, weight) in [(1.0, 1.0), (2.0, 2.0), (6.0, 1.0)] {
            moments.add(value, weight);
        }
        assert_eq!(moments.mean(), 2.75);
        assert!((moments.squared_deviations() - 14.75).abs() < 1e-12);
    }

    #[test]
    fn equal_values_have_no_deviations_after_merges() {
        let mut left = Moments::default();
        let mut right = Moments::default();
        for _ in 0..1000 {
            left.add(0.1, 1.0);
            right.add(0.1, 3.0);
        }
        left.merge(&right);
        assert_eq!(left.squared_deviations(), 0.0);
        assert_eq!(left.mean(), 0.1);
    }

    #[test]
    fn a_sliding_sum_forgets_nan_and_infinity() {
        let mut sum = SlidingSum::default();
        for value in [1.0, f64::NAN, f64::INFINITY, 2.5] {
            sum.add(value);
        }
        assert!(sum.value().is_some_and(f64::is_nan));
        sum.remove(f64::NAN);
        assert_eq!(sum.value(), Some(f64::INFINITY));
        sum.remove(f64::INFINITY);
        assert_eq!(sum.value(), Some(3.5));
        sum.remove(1.0);
        sum.remove(2.5);
        assert_eq!(sum.value(), None);
    }
}
