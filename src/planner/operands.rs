//! What operands are before DataFusion coerces them: whole literals are `integer` where they fit, an
//! untyped literal takes the type beside it, a numeric beside a float is a float, and a date moved by
//! an interval is a timestamp.

use super::{functions, row_sets, types, zones};
use crate::catalog::SqlType;
use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion, TreeNodeRewriter};
use datafusion::common::{ExprSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::{BinaryExpr, Case, Cast, InList};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    Expr, ExprSchemable, LogicalPlan, Operator, ScalarUDF, WindowFrame, WindowFrameBound,
    WindowFrameUnits, binary_expr, cast, lit,
};
use datafusion::optimizer::AnalyzerRule;
use std::sync::{Arc, LazyLock};

/// What PostgreSQL's timestamp is.
pub(super) const MICROSECONDS: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

/// The rule of this file; it runs before DataFusion's type coercion.
#[derive(Debug)]
pub struct Operands;

impl AnalyzerRule for Operands {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.rewrite_with_subqueries(&mut Typer).map(|t| t.data)
    }

    fn name(&self) -> &str {
        "operands"
    }
}

struct Typer;

impl TreeNodeRewriter for Typer {
    type Node = LogicalPlan;

    fn f_down(&mut self, plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
        // The two parts of a recursive query agreed on their types when they were planned.
        let next = match plan {
            LogicalPlan::RecursiveQuery(_) => TreeNodeRecursion::Jump,
            _ => TreeNodeRecursion::Continue,
        };
        Ok(Transformed::new(plan, false, next))
    }

    fn f_up(&mut self, plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
        match plan {
            // LIMIT wants bigint.
            LogicalPlan::Limit(_) | LogicalPlan::RecursiveQuery(_) => Ok(Transformed::no(plan)),
            LogicalPlan::Values(values) => row_sets::values(values),
            LogicalPlan::Union(union) => row_sets::union(union),
            plan => operands_of(plan),
        }
    }
}

fn operands_of(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let mut schema = merge_schema(&plan.inputs());
    if plan.inputs().is_empty() {
        schema = plan.schema().as_ref().clone();
    }
    let preserver = NamePreserver::new(&plan);
    let changed = plan.map_expressions(|expr| {
        let name = preserver.save(&expr);
        typed(expr, &schema).map(|t| t.update_data(|expr| name.restore(expr)))
    })?;
    // Nodes above a changed one hold its old types: every schema is computed again.
    changed.map_data(LogicalPlan::recompute_schema)
}

/// An expression over columns of `schema` with its operands as PostgreSQL reads them.
pub(super) fn typed(expr: Expr, schema: &dyn ExprSchema) -> Result<Transformed<Expr>> {
    expr.transform_up(|expr| {
        let expr = match zones::at_time_zone(expr, schema) {
            Expr::Cast(cast) => types::bare_numeric(cast, schema),
            other => merged_lists(other),
        };
        let expr = peers_of_bytes(by_length(maybe_absent(places(expr)), schema), schema);
        let expr = untyped_operands(expr, schema);
        let expr = spelled_booleans(double_arguments(expr, schema), schema);
        functions::refuse_mixed(&expr, schema)?;
        let expr = in_common(quotients(float_operands(expr, schema), schema), schema);
        Ok(narrow(date_arithmetic(expr, schema)))
    })
}

