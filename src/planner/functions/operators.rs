//! Operators over types that DataFusion refuses, or gives another meaning.

use super::interval::{interval_divide, interval_key, interval_multiply};
use super::overrides::{ACROSS_LINES, across_lines};
use super::text::bytea_concat;
use crate::catalog::SqlType;
use crate::planner::ast::is_comparison;
use crate::planner::types::written_type;
use arrow::datatypes::{DataType, Field, IntervalUnit};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::functions::string::starts_with;
use datafusion::functions_nested::array_has::array_has_any_udf;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator, ScalarUDF, cast};
use sqlparser::ast::BinaryOperator;
use std::sync::Arc;

/// Bytes behind bytes, intervals times numbers, intervals beside intervals.
#[derive(Debug)]
pub(super) struct Operators;

fn call(function: Arc<ScalarUDF>, arguments: Vec<Expr>) -> Expr {
    Expr::ScalarFunction(ScalarFunction::new_udf(function, arguments))
}

fn is_interval(t: &DataType) -> bool {
    matches!(t, DataType::Interval(IntervalUnit::MonthDayNano) | DataType::Duration(_))
}

fn is_array(t: &DataType) -> bool {
    matches!(t, DataType::List(_))
}

/// An untyped literal beside an operator is read as the type that the other side asks for.
fn read_beside(
    literal: &mut Expr,
    op: &BinaryOperator,
    other: &Expr,
    schema: &DFSchema,
    is_right: bool,
) {
    let Expr::Literal(ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text)), _) =
        literal
    else {
        return;
    };
    let Ok(found) = other.get_type(schema) else { return };
    let is_arithmetic = matches!(
        op,
        BinaryOperator::Plus
            | BinaryOperator::Minus
            | BinaryOperator::Multiply
            | BinaryOperator::Divide
            | BinaryOperator::Modulo
    );
    let is_logic = matches!(op, BinaryOperator::And | BinaryOperator::Or) || is_comparison(op);
    let wanted = match found {
        DataType::Boolean if is_logic => DataType::Boolean,
        DataType::Decimal128(..) if is_arithmetic => {
            written_type(text).unwrap_or_else(|| SqlType::NUMERIC_DEFAULT.arrow())
        }
        // Literals are bigint until they are narrowed.
        DataType::Int64 if is_arithmetic && is_small(other) => DataType::Int32,
        number if is_arithmetic && (number.is_signed_integer() || number.is_floating()) => number,
        date @ DataType::Date32 if *op == BinaryOperator::Minus => date,
        time @ DataType::Timestamp(..) if is_right && *op == BinaryOperator::Minus => time,
        _ => return,
    };
    *literal = cast(std::mem::take(literal), wanted);
}

fn is_small(expr: &Expr) -> bool {
    let Expr::Literal(ScalarValue::Int64(Some(number)), _) = expr else { return false };
    i32::try_from(*number).is_ok()
}

/// What an interval is multiplied by is double precision.
fn as_factor(expr: &mut Expr) {
    if let Expr::Placeholder(parameter) = expr
        && parameter.field.as_ref().is_none_or(|f| f.data_type().is_null())
    {
        parameter.field = Some(Arc::new(Field::new("", DataType::Float64, true)));
    }
}

/// A pattern whose `.` matches the ends of lines too, as in PostgreSQL.
fn pattern_across_lines(mut pattern: Expr, schema: &DFSchema) -> Expr {
    let literal = |text: String| Expr::Literal(ScalarValue::Utf8(Some(text)), None);
    if let Expr::Literal(ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text)), _) =
        &pattern
    {
        return literal(across_lines(text));
    }
    if let Expr::Placeholder(parameter) = &mut pattern
        && parameter.field.as_ref().is_none_or(|f| f.data_type().is_null())
    {
        parameter.field = Some(Arc::new(Field::new("", DataType::Utf8View, true)));
    }
    if !pattern.get_type(schema).is_ok_and(|t| t.is_string()) {
        return pattern;
    }
    let (left, right) = (Box::new(literal(ACROSS_LINES.to_owned())), Box::new(pattern));
    Expr::BinaryExpr(BinaryExpr { left, op: Operator::StringConcat, right })
}

