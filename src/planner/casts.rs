//! Casts as PostgreSQL does them: numbers round to integers, text becomes bytea by its escapes.

use crate::format::{EncodeSettings, parse_text};
use arrow::array::{Array, ArrayRef, AsArray, BinaryViewBuilder, Decimal128Array};
use arrow::datatypes::{DataType, Decimal128Type, Float32Type, Float64Type};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{ExprSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::{Cast, ScalarFunction};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use std::sync::{Arc, LazyLock};

static ROUND: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| Conversion::udf("round_to_integer"));
static BYTES: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| Conversion::udf("bytea_input"));

/// A cast with PostgreSQL's meaning put under it, if DataFusion's differs.
pub(super) fn check(cast: Cast, schema: &dyn ExprSchema) -> Transformed<Expr> {
    let Ok(from) = cast.expr.get_type(schema) else { return Transformed::no(Expr::Cast(cast)) };
    let to = cast.field.data_type();
    let function =
        if to.is_integer() && (from.is_floating() || matches!(from, DataType::Decimal128(..))) {
            &*ROUND
        } else if from.is_string() && matches!(to, DataType::Binary | DataType::BinaryView) {
            &*BYTES
        } else {
            return Transformed::no(Expr::Cast(cast));
        };
    if matches!(cast.expr.as_ref(), Expr::ScalarFunction(f) if f.func.name() == function.name()) {
        return Transformed::no(Expr::Cast(cast));
    }
    let call = ScalarFunction::new_udf(function.clone(), vec![*cast.expr]);
    let inner = Box::new(Expr::ScalarFunction(call));
    Transformed::yes(Expr::Cast(Cast { expr: inner, field: cast.field }))
}

/// A conversion of one argument.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Conversion {
    name: &'static str,
    signature: Signature,
}

impl Conversion {
    fn udf(name: &'static str) -> Arc<ScalarUDF> {
        let signature = Signature::any(1, Volatility::Immutable);
        Arc::new(ScalarUDF::new_from_impl(Self { name, signature }))
    }
}

impl ScalarUDFImpl for Conversion {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        Ok(if self.name == "bytea_input" { DataType::BinaryView } else { arguments[0].clone() })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let is_scalar = matches!(args.args[0], ColumnarValue::Scalar(_));
        let array = args.args[0].to_array(if is_scalar { 1 } else { args.number_rows })?;
        let converted = if self.name == "bytea_input" { bytes(&array)? } else { rounded(&array)? };
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
            let round = |v: i128| {
                let rest = v % unit;
                let down = v - rest;
                if rest.abs() * 2 >= unit { down + unit * v.signum() } else { down }
            };
            let values: Decimal128Array = array.as_primitive::<Decimal128Type>().unary(round);
            Arc::new(values.with_precision_and_scale(*precision, *scale)?)
        }
        _ => array.clone(),
    })
}

fn bytes(array: &ArrayRef) -> Result<ArrayRef> {
    let text = arrow::compute::cast(array, &DataType::Utf8)?;
    let text = text.as_string::<i32>();
    let settings = EncodeSettings::default();
    let mut builder = BinaryViewBuilder::new();
    for value in text {
        match value.map(|v| parse_text(v, &DataType::Binary, &settings)).transpose()? {
            Some(ScalarValue::Binary(Some(bytes)) | ScalarValue::BinaryView(Some(bytes))) => {
                builder.append_value(bytes);
            }
            _ => builder.append_null(),
        }
    }
    Ok(Arc::new(builder.finish()))
}
