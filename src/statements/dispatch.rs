//! The table of leading words: which file parses a statement.

use super::{Parsed, Statement, feature, history, model, query, session, table};
use crate::error::{Error, Result};
use crate::parser::{Cursor, TokenSlice};
use crate::suggest;
use sqlparser::tokenizer::Token;
use std::sync::Arc;

type Parse = fn(&TokenSlice) -> Result<Arc<dyn Statement>>;

/// Leading words and the statement they begin; the first that fits is taken, `|` parts choices.
const TABLE: &[(&[&str], Parse)] = &[
    (&["SELECT"], query::select::parse),
    (&["WITH"], query::select::parse),
    (&["VALUES"], query::select::parse),
    (&["TABLE"], query::select::parse),
    (&["EXPLAIN"], query::explain::parse),
    (&["INSERT"], table::insert::parse),
    (&["UPDATE"], table::update::parse),
    (&["DELETE"], table::delete::parse),
    (&["MERGE"], table::merge::parse),
    (&["COPY"], table::copy::parse),
    (&["TRUNCATE"], table::truncate::parse),
    (&["CREATE", "OR", "REPLACE", "TABLE"], table::create_table::parse),
    (&["CREATE", "TABLE"], table::create_table::parse),
    (&["DROP", "TABLE"], table::drop_table::parse),
    (&["CREATE", "SCHEMA"], table::create_schema::parse),
    (&["DROP", "SCHEMA"], table::drop_schema::parse),
    (&["CREATE", "OR", "REPLACE", "VIEW"], table::create_view::parse),
    (&["CREATE", "VIEW"], table::create_view::parse),
    (&["DROP", "VIEW"], table::drop_view::parse),
    (&["SHOW", "TABLES"], table::show_tables::parse),
    (&["SHOW", "SCHEMAS"], table::show_tables::parse),
    (&["SHOW", "VIEWS"], table::show_tables::parse),
    (&["DESCRIBE", "HISTORY"], history::describe_history::parse),
    (&["DESC", "HISTORY"], history::describe_history::parse),
    (&["DESCRIBE", "MODEL"], model::describe_model::parse),
    (&["DESC", "MODEL"], model::describe_model::parse),
    (&["DESCRIBE"], table::describe::parse),
    (&["DESC"], table::describe::parse),
    (&["CREATE", "OR", "REPLACE", "MODEL"], model::create_model::parse),
    (&["CREATE", "MODEL"], model::create_model::parse),
    (&["TRAIN", "MODEL"], model::train_model::parse),
    (&["RETRAIN", "MODEL"], model::retrain_model::parse),
    (&["DROP", "MODEL"], model::drop_model::parse),
    (&["SHOW", "MODELS"], model::show_models::parse),
    (&["PREDICT"], model::predict::parse),
    (&["CREATE", "FEATURE", "TABLE"], feature::create_feature_table::parse),
    (&["DROP", "FEATURE", "TABLE"], feature::drop_feature_table::parse),
    (&["BEGIN"], session::transaction::parse),
    (&["START", "TRANSACTION"], session::transaction::parse),
    (&["COMMIT"], session::transaction::parse),
    (&["END"], session::transaction::parse),
    (&["ROLLBACK"], session::transaction::parse),
    (&["ABORT"], session::transaction::parse),
    (&["SET"], session::set::parse),
    (&["RESET"], session::reset::parse),
    (&["SHOW"], session::show::parse),
    (&["DISCARD"], session::discard::parse),
    (&["DEALLOCATE"], session::discard::parse),
    (&["CLOSE", "ALL"], session::discard::parse),
    (&["UNLISTEN"], session::discard::parse),
];

