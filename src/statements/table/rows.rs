//! Writing rows: what INSERT, CREATE TABLE AS, COPY, UPDATE, DELETE and MERGE share.

use crate::catalog::{Column, Table};
use crate::delta::actions::{Action, Add};
use crate::delta::constraints::TableChecks;
use crate::delta::stats::num_records;
use crate::delta::writer::{self, WriteTarget};
use crate::error::{Error, Result};
use crate::planner::{Canceller, Environment, Expressions, Planned, Planner, Services};
use crate::sqlstate::SqlState;
use crate::warehouse::{ReadSet, TableChange, Transaction};
use arrow::datatypes::DataType;
use datafusion::common::Column as DfColumn;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, cast};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Where a table's new files go.
///
/// # Errors
/// 22023 for a bad table property.
pub fn target(
    services: &Services,
    transaction: &Transaction,
    table: &Table,
) -> Result<WriteTarget> {
    let location = services.warehouse.location(table)?;
    let target = WriteTarget::new(table, services.warehouse.store(), location.prefix)?;
    Ok(WriteTarget { new_files: transaction.new_files().clone(), ..target })
}

/// A table's constraints, planned.
///
/// # Errors
/// If a stored CHECK expression no longer plans.
pub async fn checks(planner: &Planner<'_>, table: &Table) -> Result<Arc<TableChecks>> {
    if table.checks.is_empty() {
        return Ok(Arc::new(TableChecks::new(table, Vec::new())));
    }
    let texts: Vec<&str> = table.checks.iter().map(|check| check.expression.as_str()).collect();
    let over = Some((table.name.name.as_str(), table.schema()));
    let planned = planner.expressions(&texts, over).await?.physical()?;
    let names = table.checks.iter().map(|check| check.name.clone());
    Ok(Arc::new(TableChecks::new(table, names.zip(planned).collect())))
}

/// The defaults of a table's columns that are not at `places`, and those columns' places. Text is
/// read as its column's type, in the session's time zone. None where no column needs one.
///
/// # Errors
/// If a stored default no longer plans.
pub async fn defaults(
    planner: &Planner<'_>,
    table: &Table,
    places: &[usize],
) -> Result<Option<(Vec<usize>, Expressions)>> {
    let columns = table.columns.iter().enumerate().filter(|(i, _)| !places.contains(i));
    let columns = columns.filter_map(|(i, c)| Some((i, c, c.default.clone()?)));
    let mut columns: Vec<(usize, &Column, String)> = columns.collect();
    if columns.is_empty() {
        return Ok(None);
    }
    let wanted: Vec<usize> = columns.iter().map(|(i, ..)| *i).collect();
    let plan = async |columns: &[(usize, &Column, String)]| {
        let texts: Vec<&str> = columns.iter().map(|(_, _, text)| text.as_str()).collect();
        planner.expressions(&texts, None).await
    };
    let planned = plan(&columns).await?;
    let mut changed = false;
    for ((_, column, text), found) in columns.iter_mut().zip(planned.types()) {
        if found.is_string() && !column.sql_type.arrow().is_string() {
            *text = format!("CAST(({text}) AS {})", column.sql_type);
            changed = true;
        }
    }
    let planned = if changed { plan(&columns).await? } else { planned };
    Ok(Some((wanted, planned)))
}

/// Checks and writes rows as new files of a table, on the query runtime.
///
/// The stream's columns are all of the table's, in its order.
///
/// # Errors
/// What a row breaks; what the store answers with. Nothing of it is part of the table.
pub async fn write(
    environment: &Environment,
    transaction: &Transaction,
    canceller: &Canceller,
    table: &Table,
    rows: SendableRecordBatchStream,
) -> Result<Vec<Add>> {
    let target = target(&environment.services, transaction, table)?;
    let checks = checks(&Planner::new(environment, transaction), table).await?;
    let work =
        environment.services.run(async move { writer::write(checks.stream(rows), &target).await });
    canceller.guard(work).await
}

/// The rows of files that were written just now.
pub fn count(adds: &[Add]) -> u64 {
    adds.iter().filter_map(num_records).sum()
}

/// Adds new files to a table as an append.
///
/// # Errors
/// What the transaction refuses.
pub fn append(transaction: &Transaction, table: &Table, adds: Vec<Add>, mode: &str) -> Result<u64> {
    let rows = count(&adds);
    if adds.is_empty() {
        return Ok(0);
    }
    let bytes: i64 = adds.iter().map(|a| a.size).sum();
    let change = TableChange {
        operation: "WRITE".into(),
        parameters: object(&[("mode", json!(mode)), ("partitionBy", json!(partition_text(table)))]),
        metrics: object(&[
            ("numFiles", json!(adds.len().to_string())),
            ("numOutputRows", json!(rows.to_string())),
            ("numOutputBytes", json!(bytes.to_string())),
        ]),
        actions: adds.into_iter().map(Action::Add).collect(),
        reads: ReadSet::Nothing,
        exclusive: false,
    };
    transaction.change(&table.id, change)?;
    Ok(rows)
}

/// Delta's spelling of a list inside of operation parameters.
pub fn partition_text(table: &Table) -> String {
    json!(table.partition_by).to_string()
}

