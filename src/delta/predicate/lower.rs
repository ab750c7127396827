//! From a planned filter to the predicate that keeps as much of it as files can be asked about.

use super::{Comparison, Predicate, typed_text};
use arrow::datatypes::{DataType, Schema};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};

/// A longer list counts as the range that it spans.
const LIST_MAX: usize = 64;
/// A longer text is not worth its place in a record.
const VALUE_BYTES_MAX: usize = 1024;
/// A predicate of more parts is not kept.
const PARTS_MAX: usize = 1024;
/// What is nested deeper counts as true; a chain of ANDs or ORs is one level.
const DEPTH_MAX: usize = 32;

/// The rows for which all filters may be true. Columns are named without their table.
pub fn lower(filters: &[Expr], schema: &Schema) -> Predicate {
    let lowered = all(filters.iter().map(|f| positive(f, schema, DEPTH_MAX)).collect());
    if parts(&lowered) > PARTS_MAX { Predicate::True } else { lowered }
}

fn parts(predicate: &Predicate) -> usize {
    match predicate {
        Predicate::And(list) | Predicate::Or(list) => 1 + list.iter().map(parts).sum::<usize>(),
        _ => 1,
    }
}

fn all(mut list: Vec<Predicate>) -> Predicate {
    list.retain(|p| *p != Predicate::True);
    match list.len() {
        0 => Predicate::True,
        1 => list.remove(0),
        _ => Predicate::And(list),
    }
}

fn any(mut list: Vec<Predicate>) -> Predicate {
    match list.len() {
        _ if list.is_empty() || list.contains(&Predicate::True) => Predicate::True,
        1 => list.remove(0),
        _ => Predicate::Or(list),
    }
}

/// The operands of a chain of one operator, however long it is.
fn operands(expr: &Expr, wanted: Operator) -> Vec<&Expr> {
    let (mut found, mut open) = (Vec::new(), vec![expr]);
    while let Some(next) = open.pop() {
        match next {
            Expr::BinaryExpr(BinaryExpr { left, op, right }) if *op == wanted => {
                open.extend([right.as_ref(), left.as_ref()]);
            }
            other => found.push(other),
        }
    }
    found
}

/// Rows for which `expr` may be true.
fn positive(expr: &Expr, schema: &Schema, depth: usize) -> Predicate {
    let Some(deeper) = depth.checked_sub(1) else { return Predicate::True };
    let each = |op| operands(expr, op).into_iter().map(|e| positive(e, schema, deeper)).collect();
    match expr {
        Expr::BinaryExpr(BinaryExpr { op: Operator::And, .. }) => all(each(Operator::And)),
        Expr::BinaryExpr(BinaryExpr { op: Operator::Or, .. }) => any(each(Operator::Or)),
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => binary(left, *op, right, schema),
        Expr::Not(inner) | Expr::IsFalse(inner) => negative(inner, schema, deeper),
        Expr::IsTrue(inner) => positive(inner, schema, deeper),
        Expr::IsNull(inner) => column(inner, schema).map_or(Predicate::True, Predicate::IsNull),
        Expr::IsNotNull(inner) => {
            column(inner, schema).map_or(Predicate::True, Predicate::IsNotNull)
        }
        Expr::Between(between) if !between.negated => all(vec![
            binary(&between.expr, Operator::GtEq, &between.low, schema),
            binary(&between.expr, Operator::LtEq, &between.high, schema),
        ]),
        Expr::Between(between) => any(vec![
            binary(&between.expr, Operator::Lt, &between.low, schema),
            binary(&between.expr, Operator::Gt, &between.high, schema),
        ]),
        Expr::InList(list) => in_list(list, list.negated, schema),
        Expr::Column(_) => flag(expr, true, schema),
        _ => Predicate::True,
    }
}

