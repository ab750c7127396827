//! INSERT INTO table [(column, …)] {VALUES … | query | DEFAULT VALUES}

use super::{columns, rows};
use crate::catalog::Table;
use crate::error::{Error, Result};
use crate::parser::{TokenSlice, object_name};
use crate::planner::{Parameters, Planned, Planner, parse_expression, resolve_table};
use crate::sqlstate::SqlState;
use crate::statements::query::select::parameter_types;
use crate::statements::{Describe, Description, Execution, Kind, Response, Statement};
use arrow::datatypes::DataType;
use datafusion::common::Column as DfColumn;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Expr as DfExpr, LogicalPlanBuilder, lit};
use sqlparser::ast::{
    self, Expr, ObjectName, Query, SetExpr, TableObject, UnaryOperator, Value, With,
};
use std::collections::HashMap;
use std::sync::Arc;

/// INSERT.
#[derive(Debug)]
pub struct Insert {
    table: ObjectName,
    columns: Vec<ObjectName>,
    source: Option<Query>,
}

/// Parses INSERT.
///
/// # Errors
/// 42601 with the position, 0A000 for clauses that are not built.
pub fn parse(slice: &TokenSlice) -> Result<Arc<dyn Statement>> {
    let ast::Statement::Insert(insert) = slice.parse_all(|p| p.parse_statement())? else {
        return Err(slice.syntax_error(0, Some("INSERT")));
    };
    read(slice, insert, None)
}

/// INSERT from its tree, with the queries of a WITH before it.
///
/// # Errors
/// 42601 with the position, 0A000 for clauses that are not built.
pub fn read(
    slice: &TokenSlice,
    insert: ast::Insert,
    with: Option<With>,
) -> Result<Arc<dyn Statement>> {
    let refuse =
        |what: &str, hint: &str| Err(Error::unsupported(what, hint).position(slice.position_of(0)));
    if insert.on.is_some() {
        return refuse(
            "ON CONFLICT",
            "Use MERGE, or a feature table, whose inserts replace by key.",
        );
    }
    if insert.returning.is_some() {
        return refuse("RETURNING", "Query the table after the statement.");
    }
    if insert.overwrite || insert.replace_into || insert.partitioned.is_some() {
        return refuse("INSERT OVERWRITE", "Use TRUNCATE and INSERT in one transaction.");
    }
    if let Some(alias) = insert.table_alias.filter(|a| !a.explicit) {
        let place = slice.position(alias.alias.span.start);
        let message = format!("syntax error at or near \"{}\"", alias.alias.value);
        return Err(Error::new(SqlState::SyntaxError, message)
            .position_or(place)
            .hint("An alias of the table is written with AS."));
    }
    let TableObject::TableName(table) = insert.table else {
        return refuse("INSERT INTO a function", "Insert into a table.");
    };
    if insert.source.is_none() && !insert.assignments.is_empty() {
        return refuse("INSERT … SET", "Use INSERT … VALUES.");
    }
    let source = insert.source.map(|mut query| {
        precede(&mut query, with);
        *query
    });
    Ok(Arc::new(Insert { table, columns: insert.columns, source }))
}

/// Puts the queries of a WITH in front of those that a query has itself.
fn precede(query: &mut Query, with: Option<With>) {
    let Some(mut with) = with else { return };
    if let Some(own) = query.with.take() {
        with.recursive |= own.recursive;
        with.cte_tables.extend(own.cte_tables);
    }
    query.with = Some(with);
}

