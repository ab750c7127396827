//! Metrics of predicted numbers: errors, R² and explained variance, from mergeable sums.
//!
//! Formulas and edge cases follow scikit-learn's `sklearn.metrics` (user guide, section
//! "Regression metrics"). A metric of no rows is `None`, and so is one that is not a number.

use crate::summation::{Compensated, Moments};

/// How many numbers [`RegressionStats::parts`] has.
pub const PARTS: usize = 18;

/// The sums from which every regression metric but the median follows.
///
/// Rows go in one at a time by [`update`](Self::update); the stats of disjoint sets of
/// rows are put together by [`merge`](Self::merge).
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct RegressionStats {
    rows: u64,
    has_negative: bool,
    weight: Compensated,
    absolute_error: Compensated,
    squared_error: Compensated,
    percentage_error: Compensated,
    squared_log_error: Compensated,
    actual: Moments,
    error: Moments,
}

impl RegressionStats {
    /// Stats of no rows.
    pub fn new() -> Self {
        Self::default()
    }

    /// Stats of the rows of two slices of one length, each row with weight 1 or its own.
    pub fn from_slices(actual: &[f64], predicted: &[f64], weights: Option<&[f64]>) -> Self {
        let mut stats = Self::new();
        for (i, (&actual, &predicted)) in actual.iter().zip(predicted).enumerate() {
            stats.update(actual, predicted, weights.map_or(1.0, |weights| weights[i]));
        }
        stats
    }

    /// Adds one row. A row with a NaN, or whose weight is not above 0, is skipped.
    pub fn update(&mut self, actual: f64, predicted: f64, weight: f64) {
        if actual.is_nan() || predicted.is_nan() || weight.is_nan() || weight <= 0.0 {
            return;
        }
        let error = actual - predicted;
        self.rows += 1;
        self.weight.add(weight);
        self.absolute_error.add(weight * error.abs());
        self.squared_error.add(weight * error * error);
        self.percentage_error.add(weight * error.abs() / actual.abs().max(f64::EPSILON));
        if actual < 0.0 || predicted < 0.0 {
            self.has_negative = true;
        } else {
            let log_error = actual.ln_1p() - predicted.ln_1p();
            self.squared_log_error.add(weight * log_error * log_error);
        }
        self.actual.add(actual, weight);
        self.error.add(error, weight);
    }

    /// Adds the rows of another set.
    pub fn merge(&mut self, other: &Self) {
        self.rows += other.rows;
        self.has_negative |= other.has_negative;
        self.weight.merge(&other.weight);
        self.absolute_error.merge(&other.absolute_error);
        self.squared_error.merge(&other.squared_error);
        self.percentage_error.merge(&other.percentage_error);
        self.squared_log_error.merge(&other.squared_log_error);
        self.actual.merge(&other.actual);
        self.error.merge(&other.error);
    }

    /// The stats as plain numbers, to be stored and merged elsewhere.
    pub fn parts(&self) -> [f64; PARTS] {
        let [w0, w1] = self.weight.parts();
        let [a0, a1] = self.absolute_error.parts();
        let [s0, s1] = self.squared_error.parts();
        let [p0, p1] = self.percentage_error.parts();
        let [l0, l1] = self.squared_log_error.parts();
        let [y0, y1, y2] = self.actual.parts();
        let [e0, e1, e2] = self.error.parts();
        let has_negative = f64::from(u8::from(self.has_negative));
        [
            self.rows as f64,
            has_negative,
            w0,
            w1,
            a0,
            a1,
            s0,
            s1,
            p0,
            p1,
            l0,
            l1,
            y0,
            y1,
            y2,
            e0,
            e1,
            e2,
        ]
    }

    /// Restores stats from [`parts`](Self::parts).
    pub fn from_parts(parts: [f64; PARTS]) -> Self {
        let [rows, has_negative, p @ ..] = parts;
        Self {
            rows: rows as u64,
            has_negative: has_negative != 0.0,
            weight: Compensated::from_parts([p[0], p[1]]),
            absolute_error: Compensated::from_parts([p[2], p[3]]),
            squared_error: Compensated::from_parts([p[4], p[5]]),
            percentage_error: Compensated::from_parts([p[6], p[7]]),
            squared_log_error: Compensated::from_parts([p[8], p[9]]),
            actual: Moments::from_parts([p[10], p[11], p[12]]),
            error: Moments::from_parts([p[13], p[14], p[15]]),
        }
    }

    /// How many rows were counted.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The weighted mean of a sum over the rows.
    fn mean(&self, sum: &Compensated) -> Option<f64> {
        if self.rows == 0 {
            return None;
        }
        number(sum.value() / self.weight.value())
    }

    /// Mean absolute error, Σ w |a − p| / Σ w.
    pub fn mae(&self) -> Option<f64> {
        self.mean(&self.absolute_error)
    }

    /// Mean squared error, Σ w (a − p)² / Σ w.
    pub fn mse(&self) -> Option<f64> {
        self.mean(&self.squared_error)
    }