/// A JSON object from pairs.
pub fn object(pairs: &[(&str, Value)]) -> Map<String, Value> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect()
}

/// Refuses an expression that no assignment casts to its column; untyped literals take any type.
///
/// `columns` are the assigned columns and the places of their values in the plan's output.
///
/// # Errors
/// 42804 with PostgreSQL's words.
pub fn check_assignments<'a>(
    planned: &Planned,
    columns: impl Iterator<Item = (&'a Column, usize)>,
) -> Result<()> {
    let schema = planned.plan.schema();
    for (column, place) in columns {
        let given = schema.field(place).data_type();
        if assignable(given, &column.sql_type.arrow()) || is_untyped(&planned.plan, place) {
            continue;
        }
        let shown = crate::catalog::SqlType::from_arrow(given)
            .map_or_else(|_| given.to_string(), |t| t.to_string());
        return Err(Error::new(
            SqlState::DatatypeMismatch,
            format!(
                "column \"{}\" is of type {} but expression is of type {shown}",
                column.name, column.sql_type
            ),
        )
        .column(&column.name)
        .hint("You will need to rewrite or cast the expression."));
    }
    Ok(())
}

/// Has text that is assigned to columns of other types read in the session's time zone.
///
/// # Errors
/// If the plan cannot be built.
pub fn read_texts<'a>(
    planned: &mut Planned,
    columns: impl Iterator<Item = (&'a Column, usize)>,
) -> Result<()> {
    let schema = planned.plan.schema().clone();
    let mut wanted = vec![None; schema.fields().len()];
    for (column, place) in columns {
        let to = column.sql_type.arrow();
        if schema.field(place).data_type().is_string() && !to.is_string() {
            wanted[place] = Some(to);
        }
    }
    if wanted.iter().all(Option::is_none) {
        return Ok(());
    }
    let projection = wanted.into_iter().enumerate().map(|(place, to)| {
        let (qualifier, field) = schema.qualified_field(place);
        let value = Expr::Column(DfColumn::from((qualifier, field)));
        match to {
            Some(to) => cast(value, to).alias_qualified(qualifier.cloned(), field.name()),
            None => value,
        }
    });
    let projection: Vec<Expr> = projection.collect();
    let plan = std::mem::take(&mut planned.plan);
    planned.plan = LogicalPlanBuilder::from(plan).project(projection)?.build()?;
    Ok(())
}

/// PostgreSQL's assignment casts, between the types that columns have.
pub fn assignable(from: &DataType, to: &DataType) -> bool {
    let is_text =
        |t: &DataType| matches!(t, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    let is_time =
        |t: &DataType| matches!(t, DataType::Date32 | DataType::Date64 | DataType::Timestamp(..));
    let is_bytes = |t: &DataType| {
        matches!(
            t,
            DataType::Binary
                | DataType::LargeBinary
                | DataType::BinaryView
                | DataType::FixedSizeBinary(_)
        )
    };
    if from == to || from.is_null() || is_text(to) {
        return true;
    }
    match (from, to) {
        (DataType::Dictionary(_, value), _) => assignable(value, to),
        (DataType::List(f), DataType::List(t)) => assignable(f.data_type(), t.data_type()),
        _ => {
            (from.is_numeric() && to.is_numeric())
                || (is_time(from) && is_time(to))
                || (is_bytes(from) && is_bytes(to))
        }
    }
}

/// True if an output column is made of string literals and NULLs only.
fn is_untyped(plan: &LogicalPlan, place: usize) -> bool {
    match plan {
        LogicalPlan::Values(values) => {
            values.values.iter().all(|row| row.get(place).is_some_and(is_text_literal))
        }
        LogicalPlan::Projection(projection) => match projection.expr.get(place) {
            Some(Expr::Column(column)) => projection
                .input
                .schema()
                .index_of_column(column)
                .is_ok_and(|inner| is_untyped(&projection.input, inner)),
            Some(Expr::Alias(alias)) => match alias.expr.as_ref() {
                Expr::Column(column) => projection
                    .input
                    .schema()
                    .index_of_column(column)
                    .is_ok_and(|inner| is_untyped(&projection.input, inner)),
                other => is_text_literal(other),
            },
            Some(expr) => is_text_literal(expr),
            None => false,
        },
        // VALUES with subqueries.
        LogicalPlan::Union(union) => union.inputs.iter().all(|input| is_untyped(input, place)),
        LogicalPlan::SubqueryAlias(alias) => is_untyped(&alias.input, place),
        LogicalPlan::Limit(limit) => is_untyped(&limit.input, place),
        LogicalPlan::Sort(sort) => is_untyped(&sort.input, place),
        _ => false,
    }
}

fn is_text_literal(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(value, _) => {
            value.is_null()
                || matches!(
                    value.data_type(),
                    DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8
                )
        }
        Expr::Placeholder(_) => true,
        // VALUES casts its cells to one type for each column.
        Expr::Cast(cast) => is_text_literal(&cast.expr) && cast.field.data_type().is_string(),
        Expr::Alias(alias) => is_text_literal(&alias.expr),
        _ => false,
    }
}