#[async_trait::async_trait]
impl Statement for Insert {
    fn name(&self) -> &'static str {
        "insert"
    }

    fn kind(&self) -> Kind {
        Kind::Write
    }

    async fn describe(&self, cx: &Describe<'_>) -> Result<Description> {
        let table = self.resolve(cx.slice, &cx.planner())?;
        let (planned, places) = self.plan(cx.slice, &cx.planner(), &table, cx.parameters).await?;
        let mut given = cx.parameters.types.clone();
        self.hint_parameters(&table, &places, &mut given);
        Ok(Description { columns: None, parameters: parameter_types(&planned, &given)? })
    }

    async fn execute(&self, cx: &mut Execution<'_>) -> Result<Response> {
        let table = self.resolve(cx.slice, &cx.planner())?;
        let (mut planned, places) =
            self.plan(cx.slice, &cx.planner(), &table, cx.parameters).await?;
        let assigned =
            || places.iter().enumerate().map(|(source, place)| (&table.columns[*place], source));
        rows::check_assignments(&planned, assigned())?;
        rows::read_texts(&mut planned, assigned())?;
        complete(&cx.planner(), &mut planned, &table, &places).await?;
        let stream = planned.stream(cx.services(), cx.canceller).await?;
        let inserted = if table.feature.is_some() {
            super::super::feature::upsert::upsert(cx, &table, stream).await?
        } else {
            let adds =
                rows::write(cx.environment, cx.transaction, cx.canceller, &table, stream).await?;
            rows::append(cx.transaction, &table, adds, "Append")?
        };
        Response::done(format!("INSERT 0 {inserted}"))
    }
}

impl Insert {
    fn resolve(&self, slice: &TokenSlice, planner: &Planner<'_>) -> Result<Arc<Table>> {
        let position = self
            .table
            .0
            .first()
            .and_then(|p| p.as_ident())
            .and_then(|i| slice.position(i.span.start));
        resolve_table(planner.world, &planner.environment.search_path, &object_name(&self.table))
            .map_err(|e| e.position_or(position))
    }

    /// Plans the source, and says which column of the table each of its columns goes to.
    async fn plan(
        &self,
        slice: &TokenSlice,
        planner: &Planner<'_>,
        table: &Table,
        parameters: &Parameters,
    ) -> Result<(Planned, Vec<usize>)> {
        let mut places = if self.columns.is_empty() {
            (0..table.columns.len()).filter(|i| !table.columns[*i].hidden).collect()
        } else {
            columns::places(slice, table, &self.columns)?
        };
        let query = match &self.source {
            Some(query) => {
                let mut query = query.clone();
                fill_defaults(&mut query, table, &places)?;
                type_cells(&mut query, table, &places)?;
                query
            }
            None => {
                places.clear();
                crate::planner::parse_query("SELECT 1 AS one")?
            }
        };
        let planned = planner.plan(slice, query, parameters).await?;
        if self.source.is_none() {
            return Ok((planned, places));
        }
        let given = planned.plan.schema().fields().len();
        if given > places.len() {
            return Err(Error::new(
                SqlState::SyntaxError,
                "INSERT has more expressions than target columns",
            )
            .position(slice.position_of(0)));
        }
        if given < places.len() {
            if !self.columns.is_empty() {
                return Err(Error::new(
                    SqlState::SyntaxError,
                    "INSERT has more target columns than expressions",
                )
                .position(slice.position_of(0)));
            }
            places.truncate(given);
        }
        Ok((planned, places))
    }

    /// A bare `$n` in VALUES has the type of its column.
    fn hint_parameters(&self, table: &Table, places: &[usize], types: &mut Vec<Option<DataType>>) {
        let Some(SetExpr::Values(values)) = self.source.as_ref().map(|q| q.body.as_ref()) else {
            return;
        };
        for row in &values.rows {
            for (cell, place) in row.content.iter().zip(places) {
                let Some(number) = placeholder(cell) else { continue };
                if types.len() < number {
                    types.resize(number, None);
                }
                types[number - 1].get_or_insert_with(|| table.columns[*place].sql_type.arrow());
            }
        }
    }
}

fn placeholder(expr: &Expr) -> Option<usize> {
    let Expr::Value(value) = expr else { return None };
    match &value.value {
        Value::Placeholder(name) => name.strip_prefix('$')?.parse().ok().filter(|n| *n > 0),
        _ => None,
    }
}

