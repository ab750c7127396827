//! A cancel at any moment of any statement: all of it or nothing, and the session goes on.

use crate::harness::raw::{Raw, cancel, message, outcome, query};
use crate::harness::{Server, generator, run};
use rand::Rng;
use rand::rngs::StdRng;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How often each statement is cancelled.
const ROUNDS: usize = 12;

/// What a statement does to the world, as a query that tells before from after.
struct Case {
    name: &'static str,
    /// Runs before each round.
    prepare: &'static str,
    statement: &'static str,
    /// COPY data for a statement that asks for it.
    data: bool,
    /// One value that is different when the statement has been done, and how it then looks.
    state: &'static str,
    done: &'static str,
    undone: &'static str,
}

const CASES: &[Case] = &[
    Case {
        name: "SELECT",
        prepare: "",
        statement: "SELECT n, repeat('x', 50) FROM generate_series(1, 200000) AS g(n)",
        data: false,
        state: "SELECT 'same'",
        done: "same",
        undone: "same",
    },
    Case {
        name: "SELECT without rows",
        prepare: "",
        statement: "SELECT count(*) FROM generate_series(1, 40000) a(n), generate_series(1, 40000) b(n) \
                    WHERE a.n * 3 = b.n * 7 + 1",
        data: false,
        state: "SELECT 'same'",
        done: "same",
        undone: "same",
    },
    Case {
        name: "COPY TO",
        prepare: "",
        statement: "COPY source TO STDOUT",
        data: false,
        state: "SELECT 'same'",
        done: "same",
        undone: "same",
    },
    Case {
        name: "COPY FROM",
        prepare: "DELETE FROM target WHERE id > 1000",
        statement: "COPY target FROM STDIN",
        data: true,
        state: "SELECT count(*) FROM target WHERE id > 1000",
        done: "40000",
        undone: "0",
    },
    Case {
        name: "INSERT",
        prepare: "DELETE FROM target WHERE id > 1000",
        statement: "INSERT INTO target SELECT id + 1000, word FROM source",
        data: false,
        state: "SELECT count(*) FROM target WHERE id > 1000",
        done: "100000",
        undone: "0",
    },
    Case {
        name: "MERGE",
        prepare: "DELETE FROM target WHERE id > 1000; UPDATE target SET word = 'old' WHERE word <> 'old'",
        statement: "MERGE INTO target t USING source s ON t.id = s.id WHEN MATCHED THEN UPDATE SET word = 'new' \
                    WHEN NOT MATCHED THEN INSERT (id, word) VALUES (s.id, 'new')",
        data: false,
        state: "SELECT count(*) FILTER (WHERE word = 'new') || ' of ' || count(*) FROM target",
        done: "100000 of 100000",
        undone: "0 of 1000",
    },
    Case {
        name: "UPDATE",
        prepare: "DELETE FROM target WHERE id > 1000; UPDATE target SET word = 'old' WHERE word <> 'old'",
        statement: "UPDATE target SET word = 'new' WHERE id % 2 = 0",
        data: false,
        state: "SELECT count(*) FROM target WHERE word = 'new'",
        done: "500",
        undone: "0",
    },
    Case {
        name: "CREATE TABLE AS",
        prepare: "DROP TABLE IF EXISTS made",
        statement: "CREATE TABLE made AS SELECT * FROM source",
        data: false,
        state: "SELECT count(*) FROM pg_class WHERE relname = 'made'",
        done: "1",
        undone: "0",
    },
    Case {
        name: "COMMIT",
        prepare: "DELETE FROM target WHERE id > 1000; DROP TABLE IF EXISTS made; \
                  BEGIN; INSERT INTO target VALUES (2001, 'in a block'); CREATE TABLE made (a integer)",
        statement: "COMMIT",
        data: false,
        state: "SELECT (SELECT count(*) FROM target WHERE id = 2001) || ' ' || \
                (SELECT count(*) FROM pg_class WHERE relname = 'made')",
        done: "1 1",
        undone: "0 0",
    },
    Case {
        name: "CREATE MODEL",
        prepare: "DROP MODEL IF EXISTS m",
        statement: "CREATE MODEL m PREDICT y USING gradient_boosting WITH (rounds = 30) \
                    AS SELECT id::double precision AS x, (id % 7)::double precision AS y FROM source",
        data: false,
        state: "SELECT count(*) FROM ml.models",
        done: "1",
        undone: "0",
    },
];

