//! CREATE FEATURE TABLE [IF NOT EXISTS] name (column type …, PRIMARY KEY (…) [, TIMESTAMP KEY (…)])
//! CREATE FEATURE TABLE [IF NOT EXISTS] name PRIMARY KEY (…) [TIMESTAMP KEY (…)] AS query

use super::keys::KeySet;
use crate::catalog::{Column, FeatureSpec, QualifiedName, SqlType, Table, random_id};
use crate::error::{Error, Notice, Result};
use crate::features::{committed_at_column, history_columns, history_name};
use crate::parser::{Cursor, TokenSlice};
use crate::planner::Planned;
use crate::sqlstate::SqlState;
use crate::statements::query::select::parse_query;
use crate::statements::table::{columns, create_table, names, rows};
use crate::statements::{Execution, Kind, Response, Statement};
use crate::suggest;
use arrow::array::{RecordBatch, RecordBatchOptions, new_null_array};
use arrow::datatypes::SchemaRef;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;
use sqlparser::ast::{ColumnDef, Query, TableConstraint};
use sqlparser::tokenizer::Token;
use std::collections::BTreeMap;
use std::sync::Arc;

/// CREATE FEATURE TABLE.
#[derive(Debug, Default)]
pub struct CreateFeatureTable {
    name: Vec<String>,
    position: usize,
    if_not_exists: bool,
    columns: Vec<ColumnDef>,
    constraints: Vec<TableConstraint>,
    /// Outside of the column list.
    primary_key: Option<Vec<(String, usize)>>,
    timestamp_key: Option<(String, usize)>,
    query: Option<(Query, TokenSlice)>,
    with_data: bool,
}

/// Parses CREATE FEATURE TABLE.
///
/// # Errors
/// 42601 with the position, 0A000 for clauses that are not built.
pub fn parse(slice: &TokenSlice) -> Result<Arc<dyn Statement>> {
    let mut cursor = Cursor::new(slice);
    cursor.expect(&["CREATE", "FEATURE", "TABLE"])?;
    let if_not_exists = cursor.if_not_exists();
    let position = cursor.position();
    let name = cursor.name("a feature table's name")?;
    let mut out =
        CreateFeatureTable { name, position, if_not_exists, with_data: true, ..Default::default() };
    if cursor.peek() == Some(&Token::LParen) {
        column_list(&mut cursor, &mut out)?;
        refuse_later(&cursor)?;
        cursor.expect_end()?;
        return Ok(Arc::new(out));
    }
    while !cursor.peek_words(&["AS"]) {
        refuse_later(&cursor)?;
        if cursor.peek_words(&["PRIMARY"]) && out.primary_key.is_none() {
            cursor.expect(&["PRIMARY", "KEY"])?;
            out.primary_key = Some(name_list(&mut cursor)?);
        } else if cursor.peek_words(&["TIMESTAMP"]) && out.timestamp_key.is_none() {
            out.timestamp_key = Some(timestamp_key(&mut cursor)?);
        } else {
            return Err(cursor.error(Some("columns in parentheses, or PRIMARY KEY (…) AS query")));
        }
    }
    cursor.expect(&["AS"])?;
    let (end, with_data) = create_table::without_with_data(slice);
    let query = slice.range(cursor.index(), end);
    out.with_data = with_data;
    out.query = Some((parse_query(&query)?, query));
    Ok(Arc::new(out))
}

/// Clauses of the language that come later.
fn refuse_later(cursor: &Cursor<'_>) -> Result<()> {
    let later = [
        ("WITH", "Options such as ttl and online come later; leave WITH out."),
        ("REFRESH", "Run INSERT INTO the feature table with the query: it replaces by key."),
        ("PARTITIONED", "Feature tables are not partitioned."),
    ];
    match later.iter().find(|(word, _)| cursor.peek_words(&[word])) {
        Some((word, hint)) => {
            Err(Error::unsupported(format_args!("{word} of a feature table"), *hint)
                .position(cursor.position()))
        }
        None => Ok(()),
    }
}

/// Reads the column list item by item: sqlparser does not know TIMESTAMP KEY.
fn column_list(cursor: &mut Cursor<'_>, out: &mut CreateFeatureTable) -> Result<()> {
    let slice = cursor.slice();
    let end = cursor.closing_parenthesis()?;
    let mut start = cursor.index() + 1;
    let mut depth = 0usize;
    let first = start;
    for i in first..end {
        match slice.tokens()[i].token {
            Token::LParen => depth += 1,
            Token::RParen if depth > 0 => depth -= 1,
            Token::Comma if depth > 0 => {}
            Token::Comma | Token::RParen => {
                if i == start {
                    return Err(slice.syntax_error(i, Some("a column")));
                }
                item(&slice.range(start, i), out)?;
                start = i + 1;
            }
            _ => {}
        }
    }
    cursor.seek(end);
    Ok(())
}

