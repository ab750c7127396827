//! UPDATE table [alias] SET column = expression, … [FROM …] [WHERE condition]

use super::change::{Change, Target, carry_out, predicate};
use super::{columns, insert::default_of, rows};
use crate::catalog::{Column, SqlType, Table};
use crate::delta::changes::{ChangeKind, DuplicatePolicy};
use crate::error::{Error, Result};
use crate::parser::{TokenSlice, object_name};
use crate::planner::{Parameters, Planned, Planner, row_of, select};
use crate::sqlstate::SqlState;
use crate::statements::query::select::parameter_types;
use crate::statements::{Describe, Description, Execution, Kind, Response, Statement};
use sqlparser::ast::{
    self, Assignment, AssignmentTarget, Expr, ObjectName, Query, Spanned, TableWithJoins,
    UpdateTableFromKind, Value, With,
};
use std::sync::Arc;

/// UPDATE.
#[derive(Debug)]
pub struct Update {
    target: ast::TableFactor,
    assignments: Vec<(ObjectName, Expr)>,
    from: Vec<TableWithJoins>,
    selection: Option<Expr>,
    with: Option<With>,
}

/// Parses UPDATE.
///
/// # Errors
/// 42601 with the position, 0A000 for clauses that are not built.
pub fn parse(slice: &TokenSlice) -> Result<Arc<dyn Statement>> {
    let ast::Statement::Update(update) = slice.parse_all(|p| p.parse_statement())? else {
        return Err(slice.syntax_error(0, Some("UPDATE")));
    };
    read(slice, update, None)
}

/// UPDATE from its tree, with the queries of a WITH before it.
///
/// # Errors
/// 42601 with the position, 0A000 for clauses that are not built.
pub fn read(
    slice: &TokenSlice,
    update: ast::Update,
    with: Option<With>,
) -> Result<Arc<dyn Statement>> {
    if update.returning.is_some() {
        return Err(Error::unsupported("RETURNING", "Query the table after the statement.")
            .position(slice.position_of(0)));
    }
    if !update.table.joins.is_empty() || update.limit.is_some() {
        return Err(Error::unsupported("a join or LIMIT in UPDATE", "Use UPDATE … FROM … WHERE.")
            .position(slice.position_of(0)));
    }
    let from = match update.from {
        Some(UpdateTableFromKind::AfterSet(from)) => from,
        Some(UpdateTableFromKind::BeforeSet(_)) => {
            return Err(slice.syntax_error(1, Some("a table's name")));
        }
        None => Vec::new(),
    };
    Ok(Arc::new(Update {
        target: update.table.relation,
        assignments: flatten(slice, update.assignments)?,
        from,
        selection: update.selection,
        with,
    }))
}

/// `(a, b) = (x, y)` as two assignments.
fn flatten(slice: &TokenSlice, assignments: Vec<Assignment>) -> Result<Vec<(ObjectName, Expr)>> {
    let mut out = Vec::new();
    for assignment in assignments {
        match (assignment.target, assignment.value) {
            (AssignmentTarget::ColumnName(name), value) => out.push((name, value)),
            (AssignmentTarget::Tuple(names), value) => {
                let Some(values) = row_of(&value, names.len()) else {
                    return Err(Error::unsupported(
                        "assigning something else than a row or a query to several columns",
                        "Write (a, b) = (x, y), or one assignment a column.",
                    )
                    .position(slice.position_of(0)));
                };
                if values.len() != names.len() {
                    return Err(Error::new(
                        SqlState::SyntaxError,
                        "number of columns does not match number of values",
                    )
                    .position(slice.position_of(0)));
                }
                out.extend(names.into_iter().zip(values));
            }
        }
    }
    Ok(out)
}

#[async_trait::async_trait]
impl Statement for Update {
    fn name(&self) -> &'static str {
        "update"
    }

    fn kind(&self) -> Kind {
        Kind::Write
    }

    async fn describe(&self, cx: &Describe<'_>) -> Result<Description> {
        let target = Target::resolve(cx.slice, &cx.planner(), &self.target).await?;
        let (planned, _) = self.plan(cx.slice, &cx.planner(), &target, cx.parameters).await?;
        let parameters = parameter_types(&planned, &cx.parameters.types)?;
        Ok(Description { columns: None, parameters })
    }

    async fn execute(&self, cx: &mut Execution<'_>) -> Result<Response> {
        let target = Target::resolve(cx.slice, &cx.planner(), &self.target).await?;
        let (mut planned, places) =
            self.plan(cx.slice, &cx.planner(), &target, cx.parameters).await?;
        let columns = &target.table.columns;
        let assigned: Vec<(&Column, usize)> =
            places.iter().map(|place| (&columns[*place], place + 2)).collect();
        rows::check_assignments(&planned, assigned.iter().copied())?;
        rows::read_texts(&mut planned, assigned.into_iter())?;
        let change = Change {
            operation: "UPDATE",
            parameters: predicate(self.selection.as_ref()),
            kind: ChangeKind::Update,
            duplicates: DuplicatePolicy::FirstWins,
        };
        let outcome = carry_out(cx, &target, planned, change).await?;
        Response::done(format!("UPDATE {}", outcome.updated))
    }
}

