//! Casts as PostgreSQL does them: numbers round to integers, text is read in PostgreSQL's spellings.

use crate::error::Error;
use crate::format::{ColumnParser, DateOrder, EncodeSettings, SessionZone};
use crate::sqlstate::SqlState;
use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array};
use arrow::datatypes::{DataType, Decimal128Type, Float32Type, Float64Type};
use datafusion::common::config::{ConfigEntry, ConfigExtension, ConfigOptions, ExtensionOptions};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{ExprSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::{Cast, ScalarFunction};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use std::any::Any;
use std::sync::Arc;

/// The session's DateStyle, where rules of the planner find it.
#[derive(Debug, Clone)]
pub(super) struct Reading(pub(super) DateOrder);

impl Reading {
    /// The order that a plan's options name.
    pub(super) fn order(config: &ConfigOptions) -> DateOrder {
        config.extensions.get::<Self>().map_or(DateOrder::Mdy, |reading| reading.0)
    }
}

impl ConfigExtension for Reading {
    const PREFIX: &'static str = "cenote";
}

impl ExtensionOptions for Reading {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn cloned(&self) -> Box<dyn ExtensionOptions> {
        Box::new(self.clone())
    }

    fn set(&mut self, key: &str, _: &str) -> Result<()> {
        Err(Error::internal(format!("{key} is set by the session")).into())
    }

    fn entries(&self) -> Vec<ConfigEntry> {
        Vec::new()
    }
}

/// A cast with PostgreSQL's meaning put under it, if DataFusion's differs.
pub(super) fn check(
    cast: Cast,
    schema: &dyn ExprSchema,
    zone: &str,
    order: DateOrder,
) -> Transformed<Expr> {
    let Ok(from) = cast.expr.get_type(schema) else { return Transformed::no(Expr::Cast(cast)) };
    let to = cast.field.data_type();
    let how = if to.is_integer() && (from.is_floating() || matches!(from, DataType::Decimal128(..)))
    {
        How::Round
    } else if matches!((&from, to), (DataType::Float64, DataType::Float32)) {
        How::Narrow
    } else if from.is_string() && is_read_from_text(to) {
        How::Read { to: to.clone(), zone: zone.to_owned(), order }
    } else {
        return Transformed::no(Expr::Cast(cast));
    };
    if matches!(cast.expr.as_ref(), Expr::ScalarFunction(f) if f.func.name() == how.name()) {
        return Transformed::no(Expr::Cast(cast));
    }
    let call = ScalarFunction::new_udf(Conversion::udf(how), vec![*cast.expr]);
    let inner = Box::new(Expr::ScalarFunction(call));
    Transformed::yes(Expr::Cast(Cast { expr: inner, field: cast.field }))
}

fn is_read_from_text(to: &DataType) -> bool {
    !to.is_string() && ColumnParser::new(to, &EncodeSettings::default()).is_ok()
}

/// What becomes of a value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum How {
    /// A number to a whole one of the same type.
    Round,
    /// A double precision number to a real one, which may be too small for it.
    Narrow,
    /// Text to a type; times without a zone are the session's, as is the order of a date's parts.
    Read { to: DataType, zone: String, order: DateOrder },
}

impl How {
    fn name(&self) -> &'static str {
        match self {
            How::Round => "round_to_integer",
            How::Narrow => "narrow_to_real",
            How::Read { .. } => "text_input",
        }
    }
}

/// A conversion of one argument.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Conversion {
    how: How,
    signature: Signature,
}

impl Conversion {
    fn udf(how: How) -> Arc<ScalarUDF> {
        let signature = Signature::any(1, Volatility::Immutable);
        Arc::new(ScalarUDF::new_from_impl(Self { how, signature }))
    }
}

impl ScalarUDFImpl for Conversion {
    fn name(&self) -> &str {
        self.how.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        Ok(match &self.how {
            How::Round => arguments[0].clone(),
            How::Narrow => DataType::Float32,
            How::Read { to, .. } => to.clone(),
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let is_scalar = matches!(args.args[0], ColumnarValue::Scalar(_));
        let array = args.args[0].to_array(if is_scalar { 1 } else { args.number_rows })?;
        let converted = match &self.how {
            How::Round => rounded(&array)?,
            How::Narrow => narrowed(&array)?,
            How::Read { to, zone, order } => read(&array, to, zone, *order)?,
        };
        if is_scalar {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&converted, 0)?));
        }
        Ok(ColumnarValue::Array(converted))
    }
}

/// Floats round half to even, numerics half away from zero.
fn rounded(array: &ArrayRef) -> Result<ArrayRef> {
    Ok(match array.data_type() {
        DataType::Float64 => Arc::new(
            array.as_primitive::<Float64Type>().unary::<_, Float64Type>(f64::round_ties_even),
        ),
        DataType::Float32 => Arc::new(
            array.as_primitive::<Float32Type>().unary::<_, Float32Type>(f32::round_ties_even),
        ),
        DataType::Decimal128(precision, scale) if *scale > 0 => {
            let unit = 10i128.pow(u32::from(scale.unsigned_abs()));
            // Below a NULL may stand any number.
            let round = |v: i128| {
                let rest = v % unit;
                let up = rest.unsigned_abs() >= unit.unsigned_abs().div_ceil(2);
                (v - rest).wrapping_add(if up { unit * v.signum() } else { 0 })
            };
            let values: Decimal128Array = array.as_primitive::<Decimal128Type>().unary(round);
            Arc::new(values.with_precision_and_scale(*precision, *scale)?)
        }
        _ => array.clone(),
    })
}

fn narrowed(array: &ArrayRef) -> Result<ArrayRef> {
    let narrow = |value: f64| {
        let real = value as f32;
        if real.is_infinite() && value.is_finite() {
            return Err(Error::new(
                SqlState::NumericValueOutOfRange,
                "value out of range: overflow",
            ));
        }
        Ok(real)
    };
    let values = array.as_primitive::<Float64Type>();
    Ok(Arc::new(values.try_unary::<_, Float32Type, Error>(narrow)?))
}

fn read(array: &ArrayRef, to: &DataType, zone: &str, order: DateOrder) -> Result<ArrayRef> {
    let settings = EncodeSettings {
        time_zone: SessionZone::parse(zone).unwrap_or_else(SessionZone::utc),
        date_order: order,
        ..EncodeSettings::default()
    };
    let text = arrow::compute::cast(array, &DataType::Utf8View)?;
    let mut column = ColumnParser::new(to, &settings)?;
    for value in text.as_string_view() {
        match value {
            Some(text) => column.append_text(text)?,
            None => column.append_null(),
        }
    }
    Ok(column.finish()?)
}
