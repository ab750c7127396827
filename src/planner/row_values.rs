//! Rows of values in conditions, compared column by column as PostgreSQL does, and NULL in arrays.
//!
//! DataFusion compares structs, for which NULL equals NULL, and knows no query of several columns beside
//! a row. `x = ANY (array)` is `array_has` there, which is false where a NULL leaves the answer open.
//!
//! | written | becomes |
//! |---|---|
//! | `(a, b) = (c, d)` | `a = c AND b = d` |
//! | `(a, b) < (c, d)` | `a < c OR (a = c AND b < d)` |
//! | `(a, b) IN ((c, d), …)` | the OR of comparisons |
//! | `(a, b) IS NULL` | `a IS NULL AND b IS NULL` |
//! | `(a, b) = (SELECT …)` | a comparison with one scalar subquery for each column |
//! | `(a, b) IN (SELECT …)` | EXISTS in WHERE, a CASE over counts elsewhere |
//! | `x = ANY (ARRAY[a, b])` | `x IN (a, b)` |
//! | `x = ANY (array)` outside of WHERE | a CASE that asks for NULLs in the array |

use super::ast::{binary, is_comparison, joined, nested, parse_expression, parse_query};
use crate::error::{Error, Result};
use crate::format::{EncodeSettings, parse_text};
use crate::parser::{TokenSlice, fold_ident, object_name};
use crate::sqlstate::SqlState;
use arrow::array::AsArray;
use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use sqlparser::ast::{
    BinaryOperator, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Query, Select,
    SelectItem, SetExpr, Spanned, Statement, TableFactor, UnaryOperator, Value, Visit, VisitMut,
    Visitor, VisitorMut,
};
use sqlparser::tokenizer::Span;
use std::collections::HashSet;
use std::ops::ControlFlow;

type Failure = Box<(Error, Span)>;

/// Rewrites a statement's conditions; with `arrays` also those over arrays.
pub(super) fn rewrite(
    statement: &mut Statement,
    slice: Option<&TokenSlice>,
    arrays: bool,
) -> Result<()> {
    if let ControlFlow::Break(failure) = VisitMut::visit(statement, &mut Rows { arrays }) {
        let (error, span) = *failure;
        return Err(error.position_or(slice.and_then(|s| s.position(span.start))));
    }
    Ok(())
}

struct Rows {
    arrays: bool,
}

