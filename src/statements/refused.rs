//! What this version knows and refuses: statements by their leading words, clauses inside of others.

use crate::error::{Error, Result};
use crate::parser::{Cursor, TokenSlice};
use crate::sqlstate::SqlState;
use sqlparser::tokenizer::Token;

/// Statements of the design and of PostgreSQL that this version refuses, with what to do instead.
pub(super) const REFUSED: &[(&[&str], &str)] = &[
    (&["SAVEPOINT"], "Put what may fail into a transaction of its own."),
    (&["RELEASE"], "Put what may fail into a transaction of its own."),
    (&["ALTER", "MODEL"], "Train with NOT DEFAULT, and name a version as model@n."),
    (
        &["ALTER", "TABLE"],
        "Use CREATE OR REPLACE TABLE … AS SELECT; for a feature table, CREATE FEATURE TABLE under a new name … AS SELECT.",
    ),
    (
        &["ALTER", "FEATURE", "TABLE"],
        "Use CREATE FEATURE TABLE under a new name … AS SELECT, then DROP FEATURE TABLE.",
    ),
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
    (
        &["REFRESH", "FEATURE", "TABLE"],
        "Run its query again with INSERT INTO f SELECT …: a row replaces the one of its key.",
    ),
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
    (&["CREATE", "OR", "REPLACE", "FEATURE"], "Use DROP FEATURE TABLE and CREATE FEATURE TABLE."),
    (&["CREATE", "OR", "REPLACE", "MATERIALIZED"], "Use CREATE OR REPLACE TABLE … AS SELECT."),
    (&["CREATE", "OR", "REPLACE", "RECURSIVE"], "Use WITH RECURSIVE inside of the view's query."),
    (&["CREATE", "OR", "REPLACE", "FUNCTION"], "There are no functions of one's own yet."),
    (&["CREATE", "OR", "REPLACE", "PROCEDURE"], "There are no procedures."),
    (
        &["CREATE", "OR", "REPLACE", "TRIGGER"],
        "There are no triggers; run statements on a schedule.",
    ),
    (&["CREATE", "PROCEDURE"], "There are no procedures."),
    (&["CREATE", "TRIGGER"], "There are no triggers; run statements on a schedule."),
    (&["CREATE", "MONITOR"], "Compare ml.evaluate over new rows with what training reported."),
    (&["CREATE", "JOB"], "Run statements from a scheduler such as cron, through cenote sql -f."),
    (&["CREATE", "TYPE"], "Columns have built-in types; a CHECK can list the values."),
    (&["CREATE", "DOMAIN"], "Use a column with a CHECK."),
    (&["CREATE", "RECURSIVE"], "Use WITH RECURSIVE inside of the view's query."),
    (&["CREATE", "UNLOGGED"], "Use CREATE TABLE; every table is kept."),
    (&["CREATE", "EXTERNAL"], "Use read_csv or read_parquet in FROM."),
    (&["CREATE", "FOREIGN"], "Use read_csv or read_parquet in FROM."),
    (&["CREATE", "POLICY"], "Roles and privileges come with logins."),
    (&["CREATE", "PUBLICATION"], "Read tables at a version to see what changed."),
    (&["DROP", "INDEX"], "There are no indexes."),
    (&["DROP", "TYPE"], "There are no types of one's own."),
    (&["DROP", "FUNCTION"], "There are no functions of one's own yet."),
    (&["DROP", "SEQUENCE"], "There are no sequences."),
    (&["DROP", "MATERIALIZED"], "There are no materialized views."),
    (&["DROP", "ROLE"], "Roles come with logins; on loopback everybody is \"cenote\"."),
    (&["DROP", "USER"], "Roles come with logins; on loopback everybody is \"cenote\"."),
    (&["SHOW", "COLUMNS"], "Use DESCRIBE t, or information_schema.columns."),
    (&["SHOW", "CREATE"], "Use DESCRIBE t, or information_schema.columns."),
    (&["SHOW", "DATABASES"], "A warehouse is one database; use SHOW SCHEMAS."),
    (&["SHOW", "RUNS"], "Use SELECT * FROM ml.runs."),
    (&["SHOW", "MODEL", "VERSIONS"], "Use SELECT * FROM ml.model_versions."),
    (&["SHOW", "FEATURE", "TABLES"], "Use SELECT * FROM ml.feature_tables."),
    (&["SHOW", "PARTITIONS"], "Use DESCRIBE t."),
    (&["SHOW", "FUNCTIONS"], "Use SELECT proname FROM pg_proc."),
    (&["USE"], "Use SET search_path TO a schema."),
    (&["COPY", "INTO"], "Use COPY t FROM 'file', or INSERT INTO t SELECT * FROM read_csv('file')."),
    (&["MOVE"], "There are no cursors; use LIMIT and OFFSET."),
    (&["CLOSE"], "There are no cursors; CLOSE ALL is accepted."),
    (&["EXPORT"], "A model's artefact lies in the warehouse's folder; DESCRIBE MODEL names it."),
    (&["IMPORT"], "Train the model here from its query."),
    (&["REINDEX"], "There are no indexes."),
    (&["CLUSTER"], "Use CREATE OR REPLACE TABLE … AS SELECT … ORDER BY."),
    (&["CHECKPOINT"], "Commits are durable; Delta checkpoints are written by themselves."),
    (&["MERGE", "WITH", "SCHEMA"], "Add the columns with CREATE OR REPLACE TABLE … AS first."),
    (&["SECURITY"], "Roles and privileges come with logins."),
    (&["REASSIGN"], "Roles and privileges come with logins."),
    (&["IMPORT", "FOREIGN"], "Use read_csv or read_parquet in FROM."),
];

