//! Metrics of predicted classes: accuracy, precision, recall, F1, MCC, Cohen's kappa.
//!
//! Formulas and edge cases follow scikit-learn's `sklearn.metrics` (user guide, section
//! "Classification metrics"), with `zero_division = 0`. Classes are numbered from 0 in
//! their sort order; metrics of probabilities are in [`crate::probability`].

pub use crate::probability::{brier, log_loss, log_loss_multiclass};

/// How the metrics of single classes become one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Average {
    /// The metric of one class, the positive one.
    Binary {
        /// The number of the positive class.
        positive: usize,
    },
    /// The plain mean over the classes that occur, in the actual or predicted column.
    Macro,
    /// From the counts of all classes together; with one label a row, the accuracy.
    Micro,
    /// The mean over classes, weighted by how often each occurs in the actual column.
    Weighted,
}

/// For each class its weight among actual values, among predictions, and among rows where
/// both agree: all that the metrics here need, however many classes there are.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ClassTotals {
    actual: Vec<f64>,
    predicted: Vec<f64>,
    correct: Vec<f64>,
}

impl ClassTotals {
    /// Totals of no rows, for classes `0..classes`; more are added as rows name them.
    pub fn new(classes: usize) -> Self {
        Self {
            actual: vec![0.0; classes],
            predicted: vec![0.0; classes],
            correct: vec![0.0; classes],
        }
    }

    /// The totals of two slices of class numbers, each row with weight 1 or its own.
    pub fn from_slices(actual: &[usize], predicted: &[usize], weights: Option<&[f64]>) -> Self {
        let mut totals = Self::default();
        for (i, (&actual, &predicted)) in actual.iter().zip(predicted).enumerate() {
            totals.update(actual, predicted, weights.map_or(1.0, |weights| weights[i]));
        }
        totals
    }

    /// Adds one row. A row whose weight is not above 0 is skipped.
    pub fn update(&mut self, actual: usize, predicted: usize, weight: f64) {
        if weight.is_nan() || weight <= 0.0 {
            return;
        }
        self.grow(actual.max(predicted) + 1);
        self.actual[actual] += weight;
        self.predicted[predicted] += weight;
        if actual == predicted {
            self.correct[actual] += weight;
        }
    }

    /// Adds to the totals of one class: its weight as actual value, as prediction, as both.
    pub fn add(&mut self, class: usize, totals: [f64; 3]) {
        self.grow(class + 1);
        self.actual[class] += totals[0];
        self.predicted[class] += totals[1];
        self.correct[class] += totals[2];
    }

    /// Adds the rows of another set with the same class numbers.
    pub fn merge(&mut self, other: &Self) {
        for class in 0..other.classes() {
            self.add(class, other.of(class));
        }
    }

    /// Makes room for classes `0..classes`.
    fn grow(&mut self, classes: usize) {
        if classes > self.classes() {
            self.actual.resize(classes, 0.0);
            self.predicted.resize(classes, 0.0);
            self.correct.resize(classes, 0.0);
        }
    }

    /// How many classes there are room for.
    pub fn classes(&self) -> usize {
        self.actual.len()
    }

    /// The weight of a class as actual value, as prediction, and as both.
    pub fn of(&self, class: usize) -> [f64; 3] {
        [self.actual[class], self.predicted[class], self.correct[class]]
    }

    /// The weight of all rows.
    pub fn weight(&self) -> f64 {
        self.actual.iter().sum()
    }

