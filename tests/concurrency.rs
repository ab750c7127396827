//! Several sessions at once: training, predicting and writing do not disturb each other.

use crate::harness::{Server, describe, run, sqlstate};
use tokio_postgres::Client;

async fn number(client: &Client, sql: &str) -> i64 {
    let row =
        client.query_one(sql, &[]).await.unwrap_or_else(|e| panic!("{sql}: {}", describe(&e)));
    row.get(0)
}

async fn execute(client: &Client, sql: &str) {
    client.batch_execute(sql).await.unwrap_or_else(|e| panic!("{sql}: {}", describe(&e)));
}

#[test]
fn two_sessions_train_and_predict_while_a_third_inserts() {
    const BATCHES: i64 = 40;
    const TRAININGS: i64 = 8;
    let server = Server::fresh();
    run(async {
        let client = server.connect().await;
        // Every row lies on y = 1 + 2 x, so that any set of them makes the same model.
        execute(
            &client,
            "CREATE TABLE points (batch bigint, x double precision, y double precision);
             INSERT INTO points SELECT 0, n, 1 + 2 * n FROM generate_series(1, 10) AS t(n)",
        )
        .await;
        execute(
            &client,
            "CREATE MODEL shared PREDICT y USING linear_regression AS SELECT x, y FROM points",
        )
        .await;

        let inserter = server.connect().await;
        let insert = tokio::spawn(async move {
            for batch in 1..=BATCHES {
                let sql = format!(
                    "INSERT INTO points SELECT {batch}, {batch} * 10 + n, 1 + 2 * ({batch} * 10 + n)
                     FROM generate_series(1, 10) AS t(n)"
                );
                execute(&inserter, &sql).await;
            }
        });
        let mut trainers = Vec::new();
        for name in ["west", "east"] {
            let trainer = server.connect().await;
            trainers.push(tokio::spawn(async move {
                execute(&trainer, &format!("CREATE MODEL {name} PREDICT y USING linear_regression AS SELECT x, y FROM points")).await;
                let mut lost = 0;
                for _ in 0..TRAININGS {
                    execute(&trainer, &format!("TRAIN MODEL {name}")).await;
                    // Both train this one: each training is a version, or loses to the other and says so.
                    if let Err(e) = trainer.batch_execute("TRAIN MODEL shared").await {
                        assert_eq!(e.code().map(|c| c.code()), Some("40001"), "{}", describe(&e));
                        lost += 1;
                    }
                    let sql = format!("SELECT max(abs(predict('{name}', p.*) - y)) FROM points p");
                    let worst: f64 = trainer.query_one(&sql, &[]).await.expect("a prediction").get(0);
                    assert!(worst < 1e-6, "{name} is off by {worst}");
                    let whole = number(&trainer, "SELECT count(*) % 10 FROM points").await;
                    assert_eq!(whole, 0, "a batch is seen whole or not at all");
                }
                lost
            }));
        }
        insert.await.expect("the inserter");
        let mut lost = 0;
        for trainer in trainers {
            lost += trainer.await.expect("a trainer");
        }

        assert_eq!(number(&client, "SELECT count(*) FROM points").await, 10 * (BATCHES + 1));
        let versions = |model: &str| {
            format!(
                "SELECT count(DISTINCT version) FROM ml.model_versions WHERE model = 'public.{model}'"
            )
        };
        assert_eq!(number(&client, &versions("west")).await, 1 + TRAININGS);
        assert_eq!(number(&client, &versions("east")).await, 1 + TRAININGS);
        assert_eq!(number(&client, &versions("shared")).await, 1 + 2 * TRAININGS - lost);
        // A training that lost is a run that says so.
        let failed = "SELECT count(*) FROM ml.runs
                      WHERE model = 'public.shared' AND status = 'failed' AND error LIKE '%(40001)'";
        assert_eq!(number(&client, failed).await, lost);

        // Each version was trained on the rows of its snapshot, all of them and no others.
        let rows = client
            .query("SELECT snapshot, n_rows FROM ml.model_versions", &[])
            .await
            .expect("the versions");
        for row in rows {
            let (snapshot, n_rows): (i64, i64) = (row.get(0), row.get(1));
            let there = number(
                &client,
                &format!("SELECT count(*) FROM points AT (SNAPSHOT => {snapshot})"),
            )
            .await;
            assert_eq!(there, n_rows, "snapshot {snapshot}");
        }
    });
    server.stop();
}

