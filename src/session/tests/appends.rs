//! What UPDATE, DELETE and MERGE read is checked against rows that others append: by what the files'
//! statistics say.

use super::*;
use crate::sqlstate::SqlState;

/// Ids 1 to 4 in region eu; a text, a float with NaN, a timestamp, and NULLs to ask about.
const SETUP: &str = "
    CREATE TABLE t (id bigint, region text, x double precision, at timestamp, n bigint);
    INSERT INTO t VALUES (1, 'eu', 1, '2024-01-01', 0), (2, 'eu', 2, '2024-01-02', 0);
    INSERT INTO t VALUES (3, 'eu', 3, '2024-01-03', 0), (4, NULL, 4, '2024-01-04', NULL);
    CREATE TABLE source (id bigint, n bigint);
    INSERT INTO source VALUES (1, 7), (100, 7)";

/// A change inside of a block, rows that another session appends meanwhile, and whether COMMIT stands.
async fn commit_stands(change: &str, values: &str) -> bool {
    let dir = folder();
    let engine = open(dir.path()).await;
    let (mut one, mut two) = (Client::of(&engine), Client::of(&engine));
    one.ok(SETUP).await;
    one.ok("BEGIN").await;
    one.ok(change).await;
    // What matches nothing counts too, once the transaction writes anything.
    one.ok("INSERT INTO source VALUES (5, 5)").await;
    two.ok(&format!("INSERT INTO t VALUES {values}")).await;
    match one.run("COMMIT").await {
        Ok(_) => true,
        Err(e) => {
            assert_eq!(e.code(), SqlState::SerializationFailure, "{change}: {e:?}");
            assert!(e.get_detail().is_some_and(|d| d.contains("public.t")), "{e:?}");
            false
        }
    }
}

#[tokio::test]
async fn appended_rows_conflict_only_where_they_may_have_been_read() {
    let row = |id: &str, region: &str, x: &str, at: &str, n: &str| {
        format!("({id}, {region}, {x}, {at}, {n})")
    };
    let far = row("100", "'us'", "50", "'2025-01-01'", "1");
    let null = row("100", "NULL", "NULL", "NULL", "NULL");
    let nan = row("100", "'us'", "'NaN'", "'2025-01-01'", "1");
    let long = row("100", &format!("'{}z'", "x".repeat(40)), "1", "NULL", "1");
    let micro = row("100", "'us'", "1", "'2024-06-01 00:00:00.123999'", "1");
    let cases = [
        ("UPDATE t SET n = 1 WHERE id = 1", &far, true),
        ("UPDATE t SET n = 1 WHERE id = 100", &far, false),
        ("UPDATE t SET n = 1", &far, false),
        ("UPDATE t SET n = 1 WHERE id IN (1, 2) AND n >= 0", &far, true),
        ("UPDATE t SET n = 1 WHERE id < 100::integer", &far, true),
        ("UPDATE t SET n = 1 WHERE id + 0 = 1", &far, false), // nobody can tell
        ("UPDATE t SET n = 1 WHERE id = 1 OR region = 'us'", &far, false),
        ("UPDATE t SET n = 1 WHERE id = 1 OR region = 'asia'", &far, true),
        ("UPDATE t SET n = 1 WHERE NOT (id >= 100)", &far, true),
        ("UPDATE t SET n = 1 WHERE region <> 'eu'", &far, false),
        ("UPDATE t SET n = 1 WHERE region IS NULL", &far, true),
        ("UPDATE t SET n = 1 WHERE region IS NULL", &null, false),
        ("UPDATE t SET n = 1 WHERE x < 1000", &null, true),
        ("UPDATE t SET n = 1 WHERE x > 1000", &far, true),
        ("UPDATE t SET n = 1 WHERE x > 1000", &nan, false), // NaN is above all numbers
        ("UPDATE t SET n = 1 WHERE region > repeat('x', 40)", &long, false),
        ("UPDATE t SET n = 1 WHERE region > repeat('y', 40)", &long, true),
        ("UPDATE t SET n = 1 WHERE at = '2024-06-01 00:00:00.123999'::timestamp", &micro, false),
        ("UPDATE t SET n = 1 WHERE at = '2024-06-01 00:00:00.125'::timestamp", &micro, true),
        ("DELETE FROM t WHERE id = 2", &far, true),
        ("DELETE FROM t WHERE id > 2", &far, false),
        ("DELETE FROM t", &far, false),
        ("DELETE FROM t USING source s WHERE t.id = s.id AND t.region = 'eu'", &far, true),
        ("DELETE FROM t USING source s WHERE t.id = s.id", &far, false),
        // A subquery reads the table too.
        ("UPDATE t SET n = (SELECT max(id) FROM t) WHERE id = 1", &far, false),
        ("UPDATE t SET n = (SELECT max(id) FROM t WHERE id < 50) WHERE id = 1", &far, true),
        (
            "MERGE INTO t USING source s ON t.id = s.id AND t.region = 'eu'
             WHEN MATCHED THEN UPDATE SET n = s.n WHEN NOT MATCHED THEN INSERT (id) VALUES (s.id)",
            &far,
            true,
        ),
        (
            "MERGE INTO t USING source s ON t.id = s.id AND t.region = 'us'
             WHEN MATCHED THEN UPDATE SET n = s.n WHEN NOT MATCHED THEN INSERT (id) VALUES (s.id)",
            &far,
            false,
        ),
        (
            "MERGE INTO t USING source s ON t.id = s.id
             WHEN NOT MATCHED THEN INSERT (id) VALUES (s.id)",
            &far,
            false,
        ),
        (
            "MERGE INTO t USING source s ON t.id = s.id AND t.region = 'eu'
             WHEN NOT MATCHED BY SOURCE THEN DELETE",
            &far,
            false, // every row of the target matters
        ),
        ("UPDATE t SET n = 1 WHERE id = 77", &far, true),
        ("UPDATE t SET n = 1 WHERE id = 77", &row("77", "NULL", "0", "NULL", "0"), false),
    ];
    for (change, values, stands) in cases {
        assert_eq!(commit_stands(change, values).await, stands, "{change} beside {values}");
    }
}

