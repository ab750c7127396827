//! What UPDATE, DELETE and MERGE share: the target with row ids, the query for the changes, and
//! carrying the changes out.

use super::rows;
use crate::catalog::Table;
use crate::delta::actions::Action;
use crate::delta::changes::{
    ChangeKind, ChangeOutcome, ChangeSpec, DuplicatePolicy, Materialize, apply_changes,
};
use crate::delta::scan::{DeltaTableScan, FILE_COLUMN, ROW_COLUMN, ScanOptions};
use crate::error::Result;
use crate::features;
use crate::parser::{TokenSlice, fold_ident, object_name};
use crate::planner::{Planned, Planner, identifier, resolve_table, table_factor};
use crate::statements::Execution;
use crate::statements::feature::upsert::{check_keys, keep_history};
use crate::warehouse::{ReadSet, TableChange};
use datafusion::catalog::TableProvider;
use futures::TryStreamExt;
use serde_json::{Map, Value, json};
use sqlparser::ast::{Expr, Ident, ObjectName, Query, TableAlias, TableFactor};
use std::sync::Arc;

/// The generated name of the target in a change query.
const TARGET: &str = "__cenote_target";

/// The table that a statement changes, found and scanned with row ids.
pub struct Target {
    /// The table.
    pub table: Arc<Table>,
    /// Its scan; `__file` is an index into its files.
    pub scan: Arc<DeltaTableScan>,
    /// What the statement's expressions see: the scan, in a feature table with the time at which
    /// every row was committed.
    relation: Arc<dyn TableProvider>,
    /// The name that the statement's expressions use for it.
    pub alias: Ident,
}

impl Target {
    /// Finds the target of a statement.
    ///
    /// # Errors
    /// 42P01 and the like with the position; 0A000 for a time-travel clause.
    pub async fn resolve(
        slice: &TokenSlice,
        planner: &Planner<'_>,
        factor: &TableFactor,
    ) -> Result<Target> {
        let (name, alias) = target_name(slice, factor)?;
        let position = place(slice, name);
        let table =
            resolve_table(planner.world, &planner.environment.search_path, &object_name(name))
                .map_err(|e| e.position_or(position))?;
        let state = planner.world.table(&table.id).await?;
        let scan = DeltaTableScan::new(
            &state,
            &table.schema(),
            &table.partition_by,
            planner.environment.services.warehouse.location(&table)?,
            ScanOptions { row_ids: true },
        )?;
        let alias = match alias {
            Some(alias) => alias.name.clone(),
            None => identifier(&table.name.name),
        };
        let relation: Arc<dyn TableProvider> = match features::time_column(&table) {
            Some(time) => {
                let row_ids = [FILE_COLUMN, ROW_COLUMN];
                features::with_commit_times(scan.clone(), &table, time, &row_ids)?
            }
            None => scan.clone(),
        };
        Ok(Target { table, scan, relation, alias })
    }

    /// The target in the FROM of a change query.
    pub fn factor(&self) -> TableFactor {
        let alias = fold_ident(&self.alias.value, self.alias.quote_style);
        table_factor(&[TARGET], Some(&alias))
    }

    /// A column of the target as an expression.
    pub fn column(&self, name: &str) -> Expr {
        Expr::CompoundIdentifier(vec![self.alias.clone(), identifier(name)])
    }

    /// `__file` and `__row` of the target.
    pub fn row_ids(&self) -> [(Expr, &'static str); 2] {
        [(self.column(FILE_COLUMN), FILE_COLUMN), (self.column(ROW_COLUMN), ROW_COLUMN)]
    }

    /// Plans a change query.
    ///
    /// # Errors
    /// What planning finds, with positions.
    pub async fn plan(
        &self,
        slice: &TokenSlice,
        planner: &Planner<'_>,
        query: Query,
        parameters: &crate::planner::Parameters,
    ) -> Result<Planned> {
        let extra = [(TARGET.to_owned(), self.relation.clone())];
        planner.plan_over(slice, query, parameters, &extra).await
    }
}

fn target_name<'a>(
    slice: &TokenSlice,
    factor: &'a TableFactor,
) -> Result<(&'a ObjectName, Option<&'a TableAlias>)> {
    let TableFactor::Table { name, alias, args: None, version, .. } = factor else {
        return Err(slice.syntax_error(1, Some("a table's name")));
    };
    if version.is_some() {
        return Err(crate::error::Error::unsupported(
            "a time-travel clause on the table that a statement changes",
            "Only the present can be changed; read the past in a subquery.",
        )
        .position_or(place(slice, name)));
    }
    Ok((name, alias.as_ref()))
}

