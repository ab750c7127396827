//! kill -9 in the middle of work, then a restart: everything is as before or as after.
//!
//! Each round draws from a seed that is printed; `CENOTE_CRASH_SEED=n` runs that one again. The random delays only
//! choose the moment of the kill: no test waits for something to have happened by then.

use crate::harness::{Server, cenote, run, temporary_folder};
use bytes::Bytes;
use futures::SinkExt;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_postgres::Client;

const ROUNDS: u64 = 3;

/// The seeds of a test's rounds, printed for the day that one fails.
fn seeds() -> Vec<u64> {
    let seeds: Vec<u64> = match std::env::var("CENOTE_CRASH_SEED") {
        Ok(seed) => vec![seed.parse().expect("CENOTE_CRASH_SEED is a number")],
        Err(_) => {
            let first: u64 = rand::rng().random_range(0..1_000_000_000);
            (first..first + ROUNDS).collect()
        }
    };
    eprintln!("crash seeds: {seeds:?}");
    seeds
}

async fn number(client: &Client, sql: &str) -> i64 {
    let row = client.query_one(sql, &[]).await.unwrap_or_else(|e| panic!("{sql}: {e:?}"));
    row.get(0)
}

/// Runs `work(client, i)` for i = 1, 2, … until the server is killed, some time after `acknowledged` successes.
/// Returns how many were answered with success.
async fn kill_while<W, F>(server: Server, rng: &mut StdRng, acknowledged: i64, work: W) -> i64
where
    W: Fn(Arc<Client>, i64) -> F + Send + 'static,
    F: Future<Output = Result<(), tokio_postgres::Error>> + Send,
{
    let client = Arc::new(server.connect().await);
    let answered = Arc::new(AtomicI64::new(0));
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let counter = Arc::clone(&answered);
    let worker = tokio::spawn(async move {
        for i in 1.. {
            match work(Arc::clone(&client), i).await {
                Ok(()) => counter.store(i, Ordering::SeqCst),
                // Only the loss of the connection may end the work: an error of the server is a failure.
                Err(e) => return e,
            }
            let _ = sender.send(i);
        }
        unreachable!("the server is killed before the numbers end")
    });
    while receiver.recv().await.expect("the work goes on") < acknowledged {}
    tokio::time::sleep(Duration::from_micros(rng.random_range(0..20_000))).await;
    server.kill();
    let end = worker.await.expect("the worker ends");
    assert!(end.as_db_error().is_none(), "the server answered with an error: {end:?}");
    answered.load(Ordering::SeqCst)
}

#[test]
fn inserts_are_there_or_not() {
    for seed in seeds() {
        let mut rng = StdRng::seed_from_u64(seed);
        let folder = temporary_folder();
        let data = folder.path().join("warehouse");
        run(async {
            let server = Server::start(&data);
            server
                .connect()
                .await
                .batch_execute("CREATE TABLE t (id bigint)")
                .await
                .expect("CREATE TABLE");
            let least = rng.random_range(1..30);
            let answered = kill_while(server, &mut rng, least, |client, i| async move {
                client.execute("INSERT INTO t VALUES ($1)", &[&i]).await.map(|_| ())
            })
            .await;

            let server = Server::start(&data);
            let client = server.connect().await;
            let n = number(&client, "SELECT count(*) FROM t").await;
            assert!(
                n == answered || n == answered + 1,
                "seed {seed}: {answered} answered, {n} there"
            );
            assert_eq!(number(&client, "SELECT max(id) FROM t").await, n, "seed {seed}: no gaps");
            assert_eq!(
                number(&client, "SELECT count(DISTINCT id) FROM t").await,
                n,
                "seed {seed}: none twice"
            );
            client
                .batch_execute("INSERT INTO t VALUES (-1)")
                .await
                .expect("the table takes rows again");
            assert_eq!(number(&client, "SELECT count(*) FROM t").await, n + 1);
            server.stop();
        });
    }
}