/// Clauses that no grammar here reads: the leading word of the statement (none: any), the clause,
/// what to do instead.
const CLAUSES: &[(&str, &[&str], &str)] = &[
    ("", &["BETWEEN", "SYMMETRIC"], "Use x BETWEEN least(a, b) AND greatest(a, b)."),
    ("", &["ASOF", "JOIN"], "Join the latest earlier row with a subquery over max(…)."),
    ("TRUNCATE", &["RESTART", "IDENTITY"], "There are no sequences; leave it out."),
    ("TRUNCATE", &["CONTINUE", "IDENTITY"], "There are no sequences; leave it out."),
    ("COPY", &["WHERE"], "Use INSERT INTO t SELECT * FROM read_csv('file') WHERE …."),
    ("COPY", &["FORCE_QUOTE"], "Name the columns: FORCE_QUOTE (a, b)."),
    ("COPY", &["PROGRAM"], "Pipe the data through COPY … FROM STDIN."),
    ("CREATE", &["INHERITS"], "Use a view over UNION ALL."),
    ("CREATE", &["TABLESPACE"], "The warehouse is one folder."),
    ("CREATE", &["CLUSTER", "BY"], "Use PARTITIONED BY, or write the rows in order."),
    ("CREATE", &["ON", "COMMIT"], "Use a table in a schema of your own."),
];

/// Words that begin a version of a table.
const VERSIONS: &[&[&str]] = &[&["VERSION", "AS"], &["TIMESTAMP", "AS"], &["AT"], &["FOR"]];

/// Says of a syntax error that stands at a known clause that the clause is not supported.
pub(super) fn explain(slice: &TokenSlice, error: Error) -> Error {
    let known = matches!(error.code(), SqlState::SyntaxError | SqlState::UndefinedObject);
    let Some(position) = error.get_position().filter(|_| known) else { return error };
    let place = (0..slice.tokens().len()).find(|i| slice.position_of(*i) == position);
    let Some(place) = place else { return error };
    clause_at(slice, place).unwrap_or(error)
}

fn clause_at(slice: &TokenSlice, place: usize) -> Option<Error> {
    let mut cursor = Cursor::new(slice);
    let begins = |word: &str| Cursor::new(slice).peek_words(&[word]);
    for (statement, words, hint) in CLAUSES {
        // The parser stops at the clause, inside of it, or right behind it.
        for start in place.saturating_sub(words.len())..=place {
            cursor.seek(start);
            if (statement.is_empty() || begins(statement)) && cursor.peek_words(words) {
                let error = Error::unsupported(words.join(" "), *hint);
                return Some(error.position(slice.position_of(start)));
            }
        }
    }
    cursor.seek(place);
    let writes = ["INSERT", "TRUNCATE", "COPY", "DROP"].into_iter().find(|w| begins(w))?;
    // INSERT takes VERSION for an alias, and stops behind it.
    let behind = place.checked_sub(1).is_some_and(|before| {
        cursor.seek(before);
        cursor.peek_words(&["VERSION", "AS", "OF"]) || cursor.peek_words(&["TIMESTAMP", "AS", "OF"])
    });
    cursor.seek(place);
    let versioned = behind
        || cursor.peek() == Some(&Token::AtSign)
        || VERSIONS.iter().any(|words| cursor.peek_words(words));
    let hint = match writes {
        "COPY" => "Copy a query: COPY (SELECT * FROM t VERSION AS OF n) TO STDOUT.",
        _ => "Only the present can be changed; read the past in a subquery.",
    };
    versioned.then(|| {
        Error::unsupported("a time-travel clause on the table that a statement changes", hint)
            .position(slice.position_of(place))
    })
}

/// Refuses letters right behind a number: `0b11` is no column name behind a 0.
///
/// # Errors
/// 42601.
pub(super) fn check_numbers(slice: &TokenSlice) -> Result<()> {
    for (i, pair) in slice.tokens().windows(2).enumerate() {
        let adjacent = pair[0].span.end == pair[1].span.start;
        if let (Token::Number(..), Token::Word(word)) = (&pair[0].token, &pair[1].token)
            && adjacent
            && word.quote_style.is_none()
        {
            let near = slice.text_of(i, i + 2);
            return Err(Error::new(
                SqlState::SyntaxError,
                format!("trailing junk after numeric literal at or near \"{near}\""),
            )
            .position(slice.position_of(i)));
        }
    }
    Ok(())
}
