//! CREATE [OR REPLACE] TABLE [IF NOT EXISTS] name [(column type …, …)] [USING DELTA]
//! [PARTITIONED BY (…)] [TBLPROPERTIES (…)] [COMMENT '…'] [AS query] [WITH [NO] DATA]

use super::{columns, names, rows};
use crate::catalog::{
    CatalogOp, Check, Column, Dependency, QualifiedName, Relation, SqlType, Table, random_id,
};
use crate::delta::actions::Action;
use crate::error::{Error, Notice, Result};
use crate::parser::{Cursor, OptionValue, Options, TokenSlice, quote_ident};
use crate::planner::Planned;
use crate::sqlstate::SqlState;
use crate::statements::query::select::{parameter_types, parse_query};
use crate::statements::{Describe, Description, Execution, Kind, Response, Statement};
use crate::warehouse::{ReadSet, TableChange};
use arrow::datatypes::DataType;
use datafusion::logical_expr::Expr;
use serde_json::json;
use sqlparser::ast::{
    ColumnDef, Expr as SqlExpr, Query, TableConstraint, Value, visit_expressions,
};
use sqlparser::tokenizer::Token;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

/// CREATE TABLE.
#[derive(Debug)]
pub struct CreateTable {
    name: Vec<String>,
    position: usize,
    or_replace: bool,
    if_not_exists: bool,
    /// Names for the columns of the query.
    names: Vec<String>,
    columns: Vec<ColumnDef>,
    constraints: Vec<TableConstraint>,
    partition_by: Vec<String>,
    properties: BTreeMap<String, String>,
    comment: Option<String>,
    query: Option<(Query, TokenSlice)>,
    with_data: bool,
}

/// Parses CREATE TABLE.
///
/// # Errors
/// 42601 with the position, 0A000 for clauses that are not built.
pub fn parse(slice: &TokenSlice) -> Result<Arc<dyn Statement>> {
    let mut cursor = Cursor::new(slice);
    cursor.expect(&["CREATE"])?;
    let or_replace = cursor.accept(&["OR", "REPLACE"]);
    cursor.expect(&["TABLE"])?;
    if or_replace && cursor.peek_words(&["IF", "NOT", "EXISTS"]) {
        return Err(
            cursor.error(Some("a table's name: OR REPLACE and IF NOT EXISTS exclude each other"))
        );
    }
    let if_not_exists = cursor.if_not_exists();
    let position = cursor.position();
    let mut out = CreateTable {
        name: cursor.name("a table's name")?,
        position,
        or_replace,
        if_not_exists,
        names: Vec::new(),
        columns: Vec::new(),
        constraints: Vec::new(),
        partition_by: Vec::new(),
        properties: BTreeMap::new(),
        comment: None,
        query: None,
        with_data: true,
    };
    let in_parentheses = cursor.peek() == Some(&Token::LParen)
        && matches!(cursor.peek_nth(1), Some(Token::Word(w)) if w.quote_style.is_none() && w.value.eq_ignore_ascii_case("like"));
    if in_parentheses
        || cursor.peek_words(&["LIKE"])
        || cursor.peek_words(&["SHALLOW"])
        || cursor.peek_words(&["DEEP"])
    {
        return Err(Error::unsupported(
            "CREATE TABLE LIKE or CLONE",
            "Use CREATE TABLE … AS SELECT.",
        )
        .position(cursor.position()));
    }
    if cursor.peek() == Some(&Token::LParen) {
        let close = cursor.closing_parenthesis()?;
        if let Some(names) = plain_names(&cursor, close) {
            out.names = names;
        } else {
            let list = slice.range(cursor.index(), close);
            (out.columns, out.constraints) = list.parse_all(|p| p.parse_columns())?;
        }
        cursor.seek(close);
    }
    while !cursor.at_end() && !cursor.peek_words(&["AS"]) {
        clause(&mut cursor, &mut out)?;
    }
    if cursor.accept(&["AS"]) {
        let (end, with_data) = without_with_data(slice);
        out.with_data = with_data;
        let query = slice.range(cursor.index(), end);
        out.query = Some((parse_query(&query)?, query));
    } else if out.columns.is_empty() {
        return Err(cursor.error(Some("columns, or AS and a query")));
    }
    Ok(Arc::new(out))
}

