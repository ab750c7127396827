//! Integer arithmetic as PostgreSQL does it: what overflows is an error (22003) instead of a wrong
//! number.
//!
//! DataFusion wraps silently. [`CheckedArithmetic`] runs after its type coercion and puts a checked
//! function in the place of each integer `+ - *` and negation, so that projections, filters, joins,
//! aggregates, windows and constant folding are all covered by one rule. Casts and times are given
//! their meaning in the same walk: see `casts` and `zones`.

use super::casts::Reading;
use super::zones;
use crate::error::Error;
use crate::format::DateOrder;
use crate::sqlstate::SqlState;
use arrow::array::{ArrayRef, Datum};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{ExprSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::{BinaryExpr, ScalarFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, LogicalPlan, Operator, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};
use datafusion::optimizer::AnalyzerRule;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, LazyLock};

/// Integer `+ - *` and negation fail on overflow.
#[derive(Debug)]
pub struct CheckedArithmetic;

impl AnalyzerRule for CheckedArithmetic {
    fn analyze(&self, plan: LogicalPlan, config: &ConfigOptions) -> Result<LogicalPlan> {
        let order = Reading::order(config);
        let zone = config.execution.time_zone.as_deref().unwrap_or(zones::UTC);
        plan.transform_up_with_subqueries(|plan| {
            let mut schema = merge_schema(&plan.inputs());
            if plan.inputs().is_empty() {
                schema = plan.schema().as_ref().clone();
            }
            let preserver = NamePreserver::new(&plan);
            plan.map_expressions(|expr| {
                let name = preserver.save(&expr);
                expr.transform_up(|expr| {
                    zones::local(expr, &schema, zone)?
                        .transform_data(|expr| check(expr, &schema, zone, order))
                })
                .map(|t| t.update_data(|expr| name.restore(expr)))
            })
        })
        .map(|t| t.data)
    }

    fn name(&self) -> &str {
        "checked_arithmetic"
    }
}

fn check(
    expr: Expr,
    schema: &dyn ExprSchema,
    zone: &str,
    order: DateOrder,
) -> Result<Transformed<Expr>> {
    let (function, arguments) = match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let function = match op {
                Operator::Plus => &*ADD,
                Operator::Minus => &*SUBTRACT,
                Operator::Multiply => &*MULTIPLY,
                _ => return Ok(Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right }))),
            };
            let integers = left.get_type(schema).is_ok_and(|t| t.is_integer())
                && right.get_type(schema).is_ok_and(|t| t.is_integer());
            if !integers {
                return Ok(Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right })));
            }
            (function, vec![*left, *right])
        }
        Expr::Cast(c) => return Ok(super::casts::check(c, schema, zone, order)),
        Expr::Negative(inner) if inner.get_type(schema).is_ok_and(|t| t.is_integer()) => {
            (&*NEGATE, vec![*inner])
        }
        other => return Ok(Transformed::no(other)),
    };
    let function = match is_deep(&arguments, PLAIN_DEPTH) {
        true => Checked::deep(function.name(), &arguments),
        false => function.clone(),
    };
    Ok(Transformed::yes(Expr::ScalarFunction(ScalarFunction::new_udf(function, arguments))))
}

/// Operations in one another whose names are spelled out.
const PLAIN_DEPTH: usize = 8;

/// Whether more than so many checked operations stand in one another.
fn is_deep(arguments: &[Expr], depth: usize) -> bool {
    arguments.iter().any(|argument| match argument {
        Expr::ScalarFunction(inner) if Checked::operator(inner.name()).is_some() => {
            depth == 0 || is_deep(&inner.args, depth - 1)
        }
        _ => false,
    })
}

static ADD: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| Checked::udf(&OPERATIONS[0], None));
static SUBTRACT: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| Checked::udf(&OPERATIONS[1], None));
static MULTIPLY: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| Checked::udf(&OPERATIONS[2], None));
static NEGATE: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| Checked::udf(&OPERATIONS[3], None));