/// Statements of the design and of PostgreSQL that this version refuses, with what to do instead.
const REFUSED: &[(&[&str], &str)] = &[
    (&["SAVEPOINT"], "Put what may fail into a transaction of its own."),
    (&["RELEASE"], "Put what may fail into a transaction of its own."),
    (&["ALTER", "MODEL"], "Train with NOT DEFAULT, and name a version as model@n."),
    (&["ALTER"], "Use CREATE OR REPLACE TABLE … AS SELECT to change a table."),
    (&["EVALUATE", "MODEL"], "Use SELECT * FROM ml.evaluate('model', TABLE t)."),
    (&["EXPLAIN", "MODEL"], "Use SELECT * FROM ml.weights('model')."),
    (&["OPTIMIZE"], "Files are compacted by a later version."),
    (&["VACUUM"], "Nothing is cleaned up yet: all history is kept."),
    (&["REPAIR"], "Copy the last good version with CREATE TABLE … AS, then DROP TABLE."),
    (&["FSCK"], "Run cenote doctor, which looks up every file."),
    (&["RESTORE"], "Use CREATE OR REPLACE TABLE t AS SELECT * FROM t VERSION AS OF n."),
    (&["ANALYZE"], "Statistics are kept with every file; there is nothing to analyse."),
    (&["GRANT"], "Roles and privileges come with logins."),
    (&["REVOKE"], "Roles and privileges come with logins."),
    (&["COMMENT"], "Comments are not kept yet."),
    (&["LISTEN"], "There are no notifications; poll system.commits."),
    (&["NOTIFY"], "There are no notifications; poll system.commits."),
    (&["DECLARE"], "Fetch rows through the extended protocol's row limit."),
    (&["FETCH"], "Fetch rows through the extended protocol's row limit."),
    (&["PREPARE"], "Prepare through the driver (the extended protocol)."),
    (&["EXECUTE"], "Prepare through the driver (the extended protocol)."),
    (&["CALL"], "There are no procedures."),
    (&["DO"], "There are no procedural blocks."),
    (&["LOCK"], "Transactions see snapshots; conflicts end in 40001 at COMMIT."),
    (&["REFRESH"], "Run the query again with INSERT or CREATE OR REPLACE TABLE."),
    (&["CREATE", "INDEX"], "Files carry statistics that scans skip by; there are no indexes."),
    (&["CREATE", "UNIQUE"], "Files carry statistics that scans skip by; there are no indexes."),
    (&["CREATE", "TEMP"], "Use a table in a schema of your own."),
    (&["CREATE", "TEMPORARY"], "Use a table in a schema of your own."),
    (&["CREATE", "OR", "REPLACE", "TEMP"], "Use a view in a schema of your own."),
    (&["CREATE", "MATERIALIZED"], "Use CREATE TABLE … AS, or CREATE FEATURE TABLE … AS."),
    (&["CREATE", "TRAINING"], "Join the tables in the model's own query."),
    (&["CREATE", "ROLE"], "Roles come with logins; on loopback everybody is \"cenote\"."),
    (&["CREATE", "USER"], "Roles come with logins; on loopback everybody is \"cenote\"."),
    (&["CREATE", "FUNCTION"], "There are no functions of one's own yet."),
    (&["CREATE", "SEQUENCE"], "Use row_number() or keys of your own."),
    (&["CREATE", "EXTENSION"], "Everything is built in."),
    (&["CREATE", "DATABASE"], "A warehouse is one database; use schemas."),
    (&["DROP", "DATABASE"], "A warehouse is one database; use schemas."),
    (&["CONVERT"], "Use CREATE TABLE t AS SELECT * FROM read_parquet('…')."),
    (&["UNDROP"], "A dropped table can be read AT (SNAPSHOT => n) of before."),
];

/// Parses one statement.
///
/// # Errors
/// 42601 with the position, 0A000 for what is not built.
pub fn parse(slice: &TokenSlice) -> Result<Parsed> {
    let cursor = Cursor::new(slice);
    let statement = match find(&cursor) {
        Some(parse) => parse(slice)?,
        None => return Err(refuse(&cursor)),
    };
    Ok(Parsed { slice: slice.clone(), statement })
}

fn find(cursor: &Cursor<'_>) -> Option<Parse> {
    if cursor.peek() == Some(&Token::LParen) {
        return Some(query::select::parse);
    }
    TABLE.iter().find(|(words, _)| cursor.peek_words(words)).map(|(_, parse)| *parse)
}

fn refuse(cursor: &Cursor<'_>) -> Error {
    if let Some((words, hint)) = REFUSED.iter().find(|(words, _)| cursor.peek_words(words)) {
        return Error::unsupported(words.join(" "), *hint).position(cursor.position());
    }
    let known: Vec<&str> = TABLE.iter().map(|(words, _)| words[0]).collect();
    let mut cursor = cursor.clone();
    let first = match cursor.peek() {
        Some(Token::Word(w)) => w.value.to_uppercase(),
        _ => return cursor.error(None),
    };
    // The word that is wrong: the second where the first begins some statement.
    if known.contains(&first.as_str()) {
        cursor.advance();
        let second: Vec<&str> = TABLE
            .iter()
            .filter(|(words, _)| words[0] == first)
            .filter_map(|(words, _)| words.get(1).copied())
            .collect();
        let hint = match cursor.peek() {
            Some(Token::Word(w)) => suggest::nearest(&w.value, &second)
                .map(|n| format!("Perhaps you meant {first} {n}.")),
            _ => None,
        };
        return cursor.error(None).maybe_hint(hint);
    }
    let hint = suggest::nearest(&first, &known).map(|n| format!("Perhaps you meant {n}."));
    cursor.error(None).maybe_hint(hint)
}