#[test]
fn a_commit_over_two_tables_is_there_or_not() {
    for seed in seeds() {
        let mut rng = StdRng::seed_from_u64(seed);
        let folder = temporary_folder();
        let data = folder.path().join("warehouse");
        run(async {
            let server = Server::start(&data);
            let create = "CREATE TABLE a (id bigint, n bigint); CREATE TABLE b (id bigint);
                 INSERT INTO a VALUES (0, 0)";
            server.connect().await.batch_execute(create).await.expect("two tables");
            let least = rng.random_range(1..15);
            let answered = kill_while(server, &mut rng, least, |client, i| async move {
                let work =
                    format!("BEGIN; UPDATE a SET n = {i}; INSERT INTO b VALUES ({i}); COMMIT");
                client.batch_execute(&work).await
            })
            .await;

            let server = Server::start(&data);
            let client = server.connect().await;
            let n = number(&client, "SELECT n FROM a").await;
            assert!(
                n == answered || n == answered + 1,
                "seed {seed}: {answered} answered, {n} there"
            );
            assert_eq!(
                number(&client, "SELECT count(*) FROM b").await,
                n,
                "seed {seed}: both tables or none"
            );
            assert_eq!(
                number(&client, "SELECT coalesce(max(id), 0) FROM b").await,
                n,
                "seed {seed}"
            );
            server.stop();
        });
    }
}

#[test]
fn a_copy_is_there_or_not() {
    const LINES: i64 = 200_000;
    for seed in seeds() {
        let mut rng = StdRng::seed_from_u64(seed);
        let folder = temporary_folder();
        let data = folder.path().join("warehouse");
        run(async {
            let server = Server::start(&data);
            let client = server.connect().await;
            client
                .batch_execute(
                    "CREATE TABLE t (id bigint, word text); INSERT INTO t VALUES (0, 'first')",
                )
                .await
                .expect("a table");
            let lines: String = (1..=LINES).map(|n| format!("{n}\tword {n}\n")).collect();
            let sent_before_the_kill = rng.random_range(0..=LINES as usize / 2_000);
            let after_the_end = rng.random_range(0..400_000);
            let sink = client.copy_in::<_, Bytes>("COPY t FROM STDIN").await.expect("COPY");
            let mut sink = Box::pin(sink);
            let pieces: Vec<&[u8]> =
                lines.as_bytes().chunks(lines.len().div_ceil(LINES as usize / 2_000)).collect();
            for piece in &pieces[..sent_before_the_kill.min(pieces.len())] {
                sink.send(Bytes::copy_from_slice(piece)).await.expect("a piece");
            }
            let mut answered = None;
            if sent_before_the_kill >= pieces.len() || rng.random_bool(0.7) {
                for piece in &pieces[sent_before_the_kill.min(pieces.len())..] {
                    sink.send(Bytes::copy_from_slice(piece)).await.expect("a piece");
                }
                // The kill comes while the rows are written, or after the answer.
                let finish = tokio::time::timeout(
                    Duration::from_micros(after_the_end),
                    sink.as_mut().finish(),
                );
                answered = finish.await.ok().map(|rows| rows.expect("the whole copy"));
            }
            server.kill();

            let server = Server::start(&data);
            let client = server.connect().await;
            let n = number(&client, "SELECT count(*) FROM t").await;
            assert!(n == 1 || n == 1 + LINES, "seed {seed}: {n} rows");
            if let Some(rows) = answered {
                assert_eq!(rows as i64 + 1, n, "seed {seed}: what was answered is there");
            }
            client
                .batch_execute("INSERT INTO t VALUES (-1, 'after')")
                .await
                .expect("the table takes rows again");
            server.stop();
        });
    }
}

#[test]
fn a_training_is_there_or_not() {
    for seed in seeds() {
        let mut rng = StdRng::seed_from_u64(seed);
        let folder = temporary_folder();
        let data = folder.path().join("warehouse");
        run(async {
            let server = Server::start(&data);
            let create = "CREATE TABLE points AS SELECT n::double precision AS x, (1 + 2 * n)::double precision AS y
                 FROM generate_series(1, 2000) AS t(n);
                 CREATE MODEL line PREDICT y USING linear_regression WITH (split = 'none') AS SELECT x, y FROM points";
            server.connect().await.batch_execute(create).await.expect("a model");
            let least = rng.random_range(1..6);
            let answered = kill_while(server, &mut rng, least, |client, _| async move {
                client.batch_execute("TRAIN MODEL line").await
            })
            .await;

            let server = Server::start(&data);
            let client = server.connect().await;
            // The first version came with CREATE MODEL.
            let n = number(&client, "SELECT count(*) FROM ml.model_versions").await - 1;
            assert!(
                n == answered || n == answered + 1,
                "seed {seed}: {answered} answered, {n} there"
            );
            let runs =
                number(&client, "SELECT count(*) FROM ml.runs WHERE status = 'finished'").await;
            assert_eq!(runs, n + 1, "seed {seed}: one run for each version");
            for version in 1..=n + 1 {
                let sql = format!("SELECT predict('line@{version}', x => 10)");
                let y: f64 = client.query_one(&sql, &[]).await.expect("a prediction").get(0);
                assert!((y - 21.0).abs() < 1e-6, "seed {seed}: version {version} says {y}");
            }
            client.batch_execute("TRAIN MODEL line").await.expect("the model trains again");
            server.stop();
        });
    }
}

