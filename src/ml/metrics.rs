//! The metrics that are stored with a model, one function each, in scikit-learn's meaning. Weights are 1 if not given;
//! `None` where a metric is undefined. Classes are codes `0..n_classes`; a code of `n_classes` or more is a class that
//! the model does not know.

/// Row weights, or none.
pub(crate) type Weights<'a> = Option<&'a [f64]>;

fn weight(weights: Weights<'_>, row: usize) -> f64 {
    weights.map_or(1.0, |w| w[row])
}

fn mean(n: usize, weights: Weights<'_>, value: impl Fn(usize) -> f64) -> Option<f64> {
    let total: f64 = (0..n).map(|i| weight(weights, i)).sum();
    let sum: f64 = (0..n).map(|i| weight(weights, i) * value(i)).sum();
    Some(sum / total).filter(|v| v.is_finite())
}

/// Mean of |actual − predicted|.
pub(crate) fn mean_absolute_error(
    actual: &[f64],
    predicted: &[f64],
    weights: Weights<'_>,
) -> Option<f64> {
    mean(actual.len(), weights, |i| (actual[i] - predicted[i]).abs())
}

/// Mean of (actual − predicted)².
pub(crate) fn mean_squared_error(
    actual: &[f64],
    predicted: &[f64],
    weights: Weights<'_>,
) -> Option<f64> {
    mean(actual.len(), weights, |i| (actual[i] - predicted[i]).powi(2))
}

/// Mean of (log(1 + actual) − log(1 + predicted))²; `None` with a value below 0.
pub(crate) fn mean_squared_log_error(
    actual: &[f64],
    predicted: &[f64],
    weights: Weights<'_>,
) -> Option<f64> {
    if actual.iter().chain(predicted).any(|v| *v < 0.0) {
        return None;
    }
    mean(actual.len(), weights, |i| (actual[i].ln_1p() - predicted[i].ln_1p()).powi(2))
}

/// Median of |actual − predicted|: the mean of the two middle values where they are two; with weights the value at
/// which half of the weight is reached.
pub(crate) fn median_absolute_error(
    actual: &[f64],
    predicted: &[f64],
    weights: Weights<'_>,
) -> Option<f64> {
    let mut errors: Vec<(f64, f64)> =
        (0..actual.len()).map(|i| ((actual[i] - predicted[i]).abs(), weight(weights, i))).collect();
    errors.sort_by(|a, b| a.0.total_cmp(&b.0));
    let half = errors.iter().map(|e| e.1).sum::<f64>() / 2.0;
    let mut reached = 0.0;
    for (i, (error, weight)) in errors.iter().enumerate() {
        reached += weight;
        if reached == half && i + 1 < errors.len() {
            return Some((error + errors[i + 1].0) / 2.0);
        }
        if reached >= half {
            return Some(*error);
        }
    }
    None
}

/// 1 − residual sum of squares / total sum of squares around the mean; `None` for a constant label.
pub(crate) fn r2_score(actual: &[f64], predicted: &[f64], weights: Weights<'_>) -> Option<f64> {
    let centre = mean(actual.len(), weights, |i| actual[i])?;
    let total = mean(actual.len(), weights, |i| (actual[i] - centre).powi(2))?;
    let rest = mean_squared_error(actual, predicted, weights)?;
    (total > 0.0).then(|| 1.0 - rest / total).filter(|v| v.is_finite())
}

/// 1 − variance of the residuals / variance of the label; `None` for a constant label.
pub(crate) fn explained_variance(
    actual: &[f64],
    predicted: &[f64],
    weights: Weights<'_>,
) -> Option<f64> {
    let centre = mean(actual.len(), weights, |i| actual[i])?;
    let total = mean(actual.len(), weights, |i| (actual[i] - centre).powi(2))?;
    let bias = mean(actual.len(), weights, |i| actual[i] - predicted[i])?;
    let rest = mean(actual.len(), weights, |i| (actual[i] - predicted[i] - bias).powi(2))?;
    (total > 0.0).then(|| 1.0 - rest / total).filter(|v| v.is_finite())
}

/// The share of right classes.
pub(crate) fn accuracy(actual: &[u32], predicted: &[u32], weights: Weights<'_>) -> Option<f64> {
    mean(actual.len(), weights, |i| f64::from(u8::from(actual[i] == predicted[i])))
}

/// True positives, false positives and false negatives of a class, by weight.
fn counts(actual: &[u32], predicted: &[u32], weights: Weights<'_>, class: u32) -> (f64, f64, f64) {
    let mut counts = (0.0, 0.0, 0.0);
    for (i, (a, p)) in actual.iter().zip(predicted).enumerate() {
        match (*a == class, *p == class) {
            (true, true) => counts.0 += weight(weights, i),
            (false, true) => counts.1 += weight(weights, i),
            (true, false) => counts.2 += weight(weights, i),
            (false, false) => {}
        }
    }
    counts
}

fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