#[test]
fn increments_are_not_lost() {
    const SESSIONS: usize = 4;
    const EACH: i64 = 10;
    let server = Server::fresh();
    run(async {
        let client = server.connect().await;
        execute(&client, "CREATE TABLE counter (n bigint); INSERT INTO counter VALUES (0)").await;
        let mut workers = Vec::new();
        for _ in 0..SESSIONS {
            let worker = server.connect().await;
            workers.push(tokio::spawn(async move {
                let mut done = 0;
                for _ in 0..EACH {
                    match worker.execute("UPDATE counter SET n = n + 1", &[]).await {
                        Ok(rows) => {
                            assert_eq!(rows, 1);
                            done += 1;
                        }
                        Err(e) => assert_eq!(
                            e.code().map(|c| c.code()),
                            Some("40001"),
                            "{}",
                            describe(&e)
                        ),
                    }
                }
                done
            }));
        }
        let mut done = 0;
        for worker in workers {
            done += worker.await.expect("a worker");
        }
        assert!(done >= EACH, "a statement that loses is run again, so that most succeed: {done}");
        assert_eq!(number(&client, "SELECT n FROM counter").await, done);
    });
    server.stop();
}

#[test]
fn a_sum_over_two_tables_never_changes() {
    const TRANSFERS: i64 = 30;
    let server = Server::fresh();
    run(async {
        let client = server.connect().await;
        execute(
            &client,
            "CREATE TABLE a (n bigint); CREATE TABLE b (n bigint);
             INSERT INTO a VALUES (1000); INSERT INTO b VALUES (0)",
        )
        .await;
        let mover = server.connect().await;
        let moving = tokio::spawn(async move {
            for _ in 0..TRANSFERS {
                execute(&mover, "BEGIN; UPDATE a SET n = n - 7; UPDATE b SET n = n + 7; COMMIT")
                    .await;
            }
        });
        let mut looks = 0;
        while !moving.is_finished() {
            assert_eq!(
                number(&client, "SELECT ((SELECT n FROM a) + (SELECT n FROM b))::bigint").await,
                1000
            );
            looks += 1;
        }
        moving.await.expect("the transfers");
        assert!(looks > 0, "the transfers were watched");
        assert_eq!(number(&client, "SELECT n FROM b").await, 7 * TRANSFERS);
    });
    server.stop();
}

#[test]
fn appends_never_conflict() {
    const SESSIONS: i64 = 6;
    const EACH: i64 = 15;
    let server = Server::fresh();
    run(async {
        let client = server.connect().await;
        execute(&client, "CREATE TABLE t (session bigint, n bigint)").await;
        let mut workers = Vec::new();
        for session in 0..SESSIONS {
            let worker = server.connect().await;
            workers.push(tokio::spawn(async move {
                for n in 0..EACH {
                    execute(&worker, &format!("INSERT INTO t VALUES ({session}, {n})")).await;
                }
            }));
        }
        for worker in workers {
            worker.await.expect("a worker");
        }
        assert_eq!(number(&client, "SELECT count(*) FROM t").await, SESSIONS * EACH);
        let pairs = "SELECT count(*) FROM (SELECT DISTINCT session, n FROM t) AS d";
        assert_eq!(number(&client, pairs).await, SESSIONS * EACH);
    });
    server.stop();
}

#[test]
fn appends_conflict_with_a_change_only_if_it_may_have_read_them() {
    let server = Server::fresh();
    run(async {
        let client = server.connect().await;
        execute(&client, "CREATE TABLE t (id bigint, n bigint)").await;
        execute(&client, "INSERT INTO t VALUES (1, 0), (2, 0)").await;
        let other = server.connect().await;
        for (row, stands) in [(1000, true), (1, false)] {
            execute(&client, "BEGIN; UPDATE t SET n = n + 1 WHERE id <= 2").await;
            execute(&other, &format!("INSERT INTO t VALUES ({row}, 0)")).await;
            let committed = client.batch_execute("COMMIT").await;
            match stands {
                true => committed.expect("no row of the append was read"),
                false => assert_eq!(sqlstate(committed), "40001"),
            }
        }
        assert_eq!(number(&client, "SELECT count(*) FROM t WHERE n = 1").await, 2);

        // Outside of a block: a change that lost runs again, and one that did not need not.
        const ROUNDS: i64 = 20;
        let appending = tokio::spawn(async move {
            for n in 0..ROUNDS {
                execute(&other, &format!("INSERT INTO t VALUES ({}, 0)", 2000 + n)).await;
                execute(&other, &format!("INSERT INTO t VALUES (3, {n})")).await;
            }
        });
        let mut rounds = 0;
        while !appending.is_finished() || rounds < ROUNDS {
            execute(&client, "UPDATE t SET n = n + 1 WHERE id = 2").await;
            execute(&client, "UPDATE t SET n = n + 100 WHERE id = 3 AND n < 100").await;
            rounds += 1;
        }
        appending.await.expect("the appends");
        execute(&client, "UPDATE t SET n = n + 100 WHERE id = 3 AND n < 100").await;
        assert_eq!(number(&client, "SELECT n FROM t WHERE id = 2").await, 1 + rounds);
        let all = "SELECT count(*) FROM t WHERE id = 3 AND n BETWEEN 100 AND 119";
        assert_eq!(number(&client, all).await, ROUNDS, "no row was missed, none changed twice");
    });
    server.stop();
}

