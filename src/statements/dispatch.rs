//! The table of leading words: which file parses a statement.

use super::refused::{self, REFUSED};
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
    (&["WITH"], query::select::parse_with),
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

/// Parses one statement.
///
/// # Errors
/// 42601 with the position, 0A000 for what is not built.
pub fn parse(slice: &TokenSlice) -> Result<Parsed> {
    let cursor = Cursor::new(slice);
    refused::check_numbers(slice)?;
    let statement = match find(&cursor) {
        Some(parse) => parse(slice).map_err(|e| refused::explain(slice, e))?,
        None => return Err(refuse(&cursor)),
    };
    Ok(Parsed { slice: slice.clone(), statement })
}

fn find(cursor: &Cursor<'_>) -> Option<Parse> {
    if cursor.peek() == Some(&Token::LParen) {
        return Some(query::select::parse);
    }
    let (words, parse) = TABLE.iter().find(|(words, _)| cursor.peek_words(words))?;
    // SHOW x is a setting, unless the words are those of a statement that is refused.
    let more = |refused: &[&str]| refused.len() > words.len() && cursor.peek_words(refused);
    let refused = REFUSED.iter().any(|(refused, _)| more(refused));
    (!refused).then_some(*parse)
}

fn refuse(cursor: &Cursor<'_>) -> Error {
    let named = REFUSED.iter().filter(|(words, _)| cursor.peek_words(words));
    if let Some((words, hint)) = named.max_by_key(|(words, _)| words.len()) {
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