/// The log's records in order.
fn records(data: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(data.join("_cenote/log"))
        .expect("the warehouse's log")
        .map(|entry| entry.expect("a folder that can be listed").path())
        .filter(|path| path.extension().is_some_and(|e| e == "json"))
        .collect();
    paths.sort();
    paths
}

#[test]
fn a_torn_last_record_is_recognised_and_nothing_is_lost() {
    let folder = temporary_folder();
    let data = folder.path().join("warehouse");
    let run_sql = |statement: &str| {
        let head: [&OsStr; 3] = ["sql".as_ref(), "--data".as_ref(), data.as_ref()];
        cenote(head.into_iter().chain(["--format", "csv", "-c", statement].map(OsStr::new)), "")
    };
    run_sql("CREATE TABLE t (id integer); INSERT INTO t VALUES (1)").ok();
    run_sql("INSERT INTO t VALUES (2)").ok();
    let last = records(&data).pop().expect("a record");
    let whole = std::fs::read(&last).expect("the last record");

    for length in [whole.len() / 2, whole.len() - 1, 0] {
        std::fs::write(&last, &whole[..length]).expect("the last record is torn");
        let said = run_sql("SELECT * FROM t").failed();
        assert!(said.contains("damaged") || said.contains("XX001"), "{length} bytes: {said}");
        let said =
            Server::try_start(&data).map(|_| ()).expect_err("a torn record is not passed over");
        assert!(said.contains("record 3 of the warehouse log"), "it names the record: {said}");
    }
    // One bit of a whole record.
    let mut flipped = whole.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    std::fs::write(&last, &flipped).expect("the last record is damaged");
    run_sql("SELECT * FROM t").failed();

    std::fs::write(&last, &whole).expect("the last record is whole again");
    assert_eq!(run_sql("SELECT sum(id) AS s FROM t").ok(), "s\n3\n");
}

#[test]
fn what_a_crash_left_half_written_is_not_read() {
    let folder = temporary_folder();
    let data = folder.path().join("warehouse");
    let run_sql = |statement: &str| {
        let head: [&OsStr; 3] = ["sql".as_ref(), "--data".as_ref(), data.as_ref()];
        cenote(head.into_iter().chain(["--format", "csv", "-c", statement].map(OsStr::new)), "")
    };
    run_sql("CREATE TABLE t (id integer)").ok();
    run_sql("INSERT INTO t VALUES (1), (2)").ok();
    let table = std::fs::read_dir(data.join("public"))
        .expect("the schema's folder")
        .flatten()
        .next()
        .expect("the table's folder")
        .path();

    // A Parquet file that no record names.
    std::fs::write(table.join("part-00000-half.snappy.parquet"), b"PAR1 and then the power went")
        .expect("a file");
    // A Delta commit that was promised in the log, and reached the disk only in part: it is put right.
    let commit = table.join("_delta_log/00000000000000000001.json");
    let whole = std::fs::read(&commit).expect("the commit of the INSERT");
    for length in [0, whole.len() / 2] {
        std::fs::write(&commit, &whole[..length]).expect("the commit is torn");
        let server = Server::start(&data);
        run(async {
            let client = server.connect().await;
            assert_eq!(number(&client, "SELECT count(*) FROM t").await, 2);
            client
                .batch_execute("INSERT INTO t VALUES (3); DELETE FROM t WHERE id = 3")
                .await
                .expect("the table takes rows");
        });
        server.stop();
        assert!(
            std::fs::read(&commit).expect("the commit") == whole,
            "the commit is not what was promised"
        );
    }
}
