//! Long work can be stopped, and long results do not fill the server's memory.

use crate::harness::{Server, describe, run, sqlstate};
use futures::{StreamExt, TryStreamExt};
use std::time::{Duration, Instant};
use tokio_postgres::NoTls;

/// How long work may go on after it was cancelled. The promise is a second; a busy machine gets more.
const CANCEL_LIMIT: Duration = Duration::from_secs(3);

#[test]
fn cancel_stops_a_stream_of_rows() {
    let server = Server::fresh();
    run(async {
        let client = server.connect().await;
        let token = client.cancel_token();
        let endless =
            "SELECT n, repeat('x', 100) FROM generate_series(1::bigint, 100000000000) AS t(n)";
        let none: [&str; 0] = [];
        let rows = client.query_raw(endless, none).await.expect("a stream");
        let mut rows = Box::pin(rows);
        rows.next().await.expect("a first row").expect("a first row");

        let cancelled_at = Instant::now();
        token.cancel_query(NoTls).await.expect("a cancel request");
        let end = loop {
            match rows.next().await {
                Some(Ok(_)) => {}
                Some(Err(e)) => break e,
                None => panic!("an endless result has ended"),
            }
        };
        assert_eq!(end.code().map(|c| c.code()), Some("57014"), "{}", describe(&end));
        assert!(cancelled_at.elapsed() < CANCEL_LIMIT, "{:?}", cancelled_at.elapsed());

        let one: i32 =
            client.query_one("SELECT 1::integer", &[]).await.expect("a new query").get(0);
        assert_eq!(one, 1);
    });
    server.stop();
}

#[test]
fn cancel_stops_work_that_has_no_rows_yet() {
    let server = Server::fresh();
    run(async {
        let client = server.connect().await;
        let token = client.cancel_token();
        let heavy = "SELECT count(*) FROM generate_series(1, 100000000) AS a(n)
             CROSS JOIN generate_series(1, 100000) AS b(m) WHERE (a.n * b.m) % 7 = 3";
        let mut running = Box::pin(client.simple_query(heavy));
        // The query is given the time to get under way; it would take hours.
        assert!(tokio::time::timeout(Duration::from_millis(500), &mut running).await.is_err());
        let cancelled_at = Instant::now();
        token.cancel_query(NoTls).await.expect("a cancel request");
        assert_eq!(sqlstate(running.await), "57014");
        assert!(cancelled_at.elapsed() < CANCEL_LIMIT, "{:?}", cancelled_at.elapsed());
    });
    server.stop();
}

#[test]
fn cancel_stops_training_and_leaves_a_run_that_says_so() {
    let server = Server::fresh();
    run(async {
        let client = server.connect().await;
        client
            .batch_execute(
                "CREATE TABLE noise AS SELECT n::double precision AS x, (n * 7919 % 1009)::double precision AS y
                 FROM generate_series(1, 20000) AS t(n)",
            )
            .await
            .expect("CREATE TABLE");
        let token = client.cancel_token();
        let train = "CREATE MODEL slow PREDICT y USING gradient_boosting WITH (rounds = 100000)
             AS SELECT x, y FROM noise";
        let mut running = Box::pin(client.simple_query(train));
        assert!(tokio::time::timeout(Duration::from_secs(2), &mut running).await.is_err());
        let cancelled_at = Instant::now();
        token.cancel_query(NoTls).await.expect("a cancel request");
        assert_eq!(sqlstate(running.await), "57014");
        assert!(cancelled_at.elapsed() < CANCEL_LIMIT, "{:?}", cancelled_at.elapsed());

        let runs =
            client.query("SELECT status, version, error FROM ml.runs", &[]).await.expect("runs");
        assert_eq!(runs.len(), 1);
        assert_eq!(runs[0].get::<_, &str>("status"), "cancelled");
        assert_eq!(runs[0].get::<_, Option<i64>>("version"), None);
        assert!(runs[0].get::<_, Option<&str>>("error").is_some());
        let models: i64 =
            client.query_one("SELECT count(*) FROM ml.models", &[]).await.expect("a count").get(0);
        assert_eq!(models, 0);
    });
    server.stop();
}

#[test]
fn statement_timeout_covers_the_stream() {
    let server = Server::fresh();
    run(async {
        let client = server.connect().await;
        client.batch_execute("SET statement_timeout = '500ms'").await.expect("SET");
        let endless = "SELECT n FROM generate_series(1::bigint, 100000000000) AS t(n)";
        let started = Instant::now();
        let none: [&str; 0] = [];
        let rows = client.query_raw(endless, none).await.expect("a stream");
        let end = rows.try_for_each(|_| async { Ok(()) }).await;
        assert_eq!(sqlstate(end), "57014");
        assert!(started.elapsed() < CANCEL_LIMIT, "{:?}", started.elapsed());
    });
    server.stop();
}

/// The largest resident size that a process has had, in MiB.
fn peak_memory_mib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let line = status.lines().find(|l| l.starts_with("VmHWM:")).expect("VmHWM");
    let kib: u64 =
        line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("a number of KiB");
    kib / 1024
}

#[test]
fn a_large_result_passes_through_bounded_memory() {
    let server = Server::fresh();
    run(async {
        let client = server.connect().await;
        let none: [&str; 0] = [];
        let drain = async |rows: u64| {
            let sql = format!(
                "SELECT n, repeat('x', 200) AS t FROM generate_series(1::bigint, {rows}) AS t(n)"
            );
            let stream = client.query_raw(&sql, none).await.expect("a stream");
            let mut sum = 0i64;
            let mut stream = Box::pin(stream);
            while let Some(row) = stream.next().await {
                sum += row.expect("a row").get::<_, i64>(0);
            }
            let n = rows as i64;
            assert_eq!(sum, n * (n + 1) / 2);
        };
        drain(50_000).await;
        let before = peak_memory_mib(server.pid());
        // 400 MB of rows.
        drain(2_000_000).await;
        let grown = peak_memory_mib(server.pid()) - before;
        assert!(grown < 100, "the server's peak memory grew by {grown} MiB");
    });
    server.stop();
}