/// Rows for which `expr` may be false, which is not the same as not being true.
fn negative(expr: &Expr, schema: &Schema, depth: usize) -> Predicate {
    let Some(deeper) = depth.checked_sub(1) else { return Predicate::True };
    let each = |op| operands(expr, op).into_iter().map(|e| negative(e, schema, deeper)).collect();
    match expr {
        Expr::BinaryExpr(BinaryExpr { op: Operator::And, .. }) => any(each(Operator::And)),
        Expr::BinaryExpr(BinaryExpr { op: Operator::Or, .. }) => all(each(Operator::Or)),
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match op.negate() {
            Some(op) => binary(left, op, right, schema),
            None => Predicate::True,
        },
        Expr::Not(inner) => positive(inner, schema, deeper),
        Expr::IsNull(inner) => column(inner, schema).map_or(Predicate::True, Predicate::IsNotNull),
        Expr::IsNotNull(inner) => column(inner, schema).map_or(Predicate::True, Predicate::IsNull),
        Expr::InList(list) => in_list(list, !list.negated, schema),
        Expr::Column(_) => flag(expr, false, schema),
        _ => Predicate::True,
    }
}

/// The name of a bare column; anything around it may change what NULL and order mean.
fn column(expr: &Expr, schema: &Schema) -> Option<String> {
    match expr {
        Expr::Column(column) if schema.index_of(&column.name).is_ok() => Some(column.name.clone()),
        _ => None,
    }
}

/// A boolean column that stands alone.
fn flag(expr: &Expr, wanted: bool, schema: &Schema) -> Predicate {
    compare(expr, Comparison::Equal, &ScalarValue::Boolean(Some(wanted)), schema)
}

fn binary(left: &Expr, op: Operator, right: &Expr, schema: &Schema) -> Predicate {
    let comparison = |op: Operator| {
        Some(match op {
            Operator::Eq => Comparison::Equal,
            Operator::NotEq => Comparison::NotEqual,
            Operator::Lt => Comparison::Less,
            Operator::LtEq => Comparison::LessOrEqual,
            Operator::Gt => Comparison::Greater,
            Operator::GtEq => Comparison::GreaterOrEqual,
            _ => return None,
        })
    };
    let (column, op, value) = match (left, right) {
        (Expr::Column(_), Expr::Literal(value, _)) => (left, Some(op), value),
        (Expr::Literal(value, _), Expr::Column(_)) => (right, op.swap(), value),
        _ => return Predicate::True,
    };
    match op.and_then(comparison) {
        Some(comparison) => compare(column, comparison, value, schema),
        None => Predicate::True,
    }
}

fn compare(expr: &Expr, comparison: Comparison, value: &ScalarValue, schema: &Schema) -> Predicate {
    let kept = column(expr, schema).and_then(|name| {
        let data_type = schema.field_with_name(&name).ok()?.data_type();
        let text = typed_text(value, data_type).filter(|t| t.len() <= VALUE_BYTES_MAX)?;
        Some(Predicate::Compare(name, comparison, text))
    });
    kept.unwrap_or(Predicate::True)
}

fn in_list(list: &InList, negated: bool, schema: &Schema) -> Predicate {
    let literal = |e: &Expr| match e {
        // A NULL in the list adds no row to IN, and takes none from NOT IN as far as is said here.
        Expr::Literal(value, _) => Some(value.clone()),
        _ => None,
    };
    let Some(values) = list.list.iter().map(literal).collect::<Option<Vec<_>>>() else {
        return Predicate::True;
    };
    let values: Vec<ScalarValue> = values.into_iter().filter(|v| !v.is_null()).collect();
    if values.len() > LIST_MAX {
        return match negated {
            true => Predicate::True,
            false => span(&list.expr, &values, schema),
        };
    }
    let each = |comparison| {
        values.iter().map(|v| compare(&list.expr, comparison, v, schema)).collect::<Vec<_>>()
    };
    match negated {
        true => all(each(Comparison::NotEqual)),
        false => any(each(Comparison::Equal)),
    }
}

/// The range from the lowest to the highest of many values.
fn span(expr: &Expr, values: &[ScalarValue], schema: &Schema) -> Predicate {
    // Floats have two zeros and NaN, whose places in an order are a matter of taste.
    let ordered = |v: &ScalarValue| !matches!(v.data_type(), DataType::Float32 | DataType::Float64);
    let Some(first) = values.first().filter(|_| values.iter().all(ordered)) else {
        return Predicate::True;
    };
    let (mut low, mut high) = (first, first);
    for value in values {
        low = if value < low { value } else { low };
        high = if value > high { value } else { high };
    }
    if values.iter().any(|v| v.data_type() != first.data_type()) {
        return Predicate::True;
    }
    all(vec![
        compare(expr, Comparison::GreaterOrEqual, low, schema),
        compare(expr, Comparison::LessOrEqual, high, schema),
    ])
}
