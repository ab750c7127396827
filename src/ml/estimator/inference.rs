//! p-values, confidence limits and information criteria.

use crate::ml::estimator::Weight;
use statrs::distribution::{ContinuousCDF, FisherSnedecor, Normal, StudentsT};

/// The distribution of estimate / standard error.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Reference {
    /// Student's t with these degrees of freedom.
    T(f64),
    /// The standard normal distribution.
    Normal,
}

impl Reference {
    /// The probability of a larger absolute value.
    fn two_sided(self, statistic: f64) -> Option<f64> {
        let upper = match self {
            Reference::T(df) => StudentsT::new(0.0, 1.0, df).ok()?.sf(statistic.abs()),
            Reference::Normal => Normal::new(0.0, 1.0).ok()?.sf(statistic.abs()),
        };
        finite((2.0 * upper).min(1.0))
    }

    /// The value that the absolute value exceeds with probability `1 - confidence`.
    fn critical(self, confidence: f64) -> Option<f64> {
        let p = 0.5 + confidence / 2.0;
        finite(match self {
            Reference::T(df) => StudentsT::new(0.0, 1.0, df).ok()?.inverse_cdf(p),
            Reference::Normal => Normal::new(0.0, 1.0).ok()?.inverse_cdf(p),
        })
    }
}

/// The value if it is finite.
pub(crate) fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

/// The six values of [`Weight`] for an estimate; only the estimate where the standard error is unknown or 0.
pub(crate) fn values(
    estimate: f64,
    std_error: Option<f64>,
    reference: Reference,
    confidence: f64,
) -> [Option<f64>; 6] {
    let Some(error) = std_error.and_then(finite) else {
        return [Some(estimate), None, None, None, None, None];
    };
    if error == 0.0 {
        return [Some(estimate), Some(0.0), None, None, Some(estimate), Some(estimate)];
    }
    let statistic = finite(estimate / error);
    let p = statistic.and_then(|t| reference.two_sided(t));
    let margin = reference.critical(confidence).map(|c| c * error);
    let low = margin.and_then(|m| finite(estimate - m));
    let high = margin.and_then(|m| finite(estimate + m));
    [Some(estimate), Some(error), statistic, p, low, high]
}

/// A row of `ml.weights` of a column that says nothing that others do not: all NULL.
pub(crate) fn aliased((term, category): (String, Option<String>), class: Option<String>) -> Weight {
    Weight { term, category, class, values: [None; 6] }
}

/// The probability of a larger F statistic.
pub(crate) fn f_p_value(statistic: f64, df1: f64, df2: f64) -> Option<f64> {
    finite(FisherSnedecor::new(df1, df2).ok()?.sf(statistic))
}