    /// The classes that occur among actual values or predictions.
    fn occurring(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.classes()).filter(|&class| self.actual[class] > 0.0 || self.predicted[class] > 0.0)
    }

    /// The share of rows whose prediction is the actual class.
    pub fn accuracy(&self) -> Option<f64> {
        let weight = self.weight();
        (weight > 0.0).then(|| self.correct.iter().sum::<f64>() / weight)
    }

    /// Of the rows predicted to be of a class, the share that is; 0 without any.
    pub fn precision(&self, average: Average) -> Option<f64> {
        self.average(average, |[_, predicted, correct]| ratio(correct, predicted))
    }

    /// Of the rows of a class, the share predicted to be; 0 without any.
    pub fn recall(&self, average: Average) -> Option<f64> {
        self.average(average, |[actual, _, correct]| ratio(correct, actual))
    }

    /// The harmonic mean of precision and recall, 2 tp / (2 tp + fp + fn); 0 for 0/0.
    pub fn f1(&self, average: Average) -> Option<f64> {
        self.average(average, |[actual, predicted, correct]| {
            ratio(2.0 * correct, actual + predicted)
        })
    }

    fn average(&self, average: Average, metric: impl Fn([f64; 3]) -> f64) -> Option<f64> {
        let weight = self.weight();
        if weight <= 0.0 {
            return None;
        }
        Some(match average {
            Average::Binary { positive } if positive < self.classes() => metric(self.of(positive)),
            Average::Binary { .. } => 0.0,
            Average::Micro => metric([weight, weight, self.correct.iter().sum()]),
            Average::Macro => {
                let sum: f64 = self.occurring().map(|class| metric(self.of(class))).sum();
                sum / self.occurring().count() as f64
            }
            Average::Weighted => {
                self.occurring()
                    .map(|class| self.actual[class] * metric(self.of(class)))
                    .sum::<f64>()
                    / weight
            }
        })
    }

    /// Matthews' correlation coefficient, for any number of classes (Gorodkin 2004,
    /// "Comparing two K-category assignments by a K-category correlation coefficient");
    /// 0 where one side has a single class.
    pub fn mcc(&self) -> Option<f64> {
        let weight = self.weight();
        if weight <= 0.0 {
            return None;
        }
        let several = |totals: &[f64]| totals.iter().filter(|total| **total > 0.0).count() > 1;
        if !several(&self.actual) || !several(&self.predicted) {
            return Some(0.0);
        }
        // As shares of the whole, so that the products stay in range.
        let agreement = self.correct.iter().sum::<f64>() / weight;
        let mut chance = 0.0;
        let mut actual_squared = 0.0;
        let mut predicted_squared = 0.0;
        for class in self.occurring() {
            let [actual, predicted, _] = self.of(class).map(|total| total / weight);
            chance += actual * predicted;
            actual_squared += actual * actual;
            predicted_squared += predicted * predicted;
        }
        let variances = (1.0 - actual_squared) * (1.0 - predicted_squared);
        Some(((agreement - chance) / variances.sqrt()).clamp(-1.0, 1.0))
    }

    /// Cohen's kappa (1960), the agreement beyond chance; `None` where both sides are the
    /// same single class, so that there is nothing beyond chance.
    pub fn cohen_kappa(&self) -> Option<f64> {
        let weight = self.weight();
        let agreement = self.accuracy()?;
        let chance: f64 = self
            .occurring()
            .map(|class| (self.actual[class] / weight) * (self.predicted[class] / weight))
            .sum();
        (self.occurring().count() > 1).then(|| (agreement - chance) / (1.0 - chance))
    }
}

fn ratio(part: f64, whole: f64) -> f64 {
    if whole == 0.0 { 0.0 } else { part / whole }
}

/// The confusion matrix: the weight of rows for each pair of actual and predicted class.
#[derive(Debug, Clone, PartialEq)]
pub struct Confusion {
    classes: usize,
    cells: Vec<f64>,
}

impl Confusion {
    /// A matrix of no rows for classes `0..classes`.
    pub fn new(classes: usize) -> Self {
        Self { classes, cells: vec![0.0; classes * classes] }
    }

    /// How many classes it has.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Adds one row; both classes are below [`classes`](Self::classes). A row whose weight
    /// is not above 0 is skipped.
    pub fn update(&mut self, actual: usize, predicted: usize, weight: f64) {
        if weight > 0.0 {
            self.cells[actual * self.classes + predicted] += weight;
        }
    }

    /// Adds the rows of another set with the same classes.
    pub fn merge(&mut self, other: &Self) {
        debug_assert_eq!(self.classes, other.classes);
        for (cell, other) in self.cells.iter_mut().zip(&other.cells) {
            *cell += other;
        }
    }

    /// The weight of rows of class `actual` that were predicted to be `predicted`.
    pub fn cell(&self, actual: usize, predicted: usize) -> f64 {
        self.cells[actual * self.classes + predicted]
    }

    /// What the metrics are computed from.
    pub fn totals(&self) -> ClassTotals {
        let mut totals = ClassTotals::new(self.classes);
        for actual in 0..self.classes {
            for predicted in 0..self.classes {
                totals.update(actual, predicted, self.cell(actual, predicted));
            }
        }
        totals
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Random, assert_close};

    // The vectors of scikit-learn's docstring of confusion_matrix.
    const ACTUAL: [usize; 6] = [2, 0, 2, 2, 0, 1];
    const PREDICTED: [usize; 6] = [0, 0, 2, 2, 0, 2];