impl VisitorMut for Rows {
    type Break = Failure;

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<Failure> {
        if let Some(condition) = &mut select.selection {
            self.conjuncts(condition);
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Failure> {
        match self.spelled(expr) {
            Ok(Some(replacement)) => *expr = replacement,
            Ok(None) => {}
            Err(failure) => return ControlFlow::Break(failure),
        }
        ControlFlow::Continue(())
    }
}

impl Rows {
    /// Of a conjunct of WHERE only counts whether it is true.
    fn conjuncts(&self, expr: &mut Expr) {
        match expr {
            Expr::BinaryOp { left, op: BinaryOperator::And | BinaryOperator::Or, right } => {
                self.conjuncts(left);
                self.conjuncts(right);
            }
            Expr::Nested(inner) => self.conjuncts(inner),
            Expr::InSubquery { expr: left, subquery, negated } => {
                let exists = row(left).and_then(|left| exists(&left, subquery, *negated));
                if let Some(exists) = exists {
                    *expr = exists;
                }
            }
            Expr::AnyOp { left, compare_op: BinaryOperator::Eq, right, .. }
                if self.arrays
                    && !matches!(right.as_ref(), Expr::Subquery(_) | Expr::Array(_))
                    && literal_array(right).is_none() =>
            {
                let arguments = vec![right.as_ref().clone(), left.as_ref().clone()];
                *expr = super::rewrite::call("array_has", arguments, left.span());
            }
            _ => {}
        }
    }

    fn spelled(&self, expr: &Expr) -> Result<Option<Expr>, Failure> {
        match expr {
            Expr::BinaryOp { left, op, right } if is_comparison(op) => compared(left, op, right),
            Expr::IsDistinctFrom(left, right) => distinct(left, right, true),
            Expr::IsNotDistinctFrom(left, right) => distinct(left, right, false),
            Expr::InList { expr: left, list, negated } if row(left).is_some() => {
                let mut terms = Vec::with_capacity(list.len());
                for item in list {
                    let equal = compared(left, &BinaryOperator::Eq, item)?;
                    terms.push(equal.ok_or_else(|| unequal(item))?);
                }
                Ok(Some(negate(joined(BinaryOperator::Or, terms), *negated)))
            }
            Expr::Between { expr: value, negated, low, high } if row(value).is_some() => {
                let low = compared(value, &BinaryOperator::GtEq, low)?;
                let high = compared(value, &BinaryOperator::LtEq, high)?;
                let terms: Vec<Expr> = low.into_iter().chain(high).collect();
                Ok((terms.len() == 2).then(|| negate(joined(BinaryOperator::And, terms), *negated)))
            }
            Expr::IsNull(value) => Ok(row(value).map(|r| every(r, Expr::IsNull))),
            Expr::IsNotNull(value) => Ok(row(value).map(|r| every(r, Expr::IsNotNull))),
            Expr::InSubquery { expr: left, subquery, negated } => match row(left) {
                Some(left) => counted(&left, subquery, *negated),
                None => Ok(None),
            },
            Expr::AnyOp { left, compare_op: BinaryOperator::Eq, right, .. } => {
                match (row(left), right.as_ref()) {
                    (Some(left), Expr::Subquery(query)) => counted(&left, query, false),
                    _ if self.arrays => Ok(in_array(left, right, false)),
                    _ => Ok(None),
                }
            }
            Expr::AllOp { left, compare_op: BinaryOperator::NotEq, right } => {
                match (row(left), right.as_ref()) {
                    (Some(left), Expr::Subquery(query)) => counted(&left, query, true),
                    _ if self.arrays => Ok(listed(left, right, true)),
                    _ => Ok(None),
                }
            }
            _ => Ok(None),
        }
    }
}

/// The values of a row: `(a, b)`, `ROW(a, b)`, or the columns of a query of `count` columns.
pub fn row_of(expr: &Expr, count: usize) -> Option<Vec<Expr>> {
    match expr {
        Expr::Subquery(query) => columns_of(query, count),
        other => row(other),
    }
}

fn row(expr: &Expr) -> Option<Vec<Expr>> {
    match expr {
        Expr::Tuple(values) => Some(values.clone()),
        Expr::Nested(inner) => row(inner),
        Expr::Function(function) if object_name(&function.name) == ["row"] => {
            let FunctionArguments::List(list) = &function.args else { return None };
            let value = |arg: &FunctionArg| match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => Some(value.clone()),
                _ => None,
            };
            list.args.iter().map(value).collect()
        }
        _ => None,
    }
}

/// A scalar subquery for each column of a query.
fn columns_of(query: &Query, count: usize) -> Option<Vec<Expr>> {
    if let Some(columns) = columns_of_select(query) {
        return Some(columns);
    }
    let source = source(query, count);
    let column = |i: usize| {
        let query = parse_query(&format!("SELECT {} FROM {source}", member(i))).ok()?;
        Some(Expr::Subquery(Box::new(query)))
    };
    (0..count).map(column).collect()
}

/// The same where the query is a plain SELECT, which may name columns from outside.
fn columns_of_select(query: &Query) -> Option<Vec<Expr>> {
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    if select.distinct.is_some() || query.order_by.is_some() {
        return None;
    }
    let column = |item: &SelectItem| {
        if !matches!(item, SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. }) {
            return None;
        }
        let mut one = query.clone();
        if let SetExpr::Select(select) = one.body.as_mut() {
            select.projection = vec![item.clone()];
        }
        Some(Expr::Subquery(Box::new(one)))
    };
    select.projection.iter().map(column).collect()
}

fn member(i: usize) -> String {
    format!("__cenote_member_{i}")
}

fn source(query: &Query, count: usize) -> String {
    let names: Vec<String> = (0..count).map(member).collect();
    format!("({query}) AS __cenote_members ({})", names.join(", "))
}

