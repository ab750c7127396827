//! The names of result columns: PostgreSQL's, made unique where DataFusion insists on it.

use super::Scoped;
use crate::system::rows::definition;
use sqlparser::ast::{DataType, Expr, Ident, SelectItem, SelectItemQualifiedWildcardKind, SetExpr};
use std::collections::HashSet;

/// Stands between a column's name and the number that makes it unique. Never shown.
const DUPLICATE_MARK: char = '\u{1}';

/// The name of a result column as the client sees it.
pub fn display_name(name: &str) -> &str {
    name.split(DUPLICATE_MARK).next().unwrap_or(name)
}

/// Names every unnamed expression as PostgreSQL does, and tells equal names apart.
pub(super) fn name_columns(projection: &mut [SelectItem]) {
    let (mut taken, mut columns) = (HashSet::new(), HashSet::new());
    for item in projection.iter_mut() {
        // `a.oid, b.oid` are told apart by their tables, `a.oid, a.oid` are not.
        if let SelectItem::UnnamedExpr(expr) = item
            && (!matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_))
                || !columns.insert(path(expr)))
        {
            let alias = Ident::with_quote('"', figure(expr).unwrap_or_else(|| "?column?".into()));
            let expr = std::mem::replace(expr, Expr::Identifier(alias.clone()));
            *item = SelectItem::ExprWithAlias { expr, alias };
        }
        if let SelectItem::ExprWithAlias { alias, .. } = item {
            let name = alias.value.clone();
            let mut number = 1;
            while !taken.insert(alias.value.clone()) {
                number += 1;
                *alias = Ident::with_quote('"', format!("{name}{DUPLICATE_MARK}{number}"));
            }
        } else if let SelectItem::UnnamedExpr(expr) = item {
            taken.extend(figure(expr));
        }
    }
}

/// A column's name with its qualifiers, however they are quoted.
fn path(expr: &Expr) -> Vec<String> {
    match expr {
        Expr::Identifier(ident) => vec![ident.value.clone()],
        Expr::CompoundIdentifier(parts) => parts.iter().map(|p| p.value.clone()).collect(),
        _ => Vec::new(),
    }
}

/// Writes `a.*` out if other columns stand beside it, since one of them may be among those of `a`.
pub(super) fn expand_wildcards(projection: &mut Vec<SelectItem>, tables: &[Scoped]) {
    if projection.len() == 1 {
        return;
    }
    let mut expanded = Vec::with_capacity(projection.len());
    for item in projection.drain(..) {
        match columns_of(&item, tables) {
            Some(columns) => expanded.extend(columns),
            None => expanded.push(item),
        }
    }
    *projection = expanded;
}

/// The columns of `a.*` or `*` where the tables are system relations.
fn columns_of(item: &SelectItem, tables: &[Scoped]) -> Option<Vec<SelectItem>> {
    let wanted: Vec<&Scoped> = match item {
        SelectItem::Wildcard(_) => tables.iter().collect(),
        SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
            let alias = &name.0.last()?.as_ident()?.value;
            vec![tables.iter().find(|t| t.alias == *alias)?]
        }
        _ => return None,
    };
    let mut items = Vec::new();
    for table in wanted {
        let (schema, name) = table.relation.as_ref()?;
        let column = |name: &str| {
            let parts = vec![Ident::with_quote('"', &table.alias), Ident::with_quote('"', name)];
            SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts))
        };
        items.extend(definition(schema, name)?.columns.iter().map(|c| column(c.name)));
    }
    Some(items)
}

/// The name of an expression: `FigureColname` of PostgreSQL's parse_target.c.
fn figure(expr: &Expr) -> Option<String> {
    let fixed = |name: &str| Some(name.to_owned());
    match expr {
        Expr::Identifier(ident) => Some(ident.value.clone()),
        Expr::CompoundIdentifier(parts) => parts.last().map(|ident| ident.value.clone()),
        Expr::Nested(inner) | Expr::Collate { expr: inner, .. } => figure(inner),
        Expr::CompoundFieldAccess { root, .. } => figure(root),
        Expr::Function(function) => {
            let name = &function.name.0.last()?.as_ident()?.value;
            Some(name.to_lowercase())
        }
        Expr::Cast { expr, data_type, .. } => figure(expr).or_else(|| type_name(data_type)),
        Expr::Case { else_result, .. } => {
            else_result.as_ref().and_then(|e| strong(e)).or_else(|| fixed("case"))
        }
        Expr::Exists { .. } => fixed("exists"),
        Expr::Array(_) => fixed("array"),
        Expr::Subquery(query) => match query.body.as_ref() {
            SetExpr::Select(select) => match select.projection.first()? {
                SelectItem::ExprWithAlias { alias, .. } => Some(alias.value.clone()),
                SelectItem::UnnamedExpr(expr) => figure(expr),
                _ => None,
            },
            _ => None,
        },
        Expr::Trim { trim_where, .. } => fixed(match trim_where {
            Some(sqlparser::ast::TrimWhereField::Leading) => "ltrim",
            Some(sqlparser::ast::TrimWhereField::Trailing) => "rtrim",
            _ => "btrim",
        }),
        Expr::Substring { .. } => fixed("substring"),
        Expr::Extract { .. } => fixed("extract"),
        Expr::Position { .. } => fixed("position"),
        Expr::Value(value) if matches!(value.value, sqlparser::ast::Value::Boolean(_)) => {
            fixed("bool")
        }
        _ => None,
    }
}

/// The name that an ELSE branch lends to its CASE: a column's or a function's, not a type's.
fn strong(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Cast { expr, .. } | Expr::Nested(expr) => strong(expr),
        Expr::Case { else_result, .. } => else_result.as_ref().and_then(|e| strong(e)),
        Expr::Value(_) => None,
        other => figure(other),
    }
}

fn type_name(data_type: &DataType) -> Option<String> {
    let text = match data_type {
        DataType::Custom(name, _) => name.0.last()?.as_ident()?.value.clone(),
        DataType::Array(sqlparser::ast::ArrayElemTypeDef::SquareBracket(inner, _)) => {
            return type_name(inner);
        }
        other => other.to_string(),
    };
    crate::system::types::parse_name(&text).map(|t| t.name.to_owned()).or(Some(text.to_lowercase()))
}
