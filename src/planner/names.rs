//! Result columns as PostgreSQL names and types them.

use crate::error::Result;
use arrow::datatypes::DataType;
use datafusion::common::Column;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder, cast};
use sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArguments, Ident, ObjectNamePart, OrderBy, OrderByKind,
    Query, Select, SelectItem, SetExpr, TrimWhereField, Value,
};
use std::collections::HashSet;

/// Behind this, a column's name holds a number that keeps DataFusion's names apart.
const MARK: char = '\u{1}';

/// The name that the client sees.
pub fn display_name(name: &str) -> &str {
    name.split(MARK).next().unwrap_or(name)
}

/// A column's name as the client sees it, kept apart from others of that name by a number.
pub(super) fn apart(name: &str, number: usize) -> String {
    format!("{name}{MARK}{number}")
}

/// Gives every expression of every SELECT list the name that PostgreSQL gives it.
pub(super) fn name_columns(query: &mut Query, top_level: bool) {
    name_set(&mut query.body, top_level);
    let SetExpr::Select(select) = query.body.as_ref() else { return };
    let Some(OrderBy { kind: OrderByKind::Expressions(keys), .. }) = &mut query.order_by else {
        return;
    };
    // ORDER BY means the alias, also where that is kept apart from columns of its name.
    for key in keys {
        if let Expr::Identifier(word) = &mut key.expr {
            let name = crate::parser::fold_ident(&word.value, word.quote_style);
            let renamed = select.projection.iter().find_map(|item| match item {
                SelectItem::ExprWithAlias { alias, .. } => {
                    let (shown, _) = alias.value.split_once(MARK)?;
                    (shown == name).then_some(alias)
                }
                _ => None,
            });
            if let Some(alias) = renamed {
                *word = Ident::with_quote_and_span('"', word.span, alias.value.clone());
            }
        }
    }
}

fn name_set(body: &mut SetExpr, top_level: bool) {
    match body {
        SetExpr::Select(select) => name_select(select, top_level),
        SetExpr::SetOperation { left, right, .. } => {
            name_set(left, top_level);
            name_set(right, top_level);
        }
        _ => {}
    }
}

fn name_select(select: &mut Select, top_level: bool) {
    let wildcard = select
        .projection
        .iter()
        .any(|item| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..)));
    let mut taken = HashSet::new();
    // In a subquery none of several columns of one name keeps it: to name it is ambiguous.
    let twice = if top_level { HashSet::new() } else { names_twice(select) };
    for (i, item) in select.projection.iter_mut().enumerate() {
        match item {
            SelectItem::UnnamedExpr(expr) => {
                let plain = plain_name(expr);
                let name = match &plain {
                    Some(name) => name.clone(),
                    None => expression_name(expr),
                };
                // Looks like a column, and becomes a call that has brackets in its name.
                let plain = plain.filter(|_| !is_current_schema(expr));
                // A plain column keeps its qualifier; it is renamed only where names would clash.
                let clashes =
                    !taken.insert(name.clone()) || twice.contains(&name) || (wildcard && top_level);
                if plain.is_none() || clashes {
                    let alias = if clashes { apart(&name, i) } else { name };
                    let alias = Ident::with_quote('"', alias);
                    *item = SelectItem::ExprWithAlias { expr: take(expr), alias };
                }
            }
            SelectItem::ExprWithAlias { alias, .. } => {
                let name = crate::parser::fold_ident(&alias.value, alias.quote_style);
                let clashes =
                    !taken.insert(name.clone()) || twice.contains(&name) || (wildcard && top_level);
                if clashes {
                    let span = alias.span;
                    *alias = Ident::with_quote_and_span('"', span, apart(&name, i));
                }
            }
            _ => {}
        }
    }
}

fn is_current_schema(expr: &Expr) -> bool {
    matches!(expr, Expr::Identifier(word)
        if word.quote_style.is_none() && word.value.eq_ignore_ascii_case("current_schema"))
}

