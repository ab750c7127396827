//! Measuring a model on its own parts of the data, by what the metric aggregates of SQL run: `ml.evaluate(ref, input)`
//! calls those aggregates themselves.

use cenote_udfs::classification::{Average, ClassTotals, log_loss_multiclass};
use cenote_udfs::ranking::{roc_auc, roc_auc_one_vs_rest};
use cenote_udfs::regression::RegressionStats;

/// The metrics of `ml.evaluate` for numbers, in its order.
pub(crate) const REGRESSION: [&str; 7] = [
    "mean_absolute_error",
    "mean_squared_error",
    "root_mean_squared_error",
    "mean_squared_log_error",
    "median_absolute_error",
    "r2_score",
    "explained_variance",
];

/// The metrics of `ml.evaluate` for classes, in its order.
pub(crate) const CLASSES: [&str; 6] =
    ["accuracy", "precision", "recall", "f1_score", "log_loss", "roc_auc"];

/// A cell of a confusion matrix.
#[derive(Debug, Clone, PartialEq)]
pub struct Confusion {
    /// The class that a row has, as text.
    pub actual: String,
    /// The class that the model predicts, as text.
    pub predicted: String,
    /// Rows.
    pub n: u64,
}

/// The metrics of one part of the data.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// `train`, `validation`, `test`, `all` or `input`.
    pub split: String,
    /// Rows measured.
    pub n_rows: u64,
    /// Values for the metrics of `ml.evaluate`, in its order; `None` where undefined.
    pub values: Vec<Option<f64>>,
    /// The confusion matrix, empty for a regression.
    pub confusion: Vec<Confusion>,
}

/// The names of the metrics of a task, in the order of `ml.evaluate`.
pub fn metric_names(is_classification: bool) -> &'static [&'static str] {
    if is_classification { &CLASSES } else { &REGRESSION }
}

/// The metrics of a regression. The median needs all errors at once, so it comes from elsewhere.
pub(crate) fn regression(split: &str, stats: &RegressionStats, median: Option<f64>) -> Evaluation {
    Evaluation {
        split: split.to_string(),
        n_rows: stats.rows(),
        values: vec![
            stats.mae(),
            stats.mse(),
            stats.rmse(),
            stats.msle(),
            median,
            stats.r2(),
            stats.explained_variance(),
        ],
        confusion: Vec::new(),
    }
}

/// A confusion matrix of more cells than this leaves the empty ones out.
pub const MAX_EMPTY_CELLS: usize = 10_000;

/// Measures a classification; `probabilities` are row by row.
pub(crate) fn classification(
    split: &str,
    (actual, predicted): (&[u32], &[u32]),
    probabilities: &[f64],
    names: &[String],
    weights: Option<&[f64]>,
) -> Evaluation {
    let n_classes = names.len();
    let mut totals = ClassTotals::new(n_classes);
    let mut counts = vec![0u64; n_classes * n_classes];
    for (row, (a, p)) in actual.iter().zip(predicted).enumerate() {
        let (a, p) = (*a as usize, *p as usize);
        totals.update(a, p, weights.map_or(1.0, |w| w[row]));
        counts[a * n_classes + p] += 1;
    }
    let classes: Vec<usize> = actual.iter().map(|code| *code as usize).collect();
    let (average, area) = if n_classes == 2 {
        let is_positive: Vec<bool> = classes.iter().map(|class| *class == 1).collect();
        let scores: Vec<f64> = probabilities.chunks_exact(2).map(|row| row[1]).collect();
        (Average::Binary { positive: 1 }, roc_auc(&is_positive, &scores, weights))
    } else {
        let area = roc_auc_one_vs_rest(&classes, probabilities, n_classes, weights);
        (Average::Macro, area)
    };
    let values = vec![
        totals.accuracy(),
        totals.precision(average),
        totals.recall(average),
        totals.f1(average),
        log_loss_multiclass(&classes, probabilities, n_classes, weights),
        area,
    ];
    let is_large = counts.len() > MAX_EMPTY_CELLS;
    let confusion = counts
        .into_iter()
        .enumerate()
        .filter(|(_, n)| *n > 0 || !is_large)
        .map(|(i, n)| Confusion {
            actual: names[i / n_classes].clone(),
            predicted: names[i % n_classes].clone(),
            n,
        })
        .collect();
    Evaluation { split: split.to_string(), n_rows: actual.len() as u64, values, confusion }
}