/// Two lists over one value that leave nothing: DataFusion would make that a plain truth value, but
/// for NULL it is NULL.
fn merged_lists(expr: Expr) -> Expr {
    let (left, op, right) = match expr {
        Expr::Not(inner) => match *inner {
            Expr::InList(list) => {
                return merged_lists(Expr::InList(InList { negated: !list.negated, ..list }));
            }
            other => return Expr::Not(Box::new(other)),
        },
        Expr::InList(list) if list.list.iter().any(|e| kind_of_literal(e).is_none()) => {
            return compared(list);
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => (left, op, right),
        other => return other,
    };
    if let (Expr::InList(a), Expr::InList(b)) = (left.as_ref(), right.as_ref())
        && a.expr == b.expr
    {
        // What is no plain value of one type says nothing by how it is written.
        let kind = a.list.first().and_then(kind_of_literal);
        if !a.list.iter().chain(&b.list).all(|e| kind_of_literal(e) == kind) {
            return Expr::BinaryExpr(BinaryExpr { left, op, right });
        }
        let disjoint = a.list.iter().all(|e| !b.list.contains(e));
        let within = |x: &InList, y: &InList| x.list.iter().all(|e| y.list.contains(e));
        let null = || Box::new(lit(ScalarValue::Boolean(None)));
        let never = match (op, a.negated, b.negated) {
            (Operator::And, false, false) => disjoint,
            (Operator::And, false, true) => within(a, b),
            (Operator::And, true, false) => within(b, a),
            _ => false,
        };
        if never {
            let left = Box::new(Expr::IsNull(a.expr.clone()));
            return Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right: null() });
        }
        if op == Operator::Or && a.negated && b.negated && disjoint {
            let left = Box::new(Expr::IsNotNull(a.expr.clone()));
            return Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right: null() });
        }
    }
    Expr::BinaryExpr(BinaryExpr { left, op, right })
}

fn kind_of_literal(expr: &Expr) -> Option<DataType> {
    match expr {
        Expr::Literal(value, _) if !value.is_null() => Some(value.data_type()),
        Expr::Cast(Cast { expr, field }) => {
            kind_of_literal(expr).map(|_| field.data_type().clone())
        }
        _ => None,
    }
}

/// `x IN (a, NULL)` as comparisons: DataFusion merges lists by how their members are written.
fn compared(list: InList) -> Expr {
    let InList { expr, list, negated } = list;
    let (compare, combine) = match negated {
        true => (Operator::NotEq, Operator::And),
        false => (Operator::Eq, Operator::Or),
    };
    let mut terms: Vec<Expr> =
        list.into_iter().map(|e| binary_expr(expr.as_ref().clone(), compare, e)).collect();
    // A balanced tree, so that a long list does not nest deeply.
    while terms.len() > 1 {
        let mut pairs = terms.into_iter();
        let mut next = Vec::new();
        while let Some(left) = pairs.next() {
            next.push(match pairs.next() {
                Some(right) => binary_expr(left, combine, right),
                None => left,
            });
        }
        terms = next;
    }
    terms.pop().unwrap_or_else(|| lit(negated))
}

/// A subquery without rows is NULL, also where its column is not; DataFusion trusts the column.
fn maybe_absent(expr: Expr) -> Expr {
    match expr {
        Expr::ScalarSubquery(s)
            if s.outer_ref_columns.is_empty() && !s.subquery.schema().field(0).is_nullable() =>
        {
            NULLABLE.call(vec![Expr::ScalarSubquery(s)])
        }
        other => other,
    }
}

static NULLABLE: LazyLock<Arc<ScalarUDF>> = LazyLock::new(functions::nullable);

/// DataFusion turns `(array_agg(x ORDER BY y))[1]` into nth_value, whose place must be a bigint.
fn places(expr: Expr) -> Expr {
    match expr {
        Expr::AggregateFunction(mut call) if call.func.name() == "nth_value" => {
            if let Some(Expr::Literal(ScalarValue::Int32(Some(n)), _)) = call.params.args.get(1) {
                call.params.args[1] = lit(i64::from(*n));
            }
            Expr::AggregateFunction(call)
        }
        other => other,
    }
}

/// Intervals, and differences of times, have no order in DataFusion's frames: their lengths do.
fn by_length(expr: Expr, schema: &dyn ExprSchema) -> Expr {
    let mut expr = expr;
    if let Expr::WindowFunction(window) = &mut expr {
        for key in &mut window.params.order_by {
            let length = match key.expr.get_type(schema) {
                Ok(DataType::Interval(_)) => {
                    functions::interval_key().call(vec![std::mem::take(&mut key.expr)])
                }
                Ok(DataType::Duration(_)) => cast(std::mem::take(&mut key.expr), DataType::Int64),
                _ => continue,
            };
            key.expr = length;
        }
    }
    expr
}

