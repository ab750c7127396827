//! The types of `$1`, `$2`, …: where one is known, every place that names the parameter has it.

use super::ast::parse_expression;
use super::rewrite::placeholder;
use crate::catalog::SqlType;
use sqlparser::ast::{CastKind, DataType, Expr, LimitClause, Query, VisitMut, VisitorMut};
use std::collections::HashMap;
use std::ops::ControlFlow;

/// The types that the client gave, by the parameters' numbers.
pub(super) fn declared(types: &[Option<arrow::datatypes::DataType>]) -> HashMap<usize, DataType> {
    let parsed = |arrow: &arrow::datatypes::DataType| {
        let sql_type = SqlType::from_arrow(arrow).ok()?;
        match parse_expression(&format!("CAST(NULL AS {sql_type})")) {
            Ok(Expr::Cast { data_type, .. }) => Some(data_type),
            _ => None,
        }
    };
    let numbered = types.iter().enumerate();
    numbered.filter_map(|(i, t)| Some((i + 1, parsed(t.as_ref()?)?))).collect()
}

/// Puts a cast around each parameter whose type is known. LIMIT and OFFSET take theirs as it is.
pub(super) fn cast(query: &mut Query, types: &HashMap<usize, DataType>) {
    if !types.is_empty() {
        let _ = VisitMut::visit(query, &mut Caster { types, limits: Vec::new() });
    }
}

struct Caster<'a> {
    types: &'a HashMap<usize, DataType>,
    /// The LIMIT clauses of the queries around, out of the way.
    limits: Vec<Option<LimitClause>>,
}

impl VisitorMut for Caster<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        self.limits.push(query.limit_clause.take());
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        query.limit_clause = self.limits.pop().flatten();
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Some(data_type) = placeholder(expr).and_then(|number| self.types.get(&number)) {
            *expr = Expr::Cast {
                kind: CastKind::Cast,
                expr: Box::new(expr.clone()),
                data_type: data_type.clone(),
                array: false,
                format: None,
            };
        }
        ControlFlow::Continue(())
    }
}
