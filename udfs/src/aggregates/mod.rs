//! The metrics as SQL aggregates: their names, their arguments, and what computes them.
//!
//! Every aggregate here merges partial states, works with GROUP BY, FILTER and growing
//! window frames, skips rows with a NULL (or NaN) and is NULL where it is undefined.

mod arguments;
mod classes;
mod probability;
mod ranking;
mod regression;
mod samples;

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion_common::{Result, plan_err};
use datafusion_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, ReversedUDAF, Signature, Volatility,
};

use arguments::Arguments;

/// A metric that is an aggregate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Metric {
    Mae,
    Mse,
    Rmse,
    R2,
    Mape,
    Msle,
    MedianAe,
    ExplainedVariance,
    Accuracy,
    Precision,
    Recall,
    F1,
    Mcc,
    CohenKappa,
    LogLoss,
    Auc,
    AveragePrecision,
    Brier,
    Psi,
    JsDivergence,
    KsStat,
}

/// All of them, in the order of the documentation, with their names.
const METRICS: [(Metric, &str); 21] = [
    (Metric::Mae, "mae"),
    (Metric::Mse, "mse"),
    (Metric::Rmse, "rmse"),
    (Metric::R2, "r2"),
    (Metric::Mape, "mape"),
    (Metric::Msle, "msle"),
    (Metric::MedianAe, "median_ae"),
    (Metric::ExplainedVariance, "explained_variance"),
    (Metric::Accuracy, "accuracy"),
    (Metric::Precision, "precision"),
    (Metric::Recall, "recall"),
    (Metric::F1, "f1"),
    (Metric::Mcc, "mcc"),
    (Metric::CohenKappa, "cohen_kappa"),
    (Metric::LogLoss, "log_loss"),
    (Metric::Auc, "auc"),
    (Metric::AveragePrecision, "average_precision"),
    (Metric::Brier, "brier"),
    (Metric::Psi, "psi"),
    (Metric::JsDivergence, "js_divergence"),
    (Metric::KsStat, "ks_stat"),
];

/// The names of [`all_aggregates`], in the same order.
const NAMES: [&str; METRICS.len()] = {
    let mut names = [""; METRICS.len()];
    let mut i = 0;
    while i < names.len() {
        names[i] = METRICS[i].1;
        i += 1;
    }
    names
};

impl Metric {
    fn name(self) -> &'static str {
        NAMES[self as usize]
    }
}

/// Every metric and drift aggregate, ready to be registered:
///
/// | function | arguments |
/// |---|---|
/// | `mae mse rmse r2 mape msle median_ae explained_variance` | `(actual, predicted [, weight])`, numbers |
/// | `accuracy mcc cohen_kappa` | `(actual, predicted [, weight])`, classes of one type |
/// | `precision recall f1` | `(actual, predicted [, average [, weight]])`, classes of one type |
/// | `log_loss brier` | `(actual, probability [, weight])`, actual boolean or 0/1 |
/// | `auc average_precision` | `(actual, score [, weight])`, actual boolean or 0/1 |
/// | `psi js_divergence` | `(expected, actual)`, numbers, texts or booleans |
/// | `ks_stat` | `(expected, actual)`, numbers |
///
/// Classes are text, boolean, numbers, or anything that has a text form. `average` is
/// 'macro', 'micro', 'weighted' or 'binary'. Without it, two classes are taken as binary,
/// the last in sort order being the positive one (`true` and 1 of booleans and of 0/1 even
/// where a group lacks them), and more classes as 'macro'. A weight of 0 or NULL skips the
/// row; a negative one is an error.
///
/// `psi`, `js_divergence` and `ks_stat` compare two columns, each of them a sample of its
/// own: a NULL in one does not remove the other's value in the same row, so that
/// `psi(CASE WHEN … THEN x END, CASE WHEN … THEN x END)` compares two parts of a table.
pub fn all_aggregates() -> Vec<AggregateUDF> {
    METRICS.iter().map(|(metric, _)| AggregateUDF::from(MetricAggregate::new(*metric))).collect()
}