/// DataFusion has no frames by the values of bytea. Without distances, those by groups of peers are
/// the same.
fn peers_of_bytes(expr: Expr, schema: &dyn ExprSchema) -> Expr {
    let mut expr = expr;
    if let Expr::WindowFunction(window) = &mut expr {
        let is_bytes = |e: &Expr| {
            let found = e.get_type(schema);
            found.is_ok_and(|t| matches!(t, DataType::Binary | DataType::BinaryView))
        };
        let params = &mut window.params;
        let frame = &params.window_frame;
        let nearby =
            |b: &WindowFrameBound| b.is_unbounded() || matches!(b, WindowFrameBound::CurrentRow);
        if frame.units == WindowFrameUnits::Range
            && params.order_by.iter().any(|key| is_bytes(&key.expr))
            && nearby(&frame.start_bound)
            && nearby(&frame.end_bound)
        {
            let (start, end) = (frame.start_bound.clone(), frame.end_bound.clone());
            params.window_frame = WindowFrame::new_bounds(WindowFrameUnits::Groups, start, end);
        }
    }
    expr
}

/// A text literal that is compared with something of another type is read as that type.
fn untyped_operands(expr: Expr, schema: &dyn ExprSchema) -> Expr {
    let wanted = |beside: &Expr| match beside.get_type(schema).ok()? {
        // What a literal says beyond the column's scale decides the comparison.
        DataType::Decimal128(..) => Some(SqlType::NUMERIC_DEFAULT.arrow()),
        t @ (DataType::Boolean
        | DataType::Date32
        | DataType::Timestamp(..)
        | DataType::Time64(_)
        | DataType::Interval(_)
        | DataType::Binary
        | DataType::BinaryView
        | DataType::List(_)) => Some(t),
        t if t.is_integer() || t.is_floating() => Some(t),
        _ => None,
    };
    let typed = |e: Expr, wanted: &DataType| match &e {
        Expr::Literal(ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text)), _) => {
            let written = matches!(wanted, DataType::Decimal128(..));
            let written = if written { types::written_type(text) } else { None };
            cast(e, written.unwrap_or_else(|| wanted.clone()))
        }
        _ => e,
    };
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if op.supports_propagation() => {
            let (for_left, for_right) = (wanted(&right), wanted(&left));
            let left = match for_left {
                Some(t) => Box::new(typed(*left, &t)),
                None => left,
            };
            let right = match for_right {
                Some(t) => Box::new(typed(*right, &t)),
                None => right,
            };
            Expr::BinaryExpr(BinaryExpr { left, op, right })
        }
        Expr::Between(mut between) => {
            if let Some(t) = wanted(&between.expr) {
                between.low = Box::new(typed(*between.low, &t));
                between.high = Box::new(typed(*between.high, &t));
            }
            Expr::Between(between)
        }
        Expr::ScalarFunction(mut call) if functions::is_choice(call.func.name()) => {
            let is_text = |e: &Expr| e.get_type(schema).is_ok_and(|t| t.is_string());
            let others = call.args.iter().filter(|e| !is_text(e));
            if let Some(t) = others.filter_map(wanted).next() {
                call.args = call.args.into_iter().map(|e| typed(e, &t)).collect();
            }
            Expr::ScalarFunction(call)
        }
        Expr::InList(mut list) => {
            if let Some(t) = wanted(&list.expr) {
                list.list = list.list.into_iter().map(|e| typed(e, &t)).collect();
            }
            Expr::InList(list)
        }
        other => other,
    }
}

/// A numeric beside a float is a float, as in PostgreSQL; DataFusion would make both numeric, which
/// cannot hold large floats.
fn float_operands(expr: Expr, schema: &dyn ExprSchema) -> Expr {
    let is_float = |e: &Expr| e.get_type(schema).is_ok_and(|t| t.is_floating());
    let to_float = |e: Expr| match e.get_type(schema) {
        Ok(DataType::Decimal128(..)) => cast(e, DataType::Float64),
        _ => e,
    };
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let (left, right) = match (is_float(&left), is_float(&right)) {
                (true, false) => (left, Box::new(to_float(*right))),
                (false, true) => (Box::new(to_float(*left)), right),
                _ => (left, right),
            };
            Expr::BinaryExpr(BinaryExpr { left, op, right })
        }
        other => other,
    }
}