fn place(slice: &TokenSlice, name: &ObjectName) -> Option<usize> {
    slice.position(name.0.first()?.as_ident()?.span.start)
}

/// What kind of change a statement makes.
pub struct Change {
    /// Delta's name of the operation.
    pub operation: &'static str,
    /// Delta's operation parameters.
    pub parameters: Map<String, Value>,
    /// The columns of the change query.
    pub kind: ChangeKind,
    /// What a second change of a row means.
    pub duplicates: DuplicatePolicy,
}

/// Runs a change query and adds what it says to the transaction.
///
/// # Errors
/// What the query and the new rows' checks answer with; 21000 for a MERGE that changes a row twice.
pub async fn carry_out(
    cx: &Execution<'_>,
    target: &Target,
    planned: Planned,
    change: Change,
) -> Result<ChangeOutcome> {
    let table = &target.table;
    let write_target = rows::target(cx.services(), cx.transaction, table)?;
    let is_merge = matches!(change.kind, ChangeKind::Merge);
    let spec = ChangeSpec {
        checks: rows::checks(&cx.planner(), table).await?,
        target: write_target,
        kind: change.kind,
        duplicates: change.duplicates,
        materialize: table.feature.as_ref().map(|_| Materialize {
            column: features::COMMITTED_AT.to_owned(),
            value: features::commit_time,
        }),
        pool: cx.services().memory_pool().clone(),
        now_ms: cx.environment.now.timestamp_millis(),
    };
    let (mut stream, reads) = planned.stream_changes(cx.services(), cx.canceller, table).await?;
    if table.feature.is_some() {
        // Rows that a feature table loses are kept: the changes are needed twice.
        let schema = stream.schema();
        let changes: Vec<_> = stream.try_collect().await?;
        if is_merge {
            check_keys(cx, table, &target.scan, &changes).await?;
        }
        keep_history(cx, table, &target.scan, &changes).await?;
        let again = futures::stream::iter(changes.into_iter().map(Ok));
        stream = Box::pin(datafusion::physical_plan::stream::RecordBatchStreamAdapter::new(
            schema, again,
        ));
    }
    let files = target.scan.files().to_vec();
    let work = cx.services().run(async move { apply_changes(&files, stream, &spec).await });
    let outcome = cx.canceller.guard(work).await?;
    let removed = outcome.actions.iter().filter(|a| matches!(a, Action::Remove(_))).count();
    let added = outcome.written().count();
    let table_change = TableChange {
        actions: outcome.actions.clone(),
        operation: change.operation.to_owned(),
        parameters: change.parameters,
        metrics: rows::object(&[
            ("numRemovedFiles", json!(removed.to_string())),
            ("numAddedFiles", json!(added.to_string())),
            ("numDeletedRows", json!(outcome.deleted.to_string())),
            ("numUpdatedRows", json!(outcome.updated.to_string())),
            ("numInsertedRows", json!(outcome.inserted.to_string())),
        ]),
        // The check of a feature table's keys looks at all of them.
        reads: match is_merge && table.feature.is_some() {
            true => ReadSet::Everything,
            false => ReadSet::Matching(reads),
        },
        exclusive: false,
    };
    cx.transaction.change(&table.id, table_change)?;
    Ok(outcome)
}

/// `{"predicate": …}` for the operation parameters.
pub fn predicate(expr: Option<&Expr>) -> Map<String, Value> {
    let text = expr.map(ToString::to_string);
    rows::object(&[(
        "predicate",
        json!(text.map_or_else(|| "[]".to_owned(), |t| json!([t]).to_string())),
    )])
}