/// The columns of both sides, where one is a row and the other a row or a query.
fn pairs(left: &Expr, right: &Expr) -> Result<Option<Vec<(Expr, Expr)>>, Failure> {
    let (left_row, right_row) = match (row(left), row(right)) {
        (Some(l), Some(r)) => (l, r),
        (Some(l), None) => match row_of(right, l.len()) {
            Some(r) => (l, r),
            None => return Ok(None),
        },
        (None, Some(r)) => match row_of(left, r.len()) {
            Some(l) => (l, r),
            None => return Ok(None),
        },
        (None, None) => return Ok(None),
    };
    if left_row.len() != right_row.len() {
        return Err(unequal(right));
    }
    if left_row.is_empty() {
        let error = Error::unsupported("comparing rows of no columns", "Compare values.");
        return Err(Box::new((error, right.span())));
    }
    Ok(Some(left_row.into_iter().zip(right_row).collect()))
}

fn unequal(at: &Expr) -> Failure {
    let message = "unequal number of entries in row expressions";
    Box::new((Error::new(SqlState::SyntaxError, message), at.span()))
}

fn compared(left: &Expr, op: &BinaryOperator, right: &Expr) -> Result<Option<Expr>, Failure> {
    let Some(pairs) = pairs(left, right)? else { return Ok(None) };
    let compare = |op: &BinaryOperator, l: &Expr, r: &Expr| match compared(l, op, r)? {
        Some(rows) => Ok(rows),
        None => Ok(binary(l.clone(), op.clone(), r.clone())),
    };
    let connective = match op {
        BinaryOperator::Eq => BinaryOperator::And,
        BinaryOperator::NotEq => BinaryOperator::Or,
        // The first columns that differ decide.
        _ => {
            let strict = match op {
                BinaryOperator::Lt | BinaryOperator::LtEq => BinaryOperator::Lt,
                _ => BinaryOperator::Gt,
            };
            let mut pairs = pairs.into_iter().rev();
            let Some((l, r)) = pairs.next() else { return Ok(None) };
            let mut rest = compare(op, &l, &r)?;
            for (l, r) in pairs {
                let equal = compare(&BinaryOperator::Eq, &l, &r)?;
                let equal = binary(equal, BinaryOperator::And, rest);
                rest = binary(compare(&strict, &l, &r)?, BinaryOperator::Or, equal);
            }
            return Ok(Some(rest));
        }
    };
    let terms =
        pairs.iter().map(|(l, r)| compare(op, l, r)).collect::<Result<Vec<_>, Failure>>()?;
    Ok(Some(joined(connective, terms)))
}

fn distinct(left: &Expr, right: &Expr, negated: bool) -> Result<Option<Expr>, Failure> {
    let Some(pairs) = pairs(left, right)? else { return Ok(None) };
    let terms = pairs.into_iter().map(|(l, r)| {
        let (l, r) = (Box::new(nested(l)), Box::new(nested(r)));
        nested(if negated { Expr::IsDistinctFrom(l, r) } else { Expr::IsNotDistinctFrom(l, r) })
    });
    let connective = if negated { BinaryOperator::Or } else { BinaryOperator::And };
    Ok(Some(joined(connective, terms.collect())))
}

fn every(values: Vec<Expr>, test: impl Fn(Box<Expr>) -> Expr) -> Expr {
    let terms = values.into_iter().map(|v| nested(test(Box::new(nested(v)))));
    joined(BinaryOperator::And, terms.collect())
}

fn negate(expr: Expr, negated: bool) -> Expr {
    match negated {
        true => nested(Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(expr) }),
        false => expr,
    }
}

/// True for a query that names a table which is none of its own: DataFusion finds no join for such a
/// one inside of another.
fn names_others(query: &Query) -> bool {
    let mut names = Names::default();
    let _ = Visit::visit(query, &mut names);
    names.qualifiers.iter().any(|q| !names.tables.contains(q))
}

/// The names of a query's tables, and the tables that its columns name.
#[derive(Default)]
struct Names {
    tables: HashSet<String>,
    qualifiers: HashSet<String>,
}

impl Visitor for Names {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        let (TableFactor::Table { alias, .. }
        | TableFactor::Derived { alias, .. }
        | TableFactor::UNNEST { alias, .. }) = factor
        else {
            return ControlFlow::Continue(());
        };
        if let Some(alias) = alias {
            self.tables.insert(fold_ident(&alias.name.value, alias.name.quote_style));
        } else if let TableFactor::Table { name, .. } = factor {
            self.tables.extend(object_name(name).pop());
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if let Expr::CompoundIdentifier(parts) = expr
            && let [.., table, _] = parts.as_slice()
        {
            self.qualifiers.insert(fold_ident(&table.value, table.quote_style));
        }
        ControlFlow::Continue(())
    }
}