impl ExprPlanner for Operators {
    fn plan_binary_op(
        &self,
        mut raw: RawBinaryExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawBinaryExpr>> {
        let beside_interval = |e: &Expr| e.get_type(schema).is_ok_and(|t| is_interval(&t));
        match raw.op {
            BinaryOperator::Multiply | BinaryOperator::Divide if beside_interval(&raw.left) => {
                as_factor(&mut raw.right);
            }
            BinaryOperator::Multiply if beside_interval(&raw.right) => as_factor(&mut raw.left),
            BinaryOperator::PGRegexMatch
            | BinaryOperator::PGRegexIMatch
            | BinaryOperator::PGRegexNotMatch
            | BinaryOperator::PGRegexNotIMatch => {
                raw.right = pattern_across_lines(raw.right, schema);
            }
            _ => {}
        }
        read_beside(&mut raw.left, &raw.op, &raw.right, schema, false);
        read_beside(&mut raw.right, &raw.op, &raw.left, schema, true);
        let (Ok(left), Ok(right)) = (raw.left.get_type(schema), raw.right.get_type(schema)) else {
            return Ok(PlannerResult::Original(raw));
        };
        let planned = match raw.op {
            BinaryOperator::StringConcat if left.is_binary() || right.is_binary() => {
                // The cast reads an untyped literal as bytea's input.
                let bytes = |e: Expr, t: &DataType| match t.is_binary() {
                    true => e,
                    false => cast(e, DataType::BinaryView),
                };
                call(bytea_concat(), vec![bytes(raw.left, &left), bytes(raw.right, &right)])
            }
            // An untyped literal beside a time that it is added to is an interval.
            BinaryOperator::Plus
                if matches!(left, DataType::Timestamp(..))
                    && matches!(&raw.right, Expr::Literal(..))
                    && right.is_string() =>
            {
                let interval = DataType::Interval(IntervalUnit::MonthDayNano);
                let (left, right) = (Box::new(raw.left), Box::new(cast(raw.right, interval)));
                Expr::BinaryExpr(BinaryExpr { left, op: Operator::Plus, right })
            }
            BinaryOperator::PGOverlap if is_array(&left) || is_array(&right) => {
                // An untyped literal is read as an array of the other's type.
                let (one, other) = match (is_array(&left), is_array(&right)) {
                    (true, true) => (raw.left, raw.right),
                    (true, false) => (raw.left, cast(raw.right, left)),
                    (false, _) => (cast(raw.left, right), raw.right),
                };
                call(array_has_any_udf(), vec![one, other])
            }
            BinaryOperator::PGStartsWith if left.is_string() || right.is_string() => {
                call(starts_with(), vec![raw.left, raw.right])
            }
            BinaryOperator::Multiply if is_interval(&left) && right.is_numeric() => {
                call(interval_multiply(), vec![raw.left, raw.right])
            }
            BinaryOperator::Multiply if left.is_numeric() && is_interval(&right) => {
                call(interval_multiply(), vec![raw.right, raw.left])
            }
            BinaryOperator::Divide if is_interval(&left) && right.is_numeric() => {
                call(interval_divide(), vec![raw.left, raw.right])
            }
            ref op if is_comparison(op) && is_interval(&left) && is_interval(&right) => {
                let RawBinaryExpr { op, left, right } = raw;
                let key = |e: Expr| call(interval_key(), vec![e]);
                let (left, right) = (Box::new(key(left)), Box::new(key(right)));
                let op = match op {
                    BinaryOperator::Eq => Operator::Eq,
                    BinaryOperator::NotEq => Operator::NotEq,
                    BinaryOperator::Lt => Operator::Lt,
                    BinaryOperator::LtEq => Operator::LtEq,
                    BinaryOperator::Gt => Operator::Gt,
                    _ => Operator::GtEq,
                };
                Expr::BinaryExpr(BinaryExpr { left, op, right })
            }
            _ => return Ok(PlannerResult::Original(raw)),
        };
        Ok(PlannerResult::Planned(planned))
    }
}
