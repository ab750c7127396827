//! SELECT, WITH, VALUES, TABLE: rows from a query.

use crate::error::{Error, Result};
use crate::parser::{Cursor, TokenSlice};
use crate::planner::Planned;
use crate::sqlstate::SqlState;
use crate::statements::session::{pg_sleep, set_config};
use crate::statements::table::{delete, insert, update};
use crate::statements::{Describe, Description, Execution, Kind, Response, Statement};
use arrow::datatypes::DataType;
use sqlparser::ast::{self, Query, SetExpr, TableFactor};
use std::sync::Arc;

/// A query.
#[derive(Debug)]
pub struct Select {
    query: Query,
}

/// Parses a query.
///
/// # Errors
/// 42601 with the position.
pub fn parse(slice: &TokenSlice) -> Result<Arc<dyn Statement>> {
    Ok(Arc::new(Select { query: parse_query(slice)? }))
}

/// Parses what begins with WITH: a query, or INSERT, UPDATE or DELETE that reads the queries before it.
///
/// # Errors
/// 42601 with the position, 0A000 for SELECT INTO and for changes inside of WITH.
pub fn parse_with(slice: &TokenSlice) -> Result<Arc<dyn Statement>> {
    let ast::Statement::Query(query) = slice.parse_all(|p| p.parse_statement())? else {
        return Err(slice.syntax_error(0, Some("a query")));
    };
    let place = |e: Error| e.position(slice.position_of(0));
    for cte in query.with.iter().flat_map(|w| &w.cte_tables) {
        check(&cte.query).map_err(place)?;
    }
    let Query { with, body, .. } = *query;
    match *body {
        SetExpr::Insert(ast::Statement::Insert(insert)) => insert::read(slice, insert, with),
        SetExpr::Update(ast::Statement::Update(update)) => update::read(slice, update, with),
        SetExpr::Delete(ast::Statement::Delete(delete)) => delete::read(slice, delete, with),
        body => {
            let query = Query { with, body: Box::new(body), ..*query };
            check(&query).map_err(place)?;
            Ok(Arc::new(Select { query }))
        }
    }
}

/// Parses a statement that is to be a query that only reads.
///
/// # Errors
/// 42601 with the position, 0A000 for SELECT INTO and data-modifying CTEs.
pub fn parse_query(slice: &TokenSlice) -> Result<Query> {
    let mut cursor = Cursor::new(slice);
    if cursor.accept(&["TABLE"]) {
        // sqlparser reads it inside of other statements only.
        return whole_table(&slice.from(cursor.index()));
    }
    let statement = slice.parse_all(|p| p.parse_statement())?;
    let ast::Statement::Query(query) = statement else {
        return Err(slice.syntax_error(0, Some("a query")));
    };
    check(&query).map_err(|e| e.position(slice.position_of(0)))?;
    Ok(*query)
}

/// `SELECT * FROM` the table whose name, perhaps with a version, all of the tokens are.
///
/// # Errors
/// 42601 with the position.
pub fn whole_table(slice: &TokenSlice) -> Result<Query> {
    let factor = slice.parse_all(|p| p.parse_table_factor())?;
    let TableFactor::Table { alias: None, args: None, sample: None, .. } = &factor else {
        return Err(slice.syntax_error(1, None));
    };
    let mut query = crate::planner::parse_query("SELECT * FROM placeholder")?;
    if let SetExpr::Select(select) = query.body.as_mut() {
        select.from[0].relation = factor;
    }
    Ok(query)
}

/// Refuses what would be planned as a plain query but means more.
fn check(query: &Query) -> Result<()> {
    if !query.locks.is_empty() {
        return Err(Error::unsupported(
            "FOR UPDATE",
            "Transactions see snapshots; conflicts end in 40001 at COMMIT.",
        ));
    }
    for cte in query.with.iter().flat_map(|w| &w.cte_tables) {
        check(&cte.query)?;
    }
    check_set(&query.body)
}

fn check_set(body: &SetExpr) -> Result<()> {
    match body {
        SetExpr::Select(select) if select.into.is_some() => {
            Err(Error::unsupported("SELECT INTO", "Use CREATE TABLE … AS SELECT."))
        }
        SetExpr::SetOperation { left, right, .. } => {
            check_set(left)?;
            check_set(right)
        }
        SetExpr::Query(inner) => check(inner),
        SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {
            Err(Error::unsupported(
                "a data-modifying statement in WITH",
                "Run it as a statement of its own in the same transaction.",
            ))
        }
        _ => Ok(()),
    }
}

#[async_trait::async_trait]
impl Statement for Select {
    fn name(&self) -> &'static str {
        "select"
    }

    fn kind(&self) -> Kind {
        Kind::Read
    }

    async fn describe(&self, cx: &Describe<'_>) -> Result<Description> {
        let mut query = self.query.clone();
        set_config::take(&mut query)?;
        pg_sleep::take(&mut query)?;
        let planned = cx.planner().plan(cx.slice, query, cx.parameters).await?;
        Ok(Description {
            columns: Some(planned.schema()),
            parameters: parameter_types(&planned, &cx.parameters.types)?,
        })
    }

    async fn execute(&self, cx: &mut Execution<'_>) -> Result<Response> {
        let mut query = self.query.clone();
        let settings = set_config::take(&mut query)?;
        let sleeps = pg_sleep::take(&mut query)?;
        let planned = cx.planner().plan(cx.slice, query, cx.parameters).await?;
        for call in settings {
            call.execute(cx)?;
        }
        for call in sleeps {
            if let Some(time) = call.time(cx.parameters)? {
                let wait = async {
                    tokio::time::sleep(time).await;
                    Ok(())
                };
                cx.canceller.guard(wait).await?;
            }
        }
        Ok(Response::Rows {
            schema: planned.schema(),
            stream: planned.stream(cx.services(), cx.canceller).await?,
            tag: "SELECT",
            counted: true,
        })
    }
}

/// The types of a plan's parameters: the client's, else what the plan tells, else text.
///
/// # Errors
/// 42P18 for a gap in the numbering that leaves a type open.
pub fn parameter_types(planned: &Planned, given: &[Option<DataType>]) -> Result<Vec<DataType>> {
    let found = planned.parameter_types()?;
    let count = found.keys().max().copied().unwrap_or(0).max(given.len());
    (1..=count)
        .map(|i| {
            if let Some(Some(given)) = given.get(i - 1) {
                return Ok(given.clone());
            }
            match found.get(&i) {
                Some(Some(t)) => Ok(t.clone()),
                Some(None) => Ok(DataType::Utf8View),
                None => Err(Error::new(
                    SqlState::IndeterminateDatatype,
                    format!("could not determine data type of parameter ${i}"),
                )),
            }
        })
        .collect()
}