/// `row [NOT] IN (query)` where NULL counts as false.
fn exists(left: &[Expr], query: &Query, negated: bool) -> Option<Expr> {
    if names_others(query) {
        return None;
    }
    let equal = |i: usize, value: &Expr| match negated {
        true => format!("(({value}) = {}) IS NOT FALSE", member(i)),
        false => format!("({value}) = {}", member(i)),
    };
    let terms: Vec<String> = left.iter().enumerate().map(|(i, v)| equal(i, v)).collect();
    let (source, condition) = (source(query, left.len()), terms.join(" AND "));
    let not = if negated { "NOT " } else { "" };
    parse_expression(&format!("{not}EXISTS (SELECT 1 FROM {source} WHERE {condition})")).ok()
}

/// `row [NOT] IN (query)` by counting the rows that are equal, and those that may be.
fn counted(left: &[Expr], query: &Query, negated: bool) -> Result<Option<Expr>, Failure> {
    if names_others(query) {
        let error = Error::unsupported(
            "a row IN a subquery that names a table outside of it",
            "Use EXISTS, with the comparisons in the subquery's WHERE.",
        );
        return Err(Box::new((error, query.span())));
    }
    let equal = left.iter().enumerate().map(|(i, v)| format!("({v}) = {}", member(i)));
    let equal = equal.collect::<Vec<_>>().join(" AND ");
    let source = source(query, left.len());
    let count = |condition: &str| format!("(SELECT count(*) FROM {source} WHERE {condition}) > 0");
    let (found, unknown) = (count(&equal), count(&format!("({equal}) IS NULL")));
    let (yes, no) = (!negated, negated);
    Ok(parse_expression(&format!(
        "(CASE WHEN {found} THEN {yes} WHEN {unknown} THEN NULL ELSE {no} END)"
    ))
    .ok())
}

/// `x = ANY (ARRAY[a, b])` and `x <> ALL (ARRAY[a, b])` as lists.
fn listed(left: &Expr, right: &Expr, negated: bool) -> Option<Expr> {
    let list = match right {
        Expr::Nested(inner) => return listed(left, inner, negated),
        Expr::Array(array) => array.elem.clone(),
        other => literal_array(other)?,
    };
    if list.is_empty() || list.iter().any(|e| matches!(e, Expr::Array(_))) {
        return None;
    }
    Some(nested(Expr::InList { expr: Box::new(nested(left.clone())), list, negated }))
}

/// The elements of `'{a, b}'`, an array whose type is that of what it is compared with.
fn literal_array(expr: &Expr) -> Option<Vec<Expr>> {
    let Expr::Value(value) = expr else { return None };
    let Value::SingleQuotedString(text) = &value.value else { return None };
    let texts = DataType::new_list(DataType::Utf8, true);
    let parsed = parse_text(text, &texts, &EncodeSettings::default()).ok()?;
    let ScalarValue::List(array) = parsed else { return None };
    let elements = array.values().as_string_opt::<i32>()?.iter();
    let literal = |element: Option<&str>| match element {
        Some(text) => Value::SingleQuotedString(text.to_owned()),
        None => Value::Null,
    };
    Some(elements.map(|e| Expr::value(literal(e))).collect())
}

fn in_array(left: &Expr, right: &Expr, negated: bool) -> Option<Expr> {
    if let Some(list) = listed(left, right, negated) {
        return Some(list);
    }
    // What has no type of its own takes the array's from the left side.
    if matches!(right, Expr::Subquery(_) | Expr::Value(_)) {
        return None;
    }
    parse_expression(&format!(
        "(CASE WHEN array_has({right}, {left}) THEN true WHEN ({right}) IS NULL THEN NULL \
         WHEN cardinality({right}) = 0 THEN false \
         WHEN ({left}) IS NULL OR array_position({right}, NULL) IS NOT NULL THEN NULL \
         ELSE false END)"
    ))
    .ok()
}