/// The names of `(a, b)` in front of AS: columns that take their types from the query.
fn plain_names(cursor: &Cursor<'_>, close: usize) -> Option<Vec<String>> {
    let mut inner = cursor.clone();
    inner.advance();
    let mut names = Vec::new();
    loop {
        names.push(inner.identifier("a column's name").ok()?);
        if !inner.accept_token(&Token::Comma) {
            break;
        }
    }
    (inner.accept_token(&Token::RParen) && inner.index() == close).then_some(names)
}

/// Takes `WITH [NO] DATA` off the end.
pub fn without_with_data(slice: &TokenSlice) -> (usize, bool) {
    let end = slice.tokens().len();
    let mut cursor = Cursor::new(slice);
    for (words, with_data) in [(&["WITH", "NO", "DATA"][..], false), (&["WITH", "DATA"][..], true)]
    {
        if end > words.len() {
            cursor.seek(end - words.len());
            if cursor.peek_words(words) {
                return (end - words.len(), with_data);
            }
        }
    }
    (end, true)
}

fn clause(cursor: &mut Cursor<'_>, out: &mut CreateTable) -> Result<()> {
    if cursor.accept(&["USING"]) {
        let position = cursor.position();
        if cursor.identifier("DELTA")? != "delta" {
            return Err(Error::unsupported("this table format", "Tables are Delta tables.")
                .position(position));
        }
    } else if cursor.accept(&["PARTITIONED", "BY"]) {
        cursor.expect_token(&Token::LParen)?;
        loop {
            out.partition_by.push(cursor.identifier("a column's name")?);
            if !cursor.accept_token(&Token::Comma) {
                break;
            }
        }
        cursor.expect_token(&Token::RParen)?;
    } else if cursor.accept(&["TBLPROPERTIES"]) {
        out.properties = properties(cursor)?;
    } else if cursor.accept(&["COMMENT"]) {
        out.comment = Some(cursor.string("a comment")?);
    } else if cursor.peek_words(&["LOCATION"]) {
        return Err(Error::unsupported("LOCATION", "Tables live in the warehouse's folder.")
            .position(cursor.position()));
    } else if cursor.peek_words(&["CLUSTER"]) {
        return Err(Error::unsupported("CLUSTER BY", "Insert the rows in order; files keep it.")
            .position(cursor.position()));
    } else {
        return Err(cursor.error(Some("AS and a query, or the end")));
    }
    Ok(())
}

/// `('key' = 'value', …)`; Spark quotes the keys.
fn properties(cursor: &mut Cursor<'_>) -> Result<BTreeMap<String, String>> {
    let quoted = matches!(cursor.peek_nth(1), Some(Token::SingleQuotedString(_)));
    let mut out = BTreeMap::new();
    if !quoted {
        for (name, value, _) in Options::parse(cursor)?.iter() {
            let text = match value {
                OptionValue::Text(text) => text.clone(),
                other => other.to_string(),
            };
            out.insert(name.to_owned(), text);
        }
        return Ok(out);
    }
    cursor.expect_token(&Token::LParen)?;
    loop {
        let key = cursor.string("a property's name")?;
        cursor.expect_token(&Token::Eq)?;
        out.insert(key, cursor.string("a property's value")?);
        if !cursor.accept_token(&Token::Comma) {
            break;
        }
    }
    cursor.expect_token(&Token::RParen)?;
    Ok(out)
}

