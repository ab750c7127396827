//! Pairs of transactions as two sessions run them, both begun on one snapshot; the winner commits first.
//! What must come out stands here by hand, for both orders.

use super::*;
use crate::sqlstate::SqlState;

/// `t` has three files: ids 1 and 2, 11, 21.
const SETUP: &str = "
    CREATE TABLE t (id bigint, n bigint);
    INSERT INTO t VALUES (1, 10), (2, 20);
    INSERT INTO t VALUES (11, 110);
    INSERT INTO t VALUES (21, 210);
    CREATE TABLE keys (id bigint);
    INSERT INTO keys VALUES (51), (52);
    CREATE SCHEMA s;
    CREATE TABLE src (id bigint, n bigint);
    INSERT INTO src VALUES (1, 10), (2, 20), (3, 31);
    CREATE MODEL m PREDICT n USING linear_regression AS SELECT id, n FROM src;
    CREATE FEATURE TABLE f (k bigint PRIMARY KEY, v bigint);
    CREATE VIEW w AS SELECT id, n FROM src";

fn statement(act: &str) -> &str {
    match act {
        "insert" => "INSERT INTO t VALUES (31, 310)",
        "copy select" => "INSERT INTO t SELECT id + 100, n FROM t",
        "update row 1" => "UPDATE t SET n = n + 1 WHERE id = 1",
        "update row 2" => "UPDATE t SET n = n + 1 WHERE id = 2",
        "update row 11" => "UPDATE t SET n = n + 1 WHERE id = 11",
        "update all" => "UPDATE t SET n = n + 1",
        "update none" => "UPDATE t SET n = 0 WHERE id = 31; INSERT INTO keys VALUES (1)",
        "delete row 1" => "DELETE FROM t WHERE id = 1",
        "delete row 11" => "DELETE FROM t WHERE id = 11",
        "delete all" => "DELETE FROM t",
        "truncate" => "TRUNCATE t",
        "replace" => "CREATE OR REPLACE TABLE t (id bigint, n bigint, more text)",
        "merge new" => {
            "MERGE INTO t USING keys k ON t.id = k.id WHEN NOT MATCHED THEN INSERT VALUES (k.id, 0)"
        }
        "drop t" => "DROP TABLE t",
        "view on t" => "CREATE VIEW v AS SELECT id FROM t",
        "model on t" => {
            "CREATE MODEL on_t PREDICT n USING linear_regression AS SELECT id, n FROM t"
        }
        "create x" => "CREATE TABLE x (id bigint)",
        "create x as" => "CREATE TABLE x AS SELECT id FROM t",
        "create view x" => "CREATE VIEW x AS SELECT id FROM keys",
        "create y" => "CREATE TABLE y (id bigint)",
        "create schema z" => "CREATE SCHEMA z",
        "create model x" => {
            "CREATE MODEL x PREDICT n USING linear_regression AS SELECT id, n FROM t"
        }
        "drop schema s" => "DROP SCHEMA s",
        "create view in s" => "CREATE VIEW s.inner AS SELECT 1 AS one",
        "create model in s" => {
            "CREATE MODEL s.inner PREDICT n USING linear_regression AS SELECT id, n FROM t"
        }
        "drop w" => "DROP VIEW w",
        "replace w" => "CREATE OR REPLACE VIEW w AS SELECT id, n FROM src WHERE id > 1",
        "view on w" => "CREATE VIEW on_w AS SELECT id FROM w",
        "model on w" => {
            "CREATE MODEL on_w PREDICT n USING linear_regression AS SELECT id, n FROM w"
        }
        "view on m" => "CREATE VIEW on_m AS SELECT predict('m', t.*) AS p FROM t",
        "replace m" => {
            "CREATE OR REPLACE MODEL m PREDICT n USING linear_regression AS SELECT id, n FROM t"
        }
        "drop version" => "DROP MODEL m VERSION 1",
        "create in s" => "CREATE TABLE s.inner (id bigint)",
        "train" => "TRAIN MODEL m",
        "insert src" => "INSERT INTO src VALUES (4, 40)",
        "insert src and train" => "INSERT INTO src VALUES (5, 50); TRAIN MODEL m",
        "drop model" => "DROP MODEL m",
        "upsert k1" => "INSERT INTO f VALUES (1, 1)",
        "upsert k2" => "INSERT INTO f VALUES (2, 9)",
        // Its condition does not see the row of k2, but the key does.
        "merge k2" => {
            "MERGE INTO f USING (SELECT 2 AS k) s ON f.k = s.k AND f.v = 1
             WHEN NOT MATCHED THEN INSERT (k, v) VALUES (s.k, 5)"
        }
        other => panic!("unknown act {other}"),
    }
}