/// The names of the functions that [`all_aggregates`] returns.
pub fn metric_names() -> &'static [&'static str] {
    &NAMES
}

/// One metric as an aggregate function.
///
/// The signature takes any arguments and the types are judged in `return_type`, because
/// DataFusion wraps an error of `coerce_types` in three sentences of its own; the cast to
/// the type that the metric reads is made per batch and is free where it is that already.
#[derive(Debug, PartialEq, Eq, Hash)]
struct MetricAggregate {
    metric: Metric,
    signature: Signature,
}

impl MetricAggregate {
    fn new(metric: Metric) -> Self {
        Self { metric, signature: Signature::variadic_any(Volatility::Immutable) }
    }
}

impl AggregateUDFImpl for MetricAggregate {
    fn name(&self) -> &str {
        self.metric.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        Arguments::check(self.metric, arg_types)?;
        Ok(DataType::Float64)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let arguments = Arguments::of_fields(self.metric, args.input_fields)?;
        let field = |(name, data_type): (&str, DataType)| -> FieldRef {
            Arc::new(Field::new(format_state_name(args.name, name), data_type, true))
        };
        Ok(state(self.metric, &arguments).into_iter().map(field).collect())
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let name = self.metric.name();
        if args.is_distinct {
            return plan_err!("{name} does not take DISTINCT: it would drop rows from the metric");
        }
        let arguments = Arguments::of_fields(self.metric, args.expr_fields)?;
        let metric = self.metric;
        Ok(match metric {
            Metric::Mae
            | Metric::Mse
            | Metric::Rmse
            | Metric::R2
            | Metric::Mape
            | Metric::Msle
            | Metric::ExplainedVariance => {
                Box::new(regression::RegressionAccumulator::new(metric, arguments))
            }
            Metric::MedianAe => Box::new(regression::MedianAccumulator::new(arguments)),
            Metric::Accuracy => Box::new(classes::AccuracyAccumulator::new(arguments)),
            Metric::Precision | Metric::Recall | Metric::F1 | Metric::Mcc | Metric::CohenKappa => {
                let average = classes::requested_average(metric, &arguments, &args)?;
                Box::new(classes::ClassAccumulator::new(metric, arguments, average))
            }
            Metric::LogLoss | Metric::Brier => {
                Box::new(probability::ProbabilityAccumulator::new(metric, arguments))
            }
            Metric::Auc | Metric::AveragePrecision => {
                Box::new(ranking::RankingAccumulator::new(metric, arguments))
            }
            Metric::Psi | Metric::JsDivergence | Metric::KsStat => {
                samples::accumulator(metric, arguments)
            }
        })
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }
}

/// The names and types of a metric's partial state.
fn state(metric: Metric, arguments: &Arguments) -> Vec<(&'static str, DataType)> {
    match metric {
        Metric::Mae
        | Metric::Mse
        | Metric::Rmse
        | Metric::R2
        | Metric::Mape
        | Metric::Msle
        | Metric::ExplainedVariance => regression::state(),
        Metric::MedianAe => regression::median_state(),
        Metric::Accuracy => classes::accuracy_state(),
        Metric::Precision | Metric::Recall | Metric::F1 | Metric::Mcc | Metric::CohenKappa => {
            classes::state(arguments)
        }
        Metric::LogLoss | Metric::Brier => probability::state(),
        Metric::Auc | Metric::AveragePrecision => ranking::state(),
        Metric::Psi | Metric::JsDivergence | Metric::KsStat => samples::state(arguments),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_metric_has_its_own_name() {
        for (i, (metric, name)) in METRICS.iter().enumerate() {
            assert_eq!(*metric as usize, i);
            assert_eq!(metric.name(), *name);
        }
        let names: Vec<String> =
            all_aggregates().iter().map(|aggregate| aggregate.name().to_owned()).collect();
        assert_eq!(names, metric_names());
    }
}
