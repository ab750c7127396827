//! Metrics of scores by which rows are ranked: area under the ROC curve, average precision.
//!
//! Exact, with ties: rows of one score stand at one threshold. Formulas follow
//! scikit-learn's `roc_auc_score` and `average_precision_score`.

use crate::summation::Compensated;

/// What is predicted to be positive when the scores from `score` up are: a point of the ROC
/// and precision-recall curves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Threshold {
    /// The lowest score that counts as positive.
    pub score: f64,
    /// The weight of positive rows at or above it.
    pub true_positives: f64,
    /// The weight of negative rows at or above it.
    pub false_positives: f64,
}

/// The distinct scores from the highest to the lowest with the weight of positive and
/// negative rows at or above each; the last holds all rows. Rows with a NaN score, or whose
/// weight is not above 0, are skipped.
pub fn thresholds(actual: &[bool], scores: &[f64], weights: Option<&[f64]>) -> Vec<Threshold> {
    let mut rows: Vec<(f64, bool, f64)> = actual
        .iter()
        .zip(scores)
        .enumerate()
        // Adding 0 makes −0 and 0 one score.
        .map(|(i, (&actual, &score))| {
            let weight = weights.map_or(1.0, |weights| weights[i]);
            (score + 0.0, actual, weight)
        })
        .filter(|(score, _, weight)| !score.is_nan() && *weight > 0.0)
        .collect();
    rows.sort_unstable_by(|left, right| right.0.total_cmp(&left.0));
    let mut positives = Compensated::default();
    let mut negatives = Compensated::default();
    let mut found: Vec<Threshold> = Vec::new();
    for (score, actual, weight) in rows {
        if actual {
            positives.add(weight);
        } else {
            negatives.add(weight);
        }
        let threshold = Threshold {
            score,
            true_positives: positives.value(),
            false_positives: negatives.value(),
        };
        match found.last_mut() {
            Some(last) if last.score == score => *last = threshold,
            _ => found.push(threshold),
        }
    }
    found
}

/// The area under the ROC curve: the chance that a positive row scores above a negative
/// one, with ties counted half. `None` unless both kinds of rows occur.
pub fn roc_auc(actual: &[bool], scores: &[f64], weights: Option<&[f64]>) -> Option<f64> {
    let thresholds = thresholds(actual, scores, weights);
    let last = thresholds.last()?;
    let pairs = last.true_positives * last.false_positives;
    if pairs == 0.0 {
        return None;
    }
    let mut area = Compensated::default();
    let (mut positives, mut negatives) = (0.0, 0.0);
    for threshold in &thresholds {
        let height = positives + threshold.true_positives;
        area.add((threshold.false_positives - negatives) * height / 2.0);
        positives = threshold.true_positives;
        negatives = threshold.false_positives;
    }
    Some(area.value() / pairs)
}

/// The mean over the classes of the area under the ROC curve of one class against the
/// rest (scikit-learn: `multi_class = 'ovr', average = 'macro'`). `scores` has one row of
/// `classes` numbers for each element of `actual`. `None` if a class has no such area.
pub fn roc_auc_one_vs_rest(
    actual: &[usize],
    scores: &[f64],
    classes: usize,
    weights: Option<&[f64]>,
) -> Option<f64> {
    if classes == 0 {
        return None;
    }
    let mut sum = 0.0;
    for class in 0..classes {
        let is_class: Vec<bool> = actual.iter().map(|&actual| actual == class).collect();
        let of_class: Vec<f64> = scores.chunks_exact(classes).map(|row| row[class]).collect();
        sum += roc_auc(&is_class, &of_class, weights)?;
    }
    Some(sum / classes as f64)
}

/// Average precision: Σ (recall − recall of the threshold before) × precision, over the
/// thresholds from the highest down, without interpolation. `None` without positive rows.
pub fn average_precision(actual: &[bool], scores: &[f64], weights: Option<&[f64]>) -> Option<f64> {
    let thresholds = thresholds(actual, scores, weights);
    let all_positives = thresholds.last()?.true_positives;
    if all_positives == 0.0 {
        return None;
    }
    let mut sum = Compensated::default();
    let mut before = 0.0;
    for threshold in &thresholds {
        let predicted = threshold.true_positives + threshold.false_positives;
        sum.add((threshold.true_positives - before) * (threshold.true_positives / predicted));
        before = threshold.true_positives;
    }
    Some(sum.value() / all_positives)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Random, assert_close};

    // The vectors of scikit-learn's docstrings.
    const ACTUAL: [bool; 4] = [false, false, true, true];
    const SCORES: [f64; 4] = [0.1, 0.4, 0.35, 0.8];

    #[test]
    fn docstring_values() {
        assert_eq!(roc_auc(&ACTUAL, &SCORES, None), Some(0.75));
        assert_close(average_precision(&ACTUAL, &SCORES, None), 0.8333333333333333);
    }

    /// Expected values by scikit-learn 1.9.1 in a scratch environment.
    #[test]
    fn ties_and_weights() {
        let actual = [true, false, true, false, true, false, true];
        let scores = [0.5, 0.5, 0.7, 0.7, 0.2, 0.2, 0.9];
        let weights = [1.0, 2.0, 0.5, 1.5, 3.0, 1.0, 0.25];
        assert_close(roc_auc(&actual, &scores, None), 0.625);
        assert_close(average_precision(&actual, &scores, None), 0.7095238095238094);
        assert_close(roc_auc(&actual, &scores, Some(&weights)), 0.30409356725146197);
        assert_close(average_precision(&actual, &scores, Some(&weights)), 0.48221906116642954);
        assert_eq!(roc_auc(&actual, &[0.3; 7], None), Some(0.5));
    }

    #[test]
    fn undefined_areas() {
        assert_eq!(roc_auc(&[true, true], &[0.1, 0.2], None), None);
        assert_eq!(roc_auc(&[], &[], None), None);
        assert_eq!(average_precision(&[false], &[0.2], None), None);
        assert_eq!(average_precision(&[true], &[0.2], None), Some(1.0));
        assert_eq!(roc_auc(&[true, false], &[0.0, -0.0], None), Some(0.5));
    }

    #[test]
    fn auc_is_the_share_of_ordered_pairs() {
        let mut random = Random::from_seed_in_env();
        let actual: Vec<bool> = (0..400).map(|_| random.below(3) == 0).collect();
        let scores: Vec<f64> = (0..400).map(|_| random.below(40) as f64).collect();
        let (mut ordered, mut pairs) = (0.0, 0.0);
        for i in 0..400 {
            for j in 0..400 {
                if actual[i] && !actual[j] {
                    pairs += 1.0;
                    if scores[i] > scores[j] {
                        ordered += 1.0;
                    } else if scores[i] == scores[j] {
                        ordered += 0.5;
                    }
                }
            }
        }
        assert_close(roc_auc(&actual, &scores, None), ordered / pairs);
    }

    #[test]
    fn one_against_the_rest() {
        // Class 0 and 1 are ranked perfectly; of class 2 one of two pairs is.
        let scores = [0.8, 0.1, 0.1, 0.1, 0.6, 0.3, 0.3, 0.5, 0.2];
        assert_close(roc_auc_one_vs_rest(&[0, 1, 2], &scores, 3, None), 2.5 / 3.0);
        assert_eq!(roc_auc_one_vs_rest(&[0, 1, 1], &scores, 3, None), None);
    }
}
