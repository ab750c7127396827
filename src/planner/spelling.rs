//! The second pass over a query's tree: what PostgreSQL reads and DataFusion does not, or reads
//! as something else, becomes what it does read.
//!
//! | written | becomes |
//! |---|---|
//! | `EXISTS (…)` in the select list or ORDER BY | a scalar subquery over `count(*) > 0` |
//! | `x IN (SELECT …)` there | a CASE over counts (`membership`) |
//! | string_agg in two orders | array_to_string(array_agg(… ORDER BY …), …) |
//! | `a SIMILAR TO p` | `a ~ similar_to_regex(p, '\')` |
//! | `extract(second \| epoch \| … FROM x)` | this program's `extract`; the other fields are cast to numeric |
//! | `x LIKE ANY (ARRAY[p, q])` | `x LIKE p OR x LIKE q` |
//! | `a[2:]`, `a[:2]`, `a[-1]` | `a[2:cardinality(a)]`, `a[1:2]`, `a[0]`, which is NULL |
//! | `array_length(a, 1)` | `nullif(array_length(a, 1), 0)` |
//! | an interval's literal | one in units that DataFusion reads |
//! | `generate_series(…)` in the select list | `unnest(generate_series(…))` |
//! | `ARRAY(SELECT x …)` | `rows_or_none((SELECT array_agg(x) …))` |
//! | `SELECT 1 UNION ALL …` in WITH RECURSIVE | `SELECT 1::integer UNION ALL …`, where DataFusion has bigint |
//! | `FETCH FIRST n ROWS ONLY` | `LIMIT n` |
//! | `sum(i::integer), sum(i::bigint)` | casts with a mark: DataFusion's names leave casts out |

use super::from_functions::array_of_rows;
use super::{ast, names, recursion};
use crate::error::{Error, Result};
use crate::format::{EncodeSettings, parse_text};
use crate::parser::{TokenSlice, object_name};
use crate::sqlstate::SqlState;
use arrow::datatypes::{DataType as ArrowType, IntervalUnit};
use datafusion::common::ScalarValue;
use sqlparser::ast::{
    AccessExpr, BinaryOperator, CastKind, DataType, DateTimeField, ExactNumberInfo, Expr, Function,
    FunctionArgumentClause, FunctionArguments, GroupByExpr, Ident, Interval, LimitClause,
    NamedWindowDefinition, NamedWindowExpr, Query, Select, SelectItem, SetExpr, Spanned, Statement,
    Subscript, TableFactor, UnaryOperator, Value, ValueWithSpan, Visit, VisitMut, Visitor,
    VisitorMut, WindowSpec, WindowType, visit_expressions,
};
use sqlparser::tokenizer::Span;
use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

type Failure = Box<(Error, Span)>;

/// Rewrites a query's tree.
pub(super) fn rewrite(
    query: &mut Statement,
    slice: Option<&TokenSlice>,
    zone: &str,
    arrays: bool,
) -> Result<()> {
    let mut speller = Speller { zone, arrays };
    if let ControlFlow::Break(failure) = VisitMut::visit(query, &mut speller) {
        let (error, span) = *failure;
        return Err(error.position_or(slice.and_then(|s| s.position(span.start))));
    }
    mark_casts(query);
    Ok(())
}

struct Speller<'a> {
    zone: &'a str,
    /// Whether `ARRAY(query)` is rewritten here; over the catalog `system` does it in its own way.
    arrays: bool,
}

