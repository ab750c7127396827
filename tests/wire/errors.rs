//! The fields of an error, and notices, as drivers and psql show them.

use crate::harness::raw::Raw;
use crate::harness::{Server, run, sqlstate};
use futures::StreamExt;
use tokio_postgres::error::{DbError, ErrorPosition};
use tokio_postgres::{AsyncMessage, Client, NoTls};

async fn failure(client: &Client, sql: &str) -> DbError {
    let error = client.simple_query(sql).await.expect_err(sql);
    error.as_db_error().unwrap_or_else(|| panic!("not the server's: {error:?}")).clone()
}

#[test]
fn an_error_names_its_object_place_and_remedy() {
    let server = Server::fresh();
    run(async {
        let client = server.connect().await;
        client
            .batch_execute(
                "CREATE TABLE customers (customer_id integer NOT NULL, country text,
                 CONSTRAINT two_letters CHECK (length(country) = 2))",
            )
            .await
            .expect("CREATE TABLE");

        let e = failure(&client, "SELECT contry FROM customers").await;
        assert_eq!((e.severity(), e.code().code()), ("ERROR", "42703"));
        assert_eq!(e.message(), "column \"contry\" does not exist");
        assert_eq!(e.position(), Some(&ErrorPosition::Original(8)));
        assert!(e.hint().is_some_and(|h| h.contains("\"country\"") && h.ends_with('.')), "{e:?}");

        let e = failure(&client, "INSERT INTO customers VALUES (NULL, 'DE')").await;
        assert_eq!(e.code().code(), "23502");
        assert_eq!((e.table(), e.column()), (Some("customers"), Some("customer_id")));
        assert_eq!(
            e.message(),
            "null value in column \"customer_id\" of relation \"customers\" violates not-null constraint"
        );

        let e = failure(&client, "INSERT INTO customers VALUES (1, 'Germany')").await;
        assert_eq!(e.code().code(), "23514");
        assert_eq!((e.table(), e.constraint()), (Some("customers"), Some("two_letters")));
        assert_eq!(
            e.message(),
            "new row for relation \"customers\" violates check constraint \"two_letters\""
        );

        let e = failure(&client, "CREATE TABLE customers (x integer)").await;
        assert_eq!(
            (e.code().code(), e.message()),
            ("42P07", "relation \"customers\" already exists")
        );

        // The extended protocol says the same, when the statement is prepared.
        let error = client
            .prepare("SELECT contry FROM customers WHERE customer_id = $1")
            .await
            .expect_err("42703");
        let e = error.as_db_error().expect("an error of the server");
        assert_eq!(e.code().code(), "42703");
        assert_eq!(e.position(), Some(&ErrorPosition::Original(8)));
    });
    server.stop();
}

#[test]
fn a_wrong_parameter_is_an_error_and_the_session_goes_on() {
    let server = Server::fresh();
    run(async {
        let client = server.connect().await;
        let statement = client.prepare("SELECT 10 / $1::integer").await.expect("PREPARE");
        assert_eq!(sqlstate(client.query(&statement, &[&0i32]).await), "22012");
        let five: i32 = client.query_one(&statement, &[&2i32]).await.expect("a row").get(0);
        assert_eq!(five, 5);
        assert_eq!(sqlstate(client.prepare("SELECT $1 +").await), "42601");
        assert_eq!(sqlstate(client.query("SELECT * FROM no_such_table", &[]).await), "42P01");
        let one: i32 = client.query_one("SELECT 1::integer", &[]).await.expect("a row").get(0);
        assert_eq!(one, 1);
    });
    server.stop();
}

#[test]
fn an_error_in_a_text_of_several_statements_ends_it() {
    let server = Server::fresh();
    run(async {
        let client = server.connect().await;
        client.batch_execute("CREATE TABLE t (id integer)").await.expect("CREATE TABLE");
        let several = "INSERT INTO t VALUES (1); SELECT 1 / 0; INSERT INTO t VALUES (2)";
        assert_eq!(sqlstate(client.simple_query(several).await), "22012");
        let n: i64 = client.query_one("SELECT count(*) FROM t", &[]).await.expect("a count").get(0);
        assert_eq!(n, 0, "the statements of one text are one transaction");
    });
    server.stop();
}