/// The functions' names and their operators.
const OPERATIONS: [(&str, &str); 4] = [
    ("checked_add", "+"),
    ("checked_subtract", "-"),
    ("checked_multiply", "*"),
    ("checked_negate", "neg"),
];

/// One checked operation over two arguments of the same integer type, or one.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Checked {
    name: &'static str,
    operator: &'static str,
    signature: Signature,
    /// What tells it from others, in the place of its arguments' names. DataFusion spells an expression's
    /// name whenever it asks for its type, at every level of it: the time for many operators in one another
    /// would grow with the cube of their number.
    digest: Option<u64>,
}

impl Checked {
    fn udf((name, operator): &(&'static str, &'static str), digest: Option<u64>) -> Arc<ScalarUDF> {
        let signature = Signature::variadic_any(Volatility::Immutable);
        Arc::new(ScalarUDF::new_from_impl(Self { name, operator, signature, digest }))
    }

    /// The operation of this name, if it is one of these.
    fn operator(name: &str) -> Option<&'static (&'static str, &'static str)> {
        OPERATIONS.iter().find(|(known, _)| *known == name)
    }

    /// The function of this name for arguments that are many operations in one another.
    fn deep(name: &str, arguments: &[Expr]) -> Arc<ScalarUDF> {
        let mut hasher = DefaultHasher::new();
        arguments.hash(&mut hasher);
        let operation = Self::operator(name).unwrap_or(&OPERATIONS[0]);
        Self::udf(operation, Some(hasher.finish()))
    }
}

impl ScalarUDFImpl for Checked {
    fn name(&self) -> &str {
        self.name
    }

    fn schema_name(&self, arguments: &[Expr]) -> Result<String> {
        Ok(match self.digest {
            Some(digest) => format!("{}(#{digest:016x})", self.name),
            None => {
                let names: Vec<String> =
                    arguments.iter().map(|argument| argument.schema_name().to_string()).collect();
                format!("{}({})", self.name, names.join(","))
            }
        })
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        Ok(arguments[0].clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        use arrow::compute::kernels::numeric::{add, mul, neg, sub};
        let kernel = match self.operator {
            "+" => add,
            "-" => sub,
            "*" => mul,
            _ => {
                let array = args.args[0].to_array(args.number_rows)?;
                return finish(neg(&array), &args);
            }
        };
        let result = match (&args.args[0], &args.args[1]) {
            (ColumnarValue::Array(l), ColumnarValue::Array(r)) => kernel(l, r),
            (ColumnarValue::Array(l), ColumnarValue::Scalar(r)) => kernel(l, &r.to_scalar()?),
            (ColumnarValue::Scalar(l), ColumnarValue::Array(r)) => kernel(&l.to_scalar()?, r),
            (ColumnarValue::Scalar(l), ColumnarValue::Scalar(r)) => {
                kernel(&l.to_array()? as &dyn Datum, &r.to_array()? as &dyn Datum)
            }
        };
        finish(result, &args)
    }
}

/// Gives the array back, as a scalar where all arguments were ones.
fn finish(
    result: std::result::Result<ArrayRef, ArrowError>,
    args: &ScalarFunctionArgs,
) -> Result<ColumnarValue> {
    let array = result.map_err(|e| match e {
        ArrowError::ArithmeticOverflow(_) => out_of_range(args.return_field.data_type()),
        other => other.into(),
    })?;
    let all_scalars = args.args.iter().all(|a| matches!(a, ColumnarValue::Scalar(_)));
    if all_scalars && array.len() == 1 {
        return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?));
    }
    Ok(ColumnarValue::Array(array))
}

fn out_of_range(data_type: &DataType) -> datafusion::error::DataFusionError {
    let name = match data_type {
        DataType::Int8 | DataType::Int16 => "smallint",
        DataType::Int32 => "integer",
        _ => "bigint",
    };
    Error::new(SqlState::NumericValueOutOfRange, format!("{name} out of range")).into()
}