    /// Root of the mean squared error.
    pub fn rmse(&self) -> Option<f64> {
        self.mse().map(f64::sqrt)
    }

    /// Mean absolute percentage error, as a fraction: the mean of |a − p| / max(|a|, ε),
    /// where ε is the double-precision epsilon. An actual value of 0 makes it huge.
    pub fn mape(&self) -> Option<f64> {
        self.mean(&self.percentage_error)
    }

    /// Mean squared logarithmic error, the mean of (ln(1 + a) − ln(1 + p))²; `None` with
    /// a value below 0 on either side.
    pub fn msle(&self) -> Option<f64> {
        if self.has_negative {
            return None;
        }
        self.mean(&self.squared_log_error)
    }

    /// The coefficient of determination, 1 − Σ w (a − p)² / Σ w (a − ā)².
    ///
    /// As in scikit-learn: `None` under two rows; where the actual values are all equal,
    /// 1 if every prediction is exact and 0 otherwise.
    pub fn r2(&self) -> Option<f64> {
        if self.rows < 2 {
            return None;
        }
        explained(self.squared_error.value(), self.actual.squared_deviations())
    }

    /// Explained variance, 1 − Var(a − p) / Var(a): R² without the penalty for a constant
    /// offset. For equal actual values, 1 if the error is constant too, 0 otherwise.
    pub fn explained_variance(&self) -> Option<f64> {
        if self.rows == 0 {
            return None;
        }
        explained(self.error.squared_deviations(), self.actual.squared_deviations())
    }
}

/// 1 − residual / total, with scikit-learn's values (`force_finite`) for a total of 0.
fn explained(residual: f64, total: f64) -> Option<f64> {
    if total == 0.0 {
        return number(if residual == 0.0 { 1.0 } else { 0.0 });
    }
    number(1.0 - residual / total)
}

/// `None` for NaN: NULL in SQL.
pub(crate) fn number(value: f64) -> Option<f64> {
    (!value.is_nan()).then_some(value)
}

/// The median of |a − p|, weighted where weights are given; rows with a NaN, or whose
/// weight is not above 0, are skipped.
pub fn median_absolute_error(
    actual: &[f64],
    predicted: &[f64],
    weights: Option<&[f64]>,
) -> Option<f64> {
    let errors: Vec<(f64, f64)> = actual
        .iter()
        .zip(predicted)
        .enumerate()
        .map(|(i, (actual, predicted))| {
            let weight = weights.map_or(1.0, |weights| weights[i]);
            ((actual - predicted).abs(), weight)
        })
        .filter(|(error, weight)| !error.is_nan() && *weight > 0.0)
        .collect();
    weighted_median(errors)
}

/// The median of (value, weight) pairs: the smallest value with at least half of the
/// weight at or below it; where that is exactly half, the mean of it and the next value
/// (scikit-learn's averaged weighted percentile; the usual median for equal weights).
pub(crate) fn weighted_median(mut pairs: Vec<(f64, f64)>) -> Option<f64> {
    pairs.sort_unstable_by(|left, right| left.0.total_cmp(&right.0));
    let mut median = SortedMedian::new(pairs.iter().map(|(_, weight)| weight).sum());
    let found = pairs.iter().find_map(|(value, weight)| median.push(*value, *weight));
    found.or(median.finish())
}

/// The weighted median of values that come in ascending order, so that none need be kept.
#[derive(Debug, Clone, Copy)]
pub struct SortedMedian {
    half: f64,
    below: f64,
    last: Option<f64>,
    is_between: bool,
}

impl SortedMedian {
    /// A median of values whose weights add up to `weight`.
    pub fn new(weight: f64) -> Self {
        Self { half: weight / 2.0, below: 0.0, last: None, is_between: false }
    }

    /// Takes the next value, and answers the median as soon as it is known.
    pub fn push(&mut self, value: f64, weight: f64) -> Option<f64> {
        if self.is_between {
            return self.last.map(|last| last.midpoint(value));
        }
        self.below += weight;
        self.last = Some(value);
        self.is_between = self.below == self.half;
        (self.below > self.half).then_some(value)
    }

    /// The median where no value answered it; `None` without values.
    pub fn finish(&self) -> Option<f64> {
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Random, assert_close};

    // The vectors of scikit-learn's docstrings.
    const ACTUAL: [f64; 4] = [3.0, -0.5, 2.0, 7.0];
    const PREDICTED: [f64; 4] = [2.5, 0.0, 2.0, 8.0];

    #[test]
    fn docstring_values() {
        let stats = RegressionStats::from_slices(&ACTUAL, &PREDICTED, None);
        assert_close(stats.mae(), 0.5);
        assert_close(stats.mse(), 0.375);
        assert_close(stats.rmse(), 0.6123724356957945);
        assert_close(stats.r2(), 0.9486081370449679);
        assert_close(stats.explained_variance(), 0.9571734475374732);
        assert_close(stats.mape(), 0.3273809523809524);
        assert_eq!(stats.msle(), None);
        assert_close(median_absolute_error(&ACTUAL, &PREDICTED, None), 0.5);
        let stats =
            RegressionStats::from_slices(&[3.0, 5.0, 2.5, 7.0], &[2.5, 5.0, 4.0, 8.0], None);
        assert_close(stats.msle(), 0.03973012298459379);
    }

