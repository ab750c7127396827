//! Sessions: transactions of drivers, settings of their own, many at once, history by name.

use crate::harness::{Server, run, sqlstate};
use std::collections::BTreeMap;
use tokio_postgres::{Client, SimpleQueryMessage};

/// The rows of a simple query as maps from column to text.
async fn rows(client: &Client, sql: &str) -> Vec<BTreeMap<String, Option<String>>> {
    let messages = client.simple_query(sql).await.unwrap_or_else(|e| panic!("{sql}: {e:?}"));
    messages
        .iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(
                row.columns()
                    .iter()
                    .enumerate()
                    .map(|(i, c)| (c.name().to_owned(), row.get(i).map(str::to_owned)))
                    .collect(),
            ),
            _ => None,
        })
        .collect()
}

#[test]
fn a_drivers_transactions_commit_and_roll_back() {
    let server = Server::fresh();
    run(async {
        let mut client = server.connect().await;
        client.batch_execute("CREATE TABLE t (id integer)").await.expect("CREATE TABLE");
        let transaction = client.transaction().await.expect("BEGIN");
        transaction.execute("INSERT INTO t VALUES ($1)", &[&1i32]).await.expect("INSERT");
        transaction.commit().await.expect("COMMIT");
        let transaction = client.transaction().await.expect("BEGIN");
        transaction.execute("INSERT INTO t VALUES ($1)", &[&2i32]).await.expect("INSERT");
        assert_eq!(sqlstate(transaction.query("SELECT 1 / 0", &[]).await), "22012");
        assert_eq!(sqlstate(transaction.query("SELECT 1", &[]).await), "25P02");
        transaction.rollback().await.expect("ROLLBACK");
        // A transaction that is dropped is rolled back.
        let transaction = client.transaction().await.expect("BEGIN");
        transaction.execute("INSERT INTO t VALUES ($1)", &[&3i32]).await.expect("INSERT");
        drop(transaction);
        let ids: Vec<i32> = client
            .query("SELECT id FROM t", &[])
            .await
            .expect("SELECT")
            .iter()
            .map(|row| row.get(0))
            .collect();
        assert_eq!(ids, [1]);
    });
    server.stop();
}

#[test]
fn a_connection_that_goes_away_takes_its_transaction_along() {
    let server = Server::fresh();
    run(async {
        let watcher = server.connect().await;
        watcher.batch_execute("CREATE TABLE t (id integer)").await.expect("CREATE TABLE");
        let leaver = server.connect().await;
        leaver.batch_execute("BEGIN; INSERT INTO t VALUES (1)").await.expect("an open transaction");
        drop(leaver);
        watcher.batch_execute("INSERT INTO t VALUES (2)").await.expect("INSERT");
        let ids: i64 = watcher.query_one("SELECT sum(id) FROM t", &[]).await.expect("a sum").get(0);
        assert_eq!(ids, 2);
    });
    server.stop();
}

#[test]
fn settings_belong_to_one_session() {
    let server = Server::fresh();
    run(async {
        let (one, two) = (server.connect().await, server.connect().await);
        one.batch_execute("SET TimeZone = 'Asia/Tokyo'; SET application_name = 'one'")
            .await
            .expect("SET");
        let zone = |row: tokio_postgres::Row| row.get::<_, String>(0);
        assert_eq!(zone(one.query_one("SHOW TimeZone", &[]).await.expect("SHOW")), "Asia/Tokyo");
        assert_ne!(zone(two.query_one("SHOW TimeZone", &[]).await.expect("SHOW")), "Asia/Tokyo");
    });
    server.stop();
}

#[test]
fn two_hundred_sessions_at_once() {
    let server = Server::fresh();
    run(async {
        let mut clients = Vec::new();
        for _ in 0..200 {
            clients.push(server.connect().await);
        }
        let asked = clients.iter().enumerate().map(|(i, client)| async move {
            let n = i32::try_from(i).expect("a small number");
            client.query_one("SELECT $1::integer", &[&n]).await.expect("a row").get::<_, i32>(0)
        });
        let answers = futures::future::join_all(asked).await;
        assert_eq!(answers, (0..200).collect::<Vec<i32>>());
    });
    server.stop();
}

#[test]
fn an_unknown_database_is_refused() {
    let server = Server::fresh();
    run(async {
        let url = server.url().replace("dbname=cenote", "dbname=elsewhere");
        let refused = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.map(|_| ());
        assert_eq!(sqlstate(refused), "3D000");
    });
    server.stop();
}

#[test]
fn history_names_deltas_operations() {
    let server = Server::fresh();
    run(async {
        let client = server.connect().await;
        client.batch_execute("CREATE TABLE t (id integer, word text)").await.expect("CREATE TABLE");
        for statement in [
            "INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')",
            "UPDATE t SET word = 'z' WHERE id = 1",
            "DELETE FROM t WHERE id = 2",
            "MERGE INTO t USING (VALUES (9)) AS s(n) ON t.id = s.n WHEN NOT MATCHED THEN INSERT (id) VALUES (s.n)",
        ] {
            client.batch_execute(statement).await.expect(statement);
        }
        let history = rows(&client, "DESCRIBE HISTORY t").await;
        let text = |row: &BTreeMap<String, Option<String>>, column: &str| {
            row.get(column).cloned().flatten().unwrap_or_else(|| panic!("{column} in {row:?}"))
        };
        let operations: Vec<(String, String)> =
            history.iter().map(|row| (text(row, "version"), text(row, "operation"))).collect();
        let expected = [
            ("4", "MERGE"),
            ("3", "DELETE"),
            ("2", "UPDATE"),
            ("1", "WRITE"),
            ("0", "CREATE TABLE"),
        ];
        let expected: Vec<(String, String)> =
            expected.iter().map(|(v, o)| ((*v).to_owned(), (*o).to_owned())).collect();
        assert_eq!(operations, expected);
        let times: Vec<String> = history.iter().map(|row| text(row, "timestamp")).collect();
        assert!(times.windows(2).all(|pair| pair[0] > pair[1]), "newest first: {times:?}");
    });
    server.stop();
}