async fn prepare(raw: &mut Raw, sql: &str) {
    // A block cannot be opened among other statements of one query.
    for statement in sql.split("; ").filter(|s| !s.is_empty()) {
        raw.run(statement).await.unwrap_or_else(|code| panic!("{statement}: {code}"));
    }
}

/// Runs the statement to its end.
async fn execute(raw: &mut Raw, case: &Case) -> Result<String, String> {
    raw.send(&query(case.statement)).await;
    if case.data {
        for piece in 0..40 {
            let lines: String =
                (0..1000).map(|n| format!("{}\tcopied\n", 1001 + piece * 1000 + n)).collect();
            raw.send(&message(b'd', lines.as_bytes())).await;
        }
        raw.send(&message(b'c', b"")).await;
    }
    outcome(&raw.until_ready().await)
}

/// One round: how the statement ended, and whether what it said is what is there.
async fn round(server: &Server, raw: &mut Raw, case: &Case, after: Duration) -> bool {
    prepare(raw, case.prepare).await;
    let key = raw.key();
    let cancelling = async {
        tokio::time::sleep(after).await;
        cancel(server, &key).await;
    };
    let (ended, ()) = tokio::join!(execute(raw, case), cancelling);
    // The cancel has been dealt with, so that it cannot hit what follows.
    assert_eq!(raw.value("SELECT 'next'").await, "next", "{}", case.name);
    let state = raw.value(case.state).await;
    match &ended {
        Ok(_) => assert_eq!(state, case.done, "{} said that it was done", case.name),
        Err(code) => {
            assert_eq!(code, "57014", "{}", case.name);
            assert_eq!(state, case.undone, "{} said that it was cancelled", case.name);
        }
    }
    // Nothing stays open, whatever the statement was in the middle of.
    assert_eq!(raw.run("BEGIN").await.as_deref(), Ok("BEGIN"), "{}", case.name);
    assert_eq!(raw.run("ROLLBACK").await.as_deref(), Ok("ROLLBACK"), "{}", case.name);
    ended.is_err()
}

/// Cancels at random moments of the time that the statement takes; returns how often it was hit.
async fn interrupt(server: &Server, case: &Case, random: &mut StdRng) -> usize {
    let mut raw = Raw::open(server).await;
    prepare(&mut raw, case.prepare).await;
    let started = Instant::now();
    let whole = execute(&mut raw, case).await;
    assert!(whole.is_ok(), "{}: {whole:?}", case.name);
    let takes = started.elapsed();
    assert_eq!(raw.value(case.state).await, case.done, "{}", case.name);
    let mut hits = 0;
    for _ in 0..ROUNDS {
        let after = takes.mul_f64(random.random_range(0.0..1.1));
        hits += usize::from(round(server, &mut raw, case, after).await);
    }
    println!("{}: takes {takes:?}, {hits} of {ROUNDS} cancelled", case.name);
    hits
}

#[test]
fn every_statement_can_be_cancelled_at_any_moment() {
    let server = Server::fresh();
    run(async {
        let mut random = generator();
        let mut raw = Raw::open(&server).await;
        for statement in [
            "CREATE TABLE source AS SELECT n AS id, 'word ' || n AS word FROM generate_series(1, 100000) AS g(n)",
            "CREATE TABLE target AS SELECT n AS id, 'old' AS word FROM generate_series(1, 1000) AS g(n)",
        ] {
            raw.run(statement).await.expect(statement);
        }
        let mut hits = 0;
        for case in CASES {
            hits += interrupt(&server, case, &mut random).await;
        }
        assert!(hits > ROUNDS, "{hits} cancels of all came in time: the test tests nothing");
        no_file_is_left(&server).await;
        let log = server.log();
        assert!(!log.contains("panic"), "{log}");
    });
    server.stop();
}

/// All files below a folder.
fn below(folder: &Path) -> Vec<PathBuf> {
    // A folder may go away while it is looked at.
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    paths.flat_map(|path| if path.is_dir() { below(&path) } else { vec![path] }).collect()
}

