//! The second pass over a query's tree: what PostgreSQL reads and DataFusion does not, or reads
//! as something else, becomes what it does read.
//!
//! | written | becomes |
//! |---|---|
//! | `EXISTS (…)` in the select list | a scalar subquery over `count(*) > 0` |
//! | `a SIMILAR TO p` | `a ~ similar_to_regex(p, '\')` |
//! | `extract(second \| epoch \| … FROM x)` | this program's `extract`; the other fields are cast to numeric |
//! | an interval's literal | one in units that DataFusion reads |
//! | `generate_series(…)` in the select list | `unnest(generate_series(…))` |
//! | `FETCH FIRST n ROWS ONLY` | `LIMIT n` |
//! | `sum(i::integer), sum(i::bigint)` | casts with a mark: DataFusion's names leave casts out |

use super::ast;
use crate::error::{Error, Result};
use crate::format::{EncodeSettings, parse_text};
use crate::parser::{TokenSlice, object_name};
use crate::sqlstate::SqlState;
use arrow::datatypes::{DataType as ArrowType, IntervalUnit};
use datafusion::common::ScalarValue;
use sqlparser::ast::{
    BinaryOperator, CastKind, DataType, DateTimeField, ExactNumberInfo, Expr, Function,
    FunctionArguments, GroupByExpr, Interval, LimitClause, Query, SelectItem, SetExpr, Spanned,
    Value, ValueWithSpan, Visit, VisitMut, Visitor, VisitorMut, visit_expressions,
};
use sqlparser::tokenizer::Span;
use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

type Failure = Box<(Error, Span)>;

/// Rewrites a query's tree.
pub(super) fn rewrite(query: &mut Query, slice: Option<&TokenSlice>, zone: &str) -> Result<()> {
    let mut speller = Speller { zone };
    if let ControlFlow::Break(failure) = VisitMut::visit(query, &mut speller) {
        let (error, span) = *failure;
        return Err(error.position_or(slice.and_then(|s| s.position(span.start))));
    }
    mark_casts(query);
    Ok(())
}

struct Speller<'a> {
    zone: &'a str,
}

impl VisitorMut for Speller<'_> {
    type Break = Failure;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Failure> {
        if let Err(failure) = fetch(query) {
            return ControlFlow::Break(failure);
        }
        select_lists(&mut query.body);
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Failure> {
        match self.expression(expr) {
            Ok(Some(replacement)) => *expr = replacement,
            Ok(None) => {}
            Err(failure) => return ControlFlow::Break(failure),
        }
        ControlFlow::Continue(())
    }
}

/// `FETCH FIRST n ROWS ONLY` is `LIMIT n`.
fn fetch(query: &mut Query) -> Result<(), Failure> {
    let Some(fetch) = query.fetch.take() else { return Ok(()) };
    if fetch.with_ties || fetch.percent {
        let error = Error::unsupported(
            "FETCH … WITH TIES or PERCENT",
            "Filter on rank() or percent_rank() in a subquery.",
        );
        return Err(Box::new((error, query.span())));
    }
    let one = || Expr::value(Value::Number("1".into(), false));
    let count = Some(fetch.quantity.unwrap_or_else(one));
    match &mut query.limit_clause {
        Some(LimitClause::LimitOffset { limit, .. }) => *limit = count,
        other => {
            *other =
                Some(LimitClause::LimitOffset { limit: count, offset: None, limit_by: Vec::new() });
        }
    }
    Ok(())
}

fn select_lists(body: &mut SetExpr) {
    match body {
        SetExpr::Select(select) => {
            for item in &mut select.projection {
                if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item
                {
                    let _ = VisitMut::visit(expr, &mut SelectList { depth: 0 });
                }
            }
        }
        SetExpr::SetOperation { left, right, .. } => {
            select_lists(left);
            select_lists(right);
        }
        _ => {}
    }
}

/// Changes the expressions of one select list, and not those of subqueries in it.
struct SelectList {
    depth: usize,
}

