//! SET [SESSION | LOCAL] name {TO | =} value · SET TIME ZONE value · SET TRANSACTION mode …

use super::transaction::modes;
use crate::config::Settings;
use crate::error::{Error, Notice, Result};
use crate::parser::{Cursor, TokenSlice, quote_ident};
use crate::sqlstate::SqlState;
use crate::statements::{Execution, Kind, Response, Statement};
use sqlparser::tokenizer::Token;
use std::sync::Arc;

/// SET.
#[derive(Debug)]
pub struct Set {
    name: String,
    position: usize,
    /// None is DEFAULT.
    value: Option<String>,
    scope: Scope,
}

/// How long a value holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    Session,
    /// SET LOCAL: until the transaction ends.
    Local,
    /// SET TRANSACTION: as LOCAL, in the words of PostgreSQL's warning.
    Transaction,
}

/// Parses SET.
///
/// # Errors
/// 42601 with the position, 0A000 for SET ROLE and the like.
pub fn parse(slice: &TokenSlice) -> Result<Arc<dyn Statement>> {
    let mut cursor = Cursor::new(slice);
    cursor.expect(&["SET"])?;
    for (words, hint) in [
        (&["ROLE"][..], "Roles come with logins."),
        (&["SESSION", "AUTHORIZATION"], "Roles come with logins."),
        (&["CONSTRAINTS"], "Constraints are checked by each statement."),
    ] {
        if cursor.peek_words(words) && !matches!(cursor.peek_nth(words.len()), Some(Token::Eq)) {
            if cursor.peek_nth(words.len()) .is_some_and(|t| matches!(t, Token::Word(w) if w.value.eq_ignore_ascii_case("default") || w.value.eq_ignore_ascii_case("none"))) {
                return Ok(Arc::new(Set::nothing()));
            }
            return Err(Error::unsupported(format_args!("SET {}", words.join(" ")), hint)
                .position(cursor.position()));
        }
    }
    if cursor.accept(&["SESSION", "CHARACTERISTICS", "AS", "TRANSACTION"]) {
        let read_only = modes(&mut cursor)?;
        cursor.expect_end()?;
        return Ok(Arc::new(Set::read_only(
            "default_transaction_read_only",
            read_only,
            Scope::Session,
        )));
    }
    if cursor.accept(&["TRANSACTION"]) {
        let read_only = modes(&mut cursor)?;
        cursor.expect_end()?;
        return Ok(Arc::new(Set::read_only(
            "transaction_read_only",
            read_only,
            Scope::Transaction,
        )));
    }
    let scope = if cursor.accept(&["LOCAL"]) { Scope::Local } else { Scope::Session };
    if scope == Scope::Session {
        cursor.accept(&["SESSION"]);
    }
    let position = cursor.position();
    if cursor.accept(&["TIME", "ZONE"]) {
        let value = value(&mut cursor)?;
        let value = value.filter(|v| !v.eq_ignore_ascii_case("local"));
        return Ok(Arc::new(Set { name: "TimeZone".into(), position, value, scope }));
    }
    if cursor.accept(&["NAMES"]) {
        let value = value(&mut cursor)?;
        return Ok(Arc::new(Set { name: "client_encoding".into(), position, value, scope }));
    }
    let name = cursor.name("a parameter's name")?.join(".");
    if !cursor.accept_token(&Token::Eq) {
        cursor.expect(&["TO"])?;
    }
    let value = value(&mut cursor)?;
    // The settings of one transaction never outlive it.
    let scope = if name.to_ascii_lowercase().starts_with("transaction_") {
        Scope::Transaction
    } else {
        scope
    };
    Ok(Arc::new(Set { name, position, value, scope }))
}

/// A value or a list of values, up to the end; none for DEFAULT.
fn value(cursor: &mut Cursor<'_>) -> Result<Option<String>> {
    if cursor.accept(&["DEFAULT"]) {
        cursor.expect_end()?;
        return Ok(None);
    }
    let mut parts = Vec::new();
    let single = |cursor: &mut Cursor<'_>| -> Result<String> {
        let minus = if cursor.accept_token(&Token::Minus) { "-" } else { "" };
        cursor.accept_token(&Token::Plus);
        match cursor.peek() {
            Some(Token::Number(n, _)) => {
                let n = format!("{minus}{n}");
                cursor.advance();
                Ok(n)
            }
            Some(Token::Word(w)) => {
                let text =
                    if w.quote_style.is_some() { quote_ident(&w.value) } else { w.value.clone() };
                cursor.advance();
                Ok(text)
            }
            _ => cursor.string("a value"),
        }
    };
    loop {
        parts.push(single(cursor)?);
        if !cursor.accept_token(&Token::Comma) {
            break;
        }
    }
    // Words such as `read committed` are one value.
    while let Some(Token::Word(w)) = cursor.peek() {
        let last = parts.pop().unwrap_or_default();
        parts.push(format!("{last} {}", w.value));
        cursor.advance();
    }
    cursor.expect_end()?;
    Ok(Some(parts.join(", ")))
}

impl Set {
    /// A SET that changes nothing, as SET ROLE NONE.
    fn nothing() -> Self {
        Set::read_only("", None, Scope::Session)
    }

    fn read_only(name: &str, read_only: Option<bool>, scope: Scope) -> Self {
        let value = read_only.map(|on| if on { "on" } else { "off" }.to_owned());
        let name = if value.is_some() { name } else { "" };
        Set { name: name.to_owned(), position: 1, value, scope }
    }
}

#[async_trait::async_trait]
impl Statement for Set {
    fn name(&self) -> &'static str {
        "set"
    }

    fn kind(&self) -> Kind {
        Kind::Session
    }

    async fn execute(&self, cx: &mut Execution<'_>) -> Result<Response> {
        if self.scope != Scope::Session && !cx.in_block {
            let what = if self.scope == Scope::Local { "LOCAL" } else { "TRANSACTION" };
            cx.notice(Notice {
                code: SqlState::NoActiveSqlTransaction,
                ..Notice::warning(format!("SET {what} can only be used in transaction blocks"))
            });
            return Response::done("SET");
        }
        if self.name.is_empty() {
            return Response::done("SET");
        }
        // Extensions' settings, with a dot, are accepted by PostgreSQL; here they would mean nothing.
        let place = |e: Error| e.position_or(Some(self.position));
        match &self.value {
            None => cx.settings.reset(&self.name).map_err(place)?,
            Some(value) if self.scope != Scope::Session => {
                cx.settings.set_local(&self.name, value).map_err(place)?
            }
            Some(value) => cx.settings.set(&self.name, value).map_err(place)?,
        }
        if self.name.eq_ignore_ascii_case("search_path") {
            warn_of_missing_schemas(cx, cx.settings);
        }
        Response::done("SET")
    }
}

/// A schema of the search_path that does not exist is no error in PostgreSQL, nor here.
fn warn_of_missing_schemas(cx: &Execution<'_>, settings: &Settings) {
    let catalog = cx.transaction.catalog();
    for schema in settings.search_path(&cx.environment.role) {
        let is_role = schema == cx.environment.role;
        if !is_role
            && !schema.starts_with("pg_")
            && catalog.schema(&schema).is_none()
            && !matches!(schema.as_str(), "ml" | "system" | "information_schema")
        {
            cx.notice(Notice::notice(format!(
                "schema \"{schema}\" of the search_path does not exist"
            )));
        }
    }
}
