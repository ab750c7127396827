//! CREATE [OR REPLACE] VIEW name [(column, …)] AS query
//!
//! The query is stored as the user wrote it, with the search_path of now and its columns, frozen.

use super::names;
use crate::catalog::{CatalogOp, Column, Dependency, QualifiedName, Relation, SqlType, View};
use crate::error::{Error, Result};
use crate::parser::{Cursor, TokenSlice};
use crate::planner::{Planned, display_name};
use crate::sqlstate::SqlState;
use crate::statements::query::select::parse_query;
use crate::statements::{Execution, Kind, Response, Statement};
use sqlparser::ast::Query;
use sqlparser::tokenizer::Token;
use std::collections::HashSet;
use std::sync::Arc;

/// CREATE VIEW.
#[derive(Debug)]
pub struct CreateView {
    name: Vec<String>,
    position: usize,
    or_replace: bool,
    if_not_exists: bool,
    columns: Vec<String>,
    query: Query,
    query_slice: TokenSlice,
}

/// Parses CREATE VIEW.
///
/// # Errors
/// 42601 with the position.
pub fn parse(slice: &TokenSlice) -> Result<Arc<dyn Statement>> {
    let mut cursor = Cursor::new(slice);
    cursor.expect(&["CREATE"])?;
    let or_replace = cursor.accept(&["OR", "REPLACE"]);
    cursor.expect(&["VIEW"])?;
    let if_not_exists = cursor.if_not_exists();
    let position = cursor.position();
    let name = cursor.name("a view's name")?;
    let mut columns = Vec::new();
    if cursor.accept_token(&Token::LParen) {
        loop {
            columns.push(cursor.identifier("a column's name")?);
            if !cursor.accept_token(&Token::Comma) {
                break;
            }
        }
        cursor.expect_token(&Token::RParen)?;
    }
    cursor.expect(&["AS"])?;
    let query_slice = slice.from(cursor.index());
    let query = parse_query(&query_slice)?;
    Ok(Arc::new(CreateView {
        name,
        position,
        or_replace,
        if_not_exists,
        columns,
        query,
        query_slice,
    }))
}

#[async_trait::async_trait]
impl Statement for CreateView {
    fn name(&self) -> &'static str {
        "create_view"
    }

    fn kind(&self) -> Kind {
        Kind::Write
    }

    async fn execute(&self, cx: &mut Execution<'_>) -> Result<Response> {
        let place = |e: Error| e.position_or(Some(self.position));
        let name = names::new_name(cx, &self.name).map_err(place)?;
        let existing = cx.transaction.catalog().relation(&name).cloned();
        if existing.is_some() && self.if_not_exists {
            cx.notice(
                crate::error::Notice::notice(format!(
                    "relation \"{}\" already exists, skipping",
                    name.name
                ))
                .with_code(SqlState::DuplicateTable),
            );
            return Response::done("CREATE VIEW");
        }
        match &existing {
            Some(Relation::View(_)) if self.or_replace => {}
            Some(Relation::Table(_)) if self.or_replace => {
                return Err(place(Error::new(
                    SqlState::WrongObjectType,
                    format!("\"{}\" is not a view", name.name),
                )));
            }
            Some(_) => {
                return Err(place(Error::new(
                    SqlState::DuplicateTable,
                    format!("relation \"{}\" already exists", name.name),
                )));
            }
            None => {}
        }
        let planned =
            cx.planner().plan(&self.query_slice, self.query.clone(), cx.parameters).await?;
        let view = self.view(cx, &name, &planned)?;
        if let Some(Relation::View(old)) = &existing {
            refuse_circle(old, &planned)?;
        }
        for table in &view.depends_on {
            if let Dependency::Table(id) = table {
                cx.transaction.rely_on_table(id);
            }
        }
        cx.transaction.apply(CatalogOp::CreateView { view: Box::new(view) }).map_err(place)?;
        Response::done("CREATE VIEW")
    }
}

impl CreateView {
    fn view(&self, cx: &Execution<'_>, name: &QualifiedName, planned: &Planned) -> Result<View> {
        let schema = planned.schema();
        if self.columns.len() > schema.fields().len() {
            return Err(Error::new(
                SqlState::SyntaxError,
                "CREATE VIEW specifies more column names than columns",
            )
            .position(self.position));
        }
        let mut taken = HashSet::new();
        let mut columns = Vec::new();
        for (i, field) in schema.fields().iter().enumerate() {
            let column = match self.columns.get(i) {
                Some(given) => given.clone(),
                None => display_name(field.name()).to_owned(),
            };
            if !taken.insert(column.clone()) {
                return Err(Error::new(
                    SqlState::DuplicateColumn,
                    format!("column \"{column}\" specified more than once"),
                )
                .position(self.position)
                .hint("Give the query's columns names of their own with AS."));
            }
            // A map has no column type; it is shown as text, which is what it is on the wire.
            let sql_type = match field.data_type() {
                arrow::datatypes::DataType::Map(..) => SqlType::Text,
                _ => SqlType::of_field(field).map_err(|e| e.column(&column))?,
            };
            columns.push(Column::new(column, sql_type));
        }
        Ok(View {
            oid: 0,
            name: name.clone(),
            query: self.query_slice.text().to_owned(),
            search_path: cx.environment.search_path.clone(),
            columns,
            renamed: !self.columns.is_empty(),
            depends_on: planned.reads.direct.iter().cloned().collect(),
            owner: cx.environment.role.clone(),
        })
    }
}

/// A view must not read itself through others.
fn refuse_circle(old: &View, planned: &Planned) -> Result<()> {
    if planned.reads.views.contains_key(&old.name.to_string()) {
        return Err(Error::new(
            SqlState::InvalidObjectDefinition,
            format!("infinite recursion detected in rules for relation \"{}\"", old.name.name),
        ));
    }
    Ok(())
}