impl VisitorMut for SelectList {
    type Break = ();

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if self.depth > 0 {
            return ControlFlow::Continue(());
        }
        match expr {
            Expr::Exists { subquery, negated } => {
                if let Some(scalar) = exists(subquery, *negated) {
                    *expr = scalar;
                }
            }
            Expr::Function(function) if is_called(function, "generate_series") => {
                let series = Expr::Function(function.clone());
                *expr = super::rewrite::call("unnest", vec![series], Span::empty());
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

fn is_called(function: &Function, name: &str) -> bool {
    object_name(&function.name) == [name]
}

/// `EXISTS (query)` as a scalar subquery.
fn exists(query: &Query, negated: bool) -> Option<Expr> {
    let test = if negated { "count(*) = 0" } else { "count(*) > 0" };
    let mut counted = ast::parse_query(&format!("SELECT {test} AS \"exists\" FROM x")).ok()?;
    let mut inner = query.clone();
    let plain = matches!(inner.body.as_ref(), SetExpr::Select(select) if is_plain(select))
        && inner.limit_clause.is_none()
        && inner.fetch.is_none();
    let SetExpr::Select(count) = counted.body.as_mut() else { return None };
    if plain {
        // The condition stays where it is, so that DataFusion can take a correlated one apart.
        let SetExpr::Select(select) = inner.body.as_mut() else { return None };
        select.projection = std::mem::take(&mut count.projection);
        select.distinct = None;
        inner.order_by = None;
        return Some(Expr::Subquery(Box::new(inner)));
    }
    let from = count.from.first_mut()?;
    from.relation = ast::derived(inner, "__cenote_rows");
    Some(Expr::Subquery(Box::new(counted)))
}

/// A SELECT that gives one row for each row of its FROM that WHERE lets pass.
fn is_plain(select: &sqlparser::ast::Select) -> bool {
    let grouped = !matches!(&select.group_by, GroupByExpr::Expressions(e, _) if e.is_empty());
    let mut calls = false;
    for item in &select.projection {
        if let SelectItem::UnnamedExpr(e) | SelectItem::ExprWithAlias { expr: e, .. } = item {
            let _ = visit_expressions(e, |e| {
                calls |= matches!(e, Expr::Function(_));
                ControlFlow::<()>::Continue(())
            });
        }
    }
    !grouped && select.having.is_none() && select.qualify.is_none() && !calls
}

impl Speller<'_> {
    fn expression(&self, expr: &Expr) -> Result<Option<Expr>, Failure> {
        match expr {
            Expr::SimilarTo { negated, expr, pattern, escape_char } => {
                Ok(Some(similar(*negated, expr, pattern, escape_char.as_ref())))
            }
            Expr::Extract { field, expr: of, .. } => Ok(extract(field, of, expr)),
            Expr::Function(function) if is_called(function, "date_part") => Ok(date_part(function)),
            Expr::Cast { expr: inner, data_type: DataType::Interval { .. }, .. } => {
                match inner.as_ref() {
                    Expr::Value(value) => interval(value),
                    _ => Ok(None),
                }
            }
            Expr::TypedString(typed) if matches!(typed.data_type, DataType::Interval { .. }) => {
                interval(&typed.value)
            }
            Expr::Interval(Interval { value, leading_field: None, last_field: None, .. }) => {
                match value.as_ref() {
                    Expr::Value(value) => interval(value),
                    _ => Ok(None),
                }
            }
            Expr::Cast { expr: inner, data_type, .. } => {
                check_float(inner, data_type).map(|()| None)
            }
            Expr::Value(value) => bits(value).map(|()| None),
            Expr::Function(function)
                if is_called(function, "localtimestamp")
                    && matches!(function.args, FunctionArguments::None) =>
            {
                let zone = self.zone.replace('\'', "''");
                Ok(ast::parse_expression(&format!(
                    "CAST(to_local_time(now() AT TIME ZONE '{zone}') AS timestamp)"
                ))
                .ok())
            }
            _ => Ok(None),
        }
    }
}

fn text(value: &str) -> Expr {
    Expr::value(Value::SingleQuotedString(value.to_owned()))
}

fn similar(negated: bool, expr: &Expr, pattern: &Expr, escape: Option<&ValueWithSpan>) -> Expr {
    let escape = match escape {
        Some(escape) => Expr::Value(escape.clone()),
        None => text("\\"),
    };
    let regex =
        super::rewrite::call("similar_to_regex", vec![pattern.clone(), escape], Span::empty());
    let op = match negated {
        true => BinaryOperator::PGRegexNotMatch,
        false => BinaryOperator::PGRegexMatch,
    };
    let left = Box::new(Expr::Nested(Box::new(expr.clone())));
    Expr::Nested(Box::new(Expr::BinaryOp { left, op, right: Box::new(regex) }))
}

/// The fields that this program's `extract` gives, by the names that PostgreSQL knows them by. The others are
/// whole numbers, which DataFusion gives.
fn own_field(field: &str) -> Option<&'static str> {
    Some(match field {
        "microsecond" | "microseconds" | "usec" | "usecs" | "us" => "microseconds",
        "second" | "seconds" | "sec" | "secs" | "s" => "second",
        "millisecond" | "milliseconds" | "msec" | "msecs" | "ms" => "milliseconds",
        "minute" | "minutes" | "min" | "mins" | "m" => "minute",
        "hour" | "hours" | "hr" | "hrs" | "h" => "hour",
        "decade" | "decades" | "dec" | "decs" => "decade",
        "century" | "centuries" | "cent" | "c" => "century",
        "millennium" | "millennia" | "mil" | "mils" => "millennium",
        "timezone" => "timezone",
        "timezone_hour" => "timezone_hour",
        "timezone_minute" => "timezone_minute",
        "julian" => "julian",
        "epoch" => "epoch",
        _ => return None,
    })
}

/// A field's value as numeric, PostgreSQL's type for it.
fn extract(field: &DateTimeField, expr: &Expr, whole: &Expr) -> Option<Expr> {
    let field = field.to_string();
    let field = field.trim_matches(['\'', '"']).to_lowercase();
    Some(match own_field(&field) {
        Some(field) => {
            super::rewrite::call("extract", vec![text(field), expr.clone()], Span::empty())
        }
        None => cast(whole.clone(), DataType::Numeric(ExactNumberInfo::PrecisionAndScale(10, 0))),
    })
}

/// `date_part` is `extract` as double precision.
fn date_part(function: &Function) -> Option<Expr> {
    use sqlparser::ast::{FunctionArg, FunctionArgExpr};
    let FunctionArguments::List(list) = &function.args else { return None };
    let [first, FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))] = list.args.as_slice() else {
        return None;
    };
    let field = super::rewrite::argument_text(first)?.0.to_lowercase();
    let part = match own_field(&field) {
        Some(field) => {
            super::rewrite::call("extract", vec![text(field), expr.clone()], Span::empty())
        }
        None => Expr::Function(function.clone()),
    };
    Some(cast(part, DataType::DoublePrecision))
}

