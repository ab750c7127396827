//! BEGIN, START TRANSACTION, COMMIT, END, ROLLBACK, ABORT. The session carries them out.

use crate::error::{Error, Result};
use crate::parser::{Cursor, TokenSlice};
use crate::statements::{Control, Execution, Kind, Response, Statement};
use sqlparser::tokenizer::Token;
use std::sync::Arc;

/// A statement that begins or ends a block.
#[derive(Debug)]
pub struct TransactionControl {
    control: Control,
}

/// Parses the statements of this file.
///
/// # Errors
/// 42601 with the position, 0A000 for savepoints, SERIALIZABLE and two-phase commit.
pub fn parse(slice: &TokenSlice) -> Result<Arc<dyn Statement>> {
    let mut cursor = Cursor::new(slice);
    let word = cursor.identifier("BEGIN")?;
    let control = match word.as_str() {
        "begin" => begin(&mut cursor, "BEGIN")?,
        "start" => begin(&mut cursor, "START TRANSACTION")?,
        other => end(&mut cursor, other)?,
    };
    cursor.expect_end()?;
    Ok(Arc::new(TransactionControl { control }))
}

fn begin(cursor: &mut Cursor<'_>, tag: &'static str) -> Result<Control> {
    if cursor.peek_words(&["ATOMIC"]) {
        return Err(
            Error::unsupported("BEGIN ATOMIC", "Use BEGIN … COMMIT.").position(cursor.position())
        );
    }
    let _ = cursor.accept(&["TRANSACTION"]) || cursor.accept(&["WORK"]);
    let read_only = modes(cursor)?;
    Ok(Control::Begin { read_only, tag })
}

/// `ISOLATION LEVEL … | READ ONLY | READ WRITE | [NOT] DEFERRABLE`, with or without commas.
///
/// # Errors
/// 42601, 0A000 for SERIALIZABLE.
pub fn modes(cursor: &mut Cursor<'_>) -> Result<Option<bool>> {
    let mut read_only = None;
    loop {
        if cursor.accept(&["ISOLATION", "LEVEL"]) {
            if cursor.peek_words(&["SERIALIZABLE"]) {
                return Err(Error::unsupported(
                    "isolation level SERIALIZABLE",
                    "Use REPEATABLE READ: snapshot isolation, with the reads of UPDATE, DELETE and MERGE validated.",
                )
                .position(cursor.position()));
            }
            let known = cursor.accept(&["REPEATABLE", "READ"])
                || cursor.accept(&["READ", "COMMITTED"])
                || cursor.accept(&["READ", "UNCOMMITTED"]);
            if !known {
                return Err(cursor.error(Some("an isolation level")));
            }
        } else if cursor.accept(&["READ", "ONLY"]) {
            read_only = Some(true);
        } else if cursor.accept(&["READ", "WRITE"]) {
            read_only = Some(false);
        } else if !(cursor.accept(&["DEFERRABLE"]) || cursor.accept(&["NOT", "DEFERRABLE"])) {
            return Ok(read_only);
        }
        cursor.accept_token(&Token::Comma);
    }
}

fn end(cursor: &mut Cursor<'_>, word: &str) -> Result<Control> {
    if cursor.peek_words(&["PREPARED"]) {
        return Err(
            Error::unsupported("two-phase commit", "Use COMMIT.").position(cursor.position())
        );
    }
    let _ = cursor.accept(&["TRANSACTION"]) || cursor.accept(&["WORK"]);
    if cursor.peek_words(&["TO"]) {
        return Err(Error::unsupported(
            "ROLLBACK TO SAVEPOINT",
            "Put what may fail into a transaction of its own.",
        )
        .position(cursor.position()));
    }
    if cursor.peek_words(&["AND", "CHAIN"]) {
        return Err(Error::unsupported("AND CHAIN", "Use BEGIN.").position(cursor.position()));
    }
    cursor.accept(&["AND", "NO", "CHAIN"]);
    Ok(match word {
        "commit" | "end" => Control::Commit,
        _ => Control::Rollback,
    })
}

#[async_trait::async_trait]
impl Statement for TransactionControl {
    fn name(&self) -> &'static str {
        "transaction"
    }

    fn kind(&self) -> Kind {
        Kind::Control(self.control.clone())
    }

    async fn execute(&self, _: &mut Execution<'_>) -> Result<Response> {
        Err(Error::internal("the session carries out transaction control"))
    }
}