/// Puts the default in the place of each `DEFAULT` in VALUES.
fn fill_defaults(query: &mut Query, table: &Table, places: &[usize]) -> Result<()> {
    let SetExpr::Values(values) = query.body.as_mut() else { return Ok(()) };
    for row in &mut values.rows {
        for (cell, place) in row.content.iter_mut().zip(places) {
            let is_default = matches!(cell, Expr::Identifier(i) if i.quote_style.is_none() && i.value.eq_ignore_ascii_case("default"));
            if is_default {
                *cell = default_of(table, *place)?;
            }
        }
    }
    Ok(())
}

/// Gives literals in VALUES the type of their column, each by itself, so that rows may be written
/// in different ways.
fn type_cells(query: &mut Query, table: &Table, places: &[usize]) -> Result<()> {
    let SetExpr::Values(values) = query.body.as_mut() else { return Ok(()) };
    let types: Vec<(DataType, String)> = places
        .iter()
        .map(|place| &table.columns[*place].sql_type)
        .map(|t| (t.arrow(), t.to_string()))
        .collect();
    for row in &mut values.rows {
        for (cell, (to, name)) in row.content.iter_mut().zip(&types) {
            let (is_text, is_time) = (to.is_string(), to.is_temporal());
            let wanted = match (&*cell, is_text) {
                (Expr::Value(v), false) => match &v.value {
                    Value::SingleQuotedString(_) | Value::EscapedStringLiteral(_) => true,
                    // A column of numerics and floats would be read as numeric first.
                    Value::Number(..) => to.is_floating(),
                    _ => false,
                },
                (Expr::UnaryOp { op: UnaryOperator::Minus, expr }, false) => {
                    to.is_floating()
                        && matches!(expr.as_ref(), Expr::Value(v) if matches!(v.value, Value::Number(..)))
                }
                (Expr::TypedString(_), false) => is_time,
                (Expr::Value(v), true) => {
                    matches!(v.value, Value::Number(..) | Value::Boolean(_))
                }
                _ => false,
            };
            if !wanted {
                continue;
            }
            // A varchar's length is checked when the row is written; a cast would cut the text.
            let name = if is_text { "text" } else { name };
            if let Expr::Cast { kind, data_type, array, format, .. } =
                parse_expression(&format!("CAST(NULL AS {name})"))?
            {
                let expr = Box::new(std::mem::replace(cell, Expr::value(Value::Null)));
                *cell = Expr::Cast { kind, expr, data_type, array, format };
            }
        }
    }
    Ok(())
}

/// The expression that a column takes where no value is given.
///
/// # Errors
/// If a stored default no longer parses.
pub fn default_of(table: &Table, place: usize) -> Result<Expr> {
    match &table.columns[place].default {
        Some(text) => parse_expression(text),
        None => Ok(Expr::value(Value::Null)),
    }
}

/// Projects a source to all columns of the table: values, defaults, NULL.
async fn complete(
    planner: &Planner<'_>,
    planned: &mut Planned,
    table: &Table,
    places: &[usize],
) -> Result<()> {
    let schema = planned.plan.schema().clone();
    let mut defaults: HashMap<usize, DfExpr> = match rows::defaults(planner, table, places).await? {
        Some((wanted, planned)) => wanted.into_iter().zip(planned.logical()).collect(),
        None => HashMap::new(),
    };
    let mut projection = Vec::with_capacity(table.columns.len());
    for (i, column) in table.columns.iter().enumerate() {
        let expr = match (places.iter().position(|p| *p == i), defaults.remove(&i)) {
            (Some(source), _) => DfExpr::Column(DfColumn::from(schema.qualified_field(source))),
            (None, Some(default)) => default,
            (None, None) => lit(ScalarValue::try_from(&column.sql_type.arrow())?),
        };
        projection.push(expr.alias(format!("\u{1}{i}")));
    }
    let plan = std::mem::take(&mut planned.plan);
    planned.plan = LogicalPlanBuilder::from(plan).project(projection)?.build()?;
    Ok(())
}
