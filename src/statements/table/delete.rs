//! DELETE FROM table [alias] [USING …] [WHERE condition]

use super::change::{Change, Target, carry_out, predicate};
use super::rows;
use crate::catalog::Table;
use crate::delta::actions::Action;
use crate::delta::changes::{ChangeKind, DuplicatePolicy};
use crate::error::{Error, Result};
use crate::parser::TokenSlice;
use crate::planner::{Parameters, Planned, Planner, select, table_factor};
use crate::statements::query::select::parameter_types;
use crate::statements::{Describe, Description, Execution, Kind, Response, Statement};
use crate::warehouse::{ReadSet, TableChange};
use serde_json::json;
use sqlparser::ast::{self, Expr, FromTable, Query, TableFactor, TableWithJoins, With};
use std::sync::Arc;

/// DELETE.
#[derive(Debug)]
pub struct Delete {
    target: TableFactor,
    using: Vec<TableWithJoins>,
    selection: Option<Expr>,
    with: Option<With>,
}

/// Parses DELETE.
///
/// # Errors
/// 42601 with the position, 0A000 for clauses that are not built.
pub fn parse(slice: &TokenSlice) -> Result<Arc<dyn Statement>> {
    let ast::Statement::Delete(delete) = slice.parse_all(|p| p.parse_statement())? else {
        return Err(slice.syntax_error(0, Some("DELETE")));
    };
    read(slice, delete, None)
}

/// DELETE from its tree, with the queries of a WITH before it.
///
/// # Errors
/// 42601 with the position, 0A000 for clauses that are not built.
pub fn read(
    slice: &TokenSlice,
    delete: ast::Delete,
    with: Option<With>,
) -> Result<Arc<dyn Statement>> {
    if delete.returning.is_some() {
        return Err(Error::unsupported("RETURNING", "Query the table before the statement.")
            .position(slice.position_of(0)));
    }
    let FromTable::WithFromKeyword(mut from) = delete.from else {
        return Err(slice.syntax_error(1, Some("FROM")));
    };
    if from.len() != 1
        || !delete.tables.is_empty()
        || delete.limit.is_some()
        || !from[0].joins.is_empty()
    {
        return Err(Error::unsupported("this form of DELETE", "Use DELETE FROM t USING … WHERE.")
            .position(slice.position_of(0)));
    }
    Ok(Arc::new(Delete {
        target: from.remove(0).relation,
        using: delete.using.unwrap_or_default(),
        selection: delete.selection,
        with,
    }))
}

#[async_trait::async_trait]
impl Statement for Delete {
    fn name(&self) -> &'static str {
        "delete"
    }

    fn kind(&self) -> Kind {
        Kind::Write
    }

    async fn describe(&self, cx: &Describe<'_>) -> Result<Description> {
        let target = Target::resolve(cx.slice, &cx.planner(), &self.target).await?;
        let planned = self.plan(cx.slice, &cx.planner(), &target, cx.parameters).await?;
        let parameters = parameter_types(&planned, &cx.parameters.types)?;
        Ok(Description { columns: None, parameters })
    }

    async fn execute(&self, cx: &mut Execution<'_>) -> Result<Response> {
        let target = Target::resolve(cx.slice, &cx.planner(), &self.target).await?;
        let whole = self.selection.is_none() && self.using.is_empty();
        if whole && target.table.feature.is_none() {
            let n = remove_all_files(cx, &target.table).await?;
            return Response::done(format!("DELETE {n}"));
        }
        let planned = self.plan(cx.slice, &cx.planner(), &target, cx.parameters).await?;
        let n = delete_rows(cx, &target, planned, self.selection.as_ref()).await?;
        Response::done(format!("DELETE {n}"))
    }
}

impl Delete {
    /// Plans `SELECT __file, __row FROM target, using WHERE …`.
    async fn plan(
        &self,
        slice: &TokenSlice,
        planner: &Planner<'_>,
        target: &Target,
        parameters: &Parameters,
    ) -> Result<Planned> {
        let items = target.row_ids().map(|(e, name)| (e, name.to_owned()));
        let mut from = vec![TableWithJoins { relation: target.factor(), joins: Vec::new() }];
        from.extend(self.using.clone());
        let query =
            Query { with: self.with.clone(), ..select(items, from, self.selection.clone()) };
        target.plan(slice, planner, query, parameters).await
    }
}

async fn delete_rows(
    cx: &Execution<'_>,
    target: &Target,
    planned: Planned,
    selection: Option<&Expr>,
) -> Result<u64> {
    let change = Change {
        operation: "DELETE",
        parameters: predicate(selection),
        kind: ChangeKind::Delete,
        duplicates: DuplicatePolicy::Ignore,
    };
    Ok(carry_out(cx, target, planned, change).await?.deleted)
}

/// Deletes every row of a table through the change path, which keeps a feature table's history.
///
/// # Errors
/// What the change answers with.
pub async fn delete_all(cx: &Execution<'_>, table: &Table) -> Result<u64> {
    let name = [table.name.schema.as_str(), table.name.name.as_str()];
    let target = Target::resolve(cx.slice, &cx.planner(), &table_factor(&name, None)).await?;
    let items = target.row_ids().map(|(e, name)| (e, name.to_owned()));
    let from = vec![TableWithJoins { relation: target.factor(), joins: Vec::new() }];
    let planned =
        target.plan(cx.slice, &cx.planner(), select(items, from, None), cx.parameters).await?;
    delete_rows(cx, &target, planned, None).await
}

/// A DELETE of all rows takes the files away without reading them.
async fn remove_all_files(cx: &Execution<'_>, table: &Table) -> Result<u64> {
    let state = cx.transaction.table(&table.id).await?;
    let rows = state.rows().unwrap_or(0);
    let now_ms = cx.environment.now.timestamp_millis();
    let actions: Vec<Action> =
        state.files().map(|add| Action::Remove(add.remove(now_ms, true))).collect();
    let change = TableChange {
        operation: "DELETE".into(),
        parameters: predicate(None),
        metrics: rows::object(&[
            ("numRemovedFiles", json!(actions.len().to_string())),
            ("numDeletedRows", json!(rows.to_string())),
        ]),
        actions,
        reads: ReadSet::Everything,
        exclusive: false,
    };
    cx.transaction.change(&table.id, change)?;
    Ok(rows)
}