impl Update {
    /// Plans `SELECT __file, __row, <the new row> FROM target, from WHERE …`, and gives the places
    /// of the assigned columns.
    async fn plan(
        &self,
        slice: &TokenSlice,
        planner: &Planner<'_>,
        target: &Target,
        parameters: &Parameters,
    ) -> Result<(Planned, Vec<usize>)> {
        let table = &target.table;
        let names: Vec<ObjectName> = self.assignments.iter().map(|(n, _)| n.clone()).collect();
        let places = columns::places(slice, table, &names).map_err(|e| match e.code() {
            SqlState::DuplicateColumn => {
                let column = e.object().column.clone().unwrap_or_default();
                e.with_code(SqlState::SyntaxError)
                    .with_message(format!("multiple assignments to same column \"{column}\""))
            }
            _ => e,
        })?;
        refuse_qualified(slice, table, &names)?;
        refuse_key_change(slice, table, &places)?;
        let mut items: Vec<(Expr, String)> =
            target.row_ids().into_iter().map(|(e, name)| (e, name.to_owned())).collect();
        for (i, column) in table.columns.iter().enumerate() {
            let value = match places.iter().position(|p| *p == i) {
                Some(assignment) => match &self.assignments[assignment].1 {
                    Expr::Identifier(word)
                        if word.quote_style.is_none()
                            && word.value.eq_ignore_ascii_case("default") =>
                    {
                        default_of(table, i)?
                    }
                    value => typed(value, column)?,
                },
                // A changed row of a feature table is a new row, committed now.
                None if column.hidden => {
                    crate::planner::parse_expression("CAST(NULL AS timestamptz)")?
                }
                None => target.column(&column.name),
            };
            items.push((value, format!("\u{1}{i}")));
        }
        let query = self.query(target, items);
        Ok((target.plan(slice, planner, query, parameters).await?, places))
    }

    fn query(&self, target: &Target, items: Vec<(Expr, String)>) -> Query {
        let mut from = vec![TableWithJoins { relation: target.factor(), joins: Vec::new() }];
        from.extend(self.from.clone());
        Query { with: self.with.clone(), ..select(items, from, self.selection.clone()) }
    }
}

/// `SET t.a = …`: what is set are columns of the target alone.
///
/// # Errors
/// 42703 that takes the qualifier for a column, as PostgreSQL does.
pub fn refuse_qualified(slice: &TokenSlice, table: &Table, names: &[ObjectName]) -> Result<()> {
    let Some(name) = names.iter().find(|name| name.0.len() > 1) else { return Ok(()) };
    let qualifier = object_name(name).remove(0);
    let message =
        format!("column \"{qualifier}\" of relation \"{}\" does not exist", table.name.name);
    Err(Error::new(SqlState::UndefinedColumn, message)
        .column(qualifier)
        .hint("SET target columns cannot be qualified with the relation name.")
        .position_or(slice.position(name.span().start)))
}

/// Refuses to set columns of a feature table's key; UPDATE and MERGE do.
///
/// # Errors
/// 0A000 that names the column.
pub fn refuse_key_change(slice: &TokenSlice, table: &Table, places: &[usize]) -> Result<()> {
    let Some(feature) = &table.feature else { return Ok(()) };
    let key = feature.key();
    let Some(place) = places.iter().find(|p| key.contains(&table.columns[**p].name.as_str()))
    else {
        return Ok(());
    };
    let name = &table.columns[*place].name;
    Err(Error::unsupported(
        format_args!("changing the key column \"{name}\" of a feature table"),
        "Delete the row and insert it under its new key.",
    )
    .column(name)
    .position(slice.position_of(0)))
}

/// A bare parameter takes its column's type.
fn typed(value: &Expr, column: &Column) -> Result<Expr> {
    let is_parameter = matches!(value, Expr::Value(v) if matches!(v.value, Value::Placeholder(_)));
    if !is_parameter {
        return Ok(value.clone());
    }
    let sql_type = match &column.sql_type {
        SqlType::Varchar(_) => &SqlType::Text,
        other => other,
    };
    crate::planner::parse_expression(&format!("CAST({value} AS {sql_type})"))
}
