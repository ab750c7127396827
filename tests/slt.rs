//! Runs the SQL scripts of `tests/sql` over the real wire, each on a server and warehouse of its own.
//!
//! A script whose first line is `# oracle: postgresql` states what PostgreSQL answers; the ignored test
//! `postgresql_agrees` runs those scripts against a PostgreSQL server, which is where their numbers come from.
//! `SLT=merge cargo test slt` runs only the scripts whose path contains `merge`.

use crate::harness::{Server, describe, repository, run};
use async_trait::async_trait;
use sqllogictest::{AsyncDB, DBOutput, DefaultColumnType, Record, Runner};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

/// A script stops after this many failures: what follows is seldom news.
const FAILURES_PER_SCRIPT_MAX: usize = 25;

/// A session as sqllogictest sees it.
struct Wire {
    client: Client,
    engine: &'static str,
}

impl Wire {
    async fn connect(url: String, engine: &'static str) -> Result<Self, Failure> {
        let (client, connection) = tokio_postgres::connect(&url, NoTls).await?;
        tokio::spawn(connection);
        Ok(Self { client, engine })
    }
}

/// An error with its SQLSTATE, detail, hint and position in the text, so that scripts can match on them.
#[derive(Debug)]
struct Failure {
    text: String,
    code: Option<String>,
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        Self { text: describe(&error), code: error.code().map(|c| c.code().to_owned()) }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Failure {}

#[async_trait]
impl AsyncDB for Wire {
    type Error = Failure;
    type ColumnType = DefaultColumnType;

    /// The last result set counts where one text holds several statements.
    async fn run(&mut self, sql: &str) -> Result<DBOutput<Self::ColumnType>, Failure> {
        let mut table: Option<(usize, Vec<Vec<String>>)> = None;
        let mut count = 0;
        for message in self.client.simple_query(sql).await? {
            match message {
                SimpleQueryMessage::RowDescription(columns) => {
                    table = Some((columns.len(), Vec::new()));
                }
                SimpleQueryMessage::Row(row) => {
                    let cells = (0..row.len()).map(|i| cell(row.get(i))).collect();
                    table.get_or_insert_with(|| (row.len(), Vec::new())).1.push(cells);
                }
                SimpleQueryMessage::CommandComplete(n) => count = n,
                _ => {}
            }
        }
        Ok(match table {
            Some((width, rows)) => {
                DBOutput::Rows { types: vec![DefaultColumnType::Any; width], rows }
            }
            None => DBOutput::StatementComplete(count),
        })
    }

    async fn shutdown(&mut self) {}

    fn engine_name(&self) -> &str {
        self.engine
    }

    fn error_sql_state(error: &Failure) -> Option<String> {
        error.code.clone()
    }
}

fn cell(value: Option<&str>) -> String {
    match value {
        None => "NULL".to_owned(),
        Some("") => "(empty)".to_owned(),
        Some(text) => text.to_owned(),
    }
}

/// The letters after `query` give the number of columns; their types are tested in `wire.rs`.
#[allow(clippy::ptr_arg, reason = "sqllogictest's type of validators")]
fn same_width(actual: &Vec<DefaultColumnType>, expected: &Vec<DefaultColumnType>) -> bool {
    actual.len() == expected.len()
}

fn scripts(folder: &Path) -> Vec<PathBuf> {
    let wanted = std::env::var("SLT").unwrap_or_default();
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
        .map(|entry| entry.expect("a folder that can be listed").path())
        .filter(|path| path.extension().is_some_and(|e| e == "slt"))
        .filter(|path| path.to_string_lossy().contains(&wanted))
        .collect();
    found.sort();
    found
}

/// Runs one script and returns what failed, each with `file:line`.
async fn run_script(script: &Path, url: String, engine: &'static str) -> Vec<String> {
    let mut runner = Runner::new(|| Wire::connect(url.clone(), engine));
    runner.with_column_validator(same_width);
    let records: Vec<Record<DefaultColumnType>> = match sqllogictest::parse_file(script) {
        Ok(records) => records,
        Err(e) => return vec![format!("{}: {e}", script.display())],
    };
    let tested = |r: &&Record<_>| matches!(r, Record::Statement { .. } | Record::Query { .. });
    if records.iter().filter(tested).count() == 0 {
        return vec![format!("{}: tests nothing", script.display())];
    }
    let mut failures = Vec::new();
    for record in records {
        if let Err(e) = runner.run_async(record).await {
            failures.push(e.display(false).to_string());
            if failures.len() == FAILURES_PER_SCRIPT_MAX {
                break;
            }
        }
    }
    runner.shutdown_async().await;
    failures
}

fn report(failures: &[String]) {
    assert!(failures.is_empty(), "{} failed:\n\n{}", failures.len(), failures.join("\n"));
}

fn run_family(family: &str) {
    let folder = repository("tests/sql").join(family);
    let mut failures = Vec::new();
    for script in scripts(&folder) {
        let server = Server::fresh();
        let failed = run(run_script(&script, server.url(), "cenote"));
        if failed.is_empty() {
            server.stop();
        }
        failures.extend(failed);
    }
    report(&failures);
}

macro_rules! families {
    ($($family:ident),* $(,)?) => {
        const FAMILIES: &[&str] = &[$(stringify!($family)),*];

        $(#[test]
        fn $family() {
            run_family(stringify!($family));
        })*
    };
}

families!(catalog, errors, feature, history, model, query, session, table);

#[test]
fn every_folder_of_scripts_is_run() {
    let folders: BTreeSet<String> = std::fs::read_dir(repository("tests/sql"))
        .expect("tests/sql")
        .map(|entry| entry.expect("a folder that can be listed").file_name())
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    assert_eq!(folders, FAMILIES.iter().map(|f| (*f).to_owned()).collect());
}

/// Needs a PostgreSQL server and the right to create databases there, named by `CENOTE_ORACLE`,
/// such as `host=127.0.0.1 port=5432 user=postgres`.
#[test]
#[ignore = "needs a PostgreSQL server, named by CENOTE_ORACLE"]
fn postgresql_agrees() {
    let server = std::env::var("CENOTE_ORACLE").expect("CENOTE_ORACLE names a PostgreSQL server");
    let mut failures = Vec::new();
    let mut compared = 0;
    for family in FAMILIES {
        for script in scripts(&repository("tests/sql").join(family)) {
            let text = std::fs::read_to_string(&script).expect("a script");
            if !text.starts_with("# oracle: postgresql\n") {
                continue;
            }
            compared += 1;
            let database = format!("cenote_oracle_{}_{compared}", std::process::id());
            failures.extend(run(async {
                let admin = Wire::connect(format!("{server} dbname=postgres"), "postgresql").await;
                let admin = admin.expect("the PostgreSQL server takes a session").client;
                let create = format!("CREATE DATABASE {database} TEMPLATE template0");
                admin.batch_execute(&create).await.expect("a database of our own");
                let url = format!("{server} dbname={database} options='-c TimeZone=UTC'");
                let failed = run_script(&script, url, "postgresql").await;
                let drop = format!("DROP DATABASE {database} WITH (FORCE)");
                admin.batch_execute(&drop).await.expect("our own database goes away");
                failed
            }));
        }
    }
    assert!(compared > 0, "no script names PostgreSQL as its oracle");
    report(&failures);
}