/// Data files that no commit of any table has ever named.
fn orphans(server: &Server) -> Vec<PathBuf> {
    let files: Vec<PathBuf> = below(server.data());
    let is = |path: &Path, extension: &str| path.extension().is_some_and(|e| e == extension);
    let logs = files.iter().filter(|f| is(f, "json") && f.iter().any(|part| part == "_delta_log"));
    let named: String =
        logs.map(|log| std::fs::read_to_string(log).expect("a commit that can be read")).collect();
    let of_tables =
        files.iter().filter(|f| is(f, "parquet") && !f.iter().any(|p| p == "_delta_log"));
    let name = |f: &Path| f.file_name().expect("a file's name").to_string_lossy().into_owned();
    of_tables.filter(|f| !named.contains(&name(f))).cloned().collect()
}

/// What a stopped statement had written is deleted, at the latest when its connection has ended.
async fn no_file_is_left(server: &Server) {
    let started = Instant::now();
    while !orphans(server).is_empty() {
        assert!(started.elapsed() < Duration::from_secs(20), "{:?} are left", orphans(server));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[test]
fn a_client_that_goes_away_leaves_no_files() {
    let server = Server::fresh();
    run(async {
        let mut raw = Raw::open(&server).await;
        raw.run("CREATE TABLE t (id integer, word text)").await.expect("a table");
        raw.run("BEGIN").await.expect("a block");
        raw.run("INSERT INTO t SELECT n, 'x' FROM generate_series(1, 1000) AS g(n)")
            .await
            .expect("rows");
        raw.run("UPDATE t SET word = 'y' WHERE id < 10").await.expect("changes");
        assert!(!orphans(&server).is_empty(), "a block writes its files before it commits");
        drop(raw);
        no_file_is_left(&server).await;
        let mut raw = Raw::open(&server).await;
        raw.send(&query("COPY t FROM STDIN")).await;
        for piece in 0..50 {
            let lines: String =
                (0..2000).map(|n| format!("{}\tcopied\n", piece * 2000 + n)).collect();
            raw.send(&message(b'd', lines.as_bytes())).await;
        }
        drop(raw);
        let mut raw = Raw::open(&server).await;
        assert_eq!(raw.run("INSERT INTO t VALUES (1, 'z')").await.as_deref(), Ok("INSERT 0 1"));
        no_file_is_left(&server).await;
        assert_eq!(raw.value("SELECT count(*) FROM t").await, "1");
    });
    server.stop();
}

/// A cancel frees the threads too: joins that would run for hours must not starve everybody else.
#[test]
fn joins_without_end_leave_room_for_others_and_stop_when_told() {
    let server = Server::fresh();
    run(async {
        let mut other = Raw::open(&server).await;
        let million = "generate_series(1, 1000000)";
        for endless in [
            format!("SELECT count(*) FROM {million} a, {million} b"),
            format!("SELECT count(*) FROM {million} a(n), {million} b(n) WHERE a.n * b.n = -1"),
            format!(
                "SELECT count(*) FROM {million} a(n) JOIN {million} b(n) ON a.n % 2 = b.n % 2 AND a.n + b.n < 0"
            ),
            format!(
                "SELECT count(*) FROM {million} a(n) WHERE EXISTS \
                 (SELECT 1 FROM {million} b(n) WHERE a.n % 2 = b.n % 2 AND a.n + b.n < 0)"
            ),
        ] {
            let mut raw = Raw::open(&server).await;
            raw.send(&query(&endless)).await;
            // Others are served while it runs, and it runs on.
            for _ in 0..20 {
                assert_eq!(
                    other.value("SELECT sum(n) FROM generate_series(1, 10) g(n)").await,
                    "55"
                );
            }
            let running = tokio::time::timeout(Duration::from_millis(500), raw.next()).await;
            assert!(running.is_err(), "{endless} has ended: {running:?}");
            raw.cancel(&server).await;
            assert_eq!(outcome(&raw.until_ready().await), Err("57014".to_owned()), "{endless}");
            let limited = "SET statement_timeout = '300ms'";
            assert_eq!(raw.run(limited).await.as_deref(), Ok("SET"));
            assert_eq!(raw.run(&endless).await, Err("57014".to_owned()), "{endless}");
            assert_eq!(raw.run("RESET statement_timeout").await.as_deref(), Ok("RESET"));
        }
    });
    server.stop();
}