    #[test]
    fn docstring_confusion() {
        let mut confusion = Confusion::new(3);
        for (actual, predicted) in ACTUAL.into_iter().zip(PREDICTED) {
            confusion.update(actual, predicted, 1.0);
        }
        let rows: Vec<Vec<f64>> =
            (0..3).map(|a| (0..3).map(|p| confusion.cell(a, p)).collect()).collect();
        assert_eq!(rows, [[2.0, 0.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 2.0]]);
        assert_eq!(confusion.totals(), ClassTotals::from_slices(&ACTUAL, &PREDICTED, None));
    }

    /// F1 of the acceptance cases; the rest by scikit-learn 1.9.1 in a scratch environment.
    #[test]
    fn three_classes() {
        let totals = ClassTotals::from_slices(&ACTUAL, &PREDICTED, None);
        assert_close(totals.accuracy(), 2.0 / 3.0);
        assert_close(totals.f1(Average::Macro), 0.48888888888888893);
        assert_close(totals.f1(Average::Micro), 2.0 / 3.0);
        assert_close(totals.f1(Average::Weighted), 0.6);
        assert_close(totals.precision(Average::Macro), 4.0 / 9.0);
        assert_close(totals.precision(Average::Weighted), 0.5555555555555555);
        assert_close(totals.recall(Average::Macro), 5.0 / 9.0);
        assert_close(totals.recall(Average::Weighted), 0.6666666666666666);
        assert_close(totals.mcc(), 0.45226701686664544);
        assert_close(totals.cohen_kappa(), 0.4285714285714286);
    }

    /// The docstring of f1_score: macro 0.2666667, micro 0.3333333.
    #[test]
    fn docstring_f1() {
        let totals = ClassTotals::from_slices(&[0, 1, 2, 0, 1, 2], &[0, 2, 1, 0, 0, 1], None);
        assert_close(totals.f1(Average::Macro), 0.26666666666666666);
        assert_close(totals.f1(Average::Micro), 0.3333333333333333);
        assert_close(totals.f1(Average::Weighted), 0.26666666666666666);
    }

    /// The docstring of matthews_corrcoef: −1/3.
    #[test]
    fn docstring_mcc() {
        let totals = ClassTotals::from_slices(&[1, 1, 1, 0], &[1, 0, 1, 1], None);
        assert_close(totals.mcc(), -1.0 / 3.0);
        assert_close(totals.precision(Average::Binary { positive: 1 }), 2.0 / 3.0);
        assert_close(totals.recall(Average::Binary { positive: 1 }), 2.0 / 3.0);
    }

    #[test]
    fn weighted_rows() {
        let weights = [1.0, 2.0, 0.5, 1.0, 3.0, 1.5];
        let totals = ClassTotals::from_slices(&ACTUAL, &PREDICTED, Some(&weights));
        assert_close(totals.accuracy(), 0.7222222222222222);
        assert_close(totals.f1(Average::Macro), 0.48484848484848486);
        assert_close(totals.mcc(), 0.5078333750770082);
        assert_close(totals.cohen_kappa(), 0.48275862068965525);
    }

    #[test]
    fn degenerate_rows() {
        let none = ClassTotals::default();
        assert_eq!(none.accuracy(), None);
        assert_eq!(none.f1(Average::Macro), None);
        assert_eq!(none.mcc(), None);
        assert_eq!(none.cohen_kappa(), None);
        let single = ClassTotals::from_slices(&[1, 1], &[1, 1], None);
        assert_eq!(single.accuracy(), Some(1.0));
        assert_eq!(single.f1(Average::Macro), Some(1.0));
        assert_eq!(single.mcc(), Some(0.0));
        assert_eq!(single.cohen_kappa(), None);
        // Never predicted: precision is 0/0, which is 0.
        let missed = ClassTotals::from_slices(&[1, 0], &[0, 0], None);
        assert_eq!(missed.precision(Average::Binary { positive: 1 }), Some(0.0));
        assert_eq!(missed.recall(Average::Binary { positive: 7 }), Some(0.0));
    }

    #[test]
    fn merging_random_parts_changes_nothing() {
        let mut random = Random::from_seed_in_env();
        let rows: Vec<(usize, usize)> =
            (0..3000).map(|_| (random.below(5), random.below(6))).collect();
        let mut whole = ClassTotals::default();
        let mut parts = vec![ClassTotals::default(); 4];
        for (actual, predicted) in rows {
            whole.update(actual, predicted, 1.0);
            parts[random.below(4)].update(actual, predicted, 1.0);
        }
        let mut merged = ClassTotals::default();
        for part in &parts {
            merged.merge(part);
        }
        assert_eq!(merged, whole);
    }
}