/// The names that stand more than once in a select list.
fn names_twice(select: &Select) -> HashSet<String> {
    let (mut once, mut twice) = (HashSet::new(), HashSet::new());
    for item in &select.projection {
        let name = match item {
            SelectItem::UnnamedExpr(expr) => {
                plain_name(expr).unwrap_or_else(|| expression_name(expr))
            }
            SelectItem::ExprWithAlias { alias, .. } => {
                crate::parser::fold_ident(&alias.value, alias.quote_style)
            }
            _ => continue,
        };
        if !once.insert(name.clone()) {
            twice.insert(name);
        }
    }
    twice
}

fn take(expr: &mut Expr) -> Expr {
    std::mem::replace(expr, Expr::Identifier(Ident::new("")))
}

fn plain_name(expr: &Expr) -> Option<String> {
    let last = match expr {
        Expr::Identifier(ident) => ident,
        Expr::CompoundIdentifier(parts) => parts.last()?,
        _ => return None,
    };
    Some(crate::parser::fold_ident(&last.value, last.quote_style))
}

/// PostgreSQL's `FigureColname`.
fn expression_name(expr: &Expr) -> String {
    figure(expr).map_or_else(|| "?column?".to_owned(), |(name, _)| name)
}

/// How much a name says: that of a cast is taken where what is cast has a weaker one or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Strength {
    /// A type, or `case`.
    Weak,
    /// A column or a function.
    Strong,
}

fn figure(expr: &Expr) -> Option<(String, Strength)> {
    if let Some(name) = plain_name(expr) {
        return Some((name, Strength::Strong));
    }
    let strong = |name: &str| Some((name.to_owned(), Strength::Strong));
    let weak = |name: String| Some((name, Strength::Weak));
    let stronger = |inner: Option<(String, Strength)>, name: &dyn Fn() -> String| match inner {
        Some((inner, Strength::Strong)) => Some((inner, Strength::Strong)),
        _ => weak(name()),
    };
    match expr {
        Expr::Nested(inner) | Expr::Collate { expr: inner, .. } => figure(inner),
        Expr::Function(function) => Some((function_name(function), Strength::Strong)),
        Expr::Cast { expr, data_type, .. } => stronger(figure(expr), &|| type_name(data_type)),
        Expr::TypedString(typed) => weak(type_name(&typed.data_type)),
        Expr::Case { else_result, .. } => {
            stronger(else_result.as_deref().and_then(figure), &|| "case".into())
        }
        Expr::Exists { .. } => strong("exists"),
        Expr::Subquery(query) => subquery_name(query).map(|name| (name, Strength::Strong)),
        Expr::Array(_) => strong("array"),
        Expr::Extract { .. } => strong("extract"),
        Expr::Position { .. } => strong("position"),
        Expr::Substring { shorthand: true, .. } => strong("substr"),
        Expr::Substring { .. } => strong("substring"),
        Expr::Overlay { .. } => strong("overlay"),
        Expr::Trim { trim_where: Some(TrimWhereField::Leading), .. } => strong("ltrim"),
        Expr::Trim { trim_where: Some(TrimWhereField::Trailing), .. } => strong("rtrim"),
        Expr::Trim { .. } => strong("btrim"),
        Expr::Ceil { .. } => strong("ceil"),
        Expr::Floor { .. } => strong("floor"),
        Expr::AtTimeZone { .. } => strong("timezone"),
        Expr::BinaryOp { op: BinaryOperator::Overlaps, .. } => strong("overlaps"),
        Expr::Interval(_) => weak("interval".into()),
        Expr::Value(v) if matches!(v.value, sqlparser::ast::Value::Boolean(_)) => {
            weak("bool".into())
        }
        Expr::CompoundFieldAccess { root, .. } => figure(root),
        _ => None,
    }
}

