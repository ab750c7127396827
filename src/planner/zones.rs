//! Times in the session's zone: where a timestamptz becomes a date, a timestamp or a part of one, it
//! is the time that the session's clock shows.
//!
//! DataFusion holds instants in UTC and calculates there. Where the session's zone is another, these
//! rules put a shift to local time, or back, under casts, `extract`, `date_trunc` and the
//! sum with an interval of days or months.

use crate::format::SessionZone;
use arrow::array::{ArrayRef, AsArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{ExprSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::{BinaryExpr, Cast, ScalarFunction};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, Operator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility, cast,
};
use std::sync::Arc;

/// The zone that instants are held in.
pub(super) const UTC: &str = "UTC";

/// PostgreSQL's timestamp.
const LOCAL: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

/// Functions of a time whose answer depends on the zone.
const PARTS: &[&str] = &["date_part", "age"];

/// PostgreSQL's timestamptz.
fn instant() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into()))
}

fn is_instant(t: &DataType) -> bool {
    matches!(t, DataType::Timestamp(_, Some(_)))
}

/// `t AT TIME ZONE z`: an instant becomes the local time there, a local time the instant.
///
/// sqlparser's tree is planned as a cast to nanoseconds in that zone, a type that nothing else has.
pub(super) fn at_time_zone(expr: Expr, schema: &dyn ExprSchema) -> Expr {
    match expr {
        Expr::Cast(Cast { expr: inner, field }) => {
            let DataType::Timestamp(TimeUnit::Nanosecond, Some(zone)) = field.data_type() else {
                return Expr::Cast(Cast { expr: inner, field });
            };
            // The name under which the zone is known to sessions too: there `+03` means another one.
            let known = SessionZone::at(zone);
            let zone: &str = known.as_ref().map_or(&**zone, |known| known.name());
            match inner.get_type(schema) {
                Ok(t) if is_instant(&t) => to_local(*inner, zone),
                _ => to_instant(cast(*inner, LOCAL), zone),
            }
        }
        other => other,
    }
}

/// An expression with the session's zone put under it, if it depends on one.
pub(super) fn local(expr: Expr, schema: &dyn ExprSchema, zone: &str) -> Result<Transformed<Expr>> {
    if zone == UTC {
        return Ok(Transformed::no(expr));
    }
    let of_instant = |e: &Expr| e.get_type(schema).is_ok_and(|t| is_instant(&t));
    Ok(match expr {
        Expr::Cast(c) => match (c.expr.get_type(schema)?, c.field.data_type()) {
            (from, DataType::Timestamp(_, None) | DataType::Date32 | DataType::Time64(_))
                if is_instant(&from) =>
            {
                let inner = Box::new(to_local(*c.expr, zone));
                Transformed::yes(Expr::Cast(Cast { expr: inner, field: c.field }))
            }
            (DataType::Timestamp(_, None) | DataType::Date32, to) if is_instant(to) => {
                Transformed::yes(to_instant(cast(*c.expr, LOCAL), zone))
            }
            _ => Transformed::no(Expr::Cast(c)),
        },
        Expr::ScalarFunction(f)
            if PARTS.contains(&f.func.name()) && f.args.iter().any(of_instant) =>
        {
            Transformed::yes(Expr::ScalarFunction(with_local_arguments(f, &of_instant, zone)))
        }
        Expr::ScalarFunction(f)
            if f.func.name() == "date_trunc" && f.args.iter().any(of_instant) =>
        {
            let call = Expr::ScalarFunction(with_local_arguments(f, &of_instant, zone));
            Transformed::yes(to_instant(cast(call, LOCAL), zone))
        }
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: op @ (Operator::Plus | Operator::Minus),
            right,
        }) if of_instant(&left) && counts_days(&right, schema) => {
            let left = Box::new(to_local(*left, zone));
            let moved = Expr::BinaryExpr(BinaryExpr { left, op, right });
            Transformed::yes(to_instant(cast(moved, LOCAL), zone))
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Plus, right })
            if counts_days(&left, schema) && of_instant(&right) =>
        {
            let right = Box::new(to_local(*right, zone));
            let moved = Expr::BinaryExpr(BinaryExpr { left, op: Operator::Plus, right });
            Transformed::yes(to_instant(cast(moved, LOCAL), zone))
        }
        other => Transformed::no(other),
    })
}

fn with_local_arguments(
    f: ScalarFunction,
    of_instant: &dyn Fn(&Expr) -> bool,
    zone: &str,
) -> ScalarFunction {
    let args = f.args.into_iter();
    let args = args.map(|e| if of_instant(&e) { to_local(e, zone) } else { e }).collect();
    ScalarFunction { func: f.func, args }
}

/// True for intervals, unless one is known to be of hours and less.
fn counts_days(expr: &Expr, schema: &dyn ExprSchema) -> bool {
    match expr {
        Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(i)), _) => {
            i.months != 0 || i.days != 0
        }
        other => other.get_type(schema).is_ok_and(|t| matches!(t, DataType::Interval(_))),
    }
}

fn to_local(expr: Expr, zone: &str) -> Expr {
    Shift::call("timestamp_in_zone", cast(expr, instant()), zone)
}

fn to_instant(expr: Expr, zone: &str) -> Expr {
    Shift::call("timestamptz_from_zone", expr, zone)
}

/// Microseconds moved by a zone's distance from UTC.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Shift {
    name: &'static str,
    zone: String,
    signature: Signature,
}

impl Shift {
    fn call(name: &'static str, argument: Expr, zone: &str) -> Expr {
        let signature = Signature::any(1, Volatility::Immutable);
        let shift = ScalarUDF::new_from_impl(Self { name, zone: zone.to_owned(), signature });
        Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(shift), vec![argument]))
    }

    fn is_to_local(&self) -> bool {
        self.name == "timestamp_in_zone"
    }

    fn shifted(&self, array: &ArrayRef) -> Result<ArrayRef> {
        const SECOND: i64 = 1_000_000;
        let zone = SessionZone::parse(&self.zone).ok_or_else(|| {
            crate::error::Error::new(
                crate::sqlstate::SqlState::InvalidParameterValue,
                format!("time zone \"{}\" not recognized", self.zone),
            )
        })?;
        let array = arrow::compute::cast(array, &LOCAL)?;
        let times = array.as_primitive::<TimestampMicrosecondType>();
        let moved: TimestampMicrosecondArray = times.unary(|micros| {
            let seconds = micros.div_euclid(SECOND);
            if self.is_to_local() {
                micros.saturating_add(i64::from(zone.offset_at(seconds)) * SECOND)
            } else {
                micros.saturating_sub(i64::from(zone.offset_at_local(seconds)) * SECOND)
            }
        });
        Ok(if self.is_to_local() { Arc::new(moved) } else { Arc::new(moved.with_timezone(UTC)) })
    }
}

impl ScalarUDFImpl for Shift {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(if self.is_to_local() { LOCAL } else { instant() })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match &args.args[0] {
            ColumnarValue::Array(array) => Ok(ColumnarValue::Array(self.shifted(array)?)),
            ColumnarValue::Scalar(value) => {
                let array = self.shifted(&value.to_array()?)?;
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?))
            }
        }
    }
}