    /// Expected values by scikit-learn 1.9.1 with `sample_weight`, in a scratch environment.
    #[test]
    fn weighted_values() {
        let weights = [1.0, 2.0, 3.0, 0.5];
        let stats = RegressionStats::from_slices(&ACTUAL, &PREDICTED, Some(&weights));
        assert_close(stats.mae(), 0.3076923076923077);
        assert_close(stats.mse(), 0.19230769230769232);
        assert_close(stats.r2(), 0.9512743628185907);
        assert_close(stats.explained_variance(), 0.9572713643178411);
        assert_close(stats.mape(), 0.3443223443223443);
        assert_close(median_absolute_error(&ACTUAL, &PREDICTED, Some(&weights)), 0.5);
    }

    #[test]
    fn whole_weights_are_repeated_rows() {
        let repeated =
            RegressionStats::from_slices(&[1.0, 4.0, 4.0, 4.0], &[2.0, 3.5, 3.5, 3.5], None);
        let weighted = RegressionStats::from_slices(&[1.0, 4.0], &[2.0, 3.5], Some(&[1.0, 3.0]));
        assert_eq!(weighted.mae(), repeated.mae());
        assert_close(weighted.r2(), repeated.r2().unwrap());
    }

    #[test]
    fn constant_actual_values() {
        let exact = RegressionStats::from_slices(&[2.0, 2.0], &[2.0, 2.0], None);
        assert_eq!(exact.r2(), Some(1.0));
        assert_eq!(exact.explained_variance(), Some(1.0));
        let wrong = RegressionStats::from_slices(&[2.0, 2.0], &[2.0, 3.0], None);
        assert_eq!(wrong.r2(), Some(0.0));
        assert_eq!(wrong.explained_variance(), Some(0.0));
        let offset = RegressionStats::from_slices(&[2.0, 2.0], &[3.0, 3.0], None);
        assert_eq!(offset.r2(), Some(0.0));
        assert_eq!(offset.explained_variance(), Some(1.0));
    }

    #[test]
    fn few_rows() {
        let none = RegressionStats::new();
        assert_eq!(none.mae(), None);
        assert_eq!(none.r2(), None);
        assert_eq!(none.explained_variance(), None);
        assert_eq!(median_absolute_error(&[], &[], None), None);
        let one = RegressionStats::from_slices(&[1.0], &[3.0], None);
        assert_eq!(one.mae(), Some(2.0));
        assert_eq!(one.r2(), None);
    }

    #[test]
    fn nan_and_weightless_rows_are_skipped() {
        let stats = RegressionStats::from_slices(
            &[1.0, f64::NAN, 5.0, 9.0],
            &[2.0, 1.0, f64::NAN, 0.0],
            Some(&[1.0, 1.0, 1.0, 0.0]),
        );
        assert_eq!(stats.rows(), 1);
        assert_eq!(stats.mae(), Some(1.0));
    }

    #[test]
    fn medians() {
        assert_eq!(weighted_median(vec![(3.0, 1.0), (1.0, 1.0), (2.0, 1.0)]), Some(2.0));
        assert_eq!(
            weighted_median(vec![(4.0, 1.0), (1.0, 1.0), (2.0, 1.0), (3.0, 1.0)]),
            Some(2.5)
        );
        assert_eq!(weighted_median(vec![(1.0, 1.0), (2.0, 5.0)]), Some(2.0));
    }

    #[test]
    fn merging_random_parts_changes_nothing() {
        let mut random = Random::from_seed_in_env();
        let n = 5000;
        // A large offset is where naive sums of squares lose their digits.
        let actual: Vec<f64> = (0..n).map(|_| 1e6 + random.normal()).collect();
        let predicted: Vec<f64> = actual.iter().map(|a| a + 0.3 * random.normal()).collect();
        let weights: Vec<f64> = (0..n).map(|_| random.uniform() + 0.1).collect();
        let whole = RegressionStats::from_slices(&actual, &predicted, Some(&weights));
        let mut parts = vec![RegressionStats::new(); 7];
        for i in 0..n {
            parts[random.below(7)].update(actual[i], predicted[i], weights[i]);
        }
        let mut merged = RegressionStats::new();
        for part in parts {
            merged.merge(&RegressionStats::from_parts(part.parts()));
        }
        assert_eq!(merged.rows(), whole.rows());
        for (left, right) in [
            (merged.mae(), whole.mae()),
            (merged.mse(), whole.mse()),
            (merged.mape(), whole.mape()),
            (merged.msle(), whole.msle()),
            (merged.r2(), whole.r2()),
            (merged.explained_variance(), whole.explained_variance()),
        ] {
            assert_close(left, right.unwrap());
        }
    }
}