/// Lets `winner` commit first; how the loser ends, and what `t` holds then.
async fn pair(winner: &str, loser: &str) -> (SqlState, String) {
    let dir = folder();
    let engine = open(dir.path()).await;
    // A process of its own, for the loser need not share a memory with the winner.
    let other = open(dir.path()).await;
    let mut first = Client::of(&engine);
    first.ok(SETUP).await;
    let mut second = Client::of(&other);
    second.ok("BEGIN; SELECT count(*) FROM t").await;
    first.ok("BEGIN; SELECT count(*) FROM t").await;
    first.ok(statement(winner)).await;
    second.ok(statement(loser)).await;
    first.ok("COMMIT").await;
    let ended = match second.run("COMMIT").await {
        Ok(_) => SqlState::SuccessfulCompletion,
        Err(e) => {
            let detail = e.get_detail().unwrap_or_default();
            assert!(!detail.is_empty(), "{winner}, {loser}: it says what was in the way");
            // Found by what both name, and not only because the work does not fit the head any more.
            let named = e.code() != LOST || detail.contains("(record ");
            assert!(named, "{winner}, {loser}: it names the winner: {detail}");
            e.code()
        }
    };
    let rows = first.run("SELECT id, n FROM t ORDER BY id").await.unwrap_or_default();
    (ended, rows.replace('\n', " "))
}

use SqlState::{
    DuplicateObject as OBJECT_TAKEN, DuplicateSchema as SCHEMA_TAKEN, DuplicateTable as TAKEN,
    SerializationFailure as LOST, SuccessfulCompletion as OK,
};

/// One, other: what becomes of the other if one wins, and of one if the other wins.
const PAIRS: &[(&str, &str, SqlState, SqlState)] = &[
    ("insert", "insert", OK, OK),
    ("insert", "copy select", OK, OK),
    ("insert", "update row 1", OK, OK),
    ("insert", "update none", LOST, OK),
    ("insert", "update all", LOST, OK),
    ("insert", "delete all", LOST, OK),
    ("insert", "truncate", LOST, OK),
    ("insert", "replace", LOST, LOST),
    ("update row 1", "update row 1", LOST, LOST),
    // Rows of one file are changed by writing it anew.
    ("update row 1", "update row 2", LOST, LOST),
    ("update row 1", "update row 11", OK, OK),
    ("update row 1", "delete row 1", LOST, LOST),
    ("update row 1", "delete row 11", OK, OK),
    ("update row 11", "update all", LOST, LOST),
    ("delete row 11", "delete row 11", LOST, LOST),
    ("delete all", "delete all", LOST, LOST),
    ("delete all", "truncate", LOST, LOST),
    ("truncate", "truncate", LOST, LOST),
    ("merge new", "merge new", LOST, LOST),
    ("merge new", "insert", OK, LOST),
    ("merge new", "delete row 1", OK, LOST),
    ("replace", "update row 1", LOST, LOST),
    ("replace", "replace", LOST, LOST),
    ("drop t", "insert", LOST, OK),
    ("drop t", "update row 1", LOST, OK),
    ("drop t", "drop t", LOST, LOST),
    ("drop t", "replace", LOST, LOST),
    ("drop schema s", "create in s", LOST, LOST),
    ("drop schema s", "create view in s", LOST, LOST),
    ("drop schema s", "create model in s", LOST, LOST),
    ("drop w", "view on w", LOST, LOST),
    ("drop w", "model on w", LOST, LOST),
    ("drop w", "replace w", LOST, LOST),
    ("replace w", "view on w", LOST, LOST),
    ("replace w", "insert", OK, OK),
    ("replace", "view on t", LOST, LOST),
    ("create x", "create x", TAKEN, TAKEN),
    ("create x", "create x as", TAKEN, TAKEN),
    // What creates a view may replace one: it is told to look again.
    ("create x", "create view x", LOST, TAKEN),
    ("create view x", "create view x", LOST, LOST),
    ("create x", "create y", OK, OK),
    ("create schema z", "create schema z", SCHEMA_TAKEN, SCHEMA_TAKEN),
    ("create model x", "create model x", OBJECT_TAKEN, OBJECT_TAKEN),
    // The number of the version was told to the user; the second training would get another.
    ("train", "train", LOST, LOST),
    ("train", "insert src", OK, OK),
    ("insert src and train", "insert src", OK, LOST),
    ("drop model", "train", LOST, LOST),
    ("drop model", "view on m", LOST, LOST),
    ("drop model", "drop version", LOST, LOST),
    ("drop t", "replace m", LOST, LOST),
    ("replace m", "train", LOST, LOST),
    ("replace m", "view on m", LOST, LOST),
    ("upsert k1", "upsert k1", LOST, LOST),
    ("merge k2", "upsert k2", LOST, LOST),
    ("view on t", "insert", OK, OK),
    ("model on t", "insert", OK, OK),
];