fn item(slice: &TokenSlice, out: &mut CreateFeatureTable) -> Result<()> {
    let mut cursor = Cursor::new(slice);
    if cursor.peek_words(&["TIMESTAMP", "KEY"]) {
        if out.timestamp_key.is_some() {
            return Err(cursor.error(Some("one TIMESTAMP KEY")));
        }
        out.timestamp_key = Some(timestamp_key(&mut cursor)?);
        return cursor.expect_end();
    }
    let is_constraint = ["CONSTRAINT", "PRIMARY", "CHECK", "UNIQUE", "FOREIGN"]
        .iter()
        .any(|word| cursor.peek_words(&[word]));
    if is_constraint {
        out.constraints.extend(slice.parse_all(|p| p.parse_optional_table_constraint())?);
    } else {
        out.columns.push(slice.parse_all(|p| p.parse_column_def())?);
    }
    Ok(())
}

fn timestamp_key(cursor: &mut Cursor<'_>) -> Result<(String, usize)> {
    cursor.expect(&["TIMESTAMP", "KEY"])?;
    let mut names = name_list(cursor)?;
    match (names.pop(), names.is_empty()) {
        (Some(name), true) => Ok(name),
        (Some((_, position)), false) => Err(Error::new(
            SqlState::InvalidTableDefinition,
            "a feature table has one timestamp key column",
        )
        .position(position)),
        (None, _) => Err(cursor.error(Some("a column's name"))),
    }
}

fn name_list(cursor: &mut Cursor<'_>) -> Result<Vec<(String, usize)>> {
    cursor.expect_token(&Token::LParen)?;
    let mut names = Vec::new();
    loop {
        let position = cursor.position();
        names.push((cursor.identifier("a column's name")?, position));
        if !cursor.accept_token(&Token::Comma) {
            break;
        }
    }
    cursor.expect_token(&Token::RParen)?;
    Ok(names)
}

#[async_trait::async_trait]
impl Statement for CreateFeatureTable {
    fn name(&self) -> &'static str {
        "create_feature_table"
    }

    fn kind(&self) -> Kind {
        Kind::Write
    }

    async fn execute(&self, cx: &mut Execution<'_>) -> Result<Response> {
        let place = |e: Error| e.position_or(Some(self.position));
        let name = names::new_name(cx, &self.name).map_err(place)?;
        if cx.transaction.catalog().relation(&name).is_some() {
            if self.if_not_exists {
                cx.notice(
                    Notice::notice(format!("relation \"{}\" already exists, skipping", name.name))
                        .with_code(SqlState::DuplicateTable),
                );
                return Response::done("CREATE FEATURE TABLE");
            }
            return Err(place(
                Error::new(
                    SqlState::DuplicateTable,
                    format!("relation \"{}\" already exists", name.name),
                )
                .hint("Drop it first with DROP FEATURE TABLE, or use IF NOT EXISTS."),
            ));
        }
        let planned = match &self.query {
            Some((query, slice)) => {
                Some(cx.planner().plan(slice, query.clone(), cx.parameters).await?)
            }
            None => None,
        };
        let (table, history) = self.tables(cx, name, planned.as_ref())?;
        create_table::check_definition(cx, &table).await.map_err(place)?;
        cx.transaction.create_table(table.clone())?;
        cx.transaction.create_table(history)?;
        match planned {
            Some(planned) if self.with_data => {
                let n = fill(cx, &table, planned).await?;
                Response::done(format!("SELECT {n}"))
            }
            _ => Response::done("CREATE FEATURE TABLE"),
        }
    }
}