fn cast(expr: Expr, data_type: DataType) -> Expr {
    Expr::Cast { kind: CastKind::Cast, expr: Box::new(expr), data_type, array: false, format: None }
}

/// An interval's text is read here, and given on in units that DataFusion reads.
fn interval(value: &ValueWithSpan) -> Result<Option<Expr>, Failure> {
    let Value::SingleQuotedString(written) = &value.value else { return Ok(None) };
    let arrow = ArrowType::Interval(IntervalUnit::MonthDayNano);
    let parsed = parse_text(written, &arrow, &EncodeSettings::default())
        .map_err(|e| Box::new((e, value.span)))?;
    let ScalarValue::IntervalMonthDayNano(Some(parsed)) = parsed else { return Ok(None) };
    let units =
        format!("{} months {} days {} nanoseconds", parsed.months, parsed.days, parsed.nanoseconds);
    Ok(Some(Expr::Interval(Interval {
        value: Box::new(text(&units)),
        leading_field: None,
        leading_precision: None,
        last_field: None,
        fractional_seconds_precision: None,
    })))
}

/// A literal too large for a float is refused, not infinite.
fn check_float(inner: &Expr, data_type: &DataType) -> Result<(), Failure> {
    let Expr::Value(value) = inner else { return Ok(()) };
    let Value::SingleQuotedString(written) = &value.value else { return Ok(()) };
    let is_float = matches!(super::sql_type_of(data_type), Ok(crate::catalog::SqlType::Double));
    let is_number = written.bytes().any(|b| b.is_ascii_digit());
    if is_float && is_number && written.parse::<f64>().is_ok_and(f64::is_infinite) {
        let error = Error::new(
            SqlState::NumericValueOutOfRange,
            format!("\"{written}\" is out of range for type double precision"),
        );
        return Err(Box::new((error, value.span)));
    }
    Ok(())
}

/// Bit strings are a type that is not built; DataFusion would take them for bytes.
fn bits(value: &ValueWithSpan) -> Result<(), Failure> {
    match &value.value {
        Value::HexStringLiteral(_) | Value::SingleQuotedByteStringLiteral(_) => {
            let error = Error::unsupported(
                "a bit string literal",
                "Bytes are written as '\\x1f'::bytea, numbers in decimal digits.",
            );
            Err(Box::new((error, value.span)))
        }
        _ => Ok(()),
    }
}

/// Where two calls differ in casts only, each cast inside of a call carries its type as a constant.
fn mark_casts(query: &mut Query) {
    let mut calls = Calls { texts: HashMap::new() };
    let _ = Visit::visit(&*query, &mut calls);
    let colliding = calls.texts.values().any(|full| full.len() > 1);
    if colliding {
        let _ = VisitMut::visit(query, &mut CastMarker { depth: 0 });
    }
}

/// Function calls by their text without casts.
struct Calls {
    texts: HashMap<String, HashSet<String>>,
}

impl Visitor for Calls {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if matches!(expr, Expr::Function(_)) {
            let mut bare = expr.clone();
            let _ = VisitMut::visit(&mut bare, &mut NoCasts);
            self.texts.entry(bare.to_string()).or_default().insert(expr.to_string());
        }
        ControlFlow::Continue(())
    }
}

struct NoCasts;

impl VisitorMut for NoCasts {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Cast { expr: inner, .. } | Expr::Nested(inner) = expr {
            let inner = std::mem::replace(inner.as_mut(), Expr::value(Value::Null));
            *expr = inner;
        }
        ControlFlow::Continue(())
    }
}

struct CastMarker {
    depth: usize,
}

impl VisitorMut for CastMarker {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        self.depth += usize::from(matches!(expr, Expr::Function(_)));
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Function(_) => self.depth -= 1,
            Expr::Cast { expr: inner, data_type, .. }
                if self.depth > 0 && !matches!(inner.as_ref(), Expr::Value(_)) =>
            {
                let name = data_type.to_string();
                let marked = std::mem::replace(expr, Expr::value(Value::Null));
                *expr =
                    super::rewrite::call("__cenote_same", vec![marked, text(&name)], Span::empty());
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}