impl VisitorMut for Speller<'_> {
    type Break = Failure;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Failure> {
        if let Err(failure) = fetch(query) {
            return ControlFlow::Break(failure);
        }
        if let Some(with) = query.with.as_mut().filter(|with| with.recursive) {
            with.cte_tables.iter_mut().for_each(recursion::type_first_step);
        }
        names::order_by_places(query);
        select_lists(&mut query.body);
        if let Some(order) = &mut query.order_by {
            ast::outside_subqueries(order, as_value);
        }
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
            orders(&mut select.projection);
            inherited(select);
            for item in &mut select.projection {
                if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item
                {
                    ast::outside_subqueries(expr, as_value);
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

/// `OVER (w …)` takes PARTITION BY and ORDER BY from the window `w`, which DataFusion leaves out.
fn inherited(select: &mut Select) {
    let mut known: Vec<(Ident, WindowSpec)> = Vec::new();
    for NamedWindowDefinition(name, window) in &mut select.named_window {
        if let NamedWindowExpr::WindowSpec(spec) = window {
            inherit(spec, &known);
            known.push((name.clone(), spec.clone()));
        }
    }
    if known.is_empty() {
        return;
    }
    let _ = sqlparser::ast::visit_expressions_mut(&mut select.projection, |expr| {
        if let Expr::Function(function) = expr
            && let Some(WindowType::WindowSpec(spec)) = &mut function.over
        {
            inherit(spec, &known);
        }
        ControlFlow::<()>::Continue(())
    });
}

fn inherit(spec: &mut WindowSpec, known: &[(Ident, WindowSpec)]) {
    let folded = |name: &Ident| crate::parser::fold_ident(&name.value, name.quote_style);
    let Some(name) = spec.window_name.as_ref().map(folded) else { return };
    let Some((_, base)) = known.iter().find(|(n, _)| folded(n) == name) else { return };
    spec.window_name = None;
    spec.partition_by.splice(0..0, base.partition_by.iter().cloned());
    if spec.order_by.is_empty() {
        spec.order_by = base.order_by.clone();
    }
    if spec.window_frame.is_none() {
        spec.window_frame = base.window_frame.clone();
    }
}

/// DataFusion cannot feed string_agg in two orders; array_agg sorts by itself.
fn orders(items: &mut Vec<SelectItem>) {
    let mut wanted = HashSet::new();
    let _ = visit_expressions(items, |expr| {
        if let Some((_, order, _)) = ordered_string_agg(expr) {
            wanted.insert(order);
        }
        ControlFlow::<()>::Continue(())
    });
    if wanted.len() < 2 {
        return;
    }
    for item in items {
        let _ = sqlparser::ast::visit_expressions_mut(item, |expr| {
            if let Some((text, order, delimiter)) = ordered_string_agg(expr) {
                let Expr::Function(function) = &*expr else { return ControlFlow::Continue(()) };
                let filter = match &function.filter {
                    Some(filter) => format!("({filter}) AND ({text}) IS NOT NULL"),
                    None => format!("({text}) IS NOT NULL"),
                };
                let collected = format!(
                    "array_to_string(array_agg(CAST({text} AS text) {order}) FILTER (WHERE {filter}), {delimiter})"
                );
                if let Ok(collected) = ast::parse_expression(&collected) {
                    *expr = collected;
                }
            }
            ControlFlow::<()>::Continue(())
        });
    }
}

/// The text, the order and the delimiter of `string_agg(text, 'delimiter' ORDER BY …)`.
fn ordered_string_agg(expr: &Expr) -> Option<(String, String, String)> {
    let Expr::Function(function) = expr else { return None };
    let FunctionArguments::List(list) = &function.args else { return None };
    if !is_called(function, "string_agg") || function.over.is_some() {
        return None;
    }
    let ([text, delimiter], [clause @ FunctionArgumentClause::OrderBy(_)], None) =
        (list.args.as_slice(), list.clauses.as_slice(), &list.duplicate_treatment)
    else {
        return None;
    };
    super::rewrite::argument_text(delimiter)?;
    Some((text.to_string(), clause.to_string(), delimiter.to_string()))
}

/// What stands where a value is wanted, in a select list or ORDER BY.
fn as_value(expr: &mut Expr) {
    match expr {
        Expr::Exists { subquery, negated } => {
            if let Some(scalar) = exists(subquery, *negated) {
                *expr = scalar;
            }
        }
        Expr::InSubquery { .. } => super::membership::count(expr),
        Expr::Function(function) if is_called(function, "generate_series") => {
            let series = Expr::Function(function.clone());
            *expr = super::rewrite::call("unnest", vec![series], Span::empty());
        }
        Expr::Function(Function { name, args: FunctionArguments::List(list), .. }) => {
            if let [name] = object_name(name).as_slice()
                && let Some(array) = array_of_rows(name, &list.args)
            {
                *expr = super::rewrite::call("unnest", vec![array], Span::empty());
            }
        }
        _ => {}
    }
}

fn is_called(function: &Function, name: &str) -> bool {
    object_name(&function.name) == [name]
}

/// `ARRAY(query)`: the rows of a query of one column as an array, which is empty where there are none.
fn array_of(query: &Query) -> Option<Expr> {
    let of_one = match query.body.as_ref() {
        SetExpr::Select(select) if is_plain(select) => match select.projection.as_slice() {
            [SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }] => Some(expr),
            _ => None,
        },
        _ => None,
    };
    let is_whole = query.limit_clause.is_none() && query.fetch.is_none() && query.with.is_none();
    let collected = match of_one.filter(|_| is_whole) {
        Some(element) => {
            let order = query.order_by.as_ref().map(ToString::to_string).unwrap_or_default();
            let element = ast::parse_expression(&format!("array_agg({element} {order})")).ok()?;
            let mut inner = query.clone();
            let SetExpr::Select(select) = inner.body.as_mut() else { return None };
            select.projection = vec![SelectItem::UnnamedExpr(element)];
            inner.order_by = None;
            inner
        }
        None => {
            let text = "SELECT array_agg(__cenote_row) FROM x AS __cenote_rows (__cenote_row)";
            let mut collected = ast::parse_query(text).ok()?;
            let SetExpr::Select(select) = collected.body.as_mut() else { return None };
            let relation = &mut select.from.first_mut()?.relation;
            let TableFactor::Table { alias, .. } = &*relation else { return None };
            let shown = alias.clone();
            *relation = ast::derived(query.clone(), "__cenote_rows");
            if let TableFactor::Derived { alias, .. } = relation {
                *alias = shown;
            }
            collected
        }
    };
    let collected = Expr::Subquery(Box::new(collected));
    Some(super::rewrite::call("rows_or_none", vec![collected], Span::empty()))
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
            Expr::Function(Function { name, args: FunctionArguments::Subquery(query), .. })
                if self.arrays && object_name(name) == ["array"] =>
            {
                Ok(array_of(query))
            }
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
            // DataFusion would negate the first of the literal's units.
            Expr::UnaryOp { op: UnaryOperator::Minus, expr: inner }
                if matches!(inner.as_ref(), Expr::Interval(_)) =>
            {
                let expr = Box::new(Expr::Nested(inner.clone()));
                Ok(Some(Expr::UnaryOp { op: UnaryOperator::Minus, expr }))
            }
            Expr::Cast { expr: inner, data_type, .. } => {
                check_float(inner, data_type).map(|()| None)
            }
            Expr::Value(value) => bits(value).map(|()| None),
            Expr::Like { any: true, .. } | Expr::ILike { any: true, .. } => Ok(like_any(expr)),
            Expr::CompoundFieldAccess { root, access_chain } => Ok(bounded(root, access_chain)),
            // An empty array has no dimensions.
            Expr::Function(function) if is_called(function, "array_length") => {
                let zero = Expr::value(Value::Number("0".into(), false));
                let arguments = vec![expr.clone(), zero];
                Ok(Some(super::rewrite::call("nullif", arguments, Span::empty())))
            }
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

/// `x LIKE ANY (ARRAY[…])` as an OR of its patterns.
fn like_any(expr: &Expr) -> Option<Expr> {
    let (Expr::Like { pattern, .. } | Expr::ILike { pattern, .. }) = expr else { return None };
    let mut patterns = pattern.as_ref();
    while let Expr::Nested(inner) = patterns {
        patterns = inner;
    }
    let Expr::Array(array) = patterns else { return None };
    let one = |wanted: &Expr| {
        let mut one = expr.clone();
        if let Expr::Like { any, pattern, .. } | Expr::ILike { any, pattern, .. } = &mut one {
            *any = false;
            **pattern = wanted.clone();
        }
        one
    };
    Some(ast::joined(BinaryOperator::Or, array.elem.iter().map(one).collect()))
}

/// A slice without a bound goes to that end of the array; there is no element before the first.
fn bounded(root: &Expr, chain: &[AccessExpr]) -> Option<Expr> {
    let [AccessExpr::Subscript(subscript)] = chain else { return None };
    let mut changed = subscript.clone();
    match &mut changed {
        Subscript::Slice { lower_bound, upper_bound, .. } => {
            if lower_bound.is_some() && upper_bound.is_some() {
                return None;
            }
            lower_bound.get_or_insert_with(|| Expr::value(Value::Number("1".into(), false)));
            let length = || super::rewrite::call("cardinality", vec![root.clone()], Span::empty());
            upper_bound.get_or_insert_with(|| super::literals::bigint(length()));
        }
        Subscript::Index { index } => match index {
            Expr::UnaryOp { op: UnaryOperator::Minus, expr } if is_number(expr) => {
                *index = Expr::value(Value::Number("0".into(), false));
            }
            _ => return None,
        },
    }
    let access_chain = vec![AccessExpr::Subscript(changed)];
    Some(Expr::CompoundFieldAccess { root: Box::new(root.clone()), access_chain })
}

fn is_number(expr: &Expr) -> bool {
    matches!(expr, Expr::Value(v) if matches!(v.value, Value::Number(..)))
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
fn mark_casts(query: &mut Statement) {
    let mut calls = Calls::default();
    let _ = Visit::visit(&*query, &mut calls);
    let collide =
        |texts: &HashMap<String, HashSet<String>>| texts.values().any(|full| full.len() > 1);
    // A group's cast may stand beside its column.
    if collide(&calls.groups) {
        let _ = VisitMut::visit(query, &mut CastMarker { depth: 1 });
    } else if collide(&calls.texts) {
        let _ = VisitMut::visit(query, &mut CastMarker { depth: 0 });
    }
}

/// Function calls, and expressions of GROUP BY, by their text without casts.
#[derive(Default)]
struct Calls {
    texts: HashMap<String, HashSet<String>>,
    groups: HashMap<String, HashSet<String>>,
}

fn without_casts(expr: &Expr) -> String {
    let mut bare = expr.clone();
    let _ = VisitMut::visit(&mut bare, &mut NoCasts);
    bare.to_string()
}

impl Visitor for Calls {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if matches!(expr, Expr::Function(_)) {
            self.texts.entry(without_casts(expr)).or_default().insert(expr.to_string());
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        if let GroupByExpr::Expressions(keys, _) = &select.group_by {
            let mut groups: HashMap<String, HashSet<String>> = HashMap::new();
            for key in keys {
                groups.entry(without_casts(key)).or_default().insert(key.to_string());
            }
            self.groups.extend(groups.into_iter().filter(|(_, full)| full.len() > 1));
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