impl CreateFeatureTable {
    /// The table and its history, as the catalog will know them.
    fn tables(
        &self,
        cx: &Execution<'_>,
        name: QualifiedName,
        planned: Option<&Planned>,
    ) -> Result<(Table, Table)> {
        let place = |e: Error| e.position_or(Some(self.position));
        let mut definition =
            columns::define(cx.slice, &name.name, &self.columns, &self.constraints)?;
        if let Some(planned) = planned {
            definition.columns =
                create_table::query_columns(planned, Vec::new(), &[]).map_err(place)?;
        }
        let given: Vec<(String, usize)> = match (&self.primary_key, definition.primary_key) {
            (Some(given), _) => given.clone(),
            (None, Some(names)) => names.into_iter().map(|n| (n, self.position)).collect(),
            (None, None) => return Err(place(no_key(&name))),
        };
        let mut columns = definition.columns;
        let keys = require(&mut columns, &given, self.timestamp_key.as_ref())?;
        let history_id = random_id();
        let table = Table {
            checks: definition.checks,
            feature: Some(FeatureSpec {
                primary_key: keys,
                timestamp_key: self.timestamp_key.as_ref().map(|(name, _)| name.clone()),
                history: history_id.clone(),
                query: self.query.as_ref().map(|(_, slice)| slice.text().to_owned()),
            }),
            ..plain_table(cx, random_id(), name, columns)
        };
        let history_columns = history_columns(&table);
        let history = Table {
            internal: true,
            ..plain_table(cx, history_id, history_name(&table.name), history_columns)
        };
        let mut table = table;
        table.columns.push(committed_at_column());
        Ok((table, history))
    }
}

fn no_key(name: &QualifiedName) -> Error {
    Error::new(SqlState::SyntaxError, format!("feature table \"{}\" has no PRIMARY KEY", name.name))
        .hint("Name the columns that a row is found by: PRIMARY KEY (customer_id).")
}

fn plain_table(cx: &Execution<'_>, id: String, name: QualifiedName, columns: Vec<Column>) -> Table {
    Table {
        path: create_table::folder(&name, &id),
        id,
        oid: 0,
        name,
        columns,
        checks: Vec::new(),
        partition_by: Vec::new(),
        properties: BTreeMap::new(),
        feature: None,
        internal: false,
        owner: cx.environment.role.clone(),
        comment: None,
    }
}

/// Makes the key's columns NOT NULL; gives the names of the primary key.
fn require(
    columns: &mut [Column],
    primary: &[(String, usize)],
    timestamp: Option<&(String, usize)>,
) -> Result<Vec<String>> {
    let mut names: Vec<String> = Vec::new();
    for (name, position) in primary.iter().chain(timestamp) {
        if names.contains(name) {
            return Err(columns::duplicate(name).position(*position));
        }
        let known: Vec<String> = columns.iter().map(|c| c.name.clone()).collect();
        let column = columns.iter_mut().find(|c| c.name == *name).ok_or_else(|| {
            Error::new(
                SqlState::UndefinedColumn,
                format!("column \"{name}\" named in key does not exist"),
            )
            .position(*position)
            .maybe_hint(suggest::hint("column", name, &known))
        })?;
        column.not_null = true;
        names.push(name.clone());
    }
    let Some((name, position)) = timestamp else { return Ok(names) };
    names.pop();
    match columns.iter().find(|c| c.name == *name).map(|c| &c.sql_type) {
        Some(SqlType::Date | SqlType::Timestamp | SqlType::TimestampTz) | None => Ok(names),
        Some(other) => Err(Error::new(
            SqlState::DatatypeMismatch,
            format!("timestamp key \"{name}\" is of type {other}"),
        )
        .column(name)
        .position(*position)
        .hint("A timestamp key is a date, timestamp or timestamptz.")),
    }
}

/// Runs the query into the new table; no key may stand twice.
async fn fill(cx: &Execution<'_>, table: &Table, planned: Planned) -> Result<u64> {
    let stream = planned.stream(cx.services(), cx.canceller).await?;
    let mut keys = KeySet::new(table, cx.services().memory_pool())?;
    let schema = table.schema();
    let types = schema.clone();
    let rows = stream.map(move |batch| {
        let batch = complete(&batch?, &types)?;
        keys.insert(&batch)?;
        Ok(batch)
    });
    let rows: SendableRecordBatchStream = Box::pin(RecordBatchStreamAdapter::new(schema, rows));
    let adds = rows::write(cx.environment, cx.transaction, cx.canceller, table, rows).await?;
    rows::append(cx.transaction, table, adds, "Append")
}

/// The query's columns, cast, and `_committed_at` NULL; NOT NULL is checked later.
fn complete(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let fields: Vec<_> =
        schema.fields().iter().map(|f| f.as_ref().clone().with_nullable(true)).collect();
    let mut columns = Vec::with_capacity(fields.len());
    for (i, field) in fields.iter().enumerate() {
        columns.push(match batch.columns().get(i) {
            Some(column) => arrow::compute::cast(column, field.data_type())?,
            None => new_null_array(field.data_type(), batch.num_rows()),
        });
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let schema = Arc::new(arrow::datatypes::Schema::new(fields));
    Ok(RecordBatch::try_new_with_options(schema, columns, &options)?)
}