fn subquery_name(query: &Query) -> Option<String> {
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    match select.projection.first()? {
        SelectItem::ExprWithAlias { alias, .. } => {
            let name = crate::parser::fold_ident(&alias.value, alias.quote_style);
            Some(display_name(&name).to_owned())
        }
        SelectItem::UnnamedExpr(expr) => Some(expression_name(expr)),
        _ => None,
    }
}

fn function_name(function: &Function) -> String {
    let name = match function.name.0.last() {
        Some(ObjectNamePart::Identifier(ident)) => {
            crate::parser::fold_ident(&ident.value, ident.quote_style)
        }
        _ => "?column?".to_owned(),
    };
    // A rewritten predict call carries its user's name behind the mark.
    match name.strip_prefix(super::predict::PREFIX) {
        Some(rest) => {
            rest.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start_matches('_').to_owned()
        }
        None if matches!(function.args, FunctionArguments::None) => name,
        None => name,
    }
}

fn type_name(data_type: &sqlparser::ast::DataType) -> String {
    use crate::catalog::SqlType;
    match super::sql_type_of(data_type) {
        Ok(SqlType::Boolean) => "bool".into(),
        Ok(SqlType::SmallInt) => "int2".into(),
        Ok(SqlType::Integer) => "int4".into(),
        Ok(SqlType::BigInt) => "int8".into(),
        Ok(SqlType::Real) => "float4".into(),
        Ok(SqlType::Double) => "float8".into(),
        Ok(SqlType::Numeric(..)) => "numeric".into(),
        Ok(SqlType::Varchar(_)) => "varchar".into(),
        Ok(SqlType::Timestamp) => "timestamp".into(),
        Ok(SqlType::TimestampTz) => "timestamptz".into(),
        Ok(other) => other.to_string(),
        Err(_) => data_type.to_string().to_lowercase(),
    }
}

/// Casts unsigned result columns (row_number and the like) to bigint, PostgreSQL's type for them.
pub(super) fn widen_unsigned(plan: LogicalPlan) -> Result<LogicalPlan> {
    let schema = plan.schema().clone();
    let unsigned = |t: &DataType| t.is_unsigned_integer();
    if !matches!(plan, LogicalPlan::Projection(_) | LogicalPlan::Sort(_) | LogicalPlan::Limit(_))
        || !schema.fields().iter().any(|f| unsigned(f.data_type()))
    {
        return Ok(plan);
    }
    let columns = schema.iter().map(|(qualifier, field)| {
        let column = datafusion::logical_expr::Expr::Column(Column::from((qualifier, field)));
        if unsigned(field.data_type()) {
            cast(column, DataType::Int64).alias_qualified(qualifier.cloned(), field.name())
        } else {
            column
        }
    });
    let columns: Vec<_> = columns.collect();
    Ok(LogicalPlanBuilder::from(plan).project(columns)?.build()?)
}

/// `SELECT sum(y) AS y … ORDER BY sum(y)`: an expression of the select list is named by its place, for
/// DataFusion would read the new `y` in it.
pub(super) fn order_by_places(query: &mut Query) {
    let SetExpr::Select(select) = query.body.as_ref() else { return };
    let shown = |item: &SelectItem| match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => {
            Some(expr.to_string())
        }
        _ => None,
    };
    // Behind a `*` the places are not known.
    let items: Vec<String> = select.projection.iter().map_while(shown).collect();
    let Some(OrderByKind::Expressions(keys)) = query.order_by.as_mut().map(|o| &mut o.kind) else {
        return;
    };
    for key in keys {
        if matches!(key.expr, Expr::Function(_) | Expr::BinaryOp { .. } | Expr::Cast { .. }) {
            let text = key.expr.to_string();
            if let Some(place) = items.iter().position(|item| *item == text) {
                key.expr = Expr::value(Value::Number((place + 1).to_string(), false));
            }
        }
    }
}