#[async_trait::async_trait]
impl Statement for CreateTable {
    fn name(&self) -> &'static str {
        if self.query.is_some() { "create_table_as" } else { "create_table" }
    }

    fn kind(&self) -> Kind {
        Kind::Write
    }

    async fn describe(&self, cx: &Describe<'_>) -> Result<Description> {
        // A query that fails says so when it runs: IF NOT EXISTS may not need it.
        let Some((query, slice)) = self.query.as_ref().filter(|(q, _)| has_parameters(q)) else {
            return Ok(Description::default());
        };
        let planned = cx.planner().plan(slice, query.clone(), cx.parameters).await?;
        let parameters = parameter_types(&planned, &cx.parameters.types)?;
        Ok(Description { columns: None, parameters })
    }

    async fn execute(&self, cx: &mut Execution<'_>) -> Result<Response> {
        let place = |e: Error| e.position_or(Some(self.position));
        let name = names::new_name(cx, &self.name).map_err(place)?;
        let existing = cx.transaction.catalog().relation(&name).cloned();
        let old = match existing {
            None => None,
            Some(_) if self.if_not_exists => {
                cx.notice(
                    Notice::notice(format!("relation \"{}\" already exists, skipping", name.name))
                        .with_code(SqlState::DuplicateTable),
                );
                return Response::done(self.tag());
            }
            Some(Relation::Table(table)) if self.or_replace && table.feature.is_none() => {
                Some(table)
            }
            Some(Relation::View(_)) if self.or_replace => {
                return Err(place(Error::new(
                    SqlState::WrongObjectType,
                    format!("\"{}\" is not a table", name.name),
                )));
            }
            Some(Relation::Table(table)) if table.feature.is_some() => {
                let hint = "It is a feature table: use DROP FEATURE TABLE first.";
                return Err(place(already_there(&name).hint(hint)));
            }
            Some(_) => return Err(place(already_there(&name))),
        };
        let planned = match &self.query {
            Some((query, slice)) => {
                Some(cx.planner().plan(slice, query.clone(), cx.parameters).await?)
            }
            None => None,
        };
        let table = self.table(cx, name, old.as_deref(), planned.as_ref())?;
        check_definition(cx, &table).await.map_err(place)?;
        let rows = match planned {
            Some(planned) if self.with_data => Some(self.fill(cx, &table, planned).await?),
            _ => None,
        };
        self.register(cx, table, old, rows.as_ref().map(|(_, n)| *n), rows.map(|(adds, _)| adds))
            .await
    }
}

/// Names the views that cannot be read any more since a table that they read was replaced.
async fn warn_of_views(cx: &Execution<'_>, id: &str) {
    let (views, _) = cx.transaction.catalog().dependents(&Dependency::Table(id.to_owned()));
    for view in views {
        let name = [&view.name.schema, &view.name.name].map(|part| quote_ident(part)).join(".");
        if let Err(e) = cx.planner().plan_text(&format!("SELECT * FROM {name}")).await {
            let message = format!("view \"{}\" cannot be read any more", view.name);
            let detail = format!("In its query: {}.", e.message());
            let hint = "Drop the view and create it again, or replace the table once more.";
            cx.notice(Notice::warning(message).with_detail(detail).with_hint(hint));
        }
    }
}