/// The quotient of a numeric and a numeric or an integer has PostgreSQL's digits.
///
/// Only here are the types final: a sum of what is `bigint` until its literals are narrowed is a numeric.
fn quotients(expr: Expr, schema: &dyn ExprSchema) -> Expr {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op: op @ Operator::Divide, right }) => {
            let types = (left.get_type(schema), right.get_type(schema));
            if let (Ok(l), Ok(r)) = types
                && functions::is_quotient(&l, &r)
            {
                return functions::quotient((*left, &l), (*right, &r));
            }
            Expr::BinaryExpr(BinaryExpr { left, op, right })
        }
        other => other,
    }
}

/// concat writes a boolean as one letter, as PostgreSQL shows it; a cast to text writes it out.
fn spelled_booleans(expr: Expr, schema: &dyn ExprSchema) -> Expr {
    match expr {
        Expr::ScalarFunction(mut call) if ["concat", "concat_ws"].contains(&call.func.name()) => {
            for arg in &mut call.args {
                if arg.get_type(schema).is_ok_and(|t| t == DataType::Boolean) {
                    let whens = vec![
                        (Box::new(lit(true)), Box::new(lit("t"))),
                        (Box::new(lit(false)), Box::new(lit("f"))),
                    ];
                    let value = Box::new(std::mem::take(arg));
                    *arg = Expr::Case(Case::new(Some(value), whens, None));
                }
            }
            Expr::ScalarFunction(call)
        }
        other => other,
    }
}

/// Functions of floating point know double precision alone in PostgreSQL, which keeps 15 digits of a real's root.
const OF_DOUBLES: &[&str] = &[
    "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "cbrt", "ceil", "cos", "cosh",
    "cot", "degrees", "exp", "floor", "ln", "log", "log10", "log2", "power", "radians", "round",
    "signum", "sin", "sinh", "sqrt", "tan", "tanh", "trunc",
];

fn double_arguments(expr: Expr, schema: &dyn ExprSchema) -> Expr {
    match expr {
        Expr::ScalarFunction(mut call) if OF_DOUBLES.contains(&call.func.name()) => {
            for arg in &mut call.args {
                if arg.get_type(schema).is_ok_and(|t| t == DataType::Float32) {
                    *arg = cast(std::mem::take(arg), DataType::Float64);
                }
            }
            Expr::ScalarFunction(call)
        }
        other => other,
    }
}

/// The operands of BETWEEN, IN, CASE and the functions that answer with one of their arguments, in the
/// type that PostgreSQL finds for them: numerics beside a float are floats, dates beside a timestamp
/// timestamps. DataFusion would choose numeric, and nanoseconds, which end in the year 2262.
fn in_common(expr: Expr, schema: &dyn ExprSchema) -> Expr {
    let cast_all = |operands: Vec<&mut Expr>| {
        let types: Vec<_> = operands.iter().filter_map(|e| e.get_type(schema).ok()).collect();
        let Some(mixed) = row_sets::mixed(&types) else { return };
        for operand in operands {
            if operand.get_type(schema).is_ok_and(|t| mixed.is_cast(&t)) {
                *operand = cast(std::mem::take(operand), mixed.to.clone());
            }
        }
    };
    let mut expr = expr;
    match &mut expr {
        Expr::Between(b) => cast_all(vec![&mut *b.expr, &mut *b.low, &mut *b.high]),
        Expr::InList(list) => {
            cast_all(std::iter::once(&mut *list.expr).chain(&mut list.list).collect());
        }
        Expr::Case(case) => {
            if let Some(operand) = &mut case.expr {
                let whens = case.when_then_expr.iter_mut().map(|(when, _)| &mut **when);
                cast_all(std::iter::once(&mut **operand).chain(whens).collect());
            }
            let thens = case.when_then_expr.iter_mut().map(|(_, then)| &mut **then);
            cast_all(thens.chain(case.else_expr.as_deref_mut()).collect());
        }
        Expr::ScalarFunction(call)
            if functions::is_choice(call.func.name()) || call.func.name() == "make_array" =>
        {
            cast_all(call.args.iter_mut().collect());
        }
        _ => {}
    }
    expr
}

