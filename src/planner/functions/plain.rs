//! A scalar function made of two plain Rust functions.

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// The result's type, from the arguments' types and constants.
pub(super) type Returns = fn(&ReturnFieldArgs<'_>) -> Result<DataType>;
/// The result, from whole columns.
pub(super) type Body = fn(&[ArrayRef], &ScalarFunctionArgs) -> Result<ArrayRef>;

/// One function.
pub(super) struct Plain {
    name: &'static str,
    signature: Signature,
    returns: Returns,
    body: Body,
}

impl Plain {
    /// A function of `arity` arguments of any type.
    pub(super) fn udf(
        name: &'static str,
        arity: usize,
        returns: Returns,
        body: Body,
    ) -> Arc<ScalarUDF> {
        Self::with_signature(name, Signature::any(arity, Volatility::Immutable), returns, body)
    }

    /// A function of other numbers of arguments, or one whose result changes.
    pub(super) fn with_signature(
        name: &'static str,
        signature: Signature,
        returns: Returns,
        body: Body,
    ) -> Arc<ScalarUDF> {
        Arc::new(ScalarUDF::new_from_impl(Self { name, signature, returns, body }))
    }
}

impl std::fmt::Debug for Plain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plain").field("name", &self.name).finish_non_exhaustive()
    }
}

impl PartialEq for Plain {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Plain {}

impl Hash for Plain {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for Plain {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        let fields: Vec<FieldRef> =
            arguments.iter().map(|t| Arc::new(Field::new("", t.clone(), true))).collect();
        let constants = vec![None; fields.len()];
        (self.returns)(&ReturnFieldArgs { arg_fields: &fields, scalar_arguments: &constants })
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        Ok(Arc::new(Field::new(self.name, (self.returns)(&args)?, true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        over_arrays(&args, self.body)
    }
}

/// Calls a function with whole columns, and gives a scalar back where all arguments were ones.
pub(super) fn over_arrays(
    args: &ScalarFunctionArgs,
    body: impl Fn(&[ArrayRef], &ScalarFunctionArgs) -> Result<ArrayRef>,
) -> Result<ColumnarValue> {
    let constant = args.args.iter().all(|a| matches!(a, ColumnarValue::Scalar(_)));
    let rows = if constant { 1 } else { args.number_rows };
    let arrays = args.args.iter().map(|a| a.to_array(rows)).collect::<Result<Vec<_>>>()?;
    let result = body(&arrays, args)?;
    if constant {
        return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?));
    }
    Ok(ColumnarValue::Array(result))
}
