//! VALUES as DataFusion can take them.
//!
//! Rows with subqueries, which it plans but cannot run, become `SELECT … UNION ALL SELECT …`. Untyped literals
//! take the type that another row of their column says, and a cast of a number to `numeric` is the number.

use super::ast::parse_expression;
use super::select_ast::select;
use crate::catalog::SqlType;
use sqlparser::ast::{
    CastKind, DataType, ExactNumberInfo, Expr, Query, SetExpr, SetOperator, SetQuantifier, Value,
    Visit, Visitor,
};
use std::ops::ControlFlow;

/// Rewrites a query's own VALUES; those of its subqueries are the caller's to find.
pub(super) fn spread(body: &mut SetExpr) {
    match body {
        SetExpr::SetOperation { left, right, .. } => {
            spread(left);
            spread(right);
        }
        SetExpr::Values(values)
            if !values.rows.is_empty() && values.visit(&mut FindQuery).is_break() =>
        {
            let rows = std::mem::take(&mut values.rows);
            *body = all_of(rows.into_iter().map(|row| select_of(row.content)).collect());
        }
        SetExpr::Values(values) => {
            let width = values.rows.first().map_or(0, |row| row.content.len());
            for place in 0..width {
                let cells = values.rows.iter_mut().filter_map(|row| row.content.get_mut(place));
                type_cells(cells.collect());
            }
        }
        _ => {}
    }
}

/// One column's cells.
fn type_cells(mut cells: Vec<&mut Expr>) {
    for cell in &mut cells {
        if let Some(number) = plain_numeric(cell) {
            **cell = number;
        }
    }
    let mut said = cells.iter().filter_map(|cell| match &**cell {
        Expr::Cast { data_type, .. } => Some(super::sql_type_of(data_type).ok()),
        Expr::TypedString(typed) => Some(super::sql_type_of(&typed.data_type).ok()),
        Expr::Value(value) => match value.value {
            Value::Boolean(_) => Some(Some(SqlType::Boolean)),
            Value::Number(..) => Some(None),
            _ => None,
        },
        Expr::UnaryOp { .. } => Some(None),
        _ => None,
    });
    // Where the others do not agree, their common type is DataFusion's to find.
    let Some(first) = said.next().flatten() else { return };
    if !said.all(|other| other.as_ref() == Some(&first)) {
        return;
    }
    // A cast to one of these would cut digits, or letters.
    if matches!(first, SqlType::Numeric(..) | SqlType::Text | SqlType::Varchar(_)) {
        return;
    }
    let Ok(Expr::Cast { data_type, .. }) = parse_expression(&format!("CAST(NULL AS {first})"))
    else {
        return;
    };
    for cell in cells {
        let is_untyped = matches!(&*cell, Expr::Value(value)
            if matches!(value.value, Value::SingleQuotedString(_) | Value::EscapedStringLiteral(_)));
        if is_untyped {
            let expr = Box::new(cell.clone());
            let data_type = data_type.clone();
            *cell =
                Expr::Cast { kind: CastKind::Cast, expr, data_type, format: None, array: false };
        }
    }
}

/// `1.5::numeric` is `1.5`: a cast without a precision keeps the digits.
fn plain_numeric(cell: &Expr) -> Option<Expr> {
    let Expr::Cast { expr, data_type, .. } = cell else { return None };
    let is_bare = matches!(
        data_type,
        DataType::Numeric(ExactNumberInfo::None) | DataType::Decimal(ExactNumberInfo::None)
    );
    let Expr::Value(value) = expr.as_ref() else { return None };
    let Value::Number(digits, _) = &value.value else { return None };
    (is_bare && digits.contains('.') && !digits.contains(['e', 'E'])).then(|| expr.as_ref().clone())
}

fn select_of(row: Vec<Expr>) -> SetExpr {
    let items = row.into_iter().enumerate();
    let items = items.map(|(index, expr)| (expr, format!("column{}", index + 1)));
    *select(items, Vec::new(), None).body
}

/// A balanced tree of UNION ALL, so that many rows do not nest deeply.
fn all_of(mut selects: Vec<SetExpr>) -> SetExpr {
    if selects.len() == 1 {
        return selects.remove(0);
    }
    let right = selects.split_off(selects.len() / 2);
    SetExpr::SetOperation {
        op: SetOperator::Union,
        set_quantifier: SetQuantifier::All,
        left: Box::new(all_of(selects)),
        right: Box::new(all_of(right)),
    }
}

/// Stops at the first query.
struct FindQuery;

impl Visitor for FindQuery {
    type Break = ();

    fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        ControlFlow::Break(())
    }
}
