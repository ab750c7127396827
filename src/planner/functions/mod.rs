//! Scalar functions and operators with PostgreSQL's meaning, in the place of DataFusion's.
//!
//! - `overrides` wraps functions that DataFusion has, where results or errors differ.
//! - `text`, `time` and `interval` are functions that it lacks, some under names of this program.
//! - `template` writes and reads values by PostgreSQL's templates.
//! - `operators` gives operators their meaning where operands have types that DataFusion refuses.

mod bytes;
mod choices;
mod degrees;
mod division;
mod interval;
mod make;
mod math;
mod operators;
mod overrides;
mod plain;
mod regexp;
mod scalars;
mod series;
mod single;
mod span;
mod template;
mod text;
mod time;
mod trunc;

pub(super) use choices::{is_choice, refuse_mixed};
pub(super) use division::{is_quotient, quotient, whole};
pub(super) use interval::{interval_input, interval_key};
pub(super) use math::{float_operator, negate_float};
pub(super) use single::single_value;
pub(super) use text::text_output;

use datafusion::common::Result;
use datafusion::execution::FunctionRegistry;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::ScalarUDF;
use std::sync::Arc;

/// What it is given, which may be NULL whatever its column says.
pub(super) fn nullable() -> Arc<ScalarUDF> {
    plain::Plain::udf(
        "nullable",
        1,
        |args| Ok(args.arg_fields[0].data_type().clone()),
        |arrays, _| Ok(arrays[0].clone()),
    )
}

/// Registers all of them, over DataFusion's own.
pub(super) fn register(state: &mut SessionState) -> Result<()> {
    for function in overrides::all() {
        state.register_udf(function)?;
    }
    for function in [
        text::length(),
        text::octet_length(),
        text::similar_pattern(),
        text::like_pattern(),
        text::same(),
        time::extract(),
        trunc::date_trunc(),
        regexp::split(),
        math::div(),
        make::clock_timestamp(),
        series::generate_series(),
    ] {
        state.register_udf(function)?;
    }
    for function in template::all()
        .into_iter()
        .chain(span::all())
        .chain(make::all())
        .chain(scalars::all())
        .chain(bytes::all())
        .chain(degrees::all())
    {
        state.register_udf(function)?;
    }
    let uuid = datafusion::functions::string::uuid();
    state.register_udf(Arc::new(uuid.as_ref().clone().with_aliases(["gen_random_uuid"])))?;
    for function in choices::all() {
        state.register_udf(function)?;
    }
    use datafusion::functions_aggregate::min_max::{max_udaf, min_udaf};
    for extreme in [
        cenote_udfs::FloatExtreme::greatest(max_udaf()),
        cenote_udfs::FloatExtreme::least(min_udaf()),
    ] {
        state.register_udaf(Arc::new(extreme.into()))?;
    }
    let every = datafusion::functions_aggregate::bool_and_or::bool_and_udaf();
    state.register_udaf(Arc::new(every.as_ref().clone().with_aliases(["every"])))?;
    let variance = datafusion::functions_aggregate::variance::var_samp_udaf();
    let variance = variance.as_ref().clone().with_aliases(["variance"]);
    state.register_udaf(Arc::new(variance))?;
    state.register_expr_planner(Arc::new(operators::Operators))
}