/// Precision, recall and F1, 0 where they are 0/0: of the second of two classes, else the mean over the classes that
/// occur.
pub(crate) fn precision_recall_f1(
    actual: &[u32],
    predicted: &[u32],
    n_classes: usize,
    weights: Weights<'_>,
) -> Option<[f64; 3]> {
    let of_class = |class: u32| {
        let (tp, fp, fneg) = counts(actual, predicted, weights, class);
        [ratio(tp, tp + fp), ratio(tp, tp + fneg), ratio(2.0 * tp, 2.0 * tp + fp + fneg)]
    };
    if n_classes <= 2 {
        return Some(of_class(1));
    }
    let mut sums = [0.0; 3];
    let mut n = 0.0;
    for class in (0..n_classes as u32).filter(|c| actual.contains(c) || predicted.contains(c)) {
        of_class(class).iter().zip(&mut sums).for_each(|(v, sum)| *sum += v);
        n += 1.0;
    }
    (n > 0.0).then(|| sums.map(|s| s / n))
}

/// Mean of −log of the actual class's probability, probabilities clipped at 2^-52. `None` with an unknown class.
pub(crate) fn log_loss(
    actual: &[u32],
    probabilities: &[f64],
    n_classes: usize,
    weights: Weights<'_>,
) -> Option<f64> {
    let n = actual.len();
    if actual.iter().any(|a| *a as usize >= n_classes) {
        return None;
    }
    mean(n, weights, |i| {
        -probabilities[actual[i] as usize * n + i].clamp(f64::EPSILON, 1.0 - f64::EPSILON).ln()
    })
}

/// Area under the ROC curve of one class against the rest; ties count half. `None` if one side is empty.
pub(crate) fn roc_auc(
    is_positive: impl Fn(usize) -> bool,
    scores: &[f64],
    weights: Weights<'_>,
) -> Option<f64> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*a].total_cmp(&scores[*b]));
    let (mut below, mut area, mut positives) = (0.0, 0.0, 0.0);
    let mut from = 0;
    while from < order.len() {
        let score = scores[order[from]];
        let until = from + order[from..].iter().take_while(|i| scores[**i] == score).count();
        let (mut p, mut n) = (0.0, 0.0);
        for i in &order[from..until] {
            *(if is_positive(*i) { &mut p } else { &mut n }) += weight(weights, *i);
        }
        area += p * (below + n / 2.0);
        below += n;
        positives += p;
        from = until;
    }
    let auc = area / (positives * below);
    auc.is_finite().then_some(auc)
}

/// [`roc_auc`] of the second of two classes, else the mean over all classes; `None` if a class does not occur.
pub(crate) fn roc_auc_classes(
    actual: &[u32],
    probabilities: &[f64],
    n_classes: usize,
    weights: Weights<'_>,
) -> Option<f64> {
    let n = actual.len();
    let of_class = |class: usize| {
        roc_auc(
            |i| actual[i] as usize == class,
            &probabilities[class * n..(class + 1) * n],
            weights,
        )
    };
    if n_classes <= 2 {
        return of_class(1);
    }
    let areas: Option<Vec<f64>> = (0..n_classes).map(of_class).collect();
    areas.map(|a| a.iter().sum::<f64>() / n_classes as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: Option<f64>, b: f64) {
        let a = a.unwrap();
        assert!((a - b).abs() < 1e-9, "{a} {b}");
    }

    // Expected values: scikit-learn's docstrings.
    #[test]
    fn regression_metrics() {
        let (y, p) = ([3.0, -0.5, 2.0, 7.0], [2.5, 0.0, 2.0, 8.0]);
        close(mean_absolute_error(&y, &p, None), 0.5);
        close(mean_squared_error(&y, &p, None), 0.375);
        close(r2_score(&y, &p, None), 0.948_608_137_0);
        close(explained_variance(&y, &p, None), 0.957_173_447_5);
        close(median_absolute_error(&y, &p, None), 0.5);
        assert_eq!(mean_squared_log_error(&y, &p, None), None);
        close(
            mean_squared_log_error(&[3.0, 5.0, 2.5, 7.0], &[2.5, 5.0, 4.0, 8.0], None),
            0.039_730_122_3,
        );
        assert_eq!(r2_score(&[1.0, 1.0], &[1.0, 1.0], None), None);
    }

    #[test]
    fn class_metrics() {
        close(roc_auc(|i| i >= 2, &[0.1, 0.4, 0.35, 0.8], None), 0.75);
        assert_eq!(roc_auc(|_| true, &[0.1, 0.4], None), None);
        let (y, p) = ([2, 0, 2, 2, 0, 1], [0, 0, 2, 2, 0, 2]);
        let scores = precision_recall_f1(&y, &p, 3, None).unwrap();
        assert!((scores[2] - 0.488_888_888_9).abs() < 1e-9, "{scores:?}");
        close(accuracy(&y, &p, None), 4.0 / 6.0);
        assert_eq!(precision_recall_f1(&[0, 0], &[0, 0], 2, None), Some([0.0; 3]));
        // log_loss(["spam", "ham", "ham", "spam"], [[.1, .9], [.9, .1], [.8, .2], [.35, .65]])
        close(
            log_loss(&[1, 0, 0, 1], &[0.1, 0.9, 0.8, 0.35, 0.9, 0.1, 0.2, 0.65], 2, None),
            0.216_161_874_680_4,
        );
    }
}
