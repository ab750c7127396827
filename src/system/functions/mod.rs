//! PostgreSQL's functions over the catalog and the session, as DataFusion functions.
//!
//! They read names and OIDs of at most a few thousand rows, so one generic wrapper calls a plain Rust
//! function for each row; which function that is stands in the tables of the modules below.

mod access;
mod definitions;
mod names;
mod session;
mod text;

use super::System;
use super::rows::{Cell, column_of, pg_field};
use crate::error::Result;
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use std::hash::{Hash, Hasher};
use std::ops::RangeInclusive;
use std::sync::Arc;

pub(super) use definitions::index_definition;
pub(super) use names::{
    OID_IN, REGCLASS_IN, REGCLASS_OUT, REGNAMESPACE_IN, REGNAMESPACE_OUT, REGPROC_IN, REGPROC_OUT,
    REGROLE_IN, REGROLE_OUT, REGTYPE_IN, REGTYPE_OUT,
};

/// One call for one row.
struct Call<'a> {
    system: &'a System,
    arguments: &'a [Cell],
    fields: &'a [FieldRef],
}

impl Call<'_> {
    /// The argument at this place; NULL if it was left out.
    fn argument(&self, index: usize) -> &Cell {
        self.arguments.get(index).unwrap_or(&Cell::Null)
    }

    /// The argument as an OID, 0 if it is none.
    fn oid(&self, index: usize) -> u32 {
        self.argument(index).oid().unwrap_or_default()
    }

    /// The argument as text, empty if it is none.
    fn text(&self, index: usize) -> &str {
        self.argument(index).text().unwrap_or_default()
    }
}

/// What a function is: name, numbers of arguments, result type in pg_type's words, and body.
struct Function {
    name: &'static str,
    arity: RangeInclusive<usize>,
    result: &'static str,
    /// NULL comes back for a NULL argument without a call.
    strict: bool,
    body: fn(&Call<'_>) -> Result<Cell>,
}

/// A function that answers NULL to NULL.
const fn strict(
    name: &'static str,
    arity: RangeInclusive<usize>,
    result: &'static str,
    body: fn(&Call<'_>) -> Result<Cell>,
) -> Function {
    Function { name, arity, result, strict: true, body }
}

/// A function that sees NULLs.
const fn lenient(
    name: &'static str,
    arity: RangeInclusive<usize>,
    result: &'static str,
    body: fn(&Call<'_>) -> Result<Cell>,
) -> Function {
    Function { name, arity, result, strict: false, body }
}

fn tables() -> impl Iterator<Item = &'static Function> {
    [access::ALL, definitions::ALL, names::ALL, session::ALL, text::ALL].into_iter().flatten()
}

/// Every function, bound to one statement's catalog and session.
pub(super) fn all(system: &Arc<System>) -> Vec<ScalarUDF> {
    let bind = |function| ScalarUDF::from(Bound::new(function, system.clone()));
    tables().map(bind).collect()
}

/// Name, number of arguments and result type of every function, for pg_proc.
pub(super) fn signatures() -> impl Iterator<Item = (&'static str, usize, &'static str)> {
    tables().map(|function| (function.name, *function.arity.start(), function.result))
}

/// True for names that only this module knows or knows better than DataFusion.
pub(super) fn is_function(name: &str) -> bool {
    tables().any(|function| function.name == name)
}

/// A function with the system that it reads.
#[derive(Debug)]
struct Bound {
    function: &'static Function,
    system: Arc<System>,
    signature: Signature,
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for Bound {
    fn eq(&self, other: &Self) -> bool {
        self.function.name == other.function.name && Arc::ptr_eq(&self.system, &other.system)
    }
}

impl Eq for Bound {}

impl Hash for Bound {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.function.name.hash(state);
    }
}

impl Bound {
    fn new(function: &'static Function, system: Arc<System>) -> Self {
        Self { function, system, signature: Signature::user_defined(Volatility::Stable) }
    }

    fn call(&self, row: &[Cell], fields: &[FieldRef]) -> Result<Cell> {
        if self.function.strict && row.contains(&Cell::Null) {
            return Ok(Cell::Null);
        }
        (self.function.body)(&Call { system: &self.system, arguments: row, fields })
    }
}

impl ScalarUDFImpl for Bound {
    fn name(&self) -> &str {
        self.function.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> DataFusionResult<DataType> {
        Ok(super::rows::arrow_type(self.function.result))
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs<'_>) -> DataFusionResult<FieldRef> {
        Ok(Arc::new(pg_field(self.function.name, self.function.result, true)))
    }

    fn coerce_types(&self, types: &[DataType]) -> DataFusionResult<Vec<DataType>> {
        if !self.function.arity.contains(&types.len()) {
            return Err(DataFusionError::Plan(format!(
                "function {} does not take {} arguments",
                self.function.name,
                types.len()
            )));
        }
        // Its answer is the argument's own type.
        if self.function.name == "pg_typeof" {
            return Ok(types.to_vec());
        }
        Ok(types.iter().map(canonical).collect())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        // Without columns among the arguments there is one answer for all rows.
        let constant = args.args.iter().all(|a| matches!(a, ColumnarValue::Scalar(_)));
        let count = if constant { 1 } else { args.number_rows };
        let mut cells = Vec::with_capacity(count);
        let mut row = Vec::with_capacity(args.args.len());
        for index in 0..count {
            row.clear();
            for argument in &args.args {
                row.push(cell_at(argument, index)?);
            }
            cells.push(self.call(&row, &args.arg_fields)?);
        }
        let data_type = args.return_field.data_type();
        if constant {
            return Ok(ColumnarValue::Scalar(cells[0].scalar(data_type)?));
        }
        Ok(ColumnarValue::Array(column_of(&cells, data_type)?))
    }
}

fn cell_at(value: &ColumnarValue, index: usize) -> DataFusionResult<Cell> {
    Ok(match value {
        ColumnarValue::Scalar(scalar) => Cell::from_scalar(scalar),
        ColumnarValue::Array(array) => {
            Cell::from_scalar(&ScalarValue::try_from_array(array, index)?)
        }
    })
}

/// Integers of all widths and texts of all layouts are each one type to the bodies.
fn canonical(data_type: &DataType) -> DataType {
    match data_type {
        t if t.is_integer() => DataType::Int64,
        DataType::Utf8View | DataType::LargeUtf8 | DataType::Null => DataType::Utf8,
        other => other.clone(),
    }
}