#[test]
fn notices_come_with_the_statement_that_they_are_about() {
    let server = Server::fresh();
    run(async {
        let (client, mut connection) =
            tokio_postgres::connect(&server.url(), NoTls).await.expect("a session");
        let messages = futures::stream::poll_fn(move |context| connection.poll_message(context));
        let collected = tokio::spawn(async move {
            let notices = messages.filter_map(|message| async {
                match message {
                    Ok(AsyncMessage::Notice(notice)) => Some(notice),
                    _ => None,
                }
            });
            notices.collect::<Vec<DbError>>().await
        });
        client
            .batch_execute(
                "CREATE TABLE points (x double precision, y double precision);
                 INSERT INTO points VALUES (0, 1), (1, 3), (2, 5);
                 DROP TABLE IF EXISTS nothing_of_this_name;
                 CREATE MODEL line PREDICT y AS SELECT x, y FROM points",
            )
            .await
            .expect("the statements");
        for statement in [
            "CREATE TABLE pairs (x integer, y integer)",
            "CREATE VIEW summed AS SELECT x + y AS total FROM pairs",
            "CREATE VIEW firsts AS SELECT x FROM pairs",
            "CREATE OR REPLACE TABLE pairs AS SELECT x FROM pairs",
            "CREATE TABLE kinds (k text, y double precision)",
            "INSERT INTO kinds VALUES ('a', 1), ('a', 2), ('b', 3), ('b', 4)",
            "CREATE MODEL of_kind PREDICT y USING linear_regression AS SELECT k, y FROM kinds",
            "CREATE VIEW guesses AS SELECT predict('of_kind', k => k) AS y \
             FROM (VALUES ('a'), ('x'), ('z')) AS v (k)",
            "SELECT * FROM guesses",
            "SELECT predict('of_kind', kinds.*) FROM kinds",
        ] {
            client.batch_execute(statement).await.expect(statement);
        }
        drop(client);
        let notices = collected.await.expect("the notices");
        let skipped = "table \"nothing_of_this_name\" does not exist, skipping";
        assert!(
            notices.iter().any(|n| n.severity() == "NOTICE" && n.message() == skipped),
            "{notices:?}"
        );
        // Three rows are not split, and training says so.
        assert!(notices.iter().any(|n| n.message().contains("held back")), "{notices:?}");
        // A view that lost its column is named; the other is not.
        let warned = notices.iter().filter(|n| n.severity() == "WARNING");
        let warned: Vec<&str> = warned.map(DbError::message).collect();
        assert!(warned.iter().any(|m| m.contains("view \"public.summed\"")), "{warned:?}");
        assert!(!warned.iter().any(|m| m.contains("view \"public.firsts\"")), "{warned:?}");
        // Through a view as well; what training saw is not spoken of.
        let unseen =
            "2 values of feature \"k\" of model public.of_kind did not occur in its training";
        let told = notices.iter().filter(|n| n.message().contains("did not occur"));
        assert_eq!(told.map(DbError::message).collect::<Vec<_>>(), [unseen]);
    });
    server.stop();
}

#[test]
fn a_conflict_says_40001() {
    let server = Server::fresh();
    run(async {
        let (mut one, mut two) = (server.connect().await, server.connect().await);
        one.batch_execute(
            "CREATE TABLE t (id integer, n integer); INSERT INTO t VALUES (1, 0), (2, 0)",
        )
        .await
        .expect("a table");
        let first = one.transaction().await.expect("BEGIN");
        let second = two.transaction().await.expect("BEGIN");
        first.execute("UPDATE t SET n = 1 WHERE id = 1", &[]).await.expect("UPDATE");
        // The loser learns of it at its own statement or at its COMMIT.
        let lost = second.execute("UPDATE t SET n = 2 WHERE id = 1", &[]).await;
        first.commit().await.expect("COMMIT");
        let lost = match lost {
            Ok(_) => second.commit().await,
            Err(e) => Err(e),
        };
        assert_eq!(sqlstate(lost), "40001");
        let n: i32 =
            one.query_one("SELECT n FROM t WHERE id = 1", &[]).await.expect("a row").get(0);
        assert_eq!(n, 1);
    });
    server.stop();
}

#[test]
fn a_long_row_of_operators_is_answered_or_refused_and_the_server_lives() {
    let server = Server::fresh();
    run(async {
        let client = server.connect().await;
        let alternatives = |n: usize| {
            let terms: Vec<String> = (0..n).map(|i| format!("id = {i}")).collect();
            format!("SELECT count(*) FROM generate_series(1, 5) t(id) WHERE {}", terms.join(" OR "))
        };
        let count: i64 = client.query_one(&alternatives(600), &[]).await.expect("a count").get(0);
        assert_eq!(count, 5);
        let union = vec!["SELECT 1"; 200].join(" UNION ALL ");
        assert_eq!(client.query(&union, &[]).await.expect("rows").len(), 200);
        assert_eq!(failure(&client, &alternatives(2000)).await.code().code(), "54001");
        // A row of values has no depth.
        let values = vec!["(1 - 2)"; 3000].join(", ");
        assert_eq!(client.query(&format!("VALUES {values}"), &[]).await.expect("rows").len(), 3000);
    });
    server.stop();
}

#[test]
fn a_table_that_is_there_already_answers_with_its_statements_tag() {
    let server = Server::fresh();
    run(async {
        let mut client = Raw::open(&server).await;
        for (statement, tag) in [
            ("CREATE TABLE IF NOT EXISTS t AS SELECT 1 AS n", "SELECT 1"),
            ("CREATE TABLE IF NOT EXISTS t AS SELECT 1 AS n", "CREATE TABLE AS"),
            ("CREATE TABLE IF NOT EXISTS t (n integer)", "CREATE TABLE"),
        ] {
            assert_eq!(client.run(statement).await.as_deref(), Ok(tag), "{statement}");
        }
    });
    server.stop();
}