/// An autocommit UPDATE is held right before its record while another server appends rows.
async fn held(values: &str) -> (String, String, usize) {
    let dir = folder();
    let (engine, store) = open_faulty(dir.path()).await;
    let mut one = Client::of(&engine);
    one.ok(SETUP).await;
    store.arm(None);
    let gate = store.hold("_cenote/log");
    let update = tokio::spawn(async move {
        let tag = one.ok("UPDATE t SET n = 1 WHERE id <= 2").await;
        (tag, one.ok("SELECT count(*) FROM t WHERE n = 1").await)
    });
    gate.reached().await;
    let other = open(dir.path()).await;
    Client::of(&other).ok(&format!("INSERT INTO t VALUES {values}")).await;
    gate.open();
    let (tag, changed) = update.await.expect("it ends");
    let files = store.trace().iter().filter(|o| o.starts_with("put public/t-")).count();
    (tag, changed, files)
}

#[tokio::test]
async fn a_statement_that_read_what_came_runs_again_and_no_other() {
    let (tag, changed, puts) = held("(100, 'us', 1, NULL, 9)").await;
    assert_eq!((tag.as_str(), changed.as_str()), ("UPDATE 2", "2"));
    // One data file, and its commit in the Delta log: it ran once.
    assert_eq!(puts, 2);
    let (tag, changed, puts) = held("(0, 'us', 1, NULL, 9)").await;
    assert_eq!((tag.as_str(), changed.as_str()), ("UPDATE 3", "3"), "it saw the new row");
    assert!(puts > 2, "it ran twice: {puts}");
}

#[tokio::test]
async fn what_was_read_stands_in_the_record() {
    let dir = folder();
    let engine = open(dir.path()).await;
    let mut client = Client::of(&engine);
    client.ok(SETUP).await;
    let seq = engine.services().warehouse.snapshot().await.expect("a snapshot").seq();
    client
        .ok("BEGIN; UPDATE t SET n = 1 WHERE id = 77; INSERT INTO source VALUES (1, 1);
             DELETE FROM t WHERE region IS NULL; COMMIT")
        .await;
    let record = dir.path().join(format!("_cenote/log/{:020}.json", seq + 1));
    let text = std::fs::read_to_string(record).expect("the record");
    let reads = r#"[{"=":["id","77"]},{"null":"region"}]"#;
    assert!(text.contains(reads), "{text}");
}
