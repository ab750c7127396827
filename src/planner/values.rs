//! VALUES with subqueries, which DataFusion plans but cannot run: they become `SELECT … UNION ALL SELECT …`.

use super::select_ast::select;
use sqlparser::ast::{Expr, Query, SetExpr, SetOperator, SetQuantifier, Visit, Visitor};
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
        _ => {}
    }
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