/// A date plus or minus an interval is a timestamp, as in PostgreSQL; DataFusion keeps the date.
///
/// Compared with a date, where the interval has no part of a day, both say the same: there the date
/// stays, so that files and row groups are skipped by the column's own statistics.
fn date_arithmetic(expr: Expr, schema: &dyn ExprSchema) -> Expr {
    let is_date = |e: &Expr| e.get_type(schema).is_ok_and(|t| t == DataType::Date32);
    let is_interval =
        |e: &Expr| e.get_type(schema).is_ok_and(|t| matches!(t, DataType::Interval(_)));
    match expr {
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: op @ (Operator::Plus | Operator::Minus),
            right,
        }) => {
            if op == Operator::Minus && is_date(&left) && is_date(&right) {
                // The days between them.
                let days = |e: Expr| Box::new(cast(e, DataType::Int32));
                let (left, right) = (days(*left), days(*right));
                return Expr::BinaryExpr(BinaryExpr { left, op, right });
            }
            let (left, right) = if is_date(&left) && is_interval(&right) {
                (Box::new(cast(*left, MICROSECONDS)), right)
            } else if is_interval(&left) && is_date(&right) {
                (left, Box::new(cast(*right, MICROSECONDS)))
            } else {
                (left, right)
            };
            Expr::BinaryExpr(BinaryExpr { left, op, right })
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if op.supports_propagation() => {
            let (left, right) = match (is_date(&left), is_date(&right)) {
                (true, false) => (left, Box::new(back_to_date(*right, &is_date))),
                (false, true) => (Box::new(back_to_date(*left, &is_date)), right),
                _ => (left, right),
            };
            // DataFusion would compare in nanoseconds, which end in the year 2262.
            let is_timestamp = |e: &Expr| e.get_type(schema).is_ok_and(|t| t == MICROSECONDS);
            let (left, right) = match (is_date(&left), is_date(&right)) {
                (true, false) if is_timestamp(&right) => {
                    (Box::new(cast(*left, MICROSECONDS)), right)
                }
                (false, true) if is_timestamp(&left) => {
                    (left, Box::new(cast(*right, MICROSECONDS)))
                }
                _ => (left, right),
            };
            Expr::BinaryExpr(BinaryExpr { left, op, right })
        }
        Expr::Between(mut between) if is_date(&between.expr) => {
            between.low = Box::new(back_to_date(*between.low, &is_date));
            between.high = Box::new(back_to_date(*between.high, &is_date));
            Expr::Between(between)
        }
        other => other,
    }
}

/// What [`date_arithmetic`] made of a date and a constant of whole days or months, undone.
fn back_to_date(expr: Expr, is_date: &dyn Fn(&Expr) -> bool) -> Expr {
    let whole = |e: &Expr| matches!(e, Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(i)), _) if i.nanoseconds == 0);
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if whole(&right) => {
            let left = match *left {
                Expr::Cast(Cast { expr: date, field })
                    if is_date(&date) && *field.data_type() == MICROSECONDS =>
                {
                    date
                }
                other => Box::new(other),
            };
            Expr::BinaryExpr(BinaryExpr { left, op, right })
        }
        other => other,
    }
}

fn narrow(expr: Expr) -> Transformed<Expr> {
    match expr {
        Expr::Literal(ScalarValue::Int64(Some(n)), metadata) => match i32::try_from(n) {
            Ok(n) => Transformed::yes(Expr::Literal(ScalarValue::Int32(Some(n)), metadata)),
            Err(_) => Transformed::no(Expr::Literal(ScalarValue::Int64(Some(n)), metadata)),
        },
        other => Transformed::no(other),
    }
}
