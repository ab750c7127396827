//! Metric and drift aggregates, and PostgreSQL's sum and avg, for any DataFusion project.
//!
//! * [`all_aggregates`]: the metrics as SQL aggregates, from `mae` to `ks_stat`;
//! * [`regression`], [`classification`], [`probability`], [`ranking`], [`drift`]: the same
//!   metrics as functions of slices and as mergeable statistics;
//! * [`FloatExtreme`]: `max` and `min` for which NaN is greater than every number;
//! * [`sql_aggregates`]: `sum` and `avg` with PostgreSQL's result types and overflow errors.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod aggregates;
pub mod classification;
mod distinct;
pub mod drift;
mod extremes;
mod groups;
mod interval_avg;
mod mean;
mod numeric_avg;
mod numeric_sum;
mod ordered;
pub mod probability;
pub mod ranking;
pub mod regression;
pub mod summation;
mod summed_types;
#[cfg(test)]
mod testing;
mod total;

pub use aggregates::{all_aggregates, metric_names};
pub use extremes::FloatExtreme;
pub use numeric_avg::NumericAvg;
pub use numeric_sum::NumericSum;
pub use ordered::OrderedChoice;

use datafusion_expr::AggregateUDF;

/// `sum`, `avg`, `mode` and `percentile_disc` by the rules of PostgreSQL, to be registered over DataFusion's own.
pub fn sql_aggregates() -> Vec<AggregateUDF> {
    vec![
        AggregateUDF::from(NumericSum::new()),
        AggregateUDF::from(NumericAvg::new()),
        AggregateUDF::from(OrderedChoice::mode()),
        AggregateUDF::from(OrderedChoice::percentile()),
    ]
}