#[test]
fn a_training_that_loses_at_its_commit_leaves_a_failed_run() {
    let server = Server::fresh();
    run(async {
        let (first, second) = (server.connect().await, server.connect().await);
        execute(
            &first,
            "CREATE TABLE points (x double precision, y double precision);
             INSERT INTO points SELECT n, 2 * n FROM generate_series(1, 10) AS t(n)",
        )
        .await;
        execute(
            &first,
            "CREATE MODEL m PREDICT y USING linear_regression AS SELECT x, y FROM points",
        )
        .await;
        execute(&first, "BEGIN; TRAIN MODEL m WITH (experiment = 'loses')").await;
        execute(&second, "TRAIN MODEL m").await;
        let lost = first.batch_execute("COMMIT").await;
        assert_eq!(sqlstate(lost), "40001");
        let runs = second
            .query("SELECT status, version, error FROM ml.runs WHERE experiment = 'loses'", &[])
            .await
            .expect("the runs");
        assert_eq!(runs.len(), 1);
        assert_eq!(runs[0].get::<_, &str>(0), "failed");
        assert_eq!(runs[0].get::<_, Option<i64>>(1), None);
        assert!(runs[0].get::<_, &str>(2).contains("40001"), "{:?}", runs[0]);
        assert_eq!(number(&second, "SELECT max(version) FROM ml.model_versions").await, 2);

        // What the user takes back is no failure.
        execute(&first, "BEGIN; TRAIN MODEL m WITH (experiment = 'taken back'); ROLLBACK").await;
        execute(&first, "INSERT INTO points VALUES (11, 22)").await;
        let sql = "SELECT count(*) FROM ml.runs WHERE experiment = 'taken back'";
        assert_eq!(number(&second, sql).await, 0);
    });
    server.stop();
}

#[test]
fn training_on_own_writes_pins_the_version_that_the_commit_makes() {
    let server = Server::fresh();
    run(async {
        let (trainer, other) = (server.connect().await, server.connect().await);
        execute(
            &trainer,
            "CREATE TABLE points (x double precision, y double precision);
             INSERT INTO points SELECT n, 2 * n FROM generate_series(1, 10) AS t(n);
             CREATE MODEL m PREDICT y USING linear_regression WITH NO DATA",
        )
        .await;
        let begin = "BEGIN; INSERT INTO points VALUES (20, 0);
                     CREATE TABLE more AS SELECT * FROM points;
                     TRAIN MODEL m AS SELECT p.x, p.y FROM points p JOIN more USING (x)";
        // Any winner on a table that the training's own transaction wrote is in its way, even an append.
        execute(&trainer, begin).await;
        execute(&other, "INSERT INTO points VALUES (30, 60)").await;
        assert_eq!(sqlstate(trainer.batch_execute("COMMIT").await), "40001");

        execute(&trainer, begin).await;
        let weights = "SELECT estimate::text FROM ml.weights('m') ORDER BY term";
        let before = trainer.query(weights, &[]).await.expect("weights in the transaction");
        execute(&trainer, "COMMIT").await;
        execute(&other, "INSERT INTO points VALUES (40, 0); DELETE FROM more").await;
        let after = other.query(weights, &[]).await.expect("weights after it");
        let texts = |rows: &[tokio_postgres::Row]| {
            rows.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>()
        };
        assert_eq!(texts(&before), texts(&after));
        // The same bits from the pinned versions, or an error.
        execute(&other, "RETRAIN MODEL m VERSION 1").await;
        let sql = "SELECT n_rows FROM ml.model_versions WHERE model = 'public.m'";
        assert_eq!(number(&other, sql).await, 12);
    });
    server.stop();
}