#[tokio::test]
async fn pairs_end_as_the_design_says_in_both_orders() {
    let mut wrong = Vec::new();
    for (one, other, other_ends, one_ends) in PAIRS {
        let both = [(one, other, other_ends), (other, one, one_ends)];
        for (winner, loser, ends) in both.into_iter().take(if one == other { 1 } else { 2 }) {
            let ended = pair(winner, loser).await.0;
            if ended != *ends {
                wrong.push(format!("{winner}, then {loser}: {ended:?}, not {ends:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// DROP TABLE without CASCADE meets what depends on it at the time of its own snapshot or later.
#[tokio::test]
async fn a_table_is_not_dropped_from_under_what_was_made_on_it() {
    for on in ["view on t", "model on t"] {
        let dir = folder();
        let engine = open(dir.path()).await;
        let (mut one, mut two) = (Client::of(&engine), Client::of(&engine));
        one.ok(
            "CREATE TABLE t (id bigint, n bigint); INSERT INTO t VALUES (1, 10), (2, 20), (3, 31)",
        )
        .await;
        for (winner, loser) in [(on, "drop t"), ("drop t", on)] {
            one.ok("BEGIN; SELECT count(*) FROM t").await;
            two.ok("BEGIN; SELECT count(*) FROM t").await;
            one.ok(statement(winner)).await;
            two.ok(statement(loser)).await;
            one.ok("COMMIT").await;
            let error = two.run("COMMIT").await.expect_err("one of them must lose");
            assert_eq!(error.code(), LOST, "{winner}, {loser}");
            if winner == on {
                one.ok(if on == "view on t" { "DROP VIEW v" } else { "DROP MODEL on_t" }).await;
            }
        }
    }
}

#[tokio::test]
async fn what_is_left_is_a_serial_order() {
    for (winner, loser, rows) in [
        ("update row 1", "update row 11", "1|11 2|20 11|111 21|210"),
        ("update row 1", "update row 2", "1|11 2|20 11|110 21|210"),
        ("insert", "delete all", "1|10 2|20 11|110 21|210 31|310"),
        ("delete all", "insert", "31|310"),
        ("merge new", "merge new", "1|10 2|20 11|110 21|210 51|0 52|0"),
        ("truncate", "update row 1", ""),
    ] {
        assert_eq!(pair(winner, loser).await.1, rows, "{winner}, then {loser}");
    }
}

/// Outside of a block a statement that loses runs again at the new head.
#[tokio::test]
async fn autocommit_statements_that_lose_run_again() {
    for (winner, loser, rows) in [
        ("UPDATE t SET n = 0 WHERE id = 1", "UPDATE t SET n = n + 1", "1|1 2|21 11|111 21|211"),
        ("INSERT INTO t VALUES (31, 310)", "DELETE FROM t", ""),
        ("DELETE FROM t WHERE id = 1", "TRUNCATE t", ""),
        (
            "INSERT INTO t VALUES (51, 1)",
            "MERGE INTO t USING keys k ON t.id = k.id WHEN NOT MATCHED THEN INSERT VALUES (k.id, 0)",
            "1|10 2|20 11|110 21|210 51|1 52|0",
        ),
    ] {
        let dir = folder();
        let (engine, store) = open_faulty(dir.path()).await;
        let mut client = Client::of(&engine);
        client.ok(SETUP).await;
        let gate = store.hold("_cenote/log");
        let losing = tokio::spawn(async move {
            client.ok(loser).await;
            client
        });
        gate.reached().await;
        Client::of(&open(dir.path()).await).ok(winner).await;
        gate.open();
        let mut client = losing.await.expect("it ends");
        let there = client.ok("SELECT id, n FROM t ORDER BY id").await;
        assert_eq!(there.replace('\n', " "), rows, "{winner}, then {loser}");
    }
}