/// Whether a query names `$1`, `$2`, …
fn has_parameters(query: &Query) -> bool {
    let found = visit_expressions(query, |e| match e {
        SqlExpr::Value(v) if matches!(v.value, Value::Placeholder(_)) => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    found.is_break()
}

fn already_there(name: &QualifiedName) -> Error {
    Error::new(SqlState::DuplicateTable, format!("relation \"{}\" already exists", name.name))
        .hint("Use CREATE OR REPLACE TABLE, or IF NOT EXISTS.")
}

impl CreateTable {
    /// The table as the catalog will know it.
    fn table(
        &self,
        cx: &Execution<'_>,
        name: QualifiedName,
        old: Option<&Table>,
        planned: Option<&Planned>,
    ) -> Result<Table> {
        let mut definition =
            columns::define(cx.slice, &name.name, &self.columns, &self.constraints)?;
        if definition.primary_key.is_some() {
            return Err(Error::unsupported(
                "PRIMARY KEY",
                "A feature table (CREATE FEATURE TABLE) has a key; a plain table enforces NOT NULL and CHECK.",
            )
            .position(self.position));
        }
        if let Some(planned) = planned {
            definition.columns = query_columns(planned, definition.columns, &self.names)
                .map_err(|e| e.position_or(Some(self.position)))?;
        }
        for column in &self.partition_by {
            if !definition.columns.iter().any(|c| c.name == *column) {
                return Err(Error::new(
                    SqlState::UndefinedColumn,
                    format!("partition column \"{column}\" does not exist"),
                )
                .position(self.position));
            }
        }
        if self.partition_by.len() == definition.columns.len() {
            return Err(Error::new(
                SqlState::InvalidTableDefinition,
                "a table needs a column that it is not partitioned by",
            )
            .position(self.position));
        }
        refuse_change_feed(&self.properties)?;
        let id = old.map_or_else(random_id, |t| t.id.clone());
        Ok(Table {
            path: old.map_or_else(|| folder(&name, &id), |t| t.path.clone()),
            id,
            oid: 0,
            name,
            columns: definition.columns,
            checks: definition.checks,
            partition_by: self.partition_by.clone(),
            properties: self.properties.clone(),
            feature: None,
            internal: false,
            owner: cx.environment.role.clone(),
            comment: self.comment.clone(),
        })
    }

    /// Runs the query into files of the new table.
    async fn fill(
        &self,
        cx: &Execution<'_>,
        table: &Table,
        planned: Planned,
    ) -> Result<(Vec<crate::delta::actions::Add>, u64)> {
        let stream = planned.stream(cx.services(), cx.canceller).await?;
        let adds = rows::write(cx.environment, cx.transaction, cx.canceller, table, stream).await?;
        let n = rows::count(&adds);
        Ok((adds, n))
    }

    async fn register(
        &self,
        cx: &Execution<'_>,
        table: Table,
        old: Option<Arc<Table>>,
        n: Option<u64>,
        adds: Option<Vec<crate::delta::actions::Add>>,
    ) -> Result<Response> {
        let mut actions: Vec<Action> = Vec::new();
        let id = table.id.clone();
        if old.is_some() {
            let now_ms = cx.environment.now.timestamp_millis();
            let state = cx.transaction.table(&id).await?;
            actions.push(Action::Protocol(crate::delta::schema::protocol_for(&table)));
            actions.push(Action::MetaData(crate::delta::schema::metadata_for(&table, now_ms)?));
            actions.extend(state.files().map(|add| Action::Remove(add.remove(now_ms, true))));
            cx.transaction.apply(CatalogOp::ReplaceTable { table: Box::new(table.clone()) })?;
        } else {
            cx.transaction.create_table(table.clone())?;
        }
        actions.extend(adds.into_iter().flatten().map(Action::Add));
        let operation = match (old.is_some(), self.query.is_some()) {
            (true, true) => "CREATE OR REPLACE TABLE AS SELECT",
            (true, false) => "CREATE OR REPLACE TABLE",
            (false, true) => "CREATE TABLE AS SELECT",
            (false, false) => "CREATE TABLE",
        };
        let change = TableChange {
            actions,
            operation: operation.into(),
            parameters: rows::object(&[
                ("isManaged", json!("true")),
                ("partitionBy", json!(rows::partition_text(&table))),
            ]),
            metrics: n.map_or_else(Default::default, |n| {
                rows::object(&[("numOutputRows", json!(n.to_string()))])
            }),
            reads: ReadSet::Nothing,
            exclusive: old.is_some(),
        };
        cx.transaction.change(&id, change)?;
        if old.is_some() {
            warn_of_views(cx, &id).await;
        }
        Response::done(match n {
            Some(n) => format!("SELECT {n}"),
            None => self.tag().to_owned(),
        })
    }

    /// The answer where no row was counted.
    fn tag(&self) -> &'static str {
        if self.query.is_some() { "CREATE TABLE AS" } else { "CREATE TABLE" }
    }
}

/// The folder of a new table: names percent-encoded, the id so that it is never reused.
pub fn folder(name: &QualifiedName, id: &str) -> String {
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    const ENCODED: &percent_encoding::AsciiSet = &NON_ALPHANUMERIC.remove(b'_').remove(b'-');
    let encode = |s: &str| utf8_percent_encode(s, ENCODED).to_string();
    format!("{}/{}-{id}", encode(&name.schema), encode(&name.name))
}

/// The columns of a query's result: the given names, if any, with the query's types.
///
/// # Errors
/// 42601 for a wrong number of names, 42701 and 42602 for names that no table can have.
pub fn query_columns(
    planned: &Planned,
    given: Vec<Column>,
    names: &[String],
) -> Result<Vec<Column>> {
    let schema = planned.schema();
    if !given.is_empty() {
        if given.len() != schema.fields().len() {
            return Err(Error::new(
                SqlState::SyntaxError,
                "CREATE TABLE AS specifies a different number of columns than its query",
            ));
        }
        return Ok(given);
    }
    if names.len() > schema.fields().len() {
        return Err(Error::new(SqlState::SyntaxError, "too many column names were specified"));
    }
    let mut out: Vec<Column> = Vec::new();
    for (i, field) in schema.fields().iter().enumerate() {
        let name = names.get(i).unwrap_or_else(|| field.name());
        columns::check_column_name(name).map_err(|e| {
            e.maybe_hint(Some(format!("Give the column another name: … AS {}.", suggestion(name))))
        })?;
        if out.iter().any(|c| c.name.to_lowercase() == name.to_lowercase()) {
            return Err(columns::duplicate(name));
        }
        let sql_type = SqlType::of_field(field).map_err(|e| e.column(name))?;
        out.push(Column::new(name, sql_type));
    }
    Ok(out)
}

/// A name that Delta can hold, near to one that it cannot.
fn suggestion(name: &str) -> String {
    let words: Vec<String> = name
        .split(|c: char| !c.is_alphanumeric())
        .filter(|w| !w.is_empty())
        .map(str::to_lowercase)
        .collect();
    words.join("_")
}

fn refuse_change_feed(properties: &BTreeMap<String, String>) -> Result<()> {
    let on = properties.iter().any(|(k, v)| {
        k.eq_ignore_ascii_case("delta.enableChangeDataFeed") && v.eq_ignore_ascii_case("true")
    });
    let unsupported =
        ["delta.enabledeletionvectors", "delta.columnmapping.mode", "delta.enablerowtracking"];
    let other = properties.keys().find(|k| unsupported.contains(&k.to_lowercase().as_str()));
    if on {
        return Err(Error::unsupported(
            "the change data feed",
            "Compare versions with VERSION AS OF and EXCEPT.",
        ));
    }
    match other {
        Some(key) => Err(Error::unsupported(format_args!("the property {key}"), "Leave it out.")),
        None => Ok(()),
    }
}

/// Plans every CHECK and DEFAULT once, so that a bad one is refused now.
///
/// # Errors
/// What is wrong with one; 42804 for one of another type.
pub async fn check_definition(cx: &Execution<'_>, table: &Table) -> Result<()> {
    rows::target(cx.services(), cx.transaction, table)?;
    for Check { name, expression } in &table.checks {
        let over = Some((table.name.name.as_str(), table.schema()));
        let planned = cx.planner().expressions(&[expression], over).await;
        let planned = planned.map_err(|e| e.constraint(name))?;
        if planned.types().iter().any(|t| !matches!(t, DataType::Boolean | DataType::Null)) {
            return Err(Error::new(
                SqlState::DatatypeMismatch,
                format!("argument of CHECK constraint \"{name}\" must be type boolean"),
            ));
        }
    }
    for column in &table.columns {
        if let Some(default) = &column.default {
            check_default(cx, column, default).await?;
        }
    }
    Ok(())
}

/// Refuses a default that no assignment casts to its column.
async fn check_default(cx: &Execution<'_>, column: &Column, default: &str) -> Result<()> {
    let planned = cx.planner().expressions(&[default], None).await.map_err(|e| {
        let detail = format!("The default of column \"{}\" is {default}.", column.name);
        e.column(&column.name).detail(detail)
    })?;
    let wanted = column.sql_type.arrow();
    if let [Expr::Literal(value, _)] = planned.logical().as_slice()
        && (value.is_null() || value.data_type().is_string())
    {
        if let Some(Some(text)) = value.try_as_str() {
            let settings = crate::format::EncodeSettings::default();
            crate::format::parse_text(text, &wanted, &settings)
                .map_err(|e| e.column(&column.name))?;
        }
        return Ok(());
    }
    let [given] = planned.types().try_into().unwrap_or([DataType::Null]);
    if rows::assignable(&given, &wanted) {
        return Ok(());
    }
    let shown = SqlType::from_arrow(&given).map_or_else(|_| given.to_string(), |t| t.to_string());
    Err(Error::new(
        SqlState::DatatypeMismatch,
        format!(
            "column \"{}\" is of type {} but default expression is of type {shown}",
            column.name, column.sql_type
        ),
    )
    .column(&column.name)
    .hint("You will need to rewrite or cast the expression."))
}
